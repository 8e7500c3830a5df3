"""A small results folder, snapshots and a data set for the explorers' tests."""

import numpy as np
import pandas as pd

from novkit.data.dataset import ImageDataset
from novkit.data.setups import one_vs_rest
from novkit.evaluation import Scores
from novkit.records import Record
from novkit.results import add_record
from novkit.widgets.snapshots import Snapshots
from novkit.widgets.stored import Run
from tests.conftest import blobs

BASE = {
    "method": "tend", "dataset": "blobs", "setup": "one_vs_rest", "normal": ("round",), "novel": ("square",), "seed": 0, "profile": "quick",
    "auroc": 0.75, "auroc_low": 0.5, "auroc_high": 0.875, "average_precision": 0.5, "fpr95": 0.5, "n_train": 10, "n_test": 1,
    "seconds_fit": 1.0, "seconds_score": 1.0, "peak_memory_mb": 1.0, "data_fingerprint": "abc", "synthetic": True, "device": "CPU",
    "settings": {"score_weight": 0.25},
}  # fmt: skip


def record(**changes) -> Record:
    return Record(**(BASE | changes))


def scores(n: int = 120, seed: int = 0, *, classes: int = 1, tend: bool = True, ties: bool = False) -> Scores:
    """Half normal, half novel in `classes` classes; λ = 0.25 where the terms of TEND are there; ties: few different values."""
    draw = np.random.default_rng(seed)
    y = np.arange(n) % 2
    names = np.array([f"novel{k}" for k in range(classes)] if classes > 1 else ["square"])
    condition = np.where(y == 1, names[np.arange(n) // 2 % classes], "round")
    p, d = draw.random(n) * 0.6 + 0.3 * y, draw.gamma(2.0, size=n) + y
    if ties:
        p, d = np.round(p * 4) / 4, np.round(d)
    components = {"probability": p, "distance": d, "distance_scaled": d / 4} if tend else {}
    score = 0.75 * p + 0.25 * d / 4 if tend else d - 1
    ids = np.array([f"image-{i:04d}" for i in range(n)])
    return Scores(ids, np.array([f"group-{i // 4}" for i in range(n)]), y, condition, score, components)


def run(method: str = "tend", **options) -> Run:
    given = scores(tend=method == "tend", **options)
    return Run(record(method=method, n_test=len(given)), given)


def results_folder(folder, n: int = 120):
    """Two methods, two seeds on one case; one method on another data set. Examples are stored with TEND's first seed."""
    for seed in (0, 1):
        for method in ("tend", "autoencoder"):
            given = scores(n, seed, tend=method == "tend")
            add_record(folder, record(method=method, seed=seed, n_test=n), given, examples=panel(given) if seed == 0 else None)
    many = scores(n, 3, classes=9, tend=False)
    kinds = tuple(f"novel{k}" for k in range(9))
    add_record(folder, record(method="statistic", dataset="others", setup="generated_ood", novel=kinds, n_test=n), many)
    return folder


def panel(given: Scores) -> dict[str, np.ndarray]:
    """The first two images of each class, as a results folder stores them."""
    rows = np.concatenate([np.flatnonzero(given.condition == name)[:2] for name in ("round", "square")])
    images = blobs(4, seed=5)
    masks = np.zeros((4, 32, 32), bool)
    masks[2:, 8:16, 8:16] = True
    own = {"labels": given.condition[rows], "scores": given.score[rows]}
    return {"images": images, "maps": images[:, 0].astype(np.float16), "masks": masks, **own}


def dataset(n: int = 80) -> ImageDataset:
    """Groups of two images, the second half of them novel."""
    label = np.where(np.arange(n) < n // 2, "round", "square")
    table = pd.DataFrame({"id": [f"b{i}" for i in range(n)], "label": label, "group": [f"g{i // 2}" for i in range(n)]})
    return ImageDataset("blobs", blobs(n), table, masks=np.zeros((n, 32, 32), bool), normal="round", synthetic=True, fingerprint="print")


def run_on(data: ImageDataset, folder, method: str = "pixel_zscore") -> Run:
    """A record whose test images are those of the data set's set-up."""
    setup = one_vs_rest(data, "round", seed=0)
    table = setup.test_table
    score = np.random.default_rng(0).normal(size=len(table))
    given = Scores(table["id"].to_numpy(), table["group"].to_numpy(), setup.y_test, table["label"].to_numpy(), score)
    stored = add_record(folder, record(method=method, data_fingerprint=data.fingerprint, n_test=len(table)), given)
    return Run(stored, given)


def snapshots(dimensions: int = 5, n: int = 12, epochs: int = 4) -> Snapshots:
    draw = np.random.default_rng(0)
    group = np.array(["ID", "transformed", "novel"])[np.arange(n) % 3]
    away = np.where(group == "ID", 1.0, 3.0)[:, None] * np.linspace(0.5, 2, epochs)[:, None, None]
    embeddings = draw.normal(size=(epochs, n, dimensions)) * away
    label = np.where(group == "novel", "square", np.where(group == "ID", "normal", "transformed"))
    return Snapshots.of(np.arange(epochs), embeddings, np.full(dimensions, 0.1), 9.0, group, label, blobs(n))
