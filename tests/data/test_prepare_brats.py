"""BraTS 2019: which slices are taken, where things lie in them, and how bright they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novkit.data import load
from novkit.data.prepare import prepare
from novkit.data.prepare.brats2019 import AWAY, BINS, LEAST_TUMOUR, matched, normalised, on_square
from novkit.errors import DataError, SettingsError
from tests.data.layouts import ball, make_brats, rng

LOW = ball(30, 40, -25, 12)  # to the right and in front, low in the brain
HIGH = ball(-25, -30, 28, 14)
SUBJECTS = {"BraTS19_2013_10_1": LOW, "BraTS19_CBICA_AAB_1": HIGH, "BraTS19_TCIA09_141_1": LOW, "BraTS19_TMC_06643_1": HIGH}
SIDE = 64


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("brats")
    make_brats(folder, SUBJECTS)
    return folder


@pytest.fixture
def brats(raw, root):
    return prepare("brats2019", source=raw, verified=False, progress=False, size=SIDE)


def test_a_slice_is_normal_only_away_from_the_tumour(brats):
    table = brats.table
    assert set(table["group"]) == set(SUBJECTS)
    assert set(table["grade"]) == {"HGG", "LGG"}
    z = -65 + 3.0 * table["slice"]  # millimetres, by the affine of the layout
    low = table["group"].isin([name for name, tumour in SUBJECTS.items() if tumour is LOW])
    centre, radius = np.where(low, -25, 28), np.where(low, 12, 14)
    away = np.abs(z - centre) - radius
    normal = (table["label"] == "normal").to_numpy()
    assert (away[normal] > AWAY - 3).all()  # the tumour's outermost slice lies at most one step inside its radius
    assert (away[~normal] < 0).all()
    assert normal.sum() == (~normal).sum() > 10
    areas = np.pi * np.maximum(radius**2 - (z - centre) ** 2, 0)
    assert np.abs(table["tumour_mm2"] - areas)[~normal].max() < 0.15 * areas.max()
    assert (table["tumour_mm2"][~normal] >= LEAST_TUMOUR).all()
    assert (table["tumour_mm2"][normal] == 0).all()


def test_tumour_and_brain_lie_where_the_world_coordinates_say(brats):
    """Independent of any affine: the grid spans 140 × 170 mm, so a pixel is 170/64 mm, the origin at the middle of the square."""
    pixel = 170 / SIDE
    for row in np.flatnonzero(brats.labels == "tumour"):
        x, y = (30, 40) if SUBJECTS[brats.groups[row]] is LOW else (-25, -30)
        found = np.argwhere(brats.masks[row]).mean(axis=0)
        expected = np.array([SIDE / 2 - y / pixel, SIDE / 2 - x / pixel])  # front at the top, the patient's right on the left
        assert np.abs(found - expected).max() < 1.5
        area = brats.masks[row].sum() * pixel**2
        assert abs(area - brats.table["tumour_mm2"][row]) < 0.2 * area + 30
    assert not brats.masks[brats.labels == "normal"].any()
    height, width = (np.ptp(np.argwhere(brats.body.any(axis=0))[:, axis]) + 1 for axis in (0, 1))
    assert abs(height / width - 160 / 130) < 0.08  # true proportions, from voxels of 2 × 2.5 mm


def test_intensities_are_relative_to_the_volumes_brain(brats, tmp_path, monkeypatch):
    assert brats.images.dtype == np.uint8
    inside = brats.images[:, 0][brats.body]
    assert abs(np.median(inside) - 255 * 0.4) < 3
    outside = brats.images[:, 0][~brats.body]
    assert (outside == 0).mean() > 0.9
    assert outside.max() <= 128  # rims, of which less than half is brain
    marked = brats.images[:, 0][brats.masks]
    assert np.median(marked) > np.median(inside) + 50
    make_brats(tmp_path / "raw", SUBJECTS, gain={"BraTS19_2013_10_1": 7.0, "BraTS19_TMC_06643_1": 0.5})
    monkeypatch.setenv("NOVKIT_DATA", str(tmp_path / "other"))
    other = prepare("brats2019", source=tmp_path / "raw", verified=False, progress=False, size=SIDE)
    assert np.abs(other.images.astype(int) - brats.images).max() <= 6  # int16 rounds, most where the gain is small


def test_loading(brats, root):
    data = load("brats2019")
    assert data.fingerprint == brats.fingerprint
    assert data.normal == "normal"
    assert data.body is not None
    assert data.images.shape == (len(data), 1, SIDE, SIDE)
    assert load("brats2019", masks=False).masks is None
    assert load("brats2019", modality="flair", size=SIDE).fingerprint == brats.fingerprint
    with pytest.raises(DataError, match=r"novkit data prepare brats2019 --option modality=t1"):
        load("brats2019", modality="t1")


def test_incomplete_and_damaged_downloads(raw, root, tmp_path):
    with pytest.raises(DataError, match=r"holds 3 of brats2019's 259 \(HGG\).*--unverified"):
        prepare("brats2019", source=raw, progress=False)
    with pytest.raises(DataError, match=r"register for BraTS 2019.*MICCAI_BraTS_2019_Data_Training\.zip"):
        prepare("brats2019", progress=False)
    with pytest.raises(SettingsError, match="no modality 'pd'"):
        prepare("brats2019", source=raw, progress=False, modality="pd")
    make_brats(tmp_path / "one", {"BraTS19_2013_10_1": None})  # no tumour at all: nothing to match
    with pytest.raises(DataError, match="no matched slices"):
        prepare("brats2019", source=tmp_path / "one", verified=False, progress=False)
    make_brats(tmp_path / "cut", {"BraTS19_2013_10_1": LOW})
    scan = next((tmp_path / "cut").rglob("*_flair.nii.gz"))
    scan.write_bytes(scan.read_bytes()[:500])
    with pytest.raises(DataError, match=r"BraTS19_2013_10_1_flair\.nii\.gz cannot be read as NIfTI"):
        prepare("brats2019", source=tmp_path / "cut", verified=False, progress=False)
    assert not list((root / "brats2019").glob("size=*"))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400))
def test_matching_equalises_the_positions(seed, n):
    """In every bin as many of one kind as of the other, as many as there can be, whatever the order of the rows."""
    draw = rng(seed)
    tumour = draw.random(n) < draw.random()
    z = np.where(tumour, draw.beta(4, 4, n), draw.random(n))
    names = [f"s{k % 7}" for k in range(n)]
    table = pd.DataFrame({"group": names, "slice": np.arange(n), "z_rel": z, "label": np.where(tumour, "tumour", "normal")})
    kept = matched(table)
    again = matched(table.sample(frac=1, random_state=seed % 1000))
    pd.testing.assert_frame_equal(kept, again)
    assert not kept[["group", "slice"]].duplicated().any()
    counts = np.zeros((2, BINS, 2), int)
    for which, rows in enumerate((table, kept)):
        np.add.at(counts[which], (np.minimum((rows["z_rel"] * BINS).astype(int), BINS - 1), (rows["label"] == "tumour").astype(int)), 1)
    assert np.array_equal(counts[1], np.repeat(counts[0].min(axis=1, keepdims=True), 2, axis=1))


def test_normalisation_keeps_zero_outside_and_is_unmoved_by_scale():
    values = rng().normal(500, 40, (20, 20, 5))
    brain = rng(1).random(values.shape) < 0.5
    once, scaled = normalised(values, brain), normalised(values * 3 + 100, brain)
    assert (once[~brain] == 0).all()
    assert (once[brain] > 0).all()
    assert np.allclose(once, scaled, atol=1e-5)
    assert abs(once[brain].std() - 0.1) < 0.01  # ten standard deviations span the grey levels
    assert (normalised(np.full((2, 2, 2), 5.0), np.ones((2, 2, 2), bool)) == np.float32(0.4)).all()


def test_on_square_keeps_proportions():
    plane = np.ones((10, 30), np.float32)
    square = on_square(plane, (1.0, 2.0), 60)  # 30 mm wide, 20 mm high
    rows, columns = np.flatnonzero(square.any(axis=1)), np.flatnonzero(square.any(axis=0))
    assert (len(rows), len(columns)) == (40, 60)
    assert (rows[0], rows[-1]) == (10, 49)
