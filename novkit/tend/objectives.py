"""The two stages of TEND as objectives of the training loop."""

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from novkit.devices import adam
from novkit.distortions.compiled import distort_compiled, near_identity_compiled
from novkit.distortions.published import distort_published
from novkit.distortions.resampling import near_identity
from novkit.distortions.training import distort
from novkit.images import batches
from novkit.tend.losses import centre_of, classification_loss, margin_loss, reconstruction_loss
from novkit.tend.networks import Autoencoder, MarginNetwork
from novkit.tend.settings import TendSettings
from novkit.training import Objective, Step

_EVALUATION_BATCH = 256


class Reconstruction(Objective):
    """Stage 1: an autoencoder learns to reconstruct ID images."""

    def __init__(self, autoencoder: Autoencoder, *, lr: float, weight_decay: float) -> None:
        self.modules = nn.ModuleDict({"autoencoder": autoencoder})
        self.lr = lr
        self.weight_decay = weight_decay

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"adam": adam(self.modules.parameters(), lr=self.lr, weight_decay=self.weight_decay)}

    def loss(self, optimizer: str, images: Tensor, step: Step) -> dict[str, Tensor]:
        return {"loss": reconstruction_loss(images, self.modules["autoencoder"](images))}

    def validate(self, images: np.ndarray, step: Step) -> dict[str, float]:
        total = 0.0
        for x in batches(images, _EVALUATION_BATCH, step.device):
            total += float(reconstruction_loss(x, self.modules["autoencoder"](x))) * len(x)
        return {"loss": total / len(images)}


Transform = Callable[[Tensor, torch.Generator], Tensor]


def transformation(settings: TendSettings) -> Transform:
    """T as the settings choose it: (n, channels, height, width), generator -> the same shape, one kind drawn for each image."""

    def default(x: Tensor, generator: torch.Generator) -> Tensor:
        return (distort_compiled if settings.compiled else distort)(x, generator, settings.family)[0]

    def as_published(x: Tensor, generator: torch.Generator) -> Tensor:
        return distort_published(x, generator)[0]

    chosen = default if settings.transformations == "default" else as_published
    if not settings.faithful.jpeg_on_transformed:
        return chosen
    return lambda x, generator: through_jpeg(chosen(x, generator))


def through_jpeg(x: Tensor, quality: int = 92) -> Tensor:
    """[C] each image written as JPEG and read again; [O] quality 92, ImageMagick's default."""
    pixels = (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    written = np.stack([_jpeg(image, quality) for image in pixels])
    return torch.from_numpy(written).permute(0, 3, 1, 2).to(x) / 255


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """(height, width, 1 or 3) uint8 -> the same after JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(buffer, format="JPEG", quality=quality)
    return np.asarray(Image.open(buffer)).reshape(image.shape)


class MarginLearning(Objective):
    """Stage 2: a classifier tells ID images from transformed ones; after warm-up a margin holds ID inside a sphere, T(x) outside."""

    def __init__(
        self, network: MarginNetwork, settings: TendSettings, seed: int, leaked_test: tuple[np.ndarray, np.ndarray] | None = None
    ) -> None:
        self.modules = nn.ModuleDict({"network": network})
        self.network = network
        self.settings = settings
        self.seed = seed
        self.leaked_test = leaked_test  # only for Faithful.select_on_test
        self.watched: np.ndarray | None = None  # images whose embeddings are recorded, as the network shall see them
        self.embeddings: dict[int, np.ndarray] = {}  # of `watched`, by the number of margin epochs behind them
        self.transform = transformation(settings)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"adam": adam(self.modules.parameters(), lr=self.settings.lr, weight_decay=self.settings.weight_decay)}

    def phase(self, epoch: int) -> str:
        """The warm-up, before the centre is set, then the margin."""
        return "warm-up" if epoch < self.settings.warmup else "margin"

    def begin_epoch(self, epoch: int, images: np.ndarray, step: Step) -> None:
        """After warm-up: c = mean embedding of the ID training set, kept away from zero."""
        if epoch == self.settings.warmup:
            network = self.network
            embeddings = torch.cat([network(x)[0].float() for x in batches(images, _EVALUATION_BATCH, step.device)])
            network.centre.copy_(centre_of(embeddings, self.settings.centre_least))
            self._watch(0, step)

    def _watch(self, epochs: int, step: Step) -> None:
        if self.watched is not None:
            embedded = [self.network(x)[0].float().cpu() for x in batches(self.watched, _EVALUATION_BATCH, step.device)]
            self.embeddings[epochs] = torch.cat(embedded).numpy()

    def untransformed(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """x as the network sees it: resampled like T(x), or its edges would tell; by one fixed sub-pixel shift without a generator."""
        if not self.settings.match_resampling:
            return images
        if generator is not None and self.settings.compiled:
            return near_identity_compiled(images, generator)
        return near_identity(images, generator)

    def pair(self, images: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """x and T(x)."""
        return self.untransformed(images, step.batch_generator("near identity")), self.transform(images, step.batch_generator("transform"))

    def losses(self, x: Tensor, t: Tensor, phase: str) -> dict[str, Tensor]:
        """Both terms on one encoding of x and T(x) together."""
        network = self.network
        z, logit = network(torch.cat([x, t]))
        n = len(x)
        classification = classification_loss(logit[:n], logit[n:])
        if phase == "warm-up":
            return {"loss": classification, "classification": classification.detach()}
        margin = margin_loss(z[:n].float(), z[n:].float(), network.centre, self.settings.radius)
        return {
            "loss": classification + self.settings.margin_weight * margin,
            "classification": classification.detach(),
            "margin": margin.detach(),
        }

    def loss(self, optimizer: str, images: Tensor, step: Step) -> dict[str, Tensor]:
        return self.losses(*self.pair(images, step), self.phase(step.epoch))

    def validate(self, images: np.ndarray, step: Step) -> dict[str, float]:
        """The same losses on held-out ID images and their transforms, drawn once for all epochs."""
        if self.phase(step.epoch) == "margin":
            self._watch(step.epoch + 1 - self.settings.warmup, step)
        if self.settings.faithful.select_on_test and self.leaked_test is not None:
            return {"loss": -self._test_auroc(step)}
        totals: dict[str, float] = {}
        for number, x in enumerate(batches(images, _EVALUATION_BATCH, step.device)):
            fixed = Step(seed=self.seed, epoch=-1, step=number, device=step.device)
            for name, value in self.losses(*self.pair(x, fixed), self.phase(step.epoch)).items():
                totals[name] = totals.get(name, 0.0) + float(value.detach()) * len(x)
        return {name: value / len(images) for name, value in totals.items()}

    def _test_auroc(self, step: Step) -> float:
        """[C] what the published code selects by. A leak: novel images and their labels choose the epoch."""
        from sklearn.metrics import roc_auc_score

        images, y = self.leaked_test  # type: ignore[misc]
        network = self.network
        p, d = [], []
        for x in batches(images, _EVALUATION_BATCH, step.device):
            z, logit = network(self.untransformed(x))
            p.append(torch.sigmoid(logit.cpu().double()))
            d.append((z - network.centre).square().sum(1).cpu().double())
        distance = torch.cat(d)
        distance = (distance - distance.min()) / (distance.max() - distance.min())
        score = (1 - self.settings.score_weight) * torch.cat(p) + self.settings.score_weight * distance
        return float(roc_auc_score(y, score.numpy()))
