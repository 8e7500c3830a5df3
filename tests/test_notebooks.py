"""The stored notebooks: they run, what they state is checked, and what is stored is small, clean and seen without JavaScript."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

from notebooks import build
from novkit.notebooks import source_markdown

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9]*.ipynb"))
MINUTES = 15  # for a slow machine that is doing other things too; a notebook takes at most 3

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def checked_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in build.code_cells(notebook) if "NBVAL_CHECK_OUTPUT" in cell.source]


def nbval(path: Path) -> subprocess.CompletedProcess:
    """Run a notebook on the CPU and compare its checked cells with what is stored."""
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout", str(60 * MINUTES)]
    command += ["--nbval-kernel-startup-timeout", "300"]
    command += ["-p", "no:cacheprovider", "-p", "no:xdist", "--color=no", "--rootdir", str(path.parent), path.name]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {"CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, capture_output=True, text=True, cwd=path.parent, env=environment, timeout=60 * (MINUTES + 1))


@pytest.mark.slow
@each_notebook
def test_notebook_runs_in_a_folder_of_its_own_and_says_what_is_stored(path, tmp_path):
    mine = Path(shutil.copy(path, tmp_path))
    done = nbval(mine)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert re.search(r"\b\d+ passed", done.stdout)
    left = {file.name for file in tmp_path.iterdir()} - {mine.name, "__pycache__"}
    assert not left, "a notebook leaves nothing behind that a second run would find"


# ---- interrupted -----------------------------------------------------------------------------------------------------

INTERRUPTED = {  # notebook -> cells to stop, by what they hold: after so many seconds, or when such a file is there; the last cell to rerun
    "00": ([('load("brain"', 0.5)], "cases ="),  # into an empty cache
    "08": ([("run_job(", 1.0)], "run_job("),
    "12": ([("write_folder(folder)", "*_1.png"), ("measured(", "results.json")], "score_folder("),
}


class Student:
    """A kernel in a folder, with an empty cache of its own, and the notebook's code cells."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.cells = [cell.source for cell in build.code_cells(read(path))]
        self.work, own = folder / "work", {"NOVKIT_CACHE": str(folder / "cache"), "TMPDIR": str(folder / "temporary")}
        for place in (self.work, folder / "temporary"):
            place.mkdir()
        environment = os.environ | own | {"CUDA_VISIBLE_DEVICES": ""}
        self.manager, self.client = start_new_kernel(startup_timeout=300, cwd=str(self.work), env=environment)
        imports = (node for cell in self.cells for node in ast.parse(cell).body if isinstance(node, ast.Import | ast.ImportFrom))
        drawn = 'from novkit.data import load\nload("brain", seed=0, n_healthy=1, n_novel=1, progress=False)'  # imports what it needs
        trained = "import torch\ntorch.optim.Adam([torch.ones(1, requires_grad=True)])"  # so does this
        assert self.run("\n".join([*map(ast.unparse, imports), drawn, trained])) == "ok"  # a stopped import may go on, or break the kernel

    def run(self, code: str, stop: float | str | None = None) -> str:
        """Run a cell, perhaps interrupt it -> "ok", or the name of its error."""
        before, sent = time.time(), self.client.execute(code, stop_on_error=False)  # else a cell sent at once after an error may be skipped
        if isinstance(stop, str):
            while not self.has_written(stop, since=before):
                assert time.time() < before + 60 * MINUTES, f"no {stop} was written"
                time.sleep(0.01)
        elif stop is not None:
            self.has_begun(sent)
            time.sleep(stop)
        if stop is not None:
            self.manager.interrupt_kernel()
        while (reply := self.client.get_shell_msg(timeout=60 * MINUTES))["parent_header"].get("msg_id") != sent:
            continue
        return reply["content"].get("ename", reply["content"]["status"])

    def has_begun(self, sent: str) -> None:
        """Wait until the kernel runs the cell: an interrupt that comes earlier is lost."""
        while True:
            message = self.client.get_iopub_msg(timeout=60 * MINUTES)
            if message["msg_type"] == "execute_input" and message["parent_header"].get("msg_id") == sent:
                return

    def has_written(self, pattern: str, since: float) -> bool:
        try:
            return any(file.stat().st_mtime > since for file in (self.work.parent / "temporary").rglob(pattern))
        except FileNotFoundError:  # a file or folder that was just taken away
            return False

    def run_from_the_top(self, count: int) -> None:
        for cell in self.cells[:count]:
            assert self.run(cell) == "ok", cell

    def place(self, text: str) -> int:
        return next(number for number, cell in enumerate(self.cells) if text in cell)


@pytest.mark.slow
@pytest.mark.parametrize("number", INTERRUPTED)
def test_a_notebook_that_was_interrupted_runs_again_from_the_top(number, tmp_path):
    stops, last = INTERRUPTED[number]
    student = Student(next(path for path in NOTEBOOKS if path.stem.startswith(number)), tmp_path)
    try:
        for text, stop in stops:
            place = student.place(text)
            student.run_from_the_top(place)
            assert student.run(student.cells[place], stop) == "KeyboardInterrupt", f"{text} ended before it was stopped"
        student.run_from_the_top(student.place(last) + 1)
    finally:
        student.client.stop_channels()
        student.manager.shutdown_kernel(now=True)
    assert list(student.work.iterdir()) == []


# ---- what is stored --------------------------------------------------------------------------------------------------


@each_notebook
def test_stored_notebook_is_its_script(path):
    script = FOLDER / "scripts" / f"{path.stem}.py"
    assert script.exists(), f"{path.name} has no script: write notebooks/scripts/{script.name}"
    cells = [[(cell.cell_type, cell.source) for cell in notebook.cells] for notebook in (jupytext.read(script), read(path))]
    assert cells[0] == cells[1], "the script was changed: run `make notebooks`"


def test_every_script_has_its_notebook():
    assert {path.stem for path in (FOLDER / "scripts").glob("*.py")} == {path.stem for path in NOTEBOOKS}


@each_notebook
def test_stored_notebook_is_whole_and_clean(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert build.problems(notebook) == []
    counts = [cell.execution_count for cell in build.code_cells(notebook) if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1)), "stored from a run that did not go from top to bottom"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


@each_notebook
def test_enough_is_checked(path):
    """nbval passes what has no output or no count: each checked cell needs both."""
    checked = checked_cells(read(path))
    assert len(checked) >= 4
    for cell in checked:
        assert cell.outputs
        assert cell.execution_count
        said = "".join(output.get("text", output.get("data", {}).get("text/plain", "")) for output in cell.outputs)
        assert re.search(r"\d|True|False|correct", said), f"a checked cell states nothing that could be wrong: {said!r}"


@each_notebook
def test_what_a_reader_needs_is_there(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    assert text.startswith("# ")
    for part in (
        "What you will learn",
        r"\bminutes?\b|\bseconds\b",
        r"\b[GM]B\b",
        "Predict",
        "Exercise",
        "<summary>",
        "Sources",
        "Read next",
    ):
        assert re.search(part, text), f"there is no {part!r}"
    links = re.findall(r"\]\((?!https?://|#)([^)\s]+)\)", text)
    assert [link for link in links if not (FOLDER / link.split("#")[0]).exists()] == []


@each_notebook
def test_small_enough(path):
    assert path.stat().st_size <= build.LARGEST


def test_all_notebooks_together_are_small_enough():
    assert sum(path.stat().st_size for path in NOTEBOOKS) <= 8 * build.LARGEST


# ---- that the check itself can fail ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_changed_number_is_noticed(tmp_path):
    path = tmp_path / "00_tiny.ipynb"
    cell = nbformat.v4.new_code_cell("# NBVAL_CHECK_OUTPUT\nprint('AUROC above 0.7:', 0.74 > 0.7, 12)")
    notebook = nbformat.v4.new_notebook(
        cells=[cell], metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    )
    build.execute(notebook, tmp_path)
    for stored, passes in (("True 12", True), ("True 13", False), ("False 12", False)):
        text = json.dumps(notebook)
        assert "True 12" in text
        path.write_text(text.replace("True 12", stored), encoding="utf-8")
        assert (nbval(path).returncode == 0) == passes, stored


def shown_sources(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """What each `show_source(…)` cell names -> the Markdown stored below it."""
    found = {}
    for cell in build.code_cells(notebook):
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "show_source":
                (found[ast.unparse(node.value.args[0])],) = (o.data["text/markdown"] for o in cell.outputs if "data" in o)
    return found


def test_source_that_a_notebook_shows_is_the_code_s_own():
    compared = 0
    for path in NOTEBOOKS:
        notebook, names = read(path), {}
        nodes = [node for cell in build.code_cells(notebook) for node in ast.parse(cell.source).body]
        exec("\n".join(ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)), names)
        for thing, stored in shown_sources(notebook).items():
            assert stored == source_markdown(eval(thing, names)), f"{path.name} shows an older {thing}: run `make notebooks`"
            compared += 1
    assert compared > 10
