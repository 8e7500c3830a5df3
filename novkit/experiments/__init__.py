"""Recipes: method × data set × set-ups × seed → records with scores."""

from novkit.experiments.cost import Cost, measured
from novkit.experiments.jobs import Job, build_setups, load_for
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
]
