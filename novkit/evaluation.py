"""Metrics, in float64 on raw scores: how well novelty scores and maps tell novel from normal, and how sure we are of it.

Everywhere y is 0 for normal and 1 for novel, and a higher score means more novel. Intervals are 95 % percentile bootstrap intervals that
draw whole groups (patients, lesions), because two images of one patient are not two independent observations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from novkit.bootstrap import Case, interval_ends, resampled_auroc
from novkit.errors import DataError, TrainingError


@dataclass(frozen=True)
class Scores:
    """One run's test images and their scores, row by row.

    id, group, condition: (n,) text: the image, its patient or lesion, its class name. label: (n,) int, 0 normal, 1 novel.
    score: (n,) float64. components: what the score is made of, (n,) or (n, patches) each. area: (n,) share of the image marked as abnormal.
    Raises DataError where their lengths differ, and for a score that is no finite number.
    """

    id: np.ndarray
    group: np.ndarray
    label: np.ndarray
    condition: np.ndarray
    score: np.ndarray
    components: dict[str, np.ndarray] = field(default_factory=dict)
    area: np.ndarray | None = None

    def __post_init__(self) -> None:
        columns = {"group": self.group, "label": self.label, "condition": self.condition, "score": self.score, "area": self.area}
        for name, value in (columns | self.components).items():
            if value is not None and len(value) != len(self.id):
                raise DataError(f"{len(self.id)} image ids but {len(value)} rows of {name}: give one row an image.")
        if self.score.dtype.kind not in "fiu" or not np.isfinite(self.score).all():
            raise DataError("A score is no finite number: score these images again.")

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """True where the whole interval lies above 0: the test for "better than" in a paired difference."""
        return self.low > 0


@dataclass(frozen=True)
class ImageMetrics:
    """How well image scores separate: AUROC with its interval, average precision, and the false-positive rate at 95 % sensitivity."""

    auroc: float
    auroc_low: float
    auroc_high: float
    average_precision: float
    fpr95: float


@dataclass(frozen=True)
class PixelMetrics:
    """How well maps localise, over the pixels inside the body: AUROC, average precision, best Dice over thresholds, PRO up to 30 % FPR."""

    auroc: float
    average_precision: float
    best_dice: float
    pro30: float


@dataclass(frozen=True)
class PatientMetrics:
    """Metrics of one score a patient: the mean and the largest of its images. Patients with images of both classes are left out."""

    mean: ImageMetrics
    max: ImageMetrics
    n_patients: int
    n_left_out: int


@dataclass(frozen=True)
class TertileAuroc:
    """AUROC of all normal images against the novel ones whose area lies in (area_low, area_high] (the first tertile: from area_low on)."""

    area_low: float
    area_high: float
    n_novel: int
    auroc: float


# ---- image level -----------------------------------------------------------------------------------------------------


def auroc(y: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a novel image scores above a normal one, ties counting half. In [0, 1].

    y: (n,) 0 normal, 1 novel. score: (n,). Raises DataError (one class only, NaN, lengths that differ), TrainingError (a constant score).

    >>> auroc([0, 0, 1], [1.0, 3.0, 3.0])  # one win, one tie
    0.75
    """
    return float(roc_auc_score(*_checked(y, score)))


def fpr_at_tpr(y: ArrayLike, score: ArrayLike, tpr: float = 0.95) -> float:
    """The smallest share of normal images called novel at a threshold that finds at least `tpr` of the novel ones. In [0, 1].

    Raises DataError unless 0 < tpr ≤ 1, and as `auroc`.

    >>> fpr_at_tpr([0, 0, 0, 0, 1], [1.0, 2.0, 3.0, 4.0, 2.5])  # at 2.5, two of four normal images are called novel
    0.5
    """
    if not 0 < tpr <= 1:
        raise DataError(f"tpr is {tpr}: choose a sensitivity in (0, 1].")
    false_positive, true_positive, _ = roc_curve(*_checked(y, score), drop_intermediate=False)
    return float(false_positive[np.argmax(true_positive >= tpr - 1e-12)])  # 19/20 must count as 0.95


def roc(y: ArrayLike, score: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """False- and true-positive rates, from (0, 0) to (1, 1), corners only. Raises as `auroc`."""
    false_positive, true_positive, _ = roc_curve(*_checked(y, score))
    return false_positive, true_positive


def image_metrics(
    y: ArrayLike, score: ArrayLike, groups: ArrayLike | None = None, *, n_resamples: int = 2000, seed: int = 0
) -> ImageMetrics:
    """Image-level metrics with a 95 % bootstrap interval of the AUROC.

    y: (n,) 0 normal, 1 novel. score: (n,). groups: (n,) patient, lesion or subject; None takes each image for itself.
    Groups are drawn with replacement within three strata — wholly normal, wholly novel, of both — so every resample keeps the mix, and a
    group of both classes (an image and its transformed copy) is drawn as one.
    Raises DataError (one class only, NaN, lengths that differ), TrainingError (a constant score).
    """
    labels, values = _checked(y, score)
    run = (labels, values, _group_names(groups, len(labels)))
    value = float(roc_auc_score(labels, values))
    low, high = interval_ends(resampled_auroc([run], n_resamples, seed)[0])
    return ImageMetrics(
        auroc=value,
        auroc_low=low,
        auroc_high=high,
        average_precision=min(1.0, float(average_precision_score(labels, values))),  # a sum of shares: 1 + 2e-16 has been seen
        fpr95=fpr_at_tpr(labels, values),
    )


def auroc_by_tertile(y: ArrayLike, score: ArrayLike, area: ArrayLike) -> list[TertileAuroc]:
    """AUROC for small, medium and large abnormalities, each against all normal images.

    area: (n,) size of the abnormality, in any unit; read for novel images only. Novel images without a size (NaN or ≤ 0) are left out.
    Raises DataError where areas differ too little to make three parts, and as `auroc`.
    """
    labels, values = _checked(y, score)
    size = np.asarray(area, dtype=np.float64)
    if size.shape != labels.shape:
        raise DataError(f"{len(labels)} images but {size.size} areas: give one area an image.")
    marked = (labels == 1) & (np.nan_to_num(size) > 0)
    if len(np.unique(size[marked])) < 3:
        raise DataError("Fewer than three different areas among the novel images: tertiles need masks that differ in size.")
    edges = np.quantile(size[marked], [0, 1 / 3, 2 / 3, 1])
    tertile = np.searchsorted(edges[1:3], size, side="left")
    found = []
    for index in range(3):
        chosen = marked & (tertile == index)
        if not chosen.any():
            raise DataError("Too many novel images share one area: the tertiles would be empty.")
        kept = chosen | (labels == 0)
        found.append(
            TertileAuroc(float(edges[index]), float(edges[index + 1]), int(chosen.sum()), float(roc_auc_score(labels[kept], values[kept])))
        )
    return found


def patient_metrics(y: ArrayLike, score: ArrayLike, groups: ArrayLike, *, n_resamples: int = 2000, seed: int = 0) -> PatientMetrics:
    """Patient-level metrics over patients that are wholly normal or wholly novel.

    y, score, groups: (n,) each. Raises DataError where fewer than one patient of each class is wholly of that class.
    """
    labels, values = _checked(y, score)
    _, patient = np.unique(_group_names(groups, len(labels)), return_inverse=True)
    count = np.bincount(patient)
    share = np.bincount(patient, weights=labels) / count
    whole = (share == 0) | (share == 1)
    mean = np.bincount(patient, weights=values) / count
    largest = np.full(len(count), -np.inf)
    np.maximum.at(largest, patient, values)
    truth = share[whole].astype(np.int64)
    if len(np.unique(truth)) < 2:
        raise DataError("No patient is wholly normal, or none wholly novel: patient-level metrics need both.")
    both = [image_metrics(truth, each[whole], n_resamples=n_resamples, seed=seed) for each in (mean, largest)]
    return PatientMetrics(both[0], both[1], int(whole.sum()), int((~whole).sum()))


# ---- several runs ----------------------------------------------------------------------------------------------------


def mean_auroc(runs: Sequence[Scores], *, n_resamples: int = 2000, seed: int = 0) -> Interval:
    """The runs' (seeds') mean AUROC with its 95 % interval.

    A group keeps its draw in every run it occurs in: the same patients tested by five seeds are not five times as many patients.
    The interval is about the choice of test images; how much training varies is the sd over seeds.
    """
    cases = [_case(run) for run in runs]
    low, high = interval_ends(resampled_auroc(cases, n_resamples, seed).mean(axis=0))
    return Interval(float(np.mean([roc_auc_score(y, score) for y, score, _ in cases])), low, high)


def mean_roc(runs: Sequence[Scores], n_points: int = 201) -> tuple[np.ndarray, np.ndarray]:
    """The runs' ROC curves averaged at equal false-positive rates (Fawcett 2006): rates (n_points + 1,), from (0, 0) to (1, 1).

    A single run keeps its own corners. Raises DataError where there is no run.
    """
    if not runs:
        raise DataError("There is no run to evaluate: pass at least one.")
    curves = [roc(run.label, run.score) for run in runs]
    if len(curves) == 1:
        return curves[0]
    grid = np.linspace(0, 1, n_points)
    rates = [np.interp(grid, fpr, tpr) for fpr, tpr in curves]  # at a vertical rise, interp gives its top
    return np.r_[0, grid], np.r_[0, np.mean(rates, axis=0)]


def paired_difference(runs_a: Sequence[Scores], runs_b: Sequence[Scores], *, n_resamples: int = 2000, seed: int = 0) -> Interval:
    """The runs' mean of AUROC(a) − AUROC(b) with its 95 % interval; a is better than b where the interval lies above 0.

    runs_a[i] and runs_b[i]: two methods' scores of one test set (the same ids, in any order), one pair a seed.
    Groups are drawn once for both methods and for every seed in which they occur, stratified by class.
    Raises DataError where the pairs do not fit.
    """
    if len(runs_a) != len(runs_b):
        raise DataError(f"{len(runs_a)} runs against {len(runs_b)}: compare the same seeds of both methods.")
    pairs = [_paired(a, b) for a, b in zip(runs_a, runs_b, strict=True)]
    cases = [case for pair in pairs for case in pair]
    values = np.array([roc_auc_score(y, score) for y, score, _ in cases])
    drawn = resampled_auroc(cases, n_resamples, seed)
    return Interval(float((values[::2] - values[1::2]).mean()), *interval_ends((drawn[::2] - drawn[1::2]).mean(axis=0)))


def _case(run: Scores) -> Case:
    labels, values = _checked(run.label, run.score)
    return labels, values, _group_names(run.group, len(labels))


def _paired(a: Scores, b: Scores) -> tuple[Case, Case]:
    order_a, order_b = np.argsort(a.id, kind="stable"), np.argsort(b.id, kind="stable")
    if len(a) != len(b) or (np.asarray(a.id)[order_a] != np.asarray(b.id)[order_b]).any():
        raise DataError("The two methods were scored on different images: compare runs of the same set-up and seed.")
    if (np.asarray(a.label)[order_a] != np.asarray(b.label)[order_b]).any():
        raise DataError("The two methods' test images carry different labels: compare runs of the same set-up.")
    first, second = ((*_case(run)[:2], np.asarray(run.group).astype(str)) for run in (a, b))
    return tuple(part[order_a] for part in first), tuple(part[order_b] for part in second)  # type: ignore[return-value]


# ---- pixel level -----------------------------------------------------------------------------------------------------


def pixel_metrics(maps: ArrayLike, masks: ArrayLike, body: ArrayLike | None = None) -> PixelMetrics:
    """Localisation metrics over all pixels of all images, exact (every distinct value is a threshold).

    maps: (n, height, width), higher = more novel. masks: (n, height, width) bool, the truth; all False for normal images.
    body: (n, height, width) bool, the pixels that count; None for all.
    PRO: the share of each connected region (8 neighbours) that is found, averaged over regions, against the false-positive rate over all
    normal pixels; the area up to 30 % of it, divided by 0.3 (Bergmann et al. 2020).
    Raises DataError for shapes that differ, NaN, or pixels of one class only; TrainingError for constant maps.
    """
    values, truth = np.asarray(maps), np.asarray(masks, dtype=bool)
    if values.ndim != 3 or values.shape != truth.shape:
        raise DataError(f"Maps of shape {values.shape} but masks of {truth.shape}: both must be (n, height, width).")
    inside = np.ones_like(truth) if body is None else np.asarray(body, dtype=bool)
    if inside.shape != truth.shape:
        raise DataError(f"Maps of shape {values.shape} but body of {inside.shape}: both must be (n, height, width).")
    region = _region_weights(truth & inside)[inside]
    novel, score = truth[inside], values[inside].astype(np.float64)
    _check_scores(score, "the maps")
    if not novel.any() or novel.all():
        raise DataError("The masks hold pixels of one class only: localisation needs both abnormal and normal pixels inside the body.")
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))  # last pixel of each distinct value
    true_positive = np.concatenate([[0.0], np.cumsum(novel[order], dtype=np.float64)[last]])
    false_positive = np.concatenate([[0.0], last + 1 - true_positive[1:]])
    overlap = np.concatenate([[0.0], np.cumsum(region[order])[last]])
    n_novel, fpr = true_positive[-1], false_positive / false_positive[-1]
    called = (true_positive + false_positive)[1:]
    return PixelMetrics(
        auroc=min(1.0, float(np.trapezoid(true_positive / n_novel, fpr))),
        average_precision=min(1.0, float(np.sum(np.diff(true_positive) / n_novel * true_positive[1:] / called))),
        best_dice=float(np.max(2 * true_positive[1:] / (called + n_novel))),
        pro30=_area_up_to(fpr, overlap, 0.3),
    )


def _region_weights(masks: np.ndarray) -> np.ndarray:
    """(n, height, width): 1 / (regions × pixels of its region) on abnormal pixels, 0 elsewhere; all together sum to 1."""
    touching = np.zeros((3, 3, 3), dtype=bool)
    touching[1] = True  # 8 neighbours within an image, none across images
    regions, n_regions = ndimage.label(masks, structure=touching)
    size = np.bincount(regions.ravel(), minlength=n_regions + 1)
    weight = np.zeros(n_regions + 1)
    weight[1:] = 1 / (max(n_regions, 1) * size[1:])
    return weight[regions]


def _area_up_to(x: np.ndarray, y: np.ndarray, limit: float) -> float:
    """Area under y(x), x rising, from 0 to `limit`, divided by `limit`."""
    kept = x <= limit
    x_end, y_end = np.append(x[kept], limit), np.append(y[kept], np.interp(limit, x, y))
    return float(np.trapezoid(y_end, x_end) / limit)


# ---- checks ----------------------------------------------------------------------------------------------------------


def _checked(y: ArrayLike, score: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    labels, values = np.asarray(y), np.asarray(score, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != values.shape:
        raise DataError(f"Labels of shape {labels.shape} but scores of {values.shape}: give one label and one score an image.")
    if not np.isin(labels, (0, 1)).all():
        raise DataError("Labels must be 0 (normal) or 1 (novel): convert them first.")
    labels = labels.astype(np.int64)
    if len(np.unique(labels)) < 2:
        given = f"All images are {'novel' if labels[0] else 'normal'}" if len(labels) else "There are no images"
        raise DataError(f"{given}: the metrics need images of both classes.")
    _check_scores(values, "the scores")
    return labels, values


def _check_scores(values: np.ndarray, what: str) -> None:
    if not np.isfinite(values).all():
        raise DataError(f"{what[0].upper()}{what[1:]} hold NaN or infinity, first at {int(np.argmin(np.isfinite(values)))}: fit again.")
    if len(values) and np.ptp(values) <= 1e-12 * np.abs(values).max():
        raise TrainingError(f"All of {what} are the same: the method has collapsed, change its settings or seed and fit again.")


def _group_names(groups: ArrayLike | None, n: int) -> np.ndarray:
    if groups is None:
        return np.arange(n).astype(str)
    names = np.asarray(groups).astype(str)
    if names.shape != (n,):
        raise DataError(f"{n} images but groups of shape {names.shape}: give one group an image.")
    return names
