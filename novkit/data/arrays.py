"""NumPy's .npz from elsewhere: nothing is unpickled, and what an array claims to hold is compared with what is there before it is made."""

import math
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from novkit.data.untrusted import is_file, quiet, unpacked_limit
from novkit.errors import DataError

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(file: Path, wanted: Iterable[str] | None = None, *, limit: int | None = None) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name, all of them or those wanted. limit: bytes of them together; by default `unpacked_limit`.

    Raises DataError naming the file, KeyError for a name that is not there.
    """
    with opened_npz(file) as archive:
        found = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        chosen = {name: found[name] for name in (found if wanted is None else wanted)}
        total = 0
        for name, info in chosen.items():
            with archive.open(info) as stream:
                total += npy_header(stream, info, f"{name} of {file}")[2]
        _within(file, total, unpacked_limit(file) if limit is None else limit)
        arrays = {}
        for name, info in chosen.items():
            with archive.open(info) as stream:
                arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
        return arrays


@contextmanager
def opened_npz(file: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, its members of a kind that unpacks piece by piece; whatever goes wrong in the block is a DataError, but for KeyError."""
    if not is_file(file):
        raise DataError(f"{file} does not exist: correct its path.")
    try:
        with quiet(), zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise DataError(f"{file} is packed as NumPy packs no .npz: download it again.")
            yield archive
    except (DataError, KeyError):
        raise
    except Exception as error:  # zip, zlib, NumPy and its parser of headers each have errors of their own
        words = " ".join(str(error).split())[:200]
        raise DataError(f"{file} cannot be read as .npz ({type(error).__name__}: {words}): download it again.") from error


def npy_header(stream: IO[bytes], info: zipfile.ZipInfo, what: str) -> tuple[tuple[int, ...], np.dtype, int, bool]:
    """Shape, type, bytes and whether columns come first, of the array at the beginning of `stream`, which then stands at its first value.

    Raises DataError where they cannot be.
    """
    read = _HEADERS.get(np.lib.format.read_magic(stream))
    if read is None:
        raise DataError(f"The array {what} is of a version that NumPy writes for no plain array: download it again.")
    shape, by_columns, dtype = read(stream)
    if dtype.hasobject:
        raise DataError(f"The array {what} is pickled, and nothing is unpickled here: store numbers or text.")
    size = math.prod(shape) * max(dtype.itemsize, 1)
    if min(shape, default=0) < 0 or size > info.file_size:
        raise DataError(f"The array {what} claims to be {dtype} of shape {shape}, more than is stored: download it again.")
    return shape, dtype, size, by_columns


def _within(file: Path, size: int, limit: int) -> None:
    if size > limit:
        raise DataError(f"{file} unpacks to {size >> 20} MiB, more than {limit >> 20} MiB: it is a trap or damaged, download it again.")
