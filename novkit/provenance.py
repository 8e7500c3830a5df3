"""Where a run is measured: device, versions, commit. No host or user names."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from novkit.detector import pick_device

_PACKAGES = ("novkit", "numpy", "scipy", "scikit-learn", "torch", "torchvision", "accelerate")


def provenance(device: str = "auto") -> dict[str, Any]:
    """Where a run is measured: {"device", "machine", "versions", "commit"}, ready for a Record."""
    kind = pick_device(device)
    name = torch.cuda.get_device_name(kind) if kind.type == "cuda" else {"mps": "Apple GPU"}.get(kind.type, _processor())
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    if kind.type == "cuda":
        versions |= {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
    return {
        "device": name,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores",
        "versions": versions,
        "commit": _commit(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"CPU ({(names or [platform.processor() or platform.machine()])[0]})"


def _commit() -> str:
    """The commit of the checkout novkit is imported from, "-modified" where tracked files differ; "unknown" outside a checkout."""
    root = Path(__file__).resolve().parent.parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return "unknown"  # installed into an environment that lies in somebody's checkout
        return git("rev-parse", "HEAD") + ("-modified" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
