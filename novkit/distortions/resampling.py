"""Coordinate maps become images: one batched bilinear resampling, with the borders the transformations need.

Points are (n, 2, height, width): for every output pixel the place (x, y) in the source to read, in pixels, where the
centre of the first pixel is (0.5, 0.5) and the image spans [0, width] × [0, height] (ImageMagick's convention, and
that of `grid_sample(align_corners=False)`).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from novkit.errors import DataError, SettingsError
from novkit.images import send
from novkit.seeding import drawn

# A bilinear shift by t multiplies the power at frequency ω by 1 − 2 t (1 − t) (1 − cos ω). Over shifts within half a pixel
# the mean of t (1 − t) is 1/6, which this shift has too.
_TYPICAL_SHIFT = 0.5 - 12**-0.5
_PIECE = 2**17  # pixels of the images that a CPU handles together: what is computed of them stays in its caches
BORDERS = ("reflect", "border", "fill", "tile")


def pixel_centres(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """(1, 2, height, width): the points of the identity."""
    y = torch.arange(height, dtype=torch.float32, device=device) + 0.5
    x = torch.arange(width, dtype=torch.float32, device=device) + 0.5
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]


def to_centred(points: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels (n, 2, h, w) -> x and y (n, h, w): origin in the image's centre, half the shorter side = 1, so that circles stay round."""
    height, width = points.shape[-2:]
    unit = min(height, width) / 2
    return (points[:, 0] - width / 2) / unit, (points[:, 1] - height / 2) / unit


def to_pixels(x: Tensor, y: Tensor) -> Tensor:
    """The inverse of `to_centred`."""
    height, width = x.shape[-2:]
    unit = min(height, width) / 2
    return torch.stack([x * unit + width / 2, y * unit + height / 2], dim=1)


def check_batch(images: Tensor) -> None:
    """Raise DataError unless `images` is a float32 batch (n, channels, height, width) of at least 16×16 pixels."""
    if images.ndim != 4 or images.dtype != torch.float32:
        raise DataError(
            f"A distortion got {images.dtype} of shape {tuple(images.shape)}: "
            "give float32 (n, channels, height, width), as novkit.images.to_tensor returns."
        )
    if min(images.shape[-2:]) < 16:
        raise DataError(f"Images of {images.shape[-2]}×{images.shape[-1]} are too small to distort: use at least 16×16 pixels.")


def pieces(images: Tensor) -> list[slice]:
    """Consecutive parts of a batch (n, c, h, w), each to be resampled by itself: small ones on a CPU, the whole elsewhere; at least one."""
    n, _, height, width = images.shape
    size = max(1, _PIECE // (height * width)) if images.device.type == "cpu" else max(1, n)
    return [slice(start, min(start + size, n)) for start in range(0, max(1, n), size)]


def _wrapped(p: Tensor, period: float) -> Tensor:
    """p modulo period, in [0, period] to rounding; torch.remainder takes four times as long on a CPU."""
    return p - period * torch.floor(p / period)


def inside(p: Tensor, size: int, border: str) -> Tensor:
    """Coordinates of one axis, in pixels, brought to where `border` says they read from; for "tile", of an image padded by one pixel."""
    if border == "tile":
        return _wrapped(p, size) + 1  # one pixel of padding joins the tiles
    if border == "reflect":
        p = size - (_wrapped(p, 2 * size) - size).abs()
    # Nothing lies outside after this, so grid_sample needs only its zero padding: the one every backend has.
    return p if border == "fill" else p.clamp(0.5, size - 0.5)


def resample(images: Tensor, points: Tensor, *, border: str = "reflect", fill: float = 0.0) -> Tensor:
    """Read `images` (n, c, h, w) at `points` (n, 2, h', w') -> (n, c, h', w'), bilinear, on the images' device.

    border: what lies outside the image. "reflect": its mirror image (edge pixels doubled, as in scipy's "reflect");
    "border": the nearest edge pixel; "fill": the value `fill`; "tile": the image again. Raises SettingsError for any other.
    """
    if border not in BORDERS:
        raise SettingsError(f"border {border!r} is not known: choose one of {', '.join(BORDERS)}.")
    height, width = images.shape[-2:]
    x, y = inside(points[:, 0], width, border), inside(points[:, 1], height, border)
    if border == "tile":
        images = F.pad(images, (1, 1, 1, 1), mode="circular")
        height, width = height + 2, width + 2
    # grid_sample takes the permuted view as it is; stacking along a last dimension of two costs more than the sampling does
    grid = torch.stack([x * (2 / width) - 1, y * (2 / height) - 1], dim=1).permute(0, 2, 3, 1)
    result = F.grid_sample(images - fill if fill else images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return result + fill if fill else result


def near_identity_matrices(n: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """(n, 2, 3), from pixels about the image's centre to pixels: for each image a random shift within half a pixel, and a rotation, scale
    and shear so small that the edges move by less than one pixel more. [O]
    """
    shift = drawn(torch.rand, n, 2, 1, generator=generator) - 0.5
    # Entries of ±0.5 px per half side: the phase between old and new pixels changes across the image, as it does in
    # any real transformation, and with it the blur of the interpolation.
    linear = (drawn(torch.rand, n, 2, 2, generator=generator) - 0.5) * torch.tensor([2 / width, 2 / height])
    shift = shift + 0.5 * torch.tensor([[width], [height]])
    return torch.cat([torch.eye(2) + linear, shift], dim=-1)


def affine_points(matrices: Tensor, height: int, width: int) -> Tensor:
    """(n, 2, height, width): where affine maps, as `near_identity_matrices` gives them, read; on the matrices' device."""
    x, y = pixel_centres(height, width, matrices.device)[0]
    homogeneous = torch.stack([x - width / 2, y - height / 2, torch.ones_like(x)]).view(3, -1)
    with torch.autocast(matrices.device.type, enabled=False):  # bfloat16 would round to whole pixels
        return (matrices @ homogeneous).view(-1, 2, height, width)


def near_identity_points(n: int, height: int, width: int, generator: torch.Generator, device: torch.device | str) -> Tensor:
    """(n, 2, height, width): the points of `near_identity_matrices`."""
    return affine_points(send(near_identity_matrices(n, height, width, generator), device), height, width)


def near_identity(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """`images` (n, c, h, w) after a random sub-pixel warp, with the kernel and border of the training transformations.

    What x passes through wherever T(x) passes through a transformation: neither blur nor fill then tells them apart. [O]
    Without a generator, for scoring: one fixed shift, which blurs as much as the random ones do on average. An image
    that passes through neither is sharper than all that a network was trained on.
    """
    check_batch(images)
    n, _, height, width = images.shape
    if generator is None:
        return resample(images, (pixel_centres(height, width, images.device) + _TYPICAL_SHIFT).expand(n, -1, -1, -1))
    matrices = send(near_identity_matrices(n, height, width, generator), images.device)
    return torch.cat([resample(images[part], affine_points(matrices[part], height, width)) for part in pieces(images)])
