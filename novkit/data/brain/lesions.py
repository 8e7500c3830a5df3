"""Lesions: where they grow, how large, with what border; their brightness is render.py's matter.

A lesion is a level function on the subject's slices, in mm, and a threshold: it lies where level < threshold. Level functions are
distances bent by smooth noise and by tissue (oedema follows white matter, cysts spare the cortex), so borders are irregular and in
the right place. The threshold is chosen on a fixed planning grid so that the lesion covers the share of the brain that was drawn:
the same lesion at every image size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from novkit.data.brain.anatomy import Anatomy, Array, Field, Push, Slices, cut

PLANNING_SIZE = 48

# Quartiles of lesion area as a share of the brain.
# glioma: measured on TCGA-LGG (Buda et al. 2019) by data_scripts/measure_lgg_lesions.py. The others: our choice [O].
AREA = {
    "glioma": (0.052, 0.098, 0.161),
    "infarct": (0.035, 0.065, 0.12),
    "haemorrhage": (0.022, 0.04, 0.07),
}
AREA_LIMITS = {"glioma": (0.02, 0.28), "infarct": (0.015, 0.22), "haemorrhage": (0.012, 0.12)}


@dataclass(frozen=True)
class Layer:
    """One kind of lesion tissue. name: key of render.LESION; weight: (slices, size, size) in [0, 1]; texture: mottling, 0 = none."""

    name: str
    weight: Array
    texture: float = 0.0


@dataclass(frozen=True)
class Lesion:
    """What a condition adds. mask: (slices, size, size) bool; layers are painted in order."""

    mask: Array
    layers: tuple[Layer, ...]


def draw_lognormal(rng: np.random.Generator, quartiles: tuple[float, ...], limits: tuple[float, float]) -> float:
    """A log-normal number with these quartiles, clipped."""
    low, middle, high = quartiles
    sigma = np.log(high / low) / (2 * 0.6744897501960817)
    return float(np.clip(middle * np.exp(sigma * rng.standard_normal()), *limits))


def _soft(level: Array, threshold: float, softness: float) -> Array:
    """1 inside, 0 outside, a smooth step of about 4 · softness mm."""
    return 0.5 - 0.5 * np.tanh((level - threshold) / (2 * softness))


def _coordinates(slices: Slices, z: Array) -> tuple[Array, Array, Array]:
    """x, y, z (mm, subject space), broadcastable to (slices, size, size)."""
    return slices.axis_x[None, None, :], slices.axis_y[None, :, None], z[:, None, None]


def _pick(rng: np.random.Generator, weight: Array) -> tuple[int, int, int]:
    """A pixel (slice, row, column) drawn with probability proportional to `weight`."""
    total = np.cumsum(weight.ravel())
    index = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
    return tuple(int(i) for i in np.unravel_index(min(index, total.size - 1), weight.shape))  # type: ignore[return-value]


def _middle_slice(weight: Array) -> Array:
    """The same weights on the middle slice alone: a lesion centred there crosses the whole stack."""
    kept = np.zeros_like(weight)
    kept[len(weight) // 2] = weight[len(weight) // 2]
    return kept


def _threshold(level: Array, brain: Array, share: float) -> float:
    """The threshold at which level covers `share` of the brain, and at least a sixth of that on every slice."""
    inside = np.sort(level[brain])
    chosen = inside[min(int(share * len(inside)), len(inside) - 1)]
    for one, mask in zip(level, brain, strict=True):
        values = np.sort(one[mask])
        chosen = max(chosen, values[min(max(int(share * len(values) / 6), 5), len(values) - 1)])
    return float(chosen)


def _brain(slices: Slices) -> Array:
    return slices.outside < 0


def _side(slices: Slices, sign: float, softness: float = 6.0) -> Array:
    """A penalty (mm) for crossing to the other hemisphere: the falx holds lesions back."""
    return np.clip(softness - sign * slices.template[0], 0, None) * 1.2


@dataclass(frozen=True)
class Plan:
    """A lesion, ready to be painted at any image size: `paint(size)` gives the slices (with mass effect) and the lesion on them."""

    anatomy: Anatomy
    paint_on: Callable[[Slices], Lesion]
    push: Push | None = None

    def paint(self, size: int) -> tuple[Slices, Lesion]:
        """The slices, `size` pixels a side and pushed aside where the lesion has mass effect, and the lesion on them."""
        slices = cut(self.anatomy, size, self.push)
        return slices, self.paint_on(slices)


# ---- conditions ------------------------------------------------------------------------------------------------------


def healthy(anatomy: Anatomy, rng: np.random.Generator) -> Plan:
    """No lesion."""
    return Plan(anatomy, lambda slices: Lesion(np.zeros(slices.csf.shape, bool), ()))


def ventricles(anatomy: Anatomy, rng: np.random.Generator) -> Plan:
    """Enlarged ventricles; the mask is the CSF that was added beyond the subject's healthy ventricles."""
    return Plan(anatomy, lambda slices: Lesion(slices.added > 0.5, ()))


def _ball(slices: Slices, z: Array, centre: tuple[float, float, float], stretch: tuple[float, float, float], angle: float) -> Array:
    """Distance (mm) from `centre`, stretched along an axis at `angle` in the slice; stretch: along, across, through the slices."""
    x, y, zz = _coordinates(slices, z)
    dx, dy, dz = x - centre[0], y - centre[1], zz - centre[2]
    along, across = np.cos(angle) * dx + np.sin(angle) * dy, -np.sin(angle) * dx + np.cos(angle) * dy
    return np.sqrt((along / stretch[0]) ** 2 + (across / stretch[1]) ** 2 + (dz / stretch[2]) ** 2)


def glioma(anatomy: Anatomy, rng: np.random.Generator) -> Plan:
    """Infiltrating tumour: oedema along the white matter, a core that is solid or cystic, and mass effect. The mask holds all of it."""
    share = draw_lognormal(rng, AREA["glioma"], AREA_LIMITS["glioma"])
    plain = cut(anatomy, PLANNING_SIZE)
    depth = -plain.outside
    weight = plain.wm * (depth > 11) * (plain.ventricle > 6) * (np.abs(plain.template[0]) > 14)
    j, row, column = _pick(rng, _middle_slice(weight))
    centre = (plain.axis_x[column], plain.axis_y[row], anatomy.z[j] + rng.uniform(-2, 2))
    sign = float(np.sign(plain.template[0][j, row, column]))
    stretch, angle = (rng.uniform(1.0, 1.5), 1.0, 1.5), rng.uniform(0, np.pi)
    border, detail, inner = Field.draw(rng, 16.0, 9.0), Field.draw(rng, 7.0, 4.0), Field.draw(rng, 9.0, 5.0)
    cystic = rng.random() < 0.3
    core_part, softness = rng.uniform(0.35, 0.7), rng.uniform(0.7, 1.6)
    mottling = rng.uniform(0.05, 0.15)

    def level(slices: Slices) -> Array:
        on = (anatomy.z, slices.axis_y, slices.axis_x)
        noise = border.on(*on)[0] + detail.on(*on)[0]
        tissue = 5.0 * slices.gm + 6.0 * slices.csf + _side(slices, sign) + 4.0 * np.clip(5 - slices.ventricle, 0, 4)
        return _ball(slices, anatomy.z, centre, stretch, angle) + noise + tissue

    threshold = _threshold(level(plain), _brain(plain), share)
    radius = np.sqrt(share * _brain(plain)[0].sum() / np.pi) * anatomy.field_of_view / PLANNING_SIZE
    push = Push(centre, float(1.1 * radius), float(rng.uniform(0.15, 0.4)))

    def paint(slices: Slices) -> Lesion:
        value = level(slices)
        kept = (1 - 0.9 * slices.csf) * _soft(slices.outside, -1.0, 0.5)
        whole = _soft(value, threshold, softness) * kept
        core_level = _ball(slices, anatomy.z, centre, stretch, angle) + inner.on(anatomy.z, slices.axis_y, slices.axis_x)[0]
        core = _soft(core_level, core_part * radius, 0.8) * whole
        layers = [Layer("oedema", whole, mottling), Layer("tumour", core, 2 * mottling)]
        if cystic:
            layers.append(Layer("cyst", _soft(core_level, (core_part - 0.18) * radius, 0.6) * whole))
        return Lesion((_soft(value, threshold, softness) > 0.5) & (slices.csf < 0.6) & (slices.outside < 0), tuple(layers))

    return Plan(anatomy, paint, push)


def ms(anatomy: Anatomy, rng: np.random.Generator) -> Plan:
    """Multiple-sclerosis lesions: ovals in white matter near the ventricles, often standing at right angles to them."""
    plain = cut(anatomy, PLANNING_SIZE)
    weight = plain.wm**4 * (-plain.outside > 10) * np.exp(-np.clip(plain.ventricle - 2, 0, None) / 9.0) * (plain.ventricle > 1)
    weight *= np.abs(plain.template[0]) > 6
    angle = np.arctan2(plain.gradient[1], plain.gradient[0])
    load = rng.integers(2, 7)  # new lesions begun on each slice; neighbours share them
    spots = []
    for j in range(len(plain.csf)):
        only = np.zeros_like(weight)
        only[j] = weight[j]
        for first in range(load):
            _, row, column = _pick(rng, only)
            radius = float(np.clip(3.4 * np.exp(0.4 * rng.standard_normal()), 2.0 if first else 3.6, 8.0))
            centre = (plain.axis_x[column], plain.axis_y[row], float(anatomy.z[j] + rng.uniform(-1, 1)))
            spots.append((centre, (rng.uniform(1.1, 1.9), 1.0, 1.1), float(angle[j, row, column] + rng.normal(0, 0.3)), radius))
    border, softness = Field.draw(rng, 7.0, 2.0), rng.uniform(0.5, 0.9)
    holes = rng.random() < 0.5

    def paint(slices: Slices) -> Lesion:
        value = np.full(slices.csf.shape, np.inf)
        for centre, stretch, turn, radius in spots:
            value = np.minimum(value, _ball(slices, anatomy.z, centre, stretch, turn) - radius)
        value = value + border.on(anatomy.z, slices.axis_y, slices.axis_x)[0] + 3.0 * slices.gm * (slices.ventricle > 4)
        whole = _soft(value, 0.0, softness) * (1 - slices.csf)
        layers = [Layer("plaque", whole, 0.05)]
        if holes:
            layers.append(Layer("black_hole", _soft(value, -2.5, softness) * (1 - slices.csf)))
        return Lesion((whole > 0.5) & (slices.outside < 0), tuple(layers))

    return Plan(anatomy, paint)


def infarct(anatomy: Anatomy, rng: np.random.Generator) -> Plan:
    """Subacute infarct: a wedge of arterial territory from the cortex inwards, grey and white matter alike, or a deep one."""
    share = draw_lognormal(rng, AREA["infarct"], AREA_LIMITS["infarct"])
    plain = cut(anatomy, PLANNING_SIZE)
    sign = 1.0 if rng.random() < 0.5 else -1.0
    deep = rng.random() < 0.25
    # degrees from the right: middle cerebral artery mostly, then posterior, then anterior
    lows, highs = np.array([-45.0, -80.0, 50.0]), np.array([45.0, -50.0, 78.0])
    territory = rng.choice(3, p=(0.65, 0.2, 0.15))
    heading = np.deg2rad(rng.uniform(lows[territory], highs[territory]))
    shape, border, detail = rng.uniform(0.55, 0.95), Field.draw(rng, 18.0, 7.0), Field.draw(rng, 6.0, 3.5)
    softness, slope, middle = rng.uniform(0.5, 1.1), rng.uniform(0.2, 0.5), anatomy.z.mean() + rng.uniform(-3, 3)
    spot = (sign * rng.uniform(20, 28), rng.uniform(10, 28), float(middle))
    if deep:
        share = min(share, 0.06)

    def level(slices: Slices) -> Array:
        x, y, z = slices.template
        on = (anatomy.z, slices.axis_y, slices.axis_x)
        noise = border.on(*on)[0] + detail.on(*on)[0]
        if deep:
            value = _ball(slices, anatomy.z, spot, (1.0, 1.6, 1.6), 0.0)
        else:
            from_middle = np.hypot(y + 12.0, sign * x - 8.0)
            turn = np.abs(np.arctan2(y + 12.0, sign * x - 8.0) - heading)
            value = np.maximum(42.0 * turn, shape * -slices.outside) + np.clip(26.0 - from_middle, 0, None)  # spares the thalamus
        value = value + slope * np.abs(z - middle)
        return value + noise + _side(slices, sign, 4.0) + 5.0 * slices.csf + 3.0 * np.clip(3 - slices.ventricle, 0, 4)

    threshold = _threshold(level(plain), _brain(plain), share)

    def paint(slices: Slices) -> Lesion:
        value = level(slices)
        whole = _soft(value, threshold, softness) * (1 - 0.9 * slices.csf) * _soft(slices.outside, -0.5, 0.4)
        return Lesion(
            (_soft(value, threshold, softness) > 0.5) & (slices.csf < 0.6) & (slices.outside < 0), (Layer("infarct", whole, 0.08),)
        )

    return Plan(anatomy, paint)


def haemorrhage(anatomy: Anatomy, rng: np.random.Generator) -> Plan:
    """Intracerebral haemorrhage, acute, early or late subacute: a clot with its rim, oedema around it, and mass effect. Mask: all."""
    share = draw_lognormal(rng, AREA["haemorrhage"], AREA_LIMITS["haemorrhage"])
    plain = cut(anatomy, PLANNING_SIZE)
    x, y, _ = plain.template
    deep = rng.random() < 0.6  # putamen and thalamus, or a lobe
    if deep:
        weight = (np.abs(np.abs(x) - 24) < 8) * (np.abs(y + 5) < 22) * (plain.ventricle > 6)
    else:
        weight = plain.wm * (-plain.outside > 12) * (plain.ventricle > 10) * (np.abs(x) > 18)
    j, row, column = _pick(rng, _middle_slice(weight * (-plain.outside > 10) + 1e-9))
    centre = (plain.axis_x[column], plain.axis_y[row], anatomy.z[j] + rng.uniform(-2, 2))
    sign = float(np.sign(x[j, row, column]))
    stretch, angle = (rng.uniform(1.1, 1.7), 1.0, 1.7), np.pi / 2 + rng.normal(0, 0.5)
    border, detail = Field.draw(rng, 14.0, 5.0), Field.draw(rng, 6.0, 2.5)
    stage = ("acute", "early", "late")[rng.integers(3)]
    clot_part = rng.uniform(0.5, 0.75)

    def levels(slices: Slices) -> tuple[Array, Array]:
        on = (anatomy.z, slices.axis_y, slices.axis_x)
        clot = _ball(slices, anatomy.z, centre, stretch, angle) + detail.on(*on)[0]
        held = 4.0 * slices.csf + _side(slices, sign) + 3.0 * np.clip(3 - slices.ventricle, 0, 4)
        return clot + border.on(*on)[0] + 3.0 * slices.gm + held, clot + held

    level, clot_level = levels(plain)
    threshold = _threshold(level, _brain(plain), share)
    clot_threshold = _threshold(clot_level, _brain(plain), share * clot_part)
    radius = np.sqrt(share * _brain(plain)[0].sum() / np.pi) * anatomy.field_of_view / PLANNING_SIZE
    push = Push(centre, float(1.3 * radius), float(rng.uniform(0.15, 0.35)))

    def paint(slices: Slices) -> Lesion:
        level, clot_level = levels(slices)
        kept = (1 - 0.9 * slices.csf) * _soft(slices.outside, -1.0, 0.5)
        clot = _soft(clot_level, clot_threshold, 0.6) * kept
        whole = np.maximum(_soft(level, threshold, 1.2) * kept, clot)
        rim = clot * _soft(-clot_level, 2.2 - clot_threshold, 0.5)
        layers = (Layer("perifocal", whole, 0.05), Layer(f"clot_{stage}", clot, 0.15), Layer(f"rim_{stage}", rim))
        mask = ((_soft(level, threshold, 1.2) > 0.5) | (clot > 0.5)) & (slices.csf < 0.6) & (slices.outside < 0)
        return Lesion(mask, layers)

    return Plan(anatomy, paint, push)


PLANS: dict[str, Callable[[Anatomy, np.random.Generator], Plan]] = {
    "healthy": healthy,
    "glioma": glioma,
    "ms": ms,
    "infarct": infarct,
    "haemorrhage": haemorrhage,
    "ventricles": ventricles,
}
