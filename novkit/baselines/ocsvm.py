"""One-class SVM on a few numbers of each image: principal components of its pixels, or the autoencoder's embedding."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.special import logsumexp
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from torch import Tensor

from novkit.baselines.autoencoder import SCORING_BATCH, AutoencoderSettings, bottleneck_autoencoder, place, train_autoencoder
from novkit.detector import Detector
from novkit.errors import DataError, SettingsError, TrainingError
from novkit.images import batches, collected, retried
from novkit.seeding import seed_for, seeded

FEATURES = ("pca", "autoencoder")


@dataclass(frozen=True, kw_only=True)
class OcsvmSettings(AutoencoderSettings):
    """The autoencoder's settings, used where features are its embeddings, and the SVM's (Schölkopf et al. 2001).

    Raises SettingsError unless 0 < nu ≤ 1, for unknown features, and as AutoencoderSettings.
    """

    features: str = "pca"  # "pca": `latent` principal components of the pixels | "autoencoder": its `latent` embedding
    nu: float = 0.1  # [O] ν: bound on the share of training images outside
    whiten_floor: float = 1e-6  # [O] features whose standard deviation is below this share of the largest are left out

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features not in FEATURES:
            raise SettingsError(f"features is {self.features!r}: choose {' or '.join(FEATURES)}.")
        if not 0 < self.nu <= 1:
            raise SettingsError(f"nu is {self.nu}: choose a share between 0 and 1.")


_ALL_ALIKE = "ocsvm finds the same features in every image it learns from: give images that differ."


class Ocsvm(Detector):
    """score(x) = −log Σ_i α_i exp(−γ ‖f(x) − f_i‖²) over the support vectors f_i, f(x) standardised features, γ = 1/(d·var f) ("scale").

    The SVM's own decision is ρ − Σ_i α_i exp(…), component "decision": the same order of images, but far from all support vectors
    it is ρ for every image, to the last bit, where the logarithm still tells near from far.
    After `fit`: support_vectors_ (m, d), dual_coef_ (m,), offset_ (ρ), gamma_, mean_ and scale_ (d,), and either pca_mean_ and
    pca_components_ or autoencoder_ and history_ ({"autoencoder": History}).
    """

    method: ClassVar[str] = "ocsvm"
    Settings: ClassVar[Any] = OcsvmSettings

    def _fit(self, train_images: np.ndarray, val: np.ndarray) -> None:
        s: OcsvmSettings = self.settings_
        if s.features == "pca":
            self._fit_pca(train_images)
        else:
            shape = train_images.shape[1:]
            self.autoencoder_ = seeded(self.seed, "autoencoder", lambda: bottleneck_autoencoder(shape, s.width, s.latent))
            self.history_ = {"autoencoder": train_autoencoder(self, self.autoencoder_, train_images, val)}
        features = retried(lambda: self._raw_features(train_images))
        spread = features.std(axis=0)
        self.kept_ = np.flatnonzero(spread > s.whiten_floor * spread.max())
        if len(self.kept_) == 0:
            raise TrainingError(_ALL_ALIKE)
        scaler = StandardScaler().fit(features[:, self.kept_])
        self.mean_, self.scale_ = scaler.mean_, scaler.scale_
        svm = OneClassSVM(kernel="rbf", nu=s.nu, gamma="scale").fit(scaler.transform(features[:, self.kept_]))
        self.support_vectors_, self.dual_coef_ = svm.support_vectors_, svm.dual_coef_[0]
        self.offset_, self.gamma_ = float(-svm.intercept_[0]), float(svm._gamma)

    def _fit_pca(self, images: np.ndarray) -> None:
        pixels = np.concatenate([x.flatten(1).numpy() for x in batches(images, SCORING_BATCH)])
        components = min(self.settings_.latent, len(pixels) - 1, pixels.shape[1])  # no more directions than images
        if components < 1:
            raise DataError("ocsvm got one image to learn from: its principal components need at least two.")
        if (pixels == pixels[0]).all():
            raise TrainingError(_ALL_ALIKE)
        pca = PCA(components, svd_solver="randomized", random_state=seed_for(self.seed, "pca") % 2**32).fit(pixels)
        self.pca_mean_, self.pca_components_ = pca.mean_, pca.components_

    @torch.inference_mode()
    def _raw_features(self, images: np.ndarray) -> np.ndarray:
        """(n, latent) float64."""
        if self.settings_.features == "pca":
            parts = [(x.flatten(1).numpy() - self.pca_mean_) @ self.pca_components_.T for x in batches(images, SCORING_BATCH)]
        else:
            device = place(self.autoencoder_, self.device)
            return collected([self.autoencoder_.encode(x).float() for x in batches(images, SCORING_BATCH, device)]).numpy()
        return np.concatenate(parts).astype(np.float64)

    def features(self, X: np.ndarray) -> np.ndarray:
        """(n, d) float64: f(x), what the SVM sees."""
        return self._features(self._checked(X))

    def _features(self, images: np.ndarray) -> np.ndarray:
        return (self._raw_features(images)[:, self.kept_] - self.mean_) / self.scale_

    def _components(self, images: np.ndarray) -> dict[str, np.ndarray]:
        kernel_sum = []
        features = self._features(images)
        for start in range(0, len(features), SCORING_BATCH):
            squared = euclidean_distances(features[start : start + SCORING_BATCH], self.support_vectors_, squared=True)
            kernel_sum.append(logsumexp(-self.gamma_ * squared, b=self.dual_coef_, axis=1))
        log_sum = np.concatenate(kernel_sum)
        return {"score": -log_sum, "decision": self.offset_ - np.exp(log_sum)}

    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        names = ["support_vectors_", "dual_coef_", "mean_", "scale_", "kept_"]
        tensors: dict[str, Tensor] = {}
        if self.settings_.features == "pca":
            names += ["pca_mean_", "pca_components_"]
        else:
            tensors = {f"autoencoder.{name}": value for name, value in self.autoencoder_.state_dict().items()}
        tensors |= {name: torch.from_numpy(np.ascontiguousarray(getattr(self, name))) for name in names}
        return tensors, {"offset": self.offset_, "gamma": self.gamma_}

    def _restore(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        s: OcsvmSettings = self.settings_
        network = {name.removeprefix("autoencoder."): value for name, value in tensors.items() if name.startswith("autoencoder.")}
        if s.features == "autoencoder":
            self.autoencoder_ = bottleneck_autoencoder(self.image_shape_, s.width, s.latent)
            self.autoencoder_.load_state_dict(network)
        for name, value in tensors.items():
            if not name.startswith("autoencoder."):
                setattr(self, name, value.numpy())
        self.offset_, self.gamma_ = float(extra["offset"]), float(extra["gamma"])
