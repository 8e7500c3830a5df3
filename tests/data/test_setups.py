"""Set-ups: who is normal and novel, and what generated OOD images are made of."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from novkit.data.dataset import ImageDataset
from novkit.data.setups import generated_ood, one_vs_rest, rest_vs_one
from novkit.distortions.resampling import near_identity
from novkit.distortions.unseen import UNSEEN
from novkit.errors import DataError
from tests.conftest import blobs


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    """Forty groups of three images: healthy, mild and severe."""
    n = 120
    table = pd.DataFrame({"id": [f"i{k}" for k in range(n)], "label": np.tile(["healthy", "mild", "severe"], 40)})
    table["group"] = np.repeat([f"g{k}" for k in range(40)], 3)
    masks = np.zeros((n, 32, 32), bool)
    masks[:, 3, 3] = np.arange(n) % 3 > 0
    return ImageDataset("blobs", blobs(n, channels=3), table, masks=masks, body=np.ones((n, 32, 32), bool), fingerprint="blobs")


def test_one_vs_rest(data):
    setup = one_vs_rest(data, "healthy", seed=0)
    assert (setup.kind, setup.normal, setup.novel) == ("one_vs_rest", ("healthy",), ("mild", "severe"))
    assert [len(x) for x in (setup.X_train, setup.X_calibration, setup.X_threshold, setup.X_test)] == [24, 4, 4, 8 * 3]
    assert setup.split.left_out == 2 * 32
    assert list(setup.test_table.columns) == ["id", "label", "group"]
    assert np.array_equal(setup.y_test, setup.test_table["label"] != "healthy")
    assert np.array_equal(setup.test_masks.any(axis=(1, 2)), setup.y_test)
    assert setup.test_body.all()
    where = data.table["id"].isin(setup.test_table["id"]).to_numpy()
    assert np.array_equal(setup.X_test, data.images[where])
    assert set(data.labels[setup.split.train]) == {"healthy"}


def test_one_vs_some(data):
    setup = one_vs_rest(data, "healthy", seed=0, novel="severe")
    assert set(setup.test_table["label"]) == {"healthy", "severe"}


def test_several_against_one_train_on_all_of_them(data):
    setup = one_vs_rest(data, ("healthy", "mild"), seed=0)
    assert (setup.normal, setup.novel) == (("healthy", "mild"), ("severe",))
    assert Counter(data.labels[setup.split.train]) == {"healthy": 24, "mild": 24}
    assert np.array_equal(setup.y_test, setup.test_table["label"] == "severe")
    alone, named = one_vs_rest(data, "healthy", seed=3), one_vs_rest(data, ["healthy"], seed=3)
    assert np.array_equal(alone.split.test, named.split.test)
    with pytest.raises(DataError, match="'ill'"):
        one_vs_rest(data, ("healthy", "ill"), seed=0)


def test_rest_vs_one(data):
    setup = rest_vs_one(data, "severe", seed=0)
    assert (setup.normal, setup.novel) == (("healthy", "mild"), ("severe",))
    assert set(data.labels[setup.split.train]) == {"healthy", "mild"}
    assert np.array_equal(setup.y_test, setup.test_table["label"] == "severe")


def test_errors(data):
    with pytest.raises(DataError, match=r"'ill'.*healthy, mild, severe"):
        one_vs_rest(data, "ill", seed=0)
    with pytest.raises(DataError, match="'ill'"):
        rest_vs_one(data, "ill", seed=0)
    with pytest.raises(DataError, match="both"):
        one_vs_rest(data, "healthy", seed=0, novel=("healthy", "mild"))
    with pytest.raises(DataError, match="single class"):
        one_vs_rest(data.subset(data.labels == "mild"), "mild", seed=0)


def test_generated_ood_makes_a_pair_of_each_normal_test_image(data):
    setup = generated_ood(data, "healthy", seed=1)
    plain = one_vs_rest(data, "healthy", seed=1)
    table = setup.test_table
    originals = data.table.iloc[plain.split.test].query("label == 'healthy'")
    # one_vs_rest and generated_ood see different mixtures of groups, so only the sizes agree
    assert len(table) == 2 * len(originals)
    assert setup.y_test.mean() == 0.5
    assert set(table["label"][setup.y_test == 0]) == {"healthy"}
    assert set(setup.novel) <= set(UNSEEN)
    assert sorted(table["group"][setup.y_test == 0]) == sorted(table["group"][setup.y_test == 1])
    trained = setup.dataset.table.iloc[np.concatenate([setup.split.train, setup.split.calibration, setup.split.threshold])]
    assert not set(trained["group"]) & set(table["group"])
    assert setup.test_masks is None
    assert setup.test_body is None
    assert setup.X_test.dtype == np.uint8
    by_id = pd.Series(range(len(data)), index=data.table["id"])
    assert np.array_equal(setup.X_train, data.images[by_id[setup.dataset.table["id"].iloc[setup.split.train]]])


def test_generated_ood_gives_families_equal_turns_and_leaves_normals_nearly_alone():
    n = 400
    table = pd.DataFrame({"id": [f"i{k:03d}" for k in range(n)], "label": "normal", "group": [f"g{k}" for k in range(n)]})
    data = ImageDataset("blobs", blobs(n), table)
    setup = generated_ood(data, "normal", seed=0)
    counts = Counter(setup.test_table["label"][setup.y_test == 1])
    assert set(counts) == set(UNSEEN)
    assert max(counts.values()) - min(counts.values()) <= 1
    ids = setup.test_table["id"].str.split("/").str[0]
    originals = data.images[ids.str[1:].astype(int)].astype(float)
    change = np.abs(setup.X_test - originals).mean(axis=(1, 2, 3))
    assert np.median(change[setup.y_test == 0]) < 0.75 * np.median(change[setup.y_test == 1])
    assert (change > 0).all()  # the normal copies were resampled, too


def test_generated_ood_is_a_function_of_the_seed_not_of_the_rows(data):
    one, again, other = (generated_ood(data, ["healthy", "mild"], seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.X_test, again.X_test)
    assert one.dataset.fingerprint == again.dataset.fingerprint != other.dataset.fingerprint
    order = np.random.default_rng(0).permutation(len(data))
    shuffled = generated_ood(data.subset(order), ["healthy", "mild"], seed=1)
    assert list(shuffled.test_table["id"]) == list(one.test_table["id"])
    assert np.array_equal(shuffled.X_test, one.X_test)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_generated_ood_keeps_the_kind_of_the_images(dtype):
    scale = {np.uint16: 257, np.float32: 1 / 255}[dtype]
    images = blobs(20).astype(dtype) * dtype(scale)
    table = pd.DataFrame({"id": [f"i{k}" for k in range(20)], "label": "normal", "group": [f"g{k}" for k in range(20)]})
    setup = generated_ood(ImageDataset("blobs", images, table), "normal", seed=0)
    assert setup.X_test.dtype == dtype
    assert abs(float(setup.X_test[setup.y_test == 0].mean()) / float(images.mean()) - 1) < 0.1


def test_near_identity_is_what_normal_copies_go_through(data, monkeypatch):
    """The copies are near_identity's output to within a grey level, whatever the family does."""
    from novkit.distortions import resampling

    seen = []

    def spy(images, generator):
        seen.append(near_identity(images, generator))
        return seen[-1]

    monkeypatch.setattr(resampling, "near_identity", spy)
    setup = generated_ood(data, "healthy", seed=0)
    expected = np.concatenate([batch.numpy() for batch in seen]) * 255
    assert np.abs(setup.X_test[setup.y_test == 0] - expected).max() <= 0.5 + 1e-3
