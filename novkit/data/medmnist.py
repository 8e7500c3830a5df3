"""MedMNIST: the usual .npz of any two-dimensional set."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from novkit.data.arrays import npy_header, opened_npz, read_npz
from novkit.data.dataset import ImageDataset
from novkit.data.tables import choose_normal, content_fingerprint, duplicate_report, join_duplicates, pixel_hashes, select_rows
from novkit.errors import DataError

PARTS = ("train", "val", "test")
MAX_CLASSES = 1000  # more are a mistake: the labels are not those of a MedMNIST set

CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "pneumoniamnist": ("normal", "pneumonia"),
    "breastmnist": ("malignant", "normal or benign"),
    "octmnist": ("choroidal neovascularisation", "diabetic macular oedema", "drusen", "normal"),
    "dermamnist": (
        "actinic keratosis",
        "basal cell carcinoma",
        "benign keratosis",
        "dermatofibroma",
        "melanoma",
        "melanocytic naevus",
        "vascular lesion",
    ),
}
"""What the numbers mean in the sets most used here, by the file's name; the others keep their numbers."""


def load_medmnist(
    path: str | Path, *, normal: str | None = None, class_names: tuple[str, ...] | None = None, where: str | None = None
) -> ImageDataset:
    """A MedMNIST .npz as one data set; the table's column `part` says train, val or test as published.

    normal: the normal class; default "normal" where there is one, else the most frequent.
    class_names: names of the classes 0, 1, …; default those of the set where known, else the numbers.
    where: keep the rows for which this holds, such as "part == 'train'".
    Sets with several labels an image (ChestMNIST) become "no finding" and "finding", with columns finding_0, finding_1, …
    Patients are not published: every image is its own group, except that exact duplicates share one.
    Raises DataError for a file of another kind.
    """
    path = Path(path)
    images, numbers, part = _read(path)
    table = medmnist_table(path, numbers, part, class_names)
    if normal is None and numbers.shape[1] > 1:
        normal = "no finding"
    rows = select_rows(table, where)
    images, table = images[rows], table.iloc[rows].reset_index(drop=True)
    hashes = pixel_hashes(images)
    table.insert(2, "group", join_duplicates(table["id"].to_numpy(), hashes))
    return ImageDataset(
        name=path.stem,
        images=images,
        table=table,
        normal=choose_normal(table["label"].to_numpy(), normal, path.stem),
        source=f"MedMNIST v2 (Yang et al. 2023), file {path.name}.",
        licence="CC BY 4.0, except DermaMNIST: CC BY-NC 4.0.",
        fingerprint=content_fingerprint(hashes, table),
        extra={
            "groups": "Patients are not published: every image is its own group, exact duplicates share one.",
            **duplicate_report(table["id"].to_numpy(), table["group"].to_numpy(), hashes),
        },
    )


def medmnist_table(path: Path, numbers: np.ndarray, part: np.ndarray, class_names: tuple[str, ...] | None = None) -> pd.DataFrame:
    """id, label and part of every image; the labels' names by the file's, and all findings where an image can have several.

    numbers: (n, labels an image) int. part: (n,) text. Raises DataError for a class that no set has, or that class_names does not name.
    """
    table = pd.DataFrame({"part": part})
    table.insert(0, "id", [f"{p}-{i}" for p, i in zip(part, table.groupby("part").cumcount(), strict=True)])
    if numbers.shape[1] > 1:
        table.insert(1, "label", np.where(numbers.any(axis=1), "finding", "no finding"))
        return table.assign(**{f"finding_{k}": numbers[:, k] for k in range(numbers.shape[1])})
    if numbers.min() < 0 or numbers.max() >= MAX_CLASSES:
        raise DataError(f"{path.name} has the class {int(numbers.max())}: download it again, no set has more than {MAX_CLASSES} classes.")
    stem = path.stem.lower().split("_")[0]  # pneumoniamnist_64.npz holds the same classes
    names = class_names or CLASS_NAMES.get(stem) or tuple(str(k) for k in range(int(numbers.max()) + 1))
    if numbers.max() >= len(names):
        raise DataError(f"{path.name} has class {int(numbers.max())} but {len(names)} class names were given: name every class.")
    table.insert(1, "label", np.array(names, dtype=object)[numbers[:, 0]])
    return table


def stream_images(path: Path) -> Iterator[np.ndarray]:
    """The images of all parts in order, (channels, height, width) uint8, read one by one: the largest files exceed memory.

    Raises DataError for a file that lacks a part, or whose images are not two-dimensional.
    """
    with opened_npz(path) as archive:
        for part in PARTS:
            name = f"{part}_images.npy"
            if name not in archive.namelist():
                raise DataError(f"{path.name} lacks {name}: it is not a MedMNIST file.")
            with archive.open(name) as stream:
                (n, *shape), dtype, _, by_columns = npy_header(stream, archive.getinfo(name), f"{part}_images of {path}")
                if dtype != np.uint8 or by_columns or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)) or not all(shape):
                    raise DataError(
                        f"{path.name} has images of shape {tuple(shape)} and type {dtype}: only two-dimensional sets can be used."
                    )
                for _ in range(n):
                    image = np.frombuffer(stream.read(int(np.prod(shape))), np.uint8).reshape(shape)
                    yield image[None] if image.ndim == 2 else np.ascontiguousarray(image.transpose(2, 0, 1))


def read_numbers(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n, k) int and parts (n,) of a file, without its images."""
    labels = _labels(path, _arrays(path, [f"{part}_labels" for part in PARTS]))
    return np.concatenate(labels), np.repeat(np.array(PARTS, dtype=object), [len(array) for array in labels])


def _labels(path: Path, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """(n, k) int of each part, k the same in all."""
    labels = [arrays[f"{part}_labels"] for part in PARTS]
    labels = [array.reshape(len(array), -1) if array.size else array.reshape(len(array), 0) for array in labels]
    widths = {array.shape[1] for array in labels if len(array)}
    fits = all(np.issubdtype(array.dtype, np.integer) for array in labels) and len(widths) == 1 and 0 < min(widths) <= MAX_CLASSES
    if not fits:
        found = ", ".join(f"{array.shape} {array.dtype}" for array in labels)
        raise DataError(f"{path.name} has labels of shape and type {found}, not whole numbers for each image: download it again.")
    return [array.reshape(len(array), min(widths)).astype(np.int64) for array in labels]


def _arrays(path: Path, needed: list[str]) -> dict[str, np.ndarray]:
    try:
        arrays = read_npz(path, needed)
    except KeyError as error:
        raise DataError(f"{path.name} lacks {error.args[0]!r}: it is not a MedMNIST file.") from error
    for name, array in arrays.items():
        if array.ndim == 0:
            raise DataError(f"{path.name} has a single number as {name!r}: it is not a MedMNIST file.")
    return arrays


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """images (n, channels, h, w) uint8, labels (n, k) int, part (n,) text."""
    arrays = _arrays(path, [f"{part}_{what}" for part in PARTS for what in ("images", "labels")])
    parts = [arrays[f"{part}_images"] for part in PARTS]
    kinds = {(array.shape[1:], array.dtype.str) for array in parts}
    shape, dtype = parts[0].shape[1:], parts[0].dtype
    if len(kinds) > 1 or dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)) or not all(shape):
        raise DataError(f"{path.name} has images of shape {shape} and type {dtype}: only the two-dimensional sets can be used.")
    labels = _labels(path, arrays)
    counts = [len(array) for array in parts]
    if [len(array) for array in labels] != counts or not sum(counts):
        raise DataError(f"{path.name} has {counts} images but {[len(array) for array in labels]} labels: download it again.")
    images = np.concatenate(parts)
    images = images[:, None] if images.ndim == 3 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return images, np.concatenate(labels), np.repeat(np.array(PARTS, dtype=object), counts)
