"""`novkit score`: every kind of image that a data folder may hold is scored."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, features

from novkit.data.folder import load_folder
from novkit.data.reading import PICTURES, SUFFIXES
from novkit.errors import DataError
from novkit.methods import make_detector
from novkit.scoring import score_folder
from tests.conftest import blobs
from tests.data.layouts import dicom

EXACT = (".png", ".tif", ".bmp", ".gif", ".ppm", ".pgm", ".webp", ".dcm", *((".jp2", ".j2k") if features.check_codec("jpg_2000") else ()))
LOSSY = (".jpg",)


def test_the_suffixes_are_those_of_the_pictures_that_are_read():
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in PICTURES}
    assert set(SUFFIXES) == known | {".dcm", ".dicom"}
    assert len(set(SUFFIXES)) == len(SUFFIXES)


@pytest.fixture
def images(tmp_path) -> Path:
    """One image in every kind of file, and what is none beside it."""
    (tmp_path / "in").mkdir()
    X = blobs(1, size=16, seed=3)[0, 0]
    for suffix in (*EXACT, *LOSSY):
        file = tmp_path / f"in/a{suffix}"
        if suffix == ".dcm":
            dicom(X, bits=8).save_as(file, enforce_file_format=True)
        else:
            Image.fromarray(X).save(file, **({"lossless": True} if suffix == ".webp" else {}))
    Image.fromarray(X).save(tmp_path / "in/B.PNG")
    (tmp_path / "in/labels.csv").write_text("path,label\n" + "".join(f"a{suffix},normal\n" for suffix in (*EXACT, *LOSSY)))
    (tmp_path / "in/notes.txt").write_text("no image")
    return tmp_path / "in"


def test_a_folder_is_scored_whatever_its_images_are_stored_as(images, tmp_path):
    assert len(load_folder(images, cache=False, progress=False)) == len(EXACT) + len(LOSSY)
    make_detector("pixel_zscore", progress=False).fit(blobs(20, size=16)).save(tmp_path / "detector")
    n, _ = score_folder(tmp_path / "detector", images, tmp_path / "out.csv", device="cpu", progress=False)
    scores = pd.read_csv(tmp_path / "out.csv").set_index("path")["score"]
    assert n == len(scores) == len(EXACT) + len(LOSSY) + 1
    exact = scores[["B.PNG", *(f"a{suffix}" for suffix in EXACT)]]
    assert np.allclose(exact, exact.iloc[0])
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"holds no image, such as a \.png"):
        score_folder(tmp_path / "detector", tmp_path / "none", tmp_path / "x.csv", device="cpu", progress=False)
