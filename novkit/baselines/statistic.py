"""One number of the picture. A method that does not beat it has learnt nothing."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.metrics import roc_auc_score
from torch import Tensor

from novkit.detector import Detector, Presets
from novkit.errors import DataError, NotFittedError, SettingsError
from novkit.images import check_images, chunks, to_tensor
from novkit.statistics import STATISTICS, compute_statistics


@dataclass(frozen=True, kw_only=True)
class StatisticSettings(Presets):
    """Which statistic, and its sign: +1 where larger is more novel. [O] chosen before any data set was scored.

    Raises SettingsError for a statistic that is not in STATISTICS, and for a sign other than ±1.
    """

    statistic: str = "std"
    sign: int = 1

    def __post_init__(self) -> None:
        if self.statistic not in STATISTICS:
            raise SettingsError(f"There is no statistic {self.statistic!r}: choose one of {', '.join(STATISTICS)}.")
        if self.sign not in (-1, 1):
            raise SettingsError(f"sign is {self.sign}: choose +1 (larger is more novel) or −1.")


class Statistic(Detector):
    """score(x) = ± one statistic of the image; its map is the raw intensity with that sign. Nothing is learnt but the threshold."""

    method: ClassVar[str] = "statistic"
    Settings: ClassVar[Any] = StatisticSettings
    has_map: ClassVar[bool] = True

    def _fit(self, train_images: np.ndarray, val: np.ndarray) -> None:
        self.statistic_, self.sign_ = self.settings_.statistic, self.settings_.sign

    def _components(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {"score": self.sign_ * compute_statistics(images, [self.statistic_])[self.statistic_].to_numpy(np.float64)}

    def _map(self, images: np.ndarray) -> np.ndarray:
        return self.sign_ * np.concatenate([to_tensor(images[part]).mean(dim=1).numpy() for part in chunks(len(images))])

    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {"statistic": self.statistic_, "sign": self.sign_}

    def _restore(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        chosen = StatisticSettings(statistic=str(extra["statistic"]), sign=extra["sign"])
        self.statistic_, self.sign_ = chosen.statistic, chosen.sign


class OracleStatistic(Statistic):
    """The best statistic and sign for *this* test set: an upper bound to beat, never a result. `fit`, then `choose_on_test`."""

    method: ClassVar[str] = "statistic_oracle"

    def choose_on_test(self, X_test: np.ndarray, y_test: np.ndarray) -> Self:
        """Look at the test labels and keep the statistic with the largest max(AUROC, 1 − AUROC), and its sign.

        X_test: (n, channels, height, width), as `fit` takes. y_test: (n,) 0 normal, 1 novel, both among them. Raises NotFittedError
        before `fit`, DataError for images of another shape or range, for labels that do not fit them, and for labels of one class.
        """
        if not hasattr(self, "image_shape_"):
            raise NotFittedError("This OracleStatistic is not fitted yet: call fit(X_normal) first.")
        images, labels = check_images(X_test, shape=self.image_shape_), np.asarray(y_test)
        if labels.shape != (len(images),) or not np.isin(labels, (0, 1)).all():
            raise DataError(f"{len(images)} test images but y_test of shape {labels.shape}: give each a label, 0 (normal) or 1 (novel).")
        if len(np.unique(labels)) < 2:
            raise DataError(f"All test images are {'novel' if labels[0] else 'normal'}: choosing a statistic needs images of both classes.")
        table = compute_statistics(images)
        aurocs = {name: float(roc_auc_score(labels, table[name])) for name in table.columns}
        self.statistic_ = max(aurocs, key=lambda name: abs(aurocs[name] - 0.5))
        self.sign_ = 1 if aurocs[self.statistic_] >= 0.5 else -1
        return self
