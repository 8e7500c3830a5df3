"""Prepared data on disk: one array of images, a table, and a manifest with counts and hashes; opened at once, however large.

A folder holds images.npy, table.csv, manifest.json and, where there are any, masks.npy and body.npy. It is written image by image and
becomes visible only when it is complete.
"""

import hashlib
import io
import mmap
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from novkit.data.dataset import ImageDataset
from novkit.data.tables import content_fingerprint, duplicate_report, join_duplicates, pixel_hashes, read_table, write_table
from novkit.data.untrusted import quiet
from novkit.errors import DataError, StoredFileError
from novkit.files import read_json, replacing_folder, write_json
from novkit.progress import progress_bar

FORMAT = 1  # of the folder
_ARRAYS = ("images", "masks", "body")
_AT_ONCE = 2**28  # bytes of a map that may lie in memory before they are handed back


class Sample(NamedTuple):
    """What is stored of one image.

    image: (channels, height, width), uint8 or uint16. mask, body: (height, width) bool; all samples of a set have one, or none has.
    """

    image: np.ndarray
    mask: np.ndarray | None = None
    body: np.ndarray | None = None


class ImageMap(np.memmap):
    """A read-only memory map that hands its pages back while it is gone through.

    A plain map of 20 GB counts as 20 GB of the process's memory once all of it has been read. Indexing works as in NumPy: a slice is a view
    and stays valid, for a page that was handed back is read again when it is touched.
    """

    _mmap: mmap.mmap | None  # NumPy's own; None for a copy
    _read: list[int]

    def __array_finalize__(self, obj: Any) -> None:
        super().__array_finalize__(obj)
        self._read = getattr(obj, "_read", [0])  # one count for all views of a map

    def __getitem__(self, index: Any) -> Any:
        if self._mmap is not None and self._read[0] > _AT_ONCE and hasattr(mmap, "MADV_DONTNEED"):  # Windows has none
            self._mmap.madvise(mmap.MADV_DONTNEED)
            self._read[0] = 0
        part = super().__getitem__(index)
        if not isinstance(part, np.ndarray):
            return part
        self._read[0] += part.nbytes
        return part if getattr(part, "_mmap", None) is not None else part.view(np.ndarray)  # fancy indexing copies

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        array = np.asarray(array)  # what is computed from a map is none
        return array[()] if return_scalar else array


def open_map(file: Path) -> ImageMap:
    """An .npy as a read-only `ImageMap`."""
    return np.load(file, mmap_mode="r", allow_pickle=False).view(ImageMap)


def write_store(
    folder: Path,
    table: pd.DataFrame,
    samples: Iterable[Sample],
    described: dict[str, Any],
    *,
    made_of: dict[str, Any],
    progress: bool = True,
) -> None:
    """Write a prepared data set; an older one at `folder` is replaced when the new one is complete.

    table: columns id, label, group, path and others, one row a sample and in their order; exact duplicates are given one group here.
    described: name, normal, source, licence and extra of the data set. made_of: what the manifest shall say of its making.
    Raises DataError where samples and table do not fit, StoredFileError where the disk refuses; then nothing is left behind.
    """
    with replacing_folder(folder) as temporary:
        hashes: list[str] = []
        with ExitStack() as stack:
            files: dict[str, _ArrayFile] = {}
            for sample in progress_bar(samples, total=len(table), desc=f"{described['name']}: images", disable=not progress, delay=1):
                if not hashes:
                    kinds = [kind for kind, array in zip(_ARRAYS, sample, strict=True) if array is not None]
                    files = {kind: stack.enter_context(_ArrayFile(temporary / f"{kind}.npy", len(table))) for kind in kinds}
                for kind, array in zip(_ARRAYS, sample, strict=True):
                    if (array is not None) != (kind in files):
                        raise DataError(f"{described['name']}: image {len(hashes)} differs from the first in having {kind}.")
                    if array is not None:
                        files[kind].append(array)
                hashes.append(pixel_hashes(sample.image[None])[0])
        if len(hashes) != len(table):
            raise DataError(f"{described['name']}: {len(hashes)} images came for the {len(table)} rows of its table.")
        joined = join_duplicates(table["group"].to_numpy(), np.array(hashes))
        report = duplicate_report(table["group"].to_numpy(), joined, np.array(hashes))
        table = table.assign(group=joined)
        columns = write_table(temporary / "table.csv", table)
        dataset = {**described, "fingerprint": content_fingerprint(np.array(hashes), table)}
        dataset["extra"] = {**described.get("extra", {}), **report}
        contents = {f"{kind}.npy": file.entry() for kind, file in files.items()} | {"table.csv": file_entry(temporary / "table.csv")}
        manifest = {"format": FORMAT, "dataset": dataset, "counts": _counts(table), "columns": columns, "files": contents}
        write_json(temporary / "manifest.json", {**manifest, **made_of})


def open_store(folder: Path) -> ImageDataset:
    """A prepared data set, memory-mapped; the arrays are not read, `verify_store` does that.

    Raises StoredFileError where a file is missing or of another size than the manifest says.
    """
    manifest = read_json(folder / "manifest.json", "manifest of a prepared data set")
    try:
        if manifest["format"] != FORMAT:
            written = str(manifest["format"])[:20]
            raise StoredFileError(f"{folder} was prepared in format {written}, this novkit reads {FORMAT}: prepare it again.")
        for name, entry in manifest["files"].items():
            if not (folder / name).is_file() or (folder / name).stat().st_size != entry["bytes"]:
                raise StoredFileError(f"{folder / name} is missing or cut short: delete {folder} and prepare it again.")
        with quiet():
            arrays: dict[str, Any] = {kind: open_map(folder / f"{kind}.npy") for kind in _ARRAYS if f"{kind}.npy" in manifest["files"]}
            dataset = ImageDataset(table=read_table(folder / "table.csv", manifest["columns"]), **arrays, **manifest["dataset"])
        check_dataset(dataset)
        return dataset
    except StoredFileError:
        raise
    except Exception as error:  # NumPy, pandas and a manifest that somebody has changed each have errors of their own
        words = " ".join(str(error).split())[:200]
        raise StoredFileError(f"{folder} is damaged ({words}): delete it and prepare it again.") from error


def check_dataset(dataset: ImageDataset) -> None:
    """DataError where a data set read from disk is none that was ever written: the types of its parts, and how they fit."""
    for what in ("name", "normal", "source", "licence", "fingerprint"):
        if not isinstance(getattr(dataset, what), str):
            raise DataError(f"{what} is no text: make it again.")
    if not (isinstance(dataset.synthetic, bool) and isinstance(dataset.extra, dict)):
        raise DataError("its description has values of the wrong kind: make it again.")
    for what in ("id", "label", "group"):
        if pd.api.types.is_numeric_dtype(dataset.table[what]):
            raise DataError(f"the column {what} holds numbers: make it again.")
    if (
        dataset.images.dtype not in (np.uint8, np.uint16, np.float32)
        or not dataset.images.size
        or dataset.normal not in set(dataset.labels)
    ):
        raise DataError("its images or its normal class cannot be: make it again.")
    for marked in (dataset.masks, dataset.body):
        if marked is not None and (marked.dtype != np.bool_ or marked.shape != (len(dataset), *dataset.images.shape[2:])):
            raise DataError("its masks do not fit its images: make it again.")


def verify_store(folder: Path) -> None:
    """Read every file and compare its hash with the manifest; StoredFileError names the first that differs."""
    manifest = read_json(folder / "manifest.json", "manifest of a prepared data set")
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict):
        raise StoredFileError(f"{folder / 'manifest.json'} lists no files: delete {folder} and prepare it again.")
    for name, entry in files.items():
        if not (folder / name).is_file() or file_entry(folder / name) != entry:
            raise StoredFileError(f"{folder / name} is not what was prepared: delete {folder} and prepare it again.")


def file_entry(file: Path) -> dict[str, Any]:
    """{"bytes", "sha256"} of a file, as manifests hold it."""
    with open(file, "rb") as stream:
        return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def _counts(table: pd.DataFrame) -> dict[str, Any]:
    labels = {
        str(label): {"images": len(rows), "groups": int(rows["group"].nunique())} for label, rows in table.groupby("label", sort=True)
    }
    return {"images": len(table), "groups": int(table["group"].nunique()), "labels": labels}


class _ArrayFile:
    """An .npy of `n` equal arrays, written one by one and hashed on the way."""

    def __init__(self, file: Path, n: int) -> None:
        self.file, self.n = file, n
        self.hash = hashlib.sha256()
        self.bytes = 0
        self.kind: tuple[tuple[int, ...], np.dtype] | None = None

    def __enter__(self) -> "_ArrayFile":
        self.stream = open(self.file, "wb")
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def append(self, array: np.ndarray) -> None:
        if self.kind is None:
            if array.dtype not in (np.uint8, np.uint16, np.bool_):
                raise DataError(f"{self.file.name} would hold {array.dtype}: give uint8 or uint16 images, and bool masks.")
            self.kind = (array.shape, array.dtype)
            header = io.BytesIO()
            described = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": (self.n, *array.shape)}
            np.lib.format.write_array_header_1_0(header, described)
            self._write(header.getvalue())
        if (array.shape, array.dtype) != self.kind:
            shape, dtype = self.kind
            raise DataError(f"An image of shape {array.shape} and type {array.dtype} came after others of {shape} and {dtype}.")
        self._write(np.ascontiguousarray(array).tobytes())

    def _write(self, content: bytes) -> None:
        self.stream.write(content)
        self.hash.update(content)
        self.bytes += len(content)

    def entry(self) -> dict[str, Any]:
        return {"bytes": self.bytes, "sha256": self.hash.hexdigest()}
