"""Any folder of images with a labels.csv of `path,label,group,mask`."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd
import psutil
from PIL import Image

from novkit.data.cache import cached
from novkit.data.dataset import ImageDataset
from novkit.data.reading import WIDE, in_parallel, open_image, read_image, with_channels
from novkit.data.tables import choose_normal, content_fingerprint, duplicate_report, join_duplicates, pixel_hashes, read_csv, select_rows
from novkit.data.untrusted import decoding, is_file, reading
from novkit.errors import DataError, SettingsError
from novkit.progress import progress_bar

_LONGEST = 1000  # letters of a path
_TEXT = ("path", "id", "label", "group", "mask")


def load_folder(
    folder: str | Path,
    *,
    size: int | None = None,
    channels: int | None = None,
    normal: str | None = None,
    where: str | None = None,
    classes: str = "label",
    masks: bool = True,
    cache: bool = True,
    progress: bool = True,
) -> ImageDataset:
    """The images that `folder`/labels.csv lists; what the columns mean is told in docs/data.md.

    size: side in pixels to resize to, square and antialiased; None keeps the images as they are, if all are alike.
    channels: 1 or 3; None gives 1 where every image is grey, also when it is coded as RGB.
    normal: the normal class; default "normal", "healthy" or "benign" where there is one, else the most frequent.
    where: keep only the rows for which this holds, such as "age > 40 and label == 'normal'".
    classes: the column that names the classes, such as "subtype"; where its cell is empty, `label` does.
    masks: read the masks; False where they do not mark what is abnormal.
    cache: keep the prepared images in the cache folder, so that the next call is quick.
    Exact duplicates get the same group. Raises DataError naming the file or the row that cannot be used, SettingsError for other channels
    and for a size outside 4 to 4096.
    """
    if channels not in (None, 1, 3):
        raise SettingsError(f"channels is {channels}: choose 1 or 3, or None to see for itself.")
    if size is not None and not 4 <= size <= 4096:
        raise SettingsError(f"size is {size}: choose a side from 4 to 4096 pixels.")
    folder = Path(folder)
    table = read_labels(folder / "labels.csv")
    table = _with_classes(table.iloc[select_rows(table, where)].reset_index(drop=True), classes, folder)
    make = partial(_prepare, folder, table, size=size, channels=channels, normal=normal, masks=masks, progress=progress)
    if not cache:
        return make()
    options = {
        "size": size,
        "channels": channels,
        "normal": normal,
        "where": where,
        "masks": masks,
        **({"classes": classes} if classes != "label" else {}),
    }
    return cached(name_of(folder), {**options, "content": stamp(folder, table, masks)}, make)


def read_labels(file: Path) -> pd.DataFrame:
    """labels.csv as a table: path, id, label, group and mask as text, the other columns as numbers where all their cells are.

    Raises DataError where there is none, a path or a label is missing or empty, or a path leads out of the folder.
    """
    if not is_file(file):
        raise DataError(f"{file.parent} has no labels.csv: write one with the columns path,label and, if known, group,mask.")
    table = read_csv(file)
    for column in ("path", "label"):
        if column not in table.columns:
            raise DataError(f"{file} has no column {column!r}, its columns are {_shortened(', '.join(table.columns))}: add it.")
        empty = table[column].str.strip() == ""
        if empty.any():
            raise DataError(f"{file} has an empty {column!r} in line {int(empty.to_numpy().argmax()) + 2}: fill it in.")
    if not len(table):
        raise DataError(f"{file} lists no image: add a row for each.")
    for column in {"path", "mask"} & set(table.columns):
        for line, path in enumerate(table[column], start=2):
            if _leaves(path) or len(path) > _LONGEST:
                raise DataError(f"{file} names {_shortened(repr(path))} in line {line}: give a path inside the folder, without '..'.")
    numeric = {}
    for column in table.columns.difference(list(_TEXT)):
        numbers = pd.to_numeric(table[column].replace("", np.nan), errors="coerce")
        if numbers.notna().any() and not (numbers.isna() & (table[column] != "")).any():
            numeric[column] = numbers
    table = table.assign(**numeric).copy()  # in one block a type: pandas slows down, and warns, with each column on its own
    if "id" not in table.columns:
        table.insert(0, "id", table["path"])
    return table


def _with_classes(table: pd.DataFrame, column: str, folder: Path) -> pd.DataFrame:
    """The table with `label` taken from another column, where that one is filled."""
    if column not in table.columns:
        raise DataError(f"{folder / 'labels.csv'} has no column {column!r}, its columns are {', '.join(table.columns)}: name one of them.")
    finer = table[column].astype(str)
    return table.assign(label=finer.where(finer.str.strip() != "", table["label"]))


def _shortened(text: str) -> str:
    return text if len(text) <= 300 else text[:299] + "…"


def _leaves(path: str) -> bool:
    """Whether a path of labels.csv could point outside its folder, on any system."""
    windows = PureWindowsPath(path)  # takes both kinds of slash
    return bool(windows.drive or windows.root or PurePosixPath(path).is_absolute() or ".." in windows.parts or "\0" in path)


def _prepare(
    folder: Path, table: pd.DataFrame, *, size: int | None, channels: int | None, normal: str | None, masks: bool, progress: bool
) -> ImageDataset:
    read_bounded = _Room(len(table), channels).bounded(read_row)
    images = _stack(list(_read_all(read_bounded, folder, table["path"], size, progress, "images")), table["path"], channels)
    marked = None
    if masks and "mask" in table.columns and (table["mask"] != "").any():
        read = partial(read_mask, shape=images.shape[2:], resize=size is not None)
        marked = np.stack(list(_read_all(read, folder, table["mask"], size, progress, "masks")))
    own = own_groups(table)
    hashes = pixel_hashes(images)
    joined = join_duplicates(own, hashes)
    grouped = "As labels.csv says; exact duplicates share a group."
    if "group" not in table.columns:
        grouped = "labels.csv has no group: every image is its own, exact duplicates share one."
    table = table.assign(group=joined)
    return ImageDataset(
        name=name_of(folder),
        images=images,
        table=table,
        masks=marked,
        normal=choose_normal(table["label"].to_numpy(), normal, folder.name),
        source=f"Images listed in {name_of(folder)}/labels.csv.",
        licence="As their owner states.",
        fingerprint=content_fingerprint(hashes, table),
        extra={"groups": grouped, **duplicate_report(own, joined, hashes)},
    )


def name_of(folder: Path) -> str:
    """The name of a folder as text, also of one whose name is not UTF-8."""
    return folder.resolve().name.encode("utf-8", "backslashreplace").decode()


def own_groups(table: pd.DataFrame) -> np.ndarray:
    """The groups as labels.csv has them; an image without one is its own."""
    own = table["group"].to_numpy() if "group" in table.columns else np.full(len(table), "")
    return np.where(own == "", table["id"].to_numpy(), own)


def _read_all(
    read: Callable[..., np.ndarray], folder: Path, paths: pd.Series, size: int | None, progress: bool, what: str
) -> Iterator[np.ndarray]:
    results = in_parallel(lambda path: read(folder, path, size), paths)
    yield from progress_bar(results, total=len(paths), desc=f"{folder.name}: {what}", disable=not progress, delay=2, leave=False)


def read_row(folder: Path, path: str, size: int | None) -> np.ndarray:
    """The image that a row's `path` names, resized to a square where a size is given."""
    return read_image(_file(folder, path), None if size is None else (size, size))


class _Room:
    """The memory for n images and for the array that `_stack` makes of them: a line of labels.csv can stand for a large image."""

    def __init__(self, n: int, channels: int | None) -> None:
        self.lock, self.n, self.channels = threading.Lock(), n, channels
        self.free, self.held, self.unread = psutil.virtual_memory().available, 0, n
        self.refusal: DataError | None = None

    def bounded(self, read: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        """`read`; its DataError comes as soon as the images, all as large as this one and grey where not yet read, would not fit."""

        def read_bounded(folder: Path, path: str, size: int | None) -> np.ndarray:
            if self.refusal is not None:  # other threads read on until the refusal is seen
                raise self.refusal
            image = read(folder, path, size)
            plane = image.nbytes // len(image)
            with self.lock:
                self.held, self.unread = self.held + image.nbytes, self.unread - 1
                needed = self.held + plane * (self.unread + self.n * (self.channels or len(image)))
            if needed > self.free:
                self.refusal = DataError(
                    f"{folder / 'labels.csv'} lists {self.n} images, which, all {image.shape[2]}×{image.shape[1]} as {path}, would take "
                    f"{needed >> 20} MiB of memory where {self.free >> 20} are free: give a smaller size= (--size), "
                    "or store them with `novkit data prepare`."
                )
                raise self.refusal
            return image

        return read_bounded


def _file(folder: Path, path: str) -> Path:
    """The file a row of labels.csv names, whichever slash it was written with."""
    return folder / path.replace("\\", "/")


@decoding()
def read_mask(folder: Path, path: str, size: int | None, *, shape: tuple[int, int], resize: bool) -> np.ndarray:
    """(height, width) bool: what is above half of the range; an empty path marks nothing.

    shape: (height, width) of the image. Raises DataError for a mask that cannot be read, or is of another shape and not to be resized.
    """
    if not path:
        return np.zeros(shape, bool)
    image = open_image(_file(folder, path))
    with reading(folder / path, "a mask"):
        image = image.convert("L") if image.mode not in WIDE else image
        if image.size != shape[::-1]:
            if not resize:
                raise DataError(
                    f"{folder / path} is {image.width}×{image.height} but its image {shape[1]}×{shape[0]}: give size= to resize both."
                )
            image = image.resize(shape[::-1], Image.Resampling.NEAREST)
        array = np.asarray(image)
    return array > array.max() / 2 if array.max() < 128 else array > 127  # also masks written as 0 and 1


def _stack(arrays: list[np.ndarray], paths: pd.Series, channels: int | None) -> np.ndarray:
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        sizes = ", ".join(f"{w}×{h}" for h, w in sorted(shapes)[:3])
        raise DataError(f"The images have {len(shapes)} different sizes ({sizes}…): give size= to resize them all.")
    if len({array.dtype for array in arrays}) > 1:
        odd = next(path for path, array in zip(paths, arrays, strict=True) if array.dtype == np.uint16)
        raise DataError(f"{odd} has 16 bits where other images have 8: convert them to one kind.")
    wanted = channels or max(len(array) for array in arrays)
    stacked = np.empty((len(arrays), wanted, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in enumerate(arrays):
        stacked[row] = with_channels(array, wanted)
    return stacked


def stamp(folder: Path, table: pd.DataFrame, masks: bool) -> str:
    """A hash of the table and of every file's size and time: changes when the folder does, without reading the images."""
    digest = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogatepass") + table.to_csv(index=False).encode())
    for column in ("path", *(["mask"] if masks and "mask" in table.columns else [])):
        for path in table[column]:
            file = _file(folder, path)
            if path and is_file(file):
                status = file.stat()
                digest.update(f"{path}:{status.st_size}:{status.st_mtime_ns};".encode())
    return digest.hexdigest()
