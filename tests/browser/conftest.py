"""A JupyterLab server and a Voilà server for the browser tests."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

PROJECT = Path(__file__).parent.parent.parent
SECONDS = 600  # for a slow machine that is doing other things too; the waits end as soon as what they wait for is there
MS = 1000 * SECONDS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these are slow, and the browser's own time limits are long."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("browser"))  # one server, one browser


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """A page that notes what it asks from elsewhere (`left`) and which errors its scripts throw (`errors`)."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True, color_scheme="light")
    yield watched(context.new_page())
    context.close()


def watched(page: Page) -> Page:
    page.set_default_timeout(MS)
    page.set_default_navigation_timeout(MS)
    page.left, page.errors = [], []  # type: ignore[attr-defined]

    def note(request) -> None:
        local = ("http://127.0.0.1", "http://localhost", "ws://127.0.0.1", "file:", "data:", "blob:")
        if not request.url.startswith(local):
            page.left.append(request.url)  # type: ignore[attr-defined]

    page.on("request", note)
    page.on("pageerror", lambda error: page.errors.append(str(error)))  # type: ignore[attr-defined]
    return page


# ---- servers ---------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A server on this machine; `folder` is what it serves."""

    address: str
    token: str
    folder: Path

    def url(self, path: str) -> str:
        return f"{self.address}{path}?token={self.token}"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def private_jupyter(folder: Path) -> dict[str, str]:
    """An environment in which Jupyter reads and writes nothing of the user's, and asks nothing of the network."""
    settings = folder / "settings"
    for plugin, values in {
        "apputils-extension/notification": {"checkForUpdates": False, "doNotDisturbMode": True, "fetchNews": "false"},
        "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is on the page, also those out of sight
        "docmanager-extension/plugin": {"autosave": False},
    }.items():
        path = settings / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(settings), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces")}
    own |= {"IPYTHONDIR": str(folder / "ipython"), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return {**os.environ, **own, "PYTHONPATH": str(PROJECT)}


def serve(command: list[str], address: str, environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Run a server until the tests are done; fails with what it said where it does not come up."""
    log = folder / "server.log"
    with log.open("w") as said:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=said, stderr=said, start_new_session=True)
    try:
        for _ in range(2 * SECONDS):
            if process.poll() is not None:
                break
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError as error:
                if isinstance(error, urllib.error.HTTPError):
                    break  # it answers, if only with a refusal
                time.sleep(0.5)
        else:
            pytest.fail(f"The server did not answer within {SECONDS} seconds:\n{log.read_text()[-3000:]}")
        if process.poll() is not None:
            pytest.fail(f"The server did not start:\n{log.read_text()[-3000:]}")
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # its kernels too: they are of its process group
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Server]:
    """JupyterLab over an empty folder."""
    folder, private = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("jupyter")
    port, token = free_port(), secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.expose_app_in_browser=True", "--ServerApp.log_level=WARN"]
    address = f"http://127.0.0.1:{port}"
    for _ in serve(command, f"{address}/api", private_jupyter(private), private):
        yield Server(address, token, folder)
