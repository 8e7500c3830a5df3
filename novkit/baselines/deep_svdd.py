"""Deep SVDD: an encoder pulls normal images into a small sphere; novel is what lands far from its centre."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from novkit.baselines.autoencoder import (
    SCORING_BATCH,
    AutoencoderSettings,
    bottleneck_autoencoder,
    place,
    run_training,
    train_autoencoder,
)
from novkit.detector import Detector
from novkit.devices import adam
from novkit.errors import SettingsError, TrainingError
from novkit.images import batches
from novkit.seeding import seeded
from novkit.tend.losses import centre_of, squared_distance
from novkit.tend.networks import Autoencoder
from novkit.training import Objective, Step

OBJECTIVES = ("one-class", "soft-boundary")


@dataclass(frozen=True, kw_only=True)
class DeepSvddSettings(AutoencoderSettings):
    """The autoencoder's settings, and the sphere's (Ruff et al. 2018). The epochs are shared between the two stages [O].

    Raises SettingsError unless 0 < epochs_autoencoder < epochs, 0 ≤ warmup < the rest of them and 0 < nu < 1, for an unknown objective, and
    as AutoencoderSettings.
    """

    objective: str = "one-class"  # [P] "one-class" | "soft-boundary"
    epochs_autoencoder: int = 25  # [O] of `epochs`, spent on pretraining; the sphere gets the rest
    nu: float = 0.1  # [P] ν: share of training images that may lie outside the soft boundary
    warmup: int = 5  # [O] soft-boundary: epochs of the sphere's stage before its radius is set
    centre_least: float = 0.1  # [C] every |c_i| below it is moved to it

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective not in OBJECTIVES:
            raise SettingsError(f"objective is {self.objective!r}: choose {' or '.join(OBJECTIVES)}.")
        if not 0 < self.epochs_autoencoder < self.epochs:
            raise SettingsError(f"epochs_autoencoder is {self.epochs_autoencoder} of {self.epochs} epochs: leave some to both stages.")
        if not 0 <= self.warmup < self.epochs - self.epochs_autoencoder:
            raise SettingsError(f"warmup is {self.warmup} of {self.epochs - self.epochs_autoencoder} epochs: choose fewer.")
        if not 0 < self.nu < 1:
            raise SettingsError(f"nu is {self.nu}: choose a share between 0 and 1.")

    @classmethod
    def quick(cls, **changes: Any) -> Self:
        """As many epochs as the autoencoder's quick preset, half for each stage [O]."""
        return super().quick(**{"epochs_autoencoder": 10, "warmup": 2, **changes})


class SphereNetwork(nn.Module):
    """φ without bias terms [P]: with them it could map everything to c. Buffers: centre c (latent,), radius R (0-dimensional)."""

    centre: Tensor
    radius: Tensor

    def __init__(self, encoder: nn.Module, latent: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("centre", torch.zeros(latent))
        self.register_buffer("radius", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """‖φ(x) − c‖²: (n, channels, height, width) -> (n,)."""
        return squared_distance(self.encoder(x).float(), self.centre)


def biasless_autoencoder(shape: tuple[int, int, int], width: int, latent: int) -> Autoencoder:
    """The autoencoder baseline's network, its encoder without biases."""
    autoencoder = bottleneck_autoencoder(shape, width, latent)
    for layer in autoencoder.encoder.modules():
        if getattr(layer, "bias", None) is not None:
            layer.register_parameter("bias", None)
    return autoencoder


class SphereLearning(Objective):
    """one-class: mean d; soft-boundary: R² + (1/ν) mean max(0, d − R²), d = ‖φ(x) − c‖²; weight decay by the optimiser [P]."""

    def __init__(self, network: SphereNetwork, settings: DeepSvddSettings) -> None:
        self.network = network
        self.modules = nn.ModuleDict({"network": network})
        self.settings = settings

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"adam": adam(self.modules.parameters(), lr=self.settings.lr, weight_decay=self.settings.weight_decay)}

    @property
    def _soft(self) -> bool:
        return self.settings.objective == "soft-boundary"

    def phase(self, epoch: int) -> str:
        """The warm-up, while the boundary is soft and its radius not yet set, else the sphere."""
        return "warm-up" if self._soft and epoch < self.settings.warmup else "sphere"

    def begin_epoch(self, epoch: int, images: np.ndarray, step: Step) -> None:
        """Before the first epoch, c = mean embedding of the training images, kept from zero; R as the objective needs it.

        R solves the soft-boundary problem for the present φ: d above R² in a share ν of the training images [P: by line search].
        """
        network = self.network
        if epoch == 0:
            embeddings = torch.cat([network.encoder(x).float() for x in batches(images, SCORING_BATCH, step.device)])
            network.centre.copy_(centre_of(embeddings, self.settings.centre_least))
        if self._soft and epoch >= self.settings.warmup:
            distances = torch.cat([network(x).cpu() for x in batches(images, SCORING_BATCH, step.device)]).double().numpy()
            network.radius.fill_(float(np.sqrt(np.quantile(distances, 1 - self.settings.nu))))

    def objective(self, distances: Tensor) -> Tensor:
        """What is lowered: d (n,) -> the mean of d, or R² + (1/ν) mean max(0, d − R²) where the boundary is soft; 0-dimensional."""
        if not self._soft:
            return distances.mean()
        squared = self.network.radius.square()
        return squared + (distances - squared).clamp(min=0).mean() / self.settings.nu

    def loss(self, optimizer: str, images: Tensor, step: Step) -> dict[str, Tensor]:
        distances = self.network(images)
        return {"loss": self.objective(distances), "distance": distances.mean()}

    def validate(self, images: np.ndarray, step: Step) -> dict[str, float]:
        distances = torch.cat([self.network(x) for x in batches(images, SCORING_BATCH, step.device)])
        return {
            "loss": float(self.objective(distances)),
            "distance": float(distances.mean()),
            "radius": float(self.network.radius),
        }


class DeepSvdd(Detector):
    """score(x) = ‖φ(x) − c‖², less R² where the boundary is soft (Ruff et al. 2018).

    After `fit`: network_ (SphereNetwork), history_ ({"autoencoder": History, "sphere": History}).
    components: "score" and "distance" = ‖φ(x) − c‖², (n,) each. `fit` raises TrainingError where all embeddings have fallen together.
    """

    method: ClassVar[str] = "deep_svdd"
    Settings: ClassVar[Any] = DeepSvddSettings

    def _fit(self, train_images: np.ndarray, val: np.ndarray) -> None:
        s: DeepSvddSettings = self.settings_
        shape = train_images.shape[1:]
        autoencoder = seeded(self.seed, "deep svdd", lambda: biasless_autoencoder(shape, s.width, s.latent))
        pretraining = train_autoencoder(self, autoencoder, train_images, val, s.epochs_autoencoder)
        self.network_ = SphereNetwork(autoencoder.encoder, s.latent)
        sphere = run_training(self, "sphere", SphereLearning(self.network_, s), train_images, val, s.epochs - s.epochs_autoencoder)
        self.history_ = {"autoencoder": pretraining, "sphere": sphere}
        self._refuse_collapse(val)

    def _refuse_collapse(self, val: np.ndarray) -> None:
        """An encoder that maps every image to one point: its embeddings do not spread, compared with how far they are from zero."""
        if len(val) < 2:
            return
        z = self._embed(val).astype(np.float64)
        spread = z.var(axis=0).sum()
        if not spread > 1e-8 * max(float(self.network_.centre.square().sum()), float((z**2).sum(axis=1).mean())):
            raise TrainingError("deep_svdd has collapsed, every image has the same embedding: lower weight_decay or lr, or train shorter.")

    @torch.inference_mode()
    def _embed(self, images: np.ndarray) -> np.ndarray:
        device = place(self.network_, self.device)
        return torch.cat([self.network_.encoder(x).float() for x in batches(images, SCORING_BATCH, device)]).cpu().numpy()

    def embed(self, X: np.ndarray) -> np.ndarray:
        """(n, latent) float32: φ(x)."""
        return self._embed(self._checked(X))

    def _components(self, images: np.ndarray) -> dict[str, np.ndarray]:
        # in float64: near the centre a float32 difference would tie images
        distance = ((self._embed(images).astype(np.float64) - self.network_.centre.cpu().double().numpy()) ** 2).sum(axis=1)
        soft = self.settings_.objective == "soft-boundary"
        return {"score": distance - float(self.network_.radius) ** 2 if soft else distance, "distance": distance}

    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return dict(self.network_.state_dict()), {}

    def _restore(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        s: DeepSvddSettings = self.settings_
        self.network_ = SphereNetwork(biasless_autoencoder(self.image_shape_, s.width, s.latent).encoder, s.latent)
        self.network_.load_state_dict(tensors)
