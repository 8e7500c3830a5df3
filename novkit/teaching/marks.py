"""The marks in an assignment's cells: which part a cell belongs to, and the lines that students do not get."""

import re
from typing import Any

from nbformat import NotebookNode

BEGIN = re.compile(r"^.*### BEGIN (SOLUTION|HIDDEN TESTS)\b")
END = re.compile(r"^.*### END (SOLUTION|HIDDEN TESTS)\b")


def nbgrader(cell: NotebookNode) -> dict[str, Any]:
    """nbgrader's metadata of a cell; empty where it has none."""
    found = cell.metadata.get("nbgrader")
    return found if isinstance(found, dict) else {}


def grade_id(cell: NotebookNode) -> str:
    """The cell's name in the assignment; "" for a free cell."""
    marks = nbgrader(cell)
    return str(marks.get("grade_id", "")) if any(marks.get(kind) for kind in ("grade", "solution", "locked")) else ""


def kind(cell: NotebookNode) -> str:
    """ "solution", "tests", "manual", "given" or "free"."""
    marks = nbgrader(cell)
    if marks.get("solution"):
        return "manual" if marks.get("grade") else "solution"
    if marks.get("grade"):
        return "tests"
    return "given" if marks.get("locked") else "free"


def part(cell: NotebookNode) -> str:
    """The part that a cell of a solution, its tests or a written answer belongs to: its grade_id without `_tests` and numbers after it."""
    return re.sub(r"_tests(_\d+)?$|__\d+$", "", grade_id(cell)) if kind(cell) in ("solution", "tests", "manual") else ""


def without(source: str, region: str) -> str:
    """The source without the lines of a region, "SOLUTION" or "HIDDEN TESTS", and without its marks."""
    return "\n".join(line for line, inside in marked_lines(source, region) if not inside)


def inside(source: str, region: str) -> list[str]:
    """The lines of a region, without its marks."""
    return [line for line, within in marked_lines(source, region) if within and not (BEGIN.match(line) or END.match(line))]


def marked_lines(source: str, region: str) -> list[tuple[str, bool]]:
    """Every line, and whether it belongs to the region (its marks do)."""
    found, within = [], False
    for line in source.split("\n"):
        begins, ends = BEGIN.match(line), END.match(line)
        if begins and begins[1] == region:
            within = True
        found.append((line, within))
        if ends and ends[1] == region:
            within = False
    return found


def without_marks(source: str) -> str:
    """The source with all its lines but the marks themselves."""
    return "\n".join(line for line in source.split("\n") if not BEGIN.match(line) and not END.match(line))


def released_text(cell: NotebookNode) -> str:
    """A cell of the source as students get it: the stub in place of the solution, no hidden tests; as nbgrader cuts it."""
    stub = ["# YOUR CODE HERE", "raise NotImplementedError()"] if cell.cell_type == "code" else ["YOUR ANSWER HERE"]
    lines: list[str] = []
    for line, within in marked_lines(without(cell.source, "HIDDEN TESTS"), "SOLUTION"):
        if not within:
            lines.append(line)
        elif BEGIN.match(line):
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + part for part in stub]
    return "\n".join(lines)
