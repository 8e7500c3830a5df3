"""Procedural, dermoscopy-like images of pigmented lesions: synthetic, made for learning, and not a model of any disease.

Benign: symmetric, regular in border, one pattern (network, globules or homogeneous), one or two browns.
Atypical: asymmetric, irregular in border, mixed patterns, several colours, blue-white veil, streaks.
Skin tone, lesion size and darkness, light, hairs, gel bubbles, rulers and sensor noise vary alike in both.

Light is absorbed by melanin and blood (Beer and Lambert's law with made-up coefficients [O]); everything else is our choice too [O].
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from novkit.data.dataset import ImageDataset
from novkit.errors import SettingsError
from novkit.progress import progress_bar
from novkit.seeding import numpy_generator

FINGERPRINT = "skin-1"
"""Changes whenever the images of a given seed may have changed."""

# What one unit of each pigment absorbs of red, green and blue.
_MELANIN = np.array([0.46, 0.78, 1.02])
_BLOOD = np.array([0.10, 0.52, 0.44])
_VEIL = np.array([0.40, 0.41, 0.47])  # blue-white veil
_SCAR = np.array([0.86, 0.78, 0.75])  # white areas of regression
_TONES = np.array([[0.90, 0.76, 0.74], [0.88, 0.82, 0.74], [0.82, 0.63, 0.49], [0.78, 0.73, 0.73], [0.88, 0.64, 0.50], [0.62, 0.46, 0.34]])
_OCTAVES = {4: 4, 7: 4, 12: 4, 24: 4, 48: 2}  # cells a side of the random fields -> how many of them

_Noise = dict[int, list[np.ndarray]]
_Pigments = tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]  # melanin, blood; opacity of veil and scar


@dataclass(frozen=True)
class _Canvas:
    """Pixel positions in [-1, 1] and the spline bases that blow small random grids up to the image."""

    size: int
    x: np.ndarray
    y: np.ndarray
    bases: dict[int, np.ndarray]

    def field(self, grid: np.ndarray) -> np.ndarray:
        """(k, k) normal numbers -> a smooth (size, size) field of standard deviation near 1."""
        basis = self.bases[len(grid) - 3]
        return basis @ grid @ basis.T


@lru_cache(maxsize=4)
def _canvas(size: int) -> _Canvas:
    middle = (np.arange(size) + 0.5) / size
    y, x = np.meshgrid(2 * middle - 1, 2 * middle - 1, indexing="ij")
    bases = {}
    for cells in _OCTAVES:
        place = middle * cells
        first, t = np.floor(place).astype(int), place % 1
        taps = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6  # cubic B-spline
        basis = np.zeros((size, cells + 3))
        for tap in range(4):
            basis[np.arange(size), first + tap] = taps[:, tap]
        bases[cells] = basis / np.sqrt((basis**2).sum(axis=1).mean())
    return _Canvas(size, x, y, bases)


def generate_skin(*, size: int = 64, seed: int = 0, n_benign: int = 1600, n_atypical: int = 400, progress: bool = True) -> ImageDataset:
    """Synthetic dermoscopy-like images, uint8 (n, 3, size, size), classes "benign" (normal) and "atypical".

    Each image is a function of (seed, class, index) alone, so a larger set begins with the smaller one; another size shows the same
    lesions. Every image is a lesion of its own, and its own group. There are no masks: no region of a lesion is the abnormal one.
    Raises SettingsError for a size outside 16 to 512, for a negative number of images, and for no image at all.
    """
    if not 16 <= size <= 512:
        raise SettingsError(f"size is {size}: skin images can be made with sides from 16 to 512.")
    counts = {"benign": n_benign, "atypical": n_atypical}
    if min(counts.values()) < 0 or not sum(counts.values()):
        raise SettingsError(f"n_benign={n_benign}, n_atypical={n_atypical}: ask for at least one image.")
    rows = [(label, index) for label, count in counts.items() for index in range(count)]
    images = np.empty((len(rows), 3, size, size), np.uint8)
    for row, (label, index) in enumerate(progress_bar(rows, desc="skin images", disable=not progress, delay=2, leave=False)):
        images[row] = draw_skin(label, index, size=size, seed=seed)
    names = [f"{label}-{index:05d}" for label, index in rows]
    digest = hashlib.sha256(repr((FINGERPRINT, size, seed, counts)).encode()).hexdigest()[:16]
    return ImageDataset(
        name="skin",
        images=images,
        table=pd.DataFrame({"id": names, "label": [label for label, _ in rows], "group": names}),
        normal="benign",
        synthetic=True,
        source="Synthetic: drawn by novkit.data.skin, no patient and no photograph behind it.",
        licence="MIT, as novkit.",
        fingerprint=digest,
        extra={"seed": seed, "groups": "Every image is a lesion of its own."},
    )


def draw_skin(label: str, index: int, *, size: int = 64, seed: int = 0) -> np.ndarray:
    """One image, uint8 (3, size, size)."""
    rng = numpy_generator(seed, "skin", label, index)
    canvas = _canvas(size)
    noise = {
        cells: [canvas.field(grid) for grid in rng.standard_normal((count, cells + 3, cells + 3))] for cells, count in _OCTAVES.items()
    }
    melanin, blood, veil, scar = (_atypical if label == "atypical" else _benign)(rng, canvas, noise)
    melanin, blood = _skin_texture(rng, noise, melanin, blood)
    image = _tone(rng)[:, None, None] * np.exp(-_MELANIN[:, None, None] * melanin - _BLOOD[:, None, None] * blood)
    for colour, opacity in ((_VEIL, veil), (_SCAR, scar)):
        if opacity is not None:
            image += opacity * (colour[:, None, None] - image)
    image = _bubbles(rng, canvas, _ruler(rng, canvas, _hairs(rng, canvas, image)))
    image *= _light(rng, canvas)
    image += rng.uniform(0.003, 0.010) * rng.standard_normal(image.shape)  # the only draw that depends on the size: keep it last
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


# ---- lesions: melanin, blood, veil, scar ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Outline:
    """A lesion's polar coordinates: distance (1 on the border), the direction as a unit complex number, darkness."""

    distance: np.ndarray
    direction: np.ndarray
    depth: float
    softness: float


def _outline(rng: np.random.Generator, canvas: _Canvas) -> _Outline:
    """An ellipse anywhere near the middle; the same for both classes."""
    angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.62, 1.0)
    radius = rng.uniform(0.3, 0.66)
    dx, dy = canvas.x - rng.normal(0, 0.12), canvas.y - rng.normal(0, 0.12)
    u = (np.cos(angle) * dx + np.sin(angle) * dy) * np.sqrt(ratio)
    v = (np.cos(angle) * dy - np.sin(angle) * dx) / np.sqrt(ratio)
    distance = np.hypot(u, v) + 1e-6
    return _Outline(distance / radius, (u + 1j * v) / distance, rng.uniform(0.55, 2.0), rng.uniform(0.03, 0.10))


def _harmonics(direction: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Re Σ c_k z^k, k = 1, 2, …, by Horner's rule."""
    total = np.zeros_like(direction)
    for coefficient in coefficients[::-1]:
        total = (total + coefficient) * direction
    return total.real


def _inside(distance: np.ndarray, softness: np.ndarray | float) -> np.ndarray:
    """1 within the border, 0 outside, a logistic step between."""
    return 1 / (1 + np.exp(np.clip((distance - 1) / softness, -30, 30)))


def _lattice(rng: np.random.Generator, canvas: _Canvas, noise: _Noise, which: int) -> np.ndarray:
    """A warped hexagonal lattice, -0.5 … 1 with its peaks at the nodes: holes of a network, or globules."""
    frequency = rng.uniform(30, 58)
    wide, narrow = rng.uniform(0.02, 0.05), rng.uniform(0.006, 0.02)
    x = canvas.x + wide * noise[7][which] + narrow * noise[24][which]
    y = canvas.y + wide * noise[7][which + 1] + narrow * noise[24][which + 1]
    total = np.zeros_like(x)
    for angle in rng.uniform(0, np.pi) + np.pi / 3 * np.arange(3):
        total += np.cos(frequency * (np.cos(angle) * x + np.sin(angle) * y))
    return total / 3


def _pattern(rng: np.random.Generator, canvas: _Canvas, noise: _Noise, which: int) -> np.ndarray:
    """A relative change of melanin, mean near 0, made of network, globules or clouds."""
    kind = rng.choice(3, p=[0.4, 0.25, 0.35])
    strength = rng.uniform(0.5, 1.0)
    mottled = 0.16 * noise[12][which] + 0.14 * noise[24][which] + 0.10 * noise[48][which // 2]
    if kind == 2:
        return strength * 1.6 * mottled
    lattice = _lattice(rng, canvas, noise, which)
    if kind == 0:
        return strength * (mottled + 0.5 * (0.05 - lattice))
    return strength * (mottled + 1.3 * np.clip(lattice - 0.35 + 0.35 * noise[12][which + 1], 0, 1) - 0.2)


def _benign(rng: np.random.Generator, canvas: _Canvas, noise: _Noise) -> _Pigments:
    outline = _outline(rng, canvas)
    amplitude = np.zeros(6, complex)
    amplitude[[1, 3]] = rng.normal(0, 0.02, 2)  # even and real: both axes of the ellipse stay mirrors
    distance = outline.distance * (1 + _harmonics(outline.direction, amplitude)) + 0.03 * noise[12][0] + 0.02 * noise[24][0]
    inside = _inside(distance, outline.softness)
    rim = np.clip(distance, 0, 1.3) ** 2
    centre = rng.choice([0.0, 0.7, -0.5], p=[0.35, 0.35, 0.3])  # even, darker or lighter in the middle
    profile = 1 + centre * (0.5 - rim)
    melanin = outline.depth * inside * np.maximum(profile * (1 + _pattern(rng, canvas, noise, 0)), 0.05)
    blood = rng.uniform(-0.1, 0.6) * inside
    return melanin, blood, None, None


def _atypical(rng: np.random.Generator, canvas: _Canvas, noise: _Noise) -> _Pigments:
    outline = _outline(rng, canvas)
    k = np.arange(1, 10)
    amplitude = rng.normal(0, 1, (2, 9)) * 0.16 / (k + 0.6)
    border = _harmonics(outline.direction, amplitude[0] + 1j * amplitude[1])
    distance = outline.distance * np.exp(border) + 0.06 * noise[12][0] + 0.03 * noise[24][0]
    toward = np.exp(1j * rng.uniform(0, 2 * np.pi))
    if rng.random() < 0.6:  # streaks: fingers of pigment in one sector of the border
        bent = outline.direction * np.exp(0.07j * noise[7][3] + 0.05j * noise[12][3])
        fingers = np.clip((bent ** int(rng.integers(22, 36))).real + 0.3 * noise[12][2], 0, 1.5)
        distance = distance - 0.13 * fingers * _sector(outline.direction, np.exp(1j * rng.uniform(0, 2 * np.pi)), 0.5)
    side = (outline.direction / toward).real * np.clip(outline.distance, 0, 1)  # -1 … 1 across the lesion
    inside = _inside(distance, outline.softness * np.exp(0.5 * side))
    share = 1 / (1 + np.exp(-5 * (noise[4][1] * 0.5 + side)))
    pattern = share * _pattern(rng, canvas, noise, 0) + (1 - share) * _pattern(rng, canvas, noise, 2)
    colours = np.exp(0.4 * np.tanh(1.5 * (0.6 * noise[4][2] + 0.5 * noise[7][2] + 0.8 * side)))
    melanin = outline.depth * inside * np.maximum(colours * (1 + pattern), 0.05)
    red = 1 / (1 + np.exp(-6 * (noise[4][3] - 0.4 + 0.3 * noise[7][0])))
    blood = inside * (rng.uniform(-0.1, 0.3) + rng.uniform(0.5, 1.4) * red)
    veil = _patch(rng, noise, inside, outline, 0, 0.75) if rng.random() < 0.75 else None
    scar = _patch(rng, noise, inside, outline, 1, 0.4) if rng.random() < 0.4 else None
    return melanin, blood, veil, scar


def _sector(direction: np.ndarray, toward: complex, cosine: float) -> np.ndarray:
    """1 where the direction is within a cone of half-angle arccos(cosine) around `toward`, smoothly 0 elsewhere."""
    return 1 / (1 + np.exp(np.clip(-12 * ((direction / toward).real - cosine), -30, 30)))


def _patch(rng: np.random.Generator, noise: _Noise, inside: np.ndarray, outline: _Outline, which: int, most: float) -> np.ndarray:
    """An off-centre, ragged area within the lesion -> its opacity."""
    middle = rng.uniform(0.3, 0.7) * np.exp(1j * rng.uniform(0, 2 * np.pi))
    away = np.abs(outline.distance * outline.direction - middle) / rng.uniform(0.3, 0.5)
    ragged = 1 - away + 0.35 * noise[7][which] + 0.2 * noise[12][which + 1]
    return most * rng.uniform(0.7, 1.0) * inside / (1 + np.exp(np.clip(-6 * ragged, -30, 30)))


# ---- what both classes share ------------------------------------------------------------------------------------------------


def _tone(rng: np.random.Generator) -> np.ndarray:
    """Red, green and blue of the bare skin under this camera."""
    return rng.dirichlet(np.full(len(_TONES), 0.6)) @ _TONES * rng.uniform(0.88, 1.08)


def _skin_texture(rng: np.random.Generator, noise: _Noise, melanin: np.ndarray, blood: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Blotches, pores and fine grain of the skin."""
    coarse, fine = rng.uniform(0.02, 0.06), rng.uniform(0.01, 0.035)
    melanin = melanin + coarse * noise[7][3] + fine * (noise[48][0] + 0.7 * noise[24][2])
    blood = blood + coarse * (noise[4][0] + noise[12][2]) + rng.uniform(0.02, 0.12) * np.clip(noise[24][3] - 1, 0, 2) + fine * noise[48][1]
    return melanin, blood


def _light(rng: np.random.Generator, canvas: _Canvas) -> np.ndarray:
    """A gradient, a vignette and, in some images, the dark corners of the dermatoscope's tube."""
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.12)
    square = canvas.x**2 + canvas.y**2
    light = 1 + slope * (np.cos(angle) * canvas.x + np.sin(angle) * canvas.y) - rng.uniform(0.02, 0.16) * square
    tube, radius = rng.random() < 0.12, rng.uniform(1.05, 1.3)
    if tube:
        light = light * (0.04 + 0.96 / (1 + np.exp(np.clip((np.sqrt(square) - radius) / 0.015, -30, 30))))
    return light


def _line(distance: np.ndarray, width: float, canvas: _Canvas) -> np.ndarray:
    """Opacity of a line: thinner than a pixel means fainter, never jagged."""
    drawn = max(width, 1.1 / canvas.size)
    profile = np.maximum(1 - (distance * (0.5 / drawn)) ** 2, 0)
    profile *= profile
    return width / drawn * profile * profile  # (1 − d²/4)⁴ is near exp(−d²), and much quicker


def _hairs(rng: np.random.Generator, canvas: _Canvas, image: np.ndarray) -> np.ndarray:
    """Curved hairs, most of them combed one way."""
    count = int(rng.choice([0, 1, 2, 3, 5, 8], p=[0.35, 0.15, 0.15, 0.15, 0.12, 0.08]))
    way, colour = rng.uniform(0, np.pi), rng.choice([0.12, 0.2, 0.35]) * np.array([1.0, 0.75, 0.6])
    opacity = np.zeros_like(canvas.x)
    for _ in range(count):
        angle = way + rng.normal(0, 0.5)
        along = np.cos(angle) * canvas.x + np.sin(angle) * canvas.y
        across = np.cos(angle) * canvas.y - np.sin(angle) * canvas.x
        bend, start, length = rng.normal(0, 0.25), rng.uniform(-1.2, 0.3), rng.uniform(0.8, 2.2)
        away = (across - rng.uniform(-1, 1) - bend * along**2) / np.sqrt(1 + (2 * bend * along) ** 2)
        ends = np.clip(np.minimum(along - start, start + length - along) * 8, 0, 1)
        opacity = np.maximum(opacity, 0.9 * ends * _line(away, rng.uniform(0.005, 0.014), canvas))
    return image + opacity * (colour[:, None, None] - image)


def _ruler(rng: np.random.Generator, canvas: _Canvas, image: np.ndarray) -> np.ndarray:
    """In some images a scale with its ticks near the edge."""
    if rng.random() > 0.2:
        return image
    angle = rng.normal(0, 0.15) + rng.choice([0, np.pi / 2], p=[0.8, 0.2])
    along = np.cos(angle) * canvas.x + np.sin(angle) * canvas.y
    across = np.cos(angle) * canvas.y - np.sin(angle) * canvas.x - rng.uniform(0.72, 0.92) * rng.choice([-1, 1], p=[0.2, 0.8])
    step, start = rng.uniform(0.07, 0.11), rng.uniform(-0.8, -0.4)
    count = int(rng.integers(10, 16))
    within = (along > start - 0.01) & (along < start + count * step + 0.01)
    place = (along - start) / step
    ticks = _line((place - np.rint(place)) * step, 0.012, canvas)
    reach = np.where(np.rint(place) % 5 == 0, 0.07, 0.04)
    ticks = ticks * np.clip(1 - np.abs(across + reach / 2) / reach * 1.2, 0, 0.5) * 2
    opacity = rng.uniform(0.4, 0.8) * within * np.maximum(ticks, _line(across, 0.01, canvas))
    return image * (1 - opacity)


def _bubbles(rng: np.random.Generator, canvas: _Canvas, image: np.ndarray) -> np.ndarray:
    """In some images bubbles in the contact gel: bright rims with a shine."""
    if rng.random() > 0.3:
        return image
    for _ in range(int(rng.integers(1, 7))):
        x, y, radius = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(0.02, 0.07)
        away = np.hypot(canvas.x - x, canvas.y - y)
        shine = np.hypot(canvas.x - x + radius / 2, canvas.y - y + radius / 2)
        image = image * (1 - 0.25 * _line(away - radius, 0.012, canvas)) + 0.35 * _line(shine, 0.02, canvas) + 0.1 * (away < 0.8 * radius)
    return image
