"""TEND as a detector: stage 1, stage 2, and the score."""

from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from novkit.detector import Detector, pick_device
from novkit.distortions.resampling import check_batch, near_identity
from novkit.errors import SettingsError
from novkit.images import batches, collected, retried, to_tensor
from novkit.seeding import seed_for, seeded
from novkit.tend.losses import squared_distance
from novkit.tend.networks import Autoencoder, MarginNetwork, autoencoder_for
from novkit.tend.objectives import MarginLearning, Reconstruction
from novkit.tend.settings import TendSettings
from novkit.training import History, LoopSettings, Step, train

_SCORING_BATCH = 256


class Tend(Detector):
    """Margin-aware, transformation-based embedding learning (Guo et al. 2022).

    After `fit`: network_ (MarginNetwork), history_ ({"autoencoder": History, "margin": History}), distance_range_ (low, high: the squared
    distances that the score maps to 0 and 1, from held-out normal images and their transforms).
    """

    method: ClassVar[str] = "tend"
    Settings: ClassVar[Any] = TendSettings

    def leak_test(self, X_test: np.ndarray, y_test: np.ndarray) -> Self:
        """Hand over the test set for the `faithful` switches that look at it. For measuring the leak, never for a result."""
        self._leaked_test = (np.asarray(X_test), np.asarray(y_test))
        return self

    def watch(self, X: np.ndarray) -> Self:
        """Record the embeddings of X when the centre is set and after each epoch of margin learning: only looked at, never learnt from.

        X: (n, channels, height, width) as the network shall see them; nothing is resampled. After `fit`, `watched_` holds
        {margin epochs so far: (n, embedding) float32} of the epochs of this run; it is not stored by `save`.
        """
        self._watched = np.asarray(X)
        return self

    # ---- fitting -------------------------------------------------------------------------------------------------

    def _fit(self, train_images: np.ndarray, val: np.ndarray) -> None:
        settings: TendSettings = self.settings_
        check_batch(to_tensor(train_images[:1]))  # too small to distort: say so before stage 1 has spent minutes
        leak = getattr(self, "_leaked_test", None)
        if leak is None and settings.faithful.looks_at_test:
            raise SettingsError("faithful.select_on_test and validate_on_test look at the test set: call leak_test(X_test, y_test) first.")
        autoencoder = self.fit_autoencoder(
            train_images, leak[0][leak[1] == 0] if leak is not None and settings.faithful.validate_on_test else val
        )
        self.fit_margin(autoencoder, train_images, val)

    def _loop(self, epochs: int) -> LoopSettings:
        s = self.settings_
        return LoopSettings(
            epochs=epochs, batch_size=s.batch_size, gradient_clip=s.gradient_clip, precision=s.precision, least_steps=s.least_steps
        )

    def fit_autoencoder(self, images: np.ndarray, val: np.ndarray) -> Autoencoder:
        """Stage 1: returns the autoencoder with its best held-out reconstruction."""
        s: TendSettings = self.settings_
        autoencoder = seeded(self.seed, "autoencoder", lambda: autoencoder_for(images.shape[1:], s.width, s.batch_norm))
        history = train(
            Reconstruction(autoencoder, lr=s.lr, weight_decay=s.weight_decay),
            images,
            val,
            self._loop(s.epochs_autoencoder),
            seed=seed_for(self.seed, "autoencoder"),
            device=self.device,
            folder=self._checkpoints("autoencoder"),
            progress=self.progress,
            label="TEND stage 1",
        )
        self.history_: dict[str, History] = {"autoencoder": history}
        return autoencoder

    def fit_margin(self, autoencoder: Autoencoder, images: np.ndarray, val: np.ndarray) -> None:
        """Stage 2, and the calibration of the score on held-out normal images and their transforms."""
        s: TendSettings = self.settings_
        network = seeded(self.seed, "margin", lambda: MarginNetwork(autoencoder, s.embedding, s.batch_norm))
        objective = MarginLearning(network, s, seed_for(self.seed, "validation"), getattr(self, "_leaked_test", None))
        objective.watched = getattr(self, "_watched", None)
        self.history_["margin"] = train(
            objective,
            images,
            val,
            self._loop(s.epochs),
            seed=seed_for(self.seed, "margin"),
            device=self.device,
            folder=self._checkpoints("margin"),
            progress=self.progress,
            label="TEND stage 2",
        )
        self.network_ = network.eval()
        self.watched_: dict[int, np.ndarray] = objective.embeddings
        self.distance_range_ = retried(lambda: self._calibrate(objective, val))

    @torch.inference_mode()
    def _calibrate(self, objective: MarginLearning, val: np.ndarray) -> tuple[float, float]:
        """[O] min–max of the distance over held-out ID images and their training transforms: fixed here, for every later image."""
        distances = []
        device = self._place()
        for number, images in enumerate(batches(val, _SCORING_BATCH, device)):
            step = Step(seed=seed_for(self.seed, "calibration"), epoch=-1, step=number, device=device)
            for x in objective.pair(images, step):
                distances.append(squared_distance(self.network_(x)[0].float(), self.network_.centre))
        together = self._distance(collected(distances))
        return float(together.min()), float(together.max())

    # ---- scoring -------------------------------------------------------------------------------------------------

    def _place(self) -> torch.device:
        device = pick_device(self.device)
        self.network_.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        return device

    def _seen(self, images: np.ndarray, device: torch.device) -> Iterator[Tensor]:
        """Batches as the network saw normal images in training: passed through the same resampling, by one fixed sub-pixel shift [O]."""
        for x in batches(images, _SCORING_BATCH, device):
            yield near_identity(x) if self.settings_.match_resampling else x

    def _distance(self, d: Tensor) -> Tensor:
        """‖z − c‖² (n,) as it is [C], or what exceeds R of it."""
        return d if self.settings_.distance == "centre" else (d - self.settings_.radius).clamp(min=0)

    @torch.inference_mode()
    def _components(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """s(x) = (1 − λ) p(x) + λ d̃(x) [C]; d̃ unclipped, on the scale of held-out images [O]."""
        device = self._place()
        logits, distances = [], []
        for x in self._seen(images, device):
            z, logit = self.network_(x)
            logits.append(logit)
            distances.append(squared_distance(z.float(), self.network_.centre))
        p, d = torch.sigmoid(collected(logits)).numpy(), self._distance(collected(distances)).numpy()
        low, high = (d.min(), d.max()) if self.settings_.faithful.scale_on_test else self.distance_range_
        scaled = (d - low) / max(high - low, np.finfo(np.float64).tiny)
        weight = self.settings_.score_weight
        return {"score": (1 - weight) * p + weight * scaled, "probability": p, "distance": d, "distance_scaled": scaled}

    @torch.inference_mode()
    def embed(self, X: np.ndarray) -> np.ndarray:
        """(n, embedding) float32: z(x)."""
        device = self._place()
        return torch.cat([self.network_(x)[0].float() for x in self._seen(self._checked(X), device)]).cpu().numpy()

    # ---- storing -------------------------------------------------------------------------------------------------

    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return dict(self.network_.state_dict()), {"distance_range": list(self.distance_range_)}

    def _restore(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        s: TendSettings = self.settings_
        self.network_ = MarginNetwork(autoencoder_for(self.image_shape_, s.width, s.batch_norm), s.embedding, s.batch_norm)
        self.network_.load_state_dict(tensors)
        low, high = extra["distance_range"]
        self.distance_range_ = (float(low), float(high))
