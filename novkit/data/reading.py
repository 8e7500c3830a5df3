"""Reading image files: bounded, upright, and with errors that name the file."""

import mmap
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageOps

from novkit.cores import available_cores
from novkit.data.formats import MAX_PIXELS, PIXEL_BYTES, check_scans, read_dicom
from novkit.data.untrusted import decoding, is_file, needs, reading
from novkit.errors import DataError

T = TypeVar("T")
WIDE = ("I;16", "I;16L", "I;16B", "I")  # Pillow's modes of 16-bit grey
# Of Pillow's formats those that pictures come in; others are of old, run programs (EPS), or hold pictures larger than they say (ICO, ICNS)
PICTURES = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")
DICOM = (".dcm", ".dicom")
_PICTURES = "png apng jpg jpeg jpe jfif tif tiff bmp gif webp jp2 j2k jpc jpf jpx j2c ppm pgm pbm pnm pfm"
SUFFIXES = (*(f".{ending}" for ending in _PICTURES.split()), *DICOM)  # of names of files that `read_image` may read
Image.core.set_block_size(2**26)  # of large images; smaller blocks malloc keeps when they are freed, for each thread its own


@decoding()
def open_image(file: Path) -> Image.Image:
    """A decoded image, upright; DataError naming the file for whatever Pillow cannot do with it."""
    if not is_file(file):
        raise DataError(f"{file} does not exist: correct its path or remove its row.")
    with reading(file, "an image"), Image.open(file, formats=PICTURES) as image:
        if image.width * image.height > MAX_PIXELS:
            raise DataError(f"{file} has {image.width}×{image.height} pixels: shrink it below {MAX_PIXELS // 10**6} million.")
        needs(PIXEL_BYTES * image.width * image.height)
        if image.format in ("JPEG", "MPO"):
            with open(file, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                check_scans(file, content)
        image.load()
        return ImageOps.exif_transpose(image)


@decoding()
def read_image(file: Path, shape: tuple[int, int] | None = None) -> np.ndarray:
    """(1 or 3, height, width) uint8 or uint16, resized to `shape` (height, width) if given; grey coded as RGB becomes one channel.

    Pillow's formats of pictures (PICTURES), and DICOM by its suffix .dcm or .dicom. Raises DataError naming the file.
    """
    array = read_dicom(file) if file.suffix.lower() in DICOM else _decoded(file)
    return array if shape is None else resized(array, shape)


def _decoded(file: Path) -> np.ndarray:
    image = open_image(file)
    with reading(file, "an image"):
        return _as_array(image, file)


def _as_array(image: Image.Image, file: Path) -> np.ndarray:
    """(1 or 3, height, width), uint8 or uint16."""
    if image.mode in WIDE or image.mode == "F":
        grey = np.asarray(image, dtype=np.float32)
        if grey.min() < 0 or grey.max() > 65535 or (grey != np.rint(grey)).any():
            raise DataError(f"{file} holds values outside 16-bit integers: save it as 8- or 16-bit.")
        return grey.astype(np.uint16)[None]
    if image.mode in ("1", "L", "LA"):
        return np.asarray(image.convert("L"))[None]
    array = np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))
    return array[:1] if (array[0] == array[1]).all() and (array[0] == array[2]).all() else array


def resized(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(channels, height, width) uint8, uint16 or float32 -> the same type, bilinear and antialiased (Pillow widens its kernel)."""
    if array.shape[1:] == tuple(shape):
        return array
    planes = []
    for plane in array:
        image = Image.fromarray(plane if plane.dtype == np.uint8 else plane.astype(np.float32))
        planes.append(np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)))
    stacked = np.stack(planes)
    return np.rint(stacked).astype(np.uint16) if array.dtype == np.uint16 else stacked


def with_channels(array: np.ndarray, channels: int) -> np.ndarray:
    """1 or 3 channels of an image: colour becomes luminance as Pillow weighs it (ITU-R 601), grey is repeated."""
    if channels == 1 and len(array) == 3 and array.dtype == np.uint16:
        return np.rint(np.tensordot((0.299, 0.587, 0.114), array, 1)).astype(np.uint16)[None]
    if channels == 1 and len(array) == 3:
        return np.asarray(Image.fromarray(np.ascontiguousarray(array.transpose(1, 2, 0))).convert("L"))[None]
    return array if len(array) == channels else np.repeat(array, channels, axis=0)


def centre_square(array: np.ndarray) -> np.ndarray:
    """The largest square in the middle of (channels, height, width): shape and content keep their aspect ratio."""
    height, width = array.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return array[:, top : top + side, left : left + side]


def in_parallel(read: Callable[[Any], T], items: Iterable[Any]) -> Iterator[T]:
    """`read` of every item, in order, by several threads; only some results wait at a time, so the items may exceed memory."""
    items = iter(items)
    with ThreadPoolExecutor(max_workers=min(8, available_cores())) as pool:
        try:
            while batch := list(islice(items, 64)):
                yield from pool.map(read, batch)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
