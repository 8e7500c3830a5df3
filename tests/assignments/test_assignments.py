"""The assignments: solutions earn everything, releases give nothing away, wrong answers lose their part and no other."""

import nbformat
import pytest

from novkit.teaching.grading import Grade, grade
from novkit.teaching.marks import kind, nbgrader, part, released_text, without
from novkit.teaching.process import Limits, Worker
from novkit.teaching.submission import find_assignment, imported_modules, parts_of, plan_of
from tests.assignments.submissions import ASSIGNMENTS, NAMES, notebook, submission, wrong_answers, wrong_submissions

SECONDS = 90  # of CPU, for a solution
LIMITS = Limits(wall=60)  # the machine may be busy with other things


@pytest.fixture(scope="session")
def worker():
    """One process for all: its start is the dearest part."""
    modules = {module for name in NAMES for module in imported_modules(notebook("source", name))}
    with Worker(modules, LIMITS) as started:
        yield started


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """What a solution generated is there for the submissions after it."""
    return tmp_path_factory.mktemp("graded")


def graded(name, submitted, worker, cache, seed: int = 0) -> Grade:
    """Grade with what earlier runs of the assignment left in the cache."""
    kept = cache / f"{name}-{seed}"
    again = kept if kept.is_dir() else None
    return grade(
        submitted, notebook("source", name), name, course_seed=seed, worker=worker, cache=again, keep_cache=None if again else kept
    )


def lost(result: Grade) -> dict[str, float]:
    """Points lost by part, of those that grade themselves."""
    return {part.part: part.out_of - part.points for part in result.parts.values() if not part.manual and part.points < part.out_of}


def test_there_are_six_of_them_and_they_are_what_the_scripts_say():
    pytest.importorskip("nbgrader")
    from notebooks.assignments.build import build

    assert [name[:2] for name in NAMES] == ["a1", "a2", "a3", "a4", "a5", "a6"]
    assert build(sorted((ASSIGNMENTS / "scripts").glob("a[0-9]*.py")), check=True) == []


@pytest.mark.parametrize("name", NAMES)
def test_release_holds_no_solution_and_no_hidden_test(name):
    source, release = notebook("source", name), notebook("release", name)
    nbformat.validate(release)
    text = nbformat.writes(release)
    assert "BEGIN" not in text
    assert "HIDDEN" not in text
    for ours, theirs in zip(source.cells, release.cells, strict=True):
        assert theirs.source == released_text(ours)  # our own cut against nbgrader's
        assert theirs.get("outputs", []) == []
        if kind(ours) in ("solution", "manual"):
            secret = {line.strip() for line in ours.source.split("\n")} - {
                line.strip() for line in without(ours.source, "SOLUTION").split("\n")
            }
            assert len(secret) > 2
            assert not any(line in theirs.source for line in secret if len(line) > 12)
    assert find_assignment(release, {other: notebook("source", other) for other in NAMES}) == name


@pytest.mark.parametrize("name", NAMES)
def test_every_part_has_its_points_and_three_wrong_answers(name):
    source = notebook("source", name)
    code = {part(cell) for cell in source.cells if kind(cell) == "solution"}
    assert set(wrong_answers(name)) == code
    assert all(len(answers) >= 3 for answers in wrong_answers(name).values())
    assert any(kind(cell) == "manual" for cell in source.cells)
    for number in range(max(map(len, wrong_answers(name).values()))):  # each is graded in exactly one submission
        for key, answers in wrong_answers(name).items():
            assert [made.get(key) for made in wrong_submissions(name)].count(number) == (number < len(answers))
    hidden = [cell for cell in source.cells if kind(cell) == "tests" and "BEGIN HIDDEN TESTS" in cell.source]
    assert {part(cell) for cell in hidden} == code  # visible answers alone earn nothing anywhere
    assert all(nbgrader(cell)["points"] > 0 for cell in source.cells if kind(cell) == "tests")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_solution_earns_full_marks_within_its_time(name, worker, cache):
    for seed in (0, 2027):
        result = graded(name, notebook("source", name), worker, cache, seed)
        assert lost(result) == {}, [check.message for found in result.parts.values() for check in found.checks]
        assert result.notes == []
        assert result.seconds < SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_untouched_release_runs_to_its_first_stub_and_earns_nothing(name, worker, cache):
    release, source = notebook("release", name), notebook("source", name)
    result = graded(name, release, worker, cache)
    assert result.points == 0
    assert result.pending == 0
    assert set(lost(result)) == {name for name in parts_of(source) if not result.parts[name].manual}
    with worker.submission(course_seed=0):
        for step in plan_of(release, release).steps:  # as a student runs it, without hidden tests
            answer = worker.ask({"name": step.name, "kind": step.kind, "source": step.source, "keeps": []}, LIMITS.cell)
            if answer["status"] != "done":
                break
    assert answer.get("error") == "NotImplementedError", (step.name, answer)


WRONG = [  # an assignment's first wrong submission in `make test`, all of them in `make test-long`
    pytest.param(name, turn, marks=pytest.mark.long if turn else []) for name in NAMES for turn in range(len(wrong_submissions(name)))
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "turn"), WRONG)
def test_wrong_answers_lose_points_of_their_part_and_of_no_other(name, turn, worker, cache):
    chosen = wrong_submissions(name)[turn]
    answers = wrong_answers(name)
    made = submission(name, {key: answers[key][number][1].strip("\n") for key, number in chosen.items()})
    result = graded(name, made, worker, cache)
    said = {key: answers[key][number][0] for key, number in chosen.items()}
    assert set(lost(result)) == set(chosen), f"wrong: {said}; lost: {lost(result)}"
    for key in chosen:
        messages = [check.message for check in result.parts[key].checks if check.status != "passed"]
        assert all(messages)
        assert not any("Its own cell did not run" in message for message in messages), messages  # plausible, not broken
