"""How unusual is each pixel at its place? Mean and spread of every pixel over the normal images."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from novkit.detector import Detector, Presets
from novkit.errors import DataError, SettingsError
from novkit.images import batches

_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class PixelZScoreSettings(Presets):
    """σ ← √(σ² + σ₀²), σ₀ = `floor` × the median σ [O]: background that never varies must not weigh without bound.

    Raises SettingsError unless floor > 0.
    """

    floor: float = 0.5

    def __post_init__(self) -> None:
        if self.floor <= 0:
            raise SettingsError(f"floor is {self.floor}: it must be positive.")


class PixelZScore(Detector):
    """map = |x − μ| / σ averaged over channels; score = its mean. After `fit`: mean_, deviation_ (channels, height, width).

    `fit` raises DataError where all images are the same.
    """

    method: ClassVar[str] = "pixel_zscore"
    Settings: ClassVar[Any] = PixelZScoreSettings
    has_map: ClassVar[bool] = True

    def _fit(self, train_images: np.ndarray, val: np.ndarray) -> None:
        total = torch.zeros(train_images.shape[1:], dtype=torch.float64)
        squares = torch.zeros_like(total)
        for x in batches(train_images, _BATCH):
            total += x.double().sum(dim=0)
            squares += x.double().square().sum(dim=0)
        self.mean_ = total / len(train_images)
        variance = (squares / len(train_images) - self.mean_.square()).clamp(min=0)
        varying = variance[variance > 1e-12].sqrt()
        if len(varying) == 0:
            raise DataError("All training images are the same picture: give images that differ.")
        self.deviation_ = (variance + (self.settings_.floor * varying.median()).square()).sqrt()

    def _map(self, images: np.ndarray) -> np.ndarray:
        return torch.cat([self._deviations(x).mean(dim=1).float() for x in batches(images, _BATCH)]).numpy()

    def _components(self, images: np.ndarray) -> dict[str, np.ndarray]:
        score = np.empty(len(images))  # before the batches: small results between their large arrays would keep memory in pieces
        first = 0
        for x in batches(images, _BATCH):
            score[first : first + len(x)] = self._deviations(x).flatten(1).mean(dim=1).numpy()
            first += len(x)
        return {"score": score}

    def _deviations(self, x: Tensor) -> Tensor:
        """|x − μ| / σ, float64."""
        return ((x.double() - self.mean_) / self.deviation_).abs()

    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {"mean": self.mean_, "deviation": self.deviation_}, {}

    def _restore(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        self.mean_, self.deviation_ = tensors["mean"], tensors["deviation"]
