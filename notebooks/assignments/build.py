"""Build the assignments: from each script the source notebook, what students get (release), and the solution.

    python -m notebooks.assignments.build              # all of them (`make assignments`)
    python -m notebooks.assignments.build a1 a4        # those whose names begin so
    python -m notebooks.assignments.build --check      # write nothing; fails where something is not as the scripts have it

The script is the source. A cell's header says what the cell is:

    # %% part="auroc" kind="solution"                   the student's cell: code between ### BEGIN SOLUTION and ### END SOLUTION is cut
    # %% part="auroc" kind="tests" points=3             graded by itself; lines between ### BEGIN/END HIDDEN TESTS are cut
    # %% [markdown] part="judgement" kind="manual" points=5    a written answer, graded by hand
    # %% kind="given"                                   code that students must not change
    # %%  and  # %% [markdown]                          anything else, free to change

nbgrader's own preprocessors lock, cut and sign, so that `nbgrader autograde` takes what is built here. No outputs are stored.
`manifest.json` holds a hash of every part; `novkit course update` compares it with the one that a course was built on.
"""

import argparse
import ast
import copy
import re
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import CheckCellMetadata, ClearHiddenTests, ClearMarkScheme, ClearSolutions, ComputeChecksums, LockCells

from novkit.errors import NovkitError
from novkit.files import replacing
from novkit.teaching.marks import BEGIN, END, kind, without, without_marks
from novkit.teaching.updates import manifest_of, manifest_text

HERE = Path(__file__).parent
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
FLAGS = {  # grade, solution, locked
    "solution": (False, True, False),
    "tests": (True, False, True),
    "manual": (True, True, False),
    "given": (False, False, True),
}


class BuildError(NovkitError):
    """An assignment cannot be built."""


def source_notebook(script: Path) -> NotebookNode:
    """The script as nbgrader's source notebook. BuildError names the cell that does not keep to the conventions."""
    written = jupytext.read(script)
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})
    notebook.nbformat_minor = 5
    names: set[str] = set()
    for number, cell in enumerate(written.cells):
        make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        marks = _nbgrader_metadata(cell, names, f"{script.name}, cell {number + 1}")
        new = make(cell.source, metadata={"nbgrader": marks} if marks else {})
        new.id = re.sub(r"[^\w-]", "-", f"{script.stem.partition('_')[0]}-{marks['grade_id'] if marks else number}")[:64]
        _check(new, f"{script.name}, cell {number + 1}")
        notebook.cells.append(new)
    _check_parts(notebook, script.name)
    return notebook


def _nbgrader_metadata(cell: NotebookNode, names: set[str], where: str) -> dict[str, Any]:
    """The cell's marks in nbgrader's words; its grade_id is new in `names`."""
    what, part = cell.metadata.get("kind"), cell.metadata.get("part")
    if what is None:
        if part is not None or "points" in cell.metadata:
            raise BuildError(f"{where} has a part or points but no kind: choose one of {', '.join(FLAGS)}.")
        return {}
    if what not in FLAGS:
        raise BuildError(f"{where} has kind {what!r}: choose one of {', '.join(FLAGS)}.")
    if what != "given" and not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", str(part)):
        raise BuildError(f"{where} needs a part: a name in lower case, such as bootstrap_interval.")
    if re.search(r"_tests(_\d+)?$|^given", str(part)):
        raise BuildError(f"{where}: the part {part!r} is named like a cell of tests, or a given cell: choose another name.")
    stem, gap = {"tests": (f"{part}_tests", "_"), "given": ("given", "_")}.get(what, (part, "__"))
    name, number = stem, 1
    while name in names:
        number += 1
        name = f"{stem}{gap}{number}"
    names.add(name)
    grade, solution, locked = FLAGS[what]
    marks = {"grade": grade, "solution": solution, "locked": locked, "task": False, "grade_id": name, "schema_version": 3}
    points = cell.metadata.get("points")
    if grade:
        if not isinstance(points, int | float) or points <= 0:
            raise BuildError(f"{where} is graded: say for how many points, points=3.")
        marks["points"] = points
    elif points is not None:
        raise BuildError(f"{where} has points but is not graded: they belong to cells of kind tests or manual.")
    return marks


def _check(cell: NotebookNode, where: str) -> None:
    """Regions are closed, of the kind that the cell may hold, and code is Python."""
    allowed = {"solution": "SOLUTION", "manual": "SOLUTION", "tests": "HIDDEN TESTS"}.get(kind(cell))
    opened = None
    for line in cell.source.split("\n"):
        begins, ends = BEGIN.match(line), END.match(line)
        if begins:
            if begins[1] != allowed or opened:
                raise BuildError(f"{where}: there may be no ### BEGIN {begins[1]} here.")
            opened = begins[1]
        if ends:
            if ends[1] != opened:
                raise BuildError(f"{where}: ### END {ends[1]} without its beginning.")
            opened = None
        if ("BEGIN" in line or "END" in line) and re.search(r"#\s*(BEGIN|END)\b", line) and not (begins or ends):
            raise BuildError(f"{where}: {line.strip()!r} is written ### BEGIN SOLUTION, ### BEGIN HIDDEN TESTS and ### END ….")
    if opened:
        raise BuildError(f"{where}: ### BEGIN {opened} is never ended.")
    if kind(cell) in ("solution", "manual") and not without(cell.source, "SOLUTION") != cell.source:
        raise BuildError(f"{where}: a solution is marked by ### BEGIN SOLUTION and ### END SOLUTION, here is none.")
    if kind(cell) in ("tests", "given") and cell.cell_type == "code":  # run without IPython's magics
        try:
            ast.parse(cell.source)
            ast.parse(without(cell.source, "HIDDEN TESTS"))
        except SyntaxError as error:
            raise BuildError(f"{where} is not Python: {error}") from error


def _check_parts(notebook: NotebookNode, where: str) -> None:
    """Every solution is graded, every graded part has something to grade."""
    from novkit.teaching.marks import part

    of = {what: {part(cell) for cell in notebook.cells if kind(cell) == what} for what in ("solution", "tests", "manual")}
    if of["solution"] != of["tests"]:
        raise BuildError(f"{where}: {', '.join(sorted(of['solution'] ^ of['tests']))} has a solution or tests, but not both.")
    if of["manual"] & of["solution"]:
        raise BuildError(f"{where}: {', '.join(sorted(of['manual'] & of['solution']))} is a written answer and code: give them two names.")


def released(source: NotebookNode) -> NotebookNode:
    """What students get: solutions and hidden tests cut, cells locked and signed, by nbgrader."""
    steps = (LockCells, ClearSolutions, CheckCellMetadata, ComputeChecksums, ClearHiddenTests, ClearMarkScheme, ComputeChecksums)
    return _through(source, *steps, CheckCellMetadata)


def solution(source: NotebookNode) -> NotebookNode:
    """What students get after the deadline: solved, with the visible tests."""
    notebook = _through(source, LockCells, ClearHiddenTests, ClearMarkScheme)
    for cell in notebook.cells:
        cell.source = without_marks(cell.source)
    return notebook


def _through(notebook: NotebookNode, *steps: Any) -> NotebookNode:
    notebook, resources = copy.deepcopy(notebook), {}
    for step in steps:
        notebook, resources = step().preprocess(notebook, resources)
    return notebook


def build(scripts: list[Path], folder: Path = HERE, *, check: bool = False) -> list[str]:
    """Write what is generated from the scripts, and the manifest; returns the paths of what changed (check: of what would change)."""
    texts: dict[Path, str] = {}
    for script in scripts:
        source, name = source_notebook(script), script.stem
        for what, notebook in {"source": source, "release": released(source), "solution": solution(source)}.items():
            texts[folder / what / name / f"{name}.ipynb"] = nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"
    present = {path.stem: path for path in sorted((folder / "source").glob("*/*.ipynb"))}
    sources = {name: nbformat.read(path, as_version=4) for name, path in present.items()}
    sources |= {path.stem: nbformat.reads(text, as_version=4) for path, text in texts.items() if path.parts[-3] == "source"}
    texts[folder / "manifest.json"] = manifest_text(manifest_of(sources))
    changed = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in changed if not check else []:
        with replacing(path) as temporary:
            temporary.write_text(texts[path], encoding="utf-8")
    return [path.relative_to(folder).as_posix() for path in changed]


def main(arguments: list[str] | None = None) -> int:
    """Build what is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m notebooks.assignments.build", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of assignments' names; none means all")
    parser.add_argument("--check", action="store_true", help="write nothing, fail where something is out of date")
    chosen = parser.parse_args(arguments)
    everything = sorted((HERE / "scripts").glob("a[0-9]*.py"))
    scripts = [script for script in everything if not chosen.names or script.stem.startswith(tuple(chosen.names))]
    if not scripts:
        print(f"No assignment begins with {' or '.join(chosen.names)}: there are {', '.join(s.stem for s in everything)}.", file=sys.stderr)
        return 1
    try:
        changed = build(scripts, check=chosen.check)
    except NovkitError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    for path in changed:
        print(f"{'out of date' if chosen.check else 'written'}: {path}")
    print(f"{len(scripts)} assignments, {len(changed)} files {'out of date' if chosen.check else 'written'}.")
    return 1 if chosen.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
