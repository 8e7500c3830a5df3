"""The bootstrap behind every interval: whole groups drawn again, stratified by class, and the AUROC of each draw.

A method that is twice as sure because each patient gave two images would be fooling itself, so patients are drawn, not images.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from novkit.errors import DataError
from novkit.seeding import numpy_generator

LEVEL = 0.95
"""Coverage of every interval."""

Case = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Labels (n,) 0 or 1, scores (n,) and group names (n,) of one run."""


def resampled_auroc(cases: Sequence[Case], n_resamples: int, seed: int) -> np.ndarray:
    """AUROC of every case in every resample, (cases, n_resamples); NaN where a resample leaves a case without one of its classes.

    Raises DataError for no cases and for n_resamples < 1.
    """
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
    weighed = [group_auroc(y, score, member, len(names)) for (y, score, _), member in zip(cases, members, strict=True)]
    found = np.empty((len(cases), n_resamples))
    # few enough rows at a time that the weights stay near 16 MB
    for part, counts in group_draws(stratum, n_resamples, max(1, 2_000_000 // max(len(names), *np.diff(ends, prepend=0))), seed):
        for row, weigh in enumerate(weighed):
            found[row, part] = weigh(counts)
    return found


_MOST_KEPT = 8_000_000  # counts of one or two bytes


def group_draws(stratum: np.ndarray, n_resamples: int, rows: int, seed: int) -> Iterator[tuple[slice, np.ndarray]]:
    """How often each group is drawn, (≤ rows, groups) at a time: as many draws from each stratum as it has groups."""
    if n_resamples * len(stratum) > _MOST_KEPT:
        yield from _draw(stratum, n_resamples, rows, seed)
    else:
        for part, counts in _kept(np.asarray(stratum, np.int64).tobytes(), n_resamples, rows, seed):
            yield part, counts.astype(np.float64)


@lru_cache(maxsize=4)
def _kept(stratum: bytes, n_resamples: int, rows: int, seed: int) -> tuple[tuple[slice, np.ndarray], ...]:
    """A report asks for the same draws for every method: drawing them is half of its intervals' time."""
    groups = np.frombuffer(stratum, np.int64)
    small = np.min_scalar_type(len(groups))  # no group is drawn more often than there are groups
    return tuple((part, counts.astype(small)) for part, counts in _draw(groups, n_resamples, rows, seed))


def _draw(stratum: np.ndarray, n_resamples: int, rows: int, seed: int) -> Iterator[tuple[slice, np.ndarray]]:
    generator = numpy_generator(seed, "bootstrap")
    for start in range(0, n_resamples, rows):
        stop = min(start + rows, n_resamples)
        counts = np.empty((stop - start, len(stratum)))
        for which in np.unique(stratum):
            chosen = np.flatnonzero(stratum == which)
            drawn = generator.integers(len(chosen), size=(stop - start, len(chosen)))
            cells = drawn + len(chosen) * np.arange(stop - start)[:, None]
            counts[:, chosen] = np.bincount(cells.ravel(), minlength=counts.shape[0] * len(chosen)).reshape(-1, len(chosen))
        yield slice(start, stop), counts


_MOST_PAIRS = 8_000_000  # of a normal and a novel image, held at once as 4-byte numbers


def group_auroc(y: np.ndarray, score: np.ndarray, member: np.ndarray, n_groups: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from group counts (m, groups) to the m AUROCs of images (n,) that belong to the groups `member` (n,).

    The area is a quadratic form in the counts, Σ_gh c_g c_h K_gh / (W₁ W₀), where K_gh is the number of pairs, a novel image of g and a
    normal one of h, in the right order (ties count half): one matrix product for all resamples. With too many pairs: image by image.
    """
    novel, normal = np.flatnonzero(y == 1), np.flatnonzero(y != 1)
    if len(novel) * len(normal) > _MOST_PAIRS:
        weigh = weighted_auroc(y, score)
        return lambda counts: weigh(counts[:, member])
    novel, normal = novel[np.argsort(member[novel], kind="stable")], normal[np.argsort(member[normal], kind="stable")]
    of_novel, first_novel = np.unique(member[novel], return_index=True)
    of_normal, first_normal = np.unique(member[normal], return_index=True)
    a, b = score[novel][:, None], score[normal][None, :]
    pairs = (a > b).astype(np.float32) + np.float32(0.5) * (a == b)
    ordered = np.add.reduceat(np.add.reduceat(pairs, first_novel, axis=0, dtype=np.float64), first_normal, axis=1)
    n_novel, n_normal = np.diff(first_novel, append=len(novel)), np.diff(first_normal, append=len(normal))

    def weigh_counts(counts: np.ndarray) -> np.ndarray:
        with_novel, with_normal = counts[:, of_novel], counts[:, of_normal]
        area = np.einsum("ij,ij->i", with_novel @ ordered, with_normal)
        with np.errstate(invalid="ignore"):
            return area / ((with_novel @ n_novel) * (with_normal @ n_normal))

    return weigh_counts


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
    """The percentile interval of resampled values (n_resamples,), NaN left out. Raises DataError where all are NaN."""
    if np.isnan(values).all():
        raise DataError("No resample holds both classes in every run: there are too few groups for an interval.")
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
