"""Snapshots of TEND's embedding through the epochs of margin learning: recorded while it trains, stored without pickle."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from novkit.data.arrays import read_npz
from novkit.distortions.resampling import near_identity
from novkit.errors import DataError, StoredFileError
from novkit.files import replacing
from novkit.images import check_images, to_tensor
from novkit.seeding import torch_generator
from novkit.tend import Tend
from novkit.tend.objectives import transformation

ID, TRANSFORMED, NOVEL = "ID", "transformed", "novel"
GROUPS = (ID, TRANSFORMED, NOVEL)


@dataclass(frozen=True)
class Snapshots:
    """Where each image's embedding lies in each epoch.

    epochs: (E,) int, epochs of margin learning so far: 0 = the centre is just set. squared_distance: (E, n) ‖z − c‖².
    angle: (E, n) radians of z − c in one plane, the same in every epoch. group: (n,) "ID", "transformed" or "novel".
    label: (n,) class or kind, text. images: (n, channels, height, width) uint8. radius: R, which bounds the *squared* distance.
    exact: the embedding has two dimensions, so that angles are true; else they only spread the points, and distances alone are true.
    Raises DataError where the shapes do not fit, and for numbers that are not finite.
    """

    epochs: np.ndarray
    squared_distance: np.ndarray
    angle: np.ndarray
    group: np.ndarray
    label: np.ndarray
    images: np.ndarray
    radius: float
    exact: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "group", "label"):
            if getattr(self, name).ndim != 1:
                raise DataError(f"{name} has shape {getattr(self, name).shape}: give one value each, in one row.")
        n, shape = len(self.group), (len(self.epochs), len(self.group))
        if not shape[0] or self.squared_distance.shape != shape or self.angle.shape != shape:
            raise DataError(
                f"{shape[0]} epochs and {n} images, but distances of shape {self.squared_distance.shape} and angles of "
                f"{self.angle.shape}: give (epochs, images), at least one epoch."
            )
        check_images(self.images, what="images")
        if len(self.label) != n or len(self.images) != n or not set(self.group.tolist()) <= set(GROUPS):
            raise DataError(f"{n} images but {len(self.label)} labels and {len(self.images)} pictures, groups {set(self.group.tolist())}.")
        numbers = (self.epochs, self.squared_distance, self.angle, np.asarray(self.radius))
        if not all(value.dtype.kind in "iuf" and np.isfinite(value).all() for value in numbers):
            raise DataError("Epochs, squared distances, angles and R must be finite numbers: record the snapshots again.")
        if self.squared_distance.min(initial=0) < 0 or not self.radius > 0:
            raise DataError(f"Squared distances must be ≥ 0, and R ({self.radius}) positive: record the snapshots again.")

    @property
    def distance(self) -> np.ndarray:
        """(E, n) ‖z − c‖: what is drawn, with the margin at √R."""
        return np.sqrt(self.squared_distance)

    @property
    def margin(self) -> float:
        """√R."""
        return float(np.sqrt(self.radius))

    @classmethod
    def of(
        cls,
        epochs: ArrayLike,
        embeddings: np.ndarray,
        centre: np.ndarray,
        radius: float,
        group: np.ndarray,
        label: np.ndarray,
        images: np.ndarray,
    ) -> "Snapshots":
        """From embeddings (E, n, D) and the centre (D,).

        The plane of the angles [O]: with D = 2 the embedding itself, else the two directions in which z − c of the last epoch is longest.
        """
        offset = np.asarray(embeddings, dtype=np.float64) - np.asarray(centre, dtype=np.float64)
        if offset.ndim != 3 or offset.shape[2] < 2:
            raise DataError(f"Embeddings of shape {offset.shape}: give (epochs, images, dimensions), at least two dimensions.")
        exact = offset.shape[2] == 2
        plane = np.eye(2) if exact else np.linalg.svd(offset[-1], full_matrices=False)[2][:2]
        u, v = offset @ plane[0], offset @ plane[1]
        return cls(np.asarray(epochs), (offset**2).sum(axis=2), np.arctan2(v, u), group, label, images, radius, exact)

    def save(self, path: str | Path) -> Path:
        """Write as .npz in one step; returns its path."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **self._arrays())
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Snapshots":
        """Read what `save` wrote; StoredFileError if it is missing or damaged."""
        try:
            values: dict[str, Any] = read_npz(Path(path), [f.name for f in fields(cls)])
            return cls(**(values | {"radius": float(values["radius"]), "exact": bool(values["exact"])}))
        except Exception as error:  # zip, NumPy and our own checks each have errors of their own
            raise StoredFileError(f"The snapshots {path} cannot be read ({error}): record them again.") from error

    def _arrays(self) -> dict[str, Any]:
        small = {"squared_distance": np.float32, "angle": np.float32}
        values = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        return {name: value.astype(small.get(name, str if value.dtype == object else value.dtype)) for name, value in values.items()}


def record_snapshots(
    detector: Tend,
    X_normal: ArrayLike,
    X_normal_val: ArrayLike | None = None,
    *,
    X_shown: ArrayLike,
    X_novel: ArrayLike | None = None,
    novel_labels: Sequence[str] | None = None,
) -> Snapshots:
    """Fit an unfitted Tend and record where `X_shown`, their transforms and `X_novel` lie after each epoch of margin learning.

    X_normal, X_normal_val: what `fit` takes. X_shown: held-out ID images to be watched. X_novel: novel images to be watched, with a class
    each. All (n, channels, height, width). Watched images are looked at, never learnt from. Each is transformed once, by the detector's own
    family, drawn from its seed. Raises DataError for labels that are not one a novel image and for a training that had been finished
    before, and as `fit`.
    """
    settings = detector.Settings.quick() if detector.settings is None else detector.settings
    shown = to_tensor(check_images(X_shown, what="X_shown"))
    groups, seen, raw = (
        [ID] * len(shown) + [TRANSFORMED] * len(shown),
        [near_identity(shown) if settings.match_resampling else shown],
        [shown],
    )
    moved = transformation(settings)(shown, torch_generator(detector.seed, "snapshots"))
    seen.append(moved)
    raw.append(moved)
    labels = ["normal"] * len(shown) + ["transformed"] * len(shown)
    if X_novel is not None:
        novel = to_tensor(check_images(X_novel, what="X_novel"))
        if novel_labels is not None and len(novel_labels) != len(novel):
            raise DataError(f"{len(novel)} novel images but {len(novel_labels)} labels: give one per image.")
        seen.append(near_identity(novel) if settings.match_resampling else novel)
        raw.append(novel)
        groups += [NOVEL] * len(novel)
        labels += [str(name) for name in novel_labels] if novel_labels is not None else ["novel"] * len(novel)
    detector.watch(torch.cat(seen).clamp(0, 1).numpy()).fit(X_normal, X_normal_val)
    epochs = sorted(detector.watched_)
    if not epochs:
        raise DataError("No epoch was recorded, because this training had been finished before: remove its workdir, or choose another.")
    pictures = (torch.cat(raw).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    embeddings = np.stack([detector.watched_[epoch] for epoch in epochs])
    centre = detector.network_.centre.cpu().numpy()
    return Snapshots.of(epochs, embeddings, centre, settings.radius, np.array(groups), np.array(labels), pictures)
