"""One small fitted detector of each trained or fitted baseline, shared by the tests of this folder."""

from collections.abc import Callable

import numpy as np
import pytest

from novkit.detector import REGISTRY, Detector
from tests.conftest import blobs

SMALL = {"width": 4, "latent": 8, "epochs": 6, "batch_size": 16, "lr": 3e-3, "precision": "no", "least_steps": 1}
CHANGES: dict[str, tuple[str, dict]] = {
    "autoencoder": ("autoencoder", {}),
    "vae": ("vae", {}),
    "alocc": ("alocc", {"lr_discriminator": 1e-3, "width_discriminator": 4}),
    "ocsvm on pixels": ("ocsvm", {"features": "pca"}),
    "ocsvm on embeddings": ("ocsvm", {"features": "autoencoder"}),
    "deep_svdd": ("deep_svdd", {"epochs_autoencoder": 3, "warmup": 1}),
    "deep_svdd, soft": ("deep_svdd", {"epochs_autoencoder": 3, "warmup": 1, "objective": "soft-boundary"}),
    "patch_knn": ("patch_knn", {"levels": (2, 1), "bank": 300, "candidates": 1000}),
}


def build(name: str, seed: int = 0, **changes) -> Detector:
    method, own = CHANGES[name]
    kind = REGISTRY[method]
    return kind(kind.Settings(**{**SMALL, **own, **changes}), seed=seed, device="cpu", progress=False)


def fit(name: str, seed: int = 0, **changes) -> Detector:
    return build(name, seed, **changes).fit(blobs(96), blobs(32, seed=1), X_threshold=blobs(32, seed=2))


def beside(n: int, seed: int) -> np.ndarray:
    """A planted anomaly: the disc stands half an image to the side."""
    return np.roll(blobs(n, seed=seed), 16, axis=3)


@pytest.fixture(scope="session")
def fitted() -> Callable[[str], Detector]:
    """name -> the detector fitted on the same images, once a session."""
    known: dict[str, Detector] = {}

    def get(name: str) -> Detector:
        if name not in known:
            known[name] = fit(name)
        return known[name]

    return get
