"""How time and memory grow with the number of images, their size and the number of patches; each point in a process of its own.

python -m benchmarks.growth METHOD IMAGES SIZE PATCH      # one point, as JSON
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
import torch

from benchmarks.cases import some_images
from benchmarks.timing import REPEATS
from novkit.detector import Detector
from novkit.experiments.cost import Cost, measured
from novkit.methods import make_detector

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
EPOCH = {
    "tend": {"epochs_autoencoder": 1, "epochs": 2, "warmup": 1},
    "patchgan": {"epochs": 1},
    "pixel_zscore": {},
}
COUNTS = (1_000, 3_000, 10_000, 30_000, 100_000)
BRIEF = 10.0  # seconds from which on a call is measured once
SIDES = (64, 128, 256, 512)
PATCHES = (8, 4, 2)  # side in pixels, of 64×64 images: 64, 256 and 1024 patches


def points(largest: int) -> list[dict[str, int | str]]:
    """What is measured: along images, along size, along patches."""
    small = min(1_000, largest)
    along = [{"axis": "images", "method": m, "images": n, "size": 64, "patch": 4} for m in EPOCH for n in COUNTS if n <= largest]
    along += [{"axis": "side", "method": m, "images": small // 5, "size": side, "patch": side // 16} for m in EPOCH for side in SIDES]
    return along + [{"axis": "patches", "method": "patchgan", "images": small, "size": 64, "patch": p} for p in PATCHES]


def point(method: str, images: int, size: int, patch: int, device: str) -> dict[str, float]:
    """Seconds of one epoch of each stage and of scoring as many images, and the peak memory of both in MiB."""
    changes = dict(EPOCH[method])
    if method == "patchgan":
        changes |= {"patch": patch, "boxes": tuple(max(1, side * 4 // patch) for side in (4, 2, 3)) if size == 64 else (4, 2, 3)}
    X = some_images(images, size)
    before = psutil.Process().memory_info().rss / 2**20

    def fitted() -> Detector:
        return make_detector(method, changes=changes, seed=0, device=device, progress=False).fit(X, X[:32], X_threshold=X[32:64])

    detector, fit, fits = _repeated(fitted, device)
    scores, score, scored = _repeated(lambda: detector.novelty_score(X), device)
    assert np.isfinite(scores).all()
    found = {"fit": fit.seconds, "score": score.seconds, "memory": max(fit.megabytes, score.megabytes), "before": before}
    return found | {"times_fit": fits, "times_scored": scored}


def _repeated(call: Callable[[], T], device: str) -> tuple[T, Cost, int]:
    """What the call gives, its seconds and the peak memory in MiB, and how often it was timed: a brief call REPEATS times, of which the
    median counts, after one that does not."""
    costs: list[Cost] = []
    while len(costs) <= (REPEATS if not costs or costs[0].seconds < BRIEF else 0):
        with measured(device) as cost:
            result = call()
        costs.append(cost)
    timed = [cost.seconds for cost in costs[-REPEATS:]]
    return result, Cost(statistics.median(timed), max(cost.megabytes for cost in costs)), len(timed)


def measure_growth(device: str, largest: int, only: str = "") -> list[dict]:
    """Every point, or those of a method and an axis, each in a new process, so that memory is its own."""
    found = []
    for where in points(largest):
        if only not in f"{where['method']} {where['axis']}":
            continue
        words = [str(where[name]) for name in ("method", "images", "size", "patch")]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.growth", *words, device, str(torch.get_num_threads())],
            capture_output=True, text=True, cwd=ROOT, check=True,
        )  # fmt: skip
        found.append({**where, **json.loads(done.stdout)})
        print(f"{' '.join(words)}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return found


def with_others(found: list[dict], before: list[dict]) -> list[dict]:
    """Points measured now, and those of an earlier run that were not."""

    def place(point: dict) -> tuple:
        return tuple(point[name] for name in ("axis", "method", "images", "size", "patch"))

    again = {place(point) for point in found}
    return [point for point in before if place(point) not in again] + found


if __name__ == "__main__":
    method, images, size, patch, device, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    print(json.dumps(point(method, int(images), int(size), int(patch), device)))
