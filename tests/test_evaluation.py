"""Metrics against scikit-learn, closed forms and brute force; intervals against a plain bootstrap and their coverage."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from skimage.measure import label as skimage_label
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from novkit import bootstrap
from novkit.bootstrap import group_auroc, group_draws, resampled_auroc, weighted_auroc
from novkit.errors import DataError, TrainingError
from novkit.evaluation import (
    Interval,
    Scores,
    auroc,
    auroc_by_tertile,
    fpr_at_tpr,
    image_metrics,
    mean_auroc,
    mean_roc,
    paired_difference,
    patient_metrics,
    pixel_metrics,
    roc,
)


def gaussian(n_normal: int, n_novel: int, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    y = np.repeat([0, 1], [n_normal, n_novel])
    return y, draw.normal(size=len(y)) + shift * y


def run(y, score, groups=None, ids=None) -> Scores:
    ids = np.arange(len(y)).astype(str) if ids is None else ids
    return Scores(ids, ids if groups is None else groups, np.asarray(y), np.where(y, "novel", "normal"), np.asarray(score, float))


@pytest.mark.parametrize("score", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_refused(score):
    with pytest.raises(DataError, match="no finite number"):
        run([0, 1], [0.5, score])
    with pytest.raises(DataError, match="no finite number"):
        Scores(np.array(["a"]), np.array(["a"]), np.array([0]), np.array(["normal"]), np.array(["0.5"]))


# ---- image level -----------------------------------------------------------------------------------------------------


def test_closed_forms():
    assert auroc([0, 0, 1, 1], [1, 2, 3, 4]) == 1
    assert auroc([0, 0, 1, 1], [3, 4, 1, 2]) == 0
    assert auroc([0, 1, 0, 1], [1, 1, 2, 2]) == 0.5
    assert auroc([0, 0, 1], [1, 3, 3]) == 0.75  # one win, one tie
    assert fpr_at_tpr([0, 0, 0, 0, 1], [1, 2, 3, 4, 2.5]) == 0.5
    y = np.repeat([0, 1], [4, 20])  # 19 of 20 are exactly 95 %
    assert fpr_at_tpr(y, np.r_[0, 0, 0, 1, np.full(19, 2), -1]) == 0
    false_positive, true_positive = roc([0, 0, 1, 1], [1, 2, 3, 4])
    assert np.trapezoid(true_positive, false_positive) == 1


def test_gaussian_scores_reach_the_closed_form():
    y, score = gaussian(20_000, 20_000, 1.0)
    assert auroc(y, score) == pytest.approx(stats.norm.cdf(1 / np.sqrt(2)), abs=0.006)
    assert fpr_at_tpr(y, score) == pytest.approx(stats.norm.sf(1 + stats.norm.ppf(0.05)), abs=0.02)


def test_image_metrics_agree_with_scikit_learn():
    y, score = gaussian(60, 40, 0.7)
    score = score.round(1)
    found = image_metrics(y, score, n_resamples=50)
    assert found.auroc == roc_auc_score(y, score)
    assert found.average_precision == average_precision_score(y, score)
    false_positive, true_positive, _ = roc_curve(y, score)
    assert found.fpr95 == pytest.approx(min(f for f, t in zip(false_positive, true_positive, strict=True) if t >= 0.95))
    assert found.auroc_low < found.auroc < found.auroc_high


# distances of 1/8 or none, so that rounding in exp or in a sum makes no new ties
values = st.lists(st.integers(-40, 40).map(lambda v: v / 8), min_size=4, max_size=60)


@settings(deadline=None, max_examples=60)
@given(values, st.randoms(use_true_random=False))
def test_order_is_all_that_counts(scores, random):
    score = np.array([*scores, 0.0, 1.0])
    y = np.array([random.randint(0, 1) for _ in scores] + [0, 1])
    assert auroc(y, np.exp(score)) == pytest.approx(auroc(y, score), abs=1e-12)
    assert auroc(1 - y, score) == pytest.approx(1 - auroc(y, score), abs=1e-12)
    assert auroc(y, -score) == pytest.approx(1 - auroc(y, score), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_group_by_group_is_image_by_image(seed):
    """Ties, groups of both classes, groups that are not drawn at all."""
    rng = np.random.default_rng(seed)
    y, member = np.concatenate([[0, 1], rng.integers(0, 2, 40)]), rng.integers(0, 9, 42)
    score = rng.integers(0, 12, 42).astype(float)
    counts = rng.integers(0, 3, (6, 9)).astype(float)
    expected = weighted_auroc(y, score)(counts[:, member])
    np.testing.assert_allclose(group_auroc(y, score, member, 9)(counts), expected, rtol=1e-12)


@settings(deadline=None, max_examples=60)
@given(values, st.randoms(use_true_random=False))
def test_weighted_auroc_is_that_of_repeated_images(scores, random):
    score = np.array([*scores, 0.0, 1.0])
    y = np.array([random.randint(0, 1) for _ in scores] + [0, 1])
    weights = np.array([[random.randint(0, 3) for _ in scores] + [1, 1] for _ in range(3)])
    for weight, found in zip(weights, weighted_auroc(y, score)(weights.astype(float)), strict=True):
        assert found == pytest.approx(roc_auc_score(np.repeat(y, weight), np.repeat(score, weight)), abs=1e-12)
        assert found == pytest.approx(roc_auc_score(y, score, sample_weight=weight), abs=1e-12)


# ---- intervals -------------------------------------------------------------------------------------------------------


def test_draws_take_whole_groups_and_keep_every_stratum():
    stratum = np.array([1] * 5 + [2] * 3 + [3] * 4)
    counts = np.concatenate([part for _, part in group_draws(stratum, 400, 70, seed=1)])
    assert counts.shape == (400, 12)
    for which, size in ((1, 5), (2, 3), (3, 4)):
        assert (counts[:, stratum == which].sum(axis=1) == size).all()
        assert counts[:, stratum == which].mean(axis=0) == pytest.approx(np.ones(size), abs=0.2)


def test_three_seeds_of_patients_are_drawn_once_for_all_methods(monkeypatch):
    drawn = []
    monkeypatch.setattr(bootstrap, "_draw", lambda *of, draw=bootstrap._draw: drawn.append(of) or draw(*of))
    group = np.arange(1400)
    cases = [(group % 2, np.random.default_rng(method).normal(size=1400), group) for method in range(2)]
    found = [resampled_auroc([case], 2000, seed=97) for case in cases]
    assert len(drawn) == 1
    stratum, rows = drawn[0][0], drawn[0][2]
    plain = np.concatenate([counts for _, counts in bootstrap._draw(stratum, 2000, rows, 97)])
    for (y, score, _), values in zip(cases, found, strict=True):
        np.testing.assert_allclose(values[0], weighted_auroc(y, score)(plain), rtol=1e-9)


def test_interval_agrees_with_a_plain_bootstrap():
    draw = np.random.default_rng(3)
    patient = np.repeat(np.arange(60), 4)
    y = (patient >= 35).astype(int)
    score = y + draw.normal(size=60)[patient] + 0.3 * draw.normal(size=len(y))
    found = image_metrics(y, score, patient)
    slow = []
    rows = [np.flatnonzero(patient == p) for p in range(60)]
    for _ in range(2000):
        chosen = np.concatenate([rows[p] for p in np.r_[draw.integers(0, 35, 35), draw.integers(35, 60, 25)]])
        slow.append(weighted_auroc(y[chosen], score[chosen])(np.ones((1, len(chosen))))[0])
    assert [found.auroc_low, found.auroc_high] == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.012)
    by_image = image_metrics(y, score)
    assert found.auroc_high - found.auroc_low > 1.5 * (by_image.auroc_high - by_image.auroc_low)


def test_group_of_both_classes_is_drawn_as_one(monkeypatch):
    """An image and its transformed copy get the same weight in every resample."""
    seen = []

    def spy(y, score):
        return lambda weights: (seen.append(weights), np.zeros(len(weights)))[1]

    monkeypatch.setattr("novkit.bootstrap.weighted_auroc", spy)
    monkeypatch.setattr("novkit.bootstrap._MOST_PAIRS", 0)  # image by image
    resampled_auroc([(np.repeat([0, 1], 30), np.arange(60.0), np.tile(np.arange(30), 2).astype(str))], 20, 0)
    weights = np.concatenate(seen)
    assert (weights[:, :30] == weights[:, 30:]).all()
    assert (weights.sum(axis=1) == 60).all()


def test_interval_covers():
    truth = stats.norm.cdf(1 / np.sqrt(2))
    hits = 0
    for seed in range(120):
        found = image_metrics(*gaussian(60, 60, 1.0, seed=seed), n_resamples=300, seed=seed)
        hits += found.auroc_low <= truth <= found.auroc_high
    assert 0.88 <= hits / 120 <= 0.99


def test_interval_is_fast_and_repeatable():
    y, score = gaussian(500, 500, 1.0)
    image_metrics(y, score, n_resamples=2)
    start = time.perf_counter()
    found = image_metrics(y, score)
    assert time.perf_counter() - start < 3  # 0.1 s on an idle core
    assert found == image_metrics(y, score)
    assert found.auroc_low != image_metrics(y, score, seed=1).auroc_low


# ---- comparison ------------------------------------------------------------------------------------------------------


def seeds(shift: float, n_seeds: int = 3) -> list[Scores]:
    return [run(*gaussian(80, 80, shift, seed=s), ids=np.array([f"{s}/{i}" for i in range(160)])) for s in range(n_seeds)]


def test_paired_difference():
    worse, better = seeds(0.5), seeds(1.5)
    found = paired_difference(better, worse)
    mean = np.mean([auroc(b.label, b.score) - auroc(w.label, w.score) for b, w in zip(better, worse, strict=True)])
    assert found.value == pytest.approx(mean)
    assert found.above_zero
    assert found.low < found.value < found.high
    back = paired_difference(worse, better)
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low), abs=1e-9)
    assert not back.above_zero


def test_same_scores_differ_by_nothing():
    assert paired_difference(seeds(1.0), seeds(1.0)) == Interval(0, 0, 0)


def test_images_are_matched_by_id():
    first = seeds(1.0, 1)[0]
    noisy = run(first.label, first.score + np.random.default_rng(0).normal(size=160), ids=first.id)
    turn = np.random.default_rng(1).permutation(160)
    turned = Scores(noisy.id[turn], noisy.group[turn], noisy.label[turn], noisy.condition[turn], noisy.score[turn])
    assert paired_difference([first], [noisy]) == paired_difference([first], [turned])


def test_patients_that_recur_are_not_new_evidence():
    once, recurring, fresh = seeds(1.0, 1), seeds(1.0, 1) * 4, seeds(1.0, 4)
    width = [mean_auroc(runs).high - mean_auroc(runs).low for runs in (once, recurring, fresh)]
    assert width[1] == pytest.approx(width[0], rel=1e-6)
    assert width[2] == pytest.approx(width[0] / 2, rel=0.25)


def test_mean_roc_encloses_the_mean_area():
    runs = seeds(1.0, 4)
    x, y = mean_roc(runs, 2001)
    assert np.trapezoid(y, x) == pytest.approx(mean_auroc(runs, n_resamples=2).value, abs=2e-3)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    one_x, one_y = mean_roc(runs[:1])
    assert np.trapezoid(one_y, one_x) == pytest.approx(auroc(runs[0].label, runs[0].score))


def test_mean_auroc_of_one_run_is_its_interval():
    (one,) = seeds(1.0, 1)
    found, direct = mean_auroc([one]), image_metrics(one.label, one.score, one.group)
    assert (found.value, found.low, found.high) == pytest.approx((direct.auroc, direct.auroc_low, direct.auroc_high))


def test_pairs_that_do_not_fit():
    a, b = seeds(1.0, 2), seeds(0.5, 2)
    with pytest.raises(DataError, match="2 runs against 1"):
        paired_difference(a, b[:1])
    with pytest.raises(DataError, match="different images"):
        paired_difference(a, b[::-1])
    with pytest.raises(DataError, match="different labels"):
        paired_difference(a[:1], [run(1 - b[0].label, b[0].score, ids=b[0].id)])
    with pytest.raises(DataError, match="at least one"):
        paired_difference([], [])


# ---- tertiles and patients -------------------------------------------------------------------------------------------


def test_tertiles():
    area = np.r_[np.zeros(9), np.arange(1, 10), np.nan]
    y = np.r_[np.zeros(9), np.ones(10)].astype(int)
    score = np.r_[np.arange(9) / 10, np.full(3, -1), np.full(3, 0.4), np.full(3, 2), 5]
    small, medium, large = auroc_by_tertile(y, score, area)
    assert (small.auroc, medium.auroc, large.auroc) == (0, 0.5, 1)
    assert [part.n_novel for part in (small, medium, large)] == [3, 3, 3]
    assert small.area_low == 1
    assert large.area_high == 9
    assert small.area_high == medium.area_low
    with pytest.raises(DataError, match="three different areas"):
        auroc_by_tertile(y, score, np.ones(19))


def test_patients():
    groups = np.array(["a", "a", "b", "b", "c", "c", "d", "mixed", "mixed"])
    y = np.array([0, 0, 0, 0, 1, 1, 1, 0, 1])
    score = np.array([0, 6, 1, 1, 2, 9, 2.5, -9, 99])
    found = patient_metrics(y, score, groups, n_resamples=20)
    assert (found.n_patients, found.n_left_out) == (4, 1)
    assert found.mean.auroc == auroc([0, 0, 1, 1], [3, 1, 5.5, 2.5])
    assert found.max.auroc == auroc([0, 0, 1, 1], [6, 1, 9, 2.5])
    with pytest.raises(DataError, match="wholly"):
        patient_metrics([0, 1], [1, 2], ["a", "a"])


# ---- pixel level -----------------------------------------------------------------------------------------------------


def blobs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    masks = np.zeros((4, 16, 16), dtype=bool)
    masks[0, 2:5, 2:5] = masks[0, 10:12, 9:14] = masks[1, 7, 7] = True
    masks[2, 3, 3] = masks[2, 4, 4] = True  # one region of 8 neighbours, two of 4
    maps = np.round(draw.random((4, 16, 16)) + 0.5 * masks, 1).astype(np.float32)
    return maps, masks


def pro_by_hand(maps: np.ndarray, masks: np.ndarray, limit: float = 0.3) -> float:
    regions = []
    for image, mask in enumerate(masks):
        labels = skimage_label(mask, connectivity=2)
        regions += [(image, labels == index) for index in range(1, labels.max() + 1)]
    points = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        called = maps >= threshold
        points.append((called[~masks].mean(), float(np.mean([called[image][region].mean() for image, region in regions]))))
    x, y = np.array(points).T
    fine = np.linspace(0, limit, 200_001)
    return float(np.trapezoid(np.interp(fine, x, y), fine) / limit)


@pytest.mark.parametrize("seed", range(3))
def test_pixel_metrics_against_brute_force(seed):
    maps, masks = blobs(seed)
    found = pixel_metrics(maps, masks)
    assert found.auroc == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-12)
    assert found.average_precision == pytest.approx(average_precision_score(masks.ravel(), maps.ravel()), abs=1e-12)
    dice = [2 * (masks & (maps >= t)).sum() / (masks.sum() + (maps >= t).sum()) for t in np.unique(maps)]
    assert found.best_dice == pytest.approx(max(dice), abs=1e-12)
    assert found.pro30 == pytest.approx(pro_by_hand(maps, masks), abs=1e-4)


def test_perfect_and_useless_maps():
    _, masks = blobs()
    perfect = pixel_metrics(masks.astype(float), masks)
    assert (perfect.auroc, perfect.average_precision, perfect.best_dice, perfect.pro30) == pytest.approx((1, 1, 1, 1))
    assert pixel_metrics(-masks.astype(float), masks).pro30 == pytest.approx(0)


def test_every_region_counts_the_same_in_pro():
    """Finding one pixel-sized region of two is half the overlap, however small it is."""
    masks = np.zeros((1, 20, 20), dtype=bool)
    masks[0, :10, :10] = masks[0, 15, 15] = True
    maps = np.zeros((1, 20, 20))
    maps[0, 15, 15] = 2
    maps[0, :10, :10] = -1
    assert pixel_metrics(maps, masks).pro30 == pytest.approx(0.5)


def test_only_the_body_counts():
    maps, masks = blobs()
    body = np.zeros_like(masks)
    body[:, 1:13, 1:13] = True
    inside = pixel_metrics(maps, masks, body)
    spoilt = np.where(body, maps, 99).astype(np.float32)
    assert pixel_metrics(spoilt, masks, body) == inside
    assert inside.auroc == pytest.approx(roc_auc_score(masks[body], maps[body]), abs=1e-12)
    assert inside != pixel_metrics(maps, masks)


def test_pixel_metrics_scale():
    draw = np.random.default_rng(0)
    maps, masks = draw.random((500, 64, 64), dtype=np.float32), np.zeros((500, 64, 64), dtype=bool)
    masks[:250, 20:30, 20:30] = True
    start = time.perf_counter()
    assert pixel_metrics(maps, masks).auroc == pytest.approx(0.5, abs=0.01)
    assert time.perf_counter() - start < 15  # 1.3 s on an idle core


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "score", "error", "words"),
    [
        ([0, 0, 0], [1, 2, 3], DataError, "All images are normal"),
        ([1, 1], [1, 2], DataError, "All images are novel"),
        ([0, 1], [1, np.nan], DataError, "NaN or infinity, first at 1"),
        ([0, 1], [1, np.inf], DataError, "NaN"),
        ([0, 1, 1], [2, 2, 2], TrainingError, "collapsed"),
        ([0, 1, 1], [0, 0, 0], TrainingError, "collapsed"),
        ([0, 1, 1], [1, 2], DataError, "one label and one score"),
        ([0, 2], [1, 2], DataError, "0 .normal. or 1"),
        ([], [], DataError, "both classes"),
    ],
)
def test_refusals(y, score, error, words):
    for call in (auroc, fpr_at_tpr, image_metrics):
        with pytest.raises(error, match=words):
            call(y, score)


def test_other_refusals():
    with pytest.raises(DataError, match="one group an image"):
        image_metrics([0, 1], [1, 2], ["a"])
    with pytest.raises(DataError, match="sensitivity"):
        fpr_at_tpr([0, 1], [1, 2], tpr=0)
    with pytest.raises(DataError, match="n_resamples"):
        image_metrics([0, 1], [1, 2], n_resamples=0)
    maps, masks = blobs()
    with pytest.raises(DataError, match="one class only"):
        pixel_metrics(maps, np.zeros_like(masks))
    with pytest.raises(DataError, match="height, width"):
        pixel_metrics(maps, masks[:2])
    with pytest.raises(DataError, match="NaN"):
        pixel_metrics(np.full(masks.shape, np.nan), masks)
    with pytest.raises(TrainingError, match="collapsed"):
        pixel_metrics(np.ones(masks.shape), masks)
    with pytest.raises(DataError, match="rows of score"):
        run([0, 1], [1.0], ids=np.array(["a", "b"]))
