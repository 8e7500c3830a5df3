"""Submissions made from a source notebook: untouched, solved, and with wrong answers in some parts."""

import copy
import importlib
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from novkit.teaching.marks import grade_id, kind, part, without_marks

ASSIGNMENTS = Path(__file__).parents[2] / "notebooks" / "assignments"
NAMES = sorted(path.stem for path in (ASSIGNMENTS / "scripts").glob("a[0-9]*.py"))

Wrong = dict[str, list[tuple[str, str]]]  # part -> (what is wrong with it, the solution cell)


def notebook(folder: str, name: str) -> NotebookNode:
    """A generated notebook of "source", "release" or "solution"."""
    return nbformat.read(ASSIGNMENTS / folder / name / f"{name}.ipynb", as_version=4)


def wrong_answers(name: str) -> Wrong:
    """Those of an assignment, by part."""
    answers: Wrong = importlib.import_module(f"tests.assignments.wrong_{name.partition('_')[0]}").WRONG
    return answers


def submission(name: str, answers: Mapping[str, str]) -> NotebookNode:
    """The release with every code part solved as in the source, but for those that `answers` replaces."""
    made = copy.deepcopy(notebook("release", name))
    solved = {grade_id(cell): cell.source for cell in notebook("source", name).cells}
    for cell in made.cells:
        if kind(cell) == "solution":
            cell.source = answers[part(cell)] if grade_id(cell) in answers else without_marks(solved[grade_id(cell)])
    return made


def wrong_submissions(name: str) -> list[dict[str, int]]:
    """For each submission the number of the wrong answer in every part that is wrong.

    Every part is right in two of the first five, and no two parts in the same two: so each wrong answer is graded once, and for any two
    parts there is a submission in which one is right and the other wrong. Answers beyond the third come alone with each other.
    """
    answers = wrong_answers(name)
    right = dict(zip(answers, combinations(range(5), 2), strict=False))
    made: list[dict[str, int]] = [{} for _ in range(max(5, 2 + max(map(len, answers.values()))))]
    for key, wrong in answers.items():
        turns = [turn for turn in range(len(made)) if turn not in right[key]]
        for number, turn in zip(range(len(wrong)), turns, strict=False):
            made[turn][key] = number
    return made
