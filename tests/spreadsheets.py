"""What a spreadsheet makes of a CSV."""

import csv
import io
import re

FORMULAS = (
    *("\t=1", " =1+1", "\r@SUM(1)", "-1+cmd", "+1"),
    *("x;=1+1;y", "x\t=1", 'x;"=1"', "a\n=1", "; -1+cmd", 'x";=1'),  # where lines are cut at semicolons or tabs
)


def no_formulas(text: str, n_rows: int) -> None:
    """What a spreadsheet would not run, wherever it cuts lines: so many rows, and every cell a number or plain text."""
    assert len(list(csv.reader(io.StringIO(text, newline="")))) == n_rows
    for separator in (",", ";", "\t"):
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
        assert not any(cell.lstrip().startswith(("=", "+", "@")) or cell.startswith(("\t", "\r")) for row in rows for cell in row), (
            separator
        )
        assert all(re.fullmatch(r"-?[\d.e+-]+", cell) for row in rows for cell in row if cell.lstrip().startswith("-")), separator
