"""Reading one image file: bounded, upright, and with errors that name the file."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from novkit.errors import DataError

MAX_PIXELS = 64_000_000  # of a file; more is a mistake or a trap
WIDE = ("I;16", "I;16L", "I;16B", "I")  # Pillow's modes of 16-bit grey


def open_image(file: Path) -> Image.Image:
    """A decoded image, upright; DataError naming the file for whatever Pillow cannot do with it."""
    if not file.is_file():
        raise DataError(f"{file} does not exist: correct its path or remove its row.")
    try:
        with Image.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{file} has {image.width}×{image.height} pixels: shrink it below {MAX_PIXELS // 10**6} million.")
            image.load()
            return ImageOps.exif_transpose(image)
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything for a broken file
        raise DataError(f"{file} cannot be read as an image ({type(error).__name__}): replace it or remove it.") from error


def read_image(file: Path, shape: tuple[int, int] | None = None) -> np.ndarray:
    """(1 or 3, height, width) uint8 or uint16, resized to `shape` (height, width) if given; grey coded as RGB becomes one channel.

    Raises DataError naming the file.
    """
    image = open_image(file)
    size = None if shape is None else (shape[1], shape[0])
    if image.mode in WIDE or image.mode == "F":
        grey = np.asarray(image, dtype=np.float32)
        if grey.min() < 0 or grey.max() > 65535 or (grey != np.rint(grey)).any():
            raise DataError(f"{file} holds values outside 16-bit integers: save it as 8- or 16-bit.")
        if size is not None:
            grey = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR, reducing_gap=None))
        return np.rint(grey).astype(np.uint16)[None]
    if image.mode in ("1", "L", "LA"):
        image = image.convert("L")
    else:
        image = image.convert("RGB")
        red, green, blue = image.split()
        if red.tobytes() == green.tobytes() == blue.tobytes():
            image = red
    if size is not None and image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)  # Pillow widens the kernel when shrinking: no aliasing
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))
