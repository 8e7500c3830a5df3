"""Fixtures shared by all tests."""

import shutil

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter


@pytest.fixture(autouse=True, scope="session")
def _private_cache(tmp_path_factory):
    """Tests neither read nor fill the user's cache, unless NOVKIT_CACHE names one for them."""
    import os

    if "NOVKIT_CACHE" not in os.environ:
        os.environ["NOVKIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    torch.set_num_threads(1)  # small networks gain nothing from a second thread, and several processes may be testing


def blobs(n: int, *, size: int = 32, channels: int = 1, seed: int = 0) -> np.ndarray:
    """(n, channels, size, size) uint8: smooth noise with a bright disc in the middle, so that place and shape can be learnt."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / (size - 1) - 0.5
    disc = 0.5 / (1 + np.exp((np.hypot(x * 1.3, y) - 0.3) * 40))
    noise = gaussian_filter(rng.standard_normal((n, channels, size, size)), (0, 0, size / 16, size / 16))
    noise /= noise.std()
    return np.rint(255 * np.clip(0.25 + disc + 0.08 * noise, 0, 1)).astype(np.uint8)


@pytest.fixture(scope="session")
def normal_images() -> np.ndarray:
    """(96, 1, 32, 32) uint8."""
    return blobs(96)


@pytest.fixture(scope="module")
def browser():
    """Chromium, which tests that need it never skip: they fail where it is missing.

    One file's tests share it; while Playwright runs, code elsewhere would find an event loop running.
    """
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if found is None:
        pytest.fail("Chromium is missing, and the browser tests are never skipped: install it, on Debian with `apt-get install chromium`.")
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"], timeout=600_000)
        yield launched
        launched.close()


@pytest.fixture
def compiles_here(monkeypatch, tmp_path):
    """torch.compile starts from nothing, starts no processes, and leaves nothing behind."""
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    torch.compiler.reset()
    with config.patch(compile_threads=1):
        yield
    torch.compiler.reset()
