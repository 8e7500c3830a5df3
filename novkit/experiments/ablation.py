"""`novkit ablate patchgan`: one choice changed at a time, everything else as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from novkit.errors import SettingsError
from novkit.evaluation import paired_difference
from novkit.experiments.jobs import Job
from novkit.patchgan.settings import SCORE_SETTINGS
from novkit.results import Record, load_scores
from novkit.seeding import RESERVED_SEEDS

HEALTHY = 1600  # brain slices, of 400 subjects: a third of what `reproduce` makes, so that forty trainings fit into an hour


@dataclass(frozen=True)
class Ablation:
    """group: what kind of choice. name: of the record's variant, for people. changes: to the profile's settings."""

    group: str
    name: str
    changes: dict[str, Any]

    @property
    def trained(self) -> bool:
        """Whether it has to be trained anew; the others score what the default has trained."""
        return not set(self.changes) <= set(SCORE_SETTINGS)


PATCHGAN = (
    Ablation("masks", "no mask", {"masked": False}),
    Ablation("masks", "an eighth hidden", {"mask_share": 0.125}),
    Ablation("masks", "half hidden", {"mask_share": 0.5}),
    Ablation("masks", "patches of half the size", {"patch": 2, "boxes": (8, 4, 6)}),  # boxes of the same size in pixels
    Ablation("masks", "patches of twice the size", {"patch": 8, "boxes": (2, 1)}),
    Ablation("discriminator", "no discriminator", {"discriminator": False}),
    Ablation("discriminator", "one scale", {"scales": 1}),
    Ablation("discriminator", "no global logit", {"global_logit": False}),
    Ablation("ranking in the loss", "no ranking", {"rank_loss": False}),
    Ablation("ranking in the loss", "ranked by the error alone", {"rank_by": "error"}),
    Ablation("ranking in the loss", "τ = 0.1", {"tau_loss": 0.1}),
    Ablation("ranking in the loss", "τ = 2", {"tau_loss": 2.0}),
    Ablation("image score", "mean", {"aggregate": "mean"}),
    Ablation("image score", "maximum", {"aggregate": "max"}),
    Ablation("image score", "top 3", {"aggregate": "top_k"}),
    Ablation("image score", "ranked, τ = 0.03", {"tau_score": 0.03}),
    Ablation("image score", "ranked, τ = 0.1", {"tau_score": 0.1}),
    Ablation("image score", "ranked, τ = 0.5", {"tau_score": 0.5}),
    Ablation("patch score", "γ = 0, the error alone", {"gamma": 0.0}),
    Ablation("patch score", "γ = 0.5", {"gamma": 0.5}),
    Ablation("patch score", "γ = 1, the discriminator alone", {"gamma": 1.0}),
    Ablation("patch score", "the discriminator sees the cover", {"adversarial_score": "cover"}),
    Ablation("patch score", "feature distance", {"adversarial_score": "features"}),
    Ablation("patch score", "not standardised", {"standardise": "none"}),
    Ablation("patch score", "standardised by all patches", {"standardise": "global"}),
    Ablation("residual", "absolute grey levels", {"relative": False}),
    Ablation("residual", "not smoothed", {"smoothing": 0.0}),
    Ablation("residual", "edges count fully", {"edge_discount": 0.0}),
    Ablation("residual", "one partition", {"partitions": 1}),
)
"""Every choice that the paper leaves open, one at a time."""

ABLATED = {"patchgan": PATCHGAN}


def ablation_jobs(method: str = "patchgan", seeds: Sequence[int] = RESERVED_SEEDS[:3], *, n_healthy: int = HEALTHY) -> list[Job]:
    """The runs: the default with all of its rescorings, and each ablation that has to be trained; brain, glioma against healthy.

    Raises SettingsError for a method that is not in ABLATED.
    """
    if method not in ABLATED:
        raise SettingsError(f"There is no ablation of {method!r}: choose {', '.join(ABLATED)}.")
    jobs = []
    for seed in seeds:
        common: dict[str, Any] = {
            "method": method,
            "dataset": "brain",
            "normal": ("healthy",),
            "cases": (("one_vs_rest", ("glioma",)),),
            "seed": seed,
            "options": {"size": 64, "n_healthy": n_healthy, "conditions": ("healthy", "glioma")},
        }
        rescored = tuple((a.name, a.changes) for a in ABLATED[method] if not a.trained)
        jobs.append(Job(**common, rescored=rescored))
        jobs += [Job(**common, variant=a.name, changes=a.changes) for a in ABLATED[method] if a.trained]
    return jobs


DEFAULT = "as it is"
METRICS = ("auroc", "pixel_average_precision", "pixel_dice")


def ablation_table(folder: str | Path, records: Sequence[Record], *, n_resamples: int = 2000) -> pd.DataFrame:
    """One row an ablation, the default first: group, name, and for each of METRICS its mean, sd and each seed's value.

    difference, low, high: AUROC minus the default's, paired over test images, with its 95 % interval; NaN for the default.
    """
    method = records[0].method
    by_variant: dict[str, dict[int, Record]] = {}
    for record in records:
        by_variant.setdefault(record.variant, {})[record.seed] = record
    default = by_variant[""]
    groups = {a.name: a.group for a in ABLATED[method]}
    rows = []
    for name in ("", *(n for n in groups if n in by_variant)):
        runs = by_variant[name]
        seeds = sorted(set(runs) & set(default))
        row: dict[str, Any] = {"group": groups.get(name, "default"), "name": name or DEFAULT, "seeds": seeds}
        for metric in METRICS:
            values = np.array([getattr(runs[seed], metric) for seed in seeds], dtype=float)
            row |= {f"{metric}_mean": values.mean(), f"{metric}_sd": values.std(ddof=1) if len(values) > 1 else np.nan}
            row[f"{metric}_seeds"] = values.tolist()
        row |= {"difference": np.nan, "low": np.nan, "high": np.nan}
        if name:
            pair = ([load_scores(folder, each[seed]) for seed in seeds] for each in (runs, default))
            interval = paired_difference(*pair, n_resamples=n_resamples)
            row |= {"difference": interval.value, "low": interval.low, "high": interval.high}
        rows.append(row)
    return pd.DataFrame(rows)
