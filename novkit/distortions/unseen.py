"""Generated OOD [P]: test images made by transformations that training never uses; the families are ours [O].

swirl, ripple, pinch, shear and elastic are coordinate maps; swapped patches, local blur, local noise and inversion change
what is in the image. Every result has passed through one sub-pixel warp, as `near_identity` gives it, so a normal image
that has passed through `near_identity` differs from it by the family alone. Severities were chosen by eye before any
model was trained: visible to a careful reader, not grotesque.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from novkit.distortions.resampling import (
    check_batch,
    near_identity,
    near_identity_points,
    pixel_centres,
    resample,
    to_centred,
    to_pixels,
)


class _Draw:
    """Parameters for n images, each (n, 1, 1), from a CPU generator to the images' device."""

    def __init__(self, images: Tensor, generator: torch.Generator) -> None:
        self.n, self.device, self.generator = len(images), images.device, generator

    def uniform(self, low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(self.n, 1, 1, generator=self.generator)).to(self.device)

    def sign(self) -> Tensor:
        return (2.0 * torch.randint(2, (self.n, 1, 1), generator=self.generator) - 1).to(self.device)

    def centre(self) -> tuple[Tensor, Tensor]:
        """A place in the middle half of the shorter side, in centred coordinates: corners often hold nothing."""
        return self.uniform(-0.5, 0.5), self.uniform(-0.5, 0.5)


def _start(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, _Draw]:
    """x and y (n, h, w) of the sub-pixel warp in centred coordinates, and where the family's parameters come from."""
    check_batch(images)
    n, _, height, width = images.shape
    x, y = to_centred(near_identity_points(n, height, width, generator, images.device))
    return x, y, _Draw(images, generator)


# ---- coordinate maps: x, y (n, h, w) -> where to read, in centred coordinates (half the shorter side = 1)


def swirl_map(x: Tensor, y: Tensor, centre: tuple[Tensor, Tensor], angle: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Turned about `centre` by an angle that dies away to a thousandth at the radius (scikit-image's swirl)."""
    x, y = x - centre[0], y - centre[1]
    turn = angle * torch.exp(-5 / math.log(2) * torch.hypot(x, y) / radius)
    c, s = torch.cos(turn), torch.sin(turn)
    return c * x - s * y + centre[0], s * x + c * y + centre[1]


def ripple_map(x: Tensor, y: Tensor, direction: Tensor, height: Tensor, wavelength: Tensor, phase: Tensor) -> tuple[Tensor, Tensor]:
    """Waves that run in `direction` (an angle) and move the image across it."""
    c, s = torch.cos(direction), torch.sin(direction)
    wave = height * torch.sin(2 * math.pi * (c * x + s * y) / wavelength + phase)
    return x - s * wave, y + c * wave


def pinch_map(x: Tensor, y: Tensor, centre: tuple[Tensor, Tensor], amount: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Drawn towards `centre` (amount > 0) or pushed from it (amount < 0) inside the radius, smoothly nothing at its edge."""
    x, y = x - centre[0], y - centre[1]
    inside = 1 - ((x * x + y * y) / (radius * radius)).clamp_max(1)
    factor = 1 + amount * inside * inside
    return x * factor + centre[0], y * factor + centre[1]


def shear_map(x: Tensor, y: Tensor, across: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Rows slide by `across` × their height, columns by `down` × their place; one of the two is 0."""
    return x + across * y, y + down * x


def elastic_map(x: Tensor, y: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """noise (n, 2, k, k): displacements in x and y at k×k places, cubic between them."""
    field = F.interpolate(noise, size=x.shape[-2:], mode="bicubic", align_corners=False)
    return x + field[:, 0], y + field[:, 1]


def swirl(images: Tensor, generator: torch.Generator, *, severity: float = 1.0) -> Tensor:
    """A whirl about a random place."""
    x, y, draw = _start(images, generator)
    angle = draw.sign() * draw.uniform(1.0, 1.5) * severity
    return resample(images, to_pixels(*swirl_map(x, y, draw.centre(), angle, draw.uniform(1.7, 2.5))))


def ripple(images: Tensor, generator: torch.Generator, *, severity: float = 1.0) -> Tensor:
    """Waves in a random direction."""
    x, y, draw = _start(images, generator)
    direction, height = draw.uniform(0, math.pi), draw.uniform(0.025, 0.035) * severity
    wavelength, phase = draw.uniform(0.35, 0.6), draw.uniform(0, 2 * math.pi)
    return resample(images, to_pixels(*ripple_map(x, y, direction, height, wavelength, phase)))


def pinch(images: Tensor, generator: torch.Generator, *, severity: float = 1.0) -> Tensor:
    """A place drawn together or blown up."""
    x, y, draw = _start(images, generator)
    amount = torch.where(draw.sign() > 0, 0.7, -0.45) * draw.uniform(0.8, 1.2) * severity
    return resample(images, to_pixels(*pinch_map(x, y, draw.centre(), amount, draw.uniform(0.5, 0.75))))


def shear(images: Tensor, generator: torch.Generator, *, severity: float = 1.0) -> Tensor:
    """Rows or columns slide, in proportion to their distance from the centre.

    The family nearest to training, whose affine kind stretches along the axes and turns but never shears.
    """
    x, y, draw = _start(images, generator)
    slope, rows = draw.sign() * draw.uniform(0.15, 0.3) * severity, draw.sign() > 0
    return resample(images, to_pixels(*shear_map(x, y, torch.where(rows, slope, 0.0), torch.where(rows, 0.0, slope))))


def elastic(images: Tensor, generator: torch.Generator, *, severity: float = 1.0) -> Tensor:
    """A smooth random deformation."""
    x, y, _ = _start(images, generator)
    noise = 0.04 * severity * torch.randn(len(images), 2, 7, 7, generator=generator)
    return resample(images, to_pixels(*elastic_map(x, y, noise.to(images.device))))


# ---- changes of content, after the sub-pixel warp


def soft_disc(x: Tensor, y: Tensor, centre: tuple[Tensor, Tensor], radius: Tensor) -> Tensor:
    """(n, 1, h, w): 1 inside 70 % of the radius, 0 outside it, a cosine between."""
    r = torch.hypot(x - centre[0], y - centre[1]) / radius
    return (0.5 + 0.5 * torch.cos(math.pi * ((r - 0.7) / 0.3).clamp(0, 1)))[:, None]


def _disc(images: Tensor, generator: torch.Generator, low: float, high: float) -> Tensor:
    """A soft disc for each image, its radius between `low` and `high` half sides."""
    draw, (height, width) = _Draw(images, generator), images.shape[-2:]
    x, y = to_centred(pixel_centres(height, width, images.device))
    return soft_disc(x, y, draw.centre(), draw.uniform(low, high))


def swap(images: Tensor, first: Tensor, second: Tensor, half: Tensor) -> Tensor:
    """Exchange two squares, soft at the edge: `first` and `second` (n, 2) their centres (x, y), whole numbers of pixels;
    `half` (n,) half their side in pixels. They must not overlap.
    """
    height, width = images.shape[-2:]
    x, y = (pixel_centres(height, width, images.device)[0] - 0.5).long()
    rows = torch.arange(len(images), device=images.device)[:, None, None]
    last, half = images.permute(0, 2, 3, 1), half[:, None, None]
    result = images
    for here, there in ((first, second), (second, first)):
        dx, dy = (there - here).long()[:, :, None, None].unbind(1)
        moved = last[rows, (y + dy).clamp(0, height - 1), (x + dx).clamp(0, width - 1)].permute(0, 3, 1, 2)
        distance = torch.maximum((x - here[:, 0, None, None]).abs(), (y - here[:, 1, None, None]).abs())
        result = result + ((half - distance) / (0.3 * half).clamp_min(1e-6)).clamp(0, 1)[:, None] * (moved - images)
    return result


def swapped_patches(images: Tensor, generator: torch.Generator, *, severity: float = 1.0) -> Tensor:
    """Two patches on opposite sides of the centre have changed places."""
    images = near_identity(images, generator)
    draw, (height, width) = _Draw(images, generator), images.shape[-2:]
    side = min(height, width)
    half, angle = draw.uniform(0.09, 0.12)[:, 0, 0] * severity * side, draw.uniform(0, math.pi)[:, 0, 0]
    # Half a side apart, squares of at most 0.24 sides never overlap.
    offset = 0.25 * side * torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)
    middle = offset.new_tensor([width / 2, height / 2])
    return swap(images, (middle + offset).round(), (middle - offset).round(), half)


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur, sigma in pixels, borders reflected about the edge pixels' centres."""
    reach = min(math.ceil(4 * sigma), min(images.shape[-2:]) - 1)
    x = torch.arange(-reach, reach + 1, dtype=torch.float32, device=images.device)
    kernel = torch.exp(-0.5 * (x / sigma).square())
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (reach, reach, reach, reach), mode="reflect")
    blurred = F.conv2d(padded, kernel, groups=images.shape[1])
    return F.conv2d(blurred, kernel.transpose(2, 3), groups=images.shape[1])


def local_blur(images: Tensor, generator: torch.Generator, *, severity: float = 1.0) -> Tensor:
    """Details are lost inside a soft disc: Gaussian, sigma 2 % of the shorter side but at least a pixel."""
    images = near_identity(images, generator)
    mask = _disc(images, generator, 0.4, 0.6)
    return images + severity * mask * (gaussian_blur(images, max(1.0, 0.02 * min(images.shape[-2:]))) - images)


def local_noise(images: Tensor, generator: torch.Generator, *, severity: float = 1.0) -> Tensor:
    """White noise inside a soft disc, 15 % of the image's own standard deviation; the same in all channels."""
    images = near_identity(images, generator)
    mask = _disc(images, generator, 0.4, 0.6)
    sigma = 0.15 * severity * images.std(dim=(1, 2, 3), keepdim=True) if len(images) else 0.0
    noise = torch.randn(len(images), 1, *images.shape[-2:], generator=generator).to(images.device)
    return (images + mask * sigma * noise).clamp(0, 1)


def invert(images: Tensor, mask: Tensor, amount: float) -> Tensor:
    """Mirror the intensities about their mean under `mask` (n, 1, h, w), channel by channel: amount 1 is full inversion."""
    mean = (images * mask).sum(dim=(2, 3), keepdim=True) / mask.sum(dim=(2, 3), keepdim=True)
    return (images + 2 * amount * mask * (mean - images)).clamp(0, 1)


def inversion(images: Tensor, generator: torch.Generator, *, severity: float = 1.0) -> Tensor:
    """Bright and dark change places inside a soft disc, about its own mean, at half the contrast: its brightness stays. [O]

    Inverting the whole image, or about mid-grey, is seen by any statistic of brightness.
    """
    images = near_identity(images, generator)
    return invert(images, _disc(images, generator, 0.3, 0.45), 0.75 * severity)


UNSEEN: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "swirl": swirl,
    "ripple": ripple,
    "pinch": pinch,
    "shear": shear,
    "elastic": elastic,
    "swapped_patches": swapped_patches,
    "local_blur": local_blur,
    "local_noise": local_noise,
    "inversion": inversion,
}
