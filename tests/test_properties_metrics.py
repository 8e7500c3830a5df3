"""Properties of images, statistics, distortions, set-ups and metrics, on drawn cases; metrics against scikit-learn."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from novkit.data.dataset import ImageDataset
from novkit.data.setups import generated_ood, one_vs_rest, rest_vs_one
from novkit.distortions import UNSEEN, near_identity
from novkit.distortions.published import distort_published
from novkit.distortions.training import distort
from novkit.errors import DataError, NovkitError, TrainingError
from novkit.evaluation import (
    auroc,
    auroc_by_tertile,
    fpr_at_tpr,
    image_metrics,
    mean_auroc,
    mean_roc,
    patient_metrics,
    pixel_metrics,
    roc,
)
from novkit.images import DTYPES, check_images, to_tensor
from novkit.seeding import torch_generator
from novkit.statistics import STATISTICS, compute_statistics
from tests.drawn import NO_NUMPY_WARNING, counts, error_of, for_all

pytestmark = NO_NUMPY_WARNING

SIDE = 16  # pixels

# ---- images and statistics -----------------------------------------------------------------------------------------------

ANY_DTYPE = st.sampled_from(["u1", "u2", "u4", "i2", "i8", "f2", "f4", "f8", "c8", "b1", ">u2", ">f4", "U2", "O"])


@counts(150, 5000)
def test_any_array_is_taken_as_images_or_refused(examples):
    @for_all(examples, data=st.data(), dtype=ANY_DTYPE, shape=array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    def holds(data: st.DataObject, dtype: str, shape: tuple[int, ...]) -> None:
        elements = st.floats(-2, 2, width=16) if dtype in ("f2", "f4", "f8") and data.draw(st.booleans()) else None
        X = np.zeros(shape, object) if dtype == "O" else data.draw(arrays(dtype, shape, elements=elements))
        if (said := error_of(lambda: check_images(X))) is not None:
            assert str(said).startswith(("X ", "Image "))
            return
        taken = check_images(X)
        assert X.ndim == 4
        assert X.size
        assert taken.shape == X.shape
        assert taken.dtype in DTYPES
        unit = to_tensor(taken)
        assert unit.dtype == torch.float32
        assert 0 <= float(unit.min()) <= float(unit.max()) <= 1
        scale = {"u1": 255, "u2": 65535}.get(dtype, 1)
        np.testing.assert_allclose(unit.numpy(), X.astype(np.float64) / scale, atol=1e-6)


@counts(30, 2000)
def test_statistics_of_any_image_are_finite_and_agree_with_numpy(examples):
    shapes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))

    @for_all(examples, data=st.data(), shape=shapes, dtype=st.sampled_from([np.uint8, np.uint16]))
    def holds(data: st.DataObject, shape: tuple[int, ...], dtype: type) -> None:
        X = data.draw(arrays(dtype, shape))
        table = compute_statistics(X)
        assert list(table) == list(STATISTICS)
        assert np.isfinite(table.to_numpy()).all()
        grey = X.astype(np.float64).mean(axis=1) / np.iinfo(dtype).max
        np.testing.assert_allclose(table["mean"], grey.mean(axis=(1, 2)), rtol=1e-12)
        np.testing.assert_allclose(table["maximum"] - table["minimum"], np.ptp(grey, axis=(1, 2)), atol=1e-12)
        assert (table["percentile_25"] <= table["percentile_50"]).all()
        for name, values in table.items():
            own = [compute_statistics(image[None], [str(name)]).iloc[0, 0] for image in X]
            np.testing.assert_allclose(values, own, rtol=1e-9, atol=1e-12, err_msg=str(name))


DISTORTIONS: dict[str, Callable[[torch.Tensor, torch.Generator], torch.Tensor]] = {
    "near identity": near_identity,
    "training": lambda images, generator: distort(images, generator)[0],
    "published": lambda images, generator: distort_published(images, generator)[0],
    **UNSEEN,
}


@counts(4, 200)
@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_distorted_image_is_an_image(name, examples):
    sides = st.integers(14, 40)

    @for_all(examples, n=st.integers(0, 4), channels=st.integers(1, 3), height=sides, width=sides, seed=st.integers(0, 999))
    def holds(n: int, channels: int, height: int, width: int, seed: int) -> None:
        images = torch.rand(n, channels, height, width, generator=torch_generator(seed, "images"))
        images[:1] = float(seed % 2)  # one all black or all white
        before = images.clone()
        if min(height, width) < 16:
            with pytest.raises(DataError, match="too small to distort"):
                DISTORTIONS[name](images, torch_generator(seed))
            return
        made = DISTORTIONS[name](images, torch_generator(seed))
        assert made.shape == images.shape
        assert bool(made.isfinite().all())
        assert bool(((made >= -1e-4) & (made <= 1 + 1e-4)).all())
        torch.testing.assert_close(images, before, rtol=0, atol=0)  # what was given stays as it was
        torch.testing.assert_close(made, DISTORTIONS[name](images, torch_generator(seed)), rtol=0, atol=0)


def can_be_set_up(rows: list[tuple[str, str]], kind: Callable) -> bool:
    """Normal images of four groups, one for each part; and novel ones, where they are not made from the normal ones."""
    is_normal = [(label == "a") != (kind is rest_vs_one) for label, _ in rows]
    groups = {group for (_, group), normal in zip(rows, is_normal, strict=True) if normal}
    named = kind is generated_ood or "a" in {label for label, _ in rows}
    return named and len(groups) >= 4 and (kind is generated_ood or not all(is_normal))


@counts(60, 2000)
def test_any_table_of_labels_gives_a_setup_or_a_sentence(examples):
    """Empty sets, a single class, few groups: a set-up wherever there can be one."""
    made: Counter[str] = Counter()
    row = st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(list("ghijkl")))

    few, many = st.lists(row, max_size=14), st.lists(row, min_size=15, max_size=40)  # with few, one-vs-rest finds no four groups

    @for_all(examples, rows=few | many, kind=st.sampled_from([one_vs_rest, rest_vs_one, generated_ood]))
    @example(rows=[*(("a", group) for group in "ghij"), ("b", "g")], kind=one_vs_rest)  # all that is novel in a group of normal images
    def holds(rows: list[tuple[str, str]], kind: Callable) -> None:
        images = np.random.default_rng(len(rows)).integers(0, 256, (len(rows), 1, SIDE, SIDE), dtype=np.uint8)
        table = pd.DataFrame({"id": [str(i) for i in range(len(rows))], "label": [r[0] for r in rows], "group": [r[1] for r in rows]})
        try:
            setup = kind(ImageDataset("made", images, table), "a", seed=0)
        except DataError:
            assert not can_be_set_up(rows, kind)
            return
        assert can_be_set_up(rows, kind)
        made[setup.kind] += 1
        parts = (setup.split.train, setup.split.calibration, setup.split.threshold, setup.split.test)
        seen = [set(setup.dataset.groups[part]) for part in parts]
        assert sum(map(len, seen)) == len(set().union(*seen))  # no group on two sides
        assert set(setup.y_test) == {0, 1}
        for X in (setup.X_train, setup.X_calibration, setup.X_threshold, setup.X_test):
            assert check_images(X).shape[1:] == (1, SIDE, SIDE)

    assert set(made) == {"one_vs_rest", "rest_vs_one", "generated_ood"}, made


# ---- metrics -------------------------------------------------------------------------------------------------------------

HUGE = st.floats(-1e306, 1e306)  # scikit-learn adds scores up
TIED = st.sampled_from([-1e300, -1.0, 0.0, 0.5, 1.0, 1e300])
SCORES = st.one_of(*(st.lists(st.tuples(st.booleans(), values), min_size=2, max_size=40) for values in (HUGE, TIED, st.floats(-3, 3))))


def judged(pairs: list[tuple[bool, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores, both classes among them and the scores not all the same."""
    y, score = np.array([int(novel) for novel, _ in pairs]), np.array([value for _, value in pairs])
    y[:2], score[:2] = (0, 1), (score[0], score[0] / 2 + (-1 if score[0] > 0 else 1))  # + 1 alone would leave 2 as it is
    return y, score


@counts(40, 5000)
def test_image_metrics_agree_with_sklearn(examples):
    @for_all(examples, pairs=SCORES)
    def holds(pairs: list[tuple[bool, float]]) -> None:
        y, score = judged(pairs)
        assert auroc(y, score) == roc_auc_score(y, score)
        found = image_metrics(y, score, n_resamples=10)
        assert found.auroc == roc_auc_score(y, score)
        assert found.average_precision == average_precision_score(y, score)
        assert 0 <= found.auroc_low <= found.auroc_high <= 1
        reached = [float((score[y == 0] >= t).mean()) for t in score if (score[y == 1] >= t).mean() >= 0.95 - 1e-12]
        assert found.fpr95 == pytest.approx(min(reached), abs=1e-12) == fpr_at_tpr(y, score)
        assert np.trapezoid(*roc(y, score)[::-1]) == pytest.approx(found.auroc, abs=1e-12)
        turn = np.random.default_rng(0).permutation(len(y))
        assert auroc(y[turn], score[turn]) == pytest.approx(found.auroc, abs=1e-12)


@counts(150, 5000)
def test_labels_and_scores_of_any_kind_give_a_number_or_a_sentence(examples):
    """Empty, one class only, NaN, infinity, constant, lengths that differ, labels that are none."""
    anything = st.lists(st.one_of(st.floats(), st.sampled_from([0.0, 1.0])), max_size=6)

    @for_all(examples, y=st.lists(st.integers(-1, 2), max_size=6), score=anything)
    def holds(y: list[int], score: list[float]) -> None:
        usable = len(y) == len(score) and set(y) == {0, 1} and bool(np.isfinite(score).all())
        for metric in (auroc, fpr_at_tpr, lambda y, s: image_metrics(y, s, n_resamples=5).auroc):
            said = error_of(lambda metric=metric: metric(y, score))
            if isinstance(said, TrainingError):  # the method has collapsed
                assert max(score) - min(score) <= 1e-12 * max(map(abs, score))
            assert isinstance(said, DataError) == (not usable)
            assert said is not None or 0 <= metric(y, score) <= 1


@pytest.mark.parametrize("metric", [mean_auroc, mean_roc])
def test_no_run_at_all_is_refused(metric):
    with pytest.raises(DataError, match="at least one"):
        metric([])


@counts(25, 2000)
def test_patients_and_tertiles_are_what_pandas_and_sklearn_give(examples):
    @for_all(examples, pairs=SCORES.filter(lambda pairs: max(abs(v) for _, v in pairs) < 1e9), seed=st.integers(0, 99))
    def holds(pairs: list[tuple[bool, float]], seed: int) -> None:
        y, score = judged(pairs)
        draw = np.random.default_rng(seed)
        groups, area = draw.integers(0, 6, len(y)).astype(str), np.where(y == 1, draw.integers(0, 5, len(y)) / 8, 0)
        by_patient = pd.DataFrame({"y": y, "score": score, "group": groups}).groupby("group").agg(["min", "mean", "max"])
        whole = by_patient[by_patient["y", "min"] == by_patient["y", "max"]]
        try:
            found = patient_metrics(y, score, groups, n_resamples=5)
            assert found.n_patients == len(whole)
            assert found.max.auroc == pytest.approx(roc_auc_score(whole["y", "max"], whole["score", "max"]), abs=1e-12)
        except NovkitError:
            assert whole["y", "max"].nunique() < 2 or whole["score"][["mean", "max"]].apply(np.ptp).min() < 1e-9
        try:
            for part in auroc_by_tertile(y, score, area):
                kept = (y == 0) | ((area >= part.area_low) & (area <= part.area_high) & (area > 0))
                assert int((kept & (y == 1)).sum()) >= part.n_novel > 0
                assert 0 <= part.auroc <= 1
        except DataError:
            assert len(np.unique(area[area > 0])) < 5  # few different areas, ties that leave a tertile empty


@counts(60, 2000)
def test_pixel_metrics_agree_with_sklearn(examples):
    shapes = st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(1, 6))

    @for_all(examples, data=st.data(), shape=shapes, huge=st.booleans())
    def holds(data: st.DataObject, shape: tuple[int, ...], huge: bool) -> None:
        values = data.draw(arrays(np.float64, shape, elements=HUGE if huge else TIED))
        masks, body = data.draw(arrays(bool, shape)), data.draw(arrays(bool, shape))
        maps = np.where(body, values, np.nan)  # what lies outside the body does not matter
        novel, score = masks[body], values[body]
        try:
            found = pixel_metrics(maps, masks, body)
        except NovkitError:
            assert not novel.any() or novel.all() or np.ptp(score / 2) <= 1e-12 * np.abs(score).max()
            return
        assert found.auroc == pytest.approx(roc_auc_score(novel, score), abs=1e-9)
        assert found.average_precision == pytest.approx(average_precision_score(novel, score), abs=1e-9)
        dice = [2 * (novel & (score >= t)).sum() / (novel.sum() + (score >= t).sum()) for t in score]
        assert found.best_dice == pytest.approx(max(dice), abs=1e-9)
        assert 0 <= found.pro30 <= 1 + 1e-9
        with pytest.raises(DataError, match="NaN"):
            pixel_metrics(np.full_like(maps, np.nan), masks, body)
