"""Nearest neighbours of patches: each place of an image is compared with a bank of places from normal images."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from novkit.baselines.autoencoder import SCORING_BATCH, AutoencoderSettings, bottleneck_autoencoder, place, train_autoencoder
from novkit.detector import Detector
from novkit.errors import SettingsError
from novkit.images import batches, retried
from novkit.seeding import numpy_generator, seeded
from novkit.tend.networks import Autoencoder

_BATCH = SCORING_BATCH // 4  # patches are many
_BLOCK = 1024  # patches compared with the bank at a time


@dataclass(frozen=True, kw_only=True)
class PatchKnnSettings(AutoencoderSettings):
    """The autoencoder's settings (its encoder gives the patch embeddings), and the bank's.

    In the manner of PatchCore (Roth et al. 2022), whose features come from a network trained on photographs; ours [O] come from the
    autoencoder, which has seen the normal images alone.
    Raises SettingsError unless 1 ≤ neighbours ≤ bank ≤ candidates, 0 < top ≤ 1, pool is odd and ≥ 1, floor > 0, position_weight ≥ 0 and
    levels names at least one ≥ 0; for an unknown choice; and as AutoencoderSettings.
    """

    levels: tuple[int, ...] = (3, 2)  # [O] whose features: how many convolutions before the encoder's last; too deep means the first
    pool: int = 3  # features are averaged over pool × pool places; odd
    bank: int = 2000  # [O] patches kept
    candidates: int = 20000  # [O] patches the bank is chosen from, drawn evenly from the training images
    choice: str = "coreset"  # "coreset": k-centre greedy, the bank that covers the candidates best | "random" [O]
    position_weight: float = 1.0  # [O] how much the place counts: 0 compares patches wherever they are
    neighbours: int = 3  # [O] a patch's distance is the mean over so many nearest in the bank
    top: float = 0.05  # [O] share of an image's patches, the most distant, that its score averages; the least is one patch, the maximum
    floor: float = 0.1  # [O] features are divided by √(σ² + σ₀²), σ₀ = floor × the median σ over channels

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "levels", tuple(self.levels))
        if not self.levels or min(self.levels) < 0:
            raise SettingsError(f"levels is {self.levels}: name at least one, counted from 0 (the encoder's last convolution).")
        if self.pool < 1 or self.pool % 2 == 0:
            raise SettingsError(f"pool is {self.pool}: choose an odd number of places.")
        if self.choice not in ("random", "coreset"):
            raise SettingsError(f"choice is {self.choice!r}: choose random or coreset.")
        if not 1 <= self.neighbours <= self.bank <= self.candidates:
            raise SettingsError(
                f"neighbours, bank and candidates are {self.neighbours}, {self.bank}, {self.candidates}: they must not fall."
            )
        if not 0 < self.top <= 1:
            raise SettingsError(f"top is {self.top}: choose a share between 0 and 1.")
        if self.position_weight < 0 or not self.floor > 0:
            raise SettingsError(f"position_weight is {self.position_weight}, floor {self.floor}: the first ≥ 0, the second above it.")


def patch_embeddings(autoencoder: Autoencoder, x: Tensor, levels: tuple[int, ...], pool: int) -> Tensor:
    """(n, channels, height, width) -> (n, features, rows, columns): the named levels, locally averaged, on the grid of the finest."""
    convolutions = autoencoder.encoder[0]  # type: ignore[index]  # convolution, ReLU, convolution, ReLU, …
    depth = len(convolutions) // 2
    wanted = sorted({max(depth - 1 - level, 0) for level in levels})
    maps: list[Tensor] = []
    for number in range(wanted[-1] + 1):
        x = convolutions[2 * number + 1](convolutions[2 * number](x))
        if number in wanted:
            averaged = F.avg_pool2d(x.float(), pool, stride=1, padding=pool // 2, count_include_pad=False)
            maps.append(averaged if not maps else F.interpolate(averaged, size=maps[0].shape[2:], mode="bilinear", align_corners=False))
    return torch.cat(maps, dim=1)


def k_centre_greedy(points: np.ndarray, size: int, first: int) -> np.ndarray:
    """Indices of `size` points, each the farthest from those before it (Sener & Savarese 2018): (n, d) -> (size,)."""
    chosen = [first]
    squares = (points**2).sum(axis=1)
    nearest = np.full(len(points), np.inf)
    while len(chosen) < size:
        last = points[chosen[-1]]
        nearest = np.minimum(nearest, squares - 2 * (points @ last) + last @ last)
        nearest[chosen[-1]] = -np.inf
        chosen.append(int(nearest.argmax()))
    return np.array(chosen)


def nearest_distances(points: Tensor, bank: Tensor, neighbours: int) -> Tensor:
    """Euclidean distances of points (n, d) to their nearest in bank (m, d): (n, neighbours), in no particular order; neighbours ≤ m.

    Points and bank are on one device, and so is what is returned. One matrix product finds the nearest, since ‖b‖² − 2 p·b orders as
    ‖p − b‖ does; the differences then give distances that no cancellation has touched.
    """
    squares, found = bank.square().sum(dim=1), []
    for part in points.split(_BLOCK):
        nearest = torch.addmm(squares, part, bank.T, alpha=-2).topk(neighbours, largest=False, sorted=False).indices
        found.append((part[:, None] - bank[nearest]).norm(dim=2))
    return torch.cat(found)


class PatchKnn(Detector):
    """A patch's novelty is its mean Euclidean distance to its nearest neighbours in the bank; score = mean over the most distant share.

    A patch is its embedding, standardised, and its place (row, column in [−½, ½], times position_weight × √features).
    After `fit`: autoencoder_, history_ ({"autoencoder": History}), bank_ (m, features + 2) float32, mean_ and scale_ (features,).
    components: "score", "maximum" (the most distant patch) and "patches" (n, rows · columns).
    """

    method: ClassVar[str] = "patch_knn"
    Settings: ClassVar[Any] = PatchKnnSettings
    has_map: ClassVar[bool] = True

    def _fit(self, train_images: np.ndarray, val: np.ndarray) -> None:
        s: PatchKnnSettings = self.settings_
        shape = train_images.shape[1:]
        self.autoencoder_ = seeded(self.seed, "autoencoder", lambda: bottleneck_autoencoder(shape, s.width, s.latent))
        self.history_ = {"autoencoder": train_autoencoder(self, self.autoencoder_, train_images, val)}
        candidates, places = retried(lambda: self._candidates(train_images))
        deviation = candidates.std(axis=0)
        self.mean_ = candidates.mean(axis=0)
        self.scale_ = np.sqrt(deviation**2 + (s.floor * np.median(deviation[deviation > 0])) ** 2).astype(np.float32)
        points = self._points(torch.from_numpy(candidates), places).numpy()
        size = min(s.bank, len(points))
        kept = k_centre_greedy(points, size, first=0) if s.choice == "coreset" else np.arange(size)
        self.bank_ = np.ascontiguousarray(points[kept])

    def _candidates(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """At most `candidates` patches in random order, equally many of each image (or one of some): (m, features), their places (m, 2)."""
        draw = numpy_generator(self.seed, "patches")
        per_image = max(1, self.settings_.candidates // len(images))
        found, where = [], []
        for embeddings, places in self._embeddings(images):
            for image in embeddings.cpu().numpy():
                kept = draw.permutation(len(image))[:per_image]
                found.append(image[kept])
                where.append(places[kept])
        order = draw.permutation(sum(map(len, found)))[: self.settings_.candidates]
        return np.concatenate(found)[order], np.concatenate(where)[order]

    def _embeddings(self, images: np.ndarray) -> Iterator[tuple[Tensor, np.ndarray]]:
        """Batches of (n, patches, features) float32, on the device, and the places (patches, 2), rows first."""
        s: PatchKnnSettings = self.settings_
        device = place(self.autoencoder_, self.device)
        for x in batches(images, _BATCH, device):
            with torch.inference_mode():
                embeddings = patch_embeddings(self.autoencoder_, x, s.levels, s.pool)
            self.grid_ = (int(embeddings.shape[2]), int(embeddings.shape[3]))
            rows, columns = ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5 for side in self.grid_)
            places = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
            yield embeddings.flatten(2).transpose(1, 2), places

    def _points(self, embeddings: Tensor, places: np.ndarray) -> Tensor:
        """(m, features), (m, 2) -> (m, features + 2) float32, on the embeddings' device."""
        mean, scale, at = (torch.as_tensor(array).to(embeddings) for array in (self.mean_, self.scale_, places))
        weight = self.settings_.position_weight * math.sqrt(embeddings.shape[1])
        return torch.cat([(embeddings - mean) / scale, weight * at], dim=1)

    def _patches(self, images: np.ndarray) -> np.ndarray:
        """(n, rows, columns) float64: each patch's distance."""
        bank, parts = torch.from_numpy(self.bank_), []
        neighbours = min(self.settings_.neighbours, len(bank))
        for embeddings, places in self._embeddings(images):
            points = self._points(embeddings.flatten(0, 1), np.tile(places, (len(embeddings), 1)))
            bank = bank.to(points.device)
            distance = nearest_distances(points, bank, neighbours).cpu().double().mean(dim=1)  # Apple's GPUs have no float64
            parts.append(distance.view(-1, *self.grid_).numpy())
        return np.concatenate(parts)

    def _components(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return self._summed(self._patches(images))

    def _map(self, images: np.ndarray) -> np.ndarray:
        return self._spread(self._patches(images))

    def _assess(self, images: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        patches = self._patches(images)
        return self._summed(patches), self._spread(patches)

    def _summed(self, patches: np.ndarray) -> dict[str, np.ndarray]:
        ordered = np.sort(patches.reshape(len(patches), -1), axis=1)
        top = max(1, round(self.settings_.top * ordered.shape[1]))
        return {"score": ordered[:, -top:].mean(axis=1), "maximum": ordered[:, -1], "patches": patches.reshape(len(patches), -1)}

    def _spread(self, patches: np.ndarray) -> np.ndarray:
        """Patches resampled to the image: (n, rows, columns) -> (n, height, width) float32."""
        values = torch.from_numpy(patches).float()[:, None]
        return F.interpolate(values, size=self.image_shape_[1:], mode="bilinear", align_corners=False)[:, 0].numpy()

    def _tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        arrays = {"bank": self.bank_, "mean": self.mean_, "scale": self.scale_}
        tensors = {f"autoencoder.{name}": value for name, value in self.autoencoder_.state_dict().items()}
        return tensors | {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}, {}

    def _restore(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        s: PatchKnnSettings = self.settings_
        self.autoencoder_ = bottleneck_autoencoder(self.image_shape_, s.width, s.latent)
        prefix = "autoencoder."
        self.autoencoder_.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        self.mean_, self.scale_ = tensors["mean"].numpy(), tensors["scale"].numpy()
        self.bank_ = tensors["bank"].numpy()
