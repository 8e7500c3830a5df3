"""The bootstrap behind every interval: whole groups drawn again, stratified by class, and the AUROC of each draw.

A method that is twice as sure because each patient gave two images would be fooling itself, so patients are drawn, not images.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from novkit.errors import DataError
from novkit.seeding import numpy_generator

LEVEL = 0.95
"""Coverage of every interval."""

Case = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Labels (n,) 0 or 1, scores (n,) and group names (n,) of one run."""


def resampled_auroc(cases: Sequence[Case], n_resamples: int, seed: int) -> np.ndarray:
    """AUROC of every case in every resample, (cases, n_resamples); NaN where a resample leaves a case without one of its classes."""
    if not cases:
        raise DataError("There is no run to evaluate: pass at least one.")
    if n_resamples < 1:
        raise DataError(f"n_resamples is {n_resamples}: draw at least one.")
    names, index = np.unique(np.concatenate([groups for _, _, groups in cases]), return_inverse=True)
    labels = np.concatenate([y for y, _, _ in cases])
    stratum = np.zeros(len(names), dtype=np.int64)  # 1 wholly normal, 2 wholly novel, 3 both, over all cases
    np.bitwise_or.at(stratum, index, np.where(labels == 1, 2, 1))
    ends = np.cumsum([len(y) for y, _, _ in cases])
    members = np.split(index, ends[:-1])
    weighed = [weighted_auroc(y, score) for y, score, _ in cases]
    found = np.empty((len(cases), n_resamples))
    # few enough rows at a time that the weights stay near 16 MB
    for part, counts in group_draws(stratum, n_resamples, max(1, 2_000_000 // max(len(names), *np.diff(ends, prepend=0))), seed):
        for row, (member, weigh) in enumerate(zip(members, weighed, strict=True)):
            found[row, part] = weigh(counts[:, member])
    return found


def group_draws(stratum: np.ndarray, n_resamples: int, rows: int, seed: int) -> Iterator[tuple[slice, np.ndarray]]:
    """How often each group is drawn, (≤ rows, groups) at a time: as many draws from each stratum as it has groups."""
    generator = numpy_generator(seed, "bootstrap")
    for start in range(0, n_resamples, rows):
        stop = min(start + rows, n_resamples)
        counts = np.empty((stop - start, len(stratum)))
        for which in np.unique(stratum):
            chosen = np.flatnonzero(stratum == which)
            counts[:, chosen] = generator.multinomial(len(chosen), np.full(len(chosen), 1 / len(chosen)), size=stop - start)
        yield slice(start, stop), counts


def weighted_auroc(y: np.ndarray, score: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function from image weights (m, n) to the m weighted AUROCs; the scores are sorted once, whatever m is.

    Σ_u w₁(u) [w₀(below u) + ½ w₀(u)] / (W₀ W₁) over the distinct scores u, the Mann–Whitney form of the area.
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))  # one for each distinct score
    novel = y[order] == 1

    def weigh(weights: np.ndarray) -> np.ndarray:
        ordered = weights[:, order]
        positive, negative = np.where(novel, ordered, 0), np.where(novel, 0, ordered)
        if len(starts) < len(order):
            positive, negative = np.add.reduceat(positive, starts, axis=1), np.add.reduceat(negative, starts, axis=1)
        below = np.cumsum(negative, axis=1)
        area = np.einsum("ij,ij->i", positive, below - negative / 2)
        with np.errstate(invalid="ignore"):
            return area / (positive.sum(axis=1) * below[:, -1])

    return weigh


def interval_ends(values: np.ndarray) -> tuple[float, float]:
    """The percentile interval of resampled values, resamples that lack a class left out."""
    if np.isnan(values).all():
        raise DataError("No resample holds both classes in every run: there are too few groups for an interval.")
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
