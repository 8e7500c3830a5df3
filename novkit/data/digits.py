"""Handwritten digits: real, ten classes, in the package, ready in a second."""

import hashlib

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits as sklearn_digits
from torch.nn.functional import interpolate

from novkit.data.dataset import ImageDataset
from novkit.errors import SettingsError


def load_digits(*, size: int = 32, seed: int = 0) -> ImageDataset:
    """scikit-learn's 1797 digits, classes "0" to "9", as uint8 (1797, 1, size, size).

    size: side in pixels; the originals are 8×8 with 17 grey levels, larger ones are interpolated bilinearly, 8 gives them raw.
    seed: changes nothing, the images are real; it is taken so that every embedded set is called alike.
    The writers are unknown, so each image is its own group. Raises SettingsError for a size outside 8 to 512.
    """
    if not 8 <= size <= 512:
        raise SettingsError(f"size is {size}: digits come in sides from 8 to 512.")
    raw = sklearn_digits()
    grey = torch.from_numpy(raw.images).to(torch.float64)[:, None] * (255 / 16)
    if size != 8:
        grey = interpolate(grey, size=(size, size), mode="bilinear", align_corners=False)
    images = np.rint(grey.numpy()).astype(np.uint8)
    names = [f"digit-{number:04d}" for number in range(len(images))]
    table = pd.DataFrame({"id": names, "label": raw.target.astype(str), "group": names})
    return ImageDataset(
        name="digits",
        images=images,
        table=table,
        normal="0",
        source="Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998, UCI), test part, as scikit-learn carries it.",
        licence="CC BY 4.0",
        fingerprint=hashlib.sha256(images.tobytes()).hexdigest()[:16],
        extra={"groups": "The writers are unknown: every image is its own group."},
    )
