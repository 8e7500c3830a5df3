"""Figures of patches, ranks and ablations show what brute force finds, and say what they show."""

import base64
import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from novkit.errors import DataError
from novkit.evaluation import Scores
from novkit.figures import (
    DistributionPanel,
    ablation_dots,
    describe,
    distribution_grid,
    patch_score_histogram,
    patch_story,
    rank_weight_curve,
    score_build_up,
    tertile_dots,
)
from novkit.figures.images import OUTLINE
from novkit.figures.patches import PATCH_OUTLINE
from novkit.patchgan.ranking import image_score

TILE, GAP = 128, 6


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def story(n: int = 2, *, size: int = 64, side: int = 16, **changes):
    across = size // side
    given = {
        "image": draw(n, 1, size, size).astype(np.float32) * 0.5 + 0.25,
        "masked": draw(n, 1, size, size, seed=1).astype(np.float32),
        "restored": draw(n, 1, size, size, seed=2).astype(np.float32),
        "residual": draw(n, size, size, seed=3),
        "patch_scores": draw(n, across**2, seed=4),
        "grid": (across, across, side),
        "novelty_map": draw(n, size, size, seed=5),
    } | changes
    return given, patch_story(**given)


def sheet(figure) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(figure.data[0].source.split(",", 1)[1]))))[..., :3]


def tile(figure, row: int, column: int) -> np.ndarray:
    top, left = row * (TILE + GAP) + GAP, column * (TILE + GAP)
    return sheet(figure)[top : top + TILE, left : left + TILE]


def numbers(figure, row: int) -> list[tuple[str, tuple[float, float], tuple[float, float]]]:
    """(text, (y, x) of the patch, (y, x) of the number) within the ranked tile of a row."""
    top, left = row * (TILE + GAP) + GAP, 4 * (TILE + GAP)
    notes = [note for note in figure.layout.annotations if note.text.isdigit() and top <= note.y < top + TILE]
    return [(note.text, (note.y - top, note.x - left), (note.ay - top, note.ax - left)) for note in notes]


# ---- the story -------------------------------------------------------------------------------------------------------


def test_story_stands_in_its_columns():
    truth = np.zeros((2, 64, 64), dtype=bool)
    truth[1, 20:30, 20:30] = True
    given, figure = story(truth=truth, captions=["a<b", "c"])
    for row in range(2):
        for column, name in enumerate(("image", "masked", "restored")):
            expected = np.rint(given[name][row, 0] * 255)
            assert np.array_equal(tile(figure, row, column)[::2, ::2, 0], expected)
        for column, name in ((3, "residual"), (5, "novelty_map")):  # Inferno grows lighter all the way
            light = tile(figure, row, column)[::2, ::2].astype(float) @ [0.2126, 0.7152, 0.0722]
            order = np.argsort(given[name][row].ravel())
            assert light.ravel()[order[:400]].max() < light.ravel()[order[-400:]].min()
    assert not (tile(figure, 0, 6) == OUTLINE).all(axis=2).any()
    assert (tile(figure, 1, 6) == OUTLINE).all(axis=2).any()
    texts = [note.text for note in figure.layout.annotations]
    assert texts[:3] == ["image", "masked input", "restoration"]
    assert texts[6] == "truth"
    assert "a&lt;b" in texts
    assert f"residual<br>0 to {np.quantile(given['residual'], 0.999):.2g}" in texts
    assert sheet(story()[1]).shape[1] == 6 * (TILE + GAP)  # without truth, no column for it


@pytest.mark.parametrize("side", [4, 8, 16, 32])
def test_the_numbered_patches_are_the_highest_in_order(side):
    given, figure = story(side=side, top_k=4)
    across = 64 // side
    for row in range(2):
        best = np.argsort(-given["patch_scores"][row])[:4]
        found = numbers(figure, row)
        assert [text for text, _, _ in found] == ["1", "2", "3", "4"]
        for patch, (_, centre, _) in zip(best, found, strict=True):
            assert tuple(int(value // (2 * side)) for value in centre) == divmod(patch, across)
        outlined = (tile(figure, row, 4) == PATCH_OUTLINE).all(axis=2)
        touched = {int(y // (2 * side) * across + x // (2 * side)) for y, x in np.argwhere(outlined)}
        assert touched == set(best.tolist())
        full = np.zeros((across, across), dtype=bool)
        full.flat[best] = True
        inner = ~outlined[::2, ::2] & ~outlined[1::2, 1::2]
        shown, bright = tile(figure, row, 4)[::2, ::2, 0], tile(figure, row, 0)[::2, ::2, 0]
        chosen = full.repeat(side, axis=0).repeat(side, axis=1)
        assert np.array_equal(shown[chosen & inner], bright[chosen & inner])
        assert (shown[~chosen] < 0.5 * bright[~chosen]).all()
        assert ", ".join(map(str, best)) in describe(figure)


def test_numbers_cover_neither_each_other_nor_a_patch():
    crowded = np.zeros((1, 256))
    crowded[0, [0, 1, 16, 17, 18, 255]] = [6, 5, 4, 3, 2, 1]  # side by side, in corners
    _, figure = story(1, side=4, patch_scores=crowded, top_k=6)
    found = numbers(figure, 0)
    assert len(found) == 6
    for index, (_, _, place) in enumerate(found):
        assert 0 <= min(place) <= max(place) <= TILE
        for _, centre, _ in found:
            assert max(abs(a - b) for a, b in zip(place, centre, strict=True)) >= (8 + 14) / 2
        for _, _, other in found[:index]:
            assert max(abs(a - b) for a, b in zip(place, other, strict=True)) >= 14


def test_ties_keep_the_order_of_the_patches_and_large_images_are_reduced():
    _, figure = story(1, size=256, side=64, patch_scores=np.zeros((1, 16)), top_k=3)
    assert [(text, (y // 32, x // 32)) for text, (y, x), _ in numbers(figure, 0)] == [("1", (0, 0)), ("2", (0, 1)), ("3", (0, 2))]
    assert len(numbers(story(1, side=32, top_k=9)[1], 0)) == 4  # no more than there are


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"masked": draw(1, 1, 64, 64)}, "masked of"),
        ({"residual": draw(2, 1, 64, 64)}, "residual of"),
        ({"truth": np.zeros((2, 32, 32))}, "truth of"),
        ({"grid": (4, 4, 8)}, "does not cut"),
        ({"patch_scores": draw(2, 15)}, "does not cut"),
        ({"captions": ["one"]}, "2 images but 1 captions"),
        ({"image": draw(64, 64)}, "image has shape"),
    ],
)
def test_story_names_what_does_not_fit(changes, words):
    with pytest.raises(DataError, match=words):
        story(**changes)


# ---- ranks and scores ------------------------------------------------------------------------------------------------


def test_rank_weights_follow_the_formula():
    taus = (1e-4, 0.05, 0.5, 1000.0)
    figure = rank_weight_curve(64, taus)
    for tau, trace in zip(taus, figure.data, strict=True):
        weights = np.asarray(trace.y)
        expected = np.exp(-np.arange(64) / (tau * 64))
        np.testing.assert_allclose(weights, expected * 64 / expected.sum(), rtol=1e-9)
        assert weights.mean() == pytest.approx(1)
        assert list(trace.x) == list(range(1, 65))
    assert figure.data[0].y[0] == pytest.approx(64)
    assert "all on one patch, the maximum" in figure.data[0].name
    assert "all alike, the mean" in figure.data[-1].name
    half = int(figure.data[1].name.split()[-2])
    assert sum(figure.data[1].y[: half - 1]) < 32 <= sum(figure.data[1].y[:half])
    assert "exp(−rank / (τ P))" in figure.layout.yaxis.title.text
    with pytest.raises(DataError, match="positive τ"):
        rank_weight_curve(64, (0.0,))


@pytest.mark.parametrize("tau", [1e-4, 0.01, 0.3, 100.0])
def test_the_score_builds_up_to_the_image_score(tau):
    scores = np.random.default_rng(0).normal(size=(3, 49))
    figure = score_build_up(scores, tau, captions=["a", "b", "<c>"], labels=[0, 1, 1])
    for row, trace, final in zip(scores, figure.data, image_score(scores, "ranked", tau=tau), strict=True):
        weights = np.exp(-np.arange(49) / (tau * 49))
        by_hand = [sum(w * s for w, s in zip(weights[:k], sorted(row)[::-1][:k], strict=True)) / weights.sum() for k in range(1, 50)]
        np.testing.assert_allclose(trace.y, by_hand, atol=1e-12)
        assert trace.y[-1] == pytest.approx(final)
        assert f"A(x) = {final:#.3g}" in trace.name
        assert list(np.flatnonzero(trace.marker.size)) == [48]
    assert figure.data[2].name.startswith("&lt;c>")
    with pytest.raises(DataError, match="one caption"):
        score_build_up(scores, tau, captions=["a"])


def test_patch_histograms_are_densities_of_the_right_patches():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(20, 30)), np.arange(20) % 2
    truth = rng.random((20, 30)) < 0.2
    scores[(labels == 1)[:, None] & truth] += 4
    two, three = patch_score_histogram(scores, labels, bins=25), patch_score_histogram(scores, labels, truth, bins=25)
    novel = np.repeat(labels == 1, 30).reshape(20, 30)
    expected = {
        "normal images": ~novel,
        "novel images": novel,
        "novel images, outside the abnormality": novel & ~truth,
        "novel images, inside the abnormality": novel & truth,
    }
    seen = set()
    for trace in (*two.data, *three.data):
        name, _, count = trace.name.rpartition(" (")
        chosen = scores[expected[name]]
        seen.add(name)
        assert count == f"{len(chosen)} patches)"
        edges = np.r_[trace.x[::2], trace.x[-1]]
        np.testing.assert_allclose(edges, np.linspace(scores.min(), scores.max(), 26))
        heights = np.nan_to_num(np.asarray(trace.y, dtype=float)[::2])
        counts = [np.sum((chosen >= low) & (chosen < high)) for low, high in zip(edges[:-1], [*edges[1:-1], np.inf], strict=True)]
        np.testing.assert_allclose(heights * len(chosen) * np.diff(edges), counts, atol=1e-9)
    assert seen == set(expected)
    assert two.layout.yaxis.type == three.layout.yaxis.type == "log"
    with pytest.raises(DataError, match="truth of"):
        patch_score_histogram(scores, labels, truth[:, :3])
    with pytest.raises(DataError, match="one label an image"):
        patch_score_histogram(scores, labels[:3])


# ---- comparisons -----------------------------------------------------------------------------------------------------


def tertiles() -> pd.DataFrame:
    names = (("ranked", "patchgan", 0.8), ("autoencoder", "autoencoder", 0.4))
    return pd.DataFrame(
        [
            {
                "name": name, "method": method, "tertile": tertile, "mean": mean + 0.05 * i, "sd": 0.01 * (i + 1),
                "seeds": [mean, mean + 0.1 * i],
            }
            for name, method, mean in names
            for i, tertile in enumerate(("small", "medium", "large"))
        ]
    )  # fmt: skip


def dots(figure) -> dict[tuple[str, str], tuple[float, float, float]]:
    """(axis, name) -> mean, and how far the bar reaches down and up."""
    traces = [trace for trace in figure.data if trace.error_x.array is not None]
    return {(trace.xaxis, trace.y[0]): (trace.x[0], trace.error_x.arrayminus[0], trace.error_x.array[0]) for trace in traces}


def test_tertiles_stand_in_their_panels():
    figure = tertile_dots(tertiles())
    found = dots(figure)
    for i, axis in enumerate(("x", "x2", "x3")):
        for name, mean in (("ranked", 0.8), ("autoencoder", 0.4)):
            assert found[axis, name] == pytest.approx((mean + 0.05 * i, 0.01 * (i + 1), 0.01 * (i + 1)))
    assert [note.text for note in figure.layout.annotations[:3]] == ["small", "medium", "large"]
    assert list(figure.layout.yaxis.categoryarray) == ["autoencoder", "ranked"]
    assert figure.layout.xaxis.range[0] < 0.4 - 0.01
    assert "large, ranked 0.900" in describe(figure)
    intervals = tertiles().drop(columns=["sd", "seeds"]).assign(low=0.3, high=0.95, area_low=0.01, area_high=0.02)
    figure = tertile_dots(intervals)
    assert dots(figure)["x", "ranked"] == pytest.approx((0.8, 0.5, 0.15))
    assert "1.0% to 2.0% of the image" in figure.layout.annotations[0].text
    single = tertile_dots(tertiles().drop(columns="seeds").assign(sd=np.nan))
    assert dots(single)["x", "ranked"] == pytest.approx((0.8, 0, 0))
    assert "one seed" in single.data[0].hovertemplate
    with pytest.raises(DataError, match="'huge' is no tertile"):
        tertile_dots(tertiles().replace("small", "huge"))
    with pytest.raises(DataError, match="lacks the column 'mean'"):
        tertile_dots(tertiles().drop(columns="mean"))


def ablations() -> pd.DataFrame:
    rows = [("default", "as it is", 0.9, 0.5), ("mask", "no mask", 0.7, 0.3), ("score", "mean", 0.6, np.nan), ("score", "max", 0.8, 0.4)]
    return pd.DataFrame(
        [
            {
                "group": group, "name": name, "auroc_mean": auroc, "auroc_sd": 0.02, "auroc_seeds": [auroc - 0.02, auroc + 0.02],
                "pixel_average_precision_mean": pixel, "pixel_average_precision_sd": np.nan,
            }
            for group, name, auroc, pixel in rows
        ]
    )  # fmt: skip


def test_ablations_stand_in_groups_beside_the_default():
    figure = ablation_dots(ablations(), default="as it is")
    found = dots(figure)
    assert found["x", "no mask"] == pytest.approx((0.7, 0.02, 0.02))
    assert found["x2", "max"] == pytest.approx((0.4, 0, 0))
    assert ("x2", "mean") not in found  # no map, no dot
    order = ["as it is", "<b>mask</b>", "no mask", "<b>score</b>", "mean", "max"]
    assert list(figure.layout.yaxis.categoryarray)[::-1] == order
    lines = {shape.xref: shape.x0 for shape in figure.layout.shapes}
    assert lines == {"x": 0.9, "x2": 0.5}
    seeds = [trace for trace in figure.data if trace.error_x.array is None]
    assert [list(trace.x) for trace in seeds] == [list(values) for values in ablations()["auroc_seeds"]]
    with pytest.raises(DataError, match="No row is called 'default'"):
        ablation_dots(ablations())
    with pytest.raises(DataError, match="stands twice"):
        ablation_dots(pd.concat([ablations(), ablations()]), default="as it is")
    with pytest.raises(DataError, match="no results"):
        ablation_dots(ablations()[:0])


def panel(dataset: str, method: str, auroc: float, *, synthetic: bool, seed: int = 0) -> DistributionPanel:
    label = np.arange(80) % 2
    ids = np.arange(80).astype(str)
    condition = np.where(label == 1, np.array(["glioma", "infarct"])[np.arange(80) // 2 % 2], "healthy")
    scores = Scores(ids, ids, label, condition, np.random.default_rng(seed).normal(size=80) + label)
    return DistributionPanel(dataset=dataset, method=method, scores=scores, auroc=auroc, synthetic=synthetic)


def test_every_panel_of_the_grid_names_its_data():
    panels = [
        panel("brain", "autoencoder", 0.612, synthetic=True),
        panel("brain", "patchgan", 0.873, synthetic=True, seed=1),
        panel("lgg_flair_mri", "patchgan", 0.734, synthetic=False, seed=2),
    ]
    figure = distribution_grid(panels)
    titles = [note.text for note in figure.layout.annotations]
    assert titles == [
        "Autoencoder<br>brain (synthetic)<br>AUROC 0.612",
        "Patch-GAN<br>brain (synthetic)<br>AUROC 0.873",
        "Patch-GAN<br>lgg_flair_mri<br>AUROC 0.734",
    ]
    by_axis = {(trace.xaxis, trace.name): trace for trace in figure.data}
    assert set(by_axis) == {(axis, name) for axis in ("x", "x2", "x4") for name in ("normal", "novel")}
    for axis, one in zip(("x", "x2", "x4"), panels, strict=True):
        for value, name in ((0, "normal"), (1, "novel")):
            trace = by_axis[axis, name]
            edges, heights = np.asarray(trace.x)[::2], np.asarray(trace.y)[1:-1:2]
            expected, _ = np.histogram(np.minimum(one.scores.score[one.scores.label == value], edges[-1]), bins=edges, density=True)
            np.testing.assert_allclose(heights, expected)
    assert sum(bool(trace.showlegend) for trace in figure.data) == 2
    assert figure.layout.xaxis3.visible is False  # no autoencoder on the second data set
    with pytest.raises(DataError, match="same method on the same data"):
        distribution_grid([panels[0], panels[0]])
    with pytest.raises(DataError, match="no scores"):
        distribution_grid([])


FIGURES = {
    "story": lambda: story()[1],
    "weights": lambda: rank_weight_curve(64),
    "histogram": lambda: patch_score_histogram(draw(6, 16), np.arange(6) % 2),
    "build-up": lambda: score_build_up(draw(2, 16), 0.1),
    "tertiles": lambda: tertile_dots(tertiles()),
    "ablations": lambda: ablation_dots(ablations(), default="as it is"),
    "grid": lambda: distribution_grid([panel("skin", "alocc", 0.5, synthetic=True)]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_says_what_it_is_and_none_claims_a_reproduction(name):
    figure = FIGURES[name]()
    assert figure.layout.title.text
    assert len(describe(figure)) > 40
    assert figure.layout.xaxis.title.text or name == "story"
    text = figure.to_json()
    assert len(text) < 300_000
    words = json.dumps({key: value for key, value in json.loads(text)["layout"].items() if key != "template"}).lower()
    assert "reproduc" not in words
    assert "isic" not in words
    assert "brats" not in words
