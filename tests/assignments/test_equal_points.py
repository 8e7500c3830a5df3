"""Each assignment's points from `nbgrader autograde` are those of `novkit grade`: solved, half solved and untouched."""

import shutil

import pytest

from novkit.teaching.grading import grade
from novkit.teaching.process import Limits
from tests.assignments.submissions import ASSIGNMENTS, NAMES, notebook, submission, wrong_answers
from tests.teaching.gradebook import automatic_points, nbgrader, new_course

pytest.importorskip("nbgrader")


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_nbgrader_gives_the_points_of_novkit_grade(name, tmp_path):
    wrong = wrong_answers(name)
    spoilt = {key: wrong[key][0][1].strip("\n") for key in list(wrong)[::2]}
    submissions = {"solved": submission(name, {}), "half": submission(name, spoilt), "untouched": notebook("release", name)}
    ours, cache = {}, tmp_path / "cache"
    for student, submitted in submissions.items():
        kept = cache if cache.is_dir() else None
        keep = None if kept else cache
        result = grade(submitted, notebook("source", name), name, course_seed=11, limits=Limits(wall=40), cache=kept, keep_cache=keep)
        for found in result.parts.values():
            ours |= {(student, check.name): check.points for check in found.checks}
            if found.manual:
                ours[student, found.part] = found.points
    new_course(tmp_path / "course", ASSIGNMENTS / "source", name, submissions)
    shutil.copytree(cache, tmp_path / "again")
    nbgrader(tmp_path / "course", "generate_assignment", name, "--force")
    nbgrader(tmp_path / "course", "autograde", name, "--Execute.timeout=3600", NOVKIT_CACHE=str(tmp_path / "again"))
    assert automatic_points(tmp_path / "course") == ours
    graded = {student: sum(points or 0 for (who, _), points in ours.items() if who == student) for student in submissions}
    assert graded["untouched"] == 0 < graded["half"] < graded["solved"]
