"""Grading a folder of submissions: resumed where it was stopped, two at a time, one part alone where that is wanted."""

import csv
import hashlib
import io
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from novkit.cores import available_cores
from novkit.errors import DataError, NovkitError, StoredFileError
from novkit.files import alone, csv_cell, printable, read_json, replacing, writable, write_json
from novkit.teaching.feedback import feedback_page
from novkit.teaching.grading import Grade, PartGrade, check_full_marks, grade
from novkit.teaching.handed_in import Submission, assignment_of, collect, load_sources, read_table
from novkit.teaching.marks import grade_id, kind, part
from novkit.teaching.process import Limits, Stopped, Worker
from novkit.teaching.submission import check_parts, find_assignment, imported_modules, parts_of, read_notebook

FORMAT = 1


def grade_folder(
    folder: Path,
    out: Path,
    *,
    source: Path | None = None,
    assignment: str | None = None,
    names: Path | None = None,
    manual: Path | None = None,
    parts: Sequence[str] = (),
    course_seed: int = 0,
    limits: Limits | None = None,
    workers: int = 2,
    report: Callable[[str], object] = print,
) -> list[Submission]:
    """Grade every notebook below `folder`; write `grades.csv`, a page for each student under `feedback/`, and what it needs to go on.

    assignment: its name; needed where the folder holds several. names: CSV with columns file, student. manual: CSV with columns student,
    part, points and, if wanted, comment. parts: grade these again, whatever is there, and nothing else. A part is graded again where its
    tests, its given cells, the submission or the course seed changed. Raises DataError for an unknown assignment, NovkitError for files
    that cannot be used; a submission that cannot is graded with no points, and says why.
    """
    with alone(out, "grading"):  # a second run would write over what this one enters
        sources = load_sources(source)
        submissions = collect(folder, out, names)
        name = assignment or assignment_of(submissions, sources)
        if name not in sources:
            raise DataError(f"There is no assignment {name!r}: choose one of {', '.join(sources)}.")
        notebook = sources[name]
        check_parts(notebook, list(parts))
        for submission in submissions:
            _recall(submission, out, notebook, course_seed, name)
        todo = [(submission, stale) for submission in submissions if (stale := _stale(submission, notebook, parts))]
        report(f"{name}: {len(submissions)} submissions, {len(todo)} to be graded.")
        if todo:
            limits = limits or Limits()
            cache = _warm(notebook, name, out, course_seed, limits)
            _grade_all(todo, notebook, name, out, course_seed, limits, cache, workers, report)
        if manual is not None:
            _enter_manual(submissions, manual)
        for submission in submissions:
            _store(submission, out)
            with replacing(out / "feedback" / f"{submission.stem}.html") as temporary:
                temporary.write_text(feedback_page(submission.student, name, submission.grade, submission.trouble), encoding="utf-8")
        write_grades(submissions, notebook, out / "grades.csv")
        report(printable(f"{out / 'grades.csv'}\n{out / 'feedback'}", keep="\n"))
        return submissions


def grade_one(
    path: Path,
    *,
    out: Path | None = None,
    source: Path | None = None,
    assignment: str | None = None,
    parts: Sequence[str] = (),
    course_seed: int = 0,
    limits: Limits | None = None,
    report: Callable[[str], object] = print,
) -> Grade:
    """Grade one notebook and say how it went; with `out`, a feedback page as well.

    Raises DataError for an unknown assignment, NovkitError where it cannot be graded.
    """
    sources, submitted = load_sources(source), read_notebook(path)
    name = assignment or find_assignment(submitted, sources)
    if name not in sources:
        raise DataError(f"There is no assignment {name!r}: choose one of {', '.join(sources)}.")
    check_parts(sources[name], list(parts))
    result = grade(submitted, sources[name], name, course_seed=course_seed, limits=limits, only=parts or None)
    for found in result.parts.values():
        points = "to be read" if found.points is None else f"{found.points:g} of {found.out_of:g}"
        report(f"{found.part:<32} {points}")
        for check in found.checks:
            if check.status != "passed":
                report(printable(f"    {check.name}, {check.points:g} of {check.out_of:g}: {check.message}"))
    for note in result.notes:
        report(printable(f"note: {note}"))
    report(f"{name}: {result.points:g} of {result.out_of:g} points{f', {result.pending:g} to be read' if result.pending else ''}")
    if out is not None:
        page = out / f"{path.stem}.html"
        with replacing(page) as temporary:
            temporary.write_text(feedback_page(writable(path.stem), name, result), encoding="utf-8")
        report(printable(str(page)))
    return result


# ---- what is done already --------------------------------------------------------------------------------------------


def _keys(submission: Submission, source: NotebookNode, course_seed: int) -> dict[str, str]:
    """A hash for every part of all that its points depend on."""
    own = [] if submission.notebook is None else [(cell.cell_type, cell.source, grade_id(cell)) for cell in submission.notebook.cells]
    given = [cell.source for cell in source.cells if kind(cell) == "given"]
    keys = {}
    for name in parts_of(source):
        cells = [(cell.source, dict(cell.metadata.get("nbgrader", {}))) for cell in source.cells if part(cell) == name]
        text = json.dumps([FORMAT, own, given, cells, course_seed, submission.trouble], sort_keys=True)
        keys[name] = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
    return keys


def _recall(submission: Submission, out: Path, source: NotebookNode, course_seed: int, assignment: str) -> None:
    """Take over the parts that are graded already and still count."""
    if submission.notebook is not None:
        try:
            if find_assignment(submission.notebook, {assignment: source}) != assignment:
                raise DataError("")
        except DataError as error:
            submission.notebook, submission.trouble = None, str(error)
    submission.keys = _keys(submission, source, course_seed)
    try:
        stored = read_json(out / "results" / f"{submission.stem}.json")
        before = Grade.from_json(stored["grade"])
        keys = stored["keys"]
    except (StoredFileError, KeyError, TypeError):
        return
    kept = {name: value for name, value in before.parts.items() if keys.get(name) == submission.keys.get(name)}
    submission.grade = Grade(assignment, kept, before.notes if len(kept) == len(before.parts) else [], before.seconds)


def _stale(submission: Submission, source: NotebookNode, chosen: Sequence[str]) -> list[str]:
    """Parts to grade: the chosen ones, else all that have no grade."""
    if chosen:
        return list(chosen)
    return [name for name in parts_of(source) if submission.grade is None or name not in submission.grade.parts]


def _store(submission: Submission, out: Path) -> None:
    if submission.grade is not None:
        stored = {
            "student": submission.student,
            "file": writable(submission.file.name),
            "keys": submission.keys,
            "grade": submission.grade.to_json(),
        }
        write_json(out / "results" / f"{submission.stem}.json", stored)


# ---- grading ---------------------------------------------------------------------------------------------------------


def _warm(source: NotebookNode, name: str, out: Path, course_seed: int, limits: Limits) -> Path:
    """Grade the solution itself: it fills the cache that every submission starts with, and must earn full marks."""
    text = json.dumps([[cell.source for cell in source.cells], course_seed])
    cache = out / "cache" / hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    if not cache.is_dir():
        with Worker(imported_modules(source), limits) as worker:
            check_full_marks(grade(source, source, name, course_seed=course_seed, worker=worker, keep_cache=cache))
    return cache


def _grade_all(
    todo: Sequence[tuple[Submission, list[str]]],
    source: NotebookNode,
    name: str,
    out: Path,
    course_seed: int,
    limits: Limits,
    cache: Path,
    workers: int,
    report: Callable[[str], object],
) -> None:
    """Each thread has a worker of its own; what is done is stored at once."""
    own, opened, done, lock = threading.local(), [], [0], threading.Lock()

    def work(item: tuple[Submission, list[str]]) -> None:
        submission, stale = item
        result = Grade(name, {key: PartGrade(key, points) for key, points in parts_of(source).items() if key in stale})
        if submission.notebook is not None:
            if not hasattr(own, "worker"):
                own.worker = Worker(imported_modules(source), limits)
                opened.append(own.worker)
            try:
                result = grade(submission.notebook, source, name, course_seed=course_seed, worker=own.worker, cache=cache, only=stale)
            except (Stopped, NovkitError):  # the grading as a whole
                raise
            except Exception as error:  # whatever it is, the others are graded; and this one is the next time
                submission.trouble = f"It could not be graded ({type(error).__name__}): grade it again, or look at it yourself."
                submission.keys = {key: value for key, value in submission.keys.items() if key not in stale}
        before = submission.grade.parts if submission.grade is not None else {}
        result.parts = {key: found for key in parts_of(source) if (found := result.parts.get(key) or before.get(key)) is not None}
        submission.grade = result
        _store(submission, out)
        with lock:
            done[0] += 1
            said = f"{submission.student}: {result.points:g} of {result.out_of:g}{_said(submission)}"
            report(printable(f"[{done[0]}/{len(todo)}] {said}"))

    pool = ThreadPoolExecutor(max(1, min(workers, len(todo), available_cores())))
    try:
        for future in [pool.submit(work, item) for item in todo]:
            future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in opened:
            worker.close()


def _said(submission: Submission) -> str:
    notes = submission.grade.notes if submission.grade is not None else []
    return f" ({submission.trouble})" if submission.trouble else f" ({len(notes)} notes)" if notes else ""


def _enter_manual(submissions: Sequence[Submission], path: Path) -> None:
    """Enter what a reader gave for written answers."""
    by_name = {submission.student: submission for submission in submissions}
    for row in read_table(path, ("student", "part", "points")):
        submission = by_name.get(row["student"])
        if submission is None or submission.grade is None:
            raise DataError(f"{path} names the student {row['student']!r}, who handed nothing in: check the spelling.")
        found = submission.grade.parts.get(row["part"])
        if found is None or not found.manual:
            raise DataError(f"{path} gives points for {row['part']!r}, which is not a written answer of this assignment.")
        try:
            points = float(row["points"].replace(",", "."))
        except ValueError as error:
            raise DataError(f"{path} gives {row['student']} {row['points']!r} points: write a number.") from error
        if not 0 <= points <= found.out_of:
            raise DataError(f"{path} gives {row['student']} {points:g} points in {found.part}: there are 0 to {found.out_of:g}.")
        found.points, found.comment = points, row.get("comment", "")


# ---- what is written -------------------------------------------------------------------------------------------------


def write_grades(submissions: Sequence[Submission], source: NotebookNode, path: Path) -> None:
    """One line a student: points, what a reader still has to grade, each part, and what there is to know.

    Raises NovkitError for a submission without a grade.
    """
    names = list(parts_of(source))
    rows: list[list[Any]] = [["student", "file", "points", "out_of", "pending", *names, "notes"]]
    for submission in submissions:
        if (result := submission.grade) is None:
            raise NovkitError(f"{submission.student} has no grade: start again, what is done stays.")
        points = [result.parts[name].points for name in names]
        notes = " | ".join(filter(None, [submission.trouble, *result.notes]))
        cells = ["" if value is None else f"{value:g}" for value in points]
        totals = [f"{result.points:g}", f"{result.out_of:g}", f"{result.pending:g}"]
        student, file, told = (csv_cell(" ".join(text.split())) for text in (submission.student, writable(submission.file.name), notes))
        rows.append([student, file, *totals, *cells, told])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
