"""ISIC 2016, task 3: dermoscopic images of skin lesions, benign or malignant.

The archive publishes no hashes. Those of the two training files are the ones that OpenNN's documentation of its melanoma example records
(examples' README, September 2026); if they are ever outdated, the files can be put into the raw folder by hand. The two test files have
no hash we know of, so they are never fetched, but used where they lie in the raw folder.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from novkit.data.downloads import Download
from novkit.data.prepare import Collection, Files, Recipe
from novkit.data.reading import centre_square, in_parallel, read_image, resized, with_channels
from novkit.data.store import Sample
from novkit.data.tables import read_csv
from novkit.errors import DataError

_URL = "https://isic-archive.s3.amazonaws.com/challenges/2016/"
_LABELS = {"benign": "benign", "malignant": "malignant", "0.0": "benign", "1.0": "malignant", "0": "benign", "1": "malignant"}


def collect(files: Files, *, size: int) -> Collection | None:
    """Images of the training part and, where it is there, the test part; centre-cropped to a square [O].

    Raises DataError where an image of the ground truth is missing.
    """
    images = {file.stem: file for file in files.find("ISIC_*.jpg")}
    truths = {part: files.find(f"ISBI2016_ISIC_Part3_{name}_GroundTruth.csv") for part, name in (("train", "Training"), ("test", "Test"))}
    parts = [read_truth(found[0]).assign(part=part) for part, found in truths.items() if found]
    if not truths["train"] or not images:
        return None
    table = pd.concat(parts, ignore_index=True)
    missing = [name for name in table["id"] if name not in images]
    if missing:
        raise DataError(f"{missing[0]}.jpg is missing, as are {len(missing) - 1} other images of ISIC 2016: complete the download.")
    paths = [images[name] for name in table["id"]]
    table = table.assign(group=table["id"], path=[files.relative(path) for path in paths])
    counted = {f"{part} images": int((table["part"] == part).sum()) for part in table["part"].unique()}
    return Collection(table, in_parallel(lambda path: Sample(_read(path, size)), paths), counted)


def read_truth(file: Path) -> pd.DataFrame:
    """id and label from a ground-truth file: no header, ids with or without quotes, the label a word (training) or a number (test).

    Raises DataError for any other id or label.
    """
    table = read_csv(file, header=None, names=["id", "label"], index_col=False)
    table = table.apply(lambda column: column.str.strip(" '\""))
    unknown = ~table["label"].isin(list(_LABELS))
    if unknown.any() or not table["id"].str.startswith("ISIC_").all():
        row = table[unknown | ~table["id"].str.startswith("ISIC_")].iloc[0]
        raise DataError(f"{file} holds {row['id']!r} with the label {row['label']!r}: download the ground truth of part 3 again.")
    return table.assign(label=table["label"].map(_LABELS))


def _read(path: Path, size: int) -> np.ndarray:
    return resized(with_channels(centre_square(read_image(path)), 3), (size, size))


RECIPES = (
    Recipe(
        name="isic2016",
        title="ISIC 2016 task 3: dermoscopy, benign and malignant lesions",
        needs=(
            "novkit fetches the training part; if that fails, download ISBI2016_ISIC_Part3_Training_Data.zip and "
            "ISBI2016_ISIC_Part3_Training_GroundTruth.csv from challenge.isic-archive.com (2016, task 3) yourself; for the test part also "
            "download ISBI2016_ISIC_Part3_Test_Data.zip and ISBI2016_ISIC_Part3_Test_GroundTruth.csv from there; put the files into {raw}"
        ),
        collect=collect,
        downloads=lambda options: (
            Download(
                f"{_URL}ISBI2016_ISIC_Part3_Training_Data.zip",
                "sha256:d78bd1de08511b514e58784c91fd2d8dab24e407cafd023a7debbceb9155ffb2",
                "ISBI2016_ISIC_Part3_Training_Data.zip",
            ),
            Download(
                f"{_URL}ISBI2016_ISIC_Part3_Training_GroundTruth.csv",
                "sha256:0ffadd63b7cec650cddfbe5df54d1d3167453fe6004c2bbf05824184b0c4d405",
                "ISBI2016_ISIC_Part3_Training_GroundTruth.csv",
            ),
        ),
        archives=("ISBI2016_ISIC_Part3_*_Data.zip",),
        complete={"train images": 900, "test images": 379},
        normal="benign",
        groups="Lesions and patients are not published: every image is its own group, exact duplicates share one.",
        source="ISIC 2016 challenge, task 3 (Gutman et al. 2016, arXiv 1605.01397).",
        licence="CC0.",
    ),
)
