"""Honest submissions earn the same points from `novkit grade` and from nbgrader itself, run with the configuration we supply."""

import copy
import json

import nbformat
import pytest

from novkit.teaching.grading import grade
from novkit.teaching.process import Limits
from tests.teaching.conftest import named
from tests.teaching.gradebook import automatic_points, nbgrader, new_course

pytest.importorskip("nbgrader")
LIMITS = Limits(wall=40)


@pytest.mark.slow
def test_the_release_is_nbgraders_and_points_are_equal(course, source, release, submit, tmp_path):
    root = tmp_path / "course"
    submissions = {
        "right": submit(),
        "untouched": copy.deepcopy(release),
        "half": submit(middle="def middle(x):\n    return float(sorted(x)[len(x) // 2])"),  # right for an odd number: partial credit
        "warned": submit(
            ranking="def ranking(y, s):\n    import sys\n    print('beware', file=sys.stderr)\n    return roc_auc_score(y, s)"
        ),
        "broken": submit(middle="def middle(x:", why=None),
    }
    new_course(root, course / "source", "a1_small", submissions)
    nbgrader(root, "generate_assignment", "a1_small", "--force")
    theirs = nbformat.read(root / "release/a1_small/a1_small.ipynb", as_version=4)
    assert json.dumps(theirs.cells, sort_keys=True) == json.dumps(release.cells, sort_keys=True)
    nbgrader(root, "autograde", "a1_small")
    ours = {}
    for student, notebook in submissions.items():
        for part in grade(notebook, source, "a1_small", course_seed=11, limits=LIMITS).parts.values():
            ours |= {(student, check.name): check.points for check in part.checks}
            if part.manual:
                ours[student, part.part] = part.points
    assert ours == automatic_points(root)
    assert ours["half", "middle_tests_2"] not in (0, named(source, "middle_tests_2").metadata.nbgrader.points)  # partial credit
