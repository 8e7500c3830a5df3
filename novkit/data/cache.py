"""A cache of generated and prepared data sets: written once, memory-mapped ever after.

One folder an entry: images.npy, masks.npy, body.npy, table.csv and dataset.json with a hash of each file. A damaged entry is made
again; two processes may make the same entry at once; where nothing can be written the data stays in memory.
"""

import hashlib
import os
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pooch

from novkit.data.dataset import ImageDataset
from novkit.data.store import check_dataset
from novkit.data.tables import read_table, write_table
from novkit.errors import StoredFileError
from novkit.files import cut, read_json, remove, replacing_folder, write_json

FORMAT = 1  # of cache entries
LIBRARIES = ("numpy", "scipy", "pillow", "nilearn")  # whose version may change the bytes of an image
_ARRAYS = ("images", "masks", "body")
_LONGEST = 100  # bytes of a data set's name in an entry's: a name of files is 255 at most, and a temporary one longer than its file's
_STALE = 24 * 3600  # seconds after which an unfinished entry was surely abandoned


def cache_folder() -> Path:
    """The folder named by NOVKIT_CACHE, else the platform's user cache."""
    return Path(os.environ.get("NOVKIT_CACHE") or pooch.os_cache("novkit")).expanduser()


def cached(name: str, key: dict[str, Any], make: Callable[[], ImageDataset]) -> ImageDataset:
    """The data set that `make` gives for `key`, from the cache where it lies there undamaged; its arrays are read-only memory maps.

    key: all that the content depends on, as JSON; the versions of the libraries that make images are added.
    """
    key = {**key, "format": FORMAT, "libraries": {library: version(library) for library in LIBRARIES}}
    short = cut(name, _LONGEST)
    if short != name:
        key["name"] = name
    folder = cache_folder() / f"{short}-{hashlib.sha256(repr(sorted(key.items())).encode()).hexdigest()[:16]}"
    stored = _read(folder)
    if stored is not None:
        return stored
    made = make()
    stored = _read(folder)  # another process may have been faster
    if stored is not None:
        return stored
    try:
        _remove_abandoned(folder.parent)
        with replacing_folder(folder) as temporary:
            _write(temporary, made, key)
    except StoredFileError as error:
        stored = _read(folder)  # or faster meanwhile
        if stored is None:
            warnings.warn(f"{name} could not be cached and stays in memory: {error}", stacklevel=3)
    else:
        stored = _read(folder)
    return made if stored is None else stored


def _write(folder: Path, dataset: ImageDataset, key: dict[str, Any]) -> None:
    for what in _ARRAYS:
        array = getattr(dataset, what)
        if array is not None:
            np.save(folder / f"{what}.npy", array, allow_pickle=False)
    columns = write_table(folder / "table.csv", dataset.table)
    described = {what: getattr(dataset, what) for what in ("name", "normal", "synthetic", "source", "licence", "fingerprint", "extra")}
    hashes = {file.name: _hash(file) for file in sorted(folder.iterdir())}
    write_json(folder / "dataset.json", {"dataset": described, "columns": columns, "hashes": hashes, "key": key})


def _read(folder: Path) -> ImageDataset | None:
    """The entry, or None where there is none or it is damaged."""
    if not folder.is_dir():
        return None
    try:
        stored = read_json(folder / "dataset.json", "cache entry")
        if any(not (folder / file).is_file() or _hash(folder / file) != expected for file, expected in stored["hashes"].items()):
            return None
        arrays = {
            what: np.load(folder / f"{what}.npy", mmap_mode="r", allow_pickle=False)
            for what in _ARRAYS
            if f"{what}.npy" in stored["hashes"]
        }
        table = read_table(folder / "table.csv", stored["columns"])
        dataset = ImageDataset(table=table, **arrays, **stored["dataset"])
        check_dataset(dataset)
        return dataset
    except Exception:  # damaged in whatever way: it is made again
        return None


def _hash(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _remove_abandoned(folder: Path) -> None:
    """Temporary folders that a killed process left behind."""
    for left in [*folder.glob(".*.tmp"), *folder.glob(".*.old")]:
        if time.time() - left.stat().st_mtime > _STALE:
            remove(left)
