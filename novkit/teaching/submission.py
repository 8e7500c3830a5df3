"""A submission put back into the shape of its assignment: the student's cells, and everything else from the source."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from novkit.data.untrusted import is_file, quiet
from novkit.errors import DataError, SettingsError
from novkit.files import writable
from novkit.teaching.marks import grade_id, inside, kind, nbgrader, part, released_text

LARGEST = 20_000_000  # bytes of a submission
ALWAYS = (  # loaded beforehand, because loading takes seconds, and torch itself replaces functions of the standard library
    *("numpy", "numpy.testing", "torch", "torchvision", "pandas", "scipy.stats", "sklearn.metrics", "sklearn.svm"),
    *("plotly.graph_objects", "novkit.data", "novkit.methods", "novkit.seeding", "novkit.teaching.budget"),
)


@dataclass(frozen=True)
class Step:
    """A cell to run. kind: "given", "solution", "tests", "manual" or "free". keeps: names that a given cell binds."""

    name: str
    kind: str
    part: str
    source: str
    points: float = 0.0
    keeps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What to run, in order; the written answers by part (None: unchanged); and what had to be put right, in sentences."""

    steps: tuple[Step, ...]
    answers: dict[str, str | None]
    notes: tuple[str, ...]


def read_notebook(path: Path, mend: str = "hand in the .ipynb file itself") -> NotebookNode:
    """A notebook of format 4, whose text can be written. DataError in a sentence for what is none. mend: what its reader can do."""
    name = writable(path.name)
    if not is_file(path):  # a pipe would be waited for
        raise DataError(f"{name} is no file that can be read: {mend}.")
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{name} has {path.stat().st_size / 1e6:.0f} MB: hand it in without outputs (Kernel → Restart and clear).")
        with quiet():  # nbformat remarks on what it puts right
            notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        cells = [(cell.cell_type, cell.source, cell.metadata) for cell in notebook.cells]
    except DataError:
        raise
    except Exception as error:  # nbformat, JSON and missing keys each have errors of their own
        raise DataError(f"{name} is not a notebook that can be read ({type(error).__name__}): {mend}.") from error
    if not all(isinstance(source, str) for _, source, _ in cells):
        raise DataError(f"{name} is not a notebook that can be read, because a cell has no text: {mend}.")
    for cell in notebook.cells:
        cell.source = writable(cell.source)
    return notebook


def find_assignment(submitted: NotebookNode, sources: Mapping[str, NotebookNode]) -> str:
    """The assignment that shares the most cells with the submission; DataError where none shares any."""
    own = {grade_id(cell) for cell in submitted.cells} | {cell.get("id") for cell in submitted.cells}
    shared = {
        name: sum((grade_id(cell) in own) + (cell.get("id") in own) for cell in source.cells if grade_id(cell))
        for name, source in sources.items()
    }
    best = max(shared, key=lambda name: shared[name], default="")
    if not best or not shared[best]:
        raise DataError(
            f"It holds no cell of {', '.join(sources) or 'any assignment'}: it is another notebook, or its cells were made anew."
        )
    return best


def parts_of(source: NotebookNode) -> dict[str, float]:
    """Every graded part of an assignment and its points, in order."""
    points: dict[str, float] = {}
    for cell in source.cells:
        if kind(cell) in ("tests", "manual"):
            points[part(cell)] = points.get(part(cell), 0.0) + float(nbgrader(cell)["points"])
    return points


def check_parts(source: NotebookNode, chosen: list[str]) -> None:
    """SettingsError for a part that there is not."""
    unknown = [name for name in chosen if name not in parts_of(source)]
    if unknown:
        raise SettingsError(f"There is no part {unknown[0]!r}: choose from {', '.join(parts_of(source))}.")


def hidden_lines(source: NotebookNode) -> list[str]:
    """Every line of hidden tests, without its indentation."""
    lines = (line.strip() for cell in source.cells if kind(cell) == "tests" for line in inside(cell.source, "HIDDEN TESTS"))
    return [line for line in lines if len(line) >= 8]


def plan_of(source: NotebookNode, submitted: NotebookNode) -> Plan:
    """Cells in the order of the source: tests and given cells as the source has them, solutions and free cells as the student has."""
    named = {grade_id(cell): cell for cell in source.cells if grade_id(cell)}
    found, free, notes = _sorted_out(submitted, named)
    defined = set().union(*(_names(cell.source) for cell in named.values() if kind(cell) == "solution"))
    steps = list(free[""])
    answers: dict[str, str | None] = {}
    for name, cell in named.items():
        own = found.get(name)
        what = kind(cell)
        if own is None:
            notes.append(f"The cell {name} is missing" + (": it was put back." if what in ("tests", "given") else "."))
        elif what in ("tests", "given") and _plain(own) not in (_plain(released_text(cell)), _plain(cell.source)):
            notes.append(f"The cell {name} was edited: it was put back as it was handed out.")
        if what == "manual":
            answers[part(cell)] = None if own is None or _plain(own) == _plain(released_text(cell)) else own
        elif cell.cell_type == "code" and (what != "solution" or own is not None):
            text = str(own) if what == "solution" else cell.source
            keeps = tuple(sorted(_names(text) - defined)) if what == "given" else ()
            steps.append(Step(name, what, part(cell), text, float(nbgrader(cell).get("points", 0)), keeps))
        steps += free[name]
    return Plan(tuple(steps), answers, tuple(notes))


def _sorted_out(submitted: NotebookNode, named: Mapping[str, NotebookNode]) -> tuple[dict[str, str], dict[str, list[Step]], list[str]]:
    """The submission's text of every named cell (of several the last), the free code cells that follow each, and notes."""
    by_id = {cell.get("id"): name for name, cell in named.items() if cell.get("id")}
    names = [grade_id(cell) if grade_id(cell) in named else by_id.get(cell.get("id"), "") for cell in submitted.cells]
    last = {name: index for index, name in enumerate(names) if name}
    found, notes, before = {}, [], ""
    free: dict[str, list[Step]] = {name: [] for name in ("", *named)}
    for index, (name, cell) in enumerate(zip(names, submitted.cells, strict=True)):
        if name and last[name] == index:
            found[name], before = cell.source, name
            continue
        if name:
            notes.append(f"The cell {name} is there more than once: the last one counts.")
        if cell.cell_type == "code" and kind(named[name] if name else cell) != "tests":
            free[before].append(Step(f"cell {index + 1}", "free", "", cell.source))
    order = [name for name in named if name in last]
    if order != sorted(order, key=lambda name: last[name]):
        notes.append("The cells are in another order than they were handed out: they were run in the original one.")
    return found, free, list(dict.fromkeys(notes))


def _plain(text: str) -> str:
    """Without what editors add or take away at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _names(source: str) -> set[str]:
    """Names that code binds at its top level by import, def, class or assignment."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return set()
    names: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {leaf.id for target in node.targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)}
    return names


def imported_modules(source: NotebookNode) -> list[str]:
    """Modules that given cells and tests import: they are loaded, and remembered, before a submission runs."""
    modules: dict[str, None] = dict.fromkeys(ALWAYS)
    for cell in source.cells:
        if kind(cell) in ("tests", "given") and cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Import):
                    modules |= dict.fromkeys(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    modules[node.module] = None
    return list(modules)
