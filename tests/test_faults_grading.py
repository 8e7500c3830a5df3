"""Two at once in one folder of grades or of a leaderboard: the second says so and waits, and nothing that was entered is lost."""

import csv
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from nbformat import NotebookNode

from novkit.teaching import folder as grading_folder
from novkit.teaching import leaderboard
from novkit.teaching.board import Entry
from novkit.teaching.budget import Budget
from novkit.teaching.folder import grade_folder
from novkit.teaching.grading import Grade, PartGrade
from novkit.teaching.leaderboard import make_leaderboard
from tests.campaign import record
from tests.test_hostile_handed_in import notebook
from tests.waiting import PATIENCE, Heard

WELL = "the second said so, waited, and went on"


@pytest.fixture
def given(tmp_path) -> Path:
    """One submission, with its source and points for it."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/ann.ipynb").write_text(json.dumps(notebook("mine")))
    (tmp_path / "a1_small.ipynb").write_text(json.dumps(notebook()))
    (tmp_path / "manual.csv").write_text("student,part,points\nann,why,5\n")
    return tmp_path


class Held:
    """Stands in for what takes long: tells when it has begun, and goes on when the second run has said that it waits."""

    def __init__(self, heard: Heard) -> None:
        self.heard, self.begun, self.calls = heard, threading.Event(), 0

    def __call__(self) -> None:
        self.calls += 1
        if not self.begun.is_set():
            self.begun.set()
            self.heard.wait()


def two_at_once(held: Held, first: Callable[[], object], second: Callable[[], object]) -> None:
    thread = threading.Thread(target=first)
    thread.start()
    assert held.begun.wait(PATIENCE)
    second()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_points_that_were_entered_stay_whoever_is_at_work(given, monkeypatch):
    heard = Heard(monkeypatch, f"Another grading is at work in {given / 'out'}: waiting for it.")
    held = Held(heard)

    def grade(submitted: NotebookNode, *rest: object, **options: object) -> Grade:
        held()
        return Grade("a1_small", {"why": PartGrade("why", 5.0, None, answer=submitted.cells[0].source, manual=True)})

    monkeypatch.setattr(grading_folder, "grade", grade)
    monkeypatch.setattr(grading_folder, "_warm", lambda *_: given)

    def run(**options: Path) -> None:
        grade_folder(given / "in", given / "out", source=given / "a1_small.ipynb", report=lambda _: None, **options)

    def points() -> str:
        with (given / "out/grades.csv").open(encoding="utf-8") as file:
            return next(csv.DictReader(file))["points"]

    two_at_once(held, run, lambda: run(manual=given / "manual.csv"))
    after = points()
    run()
    kept = (after, points(), held.calls) == ("5", "5", 1)
    outcome = WELL if kept else "points were lost, or given twice"
    record("Faults", "two runs in one folder", part="grade", tried=1, outcome=outcome)
    assert kept, (after, points(), held.calls)


def test_a_second_leaderboard_finds_the_work_done(given, monkeypatch):
    heard = Heard(monkeypatch, f"Another run is at work in {given / 'out'}: waiting for it.")
    held = Held(heard)
    inside, most = [0], [0]

    class Competition:
        def __init__(self, *_: object) -> None:
            inside[0] += 1
            most[0] = max(most[0], inside[0])

        def solve(self) -> Entry:
            held()
            return Entry("model solution", auroc=0.9)

        def entry(self, submission: object, stored: Path) -> tuple[Entry, bool]:
            return Entry("ann", trouble="none"), True

        def baseline_aurocs(self) -> dict[str, float]:
            return {}

        def close(self) -> None:
            inside[0] -= 1

    monkeypatch.setattr(leaderboard, "_Competition", Competition)
    monkeypatch.setattr(leaderboard.Teacher, "read", lambda path: SimpleNamespace(limits=Budget(1, 2, 3.0)))

    def run() -> None:
        make_leaderboard(given / "in", given / "teacher.json", given / "out", source=given / "a1_small.ipynb", report=lambda _: None)

    two_at_once(held, run, run)
    well = most == [1] and held.calls == 2 and (given / "out/leaderboard.html").is_file()
    record("Faults", "two runs in one folder", part="leaderboard", tried=1, outcome=WELL if well else "both were at work")
    assert well, (most, held.calls)
