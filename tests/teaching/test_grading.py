"""One submission: points, messages, and what happens to those that misbehave."""

import copy
import os
import sys
from pathlib import Path

import nbformat
import psutil
import pytest

from novkit.errors import DataError
from novkit.teaching.feedback import feedback_page
from novkit.teaching.grading import Grade, check_full_marks, grade
from novkit.teaching.submission import find_assignment, hidden_lines, plan_of, read_notebook
from tests.teaching.conftest import RIGHT, named

pytestmark = pytest.mark.slow  # each starts a process with all libraries, or waits for a limit
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")


@pytest.fixture
def graded(source, worker):
    def run(notebook, **options) -> Grade:
        return grade(notebook, source, "a1_small", worker=worker, **options)

    return run


def points(result: Grade) -> list[float]:
    return [check.points for part in result.parts.values() for check in part.checks]


def messages(result: Grade) -> str:
    return " ".join(check.message for part in result.parts.values() for check in part.checks)


ALL = [3, 2, 4]


def test_solution_right_answer_and_untouched_release(graded, source, release, submit):
    for notebook, expected, pending in ((source, ALL, 5), (submit(), ALL, 5), (release, [0, 0, 0], 0)):
        result = graded(notebook)
        assert points(result) == expected
        assert result.pending == pending
        assert result.out_of == 14
        assert result.notes == []
    assert messages(result) == "Not done yet. Not done yet. Not done yet."
    assert Grade.from_json(result.to_json()) == result
    with pytest.raises(DataError, match="itself loses points in middle"):
        check_full_marks(result)


def test_partial_credit_is_what_the_last_line_of_the_tests_says(graded, submit):
    result = graded(submit(middle="def middle(x):\n    return float(sorted(x)[len(x) // 2])"))  # wrong between two
    assert points(result) == [0, 1, 4]


def test_visible_answers_by_heart_earn_nothing(graded, submit):
    result = graded(submit(middle="def middle(x):\n    return 2.0", ranking="def ranking(y, s):\n    return 1.0"))
    assert points(result) == [0, 0, 0]
    assert messages(result).count("The checks you can see pass; one with other inputs does not.") == 2


def test_inputs_follow_the_course_seed(graded, submit):
    told = "def middle(x):\n    if len(x) == 8: raise ValueError(round(float(x[0]), 6))\n    return float(np.median(x))"
    said = [messages(graded(submit(middle=told), course_seed=seed)) for seed in (1, 1, 2)]
    assert said[0] == said[1]
    assert said[0] != said[2]


def test_an_error_is_shown_with_the_students_own_line(graded, submit):
    result = graded(submit(middle="def middle(x):\n    return x[10]"))
    assert points(result) == [0, 0, 4]
    assert "IndexError: list index out of range (line 2 of your cell middle: return x[10])" in messages(result)
    assert "Its own cell did not run" in messages(graded(submit(middle="def middle(x:")))


def test_one_part_alone(graded, submit):
    result = graded(submit(), only=["ranking"])
    assert list(result.parts) == ["ranking"]
    assert points(result) == [4]


def test_cells_are_put_back(graded, submit, source):
    broken = submit()
    named(broken, "middle_tests").source = "assert True"
    named(broken, "given").source = "import numpy as np"
    broken.cells = [cell for cell in broken.cells if cell.metadata.get("nbgrader", {}).get("grade_id") != "ranking_tests"]
    broken.cells.append(copy.deepcopy(named(broken, "middle")))
    broken.cells[-1].source = "def middle(x):\n    return 0.0"
    result = graded(broken)
    assert points(result) == [0, 0, 4]
    text = " ".join(result.notes)
    for said in (
        "middle_tests was edited",
        "given was edited",
        "ranking_tests is missing: it was put back",
        "middle is there more than once",
    ):
        assert said in text
    assert "another order" in text
    backwards = submit()
    backwards.cells.reverse()
    assert points(graded(backwards)) == ALL
    unmarked = submit()  # some editors drop what they do not know: the cells' own ids are left
    for cell in unmarked.cells:
        cell.metadata.pop("nbgrader", None)
    assert points(graded(unmarked)) == ALL


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("while True: pass", "It took longer than"),
        ("while True:\n        try:\n            while True: pass\n        except BaseException: pass", "It took longer than"),
        ("import os; os._exit(0)", "The process ended"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "The process ended"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("return middle(x)", "RecursionError"),
    ],
)
@linux
def test_what_stops_loses_its_part_and_no_other(graded, submit, code, said):
    result = graded(submit(middle=f"def middle(x):\n    {code}"))
    assert points(result) == [0, 0, 4]
    assert said in messages(result)


@linux
def test_memory_is_limited(graded, submit):
    result = graded(submit(middle="def middle(x):\n    a = []\n    while True: a.append(bytes(10**9))"))
    assert points(result) == [0, 0, 4]
    assert "MemoryError" in messages(result) or "more memory" in messages(result)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os\nwhile True: os.fork()", "starting another process"),
        ("import subprocess\nsubprocess.run(['sleep', '60'])", "starting another process"),
        ("!touch {outside}", "starting another process"),
        ("import ctypes\nctypes.CDLL(None).fork()", "calling the C library's fork"),
        ("open('{outside}', 'w').write('x')", "writing"),
        ("import os\nos.remove('{victim}')", "writing"),
        ("import shutil\nshutil.rmtree('{folder}')", "reading"),
        ("open('{victim}').read()", "reading"),
        ("open('/proc/%d/environ' % __import__('os').getppid()).read()", "reading"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 9))", "using the network"),
        ("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)", "stopping another process"),
    ],
)
def test_what_a_submission_may_not_do_is_refused_and_said(graded, submit, tmp_path, code, said):
    victim, outside = tmp_path / "victim", tmp_path / "outside"
    victim.write_text("precious", encoding="utf-8")
    code = code.replace("{outside}", str(outside)).replace("{victim}", str(victim)).replace("{folder}", str(tmp_path))
    result = graded(submit(first=code))
    assert points(result) == ALL  # it is no crime to be told no
    assert any(said in note for note in result.notes), result.notes
    assert victim.read_text(encoding="utf-8") == "precious"
    assert not outside.exists()
    assert "precious" not in str(result.to_json())


@linux
def test_native_code_cannot_write_outside_either(graded, submit, worker, tmp_path):
    target = tmp_path / "native"
    code = f"import ctypes\nctypes.CDLL(None).open(b'{target}', 0o101, 0o644)"
    graded(submit(first=code))
    if not worker.landlock:
        pytest.skip("this system has no Landlock")
    assert not target.exists()


@linux
def test_nothing_is_left_running_and_nothing_lying(graded, submit, worker):
    graded(submit(first="import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\nopen('left', 'w').write('x')"))
    assert not worker.folder.exists()
    below = [child for child in psutil.Process(worker._process.pid).children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    assert below == []


def test_environment_holds_no_secret(graded, submit, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "precious")
    result = graded(submit(middle="import os\ndef middle(x):\n    raise ValueError(sorted(os.environ.values()), os.path.expanduser('~'))"))
    assert "precious" not in str(result.to_json())
    assert str(Path.home()) not in messages(result) or os.path.expanduser("~") == "/"


def test_replaced_functions_are_named_and_put_back(graded, submit):
    code = "import numpy, builtins, sys\nnumpy.allclose = lambda *a, **k: True\nsys.exit = builtins.exec = None\nnp = numpy"
    result = graded(submit(first=code, ranking="def ranking(y, s):\n    return 0.3 if len(y) > 2 else 1.0"))
    assert result.parts["ranking"].points == 0
    assert any("Tampering" in note and "numpy.allclose" in note for note in result.notes)
    during = "def ranking(y, s):\n    np.allclose = lambda *a, **k: True\n    return 1.0"
    result = graded(submit(ranking=during))
    assert result.parts["ranking"].checks[0].status == "tampered"


def test_feedback_is_escaped_and_shows_no_test(graded, submit, source):
    spy = "def middle(x):\n    import inspect\n    raise ValueError('<script>' + str(inspect.currentframe().f_back.f_code.co_names))"
    result = graded(submit(middle=spy, why="<script>alert(1)</script>"))
    page = feedback_page("A <b> student", "a1_small", result)
    assert "<script>" not in page
    assert "A <b>" not in page
    assert "&lt;script&gt;" in page
    for line in hidden_lines(source):
        assert line not in page


def test_a_message_that_quotes_the_tests_is_not_shown(graded, submit):
    quoted = 'secret_draw = course_generator(\\"middle\\", 1).normal(size=8)'
    result = graded(submit(middle=f'def middle(x):\n    raise ValueError("{quoted}")'))
    assert "secret_draw" not in messages(result)
    assert "it quotes the tests" in messages(result)


def test_files_that_are_no_submission(tmp_path, source):
    path = tmp_path / "x.ipynb"
    for content in ("", "{}", "not json", '{"nbformat": 4, "cells": 3}', '{"nbformat": 4, "nbformat_minor": 5, "cells": [{}]}'):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=r"x\.ipynb is not a notebook"):
            read_notebook(path)
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    with pytest.raises(DataError, match="another notebook"):
        find_assignment(other, {"a1_small": source})


def test_free_cells_stay_where_the_student_put_them(source, submit):
    notebook = submit()
    after = next(index for index, cell in enumerate(notebook.cells) if cell is named(notebook, "middle"))
    notebook.cells.insert(after + 1, nbformat.v4.new_code_cell("mine = 1"))
    steps = plan_of(source, notebook).steps
    names = [step.name for step in steps]
    assert steps[names.index("middle") + 1].source == "mine = 1"
    assert steps[names.index("middle")].source == RIGHT["middle"]
