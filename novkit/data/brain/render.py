"""From tissue to picture: FLAIR-, T1- and T2-like brightness, scalp and skull, bias field, texture, blur, Rician noise, window."""

import numpy as np
from scipy import ndimage

from novkit.data.brain.anatomy import Anatomy, Array, Field, Slices
from novkit.data.brain.lesions import Lesion, draw_lognormal

CONTRASTS = ("flair", "t1", "t2")

# Mean brightness of each tissue and its standard deviation between subjects; 1 is the top of an average window. Our choice [O], in
# the order that every MRI textbook gives: FLAIR grey > white > CSF, T1 white > grey > CSF, T2 CSF > grey > white.
TISSUE: dict[str, dict[str, tuple[float, float]]] = {
    "flair": {"csf": (0.10, 0.025), "gm": (0.52, 0.02), "wm": (0.425, 0.02), "bone": (0.05, 0.01), "marrow": (0.38, 0.10),
              "fat": (1.05, 0.14), "muscle": (0.34, 0.03)},
    "t1": {"csf": (0.13, 0.02), "gm": (0.42, 0.02), "wm": (0.60, 0.02), "bone": (0.05, 0.01), "marrow": (0.50, 0.12),
           "fat": (0.95, 0.08), "muscle": (0.36, 0.03)},
    "t2": {"csf": (0.82, 0.05), "gm": (0.46, 0.02), "wm": (0.33, 0.02), "bone": (0.04, 0.01), "marrow": (0.36, 0.10),
           "fat": (0.66, 0.09), "muscle": (0.17, 0.02)},
}  # fmt: skip

# How much of the template's own T1 detail each sequence shows
DETAIL = {"flair": -0.12, "t1": 0.45, "t2": -0.2}

# Lesion brightness, in standard deviations of the subject's brain above its median: (lower quartile, median, upper quartile) and a sign.
# glioma FLAIR: measured on TCGA-LGG (Buda et al. 2019). The rest [O], with the signs of the literature (see docs/brain.md).
# Bias, noise and window take some contrast away again, so gliomas are drawn stronger than measured: measured alike, they agree.
GLIOMA_CONTRAST = tuple(1.3 * quartile for quartile in (1.16, 1.88, 2.88))
CONTRAST_LIMITS = (0.9, 5.5)
# name: (FLAIR, T1, T2): multiples of the subject's lesion contrast
LESION: dict[str, tuple[float, float, float]] = {
    "oedema": (1.0, -0.45, 0.65),
    "tumour": (1.25, -0.7, 0.85),
    "cyst": (-0.9, -1.3, 1.4),
    "plaque": (1.0, -0.35, 0.7),
    "black_hole": (0.9, -0.9, 0.9),
    "infarct": (1.0, -0.55, 0.7),
    "perifocal": (1.1, -0.5, 0.8),
    "clot_acute": (-0.7, -0.2, -0.7),
    "rim_acute": (-0.9, 0.0, -0.9),
    "clot_early": (-0.5, 1.1, -0.7),
    "rim_early": (-0.8, 1.2, -0.9),
    "clot_late": (1.3, 1.2, 1.4),
    "rim_late": (-1.2, 0.2, -0.9),
}
QUARTILES: dict[str, tuple[float, ...]] = {
    "glioma": GLIOMA_CONTRAST,
    "ms": (2.0, 2.6, 3.3),
    "infarct": (1.7, 2.3, 3.1),
    "haemorrhage": (1.8, 2.3, 3.0),
}


def _step(distance: Array, at: Array | float, width: float) -> Array:
    """0 below `at`, 1 above, straight over `width` mm."""
    return np.clip((distance - at) / width + 0.5, 0, 1)


def _head(slices: Slices, anatomy: Anatomy, tissue: dict[str, float], inside: Array, mottle: Array, pixel: float) -> Array:
    """Put CSF, skull (two tables with marrow between), temporal muscle and scalp around the brain, by distance from its hull."""
    gap, table, marrow, outer, fat = anatomy.layers
    bend, thicker = anatomy.shell.on(anatomy.z, slices.axis_y, slices.axis_x)
    distance = slices.outside + bend
    x, y, z = slices.template
    muscle = 11.0 * np.exp(-(((y - 8) / 26) ** 2) - ((z + 26) / 26) ** 2) * np.clip((np.abs(x) - 42) / 12, 0, 1)
    fat = fat * np.exp(0.18 * thicker) + 2.0 * np.clip((-y - 75) / 30, 0, 1)
    width = 1.2 * pixel + 0.4
    borders = np.cumsum([gap, table, marrow, outer])
    image = inside
    steps = (
        (slices.outside, 0.0, tissue["csf"]),
        (distance, borders[0], tissue["bone"]),
        (distance, borders[1], tissue["marrow"] * (1 + 1.5 * mottle)),
        (distance, borders[2], tissue["bone"]),
        (distance, borders[3], tissue["muscle"]),
        (distance, borders[3] + muscle, tissue["fat"] * (1 + 3 * mottle)),
        (distance, borders[3] + muscle + fat, 0.0),
    )
    for where, at, brightness in steps:
        share = _step(where, at, width)
        image = image * (1 - share) + brightness * share
    return image


def _paint(image: Array, brain: Array, lesion: Lesion, which: int, contrast: float, texture: Array) -> Array:
    """Lay the lesion's layers over the brain, `contrast` standard deviations of the sound brain away from its median."""
    sound = image[brain & ~lesion.mask]
    median, sd = float(np.median(sound)), float(sound.std())
    for layer in lesion.layers:
        target = np.clip(median + LESION[layer.name][which] * contrast * sd, 0.05, 0.92)
        target = target * (1 + layer.texture * texture) + 0.25 * (image - median)  # anatomy shines through a little
        image = image * (1 - layer.weight) + target * layer.weight
    return image


def render(
    anatomy: Anatomy,
    slices: Slices,
    lesion: Lesion,
    condition: str,
    contrast: str,
    rng: np.random.Generator,
    noise_rng: np.random.Generator,
) -> Array:
    """The subject's slices as a scanner might show them, (slices, size, size) uint8.

    rng draws what the slices share (brightness of tissues, gain, window, bias field, sharpness), noise_rng the noise of each pixel.
    """
    which = CONTRASTS.index(contrast)
    size = slices.csf.shape[-1]
    pixel = anatomy.field_of_view / size
    tissue = {name: mean + sd * float(np.clip(rng.standard_normal(), -2, 2)) for name, (mean, sd) in TISSUE[contrast].items()}
    on = (anatomy.z, slices.axis_y, slices.axis_x)
    mottle = 0.025 * Field.draw(rng, 9.0, 1.0).on(*on)[0] + 0.04 * Field.draw(rng, 28.0, 1.0).on(*on)[0]
    # receive coils and dielectric effects: bright or dark centre, one side nearer to the coil
    uneven = float(np.exp(np.clip(0.6 * rng.standard_normal(), -1, 1)))
    centre, lateral, sagittal = rng.normal(0, (0.12, 0.10 * uneven, 0.05))
    x, y = slices.axis_x[None, None, :] / 80, slices.axis_y[None, :, None] / 80
    bias = centre * (1 - x * x - y * y) + lateral * x + sagittal * y
    bias = bias + 0.16 * Field.draw(rng, 90.0, 1.0).on(*on)[0] + 0.10 * Field.draw(rng, 50.0, 1.0).on(*on)[0]
    texture = Field.draw(rng, 6.0, 1.6).on(*on)[0]
    caps, severity = rng.uniform(0, 0.10), float(draw_lognormal(rng, QUARTILES.get(condition, (1, 1, 1)), CONTRAST_LIMITS))
    gain, gamma = float(np.exp(np.clip(0.27 * rng.standard_normal(), -0.6, 0.5) - 0.06)), rng.uniform(0.88, 1.15)
    blur, noise = rng.uniform(0.5, 1.3), float(np.exp(rng.uniform(np.log(0.008), np.log(0.028))))

    share = slices.csf, slices.gm, slices.wm
    image = share[0] * tissue["csf"] + share[1] * tissue["gm"] + share[2] * tissue["wm"]
    detail = slices.t1 - (0.27 * share[0] + 0.65 * share[1] + 0.87 * share[2])  # deep nuclei, brain stem: between grey and white
    image = image + DETAIL[contrast] * detail * (1 - share[0])
    near = slices.ventricle - anatomy.ventricle
    image = image + (which != 1) * caps * share[2] * np.exp(-np.clip(near, 0, None) / 4.0) * (near < 25)
    image = image * (1 + mottle * (1 - 0.5 * share[0]))
    image = _paint(image, slices.outside < -2, lesion, which, severity, texture)
    image = _head(slices, anatomy, tissue, image, mottle, pixel)
    image = image * np.exp(bias) * gain
    sigma = blur / pixel
    image = ndimage.gaussian_filter1d(ndimage.gaussian_filter1d(image, sigma, axis=1, truncate=3), sigma, axis=2, truncate=3)
    real, imaginary = noise * noise_rng.standard_normal((2, *image.shape))
    image = np.hypot(image + real, imaginary)  # the magnitude of a complex signal: Rician noise (Gudbjartsson & Patz 1995)
    return np.rint(255 * np.clip(image, 0, 1) ** gamma).astype(np.uint8)
