"""Plotly figures: pure functions of results and arrays. They draw; what they state comes from `novkit.evaluation`."""

from novkit.figures.comparisons import DistributionPanel, ablation_dots, distribution_grid, tertile_dots
from novkit.figures.distributions import score_distributions
from novkit.figures.images import gallery, novelty_maps, reconstructions
from novkit.figures.patches import patch_score_histogram, patch_story, rank_weight_curve, score_build_up
from novkit.figures.roc import roc_curves
from novkit.figures.style import TEMPLATE, describe
from novkit.figures.tables import auroc_dots, auroc_table
from novkit.figures.training import training_curves

__all__ = [
    "TEMPLATE",
    "DistributionPanel",
    "ablation_dots",
    "auroc_dots",
    "auroc_table",
    "describe",
    "distribution_grid",
    "gallery",
    "novelty_maps",
    "patch_score_histogram",
    "patch_story",
    "rank_weight_curve",
    "reconstructions",
    "roc_curves",
    "score_build_up",
    "score_distributions",
    "tertile_dots",
    "training_curves",
]
