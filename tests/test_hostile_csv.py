"""Tables for spreadsheets: no name becomes a formula in them, at whichever of comma, semicolon and tab they cut the lines."""

import pytest
from nbformat.v4 import new_notebook

from novkit.files import csv_cell
from novkit.teaching.folder import write_grades
from novkit.teaching.grading import Grade, PartGrade
from novkit.teaching.handed_in import Submission
from novkit.widgets.score_view import selection_csv
from tests.spreadsheets import FORMULAS, no_formulas
from tests.test_hostile_text import HOSTILE, TOGETHER, _shown


def test_an_exported_selection_holds_no_formula():
    for name in (*HOSTILE, *FORMULAS):
        no_formulas(selection_csv(*_shown(name)), 41)


@pytest.mark.parametrize("name", [*HOSTILE, *TOGETHER, *FORMULAS], ids=lambda name: ascii(name[:30]))
def test_nor_do_grades(tmp_path, name):
    graded = Grade("a1", {"why": PartGrade("why", 5.0)}, notes=[name, f"said {name}"])
    submission = Submission(name, tmp_path / name.replace("/", "_")[:50], trouble=name, grade=graded)
    write_grades([submission] * 3, new_notebook(), tmp_path / "grades.csv")
    no_formulas((tmp_path / "grades.csv").read_text(encoding="utf-8"), 4)


@pytest.mark.parametrize(
    ("text", "cell"),
    [("Ann", "Ann"), ("a, -b; c", "a, -b; c"), ("=1", "'=1"), ("x;=1", "x;'=1"), ("x\t -1", "x\t' -1"), ("it's = 1", "it's = 1"), ("", "")],
)
def test_a_cell_of_a_csv_is_the_text_but_for_what_would_begin_a_formula(text, cell):
    assert csv_cell(text) == cell
    assert csv_cell(" ;" * 100_000) == " ;" * 100_000  # soon


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_is_noticed(name):
    with pytest.raises(AssertionError):
        no_formulas(f'"{name.replace(chr(34), 2 * chr(34))}",1\nx,"{name.replace(chr(34), 2 * chr(34))}"\n', 2)
