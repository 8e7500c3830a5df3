"""Humble statistics of an image: what a detector must beat, and what the synthetic data are calibrated against."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from novkit.errors import SettingsError
from novkit.images import check_images, chunks

_CHUNK = 256  # images read at once: memory maps are never read whole


def _mean(grey: np.ndarray) -> np.ndarray:
    """Mean brightness."""
    return grey.mean(axis=(1, 2))


def _std(grey: np.ndarray) -> np.ndarray:
    """Standard deviation of the pixels."""
    return grey.std(axis=(1, 2))


def _minimum(grey: np.ndarray) -> np.ndarray:
    """Darkest pixel."""
    return grey.min(axis=(1, 2))


def _maximum(grey: np.ndarray) -> np.ndarray:
    """Brightest pixel."""
    return grey.max(axis=(1, 2))


def _percentile(share: float) -> Callable[[np.ndarray], np.ndarray]:
    def percentile(grey: np.ndarray) -> np.ndarray:
        return np.percentile(grey.reshape(len(grey), -1), share, axis=1)

    percentile.__doc__ = f"The brightness below which {share} % of the pixels lie."
    return percentile


def _centre_brightness(grey: np.ndarray) -> np.ndarray:
    """Mean brightness of the middle half of the rows and columns."""
    height, width = grey.shape[1:]
    return grey[:, height // 4 : height - height // 4, width // 4 : width - width // 4].mean(axis=(1, 2))


def _asymmetry(grey: np.ndarray) -> np.ndarray:
    """Mean absolute difference between the image and its mirror image, left for right."""
    return np.abs(grey - grey[:, :, ::-1]).mean(axis=(1, 2))


def _high_frequency_energy(grey: np.ndarray) -> np.ndarray:
    """Mean square of the five-point Laplacian over the inner pixels; 0 where there are none."""
    if min(grey.shape[1:]) < 3:
        return np.zeros(len(grey))
    inner = grey[:, 1:-1, 1:-1]
    laplacian = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * inner
    return (laplacian**2).mean(axis=(1, 2))


STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": _mean,
    "std": _std,
    "minimum": _minimum,
    "maximum": _maximum,
    "percentile_1": _percentile(1),
    "percentile_25": _percentile(25),
    "percentile_50": _percentile(50),
    "percentile_75": _percentile(75),
    "percentile_99": _percentile(99),
    "centre_brightness": _centre_brightness,
    "asymmetry": _asymmetry,
    "high_frequency_energy": _high_frequency_energy,
}
"""Each takes grey images (n, height, width), float64 in [0, 1], and gives (n,) float64."""


def compute_statistics(images: np.ndarray, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Statistics of every image, one column each, float64.

    images: (n, channels, height, width), uint8, uint16 or float32 in [0, 1]; may be a memory map, it is read in parts. Colour is
    averaged over the channels first. names: which of STATISTICS; None takes all.
    Raises SettingsError for a name there is not, DataError for images that are none.
    """
    chosen = list(STATISTICS) if names is None else list(names)
    for name in chosen:
        if name not in STATISTICS:
            raise SettingsError(f"There is no statistic {name!r}: choose from {', '.join(STATISTICS)}.")
    images = check_images(images, what="images")
    scale = {"uint8": 255.0, "uint16": 65535.0}.get(images.dtype.name, 1.0)
    table = {name: np.empty(len(images)) for name in chosen}
    for part in chunks(len(images), _CHUNK):
        grey = np.asarray(images[part], dtype=np.float64).mean(axis=1) / scale
        for name in chosen:
            table[name][part] = STATISTICS[name](grey)
    return pd.DataFrame(table)
