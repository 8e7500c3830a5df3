"""What the records say: each paper's method against the best baseline, computed, never typed in."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from novkit.evaluation import Interval, mean_auroc, paired_difference
from novkit.results import METHODS, PAPERS, UPPER_BOUND, Record, load_scores

EMBEDDED = ("brain", "skin", "digits")
"""The data sets that are always there; reports begin with them."""

_SHOWN_FIRST = ("generated_ood", "rest_vs_one", "one_vs_rest")


@dataclass(frozen=True)
class Finding:
    """A paper's method against the best baseline on one data set and set-up, over the runs both have."""

    method: str
    dataset: str
    setup: str
    synthetic: bool
    auroc: Interval
    n_runs: int
    baseline: str | None = None
    baseline_auroc: Interval | None = None
    difference: Interval | None = None

    @property
    def verdict(self) -> str:
        """better, worse, or no clear difference: where the 95 % interval of the difference lies."""
        if self.difference is None:
            return "no baseline to compare with"
        if self.difference.above_zero:
            return "better"
        return "worse" if self.difference.high < 0 else "no clear difference"


def find(folder: str | Path, records: Iterable[Record], *, n_resamples: int = 2000) -> list[Finding]:
    """What each paper's method reaches, by data set and set-up, generated out-of-distribution first.

    The best baseline is the one of highest mean AUROC on these very test images: a choice in the baselines' favour. Ablations and the
    oracle statistic take no part.
    """
    records = [record for record in records if not record.variant and record.method != UPPER_BOUND]
    found = []
    for dataset, setup in places(records):
        here = [r for r in records if (r.dataset, r.setup) == (dataset, setup)]
        by_method = {m: {_key(r): r for r in here if r.method == m} for m in METHODS}
        for method in PAPERS:
            if by_method[method]:
                found.append(_finding(Path(folder), method, by_method, n_resamples))
    return found


def _finding(folder: Path, method: str, by_method: dict[str, dict[tuple, Record]], n_resamples: int) -> Finding:
    own = by_method[method]
    first = next(iter(own.values()))
    alike = {m: sorted(own.keys() & runs.keys()) for m, runs in by_method.items() if m not in PAPERS}
    full = {m: keys for m, keys in alike.items() if len(keys) == len(own)}  # a baseline run on the easy half would not be compared fairly
    common = {"dataset": first.dataset, "setup": first.setup, "synthetic": first.synthetic, "n_runs": len(own)}
    scores = [load_scores(folder, own[key]) for key in sorted(own)]
    reached = mean_auroc(scores, n_resamples=n_resamples)
    if not full:
        return Finding(method=method, auroc=reached, **common)  # type: ignore[arg-type]
    best = max(full, key=lambda m: float(np.mean([by_method[m][key].auroc for key in full[m]])))
    other = [load_scores(folder, by_method[best][key]) for key in sorted(own)]
    return Finding(
        method=method,
        auroc=reached,
        baseline=best,
        baseline_auroc=mean_auroc(other, n_resamples=n_resamples),
        difference=paired_difference(scores, other, n_resamples=n_resamples),
        **common,  # type: ignore[arg-type]
    )


def _key(record: Record) -> tuple:
    return record.profile, record.normal, record.novel, record.seed


def places(records: Iterable[Record]) -> list[tuple[str, str]]:
    """(data set, set-up) pairs: data that is always there first, then as stored; generated out-of-distribution before the others."""
    pairs = list(dict.fromkeys((record.dataset, record.setup) for record in records))
    datasets = list(dict.fromkeys(dataset for dataset, _ in pairs))
    rank = {name: index for index, name in enumerate(dict.fromkeys([*EMBEDDED, *datasets]))}
    return sorted(pairs, key=lambda pair: (rank[pair[0]], _SHOWN_FIRST.index(pair[1])))
