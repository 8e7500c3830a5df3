"""The ranking drawn is the ranking scored: against novkit's own image score, NumPy and brute force."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from novkit.errors import DataError, SettingsError
from novkit.figures import describe
from novkit.patchgan.masking import PatchGrid
from novkit.patchgan.ranking import image_score
from novkit.widgets.patch_view import PatchScores, PatchState, outline, patch_at, patch_figure, patch_html, patch_readout, ranking
from tests.conftest import blobs

GRID = PatchGrid(8, 4, 4)
RULES = ("ranked", "top_k", "mean", "max")
TAUS = (1e-4, 0.01, 0.3, 100.0)


def patch_scores(n: int = 3, ties: bool = False) -> PatchScores:
    values = np.random.default_rng(0).normal(size=(n, 16))
    return PatchScores(np.round(values) if ties else values, GRID)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("how", RULES)
def test_the_build_up_ends_at_the_image_score(how, ties):
    given = patch_scores(ties=ties).scores
    for tau, k in product(TAUS, (1, 3, 16)):
        expected = image_score(given, how, tau=tau, top_k=k)
        for row in range(3):
            found = ranking(given[row], PatchState(how=how, tau=tau, top_k=k))
            assert found.image_score == pytest.approx(expected[row], abs=1e-12)
            assert found.weights.sum() == pytest.approx(1)
            assert (np.diff(found.weights) <= 1e-15).all()
            assert (np.diff(found.scores) <= 0).all()
            np.testing.assert_array_equal(found.scores, given[row][found.order])


def test_ties_keep_the_order_of_the_patches():
    found = ranking(np.zeros(16), PatchState())
    assert found.order.tolist() == list(range(16))
    assert found.image_score == 0


def test_more_than_all_patches_is_all_patches():
    values = patch_scores().scores[0]
    assert ranking(values, PatchState(how="top_k", top_k=99)).image_score == pytest.approx(values.mean())


def test_readout_over_every_number_of_lit_patches():
    values = patch_scores().scores[0]
    for how, lit in product(RULES, (0, 1, 5, 16, 99)):
        state = PatchState(how=how, lit=lit, tau=0.3)
        found = ranking(values, state)
        said = patch_readout(found, state)
        count = min(lit, 16)
        assert said["patches lit"] == count
        assert said["score built up"] == pytest.approx((found.weights * found.scores)[:count].sum())
        assert said["their share of the weight"] == pytest.approx(found.weights[:count].sum())
        assert patch_html(found, state)
    assert patch_readout(ranking(values, PatchState(how="mean")), PatchState(how="mean"))["patches that hold half the weight"] == 8
    assert patch_readout(ranking(values, PatchState(how="max")), PatchState(how="max"))["patches that hold half the weight"] == 1
    assert "No patch is lit" in patch_html(ranking(values, PatchState(lit=0)), PatchState(lit=0))


def test_outline_runs_along_every_edge_once():
    draw = np.random.default_rng(3)
    for mask in (draw.random((9, 7)) > 0.6, np.ones((9, 7), bool), np.zeros((9, 7), bool)):
        x, y = outline(mask)
        pieces = np.stack([x, y], axis=1).reshape(-1, 3, 2)
        assert np.isnan(pieces[:, 2]).all()
        found = {(tuple(sorted((tuple(a), tuple(b))))) for a, b in pieces[:, :2]}
        expected = set()
        for row, column in zip(*np.nonzero(mask), strict=True):
            for dr, dc, edge in (
                (-1, 0, ((column, row), (column + 1, row))),
                (1, 0, ((column, row + 1), (column + 1, row + 1))),
                (0, -1, ((column, row), (column, row + 1))),
                (0, 1, ((column + 1, row), (column + 1, row + 1))),
            ):
                r, c = row + dr, column + dc
                if not (0 <= r < 9 and 0 <= c < 7 and mask[r, c]):
                    expected.add(tuple((float(a), float(b)) for a, b in edge))
        assert found == expected
        assert len(pieces) == len(expected)


def test_figure_lights_the_first_of_the_ranking_over_the_whole_range():
    X, given = blobs(3), patch_scores()
    mask = np.zeros((32, 32), bool)
    mask[3:9, 4:20] = True
    for how, lit, truth in product(RULES, (0, 1, 7, 16, 40), (None, mask)):
        state = PatchState(image=1, patch=8, how=how, lit=lit)
        figure = patch_figure(X[1], given, state, truth, caption="x")
        found = ranking(given.scores[1], state)
        shown = np.asarray(figure.data[1].z).ravel()
        assert set(np.flatnonzero(~np.isnan(shown))) == set(found.order[:lit])
        bars = next(trace for trace in figure.data if trace.type == "bar")
        np.testing.assert_array_equal(bars.y, found.scores)
        assert len(set(bars.marker.color[: min(lit, 16)])) <= 1
        build_up, point = figure.data[-2:]
        assert build_up.y[-1] == pytest.approx(found.image_score)
        assert (point.x[0], point.y[0]) == (min(lit, 16), build_up.y[min(lit, 16)])
        assert len(figure.data[3].x) == (0 if truth is None else 3 * 2 * (6 + 16))
        assert f"{found.image_score:.4g}" in describe(figure)


def test_colour_images_and_constant_scores_are_drawn():
    patch_figure(blobs(1, channels=3)[0], PatchScores(np.zeros((1, 16)), GRID), PatchState())


def test_patch_under_a_point():
    for row, column in product(range(4), range(4)):
        assert patch_at(GRID, column * 8 + 0.1, row * 8 + 7.9) == row * 4 + column
    assert patch_at(GRID, -5, 99) == 12


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="finite"):
        PatchScores(np.zeros((2, 9)), GRID)
    with pytest.raises(DataError, match="finite"):
        PatchScores(np.full((2, 16), np.nan), GRID)
    with pytest.raises(DataError, match="no image 3"):
        patch_figure(blobs(1)[0], patch_scores(), PatchState(image=3))
    with pytest.raises(DataError, match="that were scored"):
        patch_figure(blobs(1, size=64)[0], patch_scores(), PatchState())
    for wrong in ({"how": "sum"}, {"tau": 0}, {"top_k": 0}, {"lit": -1}, {"image": -1}):
        with pytest.raises(SettingsError):
            replace(PatchState(), **wrong)
