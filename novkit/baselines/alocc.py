"""ALOCC: a denoising reconstructor learns to fool a discriminator, and the discriminator judges what it makes of an image."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from novkit.baselines.autoencoder import (
    ATTEMPTS,
    SCORING_BATCH,
    AutoencoderDetector,
    AutoencoderSettings,
    bottleneck_autoencoder,
    draw_brightness,
    draws_one_picture,
    place,
    run_training,
)
from novkit.devices import adam
from novkit.errors import SettingsError, TrainingError
from novkit.images import batches, collected, send
from novkit.seeding import drawn, seeded, torch_generator
from novkit.tend.networks import depth_for
from novkit.training import Objective, Step


@dataclass(frozen=True, kw_only=True)
class AloccSettings(AutoencoderSettings):
    """The autoencoder's settings for R, and what makes it adversarial (Sabokrou et al. 2018).

    Raises SettingsError for a negative reconstruction_weight or noise, and as AutoencoderSettings.
    """

    reconstruction_weight: float = 0.4  # [P] λ
    noise: float = 0.1  # [O] σ of the noise on R's input, in units of the [0, 1] range
    width_discriminator: int = 8  # [O] channels of D's first convolution; narrower than R's, a step costs less
    lr_discriminator: float = 1e-4  # [O] below R's, so that neither wins at once
    spectral: bool = True  # [O] spectral norm on D's layers (Miyato et al. 2018): its logits cannot run away

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reconstruction_weight < 0 or self.noise < 0:
            raise SettingsError(f"reconstruction_weight is {self.reconstruction_weight}, noise {self.noise}: neither may be negative.")


class Discriminator(nn.Module):
    """The encoder's convolutions with leaky ReLU and one linear layer: (n, channels, height, width) -> logits (n,), high = real."""

    def __init__(self, shape: tuple[int, int, int], width: int, spectral: bool) -> None:
        super().__init__()
        channels, height, columns = shape
        depth = depth_for(height, columns)
        sizes = [channels] + [width * 2**level for level in range(depth)]
        bound = spectral_norm if spectral else nn.Identity()
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [bound(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        features = sizes[-1] * (height // 2**depth) * (columns // 2**depth)
        self.layers = nn.Sequential(*layers, nn.Flatten(), bound(nn.Linear(features, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(1)


class AdversarialReconstruction(Objective):
    """min_R max_D  E log D(x) + E log(1 − D(R(x + η))) + λ E‖x − R(x + η)‖², η ~ N(0, σ²).

    R lowers −log D(R(x + η)), the usual non-saturating form [O], plus λ‖x − R(x + η)‖², summed over the pixels [P].
    """

    def __init__(self, reconstructor: nn.Module, discriminator: Discriminator, settings: AloccSettings) -> None:
        self.modules = nn.ModuleDict({"reconstructor": reconstructor, "discriminator": discriminator})
        self.settings = settings
        self._kept: Tensor | None = None  # restored in D's step, used again in R's

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        s, betas = self.settings, (0.5, 0.999)  # [O] β₁ = 0.5, as usual where two networks play
        d = adam(self.modules["discriminator"].parameters(), lr=s.lr_discriminator, betas=betas)
        r = adam(self.modules["reconstructor"].parameters(), lr=s.lr, betas=betas, weight_decay=s.weight_decay)
        return {"discriminator": d, "reconstructor": r}

    def restored(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """R(x + η)."""
        self._kept = None  # what a step that ran out of memory left
        noise = send(drawn(torch.randn, *x.shape, generator=generator), x.device).to(x.dtype)
        return self.modules["reconstructor"](x + self.settings.noise * noise)

    def loss(self, optimizer: str, images: Tensor, step: Step) -> dict[str, Tensor]:
        discriminator = self.modules["discriminator"]
        if optimizer == "discriminator":
            made = self.restored(images, step.batch_generator("noise"))
            self._kept = made if step.keeps else None
            real, fake = discriminator(torch.cat([images, made.detach().to(images)])).float().chunk(2)
            return {"loss": F.softplus(-real).mean() + F.softplus(fake).mean()}
        kept, self._kept = self._kept, None
        made = self.restored(images, step.batch_generator("noise")) if kept is None else kept
        adversarial = F.softplus(-discriminator(made).float()).mean()
        error = squared_error(images, made).mean()
        return {"loss": adversarial + self.settings.reconstruction_weight * error, "adversarial": adversarial, "error": error}

    def validate(self, images: np.ndarray, step: Step) -> dict[str, float]:
        """The loss of R on held-out normal images, and how far apart D holds x and R(x + η)."""
        totals = dict.fromkeys(("loss", "adversarial", "error", "logit_real", "logit_restored"), 0.0)
        for number, x in enumerate(batches(images, SCORING_BATCH, step.device)):
            made = self.restored(x, torch_generator(step.seed, "validation", number))
            real, fake = self.modules["discriminator"](x), self.modules["discriminator"](made)
            adversarial, error = F.softplus(-fake), squared_error(x, made)
            loss = adversarial + self.settings.reconstruction_weight * error
            for name, value in zip(totals, (loss, adversarial, error, real, fake), strict=True):
                totals[name] += float(value.sum())
        return {name: total / len(images) for name, total in totals.items()}


def squared_error(x: Tensor, reconstruction: Tensor) -> Tensor:
    """‖x − x̂‖²: (n, channels, height, width) twice -> (n,)."""
    return (x - reconstruction.float()).square().flatten(1).sum(dim=1)


class Alocc(AutoencoderDetector):
    """score(x) = −logit D(R(x)); map = (x − R(x))² averaged over channels (Sabokrou et al. 2018, OCC with D(R(X))).

    The paper's 1 − D(R(x)) is a sigmoid of this score: the same order, but it is 1.0 for every image once D is sure. R sees no
    noise when it scores, so that a score is the same at every call. [O] The epoch is the one of R's lowest loss on held-out normal
    images; the paper stops at a reconstruction error that it does not name. [O] Where R or D has collapsed, both start again at a third
    of their rates, R from pictures as bright as the images are; TrainingError where that does not help.
    After `fit`: autoencoder_ (R), discriminator_ (D), history_ ({"adversarial": History}).
    """

    method: ClassVar[str] = "alocc"
    Settings: ClassVar[Any] = AloccSettings

    def _build(self, shape: tuple[int, int, int]) -> None:
        s: AloccSettings = self.settings_
        self.autoencoder_ = seeded(self.seed, "reconstructor", lambda: bottleneck_autoencoder(shape, s.width, s.latent))
        self.discriminator_ = seeded(self.seed, "discriminator", lambda: Discriminator(shape, s.width_discriminator, s.spectral))

    def _fit(self, train_images: np.ndarray, val: np.ndarray) -> None:
        s: AloccSettings = self.settings_
        for attempt in range(ATTEMPTS):
            self._build(train_images.shape[1:])
            if attempt:
                draw_brightness(self.autoencoder_, train_images)
            slower = replace(s, lr=s.lr / 3**attempt, lr_discriminator=s.lr_discriminator / 3**attempt)
            objective = AdversarialReconstruction(self.autoencoder_, self.discriminator_, slower)
            part = "adversarial" if attempt == 0 else f"adversarial_attempt_{attempt + 1}"
            self.history_ = {"adversarial": run_training(self, part, objective, train_images, val, s.epochs)}
            if not self._collapsed(val):
                return
        raise TrainingError(
            f"alocc makes the same of every held-out image, at lr {s.lr:g} and down to {slower.lr:g}: raise reconstruction_weight or "
            "change seed."
        )

    def _collapsed(self, val: np.ndarray) -> bool:
        """R that draws one picture for all images, or D that says one thing of all: nothing was learnt, whatever the scores are."""
        if len(val) < 2:
            return False
        return draws_one_picture(self.autoencoder_, val) or not self._components(val)["score"].std() > 1e-6

    @torch.inference_mode()
    def _components(self, images: np.ndarray) -> dict[str, np.ndarray]:
        device = place(self.discriminator_, self.device)
        place(self.autoencoder_, self.device)
        restored, direct, error = [], [], []
        for x in batches(images, SCORING_BATCH, device):
            made = self.autoencoder_(x).float()
            restored.append(self.discriminator_(made))
            direct.append(self.discriminator_(x))
            error.append(squared_error(x, made))
        pixels = math.prod(self.image_shape_)
        found = {"score": -collected(restored), "unrestored": -collected(direct), "error": collected(error) / pixels}
        return {name: values.numpy() for name, values in found.items()}

    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        parts = {"reconstructor": self.autoencoder_, "discriminator": self.discriminator_}
        return {f"{part}.{name}": value for part, network in parts.items() for name, value in network.state_dict().items()}, {}

    def _restore(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        self._build(self.image_shape_)
        for part, network in {"reconstructor": self.autoencoder_, "discriminator": self.discriminator_}.items():
            network.load_state_dict(
                {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}
            )
