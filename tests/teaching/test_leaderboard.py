"""The leaderboard from the teacher's file and a folder of submissions to the board; and a grading that is stopped halfway."""

import copy
import csv
import json
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

from novkit.cli import app
from novkit.errors import NovkitError
from novkit.teaching import leaderboard
from novkit.teaching.budget import Budget
from novkit.teaching.handed_in import Submission
from novkit.teaching.leaderboard import Teacher, make_leaderboard
from novkit.teaching.process import Limits, Stopped
from tests.teaching.conftest import named

SCRIPT = '''\
# %% kind="given"
import numpy as np

# %% part="detector" kind="solution"
def build_detector(X_normal, X_normal_val, seed):
    """An object with novelty_score."""
    ### BEGIN SOLUTION
    return MeanDistance(X_normal)
    ### END SOLUTION

### BEGIN SOLUTION
class MeanDistance:
    def __init__(self, X):
        self.mean = X.mean(axis=0)
    def novelty_score(self, X):
        return np.abs(X - self.mean).max(axis=(1, 2, 3))
### END SOLUTION

# %% part="detector" kind="tests" points=3
assert build_detector is not None, "There is a detector."
### BEGIN HIDDEN TESTS
assert callable(build_detector), "It is a function."
### END HIDDEN TESTS

# %% [markdown] part="report" kind="manual" points=5
# What did you do?
# ### BEGIN SOLUTION
# Model answer: the distance from the mean.
# ### END SOLUTION
'''
HEAD = "def build_detector(X_normal, X_normal_val, seed):\n"
DETECTOR = HEAD + "    class D:\n        def novelty_score(self, X):\n            {score}\n    d = D()\n    {build}\n    return d\n"
ANSWERS = {  # student: the cell, what the board for the class says, what the teacher's table says
    "greedy": (
        DETECTOR.format(score="return X.std(axis=(1, 2, 3))", build="d.kept = X_normal"),
        "Over budget: parameters 65,536 of 9,000.",
    ),
    "raising": (HEAD + "    raise ValueError('no layers')\n", "In training: ValueError: no layers (line 2 of your cell detector: raise"),
    "looping": (HEAD + "    while True:\n        pass\n", "In training: it took longer than 2 s."),
    "shaped": (DETECTOR.format(score="return X.mean(axis=(1, 2))", build="pass"), "In scoring: novelty_score must give 24 finite numbers"),
    "careless": (DETECTOR.format(score="return X[10**6]", build="pass"), "In scoring: IndexError: index 1000000 is out of bounds"),
    "killed": (HEAD + "    import os\n    os._exit(0)\n", "In training: The process ended"),
    "forger": (HEAD + "    import os\n    os.mkfifo('scores.npy')\n    raise SystemExit\n", "In training: SystemExit"),
    "peeping": (HEAD + "    import glob\n    raise OSError(open(PLACE).read())\n", "In training: "),
    "undone": (None, "In training: Not done yet."),
}
SECRET = {
    "seed": 7391,
    "condition": {"foci": [2, 4], "radius": [0.05, 0.1], "contrast": [0.3, 0.5]},
    "n_train": 16,
    "n_val": 8,
    "n_test": 24,
}
LIMITS = {"images_seen": 1000, "parameters": 9000, "seconds": 2}


@pytest.fixture
def competition(tmp_path, monkeypatch) -> Path:
    """A folder with scripts and sources of a small project, a teacher's file, and submissions."""
    from notebooks.assignments.build import build

    monkeypatch.setattr(leaderboard, "Limits", partial(Limits, wall=60))  # the machine may be busy with other things
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/a6_project.py").write_text(SCRIPT, encoding="utf-8")
    build([tmp_path / "scripts/a6_project.py"], tmp_path)
    (tmp_path / "secret.json").write_text(json.dumps(SECRET | {"limits": LIMITS}), encoding="utf-8")
    release = nbformat.read(tmp_path / "release/a6_project/a6_project.ipynb", as_version=4)
    solved = nbformat.read(tmp_path / "solution/a6_project/a6_project.ipynb", as_version=4)
    (tmp_path / "submissions").mkdir()
    nbformat.write(solved, tmp_path / "submissions/anna.ipynb")
    place = f"PLACE = {str(tmp_path / 'secret.json')!r}\n"
    for student, (answer, _) in ANSWERS.items():
        submitted = copy.deepcopy(release)
        if answer is not None:
            named(submitted, "detector").source = answer.replace("    import glob\n", f"    {place}")
        nbformat.write(submitted, tmp_path / f"submissions/{student}.ipynb")
    return tmp_path


@pytest.mark.slow
def test_board_of_good_and_bad_submissions(competition):
    from typer.testing import CliRunner

    arguments = ["leaderboard", "submissions", "--teacher-file", "secret.json", "--source", "source", "--out", "board", "--workers", "1"]
    arguments = [str(competition / word) if (competition / word).exists() or word == "board" else word for word in arguments[1:]]
    done = CliRunner().invoke(app, ["leaderboard", *arguments])
    assert done.exit_code == 0, done.output
    assert "model solution, not on the board: AUROC" in done.output

    with (competition / "board/leaderboard.csv").open(encoding="utf-8") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert next(iter(rows)) == "anna"
    assert list(rows)[1:] == sorted(ANSWERS)
    data = Teacher.read(competition / "secret.json").data()
    score = np.abs(data.X_test.astype(float) - data.X_train.astype(float).mean(axis=0)).max(axis=(1, 2, 3))
    pairs = score[data.y_test == 1][:, None] - score[data.y_test == 0][None]
    assert float(rows["anna"]["auroc"]) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean(), abs=6e-4)
    assert (rows["anna"]["rank"], rows["anna"]["images_seen"], rows["anna"]["parameters"]) == ("1", "16", "4096")
    for student, (_, said) in ANSWERS.items():
        assert rows[student]["trouble"].startswith(said), rows[student]
        assert rows[student]["rank"] == ""
        assert (rows[student]["auroc"] == "") == (student != "greedy")
    assert "7391" not in rows["peeping"]["trouble"]

    page = (competition / "board/leaderboard.html").read_text(encoding="utf-8")
    assert "No result: in training<" in page
    assert "no layers" not in page  # the class does not read each other's code
    assert "7391" not in page

    again = CliRunner().invoke(app, ["leaderboard", *arguments])  # nothing is run twice
    assert not any(f"{student}:" in again.output for student in ("anna", *ANSWERS)), again.output
    assert (competition / "board/leaderboard.html").read_text(encoding="utf-8") == page


@pytest.mark.slow
def test_a_stopped_leaderboard_keeps_no_verdict_on_what_was_running(competition):
    for path in (competition / "submissions").iterdir():
        if path.stem not in ("anna", "looping"):
            path.unlink()
    (competition / "secret.json").write_text(json.dumps(SECRET | {"limits": LIMITS | {"seconds": 100}}), encoding="utf-8")
    out = competition / "board"

    def stop(line: str) -> None:
        if line.startswith("anna"):
            threading.Timer(1.0, leaderboard._Competition.close, [running[0]]).start()

    running = []
    begin = leaderboard._Competition.__init__

    def remembered(self, *arguments) -> None:
        begin(self, *arguments)
        running.append(self)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(leaderboard._Competition, "__init__", remembered)
        make_leaderboard(
            competition / "submissions", competition / "secret.json", out, source=competition / "source", workers=1, report=stop
        )
    assert [path.name for path in (out / "entries").iterdir()] == ["anna.json"]
    assert not (out / "leaderboard.csv").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": None}, "seed is None, not a whole number"),
        ({"seed": -1}, "seed is -1, not a whole number"),
        ({"n_test": 2.5}, "n_test is 2.5, not a whole number"),
        ({"n_tests": 30}, "no place for 'n_tests'"),
        ({"condition": 3}, "lacks something"),
        ({"condition": {"foci": 3}}, "lacks something"),
        ({"condition": {"foci": ["a", "b"]}}, "lacks something"),
        ({"condition": {"foci": [1.5, 2]}}, "cannot be drawn"),
        ({"condition": {"foci": [1, 10**9]}}, "cannot be drawn"),
        ({"condition": {"radius": [0.1, float("inf")]}}, "cannot be drawn"),
        ({"condition": {"contrast": [float("nan"), 0.1]}}, "give the least and the most"),
        ({"condition": {"size": 3}}, "unexpected keyword argument 'size'"),
        ({"limits": {"images_seen": "many", "parameters": 3}}, "lacks something"),
        ({"limits": {"images_seen": 10, "parameters": 0}}, "every limit is a number above 0"),
        ({"limits": {"images_seen": 10, "parameters": 3, "seconds": float("inf")}}, "every limit is a number above 0"),
        ({"limits": {"images_seen": 10}}, "lacks something"),
    ],
)
def test_a_teachers_file_that_cannot_be_is_said_in_a_sentence(tmp_path, change, said):
    path = tmp_path / "secret.json"
    path.write_text(json.dumps(SECRET | {"limits": LIMITS} | change), encoding="utf-8")
    with pytest.raises(NovkitError, match=said) as caught:
        Teacher.read(path)
    assert "secret.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_loop_is_ended_where_the_file_names_no_seconds(tmp_path):
    path = tmp_path / "secret.json"
    path.write_text(json.dumps(SECRET | {"limits": {"images_seen": 10, "parameters": 3}}), encoding="utf-8")
    assert 0 < Teacher.read(path).limits.seconds < float("inf")
    for text in ("", "[]", "3", "null", '"secret"'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(NovkitError, match=r"secret\.json"):
            Teacher.read(path)


@pytest.mark.parametrize("spent", [Budget(10**400, 1, 1.0), None], ids=["numbers beyond all measure", "anything else"])
def test_trouble_with_one_is_that_ones_and_it_is_run_the_next_time(tmp_path, spent):
    """Of a competition, only what an entry needs."""
    competition = object.__new__(leaderboard._Competition)
    y = np.arange(40) % 2
    competition.teacher, competition.cache, competition.baselines = SimpleNamespace(limits=Budget(9, 9, 9.0)), Path("cache"), {}  # type: ignore[assignment]
    competition.data = SimpleNamespace(y_test=y, groups_test=np.arange(40).astype(str))  # type: ignore[assignment]
    found = [spent, Budget(1, 1, 1.0), RuntimeError("never asked for")]

    def scores(submission: object, keep_cache: object) -> tuple[np.ndarray, Budget]:
        if found[0] is None:
            raise RecursionError
        return np.linspace(0, 1, 40) + y, found[0]  # type: ignore[return-value]

    competition._scores = scores  # type: ignore[method-assign]
    ann, stored = Submission("ann", tmp_path / "ann.ipynb"), tmp_path / "ann.json"
    for trouble in (True, False):
        entry, is_new = competition.entry(ann, stored)
        assert is_new
        assert entry.trouble.startswith("It could not be run (") == trouble
        found.pop(0)
    assert competition.entry(ann, stored) == (entry, False)
