"""Recipes: method × data set × set-ups × seed → records with scores.

`run_jobs` runs a list of `Job`; `reproduction` and `reproduction_on` are those of `novkit reproduce`. What the command line cannot say,
a Job can: settings that differ by method (`changes`, named by `variant`), other pairs of normal and novel classes (`cases`), and other ways
to score what was trained once (`rescored`).
"""

from novkit.experiments.cost import Cost, measured
from novkit.experiments.jobs import Job, build_setups, load_for, settings_text
from novkit.experiments.measuring import run_job
from novkit.experiments.plans import BRAIN_HEALTHY, REPRODUCED, SETTINGS_TRIED, reproduction, reproduction_on
from novkit.experiments.running import run_jobs

__all__ = [
    "BRAIN_HEALTHY",
    "REPRODUCED",
    "SETTINGS_TRIED",
    "Cost",
    "Job",
    "build_setups",
    "load_for",
    "measured",
    "reproduction",
    "reproduction_on",
    "run_job",
    "run_jobs",
    "settings_text",
]
