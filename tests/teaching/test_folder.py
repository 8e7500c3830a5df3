"""A folder of submissions: names, resuming, one part alone, points by hand, and the files that come out."""

import copy
import csv
from pathlib import Path

import nbformat
import pytest

from novkit.errors import DataError, SettingsError
from novkit.teaching.folder import grade_folder
from novkit.teaching.handed_in import read_table
from tests.teaching.conftest import LIMITS, build_small, named


def table(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


@pytest.fixture
def handed_in(tmp_path, submit, release) -> Path:
    folder = tmp_path / "submissions"
    (folder / "Ann_123_file").mkdir(parents=True)
    nbformat.write(submit(), folder / "Ann_123_file" / "a1.ipynb")
    nbformat.write(submit(middle="def middle(x):\n    return 2.0", why=None), folder / "bob.ipynb")
    nbformat.write(copy.deepcopy(release), folder / "=cmd.ipynb")
    (folder / "dora.ipynb").write_text("not a notebook", encoding="utf-8")
    names = "file;student\nAnn_123_file/a1.ipynb;Ann\nbob.ipynb;Bob\n=cmd.ipynb;=cmd\ndora.ipynb;Dora\n"
    (tmp_path / "names.csv").write_text(names, encoding="utf-8")
    return folder


@pytest.mark.slow
def test_folder_is_graded_resumed_and_regraded_in_parts(handed_in, course, tmp_path):
    out, said = tmp_path / "out", []
    own = build_small(tmp_path / "own")
    options = {"source": own / "source", "names": tmp_path / "names.csv", "limits": LIMITS, "report": said.append}

    def run(**more) -> dict[str, dict[str, str]]:
        said.clear()
        grade_folder(handed_in, out, **options, **more)
        return table(out / "grades.csv")

    grades = run()
    assert "4 submissions, 4 to be graded" in said[0]
    assert {name: row["points"] for name, row in grades.items()} == {"Ann": "9", "Bob": "4", "'=cmd": "0", "Dora": "0"}
    assert grades["Ann"] | {"middle": "5", "ranking": "4", "why": "", "pending": "5", "out_of": "14"} == grades["Ann"]
    assert "not a notebook" in grades["Dora"]["notes"]
    assert sorted(path.name for path in (out / "feedback").iterdir()) == ["Ann.html", "Bob.html", "Dora.html", "cmd.html"]
    assert "To be read." in (out / "feedback" / "Ann.html").read_text(encoding="utf-8")

    run()
    assert "0 to be graded" in said[0]

    (tmp_path / "manual.csv").write_text("student,part,points,comment\nAnn,why,3.5,Say <why>.\n", encoding="utf-8")
    assert run(manual=tmp_path / "manual.csv")["Ann"]["points"] == "12.5"
    assert "Say &lt;why&gt;." in (out / "feedback" / "Ann.html").read_text(encoding="utf-8")

    path = own / "source/a1_small/a1_small.ipynb"  # the teacher mends one part
    mended = nbformat.read(path, as_version=4)
    tests = named(mended, "middle_tests")
    tests.source = tests.source.split("### BEGIN")[0]
    nbformat.write(mended, path)
    (out / "results" / "Bob.json").touch()
    grades = run()
    assert "4 to be graded" in said[0]
    assert grades["Bob"]["middle"] == "3"
    assert grades["Ann"]["points"] == "12.5"  # what was entered by hand stays
    grades = run(parts=["ranking"])
    assert "4 to be graded" in said[0]
    assert grades["Ann"]["points"] == "12.5"

    with pytest.raises(SettingsError, match="no part 'rankin'"):
        run(parts=["rankin"])
    nbformat.write(named_copy(handed_in / "bob.ipynb"), handed_in / "extra.ipynb")
    with pytest.raises(DataError, match=r"does not say whose extra\.ipynb is"):
        run()


def named_copy(path: Path):
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize(
    ("text", "said"),
    [("file,student\nnowhere.ipynb,X\n", "which is not in"), ("name,who\na,b\n", "no column 'file'"), ("file,student\n", "no line below")],
)
def test_names_that_do_not_fit_are_said_before_anything_is_run(handed_in, course, tmp_path, text, said):
    names = tmp_path / "wrong.csv"
    names.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        grade_folder(handed_in, tmp_path / "out", source=course / "source", names=names)
    assert not (tmp_path / "out").exists()


def test_one_student_hands_in_once(handed_in, course, tmp_path):
    names = tmp_path / "wrong.csv"
    names.write_text("file,student\nAnn_123_file/a1.ipynb,Ann\nbob.ipynb,ann\n=cmd.ipynb,C\ndora.ipynb,D\n", encoding="utf-8")
    with pytest.raises(DataError, match="both belong to the student ann"):
        grade_folder(handed_in, tmp_path / "out", source=course / "source", names=names)


def test_tables_with_comma_semicolon_and_a_byte_order_mark(tmp_path):
    for text in ("student,part,points\na,b,1\n", "\ufeffstudent;part;points\na;b;1\n", "student\tpart\tpoints\na\tb\t1\n"):
        (tmp_path / "t.csv").write_text(text, encoding="utf-8")
        assert read_table(tmp_path / "t.csv", ("student", "points")) == [{"student": "a", "part": "b", "points": "1"}]
