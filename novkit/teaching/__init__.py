"""Teaching with novkit: fresh inputs for the tests of assignments, and the grading of what students hand in (`novkit grade`)."""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from novkit.teaching.budget import Budget as Budget
    from novkit.teaching.budget import budget_check as budget_check
    from novkit.teaching.conditions import Condition as Condition
    from novkit.teaching.conditions import ProjectData as ProjectData
    from novkit.teaching.conditions import practice_project as practice_project

COURSE_SEED = "NOVKIT_COURSE_SEED"
"""Name of the environment variable that `novkit grade --course-seed` sets."""

_LATER = {
    "Budget": "budget",
    "budget_check": "budget",
    "Condition": "conditions",
    "ProjectData": "conditions",
    "practice_project": "conditions",
}


def course_generator(*keys: int | str) -> "np.random.Generator":
    """A NumPy generator for the inputs of a test: other draws for every course seed (environment variable, else 0) and every key.

    >>> course_generator("auroc", 1).integers(10, size=3).shape
    (3,)
    """
    from novkit.seeding import numpy_generator

    return numpy_generator(int(os.environ.get(COURSE_SEED) or 0), "course", *keys)


def __getattr__(name: str) -> Any:
    """What the project assignment uses, loaded when it is asked for: the command line opens faster without torch."""
    if name in _LATER:
        return getattr(importlib.import_module(f"novkit.teaching.{_LATER[name]}"), name)
    raise AttributeError(f"module 'novkit.teaching' has no attribute {name!r}")
