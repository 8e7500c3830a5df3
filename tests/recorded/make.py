"""Short runs of both presets, and what they gave when they were recorded: quick.json and paper.json.

Usage: python -m tests.recorded.make     measures and writes both; to be run, and looked at, when a change of the numbers is meant
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from novkit.data.digits import load_digits
from novkit.evaluation import auroc
from novkit.files import write_json
from novkit.methods import make_detector
from novkit.provenance import provenance
from tests.campaign import today

FOLDER = Path(__file__).resolve().parent
RUNS: dict[str, dict[str, dict[str, Any]]] = {
    "quick": {
        "tend": {"epochs_autoencoder": 1, "epochs": 2, "warmup": 1, "least_steps": 6},
        "patchgan": {"epochs": 2},
        "autoencoder": {"epochs": 2},
        "vae": {"epochs": 2},
        "alocc": {"epochs": 1},
        "deep_svdd": {"epochs": 2, "epochs_autoencoder": 1, "warmup": 0},
        "ocsvm": {"epochs": 1},
        "patch_knn": {"epochs": 1},
        "pixel_zscore": {},
        "statistic": {},
    },
    "paper": {
        "tend": {"epochs_autoencoder": 1, "epochs": 2, "warmup": 1, "precision": "no"},
        "patchgan": {"epochs": 1, "precision": "no", "partitions": 1},
        "autoencoder": {"epochs": 2},
        "vae": {"epochs": 2},
        "alocc": {"epochs": 8},
        "deep_svdd": {"epochs": 2, "epochs_autoencoder": 1, "warmup": 0},
        "ocsvm": {"epochs": 1},
        "patch_knn": {"epochs": 1},
    },
}
"""What of each preset is cut short; everything else is as it is. Two methods without training have but one preset. So short that gradients
that differ by 1e-7 of their size, as on another processor, move no value by more than the test allows: longer, TEND and ALOCC would tell
rounding from rounding. With fewer epochs than these, ALOCC collapses and says so."""

IMAGES = {"quick": (64, 96), "paper": (256, 32)}  # side in pixels, and how many to learn from; at 256 TEND has its published network
_HELD_OUT, _TESTED = 16, 24


def measure(profile: str, method: str) -> dict[str, float]:
    """A few steps on handwritten zeros, scored against ones: losses, threshold and what the scores are like. On a CPU, with one thread."""
    side, n = IMAGES[profile]
    if method != "tend":
        side = 64  # the others' presets do not depend on the side, and seconds do
    data = load_digits(size=64)
    zeros, ones = (data.images[data.labels == digit].repeat(side // 64, axis=2).repeat(side // 64, axis=3) for digit in "01")
    parts = np.split(zeros[: n + 2 * _HELD_OUT + _TESTED], np.cumsum([n, _HELD_OUT, _HELD_OUT]))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):  # NumPy's and scikit-learn's
            detector = make_detector(method, profile, changes=RUNS[profile][method], seed=0, device="cpu", progress=False)
            detector.fit(parts[0], parts[1], X_threshold=parts[2])
            normal, novel = detector.novelty_score(parts[3]), detector.novelty_score(ones[:_TESTED])
    finally:
        torch.set_num_threads(threads)
    score = np.concatenate([normal, novel])
    found = {"auroc": auroc(np.repeat([0, 1], _TESTED), score), "threshold": detector.threshold_}
    found |= {"score of normal images": normal.mean(), "score of novel images": novel.mean(), "spread of scores": score.std()}
    for phase, history in getattr(detector, "history_", {}).items():
        found |= {f"{phase}: {name}": history.epochs[-1][name] for name in history.epochs[-1] if name.endswith("loss")}
    return {name: float(value) for name, value in found.items()}


def main() -> None:
    for profile, methods in RUNS.items():
        values = {method: measure(profile, method) for method in methods}
        where = provenance("cpu")
        write_json(FOLDER / f"{profile}.json", {"date": today(), "device": where["device"], "versions": where["versions"], "runs": values})
        print(f"{profile}: {len(values)} runs recorded")


if __name__ == "__main__":
    main()
