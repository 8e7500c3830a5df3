"""How well any one simple statistic tells each condition from healthy: `python -m novkit.data.brain.calibration`."""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from novkit.data.brain import CONDITIONS, generate_brain
from novkit.statistics import compute_statistics

CALIBRATED = (
    "mean", "std", "minimum", "maximum", "percentile_1", "percentile_99", "centre_brightness", "asymmetry", "high_frequency_energy",
)  # fmt: skip
BOUND = 0.65


def calibration_table(
    *,
    seed: int = 0,
    contrast: str = "flair",
    size: int = 64,
    images: int = 1000,
    slices: int = 1,
    statistics: Sequence[str] = CALIBRATED,
    progress: bool = True,
) -> pd.DataFrame:
    """max(AUROC, 1 − AUROC) of every statistic (rows) for every condition against healthy (columns), `images` of each.

    slices: of one subject. With one, every image is another subject and the standard error of an AUROC is 0.013; with four,
    as in the data set, the images of a subject resemble each other and it is about 0.025.
    """
    dataset = generate_brain(
        size=size, seed=seed, contrast=contrast, n_healthy=images, n_novel=images, slices_per_subject=slices, progress=progress
    )
    values = compute_statistics(dataset.images, statistics)
    columns = {}
    for condition in CONDITIONS[1:]:
        either = (dataset.labels == condition) | (dataset.labels == "healthy")
        novel = dataset.labels[either] == condition
        columns[condition] = {name: roc_auc_score(novel, values.loc[either, name]) for name in statistics}
    table = pd.DataFrame(columns)
    return table.where(table >= 0.5, 1 - table)


def lesion_table(*, seed: int = 0, size: int = 64, images: int = 1000, progress: bool = True) -> pd.DataFrame:
    """Quantiles of lesion area as a share of the brain, for each condition."""
    dataset = generate_brain(size=size, seed=seed, n_healthy=1, n_novel=images, progress=progress)
    assert dataset.body is not None
    share = pd.Series(dataset.table["lesion_area"].to_numpy() / dataset.body.sum(axis=(1, 2)))
    rows = share.groupby(dataset.table["label"]).quantile(np.array([0.05, 0.25, 0.5, 0.75, 0.95])).unstack()
    return rows.loc[list(CONDITIONS[1:])]


def main() -> None:
    """Print the table of simple statistics; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--contrast", default="flair")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--images", type=int, default=1000, help="of each condition")
    parser.add_argument("--slices", type=int, default=1, help="of each subject")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}, {chosen.contrast}, {chosen.size} pixels, {chosen.images} images a condition, {chosen.slices} of a subject")
    print("max(AUROC, 1 - AUROC)")
    print(calibration_table(**vars(chosen)).round(3).to_string())


if __name__ == "__main__":
    main()
