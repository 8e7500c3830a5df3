"""What is installed, on which machine, and which data are ready: text to paste into a question."""

import platform
import shutil
from importlib import metadata
from pathlib import Path

from novkit.cores import available_cores

PACKAGES = (
    ("torch", "torchvision", "accelerate", "scikit-learn", "numpy", "scipy", "pandas", "nilearn", "nibabel", "pydicom", "pillow"),
    ("plotly", "jupyterlab", "ipywidgets", "anywidget", "nbval", "jupytext", "nbgrader", "voila", "kaleido"),
)
REQUIRED = {"torch", "torchvision", "accelerate", "scikit-learn", "numpy", "scipy", "pandas", "nilearn", "plotly"}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def report() -> tuple[str, bool]:
    """The report, and whether novkit can run here. Holds no user name, host name or path of the user."""
    import psutil

    lines = [
        f"novkit {_version('novkit') or 'not installed'}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    ]
    memory = psutil.virtual_memory()
    free = shutil.disk_usage(Path.cwd()).free
    lines.append(f"{available_cores()} CPU cores, {memory.total / 2**30:.0f} GiB memory, {free / 2**30:.0f} GiB free disk here")
    problems = []
    lines += ["", "packages"]
    for package in (p for row in PACKAGES for p in row):
        version = _version(package)
        lines.append(f"  {package:<13} {version or '—'}")
        if version is None and package in REQUIRED:
            problems.append(f"{package} is missing: run `make install`, or pip install novkit's dependencies again.")
    lines += ["", "device"]
    try:
        import torch
        import torchvision  # noqa: F401  torch and torchvision must fit each other

        from novkit.devices import pick_device

        device = pick_device()
        name = torch.cuda.get_device_name(0) if device.type == "cuda" else device.type.upper()
        lines.append(f"  {name}; torch {torch.__version__} with {torch.get_num_threads()} threads")
    except Exception as error:
        lines.append("  torch or torchvision cannot be imported")
        problems.append(
            f"torch does not load ({type(error).__name__}: {error}): torch and torchvision must fit each other, install both again."
        )
    lines += ["", "data", *_data_lines()]
    lines += ["", *(problems or ["Everything novkit needs is here."])]
    return "\n".join(lines), not problems


def _data_lines() -> list[str]:
    try:
        from novkit.data import NAMES
        from novkit.data.cache import cache_folder

        folder = cache_folder()
        entries = [entry for entry in folder.iterdir() if (entry / "dataset.json").exists()] if folder.is_dir() else []
    except Exception as error:
        return [f"  the data sets cannot be listed ({type(error).__name__}: {error})"]
    lines = []
    for name in NAMES:
        stored = sum(entry.name.startswith(f"{name}-") for entry in entries)
        lines.append(f"  {name:<7} always there{f'; {stored} version(s) in the cache' if stored else ''}")
    others = {entry.name.rsplit("-", 1)[0] for entry in entries} - set(NAMES)
    return [*lines, *(f"  {name:<7} prepared, in the cache" for name in sorted(others))]
