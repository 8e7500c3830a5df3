"""Who finds small lesions: AUROC by the size of the abnormality, for methods and for ways of summing up patch scores."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from novkit.errors import DataError
from novkit.evaluation import Scores, auroc_by_tertile
from novkit.results import METHODS, Record, load_scores

TERTILES = ("small", "medium", "large")
_WAYS = {"score": "ranked", "mean": "mean of patches", "max": "highest patch", "top_k": "top patches"}  # Patch-GAN's components


def tertile_table(folder: str | Path, records: Sequence[Record]) -> pd.DataFrame:
    """One row for each way of scoring and tertile: name, method, tertile, mean, sd and seeds (AUROC of each), area_low, area_high.

    records: runs of one data set and case, any methods and seeds; those without the sizes of the abnormalities are left out.
    Each tertile's images stand against all normal images. area_low, area_high: shares of the image, means over seeds.
    """
    found: dict[tuple[str, str], list] = {}
    for record in records:
        scores = load_scores(folder, record)
        for name, run in _ways(record.method, scores).items():
            assert run.area is not None
            try:
                found.setdefault((name, record.method), []).append(auroc_by_tertile(run.label, run.score, run.area))
            except DataError:
                continue  # no sizes, or too few different ones
    rows = []
    for (name, method), runs in found.items():
        for index, tertile in enumerate(TERTILES):
            values = np.array([run[index].auroc for run in runs])
            rows.append(
                {
                    "name": name,
                    "method": method,
                    "tertile": tertile,
                    "mean": values.mean(),
                    "sd": values.std(ddof=1) if len(values) > 1 else np.nan,
                    "seeds": values.tolist(),
                    "area_low": float(np.mean([run[index].area_low for run in runs])),
                    "area_high": float(np.mean([run[index].area_high for run in runs])),
                }
            )
    return pd.DataFrame(rows)


def _ways(method: str, scores: Scores) -> dict[str, Scores]:
    """The ways in which a run scores an image, by name."""
    if scores.area is None:
        return {}
    if method != "patchgan":
        return {METHODS[method]: scores}
    named = {"score": scores.score, **scores.components}
    return {f"{METHODS[method]}, {word}": replace(scores, score=named[way]) for way, word in _WAYS.items() if way in named}
