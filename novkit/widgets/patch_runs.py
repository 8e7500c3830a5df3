"""Patch scores of several Patch-GANs, precomputed: other patches and mask shares, the same images. `python -m novkit.widgets.patch_runs`.

The grid: patches of 4 and 8 pixels × an eighth, a quarter and a half hidden. Everything else is alike in all six runs.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from novkit.data import load
from novkit.data.arrays import read_npz
from novkit.data.splits import split_by_group
from novkit.errors import DataError, StoredFileError
from novkit.files import replacing
from novkit.images import check_images
from novkit.notebooks import reference_results
from novkit.patchgan import PatchGan, PatchGanSettings
from novkit.patchgan.masking import PatchGrid
from novkit.progress import progress_bar
from novkit.widgets.patch_view import PatchScores

PATCHES = (4, 8)  # pixels a side
MASK_SHARES = (0.125, 0.25, 0.5)
FILE = "patch_runs.npz"
_COMMAND = "python -m novkit.widgets.patch_runs"
_BOXES = (16, 8)  # sides of the hidden boxes in pixels, the same whatever the patch
_SMALL = {"width": 8, "discriminator_width": 8, "batch_size": 8}  # six runs in minutes on two cores
_TRAINED_ON, _LOOKED_AT = 0, 7  # development seeds: other subjects


@dataclass(frozen=True)
class PatchRuns:
    """Patch scores of the same images by several runs.

    scores: {(patch side in pixels, mask share): PatchScores}. images: (n, channels, height, width) uint8. masks: (n, height, width) bool.
    labels: (n,) text. about: how the runs were trained, in one sentence. Raises DataError where the parts do not fit.
    """

    scores: dict[tuple[int, float], PatchScores]
    images: np.ndarray
    masks: np.ndarray
    labels: np.ndarray
    about: str = ""

    def __post_init__(self) -> None:
        n = len(check_images(self.images, what="images"))
        if not self.scores or {len(run.scores) for run in self.scores.values()} | {len(self.masks), len(self.labels)} != {n}:
            raise DataError(f"{n} images, but their runs, masks or labels are of another number: give one of each for every image.")
        if self.masks.dtype != bool or self.masks.shape[1:] != self.images.shape[2:] or self.labels.ndim != 1:
            raise DataError(
                f"Images of shape {self.images.shape}, but masks of {self.masks.dtype} {self.masks.shape} and labels of "
                f"{self.labels.shape}: give bool (n, height, width) and (n,)."
            )

    def save(self, path: str | Path) -> Path:
        """Write as .npz in one step; returns its path."""
        arrays: dict[str, Any] = {"images": self.images, "masks": self.masks, "labels": self.labels.astype(str), "about": self.about}
        arrays["runs"] = np.array(list(self.scores), dtype=np.float64)
        arrays |= {f"scores_{i}": run.scores.astype(np.float32) for i, run in enumerate(self.scores.values())}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path | None = None) -> "PatchRuns":
        """Read what `save` wrote, by default the grid stored with the reference results; StoredFileError if it is missing or damaged."""
        path = reference_results() / FILE if path is None else Path(path)
        try:
            stored = read_npz(path)
            images = stored["images"]
            scores = {}
            for i, (patch, share) in enumerate(stored["runs"].tolist()):
                grid = PatchGrid.of(images.shape[1:], int(patch))
                scores[(int(patch), share)] = PatchScores(stored[f"scores_{i}"].astype(np.float64), grid)
            return cls(scores, images, stored["masks"], stored["labels"], str(stored["about"]))
        except Exception as error:  # zip, NumPy and our own checks each have errors of their own
            raise StoredFileError(f"The patch runs {path} cannot be read ({error}): make them with `{_COMMAND}`.") from error


def run_grid(
    *, n_healthy: int = 800, n_shown: int = 20, n_novel_shown: int = 8, epochs: int = 5, progress: bool = True, **settings: Any
) -> PatchRuns:
    """Train one Patch-GAN for each point of the grid and let each score the same slices of other subjects.

    n_healthy: synthetic healthy slices, 60 % of them to train on. n_shown, n_novel_shown: slices looked at, healthy and of each condition,
    one a subject, the first ones made. settings: other changes to PatchGanSettings.quick().
    """
    healthy = load("brain", seed=_TRAINED_ON, n_healthy=n_healthy, n_novel=4, conditions=("healthy",), progress=progress)
    split = split_by_group(healthy, "healthy", seed=_TRAINED_ON)
    fresh = load("brain", seed=_LOOKED_AT, n_healthy=4 * n_shown, n_novel=4 * n_novel_shown, progress=progress)
    fresh = fresh.subset(np.arange(1, len(fresh), 4))  # the second of each subject's four slices
    scores = {}
    for patch, share in progress_bar(list(product(PATCHES, MASK_SHARES)), desc="Patch-GANs", unit="run", disable=not progress):
        boxes = tuple(side // patch for side in _BOXES)
        changed = {**_SMALL, "patch": patch, "mask_share": share, "boxes": boxes, "epochs": epochs, **settings}
        detector = PatchGan(PatchGanSettings.quick(**changed), seed=_TRAINED_ON, progress=False)
        detector.fit(healthy.images[split.train], healthy.images[split.calibration], X_threshold=healthy.images[split.threshold])
        scores[(patch, share)] = PatchScores(detector.components(fresh.images)["patch_scores"], detector.grid_)
    about = (
        f"Each run: a small network, {len(split.train)} synthetic healthy slices, {epochs} epochs, seed {_TRAINED_ON}, hidden boxes of "
        f"{' or '.join(map(str, _BOXES))} pixels; looked at: {len(fresh)} slices of other subjects, one each."
    )
    assert fresh.masks is not None
    return PatchRuns(scores, np.asarray(fresh.images), np.asarray(fresh.masks), fresh.labels.astype(str), about)


if __name__ == "__main__":
    print(run_grid().save(reference_results() / FILE))
