"""What students hand in, and the tables beside it: none of it ends the grading of the others, waits for ever or steers a terminal."""

import csv
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from PIL import Image

from novkit import cli
from novkit.errors import DataError, SettingsError
from novkit.files import printable, writable, write_json
from novkit.methods import read_settings
from novkit.teaching import folder as grading_folder
from novkit.teaching.board import Entry, write_board
from novkit.teaching.budget import Budget
from novkit.teaching.folder import grade_folder, grade_one
from novkit.teaching.grading import Check, Grade, PartGrade
from novkit.teaching.handed_in import collect, load_sources, read_table
from novkit.teaching.process import Limits, Worker
from novkit.teaching.submission import read_notebook

unix = pytest.mark.skipif(os.name == "nt", reason="names of files are bytes on Unix only, and pipes are files")
CODES = "\x1b]0;pwned\x07\x1b[2Jred\nsecond line"
MANUAL = {"nbgrader": {"grade": True, "solution": True, "grade_id": "why", "points": 5, "locked": False}}


def notebook(answer: str = "YOUR ANSWER HERE") -> NotebookNode:
    """An assignment of one written answer."""
    return new_notebook(cells=[new_markdown_cell(answer, metadata=MANUAL)])


@pytest.fixture
def source(tmp_path) -> Path:
    file = tmp_path / "a1_small.ipynb"
    file.write_text(json.dumps(notebook()))
    return file


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two submissions: Ann's written answer holds half a letter."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/ann.ipynb").write_text(json.dumps(notebook("half \ud800 a letter")))
    (tmp_path / "in/bob.ipynb").write_text(json.dumps(notebook("whole letters")))
    return tmp_path / "in"


@pytest.fixture
def graded(tmp_path, source, folder, monkeypatch) -> Callable[..., dict[str, dict[str, str]]]:
    """graded(): the lines of grades.csv by student; without a process, because nothing here is code."""

    def answered(submitted: NotebookNode, *rest: object, **options: object) -> Grade:
        return Grade("a1_small", {"why": PartGrade("why", 5.0, None, answer=submitted.cells[0].source, manual=True)})

    monkeypatch.setattr(grading_folder, "grade", answered)
    monkeypatch.setattr(grading_folder, "_warm", lambda *_: tmp_path)

    def run(**options: object) -> dict[str, dict[str, str]]:
        grade_folder(folder, tmp_path / "out", source=source, **options)  # type: ignore[arg-type]
        with (tmp_path / "out/grades.csv").open(encoding="utf-8") as file:
            return {row["student"]: row for row in csv.DictReader(file)}

    return run


# ---- half letters, which JSON and names of files can hold ------------------------------------------------------------------


def test_half_a_letter_in_an_answer_ends_nobodys_grading(graded, tmp_path, source, folder):
    assert set(graded()) == {"ann", "bob"}
    assert r"half \ud800 a letter" in (tmp_path / "out/feedback/ann.html").read_text(encoding="utf-8")
    grade_one(folder / "ann.ipynb", source=source, out=tmp_path / "one")
    assert (tmp_path / "one/ann.html").is_file()


@unix
def test_nor_does_a_name_that_is_no_text(graded, tmp_path, source, folder, capsys):
    strange = Path(os.fsdecode(os.fsencode(folder) + b"/c\xff.ipynb"))
    strange.write_text(json.dumps(notebook("mine")))
    broken = Path(os.fsdecode(os.fsencode(folder) + b"/d\xff.ipynb"))
    broken.write_text("{")
    grades = graded()
    assert set(grades) == {"ann", "bob", r"c\udcff", r"d\udcff"}
    assert r"d\udcff.ipynb is not a notebook" in grades[r"d\udcff"]["notes"]
    grade_one(strange, source=source, out=tmp_path / "one")
    assert "\udcff" not in capsys.readouterr().out
    (tmp_path / "names.csv").write_text("file,student\nann.ipynb,Ann\nbob.ipynb,Bob\n")
    with pytest.raises(DataError, match=r"does not say whose c\\udcff"):
        graded(names=tmp_path / "names.csv")


def test_a_board_shows_it(tmp_path):
    write_board([Entry("half \ud800", trouble="x \udcff")], {"base": 0.5}, Budget(1, 1, 1.0), tmp_path)
    assert r"half \ud800" in (tmp_path / "leaderboard.html").read_text(encoding="utf-8")


def test_what_a_process_answers_can_be_written():
    """Such as the path that it was refused to read; and nothing that it sends ends the grader."""
    worker = Worker((), Limits())
    worker._token = "t"
    answer = worker._genuine(json.dumps({"token": "t", "event": "done", "refused": ["reading /x\udcff"]}).encode())
    assert answer == {"status": "done", "event": "done", "refused": ["reading /x?"]}
    assert worker._genuine(b"[" * 100_000) is None


def test_what_json_cannot_hold_is_a_sentence_and_changes_nothing(tmp_path):
    write_json(tmp_path / "a.json", "before")
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("half \ud800", deep):
        with pytest.raises(DataError, match=r"a\.json could not be written"):
            write_json(tmp_path / "a.json", value)
    assert [path.read_text() for path in tmp_path.iterdir()] == ['"before"\n']


# ---- names and messages ------------------------------------------------------------------------------------------------------

COURSE = "Introduction to machine learning for medical imaging, winter term 2026, assignment 1-48213"


@pytest.mark.parametrize("course", [COURSE, "医用画像のための機械学習入門" * 6], ids=["long", "of several bytes"])
def test_students_whose_long_folders_begin_alike_are_graded_apart(graded, tmp_path, course, folder):
    for student in ("Ann Lee_1", "Bob Ray_2"):
        (folder / course / student).mkdir(parents=True)
        (folder / course / student / "a1.ipynb").write_text(json.dumps(notebook(f"by {student}")))
    grades = graded()
    assert set(grades) == {"ann", "bob", f"{course}/Ann Lee_1/a1", f"{course}/Bob Ray_2/a1"}
    pages = [page.read_text(encoding="utf-8") for page in (tmp_path / "out/feedback").iterdir()]
    assert len(pages) == 4
    assert all(sum(f"by {student}" in page for page in pages) == 1 for student in ("Ann Lee_1", "Bob Ray_2"))


def test_one_student_twice_is_a_sentence(folder, tmp_path):
    (tmp_path / "names.csv").write_text("file,student\nann.ipynb,Ann\nbob.ipynb,Ann\n")
    with pytest.raises(DataError, match=r"ann\.ipynb and .*bob\.ipynb both belong to the student Ann: keep one\.$"):
        collect(folder, tmp_path / "out", tmp_path / "names.csv")


def test_what_a_students_code_says_is_one_line(graded, source, folder, monkeypatch):
    """Else it could say what looks like a grader's line."""
    said: list[str] = []
    failed = Check("why", 0.0, 5.0, "failed", "no\na1: 100 of 100 points\r\n[3/3] Eve: 100 of 100\u2028x")
    monkeypatch.setattr(grading_folder, "grade", lambda *_, **__: Grade("a1_small", {"why": PartGrade("why", 5.0, 0.0, [failed])}))
    grade_one(folder / "bob.ipynb", source=source, report=said.append)
    assert [line.split()[0] for text in said for line in text.splitlines()] == ["why", "why,", "a1_small:"]


# ---- what is no file, no notebook, no table --------------------------------------------------------------------------------


@unix
@pytest.mark.timeout(60)
def test_nobody_waits_for_a_pipe(graded, tmp_path, folder):
    os.mkfifo(folder / "pipe.ipynb")
    os.mkfifo(tmp_path / "names.csv")
    assert "no file that can be read" in graded()["pipe"]["notes"]
    with pytest.raises(DataError, match="is no file"):
        graded(names=tmp_path / "names.csv")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("ann.ipynb," + "x" * 200_000, "field larger"),
        (f"{'x' * 300}.ipynb,Ann", "which is not in"),
        ('ann.ipynb,"Ann\nbob.ipynb,Bob', "quotation mark"),
    ],
    ids=["long field", "long name", "open quote"],
)
def test_a_table_of_names_is_read_or_refused_in_a_sentence(folder, tmp_path, lines, words):
    (tmp_path / "names.csv").write_text(f"file,student\n{lines}\n")
    with pytest.raises(DataError, match=words):
        collect(folder, tmp_path / "out", tmp_path / "names.csv")


def test_a_comment_may_have_lines(tmp_path):
    (tmp_path / "manual.csv").write_text('student,part,points,comment\nAnn,why,1,"one\ntwo"\n')
    assert read_table(tmp_path / "manual.csv", ("student", "part", "points"))[0]["comment"] == "one\ntwo"


def test_a_damaged_source_is_a_sentence(tmp_path):
    (tmp_path / "bad.ipynb").write_text("{")
    with pytest.raises(DataError, match=r"bad\.ipynb is not a notebook .*--source"):
        load_sources(tmp_path / "bad.ipynb")
    with pytest.raises(DataError, match="no file"):
        read_notebook(tmp_path)


# ---- the command line ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 100_000], ids=["digits", "lists"])
def test_a_setting_that_json_gives_up_on_is_a_text(value):
    assert read_settings([f"epochs={value}"]) == {"epochs": value}
    with pytest.raises(SettingsError):
        read_settings([value])


@pytest.mark.parametrize("value", ["9" * 5000, "many", "[3]"], ids=["digits", "word", "list"])
def test_nor_is_it_taken_for_a_number(tmp_path, monkeypatch, capsys, value):
    words = ["train", "autoencoder", "--data", "digits", "--out", str(tmp_path / "fitted"), "--setting", f"epochs={value}"]
    monkeypatch.setattr(sys, "argv", ["novkit", *words])
    with pytest.raises(SystemExit):
        cli.main()
    assert "Error: epochs of autoencoder cannot be" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_labels_do_not_steer_a_terminal(tmp_path, monkeypatch, capsys):
    for k in range(2):
        Image.new("L", (16, 16), 90 * k).save(tmp_path / f"{k}.png")
    with (tmp_path / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "group"), ("0.png", CODES, "g"), ("1.png", "plain", "h")])
    for words in (["data", "show"], ["data", "prepare"]):
        monkeypatch.setattr(sys, "argv", ["novkit", *words, str(tmp_path), "--size", "16"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        said = capsys.readouterr().out
        assert r"\x1b]0;pwned\x07\x1b[2Jred\nsecond line" in said
        assert all(letter.isprintable() or letter == "\n" for letter in said)


def test_nor_does_the_name_of_a_student(graded, tmp_path, capsys):
    (tmp_path / "names.csv").write_text("file,student\nann.ipynb,A\x1b[2Jnn\nbob.ipynb,Bob\n")
    graded(names=tmp_path / "names.csv")
    assert r"A\x1b[2Jnn: 0 of 5" in capsys.readouterr().out


def test_only_what_cannot_be_shown_is_changed():
    assert printable("ä × 😀 'quoted' \\n\u202e\n", keep="\n") == "ä × 😀 'quoted' \\n\\u202e\n"
    assert writable("ä 😀 \x1b\ud800") == "ä 😀 \x1b\\ud800"
