"""Variational autoencoder: how many nats it takes to describe an image, given what normal images look like."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from novkit.baselines.autoencoder import SCORING_BATCH, AutoencoderDetector, AutoencoderSettings, place, run_training
from novkit.devices import adam
from novkit.errors import SettingsError
from novkit.images import batches, collected, send
from novkit.seeding import drawn, seeded, torch_generator
from novkit.tend.networks import convolutional_autoencoder
from novkit.training import Objective, Step


@dataclass(frozen=True, kw_only=True)
class VaeSettings(AutoencoderSettings):
    """The autoencoder's settings, and what makes it variational (Kingma & Welling 2014; β: Higgins et al. 2017).

    Raises SettingsError unless beta > 0 and noise > 0, and as AutoencoderSettings.
    """

    beta: float = 1.0  # [O] weight of the KL term, in training and in the score; 1 is the evidence lower bound
    noise: float = 0.1  # [O] σₓ, standard deviation of a pixel around x̂, in units of the [0, 1] range

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta > 0 or not self.noise > 0:
            raise SettingsError(f"beta is {self.beta} and noise {self.noise}: both must be positive.")


class VariationalAutoencoder(nn.Module):
    """q(z|x) = N(μ(x), diag exp ℓ(x)), p(z) = N(0, 1), x̂ = dec(z), on the autoencoder's convolutions.

    forward: x (n, channels, height, width) -> dec(μ(x)), the same shape, in [0, 1].
    """

    def __init__(self, shape: tuple[int, int, int], width: int, latent: int) -> None:
        super().__init__()
        inner = convolutional_autoencoder(shape, width)
        size = math.prod(inner.features)
        self.encoder = nn.Sequential(inner.encoder, nn.Flatten(), nn.Linear(size, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, size), nn.ReLU(), nn.Unflatten(1, inner.features), inner.decoder)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """μ and ℓ = log σ², each (n, latent), float32."""
        mean, log_variance = self.encoder(x).float().chunk(2, dim=1)
        return mean, log_variance

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encode(x)[0])


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, e^ℓ) ‖ N(0, 1)) = ½ Σ (μ² + e^ℓ − 1 − ℓ): (n, latent), (n, latent) -> (n,), nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)


def reconstruction_nats(x: Tensor, reconstruction: Tensor, noise: float) -> Tensor:
    """−log N(x; x̂, σₓ²) without its constant: Σ (x − x̂)² / (2 σₓ²), (n, channels, height, width) twice -> (n,)."""
    return (x - reconstruction).square().flatten(1).sum(dim=1) / (2 * noise**2)


class EvidenceLowerBound(Objective):
    """Lowers E_q[−log p(x|z)] + β KL(q ‖ p), one draw z = μ + σ ε an image."""

    def __init__(self, autoencoder: VariationalAutoencoder, settings: VaeSettings) -> None:
        self.network = autoencoder
        self.modules = nn.ModuleDict({"autoencoder": autoencoder})
        self.settings = settings

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"adam": adam(self.modules.parameters(), lr=self.settings.lr, weight_decay=self.settings.weight_decay)}

    def terms(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Means over the batch, in nats."""
        mean, log_variance = self.network.encode(x)
        z = mean + (0.5 * log_variance).exp() * send(drawn(torch.randn, *mean.shape, generator=generator), mean.device).to(mean.dtype)
        reconstruction = reconstruction_nats(x, self.network.decoder(z).float(), self.settings.noise).mean()
        kl = kl_divergence(mean, log_variance).mean()
        return {"loss": reconstruction + self.settings.beta * kl, "reconstruction": reconstruction, "kl": kl}

    def loss(self, optimizer: str, images: Tensor, step: Step) -> dict[str, Tensor]:
        return self.terms(images, step.batch_generator("latent"))

    def validate(self, images: np.ndarray, step: Step) -> dict[str, float]:
        totals: dict[str, float] = {}
        for number, x in enumerate(batches(images, SCORING_BATCH, step.device)):
            for name, value in self.terms(x, torch_generator(step.seed, "validation", number)).items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(x)
        return {name: value / len(images) for name, value in totals.items()}


class Vae(AutoencoderDetector):
    """score(x) = Σ (x − x̂)² / (2 σₓ²) + β KL(q(z|x) ‖ p(z)), x̂ = dec(μ(x)); map = (x − x̂)² averaged over channels.

    With β = 1 that is the negative evidence lower bound with z at the mean of q instead of drawn, so that a score is the same at
    every call, and without the constant of the Gaussian. In nats. After `fit`: autoencoder_ and history_ ({"autoencoder": History}).
    """

    method: ClassVar[str] = "vae"
    Settings: ClassVar[Any] = VaeSettings
    autoencoder_: VariationalAutoencoder

    def _fit(self, train_images: np.ndarray, val: np.ndarray) -> None:
        s: VaeSettings = self.settings_
        shape = train_images.shape[1:]
        self.autoencoder_ = seeded(self.seed, "vae", lambda: VariationalAutoencoder(shape, s.width, s.latent))
        self.history_ = {"autoencoder": run_training(self, "vae", EvidenceLowerBound(self.autoencoder_, s), train_images, val, s.epochs)}

    @torch.inference_mode()
    def _components(self, images: np.ndarray) -> dict[str, np.ndarray]:
        s: VaeSettings = self.settings_
        reconstruction, means, log_variances = [], [], []
        for x in batches(images, SCORING_BATCH, place(self.autoencoder_, self.device)):
            mean, log_variance = self.autoencoder_.encode(x)
            means.append(mean)
            log_variances.append(log_variance)
            reconstruction.append(reconstruction_nats(x, self.autoencoder_.decoder(mean).float(), s.noise))
        nats = collected(reconstruction).numpy()
        divergence = kl_divergence(collected(means), collected(log_variances)).numpy()  # e^ℓ can leave float32
        return {"score": nats + s.beta * divergence, "reconstruction": nats, "kl": divergence}

    def _restore(self, tensors: dict[str, Tensor], extra: dict) -> None:
        self.autoencoder_ = VariationalAutoencoder(self.image_shape_, self.settings_.width, self.settings_.latent)
        self.autoencoder_.load_state_dict(tensors)
