"""Snapshots keep true distances, and what is drawn and said of them follows from those alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from novkit.errors import DataError, SettingsError, StoredFileError
from novkit.figures import describe
from novkit.tend import Tend, TendSettings
from novkit.widgets.margin_view import MarginState, frame, image_text, margin_figure, margin_html, margin_readout, positions, rows_drawn
from novkit.widgets.snapshots import GROUPS, Snapshots, record_snapshots
from tests.conftest import blobs
from tests.widgets.small import snapshots

TINY = TendSettings(width=4, embedding=6, epochs_autoencoder=1, epochs=4, warmup=1, batch_size=16, lr=3e-3)


def test_distances_are_those_of_the_embedding_whatever_its_dimension():
    draw = np.random.default_rng(1)
    for dimensions in (2, 7):
        z, c = draw.normal(size=(3, 9, dimensions)), draw.normal(size=dimensions)
        found = Snapshots.of([0, 1, 2], z, c, 4.0, np.array(["ID"] * 9), np.array(["a"] * 9), blobs(9))
        np.testing.assert_allclose(found.distance, np.linalg.norm(z - c, axis=2))
        np.testing.assert_allclose(np.linalg.norm(positions(found, 1), axis=1), np.linalg.norm(z[1] - c, axis=1))
        assert found.margin == 2.0
        assert found.exact == (dimensions == 2)
        if dimensions == 2:
            np.testing.assert_allclose(positions(found, 2), z[2] - c)


def test_an_embedding_that_stands_still_does_not_turn():
    z = np.repeat(np.random.default_rng(0).normal(size=(1, 8, 5)), 4, axis=0)
    found = Snapshots.of(np.arange(4), z, np.zeros(5), 1.0, np.array(["ID"] * 8), np.array(["a"] * 8), blobs(8))
    np.testing.assert_array_equal(found.angle[0], found.angle[3])


def test_round_trip_without_pickle(tmp_path):
    given = snapshots()
    path = given.save(tmp_path / "snapshots.npz")
    read = Snapshots.load(path)
    np.testing.assert_allclose(read.squared_distance, given.squared_distance, rtol=1e-6)
    np.testing.assert_allclose(read.angle, given.angle, rtol=1e-5, atol=1e-6)
    for name in ("epochs", "group", "label", "images"):
        np.testing.assert_array_equal(getattr(read, name), getattr(given, name))
    assert (read.radius, read.exact) == (given.radius, given.exact)
    with np.load(path, allow_pickle=False) as stored:
        assert {stored[name].dtype.kind for name in stored.files} <= set("iufbU")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(StoredFileError, match="record them again"):
        Snapshots.load(path)
    with pytest.raises(StoredFileError):
        Snapshots.load(tmp_path / "nothing.npz")


@pytest.mark.parametrize(
    "wrong",
    [
        {"angle": np.zeros((4, 3))},
        {"epochs": np.arange(3)},
        {"label": np.array(["a"])},
        {"group": np.array(["other"] * 12)},
        {"squared_distance": np.full((4, 12), -1.0)},
        {"squared_distance": np.full((4, 12), np.nan)},
        {"radius": 0.0},
        {"radius": np.inf},
        {"angle": np.full((4, 12), np.nan)},
        {"angle": np.full((4, 12), "north")},
        {"epochs": np.array(list("abcd"))},
        {"epochs": np.arange(4)[:, None]},
        {"group": np.array(["ID"] * 12)[:, None]},
        {"images": np.zeros((12, 8, 8), np.uint8)},
    ],
)
def test_what_does_not_fit_is_refused(wrong):
    with pytest.raises(DataError):
        replace(snapshots(), **wrong)


def test_one_dimension_has_no_direction():
    with pytest.raises(DataError, match="two dimensions"):
        Snapshots.of([0], np.zeros((1, 3, 1)), np.zeros(1), 1.0, np.array(["ID"] * 3), np.array(["a"] * 3), blobs(3))


def test_readout_counts_by_hand():
    given = snapshots()
    for step in range(4):
        found = margin_readout(given, MarginState(step=step))
        for name in GROUPS:
            d2 = given.squared_distance[step][given.group == name]
            assert found[name]["images"] == 4
            assert found[name]["inside the margin"] == pytest.approx(np.mean(d2 < 9))
            assert found[name]["median distance"] == pytest.approx(np.median(np.sqrt(d2)))
        kept = given.group != "transformed"
        expected = roc_auc_score(given.group[kept] == "novel", given.squared_distance[step][kept])
        assert found["novel"]["AUROC of the distance against ID"] == pytest.approx(expected)
        assert found["ID"]["AUROC of the distance against ID"] is None


def test_ties_and_empty_groups():
    same = replace(snapshots(), squared_distance=np.full((4, 12), 9.0))
    found = margin_readout(same, MarginState())
    assert found["novel"]["AUROC of the distance against ID"] is None
    assert found["novel"]["inside the margin"] == 0  # on the margin is not inside
    one = replace(snapshots(), group=np.array(["ID"] * 12))
    assert list(margin_readout(one, MarginState())) == ["ID"]
    assert margin_readout(one, MarginState(groups=("novel",))) == {}
    assert "at least one group" in margin_html(one, MarginState(groups=()))
    for state in (MarginState(), MarginState(groups=()), MarginState(groups=("novel",))):
        margin_figure(one, state)


@pytest.mark.parametrize("dimensions", [2, 5])
def test_figure_over_every_epoch_group_and_image(dimensions):
    given = snapshots(dimensions)
    reach = frame(given)
    assert reach > given.margin
    for step in range(4):
        for groups in (GROUPS, ("ID",), ()):
            for image in (-1, 11) if groups else (99,):
                state = MarginState(step=step, groups=groups, image=image)
                figure = margin_figure(given, state)
                for trace, name in zip(figure.data[:3], GROUPS, strict=True):
                    rows = rows_drawn(given, state, name)
                    radius = np.hypot(np.asarray(trace.x), np.asarray(trace.y))
                    np.testing.assert_allclose(radius, given.distance[step][rows])
                circle = figure.layout.shapes[0]
                assert (circle.x1, circle.y1) == (given.margin, given.margin)
                assert list(figure.layout.xaxis.range) == [-reach, reach]
                ring = figure.data[3]
                assert len(ring.x) == (0 <= image < 12)
                assert bool(image_text(given, state)) == (0 <= image < 12)
    assert "one fixed plane" in margin_figure(snapshots(5), MarginState()).layout.xaxis.title.text
    assert "true direction" in margin_figure(snapshots(2), MarginState()).layout.xaxis.title.text
    assert "√R = 3" in describe(margin_figure(given, MarginState()))


def test_image_text_says_which_side():
    given = snapshots()
    for row in range(12):
        inside = given.squared_distance[2, row] < 9
        text = image_text(given, MarginState(step=2, image=row))
        assert ("inside" if inside else "outside") in text
        assert str(given.group[row]) in text


@pytest.mark.parametrize("wrong", [{"step": -1}, {"groups": ("other",)}])
def test_impossible_choices_are_refused(wrong):
    with pytest.raises(SettingsError):
        MarginState(**wrong)


# ---- recording -------------------------------------------------------------------------------------------------------


def test_recording_changes_nothing_and_ends_where_the_detector_does():
    def new() -> Tend:
        return Tend(TINY, seed=0, device="cpu", progress=False)

    X, val = blobs(48), blobs(16, seed=1)
    shown, novel = blobs(5, seed=2), blobs(4, seed=3)[:, :, ::-1]
    watched, plain = new(), new().fit(X, val)
    found = record_snapshots(watched, X, val, X_shown=shown, X_novel=novel, novel_labels=list("abcd"))
    for a, b in zip(watched.network_.parameters(), plain.network_.parameters(), strict=True):
        assert torch.equal(a, b)
    assert found.epochs.tolist() == [0, 1, 2, 3]
    assert found.group.tolist() == ["ID"] * 5 + ["transformed"] * 5 + ["novel"] * 4
    assert found.label.tolist()[10:] == list("abcd")
    assert found.radius == TINY.radius
    np.testing.assert_array_equal(found.images[:5], shown)
    np.testing.assert_array_equal(found.images[10:], novel)
    assert not np.array_equal(found.images[5:10], shown)
    kept = watched.history_["margin"].best_epoch + 1 - TINY.warmup  # the epoch whose weights the detector holds
    parts = watched.components(np.concatenate([shown, novel]))
    rows = [*range(5), *range(10, 14)]
    np.testing.assert_allclose(found.squared_distance[kept][rows], parts["distance"], rtol=1e-3)


def test_recording_needs_a_label_for_each_novel_image():
    with pytest.raises(DataError, match="one per image"):
        record_snapshots(Tend(TINY), blobs(20), X_shown=blobs(2), X_novel=blobs(2), novel_labels=["a"])
