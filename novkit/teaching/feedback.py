"""The page a student gets: points and a sentence for each part. All text of a submission is escaped; no line of the tests is on it."""

from html import escape

from novkit.teaching.grading import Grade, PartGrade

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #8884; }
td.points { white-space: nowrap; font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid #8886; margin: .3rem 0; padding-left: .7rem; }
"""


def feedback_page(student: str, assignment: str, grade: Grade | None, trouble: str = "") -> str:
    """The whole page as HTML that needs nothing else. trouble: why the submission could not be graded."""
    parts = [] if grade is None else list(grade.parts.values())
    notes = [trouble] if trouble else [] if grade is None else grade.notes
    total = "" if grade is None else f"<p><strong>{grade.points:g} of {grade.out_of:g} points</strong>{_pending(grade)}</p>"
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    rows = "".join(_row(part) for part in parts)
    title = f"{escape(assignment)}: {escape(student)}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n{total}\n"
        f'<table><thead><tr><th scope="col">Part</th><th scope="col">Points</th><th scope="col">What to know</th></tr></thead>\n'
        f"<tbody>{rows}</tbody></table>\n" + (f"<h2>Notes</h2><ul>{listed}</ul>\n" if notes else "") + "</body></html>\n"
    )


def _pending(grade: Grade) -> str:
    return f", and up to {grade.pending:g} for written answers that are still to be read" if grade.pending else ""


def _row(part: PartGrade) -> str:
    points = "–" if part.points is None else f"{part.points:g}"
    return f'<tr><th scope="row">{escape(part.part)}</th><td class="points">{points} of {part.out_of:g}</td><td>{_told(part)}</td></tr>\n'


def _told(part: PartGrade) -> str:
    if part.manual:
        if part.answer is None:
            return "No answer."
        said = "To be read." if part.points is None else escape(part.comment) or "Read."
        return f"{said}<pre>{escape(part.answer)}</pre>"
    failed = [check for check in part.checks if check.status != "passed"]
    if not failed:
        return "All checks pass." if part.checks else "Not graded."
    several = len(part.checks) > 1
    told = dict.fromkeys(
        (f"{check.points:g} of {check.out_of:g}: " if several else "") + (check.message or "Some of the checks fail.") for check in failed
    )
    return "".join(f"<pre>{escape(message)}</pre>" for message in told)
