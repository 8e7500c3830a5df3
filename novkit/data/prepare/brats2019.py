"""BraTS 2019: axial slices of skull-stripped MR volumes with gliomas, and the slices of the same patients that lie away from the tumour.

No subject is healthy: "normal" is a slice without tumour of a patient who has one. Which slices are taken, all [O]: every 4 mm; normal ones
hold no tumour and lie at least 10 mm from the nearest slice that does; tumour slices show at least 100 mm² of it; and in each twentieth of
the brain's height there are as many of one kind as of the other, so that the position does not give the class away.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from novkit.data.formats import Volume, axial_view, read_volume
from novkit.data.prepare import Collection, Files, Recipe
from novkit.data.reading import in_parallel, resized
from novkit.data.store import Sample
from novkit.data.untrusted import decoding
from novkit.errors import DataError, SettingsError
from novkit.seeding import numpy_generator

MODALITIES = ("flair", "t1", "t1ce", "t2")
EVERY = 4.0  # mm between slices
AWAY = 10.0  # mm from a normal slice to the nearest with tumour
LEAST_TUMOUR = 100.0  # mm² of a tumour slice
LEAST_BRAIN = 0.25  # of the largest slice's brain
BINS = 20  # of the brain's height
DARKEST, BRIGHTEST = -4.0, 6.0  # robust standard deviations from the brain's median that the grey levels span


@dataclass(frozen=True)
class Subject:
    """The files of one patient."""

    name: str
    grade: str
    scan: Path
    segmentation: Path


def collect(files: Files, *, size: int, modality: str) -> Collection | None:
    """Matched slices with tumour masks and brains; intensities are normalised inside the brain, per volume.

    Raises SettingsError for a modality that is not in MODALITIES, DataError where the subjects are too few to match slices.
    """
    if modality not in MODALITIES:
        raise SettingsError(f"brats2019 has no modality {modality!r}: choose one of {', '.join(MODALITIES)}.")
    scans = {file.name.split(f"_{modality}.nii")[0]: file for file in files.find(f"*_{modality}.nii*")}
    truths = {file.name.split("_seg.nii")[0]: file for file in files.find("*_seg.nii*")}
    subjects = [Subject(name, _grade(scans[name]), scans[name], truths[name]) for name in sorted(scans.keys() & truths.keys())]
    if not subjects:
        return None
    counted = {grade: sum(subject.grade == grade for subject in subjects) for grade in ("HGG", "LGG")}
    candidates = pd.DataFrame([row for rows in in_parallel(_candidates, subjects) for row in rows])
    table = matched(candidates) if len(candidates) else candidates
    if not len(table):
        raise DataError(f"The {len(subjects)} subjects of BraTS 2019 give no matched slices: there are too few of them.")
    by_name = {subject.name: subject for subject in subjects}
    table = table.assign(
        id=[f"{name}_{z:03d}" for name, z in zip(table["group"], table["slice"], strict=True)],
        path=[files.relative(by_name[name].scan) for name in table["group"]],
        mask=[files.relative(by_name[name].segmentation) for name in table["group"]],
        grade=[by_name[name].grade for name in table["group"]],
    )
    return Collection(table, _samples(table, by_name, size), counted)


def _grade(scan: Path) -> str:
    return next((part for part in reversed(scan.parts) if part in ("HGG", "LGG")), "unknown")


def _volumes(subject: Subject) -> tuple[Volume, np.ndarray, np.ndarray]:
    """The scan, its brain and its tumour, (x, y, z) bool. The skull is stripped: outside the brain all is 0."""
    scan, segmentation = read_volume(subject.scan), read_volume(subject.segmentation)
    if scan.values.shape != segmentation.values.shape:
        raise DataError(f"{subject.segmentation} and {subject.scan.name} differ in shape: download them again.")
    brain = scan.values > 0
    if not brain.any():
        raise DataError(f"{subject.scan} is empty: download it again.")
    return scan, brain, segmentation.values > 0.5


def candidate_slices(subject: Subject) -> Iterator[dict[str, object]]:
    """Rows group, slice, z_rel (0 = lowest, 1 = highest slice of the brain), label and tumour_mm2 of all slices that qualify."""
    scan, brain, tumour = _volumes(subject)
    dx, dy, dz = scan.spacing
    brain_area, tumour_area = brain.sum(axis=(0, 1)) * dx * dy, tumour.sum(axis=(0, 1)) * dx * dy
    low, high = np.flatnonzero(brain_area)[[0, -1]]
    with_tumour = np.flatnonzero(tumour_area)
    for z in range(low, high + 1, max(1, round(EVERY / dz))):
        away = np.abs(with_tumour - z).min() * dz if len(with_tumour) else np.inf
        normal, novel = away >= AWAY, tumour_area[z] >= LEAST_TUMOUR
        if (normal or novel) and brain_area[z] >= LEAST_BRAIN * brain_area.max():
            row = {"group": subject.name, "slice": int(z), "z_rel": float((z - low) / max(high - low, 1))}
            yield row | {"label": "tumour" if novel else "normal", "tumour_mm2": float(tumour_area[z])}


@decoding()
def _candidates(subject: Subject) -> list[dict[str, object]]:
    return list(candidate_slices(subject))


def matched(candidates: pd.DataFrame) -> pd.DataFrame:
    """As many normal as tumour slices in each bin of `z_rel`, drawn at random, always the same; sorted by group and slice."""
    candidates = candidates.sort_values(["group", "slice"], ignore_index=True)
    height = np.minimum((candidates["z_rel"].to_numpy() * BINS).astype(int), BINS - 1)
    kept: list[int] = []
    for number in range(BINS):
        kinds = [np.flatnonzero((height == number) & (candidates["label"] == label).to_numpy()) for label in ("normal", "tumour")]
        least = min(map(len, kinds))
        for label, rows in zip(("normal", "tumour"), kinds, strict=True):
            kept += numpy_generator(0, "brats2019", number, label).permutation(rows)[:least].tolist()
    return candidates.iloc[sorted(kept)].reset_index(drop=True)


def _samples(table: pd.DataFrame, subjects: dict[str, Subject], size: int) -> Iterator[Sample]:
    """The slices, volume by volume."""
    wanted = [(subjects[str(name)], [int(z) for z in rows["slice"]]) for name, rows in table.groupby("group", sort=False)]
    for samples in in_parallel(lambda item: _slices(item[0], item[1], size), wanted):
        yield from samples


@decoding()
def _slices(subject: Subject, slices: list[int], size: int) -> list[Sample]:
    scan, brain, tumour = _volumes(subject)
    grey = normalised(scan.values, brain)
    made = []
    for z in slices:
        image = on_square(axial_view(grey[:, :, z]), scan.spacing[:2], size)
        inside = ndimage.binary_fill_holes(axial_view(brain[:, :, z])).astype(np.float32)
        body, mask = (on_square(plane, scan.spacing[:2], size) > 0.5 for plane in (inside, axial_view(tumour[:, :, z]).astype(np.float32)))
        made.append(Sample(np.rint(255 * image).astype(np.uint8)[None], mask, body))
    return made


def normalised(values: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Grey levels in [0, 1], 0 outside the brain; the brain's median and interquartile range, hardly moved by a tumour, set the scale."""
    low, middle, high = (float(level) for level in np.percentile(values[brain], (25, 50, 75)))
    deviations = (values - middle) / max((high - low) / 1.349, 1e-6)  # 1.349 standard deviations of a normal distribution
    return np.where(brain, np.clip((deviations - DARKEST) / (BRIGHTEST - DARKEST), 1 / 255, 1), 0).astype(np.float32)


def on_square(plane: np.ndarray, spacing: tuple[float, float], size: int) -> np.ndarray:
    """(height, width) with voxels of spacing (x, y) mm -> (size, size), in true proportions, centred on black."""
    height, width = plane.shape[0] * spacing[1], plane.shape[1] * spacing[0]
    scale = size / max(height, width)
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    square = np.zeros((size, size), np.float32)
    top, left = (size - shape[0]) // 2, (size - shape[1]) // 2
    square[top : top + shape[0], left : left + shape[1]] = resized(plane[None], shape)[0]
    return square


RECIPES = (
    Recipe(
        name="brats2019",
        title="BraTS 2019: axial MR slices with tumour, and away from it, with masks",
        needs=(
            "register for BraTS 2019 at the CBICA (University of Pennsylvania), download MICCAI_BraTS_2019_Data_Training.zip and put it, "
            "or its folders HGG and LGG, into {raw}"
        ),
        collect=collect,
        archives=("MICCAI_BraTS_2019_Data_Training.zip",),
        complete={"HGG": 259, "LGG": 76},
        options={"size": 128, "modality": "flair"},
        normal="normal",
        groups="The patient. Some are of TCGA-GBM and TCGA-LGG: no test on those sets after training on this one.",
        source="BraTS 2019 (Menze et al. 2015, Bakas et al. 2017 and 2018).",
        licence="As agreed on registration: research, with citation.",
    ),
)
