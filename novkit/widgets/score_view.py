"""What ScoreExplorer shows, as plain functions: scores and choices in, numbers and figures out."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape

import numpy as np
from numpy.typing import ArrayLike

from novkit.errors import DataError, NovkitError, SettingsError
from novkit.evaluation import Scores, roc
from novkit.figures.style import condition_looks
from novkit.files import csv_cell
from novkit.widgets.readouts import Cell, readout_table
from novkit.widgets.stored import Run

MOST_CLASSES = 6  # more outlines than this cannot be told apart: they are drawn as one
NORMAL = "normal"


@dataclass(frozen=True, kw_only=True)
class ScoreState:
    """Everything that can be chosen.

    threshold: share of the test images, in [0, 1], whose scores lie at or below the threshold: one slider for methods of different units.
    prevalence: share of novel images, in [0, 1], for which precision is stated. score_weight: λ of TEND, in [0, 1].
    bins: of a histogram, from 2 on. density: heights are densities, else counts. log_scores, log_heights: logarithmic axes.
    selected: the shares of images between which the selection lies, 0 ≤ low ≤ high ≤ 1, by the scores of selected_method.
    selected_classes: names as drawn. shown: ids picked from the list of the selection; none: its first ones.
    Raises SettingsError for a value outside its range.
    """

    dataset: str
    case: str
    seed: int
    methods: tuple[str, ...]
    threshold: float = 0.9
    prevalence: float = 0.1
    score_weight: float = 0.1
    bins: int = 40
    density: bool = True
    log_scores: bool = False
    log_heights: bool = False
    selected_method: str = ""
    selected: tuple[float, float] = (0.0, 0.0)
    selected_classes: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("threshold", "prevalence", "score_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} is {getattr(self, name)}: choose a share between 0 and 1.")
        if not 0 <= self.selected[0] <= self.selected[1] <= 1:
            raise SettingsError(f"selected is {self.selected}: choose two shares, 0 ≤ low ≤ high ≤ 1.")
        if self.bins < 2:
            raise SettingsError(f"bins is {self.bins}: choose at least 2.")


# ---- scores ----------------------------------------------------------------------------------------------------------


def can_reweight(scores: Scores) -> bool:
    """Whether the score is TEND's weighted sum, with its two terms stored."""
    return {"probability", "distance_scaled"} <= scores.components.keys()


def reweighted(scores: Scores, score_weight: float) -> Scores:
    """s = (1 − λ) p + λ d̃ [C] with another λ, from the stored terms; scores without these terms stay as they are."""
    if not can_reweight(scores):
        return scores
    parts = scores.components
    return replace(scores, score=(1 - score_weight) * parts["probability"] + score_weight * parts["distance_scaled"])


def drawn_classes(scores: Scores) -> np.ndarray:
    """(n,) the name each image is drawn under: "normal", or its condition; more than six novel ones become one."""
    names = np.unique(scores.condition[scores.label == 1].astype(str))
    novel = scores.condition.astype(str) if len(names) <= MOST_CLASSES else np.full(len(scores), f"novel ({len(names)} classes)")
    return np.where(scores.label == 1, novel, NORMAL)


def class_looks(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """(colour, dash) of the novel ones among drawn names."""
    return condition_looks([name for name in names if name != NORMAL])


# ---- threshold -------------------------------------------------------------------------------------------------------


def threshold_at(score: ArrayLike, share: float) -> float:
    """The threshold t at which a share of the images has score ≤ t, rounded to whole images; an image is called novel where score > t.

    share 0 calls every image novel, 1 none. Images with equal scores are never parted. Raises DataError where there are no scores.
    """
    ordered = np.sort(np.asarray(score, dtype=np.float64))
    if not len(ordered):
        raise DataError("There are no scores to put a threshold to: choose a run with test images.")
    count = round(share * len(ordered))
    return float(ordered[count - 1]) if count else float(np.nextafter(ordered[0], -np.inf))


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold does: counts, and shares in [0, 1]; a share of nothing is None.

    precision: share of novel ones among the images called novel, if `prevalence` of all were novel: the test set's own mix is arbitrary.
    """

    threshold: float
    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int
    prevalence: float

    @property
    def sensitivity(self) -> float | None:
        return _share(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> float | None:
        return _share(self.true_negative, self.true_negative + self.false_positive)

    @property
    def precision(self) -> float | None:
        """π·sensitivity / (π·sensitivity + (1 − π)·(1 − specificity)), π the prevalence: Bayes' rule."""
        sensitivity, specificity = self.sensitivity, self.specificity
        if sensitivity is None or specificity is None:
            return None
        right = self.prevalence * sensitivity
        return _share(right, right + (1 - self.prevalence) * (1 - specificity))


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def operating_point(label: ArrayLike, score: ArrayLike, threshold: float, prevalence: float) -> OperatingPoint:
    """Confusion counts at a threshold: an image is called novel where its score lies above it. label: (n,) 0 normal, 1 novel."""
    novel, called = np.asarray(label) == 1, np.asarray(score) > threshold
    return OperatingPoint(
        threshold=threshold,
        true_positive=int((called & novel).sum()),
        false_positive=int((called & ~novel).sum()),
        true_negative=int((~called & ~novel).sum()),
        false_negative=int((~called & novel).sum()),
        prevalence=prevalence,
    )


def _no_curve() -> tuple[np.ndarray, np.ndarray]:
    return np.array([]), np.array([])


@dataclass(frozen=True)
class Shown:
    """One method as it stands: its scores (re-weighted), its operating point, its ROC curve, or the reason why there is none."""

    run: Run
    scores: Scores
    point: OperatingPoint
    curve: tuple[np.ndarray, np.ndarray] = field(default_factory=_no_curve)
    problem: str = ""

    @property
    def auroc(self) -> float | None:
        """The area under the curve."""
        x, y = self.curve
        return float(np.trapezoid(y, x)) if len(x) else None


def shown_runs(runs: Mapping[str, Run], state: ScoreState) -> dict[str, Shown]:
    """Every chosen run at the state's λ and threshold."""
    found = {}
    for name, run in runs.items():
        scores = reweighted(run.scores, state.score_weight)
        point = operating_point(scores.label, scores.score, threshold_at(scores.score, state.threshold), state.prevalence)
        try:
            found[name] = Shown(run, scores, point, roc(scores.label, scores.score))
        except NovkitError as error:  # one class only, or all scores alike: said in the table, not hidden
            found[name] = Shown(run, scores, point, problem=str(error))
    return found


def readout_html(shown: Mapping[str, Shown]) -> str:
    """The operating points as a table, and under it why a method has no curve."""
    if not shown:
        return "<p>Choose at least one method.</p>"
    prevalence = next(iter(shown.values())).point.prevalence
    heads = ["AUROC", "threshold", "sensitivity", "specificity", f"precision at {prevalence:.3g} prevalence"]
    heads += ["novel, called novel", "normal, called novel", "normal, called normal", "novel, called normal"]
    rows: dict[str, list[Cell]] = {}
    for name, each in shown.items():
        p = each.point
        rows[name] = [each.auroc, f"{p.threshold:.4g}", p.sensitivity, p.specificity, p.precision]
        rows[name] += [p.true_positive, p.false_positive, p.true_negative, p.false_negative]
    problems = "".join(f"<p>{escape(name)}: {escape(each.problem)}</p>" for name, each in shown.items() if each.problem)
    return readout_table("At the threshold: an image is called novel where its score lies above it", heads, rows) + problems


# ---- histograms ------------------------------------------------------------------------------------------------------


def bin_edges(score: ArrayLike, bins: int, log_scores: bool = False) -> tuple[np.ndarray, int]:
    """(bins + 1,) edges over the scores, and how many scores lie above the last.

    A long upper tail (above the 99.5th percentile) is gathered in the last bin. log_scores: edges in equal ratios over all scores, where
    these are positive; else equal distances.
    """
    values = np.asarray(score, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    log_scores = log_scores and low > 0
    if high - low <= 1e-12 * max(abs(low), abs(high)):  # all alike: the bins lie around them
        half = max(abs(low), 1.0) / 2
        return (np.geomspace(low / 2, 2 * low, bins + 1) if log_scores else np.linspace(low - half, low + half, bins + 1)), 0
    if log_scores:
        return np.geomspace(low, high, bins + 1), 0
    usual = float(np.quantile(values, 0.995, method="lower"))
    if high - low > 1.5 * (usual - low) > 0:
        return np.linspace(low, usual, bins + 1), int((values > usual).sum())
    return np.linspace(low, high, bins + 1), 0


def bin_of(score: ArrayLike, edges: np.ndarray) -> np.ndarray:
    """(n,) int in [0, bins): which bin each score falls in: (left, right], the first with all below, the last with all above.

    edges: (bins + 1,) in ascending order, as `bin_edges` gives them.
    """
    return np.clip(np.searchsorted(edges, np.asarray(score), side="left") - 1, 0, len(edges) - 2)


def heights(score: np.ndarray, edges: np.ndarray, density: bool) -> np.ndarray:
    """(bins,) counts, or densities that integrate to 1 over the bins; all 0 without scores."""
    counts = np.bincount(bin_of(score, edges), minlength=len(edges) - 1).astype(np.float64)
    return counts / (max(len(score), 1) * np.diff(edges)) if density else counts


# ---- selection -------------------------------------------------------------------------------------------------------


def shares_of_bins(score: ArrayLike, edges: np.ndarray, first: int, last: int) -> tuple[float, float]:
    """The shares of images between which bins `first` to `last` lie: what `selected_rows` takes."""
    if first > last:
        return 0.0, 0.0
    bins = bin_of(score, edges)
    return float((bins < first).mean()), float((bins <= last).mean())


def selected_rows(scores: Scores, state: ScoreState) -> np.ndarray:
    """Rows of the selected images, most novel first: their scores lie above the low share's threshold and not above the high one's."""
    low, high = (threshold_at(scores.score, share) for share in state.selected)
    chosen = (scores.score > low) & (scores.score <= high) & np.isin(drawn_classes(scores), state.selected_classes)
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(-scores.score[rows], kind="stable")]


def selection_csv(shown: Mapping[str, Shown], state: ScoreState) -> str:
    """The selection as CSV text: id, group, class, label, and the score of every method drawn. Spreadsheets find no formula in it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    first = shown.get(state.selected_method)
    names = [f"{name} (lambda {state.score_weight:g})" if can_reweight(each.scores) else name for name, each in shown.items()]
    writer.writerow([csv_cell(head) for head in ("id", "group", "class", "label", *names)])
    if first is None:
        return text.getvalue()
    by_id = [dict(zip(each.scores.id.astype(str), each.scores.score, strict=True)) for each in shown.values()]
    for row in selected_rows(first.scores, state):
        s = first.scores
        words = [csv_cell(str(column[row])) for column in (s.id, s.group, s.condition)]
        values = [repr(float(found[str(s.id[row])])) if str(s.id[row]) in found else "" for found in by_id]
        writer.writerow([*words, int(s.label[row]), *values])
    return text.getvalue()
