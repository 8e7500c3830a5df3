"""Measure lesion area and contrast of the LGG FLAIR set (Buda et al. 2019): the numbers that novkit's synthetic gliomas follow.

Usage: python data_scripts/measure_lgg_lesions.py FOLDER     (FOLDER holds labels.csv with path, mask, z_rel, tumor_px_256)
       python data_scripts/measure_lgg_lesions.py made       (the same numbers for novkit's own gliomas)

The set has no brain mask. The head is what Otsu's threshold (halved) leaves after filling; the brain is the head without a rim of
14 % of its equivalent radius, about the thickness of scalp and skull. Area is lesion / brain; contrast is (median lesion − median
rest of the brain) / SD of the rest of the brain.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

RIM = 0.14  # of the head's equivalent radius


def otsu(values: np.ndarray) -> float:
    """The threshold of greatest between-class variance (Otsu 1979) of grey levels 0..255."""
    counts = np.bincount(values.ravel(), minlength=256).astype(float)
    weight = np.cumsum(counts)
    moment = np.cumsum(counts * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (moment[-1] * weight / weight[-1] - moment) ** 2 / (weight * (weight[-1] - weight))
    return float(np.nanargmax(variance))


def brain_region(image: np.ndarray) -> np.ndarray:
    """Roughly the brain of a slice that still has skull and scalp, (height, width) bool."""
    head = ndimage.binary_opening(image > 0.5 * otsu(image), iterations=1)
    labels, count = ndimage.label(ndimage.binary_fill_holes(head))
    if count == 0:
        return np.zeros(image.shape, bool)
    head = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return ndimage.distance_transform_edt(head) > RIM * np.sqrt(head.sum() / np.pi)


def lesion_row(image: np.ndarray, lesion: np.ndarray) -> dict[str, float]:
    """Area, contrast and brightness ratio of one lesion; empty where too little brain is left to compare with."""
    brain = brain_region(image) | lesion
    rest = image[brain & ~ndimage.binary_dilation(lesion, iterations=2)].astype(float)
    if len(rest) < 200:
        return {}
    inside, outside = np.median(image[lesion]), np.median(rest)
    return {"area": lesion.sum() / brain.sum(), "contrast": (inside - outside) / rest.std(), "ratio": inside / max(outside, 1.0)}


def measure(folder: Path) -> pd.DataFrame:
    """One row a slice with a tumour: area (share of the brain), contrast (brain SDs), ratio of medians."""
    table = pd.read_csv(folder / "labels.csv")
    table = table[(table.label == "tumor") & table.z_rel.between(0.31, 0.84) & (table.tumor_px_256 >= 100)]
    rows = []
    for row in table.itertuples():
        image = np.asarray(Image.open(folder / row.path).convert("L"))
        lesion = np.asarray(Image.open(folder / row.mask).convert("L")) > 127
        rows.append({"group": row.group} | lesion_row(image, lesion))
    return pd.DataFrame(rows).dropna()


def measure_made() -> pd.DataFrame:
    """The same of 1000 generated slices, 128 pixels like the real ones."""
    from novkit.data.brain import generate_brain

    made = generate_brain(size=128, seed=2, n_novel=1000, conditions=("glioma",))
    assert made.masks is not None
    rows = [lesion_row(image, lesion) for image, lesion in zip(made.images[:, 0], made.masks, strict=True)]
    return pd.DataFrame(rows).assign(group=made.groups).dropna()


def gain_spread(folder: Path) -> float:
    """Standard deviation, between patients, of the logarithm of the brain's median brightness on a middle slice."""
    table = pd.read_csv(folder / "labels.csv")
    table = table[table.z_rel.between(0.45, 0.65)].groupby("group").head(1)
    images = [np.asarray(Image.open(folder / path).convert("L")) for path in table.path]
    return float(np.log([np.median(image[brain_region(image)]) for image in images]).std())


def main() -> None:
    made = sys.argv[1:] == ["made"]
    if not made and (len(sys.argv) != 2 or not (Path(sys.argv[1]) / "labels.csv").exists()):
        sys.exit("Give the folder that holds labels.csv: python data_scripts/measure_lgg_lesions.py FOLDER")
    measured = measure_made() if made else measure(Path(sys.argv[1]))
    print(f"{len(measured)} slices of {measured.group.nunique()} {'synthetic subjects' if made else 'patients'}")
    print(measured[["area", "contrast", "ratio"]].quantile([0.05, 0.25, 0.5, 0.75, 0.95]).round(3).to_string())
    if not made:
        print(f"SD of log brain brightness between patients: {gain_spread(Path(sys.argv[1])):.2f}")


if __name__ == "__main__":
    main()
