"""The default transformations of TEND's training [O]: the published kinds, with true perspectives, jitter and reflected borders.

Every kind is a path of coordinate maps that starts at the identity (amount 0). One kind is drawn for each image, its
amount and shape are drawn too, and the whole batch is one resampling. None contains a pure shear: that is left to
novkit.distortions.unseen.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor

from novkit.distortions.resampling import (
    affine_points,
    check_batch,
    near_identity_matrices,
    pieces,
    pixel_centres,
    resample,
    to_centred,
    to_pixels,
)
from novkit.errors import SettingsError
from novkit.images import send
from novkit.seeding import drawn

Plane = tuple[Tensor, Tensor]  # x and y (n, h, w) in centred coordinates: half the shorter side = 1

# Each map takes x, y, amounts a (n, 1, 1) and six numbers u (6, n, 1, 1) in [-1, 1], and returns where to read.
# u[0] is a free sign, u[1] a free direction, u[2] to u[4] vary the shape; u[5] is the zoom.
DRAWS = 6


def _turn(x: Tensor, y: Tensor, angle: Tensor) -> Plane:
    c, s = torch.cos(angle), torch.sin(angle)
    return c * x - s * y, s * x + c * y


def _barrel(x: Tensor, y: Tensor, a: Tensor, u: Tensor) -> Plane:
    """r_src = r (1 + k p(r)) or r / (1 + k p(r)): ImageMagick's barrel and its inverse, about a centre that varies."""
    cx, cy = 0.3 * a * u[2], 0.3 * a * u[3]
    x, y = x - cx, y - cy
    r = torch.hypot(x, y)
    mix = 0.5 + 0.5 * u[4]
    factor = 1 + 1.2 * a * r * (1 - mix + mix * r)
    factor = torch.where(u[0] > 0, factor, 1 / factor)
    return x * factor + cx, y * factor + cy


def _perspective(x: Tensor, y: Tensor, a: Tensor, u: Tensor) -> Plane:
    """A plane tilted away in a direction that varies: (x, y) / (1 + g·(x, y)), a true homography."""
    angle = math.pi * u[1]
    depth = (1 + 0.55 * a * (torch.cos(angle) * x + torch.sin(angle) * y)).clamp_min(0.15)
    return x / depth, y / depth


def _bend(x: Tensor, y: Tensor, k: Tensor, direction: Tensor) -> Plane:
    """Angle and radius about a pole at distance 1/k, scaled to agree with x and y in the image's centre; k = 0 is the identity."""
    x, y = _turn(x, y, direction)
    kx, ky = k * x, 1 - k * y
    along = torch.where(k > 1e-3, torch.atan2(kx, ky) / k.clamp_min(1e-3), x / ky)
    across = (2 * y - k * (x * x + y * y)) / (1 + torch.hypot(kx, ky))
    return _turn(along, across, -direction)


def _polar(x: Tensor, y: Tensor, a: Tensor, u: Tensor) -> Plane:
    """Polar coordinates: as the amount grows their pole comes from afar to within the image."""
    return _bend(x, y, 2.2 * a, math.pi * u[1])


def _arc(x: Tensor, y: Tensor, a: Tensor, u: Tensor) -> Plane:
    """Straight lines become arcs, of up to 80° across the image; the pole stays outside."""
    return _bend(x, y, 0.7 * a, math.pi * u[1])


def _affine(x: Tensor, y: Tensor, a: Tensor, u: Tensor) -> Plane:
    """Stretched along one axis of the image and squeezed along the other, turned and shifted a little."""
    stretch = torch.exp(0.35 * a * torch.sign(u[0]))
    x, y = _turn(x * stretch, y / stretch, 0.4 * a * u[2])
    return x + 0.15 * a * u[3], y + 0.15 * a * u[4]


def _similarity(x: Tensor, y: Tensor, a: Tensor, u: Tensor) -> Plane:
    """Turned by up to 57° and shifted a little; the zoom, which all kinds have, is doubled."""
    x, y = _turn(x, y, a * torch.sign(u[0]))
    return x + 0.15 * a * u[3], y + 0.15 * a * u[4]


def _translation(x: Tensor, y: Tensor, a: Tensor, u: Tensor) -> Plane:
    """Shifted by up to 30 % of the shorter side."""
    angle = math.pi * u[1]
    return x + 0.6 * a * torch.cos(angle), y + 0.6 * a * torch.sin(angle)


MAPS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Plane]] = {
    "barrel": _barrel,
    "perspective": _perspective,
    "polar": _polar,
    "arc": _arc,
    "affine": _affine,
    "similarity": _similarity,
    "translation": _translation,
}
KINDS = tuple(MAPS)
ZOOMS = {"similarity": 2.0}  # of the kinds' zooms, which are 1 elsewhere


@dataclass(frozen=True, kw_only=True)
class TrainingFamily:
    """What `distort` draws from. Every field is [O].

    kinds: the kinds drawn from, all equally likely. strength: scales all amounts; 0 leaves only the sub-pixel warp.
    weakest: amounts are uniform in [weakest, 1] × strength. zoom: images are also magnified or shrunk by up to exp(±zoom),
    in proportion to the amount. equal_detail: each map is scaled so that, on a homogeneous texture, it would leave the
    mean squared gradient as it was; without it blur or detail alone gives most kinds away. local: share of images whose map is
    shrunk into a soft round window and leaves the rest of the picture alone: a classifier of whole-image maps alone need only look
    at pose. window: smallest and largest radius of that window, in half image sides.
    Raises SettingsError for no or unknown kinds, and unless 0 ≤ strength ≤ 2, weakest, zoom and local lie in [0, 1], and
    0 < smallest ≤ largest ≤ 2 in window.
    """

    kinds: tuple[str, ...] = KINDS
    strength: float = 1.0
    weakest: float = 0.5
    zoom: float = 0.15
    equal_detail: bool = True
    local: float = 0.8
    window: tuple[float, float] = (0.3, 0.7)

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in MAPS]
        if unknown or not self.kinds:
            raise SettingsError(f"kinds {self.kinds!r} must be a choice, not empty, from {', '.join(KINDS)}.")
        if not 0 <= self.strength <= 2:
            raise SettingsError(f"strength is {self.strength}: choose it between 0 (identity) and 2.")
        if not 0 <= self.weakest <= 1:
            raise SettingsError(f"weakest is {self.weakest}: choose it between 0 and 1.")
        if not 0 <= self.zoom <= 1:
            raise SettingsError(f"zoom is {self.zoom}: choose it between 0 and 1.")
        if not 0 <= self.local <= 1:
            raise SettingsError(f"local is {self.local}: choose a share between 0 and 1.")
        if not 0 < self.window[0] <= self.window[1] <= 2:
            raise SettingsError(f"window is {self.window}: choose two radii, 0 < smallest ≤ largest ≤ 2.")


class Maps(ABC):
    """The map of each image of a batch: how it is chosen is a subclass's affair, what is done with it is the same."""

    @abstractmethod
    def mapped(self, x: Tensor, y: Tensor, a: Tensor, u: Tensor) -> Plane:
        """Where each image's own map reads; x and y (n, h, w), or (1, h, w) for all."""

    @abstractmethod
    def zooms(self, a: Tensor) -> Tensor:
        """(n, 1, 1), like the amounts a: 2 for the kind whose zoom is doubled, else 1."""

    def detail(self, a: Tensor, u: Tensor, height: int, width: int) -> Tensor:
        """(n, 1, 1): the root mean square stretch of each map, 1 for the identity, measured on a coarse grid."""
        steps = min(24, height, width)
        x, y = to_centred(pixel_centres(height, width, a.device))
        rows = torch.linspace(0, height - 1, steps, device=a.device).round().long()
        columns = torch.linspace(0, width - 1, steps, device=a.device).round().long()
        x, y = x[:, rows][:, :, columns], y[:, rows][:, :, columns]
        step_x, step_y = x.diff(dim=2)[:, :-1], y.diff(dim=1)[:, :, :-1]
        squared = torch.zeros(())
        for source in self.mapped(x, y, a, u):
            squared = squared + (source.diff(dim=2)[:, :-1] / step_x).square() + (source.diff(dim=1)[:, :, :-1] / step_y).square()
        # Where a map compresses more than about threefold, pixels no longer resolve it: the cut keeps poles from ruling the mean.
        return (squared.clamp_max(20.0).mean(dim=(1, 2), keepdim=True) / 2).sqrt()

    def warp(self, points: Tensor, amount: Tensor, u: Tensor, settings: TrainingFamily) -> Tensor:
        """points (n, 2, h, w) in pixels, amount (n,), u (n, DRAWS) -> source points."""
        a, u = amount.view(-1, 1, 1), u.T.reshape(DRAWS, -1, 1, 1)
        x, y = self.mapped(*to_centred(points), a, u)
        scale = torch.exp(settings.zoom * self.zooms(a) * a * u[5])
        if settings.equal_detail:
            scale = scale / self.detail(a, u, *points.shape[-2:])
        return to_pixels(x * scale, y * scale)


@dataclass(frozen=True)
class _SideBySide(Maps):
    """(kind, rows): images of one kind lie side by side, so that each map is computed for its own images, all else for all at once."""

    rows: list[tuple[str, slice]]

    @classmethod
    def in_order(cls, kinds: Sequence[str], counts: Sequence[int]) -> "_SideBySide":
        ends = list(accumulate(counts))
        return cls([(kind, slice(end - n, end)) for kind, n, end in zip(kinds, counts, ends, strict=True) if n])

    def among(self, part: slice) -> "_SideBySide":
        """Those of some of the images, which are counted from the first of them."""
        cut = [(kind, max(rows.start, part.start) - part.start, min(rows.stop, part.stop) - part.start) for kind, rows in self.rows]
        return _SideBySide([(kind, slice(start, stop)) for kind, start, stop in cut if start < stop])

    def mapped(self, x: Tensor, y: Tensor, a: Tensor, u: Tensor) -> Plane:
        planes = []
        for kind, rows in self.rows:
            own = rows if len(x) > 1 else slice(None)
            planes.append(MAPS[kind](x[own], y[own], a[rows], u[:, rows]))
        return torch.cat([plane[0] for plane in planes]), torch.cat([plane[1] for plane in planes])

    def zooms(self, a: Tensor) -> Tensor:
        return torch.cat([torch.full_like(a[rows], ZOOMS.get(kind, 1.0)) for kind, rows in self.rows])


@dataclass(frozen=True)
class Windows:
    """Where each image's map acts: centre (n, 2, 1, 1) and radius (n, 1, 1, 1) in pixels; an infinite radius is the whole image."""

    centre: Tensor
    radius: Tensor
    scale: Tensor  # by which a map made for the whole image shrinks to fit
    middle: Tensor  # (1, 2, 1, 1): of the image

    @classmethod
    def draw(cls, n: int, height: int, width: int, generator: torch.Generator, settings: TrainingFamily) -> "Windows":
        """Centres lie in the middle half of the image, where the body is. On the CPU."""
        numbers = drawn(torch.rand, n, 4, generator=generator)
        sides = torch.tensor([width, height], dtype=torch.float32)
        local = numbers[:, 0] < settings.local
        smallest, largest = settings.window
        scale = torch.where(local, smallest + (largest - smallest) * numbers[:, 1], torch.ones_like(numbers[:, 1]))
        centre = torch.where(local[:, None], sides * (0.25 + 0.5 * numbers[:, 2:]), sides / 2)
        radius = torch.where(local, scale * sides.min() / 2, torch.full_like(scale, torch.inf))
        return cls(centre.view(n, 2, 1, 1), radius.view(n, 1, 1, 1), scale.view(n, 1, 1, 1), (sides / 2).view(1, 2, 1, 1))

    def of(self, rows: Tensor | slice, device: torch.device) -> "Windows":
        """Those of some images, on their device."""
        own = self.centre[rows], self.radius[rows], self.scale[rows], self.middle
        return Windows(*(send(part, device) for part in own))

    def magnified(self, points: Tensor) -> Tensor:
        """The window's points, blown up to the whole image: there the map is computed."""
        return (points - self.centre) / self.scale + self.middle

    def blend(self, points: Tensor, mapped: Tensor) -> Tensor:
        """What the map does, shrunk back into the window and fading smoothly towards its rim."""
        shrunk = (mapped - self.middle) * self.scale + self.centre
        inside = ((points - self.centre) / self.radius).square().sum(dim=1, keepdim=True)
        return points + (1 - inside).clamp_min(0).square() * (shrunk - points)


@dataclass(frozen=True)
class Drawn:
    """All that is random in the transformation of a batch, on the CPU: kinds (n,), as indices into the family's; matrices (n, 2, 3) of the
    sub-pixel warp; amounts (n,); u (n, DRAWS) in [-1, 1]; windows."""

    kinds: Tensor
    matrices: Tensor
    amounts: Tensor
    u: Tensor
    windows: Windows

    @classmethod
    def of(cls, images: Tensor, generator: torch.Generator, settings: TrainingFamily) -> "Drawn":
        """Draw for images (n, c, h, w); generator: on the CPU, like all that is returned."""
        n, _, height, width = images.shape
        kinds = drawn(partial(torch.randint, len(settings.kinds)), n, generator=generator)
        uniform = drawn(torch.rand, n, generator=generator)
        amounts = settings.strength * (settings.weakest + (1 - settings.weakest) * uniform)
        u = 2 * drawn(torch.rand, n, DRAWS, generator=generator) - 1
        matrices = near_identity_matrices(n, height, width, generator)
        return cls(kinds, matrices, amounts, u, Windows.draw(n, height, width, generator, settings))


def distort(images: Tensor, generator: torch.Generator, settings: TrainingFamily | None = None) -> tuple[Tensor, Tensor]:
    """Transform each image by one kind drawn at random, its shape drawn too, in one resampling with reflected borders.

    images: float32 (n, c, h, w) in [0, 1] on any device. generator: on the CPU; all that is random comes from it.
    Returns the transformed images and, for each, the index of its kind in `settings.kinds` (n,).
    The sub-pixel warp of `near_identity` is part of every map: at strength 0 the two have the same distribution.
    """
    settings = settings or TrainingFamily()
    check_batch(images)
    drawn = Drawn.of(images, generator, settings)
    if not len(images):
        return images, send(drawn.kinds, images.device)
    order = torch.argsort(drawn.kinds, stable=True)
    counts = torch.bincount(drawn.kinds, minlength=len(settings.kinds)).tolist()
    side_by_side = _SideBySide.in_order(settings.kinds, counts)
    windows = drawn.windows.of(order, images.device)
    sent = drawn.matrices[order], drawn.amounts[order], drawn.u[order], torch.argsort(order), drawn.kinds, order
    matrices, amounts, u, back, kinds, order = (send(part, images.device) for part in sent)
    parts = []
    for part in pieces(images):
        maps, window = side_by_side.among(part), windows.of(part, images.device)
        parts.append(transformed(images[order[part]], matrices[part], amounts[part], u[part], window, maps, settings))
    return torch.cat(parts)[back], kinds


def transformed(
    images: Tensor, matrices: Tensor, amounts: Tensor, u: Tensor, windows: Windows, maps: Maps, settings: TrainingFamily
) -> Tensor:
    """Images after their sub-pixel warp and, in their windows, their maps; shapes as in `Drawn`, all on the images' device."""
    points = affine_points(matrices, *images.shape[-2:])
    mapped = maps.warp(windows.magnified(points), amounts, u, settings)
    return resample(images, windows.blend(points, mapped))


def apply_kind(images: Tensor, kind: str, amount: float | Tensor = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Transform all images by one named kind, for galleries and widgets, without the sub-pixel warp and the zoom.

    amount: a number or (n,) from 0, the image itself, over 1, the strongest of the default family, to 2.
    generator: draws the shape (direction, sign, centre) for each image; without it one fixed shape is used.
    Raises SettingsError for an unknown kind or an amount outside [0, 2], DataError for what is no batch of images.
    """
    check_batch(images)
    settings = TrainingFamily(kinds=(kind,), zoom=0.0)
    n, _, height, width = images.shape
    if generator is None:
        u = torch.tensor([1.0, 0.25, 0.5, 0.5, 0.0, 0.0]).repeat(n, 1)
    else:
        u = 2 * torch.rand(n, DRAWS, generator=generator) - 1
    amounts = torch.as_tensor(amount, dtype=torch.float32).expand(n).to(images.device)
    if not bool(((amounts >= 0) & (amounts <= 2)).all()):
        raise SettingsError(f"The amount of {kind} is {amount}: choose it between 0 (identity) and 2.")
    points = pixel_centres(height, width, images.device).expand(n, -1, -1, -1)
    return resample(images, _SideBySide([(kind, slice(n))]).warp(points, amounts, u.to(images.device), settings))
