"""Kermany et al. 2018: paediatric chest X-rays, normal, bacterial or viral pneumonia.

The file can be downloaded without an account, but we know no published hash of it, so it is not fetched here.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from novkit.data.prepare import Collection, Files, Recipe
from novkit.data.reading import centre_square, in_parallel, read_image, resized, with_channels
from novkit.data.store import Sample
from novkit.errors import DataError

_NAMES = (
    (re.compile(r"(?P<patient>person\d+)_(?P<label>bacteria|virus)_\d+"), None),  # version 2, and Kaggle
    (re.compile(r"(?P<patient>(NORMAL2-)?IM-\d+)-\d+"), "normal"),
    (re.compile(r"(?P<label>BACTERIA|VIRUS|NORMAL)-(?P<patient>\d+)-\d+"), None),  # version 3
)


def collect(files: Files, *, size: int) -> Collection | None:
    """All X-rays of the folders train, val and test, grey; centre-cropped to a square, so that no aspect ratio gives the class away [O].

    Raises DataError for a file whose name tells another class than its folder.
    """
    found: dict[tuple[str, str, str], Path] = {}
    for file in files.find("*.jp*g"):
        part, folder, name = ("", "", *Path(files.relative(file)).parts)[-3:]
        if folder in ("NORMAL", "PNEUMONIA"):
            found.setdefault((part, folder, name), file)  # Kaggle's archive holds everything twice
    if not found:
        return None
    rows = []
    for (part, folder, name), file in sorted(found.items()):
        label, patient = described(name)
        if (label == "normal") != (folder == "NORMAL"):
            raise DataError(f"{file} lies in {folder} but is named as {label}: download the set again.")
        rows.append({"id": f"{part}/{name}", "label": label, "group": patient, "path": files.relative(file), "part": part})
    paths = [file for _, file in sorted(found.items())]
    table = pd.DataFrame(rows)
    counted = {label: int((table["label"] == label).sum()) for label in ("normal", "bacteria", "virus")}
    return Collection(table, in_parallel(lambda path: Sample(_read(path, size)), paths), counted)


def described(name: str) -> tuple[str, str]:
    """Class and patient, as a file's name tells them; DataError where it does not."""
    for pattern, label in _NAMES:
        if match := pattern.match(name):
            return label or match["label"].lower(), match["patient"]
    raise DataError(f"{name} is not named as the X-rays of Kermany et al. are: remove it, or use a folder with labels.csv.")


def _read(path: Path, size: int) -> np.ndarray:
    return resized(with_channels(centre_square(read_image(path)), 1), (size, size))


RECIPES = (
    Recipe(
        name="kermany_chest_xray",
        title="Kermany 2018: paediatric chest X-rays, normal, bacteria, virus",
        needs="download ChestXRay2017.zip from Mendeley Data (doi 10.17632/rscbjbr9sj.2, no account needed) and put it into {raw}",
        collect=collect,
        archives=("ChestXRay2017.zip", "chest-xray-pneumonia.zip", "ZhangLabData.zip"),
        complete={"normal": 1583, "bacteria": 2780, "virus": 1493},
        options={"size": 224},
        normal="normal",
        groups="The patient, as the file's name tells it; exact duplicates share a group.",
        source="Kermany, Zhang, Goldbaum 2018, Mendeley Data, doi 10.17632/rscbjbr9sj.",
        licence="CC BY 4.0.",
    ),
)
