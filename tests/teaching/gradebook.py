"""nbgrader as a teacher runs it, with the configuration that we supply, and the points in its gradebook."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

CONFIG = Path(__file__).parents[2] / "notebooks/assignments/nbgrader_config.py"
QUERY = """select student.id, base_cell.name, grade.auto_score from grade join base_cell on grade.cell_id = base_cell.id
           join submitted_notebook on grade.notebook_id = submitted_notebook.id
           join submitted_assignment on submitted_notebook.assignment_id = submitted_assignment.id
           join student on submitted_assignment.student_id = student.id"""


def new_course(root: Path, source: Path, name: str, submissions: Mapping[str, NotebookNode]) -> None:
    """A folder as nbgrader wants it: configuration, the source of one assignment, and what was handed in by student."""
    shutil.copytree(source / name, root / "source" / name)
    shutil.copy(CONFIG, root)
    for student, notebook in submissions.items():
        path = root / "submitted" / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)


def nbgrader(root: Path, *words: str, course_seed: int = 11, **more: str) -> None:
    """Run one of its commands in the folder; more: further variables of the environment."""
    tools = str(Path(sys.executable).parent)  # nbgrader calls alembic by its name
    own = {"NOVKIT_COURSE_SEED": str(course_seed), "HOME": str(root), "PATH": tools + os.pathsep + os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *words], cwd=root, capture_output=True, text=True, timeout=3600, env=os.environ | own | more
    )
    assert done.returncode == 0, done.stderr[-3000:]


def automatic_points(root: Path) -> dict[tuple[str, str], float]:
    """Points by student and graded cell, as autograde found them; None for what a reader has to grade."""
    with sqlite3.connect(root / "gradebook.db") as book:
        return {(student, cell): points for student, cell, points in book.execute(QUERY)}
