"""Running a piece of code in a process of its own that may be killed or starved, again and again, without importing torch each time.

A server process imports everything once, computes on one thread, and forks a child for each request. POSIX only.
"""

import atexit
import importlib
import json
import os
import pwd
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parent.parent
LONGEST = 300.0  # seconds after which a child counts as hanging


@dataclass(frozen=True)
class Ended:
    """How a child ended. code: of its exit; minus the signal where one killed it. events: file operations it began.

    hung: it did not end by itself, though nothing was to kill it by then. workers: processes that it had spawned when the signal was sent.
    """

    code: int
    hung: bool
    seconds: float
    events: int
    out: str
    err: str
    workers: list[int]

    @property
    def killed(self) -> bool:
        """As was asked for; one that hung is killed too, but only to be rid of it."""
        return self.code == -signal.SIGKILL and not self.hung

    @property
    def last(self) -> str:
        """The last line on stderr that is no progress bar."""
        lines = [line for line in self.err.replace("\r", "\n").splitlines() if line.strip() and "%|" not in line]
        return lines[-1] if lines else ""


def run(
    task: str,
    *,
    kill_after: float | None = None,
    kill_at: int | None = None,
    file_limit: int | None = None,
    user: str | None = None,
    variables: dict[str, str] | None = None,
    signal_when: Path | None = None,
    number: int = signal.SIGKILL,
    to_a_worker: bool = False,
    longest: float = LONGEST,
    **arguments: Any,
) -> Ended:
    """Call `task`, "module:function", with JSON-able keyword arguments in a child of the server.

    kill_after: seconds after which SIGKILL comes. kill_at: SIGKILL comes as the child begins its file operation of this number, from 0.
    file_limit: bytes that a file may have, as a full disk would. user: whose rights the child has. variables: of its environment.
    signal_when: signal `number` is sent, to the child or `to_a_worker` of it, as soon as this path exists.
    longest: seconds after which a child that nothing has killed hangs.
    """
    request = {"task": task, "arguments": {name: str(v) if isinstance(v, Path) else v for name, v in arguments.items()}, "kill_at": kill_at}
    request |= {"kill_after": kill_after, "file_limit": file_limit, "user": user, "variables": dict(os.environ) | (variables or {})}
    request |= {"signal_when": None if signal_when is None else str(signal_when), "signal": int(number), "to_a_worker": to_a_worker}
    request |= {"longest": longest}
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    answer = server.stdout.readline()
    assert answer, "the server has ended"
    return Ended(**json.loads(answer))


@cache
def _server() -> subprocess.Popen:
    variables = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "tests.forking"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": PROJECT}
    server = subprocess.Popen(command, env=os.environ | variables, **pipes)
    atexit.register(server.kill)
    return server


# ---- in the server ---------------------------------------------------------------------------------------------------------


def _serve() -> None:
    import torch

    import novkit.experiments
    import novkit.report  # noqa: F401

    torch.set_num_threads(1)
    for line in sys.stdin:
        request = json.loads(line)
        module, name = request["task"].split(":")
        function = getattr(importlib.import_module(module), name)
        print(json.dumps(_forked(function, request)), flush=True)


def _forked(function: Any, request: dict[str, Any]) -> dict[str, Any]:
    counter, name = tempfile.mkstemp()
    os.unlink(name)
    pipes = [os.pipe() for _ in range(3)]  # what it says, and which modules it has: pipes have no limit of size
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_the_child(function, request, [write for _, write in pipes], counter)
    with suppress(OSError):
        os.setpgid(child, child)  # the child does so too; whoever comes first
    for _, write in pipes:
        os.close(write)
    texts = ["", "", ""]
    readers = [threading.Thread(target=_read, args=(read, texts, number), daemon=True) for number, (read, _) in enumerate(pipes)]
    for reader in readers:
        reader.start()
    workers: list[int] = []
    limit = request["longest"] if request["kill_after"] is None else request["kill_after"]
    status = _wait(child, began + limit, request, workers)
    hung = status is None and request["kill_after"] is None
    if status is None:
        os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - began
    for reader in readers:
        reader.join(60)  # a worker that outlives the child would hold the pipe
    events = int(os.pread(counter, 20, 0) or b"0")
    os.close(counter)
    out, err, modules = texts
    for module in modules.split():  # the next child finds them imported
        if module not in sys.modules:
            with suppress(Exception):
                importlib.import_module(module)
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "hung": hung, "seconds": seconds, "events": events, "out": out, "err": err, "workers": workers}


def _read(pipe: int, texts: list[str], number: int) -> None:
    with os.fdopen(pipe, encoding="utf-8", errors="replace", newline="") as stream:
        texts[number] = stream.read()


def _wait(child: int, until: float, request: dict[str, Any], workers: list[int]) -> int | None:
    """The child's status; None where it still runs at `until`. On the way the signal is sent, when its moment has come."""
    when = request["signal_when"]
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        if when is not None and os.path.exists(when):
            when = None
            workers += [process.pid for process in psutil.Process(child).children() if "spawn_main" in " ".join(process.cmdline())]
            os.kill(workers[0] if request["to_a_worker"] else child, request["signal"])
        time.sleep(max(0.0, min(0.002, until - time.monotonic())))
    return None


def _be_the_child(function: Any, request: dict[str, Any], pipes: list[int], counter: int) -> None:
    """Call the function and end; whatever happens, the child must not become a second server."""
    code = 1
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        for number, pipe in enumerate(pipes[:2], 1):
            os.dup2(pipe, number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", buffering=1) for number in (1, 2))
        os.environ.clear()
        os.environ.update(request["variables"])
        if request["user"] is not None:
            identity = pwd.getpwnam(request["user"])
            os.setgroups([])
            os.setgid(identity.pw_gid)
            os.setuid(identity.pw_uid)
        if request["file_limit"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_limit"],) * 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
        _count_file_events(counter, request["kill_at"])
        function(**request["arguments"])
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            os.write(pipes[2], " ".join(sorted(sys.modules)).encode())
        os._exit(code)


def start_slow_worker(*arguments: Any) -> None:
    """Start a worker of `novkit reproduce` as novkit does. It writes a checkpoint an epoch, as if epochs took long, waits after the fifth
    for the first result of another worker, and then says with a file `amidst` that it is amidst its training."""
    from novkit.checkpoints import CheckpointFolder
    from novkit.experiments import running
    from novkit.training import LoopSettings

    plain = CheckpointFolder.write

    def write(self: Any, checkpoint: Any) -> None:
        plain(self, checkpoint)
        until = time.monotonic() + 120
        while checkpoint.epoch == 4 and not Path("out/results.json").exists() and time.monotonic() < until:
            time.sleep(0.01)
        if checkpoint.epoch == 4:
            Path("amidst").touch()
        time.sleep(0.1)

    CheckpointFolder.write = write  # type: ignore[method-assign]
    LoopSettings.__init__.__kwdefaults__["checkpoint_seconds"] = 0.0  # type: ignore[index]
    running._start_worker(*arguments)


_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.truncate", "os.link", "os.symlink", "shutil.rmtree"}


def _count_file_events(counter: int, kill_at: int | None) -> None:
    """Count what changes the file system, as Python announces it before it is done; end the process before number `kill_at`."""
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in _CHANGES or writes:
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1
            os.pwrite(counter, str(seen).encode(), 0)

    sys.addaudithook(hook)


if __name__ == "__main__":
    _serve()
