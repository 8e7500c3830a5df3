"""Honest submissions earn the same points from `novkit grade` and from nbgrader itself, run with the configuration we supply."""

import copy
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from novkit.teaching.grading import grade
from novkit.teaching.process import Limits
from tests.teaching.conftest import named

pytest.importorskip("nbgrader")
CONFIG = Path(__file__).parents[2] / "notebooks/assignments/nbgrader_config.py"
LIMITS = Limits(wall=40)


def nbgrader(root: Path, *words: str) -> None:
    tools = str(Path(sys.executable).parent)  # nbgrader calls alembic by its name
    environment = os.environ | {"NOVKIT_COURSE_SEED": "11", "HOME": str(root), "PATH": tools + os.pathsep + os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *words], cwd=root, capture_output=True, text=True, timeout=900, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_the_release_is_nbgraders_and_points_are_equal(course, source, release, submit, tmp_path):
    root = tmp_path / "course"
    shutil.copytree(course / "source", root / "source")
    shutil.copy(CONFIG, root)
    submissions = {
        "right": submit(),
        "untouched": copy.deepcopy(release),
        "half": submit(middle="def middle(x):\n    return float(sorted(x)[len(x) // 2])"),  # right for an odd number: partial credit
        "warned": submit(
            ranking="def ranking(y, s):\n    import sys\n    print('beware', file=sys.stderr)\n    return roc_auc_score(y, s)"
        ),
        "broken": submit(middle="def middle(x:", why=None),
    }
    for student, notebook in submissions.items():
        path = root / "submitted" / student / "a1_small" / "a1_small.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    nbgrader(root, "generate_assignment", "a1_small", "--force")
    theirs = nbformat.read(root / "release/a1_small/a1_small.ipynb", as_version=4)
    assert json.dumps(theirs.cells, sort_keys=True) == json.dumps(release.cells, sort_keys=True)
    nbgrader(root, "autograde", "a1_small")
    query = """select student.id, base_cell.name, grade.auto_score from grade join base_cell on grade.cell_id = base_cell.id
               join submitted_notebook on grade.notebook_id = submitted_notebook.id
               join submitted_assignment on submitted_notebook.assignment_id = submitted_assignment.id
               join student on submitted_assignment.student_id = student.id"""
    with sqlite3.connect(root / "gradebook.db") as book:
        expected = {(student, cell): points for student, cell, points in book.execute(query)}
    ours = {}
    for student, notebook in submissions.items():
        for part in grade(notebook, source, "a1_small", course_seed=11, limits=LIMITS).parts.values():
            ours |= {(student, check.name): check.points for check in part.checks}
            if part.manual:
                ours[student, part.part] = part.points
    assert ours == expected
    assert ours["half", "middle_tests_2"] not in (0, named(source, "middle_tests_2").metadata.nbgrader.points)  # partial credit
