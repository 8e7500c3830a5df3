"""Reconstruction error of an autoencoder: what it has not learnt to draw, it draws badly."""

import copy
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from novkit.detector import Detector, Presets, pick_device
from novkit.errors import SettingsError, TrainingError
from novkit.images import batches, collected, to_tensor
from novkit.seeding import seed_for, seeded
from novkit.tend.networks import Autoencoder, convolutional_autoencoder
from novkit.tend.objectives import Reconstruction
from novkit.training import History, LoopSettings, Objective, Step, train

SCORING_BATCH = 256
ATTEMPTS = 3
GIVEN_UP = 3  # epochs without a gradient that would lead on


@dataclass(frozen=True, kw_only=True)
class AutoencoderSettings(Presets):
    """Settings of the autoencoder baseline. Network and optimiser are TEND's stage 1 [C]; the bottleneck is [O].

    Raises SettingsError for latent < 1. Epochs, batch size, steps and precision are checked in `fit`, as LoopSettings says.
    """

    width: int = 16  # [C] channels of the first convolution
    latent: int = 64  # [O] numbers an image is squeezed into; swept in the latent-size table
    epochs: int = 50  # [C]
    batch_size: int = 32  # [C]
    lr: float = 1e-3  # [C]
    weight_decay: float = 1e-6  # [C]
    precision: str = "auto"
    least_steps: int = 1  # [O] of an epoch: small sets are gone through several times

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise SettingsError(f"latent is {self.latent}: the bottleneck needs at least one number.")

    @classmethod
    def quick(cls, **changes: Any) -> Self:
        """Minutes on two CPU cores, at 64×64 [O]."""
        return cls(**{"width": 8, "epochs": 21, "least_steps": 20, **changes})


def bottleneck_autoencoder(shape: tuple[int, int, int], width: int, latent: int) -> Autoencoder:
    """TEND's convolutions with a linear bottleneck of `latent` numbers between them."""
    inner = convolutional_autoencoder(shape, width)
    size = int(np.prod(inner.features))
    encoder = nn.Sequential(inner.encoder, nn.Flatten(), nn.Linear(size, latent))
    decoder = nn.Sequential(nn.Linear(latent, size), nn.ReLU(), nn.Unflatten(1, inner.features), inner.decoder)
    return Autoencoder(encoder, decoder, (latent,))


def run_training(detector: Detector, part: str, objective: Objective, images: np.ndarray, val: np.ndarray, epochs: int) -> History:
    """The training loop as a baseline's settings, seed, device and folder say.

    detector: its `settings_` must be set. part: what is trained, in a word; seed and checkpoints' folder follow from it.
    images, val: (n, channels, height, width), uint8, uint16 or float32 in [0, 1]. epochs: at least 1. Raises as `novkit.training.train`.
    """
    s: AutoencoderSettings = detector.settings_
    return train(
        objective,
        images,
        val,
        LoopSettings(epochs=epochs, batch_size=s.batch_size, precision=s.precision, least_steps=s.least_steps),
        seed=seed_for(detector.seed, part),
        device=detector.device,
        folder=detector._checkpoints(part),
        progress=detector.progress,
        label=part.replace("_", " ").capitalize(),
    )


def train_autoencoder(
    detector: Detector, autoencoder: Autoencoder, images: np.ndarray, val: np.ndarray, epochs: int | None = None
) -> History:
    """Teach `autoencoder` to reconstruct; also the first stage of the baselines that score its embeddings. None: settings' epochs.

    Dark images can kill it in its first steps: the sigmoid closes and no gradient is left. Then it starts again at a third of the rate,
    from pictures as bright as the images are [O].
    Raises TrainingError where that does not help.
    """
    s: AutoencoderSettings = detector.settings_
    start = copy.deepcopy(autoencoder.state_dict())
    for attempt in range(ATTEMPTS):
        objective = _WatchedReconstruction(autoencoder, lr=s.lr / 3**attempt, weight_decay=s.weight_decay)
        part = "autoencoder" if attempt == 0 else f"autoencoder_attempt_{attempt + 1}"
        with suppress(_Collapsed):
            history = run_training(detector, part, objective, images, val, s.epochs if epochs is None else epochs)
            if len(val) < 2 or not draws_one_picture(autoencoder, val):
                return history
        autoencoder.load_state_dict(start)
        draw_brightness(autoencoder, images)
    least = s.lr / 3 ** (ATTEMPTS - 1)
    raise TrainingError(
        f"The autoencoder draws the same picture of every held-out image, at lr {s.lr:g} and down to {least:g}: change lr or seed."
    )


@torch.no_grad()
def draw_brightness(autoencoder: nn.Module, images: np.ndarray) -> None:
    """Set the last layer's bias so that untrained pictures have the images' mean brightness: half grey is far from dark images."""
    layers = [layer for layer in autoencoder.modules() if isinstance(layer, nn.ConvTranspose2d | nn.Linear)]
    if layers and layers[-1].bias is not None:
        mean = to_tensor(images[:SCORING_BATCH]).mean().clamp(1e-3, 1 - 1e-3)
        layers[-1].bias.fill_(torch.logit(mean))


class _Collapsed(TrainingError):
    """The autoencoder draws the same picture of every image."""


class _WatchedReconstruction(Reconstruction):
    """Reconstruction that is given up once its held-out pictures have all been the same for GIVEN_UP epochs in a row."""

    same_for = 0

    def validate(self, images: np.ndarray, step: Step) -> dict[str, float]:
        same = len(images) > 1 and draws_one_picture(self.modules["autoencoder"], images)
        self.same_for = self.same_for + 1 if same else 0
        if self.same_for == GIVEN_UP:
            raise _Collapsed("The autoencoder has collapsed.")
        return super().validate(images, step)


@torch.no_grad()
def draws_one_picture(autoencoder: nn.Module, images: np.ndarray) -> bool:
    """Whether it has collapsed, and its error measures the image alone: reconstructions of different images are the same, or as good
    as black or white (a closed sigmoid lets no gradient through).
    """
    some = next(batches(images, SCORING_BATCH, next(autoencoder.parameters()).device))  # it stays where it is: it may be trained on
    drawn = autoencoder(some).float()
    same = float(drawn.std(dim=0).mean()) < 1e-6 * float(some.std(dim=0).mean())
    return same or bool(drawn.mean() < 0.05 * some.mean()) or bool((1 - drawn).mean() < 0.05 * (1 - some).mean())


def place(network: nn.Module, device: str | torch.device) -> torch.device:
    """Move a fitted network to where the detector scores, in evaluation mode and channels-last; returns that device.

    device: "auto", "cpu", "cuda", "mps" or a torch.device. Raises SettingsError for one that this machine does not have.
    """
    chosen = pick_device(device)
    network.to(device=chosen, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return chosen


class AutoencoderDetector(Detector):
    """score(x) = mean (x − x̂)²; map = (x − x̂)² averaged over channels.

    After `fit`: autoencoder_ and history_ ({"autoencoder": History}).
    """

    method: ClassVar[str] = "autoencoder"
    Settings: ClassVar[Any] = AutoencoderSettings
    has_map: ClassVar[bool] = True
    autoencoder_: nn.Module

    def _fit(self, train_images: np.ndarray, val: np.ndarray) -> None:
        s: AutoencoderSettings = self.settings_
        shape = train_images.shape[1:]
        self.autoencoder_ = seeded(self.seed, "autoencoder", lambda: bottleneck_autoencoder(shape, s.width, s.latent))
        self.history_ = {"autoencoder": train_autoencoder(self, self.autoencoder_, train_images, val)}

    @torch.inference_mode()
    def reconstruct(self, X: np.ndarray) -> np.ndarray:
        """x̂: (n, channels, height, width) float32 in [0, 1]."""
        images = self._checked(X)
        return np.concatenate(
            [self.autoencoder_(x).float().cpu().numpy() for x in batches(images, SCORING_BATCH, place(self.autoencoder_, self.device))]
        )

    def _residuals(self, images: np.ndarray) -> Any:
        for x in batches(images, SCORING_BATCH, place(self.autoencoder_, self.device)):
            yield (x - self.autoencoder_(x).float()).square()

    @torch.inference_mode()
    def _components(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {"score": collected([r.flatten(1).mean(dim=1) for r in self._residuals(images)]).numpy()}

    @torch.inference_mode()
    def _map(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([r.mean(dim=1).cpu().numpy() for r in self._residuals(images)])

    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return dict(self.autoencoder_.state_dict()), {}

    def _restore(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        self.autoencoder_ = bottleneck_autoencoder(self.image_shape_, self.settings_.width, self.settings_.latent)
        self.autoencoder_.load_state_dict(tensors)
