"""Readouts as small HTML tables, with the headings that screen readers need."""

from collections.abc import Mapping, Sequence
from html import escape

Cell = str | int | float | None


def readout_table(caption: str, heads: Sequence[str], rows: Mapping[str, Sequence[Cell]]) -> str:
    """One row a name, one column a heading; numbers with a fraction get three digits after the point, None a dash."""
    head = "".join(f'<th scope="col" style="text-align:right;padding:2px 8px;vertical-align:bottom">{escape(text)}</th>' for text in heads)
    head = f"<tr><td></td>{head}</tr>" if heads else ""
    body = "".join(
        f'<tr><th scope="row" style="text-align:left;padding:2px 8px;white-space:nowrap">{escape(name)}</th>'
        + "".join(f'<td style="text-align:right;padding:2px 8px">{escape(_text(cell))}</td>' for cell in cells)
        + "</tr>"
        for name, cells in rows.items()
    )
    caption = f'<caption style="text-align:left">{escape(caption)}</caption>'
    table = f'<table style="font-size:13px;line-height:1.3">{caption}{head}{body}</table>'
    return f'<div style="overflow-x:auto">{table}</div>'


def _text(cell: Cell) -> str:
    if cell is None:
        return "–"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)
