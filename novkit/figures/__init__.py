"""Plotly figures: pure functions of results and arrays. They draw; what they state comes from `novkit.evaluation`."""

from novkit.figures.distributions import score_distributions
from novkit.figures.images import gallery, novelty_maps, reconstructions
from novkit.figures.roc import roc_curves
from novkit.figures.style import TEMPLATE, describe
from novkit.figures.tables import auroc_dots, auroc_table
from novkit.figures.training import training_curves

__all__ = [
    "TEMPLATE",
    "auroc_dots",
    "auroc_table",
    "describe",
    "gallery",
    "novelty_maps",
    "reconstructions",
    "roc_curves",
    "score_distributions",
    "training_curves",
]
