"""MedMNIST files: classes, parts, duplicates, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest

from novkit.data import load
from novkit.data.setups import one_vs_rest
from novkit.errors import DataError

REAL = os.environ.get("NOVKIT_REAL_DATA")
needs_real = pytest.mark.skipif(REAL is None, reason="NOVKIT_REAL_DATA names no folder of real images")


def save_medmnist(path: Path, images: np.ndarray, numbers: np.ndarray) -> None:
    cuts = {"train": slice(0, 6), "val": slice(6, 8), "test": slice(8, None)}
    arrays = {f"{part}_images": images[cut] for part, cut in cuts.items()} | {f"{part}_labels": numbers[cut] for part, cut in cuts.items()}
    np.savez(path, **arrays)


def test_medmnist(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 28, 28), dtype=np.uint8)
    images[9] = images[2]
    numbers = (np.arange(12) % 2)[:, None].astype(np.uint8)
    save_medmnist(tmp_path / "pneumoniamnist.npz", images, numbers)
    data = load(tmp_path / "pneumoniamnist.npz")
    assert np.array_equal(data.images[:, 0], images)
    assert list(data.labels) == ["normal", "pneumonia"] * 6
    assert list(data.table["part"]) == ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    assert data.table["group"].iloc[9] == data.table["group"].iloc[2]
    assert data.table["group"].nunique() == 11
    assert data.normal == "normal"
    assert len(load(tmp_path / "pneumoniamnist.npz", where="part == 'val'")) == 2
    assert load(tmp_path / "pneumoniamnist.npz", class_names=("a", "b"), normal="b").normal == "b"
    with pytest.raises(DataError, match="class names"):
        load(tmp_path / "pneumoniamnist.npz", class_names=("a",))


def test_medmnist_in_colour_and_with_several_labels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28, 3), dtype=np.uint8)
    save_medmnist(tmp_path / "unheard_of.npz", images, np.arange(12)[:, None] % 3)
    data = load(tmp_path / "unheard_of.npz")
    assert np.array_equal(data.images[5, :, 3, 4], images[5, 3, 4])
    assert set(data.labels) == {"0", "1", "2"}
    several = np.zeros((12, 14), np.uint8)
    several[3, [2, 5]] = 1
    save_medmnist(tmp_path / "chestmnist.npz", images, several)
    data = load(tmp_path / "chestmnist.npz")
    assert list(np.flatnonzero(data.labels == "finding")) == [3]
    assert data.normal == "no finding"
    assert data.table[["finding_2", "finding_5"]].iloc[3].tolist() == [1, 1]


def test_other_npz_files_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(DataError, match="lacks 'train_images'"):
        load(tmp_path / "other.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(DataError, match=r"broken\.npz cannot be read"):
        load(tmp_path / "broken.npz")
    save_medmnist(tmp_path / "volume.npz", np.zeros((12, 28, 28, 28), np.uint8), np.zeros((12, 1), np.uint8))
    with pytest.raises(DataError, match="two-dimensional"):
        load(tmp_path / "volume.npz")
    np.savez(tmp_path / "pickled.npz", train_images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError):
        load(tmp_path / "pickled.npz")


@pytest.mark.real
@needs_real
def test_real_pneumoniamnist_duplicates_stay_together():
    data = load(Path(REAL) / "pneumoniamnist" / "pneumoniamnist.npz")
    assert data.table.groupby("part")["label"].value_counts().loc["train"].to_dict() == {"pneumonia": 3494, "normal": 1214}
    split = one_vs_rest(data, "normal", seed=0).split
    pixels = [{data.images[i].tobytes() for i in part} for part in (split.train, split.calibration, split.threshold, split.test)]
    assert sum(map(len, pixels)) == len(set().union(*pixels))
    assert data.extra["duplicate_images"] > 0


def test_a_folder_that_holds_one_npz_stands_for_it(tmp_path):
    save_medmnist(tmp_path / "pneumoniamnist.npz", np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8), np.arange(12) % 2)
    assert load(tmp_path).name == "pneumoniamnist"
    (tmp_path / "other.npz").write_bytes(b"")
    with pytest.raises(DataError, match=r"labels\.csv"):
        load(tmp_path)
