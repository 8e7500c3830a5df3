"""The embedded brain MRI: synthetic slices on real, averaged anatomy (ICBM 152), healthy and with five kinds of lesion."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from novkit.data.brain.anatomy import Anatomy
from novkit.data.brain.lesions import PLANS
from novkit.data.brain.render import CONTRASTS, render
from novkit.data.dataset import ImageDataset
from novkit.errors import SettingsError
from novkit.progress import progress_bar
from novkit.seeding import numpy_generator

GENERATOR_VERSION = 1
CONDITIONS = tuple(PLANS)
SIZES = (64, 128, 256)
FINGERPRINT = "d9f19676d77c5f78"
"""`fingerprint()` of the frozen generator."""


def subject(
    seed: int, condition: str, index: int, *, size: int = 64, contrast: str = "flair", slices: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Subject `index` of a condition: images uint8, masks bool, body bool, each (slices, size, size), and the slices' z in mm."""
    keys = ("brain", condition, index)
    anatomy = Anatomy.draw(numpy_generator(seed, *keys, "anatomy"), slices, enlarged=condition == "ventricles")
    plan = PLANS[condition](anatomy, numpy_generator(seed, *keys, "lesion"))
    cuts, lesion = plan.paint(size)
    look, noise = numpy_generator(seed, *keys, "look"), numpy_generator(seed, *keys, "noise", contrast, size)
    images = render(anatomy, cuts, lesion, condition, contrast, look, noise)
    return images, lesion.mask, cuts.outside < 0, anatomy.z


def generate_brain(
    *,
    size: int = 64,
    seed: int = 0,
    contrast: str = "flair",
    n_healthy: int = 2400,
    n_novel: int = 400,
    conditions: Sequence[str] = CONDITIONS,
    slices_per_subject: int = 4,
    progress: bool = True,
) -> ImageDataset:
    """Make the data set: images uint8 (n, 1, size, size), with masks and the brain as `body`.

    size: 64, 128 or 256 pixels. seed: see `novkit.seeding` for which are reserved. contrast: "flair", "t1" or "t2".
    n_healthy, n_novel: images of "healthy", and of each other condition; the last subject may give fewer slices.
    conditions: which of CONDITIONS, in this order. slices_per_subject: neighbouring slices of one head, 3 to 4 mm apart.

    A subject depends on (seed, condition, its number) and on no other: fewer images are a prefix of more.
    table: id, label (the condition), group (the subject), slice (mm above the anterior commissure), lesion_area (pixels).
    Raises SettingsError for a size, contrast or condition there is not, or a number below 1.
    """
    _check(size, contrast, conditions, n_healthy, n_novel, slices_per_subject)
    counts = {condition: n_healthy if condition == "healthy" else n_novel for condition in conditions}
    n = sum(counts.values())
    images, masks, body = np.zeros((n, 1, size, size), np.uint8), np.zeros((n, size, size), bool), np.zeros((n, size, size), bool)
    rows: list[dict[str, object]] = []
    with progress_bar(total=n, desc="Making brain slices", unit="image", disable=not progress) as bar:
        for condition, count in counts.items():
            for index in range(-(-count // slices_per_subject)):
                parts = subject(seed, condition, index, size=size, contrast=contrast, slices=slices_per_subject)
                taken = min(slices_per_subject, count - index * slices_per_subject)
                place = slice(len(rows), len(rows) + taken)
                images[place, 0], masks[place], body[place] = (part[:taken] for part in parts[:3])
                group = f"{condition}-{index:04d}"
                rows += [
                    {
                        "id": f"{group}-{j}",
                        "label": condition,
                        "group": group,
                        "slice": round(float(parts[3][j]), 2),
                        "lesion_area": int(parts[1][j].sum()),
                    }
                    for j in range(taken)
                ]
                bar.update(taken)
    settings = (GENERATOR_VERSION, size, seed, contrast, counts, slices_per_subject)
    return ImageDataset(
        name="brain",
        images=images,
        table=pd.DataFrame(rows),
        masks=masks,
        body=body,
        normal="healthy",
        synthetic=True,
        source="Synthetic slices made from the ICBM 152 non-linear symmetric template 2009a (Fonov et al. 2011), as carried by nilearn.",
        licence="Template: copyright Louis Collins, McConnell Brain Imaging Centre, free to use, copy, modify and distribute.",
        fingerprint=hashlib.sha256(repr(settings).encode()).hexdigest()[:16],
        extra={"contrast": contrast, "seed": seed, "generator_version": GENERATOR_VERSION},
    )


def _check(size: int, contrast: str, conditions: Sequence[str], *numbers: int) -> None:
    if size not in SIZES:
        raise SettingsError(f"size is {size}: brain slices come in {SIZES[0]}, {SIZES[1]} or {SIZES[2]} pixels.")
    if contrast not in CONTRASTS:
        raise SettingsError(f"contrast is {contrast!r}: choose one of {', '.join(CONTRASTS)}.")
    unknown = [condition for condition in conditions if condition not in CONDITIONS]
    if unknown or not conditions:
        raise SettingsError(f"conditions holds {unknown[0]!r}: choose from {', '.join(CONDITIONS)}." if unknown else "conditions is empty.")
    if min(numbers) < 1:
        raise SettingsError("n_healthy, n_novel and slices_per_subject must be at least 1.")


def fingerprint() -> str:
    """A hash of a small fixed sample: subjects of every condition, in every contrast at 64 pixels, and larger ones in FLAIR."""
    digest = hashlib.sha256(str(GENERATOR_VERSION).encode())
    sample = [(64, contrast, condition, 0) for contrast in ("t1", "t2") for condition in CONDITIONS]
    sample += [(64, "flair", condition, index) for condition in CONDITIONS for index in range(8)]  # enough to meet every branch
    sample += [(128, "flair", condition, 0) for condition in CONDITIONS] + [(256, "flair", "glioma", 0)]
    for size, contrast, condition, index in sample:
        for part in subject(0, condition, index, size=size, contrast=contrast, slices=2)[:3]:
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]
