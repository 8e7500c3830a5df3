"""The eight transformations of TEND's published code [C], one drawn at random for each image, as coordinate maps.

The code calls ImageMagick's -distort on 256×256 radiographs; ImageMagick's coordinates, fallbacks and virtual pixels are
followed, so four of them leave large areas of constant fill: a shortcut for the classifier, kept here to be faithful.
At other sizes the coordinates are scaled in proportion. Only the filter is ours: bilinear, the mean of 3×3 readings a pixel
where the map shrinks the image, in place of ImageMagick's elliptical weighted average. The JPEG that the published code
writes before each transformation is not made here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn import functional as F

from novkit.distortions.resampling import check_batch, inside, pixel_centres, resample
from novkit.errors import SettingsError
from novkit.images import send
from novkit.seeding import drawn

_SIDE = 256  # the published coordinates are those of a 256×256 image

Map = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # x, y of the result -> where to read, in pixels of a 256×256 image


def _barrel(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Barrel A B C D: r_src = r (A r³ + B r² + C r + D), r in half sides from the centre."""
    half = _SIDE / 2
    x, y = x - half, y - half
    r = torch.hypot(x, y) / half
    factor = ((1.2 * r + 0.5) * r + 0.6) * r + 1.0
    return x * factor + half, y * factor + half


def _polar(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Polar 555: the image's columns become rays from the centre, its rows circles; the last row has radius 555."""
    half = _SIDE / 2
    x, y = x - half, y - half
    return torch.atan2(x, y) * (_SIDE / (2 * math.pi)) + half, torch.hypot(x, y) * (_SIDE / 555)


def _arc(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Arc 60: rows become arcs of 60°. ImageMagick grows the canvas to the best fit; the published code shrinks it back."""
    angle = math.radians(60)
    scale = _SIDE / (_SIDE - 1)  # ImageMagick takes the height as 255 px here, but not the width
    middle = _SIDE / angle
    outer, inner = middle + (_SIDE - 1) / 2, middle - (_SIDE - 1) / 2
    left, top = math.floor(-outer * math.sin(angle / 2) - 0.5), math.floor(-outer - 0.5)
    width = math.ceil(outer * math.sin(angle / 2) - left + 0.5)
    height = math.ceil(-inner * math.cos(angle / 2) - top + 0.5)
    x, y = x * (width / _SIDE) + left, y * (height / _SIDE) + top
    turn = torch.atan2(x, -y)  # from the upward direction
    return turn * (_SIDE / angle) + _SIDE / 2, (outer - torch.hypot(x, y)) * scale


def _affine(matrix: np.ndarray) -> Map:
    """The map of a 2×3 matrix from result to source."""
    (a, b, c), (d, e, f) = matrix.tolist()
    return lambda x, y: (a * x + b * y + c, d * x + e * y + f)


def _control_points(*pairs: tuple[float, float, float, float]) -> Map:
    """The map that sends each (x, y) of the image to its (x', y') in the result.

    ImageMagick wants four pairs for a perspective; three give an affine map, two a similarity, one a translation.
    """
    source, result = np.array(pairs)[:, :2], np.array(pairs)[:, 2:]
    if len(pairs) == 1:
        return _affine(np.column_stack([np.eye(2), (source - result)[0]]))
    if len(pairs) == 2:
        z, w = source @ [1, 1j], result @ [1, 1j]
        turn = (z[1] - z[0]) / (w[1] - w[0])
        shift = z[0] - turn * w[0]
        return _affine(np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]))
    return _affine(np.linalg.solve(np.column_stack([result, np.ones(3)]), source).T)


def _projection(sx: float, rx: float, ry: float, sy: float, tx: float, ty: float) -> Map:
    """AffineProjection: (x, y) of the image goes to (sx x + ry y + tx, rx x + sy y + ty)."""
    return _affine(np.linalg.inv(np.array([[sx, ry, tx], [rx, sy, ty], [0, 0, 1]]))[:2])


@dataclass(frozen=True)
class Published:
    """One transformation: its map, ImageMagick's words for it (method, arguments, virtual pixel), what lies outside the image,
    and the readings a pixel along each axis.
    """

    map: Map
    imagemagick: tuple[str, str, str]
    border: str
    fill: float = 0.0
    readings: int = 1


_THREE = ((90, 100, 115, 215), (113, 194, 201, 217), (172, 155, 241, 257))
_ONE = ((80, 80, 24, 55),)
_TWO = ((119, 112, 251, 169), (84, 108, 183, 197))
_ROTATED = ((210, 108, 195, 175), (113, 119, 109, 236))

PUBLISHED: dict[str, Published] = {
    # ImageMagick's transparent pixels are black, and the published code drops their alpha; its background is white unless set.
    "barrel": Published(_barrel, ("Barrel", "1.2 0.5 0.6 1.0", "transparent"), "fill", 0.0, 3),
    "perspective_affine": Published(
        _control_points(*_THREE), ("Perspective", "90,100 115,215 113,194 201,217 172,155 241,257", "background"), "fill", 1.0, 3
    ),
    "polar": Published(_polar, ("Polar", "555", "edge"), "border"),
    "arc": Published(_arc, ("Arc", "60", "tile"), "tile", readings=3),
    "perspective_translation": Published(_control_points(*_ONE), ("Perspective", "80,80 24,55", "tile"), "tile"),
    "perspective_similarity": Published(
        _control_points(*_TWO), ("Perspective", "119,112 251,169 84,108 183,197", "background"), "fill", 1.0
    ),
    "affine_similarity": Published(_control_points(*_ROTATED), ("Affine", "210,108 195,175 113,119 109,236", "background"), "fill", 1.0),
    "affine_projection": Published(
        _projection(0.8, 0.5, 0.0, 0.9, 5, 5), ("AffineProjection", "0.8,0.5,0,0.9,5,5", "background"), "fill", 1.0
    ),
}


def published_points(which: str, height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """(1, 2, height, width): where each pixel's centre reads from, in pixels of an image of that size."""
    x, y = pixel_centres(height, width, device).unbind(1)
    x, y = PUBLISHED[which].map(x * (_SIDE / width), y * (_SIDE / height))
    return torch.stack([x * (width / _SIDE), y * (height / _SIDE)], dim=1)


def published(images: Tensor, which: str) -> Tensor:
    """All images (n, c, h, w) through one of the published transformations, a key of PUBLISHED; SettingsError for any other."""
    check_batch(images)
    if which not in PUBLISHED:
        raise SettingsError(f"There is no published transformation {which!r}: choose one of {', '.join(PUBLISHED)}.")
    spec = PUBLISHED[which]
    n, channels, height, width = images.shape
    if not n:
        return images
    if images.device.type != "cpu":
        fine = resample(images, _readings(which, height, width, images.device).expand(n, -1, -1, -1), border=spec.border, fill=spec.fill)
        return F.avg_pool2d(fine, spec.readings)
    pixels = images.detach().reshape(n * channels, height * width).t().contiguous()  # a pixel's row: its values in all images and channels
    where, starts, weights, filled = _sums(which, height, width)
    result = F.embedding_bag(where, pixels, starts, mode="sum", per_sample_weights=weights, include_last_offset=True)
    if spec.fill:
        result += filled
    return result.t().reshape(images.shape)


def _readings(which: str, height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """(1, 2, readings · height, readings · width): where the finer canvas, which has the same map, reads from, in pixels of the image."""
    readings = PUBLISHED[which].readings
    return published_points(which, readings * height, readings * width, device) / readings


@lru_cache(maxsize=32)
def _sums(which: str, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The transformation as sums of an image's pixels, one for each pixel of its result: far faster on a CPU than resampling.

    The map is fixed, so that every pixel of the result is the same few pixels of the image, with the same bilinear weights: a sparse
    matrix. Returned as `embedding_bag` wants it: which pixels are summed, where each sum starts, their weights, and what the fill adds
    (pixels, 1).
    """
    spec, pixels = PUBLISHED[which], height * width
    points = _readings(which, height, width).double()
    padding = 1 if spec.border == "tile" else 0  # which `inside` counts in
    x = (inside(points[0, 0], width, spec.border) - 0.5 - padding).numpy()
    y = (inside(points[0, 1], height, spec.border) - 0.5 - padding).numpy()
    fine = np.indices(x.shape) // spec.readings
    row = fine[0] * width + fine[1]
    rows, columns, weights = [], [], []
    for down in (0, 1):
        for right in (0, 1):
            i, j = np.floor(y).astype(int) + down, np.floor(x).astype(int) + right
            weight = (1 - abs(y - i)) * (1 - abs(x - j)) / spec.readings**2
            if spec.border == "tile":
                i, j = i % height, j % width
            kept = (i >= 0) & (i < height) & (j >= 0) & (j < width) & (weight > 0)
            rows.append(row[kept])
            columns.append((i * width + j)[kept])
            weights.append(weight[kept])
    entries = np.concatenate(weights).astype(np.float32), (np.concatenate(rows), np.concatenate(columns))
    matrix = csr_array(entries, shape=(pixels, pixels))
    filled = spec.fill * (1 - matrix.sum(axis=1, dtype=np.float64))
    parts = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32), matrix.data, filled.astype(np.float32)[:, None]
    where, starts, shares, added = map(torch.from_numpy, parts)
    return where, starts, shares, added


def distort_published(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each image through one of the eight, drawn at random from a CPU generator.

    Returns the images and, for each, the place of its transformation in PUBLISHED (n,).
    """
    check_batch(images)
    kinds = drawn(partial(torch.randint, len(PUBLISHED)), len(images), generator=generator)
    result = torch.empty_like(images)
    for index, which in enumerate(PUBLISHED):
        rows = send(torch.nonzero(kinds == index).flatten(), images.device)
        if len(rows):
            result[rows] = published(images[rows], which)
    return result, send(kinds, images.device)
