"""Heads made from the ICBM 152 template: random slices of it under smooth, fold-free deformation."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nibabel
import nilearn
import numpy as np
from scipy import ndimage

from novkit.errors import DataError

Array = np.ndarray

Z_RANGE = (0.0, 28.0)  # mm above the anterior commissure: the middle of a subject's stack of slices
HALF_FIELD = 128.0  # mm, half the square on which smooth fields are defined
_Z_KEPT = (-36.0, 78.0)  # mm of the template that tilted slices can reach
_FOLD_FREE = 0.40  # cubic B-spline displacements below spacing / 2.48 cannot fold (Choi & Lee 2000)


# ---- the template ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Volume:
    """Channels on a regular grid. values: (x, y, z, channels) float32; origin in mm; spacing in mm."""

    values: Array
    origin: tuple[float, float, float]
    spacing: float

    def at(self, points: tuple[Array, Array, Array]) -> list[Array]:
        """Trilinear interpolation at points (mm), one float64 array a channel; outside, the nearest edge."""
        corner, weight = [], []
        for axis, mm in enumerate(points):
            last = self.values.shape[axis] - 1
            position = np.clip((mm.ravel() - self.origin[axis]) / self.spacing, 0, last - 1e-6)
            low = position.astype(np.intp)
            corner.append(low)
            weight.append((position - low).astype(np.float32))
        flat = self.values.reshape(-1, self.values.shape[3])
        step_x, step_y = self.values.shape[1] * self.values.shape[2], self.values.shape[2]
        base = corner[0] * step_x + corner[1] * step_y + corner[2]
        total = np.zeros((len(base), flat.shape[1]), np.float32)
        for i in (0, 1):
            wx = weight[0] if i else 1 - weight[0]
            for j in (0, 1):
                wxy = wx * (weight[1] if j else 1 - weight[1])
                for k in (0, 1):
                    w = wxy * (weight[2] if k else 1 - weight[2])
                    total += w[:, None] * flat.take(base + (i * step_x + j * step_y + k), axis=0)
        shape = points[0].shape
        return [total[:, channel].reshape(shape).astype(np.float64) for channel in range(total.shape[1])]


def _read(name: str) -> tuple[Array, tuple[float, float, float]]:
    path = Path(os.path.dirname(nilearn.__file__)) / "datasets" / "data" / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    if not path.exists():
        raise DataError(f"nilearn {nilearn.__version__} does not carry {path.name}: install nilearn 0.10 or later.")
    image = nibabel.load(path)
    x, y, z = (float(v) for v in image.affine[:3, 3])  # type: ignore[attr-defined]
    return np.asarray(image.dataobj).astype(np.float32) / 255, (x, y, z)  # type: ignore[attr-defined]


@lru_cache(maxsize=1)
def _template() -> tuple[dict[str, Array], tuple[float, float, float]]:
    """The 1 mm template without its empty top: t1, gm, wm in [0, 1], (197, 233, z)."""
    maps = {name: _read(name) for name in ("t1", "gm", "wm")}
    return {name: value for name, (value, _) in maps.items()}, maps["t1"][1]


@lru_cache(maxsize=3)
def tissue_volume(size: int) -> Volume:
    """Grey matter, white matter and T1, smoothed for pixels of an image `size` wide and cut to the slices used."""
    maps, origin = _template()
    step = 2 if size <= 64 else 1
    sigma = {64: 1.1, 128: 0.55}.get(size, 0.0)
    low, high = (int(z - origin[2]) for z in _Z_KEPT)
    channels = []
    for name in ("gm", "wm", "t1"):
        value = maps[name][:, :, low:high]
        channels.append((ndimage.gaussian_filter(value, sigma, truncate=3) if sigma else value)[::step, ::step, ::step])
    return Volume(np.ascontiguousarray(np.stack(channels, -1)), (origin[0], origin[1], _Z_KEPT[0]), float(step))


def _signed_distance(inside: Array, spacing: float, upward: float = 1.0) -> Array:
    """mm to the border of `inside`, negative within. upward: what a millimetre along z counts for, outside."""
    outside = ndimage.distance_transform_edt(~inside, sampling=(spacing, spacing, upward * spacing))
    return outside - ndimage.distance_transform_edt(inside, sampling=spacing) + np.where(inside, 0.5, -0.5) * spacing


@lru_cache(maxsize=1)
def geometry_volume() -> Volume:
    """Distance to the brain's hull, distance to the ventricles and its gradient (x, y, z), at 2 mm."""
    maps, origin = _template()
    gm, wm, t1 = (maps[name][::2, ::2, ::2] for name in ("gm", "wm", "t1"))
    brain = t1 > 0
    near = ndimage.distance_transform_edt(~np.pad(brain, 8), sampling=2.0) <= 10
    hull = (ndimage.distance_transform_edt(near, sampling=2.0) > 10)[8:-8, 8:-8, 8:-8] | brain
    outside = ndimage.gaussian_filter(_signed_distance(hull, 2.0), 1.0)
    mm = [origin[axis] + 2.0 * np.arange(length) for axis, length in enumerate(brain.shape)]
    x, y, z = np.meshgrid(*mm, indexing="ij", sparse=True)
    fluid = (1 - gm - wm > 0.45) & brain
    # in MNI space: the lateral ventricles lie in this box, the third in the narrow one; sulci and cisterns stay outside
    lateral = (np.abs(x) < 38) & (y > -62) & (y < 34) & (z > -6) & (z < 31) & (outside < -18) & ~((np.abs(x) < 9) & (y < -34))
    third = (np.abs(x) < 7) & (y > -28) & (y < 4) & (z > -10) & (z < 8)
    parts, _ = ndimage.label(fluid & (lateral | third))
    sizes = np.bincount(parts.ravel())
    ventricles = np.isin(parts, np.flatnonzero(sizes[1:] > 40) + 1)
    ventricle = ndimage.gaussian_filter(_signed_distance(ventricles, 2.0, 0.7), 0.7)  # ventricles grow upwards most
    gradient = [ndimage.gaussian_filter(g, 1.0) for g in np.gradient(ventricle, 2.0)]
    low, high = (int((bound - origin[2]) // 2) for bound in _Z_KEPT)
    values = np.stack([outside, ventricle, *gradient], -1)[:, :, low:high].astype(np.float32)
    return Volume(np.ascontiguousarray(values), (origin[0], origin[1], origin[2] + 2.0 * low), 2.0)


# ---- smooth random fields --------------------------------------------------------------------------------------------


def _basis(positions: Array, start: float, spacing: float, count: int) -> Array:
    """(positions, count): cubic B-spline weights of knots start, start + spacing, …"""
    t = np.abs((positions[:, None] - start) / spacing - np.arange(count)[None, :])
    outer, inner = np.maximum(2 - t, 0), np.maximum(1 - t, 0)
    return (outer * outer * outer - 4 * inner * inner * inner) / 6


@dataclass(frozen=True)
class Field:
    """A smooth random function of (z, y, x) in mm: cubic B-splines whose knots are `spacing` apart. knots: (c, z, y, x)."""

    knots: Array
    spacing: float

    @classmethod
    def draw(cls, rng: np.random.Generator, spacing: float, sd: float, *, components: int = 1, limit: float | None = None) -> "Field":
        """Knots drawn from N(0, sd²), clipped at ±limit. The field's own sd is about 0.55 sd (0.31 for three dimensions free)."""
        n = int(np.ceil(2 * HALF_FIELD / spacing)) + 3
        nz = int(np.ceil(60.0 / spacing)) + 3
        knots = sd * rng.standard_normal((components, nz, n, n))
        return cls(knots if limit is None else np.clip(knots, -limit, limit), spacing)

    def on(self, z: Array, y: Array, x: Array) -> Array:
        """(components, len(z), len(y), len(x)) on the grid those three axes (mm) span."""
        _, nz, ny, nx = self.knots.shape
        bz = _basis(z, Z_RANGE[0] - 15 - self.spacing, self.spacing, nz)
        by = _basis(y, -HALF_FIELD - self.spacing, self.spacing, ny)
        bx = _basis(x, -HALF_FIELD - self.spacing, self.spacing, nx)
        planes = np.einsum("kz,czyx->ckyx", bz, self.knots)
        return by @ planes @ bx.T


# ---- one subject's anatomy ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Push:
    """Mass effect: tissue around (x, y, z) mm is moved outwards, by at most about 0.43 · strength · radius."""

    centre: tuple[float, float, float]
    radius: float
    strength: float


@dataclass(frozen=True)
class Anatomy:
    """What all slices of one subject share. z: (slices,) mm; lengths in mm, angles in radians."""

    z: Array
    field_of_view: float
    scale: Array
    rotation: Array
    shift: Array
    coarse: Field
    fine: Field
    cortex: Field
    shell: Field
    ventricle: float
    ventricle_healthy: float
    sulci: float
    sharpness: float
    layers: Array

    @classmethod
    def draw(cls, rng: np.random.Generator, slices: int, *, enlarged: bool = False) -> "Anatomy":
        """A new subject. enlarged: ventricles well beyond the healthy range."""
        middle, gap = rng.uniform(*Z_RANGE), rng.uniform(3.0, 4.0)
        z = middle + gap * (np.arange(slices) - (slices - 1) / 2) if slices <= 4 else np.linspace(middle - 6, middle + 6, slices)
        size = rng.normal(0.95, 0.025)
        crooked = float(np.exp(np.clip(0.8 * rng.standard_normal(), -1.6, 1.4)))  # how well the head was placed
        roll, pitch, yaw = np.deg2rad(np.clip(rng.normal(0, (2.5, 3.0, 5.0 * crooked)), (-5, -6, -15), (5, 6, 15)))
        healthy = float(np.clip(rng.normal(0.6, 1.0), -1.0, 3.0))
        more = float(rng.uniform(2.4, 4.5))
        limit = _FOLD_FREE / 2  # two fields are added: each gets half of what keeps the sum from folding
        return cls(
            z=z,
            field_of_view=rng.uniform(212, 234),
            scale=np.clip(size * rng.normal(1, (0.025, 0.025, 0.02)), 0.86, 1.05),
            rotation=_rotation(roll, pitch, yaw),
            shift=np.clip(rng.normal(0, 5.0 * crooked, 2), -15, 15),
            coarse=Field.draw(rng, 44.0, 7.0, components=3, limit=44.0 * limit),
            fine=Field.draw(rng, 16.0, 2.4, components=2, limit=16.0 * limit),
            cortex=Field.draw(rng, 11.0, 0.2),
            shell=Field.draw(rng, 30.0, 2.0, components=2),
            ventricle=healthy + more * enlarged,
            ventricle_healthy=healthy,
            sulci=rng.uniform(1.1, 2.4),
            sharpness=rng.uniform(1.4, 2.2),
            layers=rng.uniform((-0.8, 1.0, 1.2, 1.0, 2.4), (0.9, 1.6, 3.4, 1.6, 5.2)),
        )

    def axes(self, size: int) -> tuple[Array, Array]:
        """Pixel centres (y from front to back, x from the patient's right to left, as radiologists look), mm."""
        centres = ((np.arange(size) + 0.5) / size - 0.5) * self.field_of_view
        return -centres, -centres


def _rotation(roll: float, pitch: float, yaw: float) -> Array:
    """Rotation about y, then x, then z."""
    (cr, sr), (cp, sp), (cy, sy) = ((np.cos(a), np.sin(a)) for a in (roll, pitch, yaw))
    return (
        np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        @ np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
    )


@dataclass(frozen=True)
class Slices:
    """Tissue of one subject's slices, every map (slices, size, size) float64.

    csf, gm, wm: shares that add up to 1 within the hull. t1: the template's T1. outside: mm to the brain's hull, negative within.
    ventricle: mm to the ventricle's wall, before healthy variation or enlargement. added: share of CSF that enlargement added.
    axis_x, axis_y: pixel centres (mm) in the subject's space; template: where each pixel lies in the template (x, y, z), mm.
    """

    csf: Array
    gm: Array
    wm: Array
    t1: Array
    outside: Array
    ventricle: Array
    gradient: tuple[Array, Array]
    added: Array
    axis_y: Array
    axis_x: Array
    template: tuple[Array, Array, Array]


def template_coordinates(anatomy: Anatomy, size: int, push: Push | None = None) -> tuple[Array, Array, Array]:
    """Where in the template (mm) each pixel of each slice lies, before the ventricles move: a map without folds."""
    axis_y, axis_x = anatomy.axes(size)
    moved = anatomy.coarse.on(anatomy.z, axis_y, axis_x)
    moved[:2] += anatomy.fine.on(anatomy.z, axis_y, axis_x)
    shape = moved.shape[1:]
    ux = np.broadcast_to(axis_x[None, None, :], shape)
    uy = np.broadcast_to(axis_y[None, :, None], shape)
    uz = np.broadcast_to(anatomy.z[:, None, None], shape)
    if push is not None:
        dx, dy, dz = ux - push.centre[0], uy - push.centre[1], uz - push.centre[2]
        edge = np.hypot(ux / 62.0, (uy + 2.0) / 80.0)  # the skull stays where it is
        pull = push.strength * np.exp(-(dx**2 + dy**2 + dz**2) / push.radius**2) * np.clip(2.2 * (1 - edge), 0, 1)
        ux, uy = ux - pull * dx, uy - pull * dy
    p = (ux + moved[0] - anatomy.shift[0], uy + moved[1] - anatomy.shift[1], uz + moved[2] - anatomy.z[:, None, None])
    centre = np.array([0.0, -18.0])
    a = anatomy.rotation / anatomy.scale[:, None]
    x, y, z = (a[i, 0] * p[0] + a[i, 1] * p[1] + a[i, 2] * p[2] for i in range(3))
    return x + centre[0], y + centre[1], z + anatomy.z[:, None, None]


def cut(anatomy: Anatomy, size: int, push: Push | None = None) -> Slices:
    """Sample the deformed template on the subject's slices, `size` pixels wide."""
    axis_y, axis_x = anatomy.axes(size)
    x, y, z = template_coordinates(anatomy, size, push)
    outside, ventricle, gx, gy, gz = geometry_volume().at((x, y, z))
    midline = 1 - 0.85 * np.exp(-((x / 4.5) ** 2)) * (y > -48)  # the septum and the third ventricle widen least
    wall, wall_healthy = anatomy.ventricle * midline, anatomy.ventricle_healthy * midline
    move = wall * np.exp(-np.maximum(ventricle - np.maximum(wall, 0.0), 0) / 18.0)
    gm, wm, t1 = tissue_volume(size).at((x - move * gx, y - move * gy, z - move * gz))
    over = np.hypot(np.clip(np.abs(x) - 98, 0, None), np.clip(-134 - y, 0, None) + np.clip(y - 98, 0, None))
    outside = outside + over
    noise = anatomy.cortex.on(anatomy.z, axis_y, axis_x)[0]
    # the maps are averages over 152 people: sulci are shallow and borders broad until their contrast is stretched
    fluid = np.maximum(np.clip(1 - gm - wm, 0, 1), np.clip((0.64 - t1) / 0.28, 0, 1))
    csf = np.clip(anatomy.sulci * (fluid - 0.12 + 0.5 * noise * (fluid > 0)), 0, 1)
    width = max(0.8, 0.3 * anatomy.field_of_view / size)
    walls = _wall(ventricle - wall, width)
    csf = np.where(ventricle < 14, np.maximum(csf, walls * (anatomy.ventricle > 0)), csf)
    wm = np.clip((wm - 0.45 - noise) * anatomy.sharpness + 0.45, 0, 1) * (1 - csf)
    added = np.clip(walls - _wall(ventricle - wall_healthy, width), 0, 1)
    gm = np.clip(1 - csf - wm, 0, 1)
    return Slices(csf, gm, wm, t1, outside, ventricle, (gx, gy), added, axis_y, axis_x, (x, y, z))


def _wall(distance: Array, width: float) -> Array:
    """1 well below 0, 0 well above, straight between −width and width."""
    return np.clip(0.5 - distance / (2 * width), 0, 1)
