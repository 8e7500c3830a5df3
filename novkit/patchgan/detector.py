"""Patch-GAN as a detector: training, the score by covers, and the novelty map."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from novkit.detector import Detector, pick_device
from novkit.errors import SettingsError, TrainingError
from novkit.images import batches, chunks, fitting, retried, to_tensor
from novkit.patchgan.masking import PatchGrid, check_boxes, partitions
from novkit.patchgan.networks import Discriminator, Reconstructor
from novkit.patchgan.objectives import MaskedRestoration
from novkit.patchgan.ranking import image_score
from novkit.patchgan.settings import SCORE_SETTINGS, PatchGanSettings
from novkit.seeding import seed_for, seeded, torch_generator
from novkit.training import LoopSettings, train

_SCORING_PIXELS = 2**20  # restored together: on a CPU so few that they stay in its caches
_SCORING_PIXELS_ELSEWHERE = 2**24  # on a GPU enough to fill it; where they do not fit, `retried` halves them
_SHOWING_BATCH = 64
_SAMPLE = 512  # training images whose grey levels standardise the discriminator's input


@dataclass(frozen=True)
class Parts:
    """What is measured on a batch of n images of P patches, float32 on the device that scores.

    residual: (n, height, width) ≥ 0, |x − x̂| as the settings smooth and weigh it. error: (n, P), its mean over each patch.
    unlike: (n, P) a_p, any number, the higher the less authentic; 0 without a discriminator. cover: (n, channels, height, width), x̂ in
    [0, 1].
    """

    error: Tensor
    unlike: Tensor  # a_p
    residual: Tensor
    cover: Tensor


def brightness(x: Tensor) -> Tensor:
    """The upper quartile of each image's grey levels, at least 0.05: (n, channels, height, width) -> (n, 1, 1, 1)."""
    grey = x.mean(dim=1).flatten(1)
    return grey.sort(dim=1).values[:, (3 * grey.shape[1]) // 4].clamp(min=0.05).reshape(-1, 1, 1, 1)


def slope(x: Tensor) -> Tensor:
    """Length of the gradient a pixel, mean over channels: (n, channels, height, width) -> (n, 1, height, width)."""
    down = F.pad(x[:, :, 1:] - x[:, :, :-1], (0, 0, 0, 1))
    right = F.pad(x[:, :, :, 1:] - x[:, :, :, :-1], (0, 1))
    return (down.square() + right.square()).sqrt().mean(dim=1, keepdim=True)


class PatchGan(Detector):
    """Masked restoration, judged patch by patch (Chen et al. 2025); our formulation, see PatchGanSettings.

    After `fit`: reconstructor_, discriminator_ (None without one), grid_ (PatchGrid), covers_ ((partitions, P): which mask hides each
    patch), scale_ (means and deviations on held-out normal images), history_ ({"patchgan": History}), panel_ (epoch -> uint8
    (4, channels, height, width): the same masked held-out images as restored in each epoch of this run; not stored by `save`).
    """

    method: ClassVar[str] = "patchgan"
    Settings: ClassVar[Any] = PatchGanSettings
    has_map: ClassVar[bool] = True

    # ---- fitting -------------------------------------------------------------------------------------------------

    def _fit(self, train_images: np.ndarray, val: np.ndarray) -> None:
        s: PatchGanSettings = self.settings_
        self._build()
        if self.discriminator_ is not None:
            some = to_tensor(train_images[:: max(1, len(train_images) // _SAMPLE)])
            self.discriminator_.mean.fill_(some.mean())
            self.discriminator_.deviation.fill_(some.std())
        objective = MaskedRestoration(self.reconstructor_, self.discriminator_, self.grid_, s)
        history = train(
            objective,
            train_images,
            val,
            LoopSettings(epochs=s.epochs, batch_size=s.batch_size, gradient_clip=s.gradient_clip, precision=s.precision),
            seed=seed_for(self.seed, "patchgan"),
            device=self.device,
            folder=self._checkpoints("patchgan"),
            progress=self.progress,
            label="Patch-GAN",
        )
        self.history_ = {"patchgan": history}
        self.panel_ = objective.panels
        self.scale_ = retried(lambda: self._calibrate(val))

    def _build(self) -> None:
        """Networks with their initial weights, and the covers that every image will be scored with."""
        s: PatchGanSettings = self.settings_
        channels, height, width = self.image_shape_
        shape = (channels, height, width)
        self.grid_ = PatchGrid.of(shape, s.patch)
        check_boxes(self.grid_, s.boxes, s.masks)
        self.reconstructor_ = seeded(self.seed, "reconstructor", lambda: Reconstructor(shape, s.width))
        self.discriminator_: Discriminator | None = None
        if s.discriminator:
            self.discriminator_ = seeded(
                self.seed,
                "discriminator",
                lambda: Discriminator(shape, self.grid_, width=s.discriminator_width, scales=s.scales, global_logit=s.global_logit),
            )
        self._choose_covers()

    def _choose_covers(self) -> None:
        s: PatchGanSettings = self.settings_
        generator = torch_generator(self.seed, "covers")
        boxes = [s.boxes[number % len(s.boxes)] for number in range(s.partitions)]  # the sizes take turns
        self.covers_ = torch.cat([partitions(1, self.grid_, (box,), s.masks, generator) for box in boxes])

    @torch.inference_mode()
    def _calibrate(self, val: np.ndarray) -> dict[str, Tensor]:
        """Means and deviations of errors, authenticity and pixel residuals on held-out normal images."""
        measured = [(p.error.cpu().double(), p.unlike.cpu().double(), p.residual.cpu().double()) for p in self._measure(val)]
        scale: dict[str, Tensor] = {}
        for name, parts in zip(("error", "unlike", "residual"), zip(*measured, strict=True), strict=True):
            values = torch.cat(parts)
            if not bool(values.isfinite().all()):
                raise TrainingError(f"Patch-GAN's {name} is not finite on held-out images: lower lr and lr_discriminator.")
            if float(values.std()) == 0 and (name != "unlike" or self._judged):
                who = "discriminator says the same of" if name == "unlike" else "reconstructor is equally wrong in"
                raise TrainingError(f"The {who} every patch of every held-out image: it has collapsed, change seed or learning rates.")
            scale[f"{name}_mean"], scale[f"{name}_deviation"] = self._moments(values)
        return scale

    def rescored(self, changes: dict[str, Any], X_normal_val: np.ndarray, X_threshold: np.ndarray) -> "PatchGan":
        """The same networks, scored in another way: a fitted copy whose score's settings (SCORE_SETTINGS) differ.

        X_normal_val, X_threshold: the held-out normal images of `fit`. Raises SettingsError for a setting that training depends on.
        """
        wrong = set(changes) - set(SCORE_SETTINGS)
        if wrong:
            raise SettingsError(f"{min(wrong)} belongs to training, not to the score: fit again with it.")
        other = copy.copy(self)  # the networks are shared: nothing trains them here
        other.settings = other.settings_ = replace(self.settings_, **changes)
        other._choose_covers()
        val = self._checked(X_normal_val)
        other.scale_ = retried(lambda: other._calibrate(val))
        scores = other.novelty_score(X_threshold)
        other.threshold_ = float(np.quantile(scores, 1 - self.false_positive_rate, method="higher"))
        return other

    @property
    def _judged(self) -> bool:
        return self.discriminator_ is not None

    def _moments(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(n, …) -> mean and deviation to standardise with, σ ← √(σ² + σ₀²): of each place, of all together, or 0 and 1."""
        s: PatchGanSettings = self.settings_
        if s.standardise == "none":
            return torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        if s.standardise == "global":
            mean, deviation = values.mean().reshape(1), values.std().reshape(1)
        else:
            mean, deviation = values.mean(dim=0), values.std(dim=0, correction=0)
        varying = deviation[deviation > 0]
        least = s.sigma_floor * varying.median() if len(varying) else torch.ones((), dtype=torch.float64)
        return mean, (deviation.square() + least.square()).sqrt()

    # ---- scoring -------------------------------------------------------------------------------------------------

    def _place(self) -> torch.device:
        device = pick_device(self.device)
        for network in (self.reconstructor_, self.discriminator_):
            if network is not None:
                network.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        return device

    def _measure(self, images: np.ndarray) -> Iterator[Parts]:
        s: PatchGanSettings = self.settings_
        device = self._place()
        _, height, width = self.image_shape_
        pixels = _SCORING_PIXELS if device.type == "cpu" else _SCORING_PIXELS_ELSEWHERE
        size = fitting(pixels // (s.masks * height * width))
        for part in chunks(len(images), size):
            yield self._measure_batch(to_tensor(images[part], device))

    def _measure_batch(self, x: Tensor) -> Parts:
        """Every patch restored from its surroundings, never from itself, once for each partition; then the mean over partitions."""
        s: PatchGanSettings = self.settings_
        covers = [self._cover(x, label) for label in self.covers_.to(x.device)] if s.masked else [self._seen(x)]
        weight = self._weight(x)
        residual = torch.stack([self._residual(x, cover, weight) for cover in covers]).mean(dim=0)
        return Parts(self.grid_.mean(residual), self._unlike(x, covers), residual[:, 0], torch.stack(covers).mean(dim=0))

    def _residual(self, x: Tensor, cover: Tensor, weight: Tensor) -> Tensor:
        """|x − x̂| of the smoothed difference, mean over channels, weighed: (n, 1, height, width).

        Signs cancel along edges that are restored a pixel aside, and in noise; a lesion brightens or darkens a whole neighbourhood.
        """
        return self._smoothed(x - cover).abs().mean(dim=1, keepdim=True) * weight

    def _weight(self, x: Tensor) -> Tensor:
        """What a residual counts: relative to the image's brightness, less where the image itself changes; (n, 1, height or 1, …)."""
        s: PatchGanSettings = self.settings_
        unit = brightness(x) if s.relative else torch.ones_like(x[:, :1, :1, :1])
        if s.edge_discount == 0:
            return 1 / unit
        change = self._smoothed(slope(x / unit)) * self.grid_.patch
        return 1 / (unit * (1 + s.edge_discount * change))

    def _smoothed(self, values: Tensor) -> Tensor:
        half = round((self.settings_.smoothing * self.grid_.patch - 1) / 2)
        if half < 1:
            return values
        side = 2 * half + 1  # down, then across: a square at once costs its area, not its sides
        down = F.avg_pool2d(values, (side, 1), stride=1, padding=(half, 0), count_include_pad=False)
        return F.avg_pool2d(down, (1, side), stride=1, padding=(0, half), count_include_pad=False)

    def _seen(self, x: Tensor) -> Tensor:
        return self.reconstructor_(x, torch.zeros_like(x[:, :1])).float()

    def _cover(self, x: Tensor, label: Tensor) -> Tensor:
        """The image put together from the hidden parts of K restorations: the shape of x."""
        masks = [self.grid_.spread((label == number).float()[None]) for number in range(self.settings_.masks)]
        repeated = torch.cat([mask.expand(len(x), -1, -1, -1) for mask in masks])
        restored = self.reconstructor_(x.repeat(len(masks), 1, 1, 1), repeated).float()
        return (restored * repeated).reshape(len(masks), *x.shape).sum(dim=0)

    def _unlike(self, x: Tensor, covers: list[Tensor]) -> Tensor:
        """a_p: how little authentic the discriminator finds each patch, (n, P)."""
        s: PatchGanSettings = self.settings_
        if self.discriminator_ is None:
            return torch.zeros(len(x), self.grid_.count, device=x.device)
        if s.adversarial_score == "image":
            return -self.discriminator_(x)[0]
        if s.adversarial_score == "features":
            return torch.stack([self.discriminator_.feature_distance(x, cover) for cover in covers]).mean(dim=0)
        return torch.stack([-self.discriminator_(cover)[0] for cover in covers]).mean(dim=0)

    def _standardised(self, name: str, values: Tensor) -> Tensor:
        return (values.cpu().double() - self.scale_[f"{name}_mean"]) / self.scale_[f"{name}_deviation"]

    def _patch_scores(self, parts: Parts) -> tuple[Tensor, Tensor, Tensor]:
        """s_p = (1−γ) ẽ_p + γ ã_p, and its two terms: (n, P) float64."""
        error, unlike = self._standardised("error", parts.error), self._standardised("unlike", parts.unlike)
        gamma = self.settings_.gamma if self._judged else 0.0
        return (1 - gamma) * error + gamma * unlike, error, unlike

    def _components(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return self._assess(images, mapped=False)[0]

    def _map(self, images: np.ndarray) -> np.ndarray:
        return self._assess(images)[1]

    @torch.inference_mode()
    def _assess(self, images: np.ndarray, *, mapped: bool = True) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Scores with what they are made of, and maps, measured together."""
        s: PatchGanSettings = self.settings_
        triples, maps = [], []
        for parts in self._measure(images):
            triples.append(self._patch_scores(parts))
            if mapped:
                maps.append(self._mapped(triples[-1][0], parts.residual).float())
        scores, error, unlike = (torch.cat(values).numpy() for values in zip(*triples, strict=True))
        others = {how: image_score(scores, how, top_k=s.top_k) for how in ("mean", "max", "top_k") if how != s.aggregate}
        components = {
            "score": image_score(scores, s.aggregate, tau=s.tau_score, top_k=s.top_k),
            **others,
            "patch_scores": scores,
            "patch_error": error,
            "patch_adversarial": unlike,
        }
        return components, torch.cat(maps).numpy() if mapped else np.empty(0)

    def _mapped(self, scores: Tensor, residual: Tensor) -> Tensor:
        """s_p (n, P) resampled to the image, plus the standardised pixel residual: (n, height, width)."""
        share = self.settings_.map_residual
        patches = scores.reshape(-1, 1, self.grid_.rows, self.grid_.columns)
        smooth = F.interpolate(patches, size=self.image_shape_[1:], mode="bilinear", align_corners=False)[:, 0]
        return (1 - share) * smooth + share * self._standardised("residual", residual)

    @torch.inference_mode()
    def reconstruct(self, X: np.ndarray) -> np.ndarray:
        """What the model thinks should be there, each patch seen from its surroundings: (n, channels, height, width) float32 in [0, 1]."""
        return torch.cat([parts.cover.cpu() for parts in self._measure(self._checked(X))]).numpy()

    def masked(self, X: np.ndarray) -> np.ndarray:
        """What the reconstructor is shown under the first mask: X with a share of its patches black, X's own type."""
        images = self._checked(X)
        hidden = self.grid_.spread((self.covers_[:1] == 0).float())[:, 0].numpy() > 0 if self.settings_.masked else False
        return np.where(hidden, images.dtype.type(0), images)

    @torch.inference_mode()
    def reconstruct_masked(self, X: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """Restore with a mask of one's own: hidden (P,) bool -> x̂ (n, channels, height, width) float32, hidden or not."""
        images, device = self._checked(X), self._place()
        mask = self.grid_.spread(torch.as_tensor(np.asarray(hidden), dtype=torch.float32).reshape(1, -1)).to(device)
        return torch.cat(
            [self.reconstructor_(x, mask.expand(len(x), -1, -1, -1)).float().cpu() for x in batches(images, 64, device)]
        ).numpy()

    # ---- storing -------------------------------------------------------------------------------------------------

    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"reconstructor.{key}": value for key, value in self.reconstructor_.state_dict().items()}
        if self.discriminator_ is not None:
            tensors |= {f"discriminator.{key}": value for key, value in self.discriminator_.state_dict().items()}
        return tensors | {f"scale.{key}": value for key, value in self.scale_.items()} | {"covers": self.covers_}, {}

    def _restore(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        def part(name: str) -> dict[str, Tensor]:
            return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}

        self._build()
        self.reconstructor_.load_state_dict(part("reconstructor"))
        if self.discriminator_ is not None:
            self.discriminator_.load_state_dict(part("discriminator"))
        self.scale_, self.covers_ = part("scale"), tensors["covers"]
