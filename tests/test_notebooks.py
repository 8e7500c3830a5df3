"""The stored notebooks: they run, what they state is checked, and what is stored is small, clean and seen without JavaScript."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

from notebooks import build

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
