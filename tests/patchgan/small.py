"""A tiny Patch-GAN for the tests, and images with something planted in them."""

from dataclasses import replace

import numpy as np
from sklearn.base import clone

from novkit.patchgan import PatchGan, PatchGanSettings
from tests.conftest import blobs

TINY = PatchGanSettings(patch=4, width=4, discriminator_width=4, epochs=2, batch_size=16, boxes=(1, 2), partitions=2, lr=3e-3)


def fitted(settings: PatchGanSettings = TINY, seed: int = 0, *, n: int = 48, channels: int = 1, **arguments) -> PatchGan:
    X, val, threshold = (blobs(count, channels=channels, seed=number) for number, count in enumerate((n, 16, 16)))
    return PatchGan(settings, seed=seed, device="cpu", progress=False, **arguments).fit(X, val, X_threshold=threshold)


def rebuilt(detector: PatchGan, **changes) -> PatchGan:
    """The same weights under other settings of the score."""
    other = clone(detector).set_params(settings=replace(TINY, **changes))
    other.settings_, other.image_shape_ = other.settings, detector.image_shape_
    other._restore(*detector._tensors())
    return other


def planted(n: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal images, the same with a dark square in the disc, and where it is."""
    X = blobs(n, seed=seed)
    changed, place = X.copy(), np.zeros((n, 32, 32), bool)
    for i, (row, column) in enumerate(np.random.default_rng(seed).integers(10, 17, (n, 2))):
        place[i, row : row + 6, column : column + 6] = True
    changed[:, 0][place] = np.clip(changed[:, 0][place].astype(int) - 90, 0, 255)
    return X, changed, place
