"""Explorers for JupyterLab and Voilà: score distributions, the margin, patches and distortions, each with its controls.

What they show are plain functions of a state (the `…_view` modules, usable without ipywidgets); the explorers only wire them to controls.
"""

import importlib
from typing import TYPE_CHECKING, Any

from novkit.errors import NovkitError

if TYPE_CHECKING:
    from novkit.widgets.distortion_explorer import DistortionExplorer
    from novkit.widgets.margin_explorer import MarginExplorer
    from novkit.widgets.patch_explorer import PatchExplorer, score_patches
    from novkit.widgets.patch_runs import PatchRuns
    from novkit.widgets.patch_view import PatchScores
    from novkit.widgets.score_explorer import ScoreExplorer
    from novkit.widgets.snapshots import Snapshots, record_snapshots

_HOMES = {
    "DistortionExplorer": "distortion_explorer",
    "MarginExplorer": "margin_explorer",
    "PatchExplorer": "patch_explorer",
    "PatchRuns": "patch_runs",
    "PatchScores": "patch_view",
    "ScoreExplorer": "score_explorer",
    "Snapshots": "snapshots",
    "record_snapshots": "snapshots",
    "score_patches": "patch_explorer",
}

__all__ = [
    "DistortionExplorer",
    "MarginExplorer",
    "PatchExplorer",
    "PatchRuns",
    "PatchScores",
    "ScoreExplorer",
    "Snapshots",
    "record_snapshots",
    "score_patches",
]


def __getattr__(name: str) -> Any:
    """Import on first use: the plain functions need no ipywidgets, and whoever lacks it is told what to install, in a NovkitError."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name not in ("ipywidgets", "anywidget"):
            raise
        raise NovkitError(f"{name} needs {error.name}: install it with `pip install 'novkit[notebooks]'`.") from error
