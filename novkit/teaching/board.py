"""The board of the project: its lines, their order, and the two files that show them."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from html import escape
from pathlib import Path

from novkit.files import csv_cell, replacing, writable
from novkit.teaching.budget import Budget
from novkit.teaching.feedback import STYLE


@dataclass
class Entry:
    """One line of the board. beats: the baselines that it is ahead of, the whole interval above 0. trouble: why it has no rank."""

    student: str
    auroc: float | None = None
    auroc_low: float | None = None
    auroc_high: float | None = None
    average_precision: float | None = None
    images_seen: int | None = None
    parameters: int | None = None
    seconds: float | None = None
    beats: list[str] = field(default_factory=list)
    trouble: str = ""
    rank: int | None = None


def said(entry: Entry) -> str:
    """An entry in a few words."""
    return entry.trouble or f"AUROC {entry.auroc:.3f}, ahead of {', '.join(entry.beats) or 'no baseline'}"


def rank(entries: list[Entry]) -> list[Entry]:
    """Best AUROC first; equal values share a rank; those in trouble come last, without one."""
    fine = sorted((entry for entry in entries if not entry.trouble), key=lambda entry: -(entry.auroc or 0.0))
    for entry in fine:
        entry.rank = 1 + sum((other.auroc or 0.0) > (entry.auroc or 0.0) for other in fine)
    troubled = sorted((entry for entry in entries if entry.trouble), key=lambda entry: entry.student)
    for entry in troubled:
        entry.rank = None
    return [*fine, *troubled]


def write_board(entries: list[Entry], baselines: Mapping[str, float], limits: Budget, out: Path) -> None:
    """leaderboard.csv with all there is, for the teacher; leaderboard.html for the class, without what a student's code said."""
    columns = ["rank", *(f.name for f in fields(Entry) if f.name != "rank")]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [columns, *([_cell(getattr(entry, column)) for column in columns] for entry in entries)]
    )
    allowed = f"{limits.images_seen:,} images seen, {limits.parameters:,} parameters, {limits.seconds:g} s of CPU to train"
    beside = ", ".join(f"{name} {value:.3f}" for name, value in baselines.items())
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in SHOWN)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _shown(entry)) + "</tr>\n" for entry in entries)
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>Leaderboard</title>"
        f"<style>{STYLE} body {{ max-width: 75rem; }} td {{ font-variant-numeric: tabular-nums; }}"
        " td:nth-child(3) { white-space: nowrap; }</style></head>\n"
        f"<body><h1>Leaderboard</h1>\n<p>Synthetic brain slices with a condition that nobody had seen. Budget: {allowed}.</p>\n"
        f"<p>Baselines (AUROC): {escape(beside)}. In brackets the 95 % interval over subjects: where two overlap, chance may have decided "
        f"the order. “Ahead of” a baseline means that the whole interval of the paired difference lies above 0.</p>\n"
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></body></html>\n"
    )
    for name, content in (("leaderboard.csv", text.getvalue()), ("leaderboard.html", page)):
        with replacing(out / name) as temporary:
            temporary.write_text(writable(content), encoding="utf-8")


SHOWN = ("Rank", "Student", "AUROC", "Average precision", "Images seen", "Parameters", "Seconds", "Ahead of", "Note")


def _shown(entry: Entry) -> list[str]:
    """A line of the page."""
    if entry.auroc is None:
        where = entry.trouble.partition(":")[0]
        return ["–", entry.student, *[""] * 6, f"No result: {where[:1].lower()}{where[1:]}"]
    auroc = f"{entry.auroc:.3f} [{entry.auroc_low:.3f}, {entry.auroc_high:.3f}]" if entry.auroc_low is not None else f"{entry.auroc:.3f}"
    spent = [f"{entry.images_seen or 0:,}", f"{entry.parameters or 0:,}", f"{entry.seconds or 0:.1f}"]
    ahead = ", ".join(entry.beats) or "none"
    return [str(entry.rank or "–"), entry.student, auroc, f"{entry.average_precision or 0:.3f}", *spent, ahead, entry.trouble]


def _cell(value: object) -> str:
    """A value as it stands in the CSV; no text is one that a spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return csv_cell(", ".join(value) if isinstance(value, list) else str(value))
