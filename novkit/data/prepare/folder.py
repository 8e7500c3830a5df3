"""Any folder of images with a labels.csv: what `load(FOLDER)` gives, but stored image by image, so that it may exceed memory."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from novkit.data.folder import name_of, own_groups, read_labels, read_mask, read_row, stamp
from novkit.data.prepare import Collection, Files, Recipe, recipes
from novkit.data.reading import in_parallel, with_channels
from novkit.data.store import Sample
from novkit.errors import DataError, SettingsError

RECIPES: tuple[Recipe, ...] = ()  # there is one for each folder, made by `folder_recipe`
RESERVED = ("brain", "skin", "digits")


def folder_recipe(folder: str | Path, name: str | None = None) -> Recipe:
    """The recipe of one's own folder; `name` is what `load` will know it by, default the folder's. Changed files are prepared again.

    Raises SettingsError for a name that is taken or holds other than letters, digits, dot, - and _; DataError as `read_labels`.
    """
    folder = Path(folder).expanduser().resolve()
    name = name or folder.name
    if not all(letter.isalnum() or letter in "-_." for letter in name) or name.startswith("."):
        raise SettingsError(f"{name!r} cannot be the name of a data set: choose letters, digits, - and _.")
    if name in (*RESERVED, *recipes()):
        raise SettingsError(f"{name!r} is the name of a data set that novkit knows: choose another.")
    table = read_labels(folder / "labels.csv")
    return Recipe(
        name=name,
        title=f"images listed in {name_of(folder)}/labels.csv",
        needs="there is no labels.csv",
        collect=partial(_collect, folder),
        options={"size": None, "channels": None},
        normal="",
        groups=f"{'As labels.csv says' if 'group' in table.columns else 'Every image is its own'}; exact duplicates share a group.",
        source=f"Images listed in {name_of(folder)}/labels.csv.",
        licence="As their owner states.",
        stamp=stamp(folder, table, masks=True),
    )


def _collect(folder: Path, files: Files, *, size: int | None, channels: int | None) -> Collection:
    table = read_labels(folder / "labels.csv")
    if channels not in (None, 1, 3):
        raise SettingsError(f"channels is {channels}: choose 1 or 3, or None to see for itself.")
    channels = channels or _channels(folder, table["path"])
    table = table.assign(group=own_groups(table))
    masks = table["mask"] if "mask" in table.columns and (table["mask"] != "").any() else [None] * len(table)
    rows: Any = zip(table["path"], masks, strict=True)
    return Collection(table, _alike(in_parallel(lambda row: _sample(folder, row[0], row[1], size, channels), rows), table["path"]))


def _sample(folder: Path, path: str, mask: str | None, size: int | None, channels: int) -> Sample:
    image = with_channels(read_row(folder, path, size), channels)
    return Sample(image, None if mask is None else read_mask(folder, mask, size, shape=image.shape[1:], resize=size is not None))


def _channels(folder: Path, paths: Any) -> int:
    """3 where an image has colour, else 1; a set without any is read to its end to know."""
    return 3 if any(len(image) == 3 for image in in_parallel(lambda path: read_row(folder, path, None), paths)) else 1


def _alike(samples: Iterator[Sample], paths: Any) -> Iterator[Sample]:
    first: np.ndarray | None = None
    for path, sample in zip(paths, samples, strict=True):
        first = sample.image if first is None else first
        if sample.image.shape != first.shape:
            raise DataError(f"{path} is {sample.image.shape[2]}×{sample.image.shape[1]}, unlike the images before it: give a size for all.")
        if sample.image.dtype != first.dtype:
            raise DataError(f"{path} has {sample.image.dtype.itemsize * 8} bits, unlike the images before it: convert them to one kind.")
        yield sample
