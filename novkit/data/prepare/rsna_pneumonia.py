"""RSNA Pneumonia Detection Challenge 2018: chest X-rays as DICOM, three classes."""

from pathlib import Path

import numpy as np
import pandas as pd

from novkit.data.formats import open_dicom, read_dicom
from novkit.data.prepare import Collection, Files, Recipe
from novkit.data.reading import in_parallel, resized
from novkit.data.store import Sample
from novkit.data.tables import read_csv
from novkit.data.untrusted import decoding, reading
from novkit.errors import DataError
from novkit.files import read_json

CLASSES = ("Normal", "No Lung Opacity / Not Normal", "Lung Opacity")


def collect(files: Files, *, size: int) -> Collection | None:
    """The labelled images (stage_2_train_images). Images are square already; the view (AP or PA) goes with the class, so it is kept.

    Raises DataError for a table of labels that lacks a column or names another class.
    """
    classes = files.find("stage_2_detailed_class_info.csv")
    images = {file.stem: file for file in files.find("*.dcm") if file.parent.name == "stage_2_train_images"}
    if not classes or not images:
        return None
    table = read_csv(classes[0])
    if not {"patientId", "class"} <= set(table.columns):
        raise DataError(f"{classes[0]} lacks the columns patientId and class: download it again.")
    table = table.drop_duplicates("patientId")  # a row for each box, one image for each patientId
    table = table.rename(columns={"patientId": "id", "class": "label"}).sort_values("id", ignore_index=True)
    if unknown := set(table["label"]) - set(CLASSES):
        raise DataError(f"{classes[0]} names the class {min(unknown)!r}: download it again.")
    there = table["id"].isin(list(images))
    counted = {label: int((there & (table["label"] == label)).sum()) for label in CLASSES}
    table = table[there].reset_index(drop=True)
    paths = [images[name] for name in table["id"]]
    mappings = files.find("pneumonia-challenge-dataset-mappings_2018.json")
    table = table.assign(group=groups(table["id"], mappings), path=[files.relative(path) for path in paths])
    table = pd.concat([table, pd.DataFrame(list(in_parallel(_header, paths)))], axis=1)
    return Collection(table, in_parallel(lambda path: Sample(resized(read_dicom(path, bits=8), (size, size))), paths), counted)


def groups(ids: pd.Series, mappings: list[Path]) -> np.ndarray:
    """The patients: those of the NIH set the images were taken from, where RSNA's mapping is there; else the challenge's ids."""
    if not mappings:
        return ids.to_numpy()
    rows = read_json(mappings[0], "mapping")
    with reading(mappings[0], "RSNA's mapping", "download it again"):
        nih = {str(row["subset_img_id"]): str(row["img_id"]).split("_")[0] for row in rows}
    return ids.map(lambda name: nih.get(name, name)).to_numpy()


@decoding()
def _header(path: Path) -> dict[str, str]:
    wanted = {"view": "ViewPosition", "sex": "PatientSex", "age": "PatientAge"}
    with reading(path, "a DICOM image"):
        dicom = open_dicom(path, stop_before_pixels=True, specific_tags=list(wanted.values()))
    raw = {column: dicom.get_item(tag) for column, tag in wanted.items()}  # as stored: the challenge's ages are no valid DICOM ages
    return {
        column: "" if element is None else bytes(element.value or b"").decode("ascii", "replace").strip() for column, element in raw.items()
    }


RECIPES = (
    Recipe(
        name="rsna_pneumonia",
        title="RSNA Pneumonia 2018: chest X-rays, normal, not normal, lung opacity",
        needs=(
            "with a Kaggle account download rsna-pneumonia-detection-challenge.zip from Kaggle (RSNA Pneumonia Detection Challenge), and "
            "for true patients pneumonia-challenge-dataset-mappings_2018.json from RSNA's page on the challenge, into {raw}"
        ),
        collect=collect,
        archives=("rsna-pneumonia-detection-challenge.zip", "stage_2_train_images.zip"),
        complete={"Normal": 8851, "No Lung Opacity / Not Normal": 11821, "Lung Opacity": 6012},
        normal="Normal",
        groups="The NIH patient where RSNA's mapping was there, else the challenge's patientId, which is one for each image.",
        source="RSNA Pneumonia Detection Challenge (Shih et al. 2019), images of NIH ChestX-ray (Wang et al. 2017).",
        licence="As RSNA's terms of use of the challenge state: non-commercial research and education.",
    ),
)
