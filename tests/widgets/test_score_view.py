"""Thresholds, histograms, selections and CSV of ScoreExplorer against scikit-learn, NumPy and brute force."""

import csv
import io
from dataclasses import replace
from itertools import product

import numpy as np
import plotly.graph_objects as go
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from novkit.errors import DataError, SettingsError
from novkit.evaluation import Scores
from novkit.figures import describe
from novkit.widgets.score_figure import picked_bins, scores_figure
from novkit.widgets.score_view import (
    ScoreState,
    bin_edges,
    bin_of,
    drawn_classes,
    heights,
    operating_point,
    readout_html,
    reweighted,
    selected_rows,
    selection_csv,
    shares_of_bins,
    shown_runs,
    threshold_at,
)
from novkit.widgets.stored import Run
from tests.widgets.small import record, run, scores

STATE = ScoreState(dataset="blobs", case="a case", seed=0, methods=("TEND", "Autoencoder"), score_weight=0.25, selected_method="TEND")
SHARES = (0.0, 0.004, 0.25, 0.5, 0.999, 1.0)


def shown(state=STATE, **options):
    return shown_runs({"TEND": run("tend", **options), "Autoencoder": run("autoencoder", **options)}, state)


# ---- threshold -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
def test_threshold_leaves_the_share_at_or_below_and_parts_no_ties(ties):
    given = scores(ties=ties).score
    for count in range(len(given) + 1):
        t = threshold_at(given, count / len(given))
        below = int((given <= t).sum())
        assert below == count if not ties else below >= count
        if count:
            assert t in given
            assert (given < t).sum() < count  # the next lower value would leave too few
    assert (given > threshold_at(given, 0)).all()
    assert not (given > threshold_at(given, 1)).any()


def test_threshold_of_equal_scores_calls_all_or_none():
    same = np.full(7, 2.5)
    assert [int((same > threshold_at(same, share)).sum()) for share in SHARES] == [7, 7, 0, 0, 0, 0]


def test_threshold_needs_scores():
    with pytest.raises(DataError, match="no scores"):
        threshold_at([], 0.5)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("share", SHARES)
def test_operating_point_counts_as_scikit_learn_does_and_lies_on_the_curve(share, ties):
    given = scores(ties=ties)
    t = threshold_at(given.score, share)
    point = operating_point(given.label, given.score, t, prevalence=0.5)
    (tn, fp), (fn, tp) = confusion_matrix(given.label, given.score > t, labels=[0, 1])
    assert (point.true_negative, point.false_positive, point.false_negative, point.true_positive) == (tn, fp, fn, tp)
    x, y, _ = roc_curve(given.label, given.score, drop_intermediate=False)
    assert np.hypot(x - (1 - point.specificity), y - point.sensitivity).min() < 1e-12
    if tp + fp:
        assert point.precision == pytest.approx(tp / (tp + fp))  # half of the images are novel, as the prevalence says
    else:
        assert point.precision is None


def test_precision_follows_bayes_over_the_whole_range_of_prevalence():
    label, score = np.r_[np.zeros(100), np.ones(10)], np.r_[np.arange(100), np.arange(95, 105)]
    for prevalence in (0.0, 0.001, 0.3, 1.0):
        point = operating_point(label, score, 89.5, prevalence)  # specificity 0.9, sensitivity 1
        expected = prevalence / (prevalence + (1 - prevalence) * 0.1)
        assert point.precision == pytest.approx(expected)


def test_shares_of_nothing_are_none():
    point = operating_point(np.zeros(3), np.arange(3), 1.5, 0.5)
    assert (point.sensitivity, point.precision) == (None, None)
    assert point.specificity == pytest.approx(2 / 3)
    assert operating_point([], [], 0.0, 0.5).specificity is None


# ---- λ ---------------------------------------------------------------------------------------------------------------


def test_the_stored_weight_gives_the_stored_score_and_the_ends_give_the_terms():
    given = scores()
    np.testing.assert_allclose(reweighted(given, 0.25).score, given.score, rtol=1e-12)
    np.testing.assert_array_equal(reweighted(given, 0.0).score, given.components["probability"])
    np.testing.assert_array_equal(reweighted(given, 1.0).score, given.components["distance_scaled"])
    other = scores(tend=False)
    assert reweighted(other, 0.9) is other


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
def test_auroc_shown_is_that_of_the_reweighted_score(weight):
    found = shown(replace(STATE, score_weight=weight), ties=True)
    given = scores(ties=True)
    mixed = (1 - weight) * given.components["probability"] + weight * given.components["distance_scaled"]
    assert found["TEND"].auroc == pytest.approx(roc_auc_score(given.label, mixed), abs=1e-12)
    assert found["Autoencoder"].auroc == pytest.approx(roc_auc_score(given.label, scores(ties=True, tend=False).score), abs=1e-12)


# ---- histograms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_scores", [False, True])
@pytest.mark.parametrize("bins", [2, 40, 100])
def test_counts_sum_to_all_and_densities_to_one(bins, log_scores):
    given = np.random.default_rng(0).gamma(1.0, size=500)
    edges, n_above = bin_edges(given, bins, log_scores)
    counts, density = (heights(given, edges, flag) for flag in (False, True))
    assert len(edges) == bins + 1
    assert counts.sum() == 500
    assert (density * np.diff(edges)).sum() == pytest.approx(1)
    inside = given[given <= edges[-1]]
    assert n_above == 500 - len(inside)
    expected, _ = np.histogram(inside, edges)
    expected[-1] += n_above
    np.testing.assert_array_equal(counts, expected)
    if log_scores:
        np.testing.assert_allclose(edges[1:] / edges[:-1], edges[1] / edges[0])


def test_edges_of_odd_scores():
    for given, log in product((np.zeros(5), np.full(5, 3.0), np.full(5, -3.0), np.array([1.0]), 3 + 1e-15 * np.arange(3)), (False, True)):
        edges, _ = bin_edges(given, 4, log)
        assert (np.diff(edges) > 0).all()
        assert edges[0] < given.min() <= given.max() < edges[-1]
    edges, _ = bin_edges(np.linspace(-1, 2, 50), 3, log_scores=True)
    np.testing.assert_allclose(edges, [-1, 0, 1, 2], atol=1e-12)  # logarithms of negative scores do not exist: equal distances instead
    assert heights(np.array([]), edges, True).tolist() == [0, 0, 0]


def test_more_classes_than_can_be_told_apart_become_one():
    assert set(drawn_classes(scores(classes=6))) == {"normal", *(f"novel{k}" for k in range(6))}
    assert set(drawn_classes(scores(classes=7))) == {"normal", "novel (7 classes)"}


# ---- selection -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("log_scores", [False, True])
def test_boxed_bins_select_exactly_their_images(ties, log_scores):
    given = scores(ties=ties)
    edges, _ = bin_edges(given.score, 9, log_scores)
    bins, drawn = bin_of(given.score, edges), drawn_classes(given)
    for first, last in product(range(9), range(9)):
        for classes in (("normal", "square"), ("square",), ()):
            span = shares_of_bins(given.score, edges, first, last)
            rows = selected_rows(given, replace(STATE, selected=span, selected_classes=classes))
            expected = (bins >= first) & (bins <= last) & np.isin(drawn, classes)
            assert set(rows) == set(np.flatnonzero(expected))
            assert (np.diff(given.score[rows]) <= 0).all()


def test_picked_points_become_a_selection_and_nothing_picked_none():
    state = replace(STATE, bins=9, selected_classes=("normal",), shown=("image-0001",))
    found = shown(state)
    # traces: 0 TEND normal, 1 TEND square, 2 Autoencoder normal, 3 Autoencoder square; points 1 to 9 are bins, 0 and 10 ends
    after = picked_bins(state, found, {3: [5, 6, 10]})
    assert (after.selected_method, after.selected_classes, after.shown) == ("Autoencoder", ("square",), ())
    given = found["Autoencoder"].scores
    bins = bin_of(given.score, bin_edges(given.score, 9)[0])
    assert set(selected_rows(given, after)) == set(np.flatnonzero(np.isin(bins, [4, 5]) & (given.label == 1)))
    assert picked_bins(state, found, {0: [1, 9], 1: [2]}).selected == (0.0, 1.0)
    for nothing in ({}, {0: [0, 10]}, {4: [3]}):
        after = picked_bins(state, found, nothing)
        assert len(selected_rows(given, after)) == 0


def test_csv_holds_the_selection_and_no_formula():
    given = scores()
    ids = given.id.astype(object)
    ids[1], ids[3] = "=HYPERLINK(1)", ' @sum, "quoted"\nline'
    group = given.group.astype(object)
    group[1] = "-2+3"
    odd = Run(record(n_test=len(given)), replace(given, id=ids, group=group))
    state = replace(STATE, selected=(0.0, 1.0), selected_classes=("square",))
    found = shown_runs({"TEND": odd, "Autoencoder": run("autoencoder")}, state)
    text = selection_csv(found, state)
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["id", "group", "class", "label", "TEND (lambda 0.25)", "Autoencoder"]
    assert len(rows) == 61
    by_id = {row[0]: row for row in rows[1:]}
    assert by_id["'=HYPERLINK(1)"][1] == "'-2+3"
    assert '\' @sum, "quoted"\nline' in by_id
    assert by_id["'=HYPERLINK(1)"][5] == ""  # the other method has no such image
    other = scores(tend=False)
    assert float(by_id["image-0005"][4]) == given.score[5]
    assert float(by_id["image-0005"][5]) == other.score[5]
    for cell in (cell for row in rows for cell in row[:4]):
        assert not cell.lstrip(" ").startswith(("=", "+", "-", "@"))
    nothing = selection_csv(found, replace(state, selected_classes=()))
    assert nothing.count("\n") == 1
    assert selection_csv({}, state).startswith("id,group")


# ---- readout and figure ----------------------------------------------------------------------------------------------


def test_readout_states_the_numbers_and_says_why_there_is_no_curve():
    found = shown(replace(STATE, threshold=0.5, prevalence=0.02))
    text = readout_html(found)
    point = found["TEND"].point
    assert f">{point.sensitivity:.3f}<" in text
    assert f">{point.false_positive}<" in text
    assert "0.02 prevalence" in text
    constant = replace(scores(tend=False), score=np.ones(120))
    one_class = replace(scores(tend=False), label=np.zeros(120, int))
    for given, word in ((constant, "collapsed"), (one_class, "both classes")):
        problem = shown_runs({"<b>": Run(record(method="vae", n_test=120), given)}, STATE)
        assert problem["<b>"].auroc is None
        assert word in readout_html(problem)
        assert "<b>" not in readout_html(problem)
        scores_figure(problem, STATE)
    assert "at least one method" in readout_html({})


@pytest.mark.parametrize(("classes", "ties"), [(1, False), (1, True), (9, True)])
def test_figure_over_the_whole_range_of_choices(classes, ties):
    for density, log_scores, log_heights in product((True, False), (True, False), (True, False)):
        for bins, share, weight in ((2, 0.0, 0.0), (40, 0.5, 0.25), (100, 1.0, 1.0)):
            state = replace(
                STATE, bins=bins, density=density, log_scores=log_scores, log_heights=log_heights, threshold=share, score_weight=weight,
                selected=(0.9, 1.0), selected_classes=("normal",),
            )  # fmt: skip
            found = shown(state, classes=classes, ties=ties)
            figure = scores_figure(found, state)
            assert isinstance(figure, go.Figure)
            points = [trace for trace in figure.data if trace.name.endswith("at the threshold")]
            for trace, each in zip(points, found.values(), strict=True):
                assert (trace.x[0], trace.y[0]) == pytest.approx((1 - each.point.specificity, each.point.sensitivity))
            first = figure.data[0]
            assert len(first.x) == bins + 2
            inner = np.asarray(first.y)[1:-1]
            chosen = found["TEND"].scores.score[found["TEND"].scores.label == 0]
            edges, _ = bin_edges(found["TEND"].scores.score, bins, log_scores)
            np.testing.assert_allclose(np.nan_to_num(inner), heights(chosen, edges, density))
            assert figure.layout.xaxis2.type == ("log" if log_scores and edges[0] > 0 else "linear")
            line = figure.layout.shapes[0]
            assert edges[0] <= line.x0 <= edges[-1]


def test_figure_says_what_it_shows_and_stands_without_methods():
    found = shown(STATE)
    figure = scores_figure(found, STATE)
    assert f"TEND: AUROC {found['TEND'].auroc:.3f}" in describe(figure)
    assert figure.layout.title.text == "blobs, a case, seed 0"
    assert {"circle", "diamond"} <= {trace.marker.symbol for trace in figure.data[:2]}  # a symbol beside the colour
    empty = scores_figure({}, replace(STATE, methods=()))
    assert [trace.name for trace in empty.data] == ["chance"]
    assert len(figure.to_json()) < 100_000


def test_drawn_curve_is_the_whole_curve():
    draw = np.random.default_rng(1)
    y = np.arange(5000) % 2
    ids = np.arange(5000).astype(str)
    many = Scores(ids, ids, y, np.where(y, "square", "round"), draw.normal(size=5000) + y)
    found = shown_runs({"VAE": Run(record(method="vae", n_test=5000), many)}, STATE)
    curve = next(trace for trace in scores_figure(found, STATE).data if trace.name.startswith("VAE  "))
    assert len(curve.x) < 1500
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(roc_auc_score(y, many.score), abs=0.002)
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)


@pytest.mark.parametrize(
    "wrong", [{"threshold": 1.1}, {"prevalence": -0.1}, {"score_weight": 2}, {"bins": 1}, {"selected": (0.6, 0.5)}, {"selected": (-1, 1)}]
)
def test_impossible_choices_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        replace(STATE, **wrong)
