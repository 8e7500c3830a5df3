"""Makes the reference pictures of this folder with ImageMagick: python tests/distortions/references/make_references.py

For each published transformation, `<name>_map.png` (16 bit) holds three pictures side by side, every fourth pixel of them:
what ImageMagick makes of an image whose value is x, of one whose value is y, and of a constant one. The first two read
as the coordinate map itself. `<name>_pattern.png` (8 bit) is the smooth pattern below, with ImageMagick's default filter.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from novkit.distortions.published import PUBLISHED

FOLDER = Path(__file__).parent
SIDE = 256
KEPT = slice(2, None, 4)
CONSTANT = 40000


def imagemagick() -> str | None:
    """The command that runs ImageMagick, where it is installed."""
    for name in ("magick", "/usr/bin/convert", "convert"):  # elsewhere `convert` may be something else
        path = shutil.which(name)
        if path:
            answer = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stdout
            if answer.startswith("Version: ImageMagick"):
                return path
    return None


def ramps() -> list[np.ndarray]:
    """Images of the pixel centres' x and y, 65535 being the far edge, and a constant one."""
    centres = ((np.arange(SIDE) + 0.5) * (65535 / SIDE)).round().astype(np.uint16)
    x = np.tile(centres, (SIDE, 1))
    return [x, np.ascontiguousarray(x.T), np.full((SIDE, SIDE), CONSTANT, np.uint16)]


def pattern() -> np.ndarray:
    """Smooth waves on a slope, uint8, nowhere black or white."""
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    waves = np.sin(2 * np.pi * (3 * x + y)) + np.sin(2 * np.pi * (2 * y * y - 4 * x * y) + 1) + np.sin(9 * x)
    return np.rint(127 + 28 * waves + 25 * (x - y)).astype(np.uint8)


def render(command: str, image: np.ndarray, which: str, *options: str) -> np.ndarray:
    """`image` through ImageMagick's -distort and back to its size, as the published code calls it."""
    method, arguments, virtual_pixel = PUBLISHED[which].imagemagick
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder, "source.png"), Path(folder, "result.png")
        Image.fromarray(image).save(source)
        words = ["-virtual-pixel", virtual_pixel, *options, "-distort", method, arguments, "+repage", "+filter"]
        words += ["-resize", f"{SIDE}x{SIDE}!", "-alpha", "off", "-depth", str(8 * image.itemsize)]
        subprocess.run([command, str(source), "-set", "colorspace", "RGB", *words, str(result)], check=True)
        with Image.open(result) as opened:
            array = np.array(opened)
    return (array[..., 0] if array.ndim == 3 else array).astype(image.dtype)


def references(command: str, which: str) -> tuple[np.ndarray, np.ndarray]:
    """(64, 192) uint16 map and (64, 64) uint8 pattern."""
    maps = [render(command, ramp, which, "-filter", "point")[KEPT, KEPT] for ramp in ramps()]
    return np.hstack(maps), render(command, pattern(), which)[KEPT, KEPT]


if __name__ == "__main__":
    found = imagemagick()
    if found is None:
        raise SystemExit("ImageMagick is not installed: install it to make the references.")
    for name in PUBLISHED:
        for kind, picture in zip(("map", "pattern"), references(found, name), strict=True):
            Image.fromarray(picture).save(FOLDER / f"{name}_{kind}.png", optimize=True)
