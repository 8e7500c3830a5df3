"""Who handed in what: notebooks below a folder, names from a learning platform's table, and the assignment they are of."""

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from nbformat import NotebookNode

from novkit.data.untrusted import is_file
from novkit.errors import DataError, StoredFileError
from novkit.files import cut, files_under, writable
from novkit.teaching.grading import Grade
from novkit.teaching.process import PROJECT
from novkit.teaching.submission import find_assignment, read_notebook

SOURCES = PROJECT / "notebooks" / "assignments" / "source"
LONGEST = 80  # bytes of a student's name as a name of files


@dataclass
class Submission:
    """One file of one student, what it is graded against, and its grade. trouble: why it cannot be graded."""

    student: str
    file: Path
    notebook: NotebookNode | None = None
    trouble: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    grade: Grade | None = None

    @property
    def stem(self) -> str:
        """The student's name as a name of files; where it is cut, a hash keeps apart what begins alike."""
        name = re.sub(r"[^\w-]+", "_", self.student).strip("_") or "unnamed"
        if cut(name, LONGEST) == name:
            return name
        return f"{cut(name, LONGEST - 9)}_{hashlib.blake2b(self.student.encode(), digest_size=4).hexdigest()}"


def load_sources(path: Path | None = None) -> dict[str, NotebookNode]:
    """Source notebooks by name: of a folder, one file, or novkit's own. StoredFileError where none is, DataError for a damaged one."""
    where = SOURCES if path is None else path
    files = [where] if is_file(where) else sorted(where.glob("*/*.ipynb")) or sorted(where.glob("*.ipynb"))
    if not files:
        raise StoredFileError(f"There is no source of an assignment in {where}: run `make assignments`, or name its folder with --source.")
    return {file.stem: read_notebook(file, "give the source of an assignment with --source") for file in files}


def collect(folder: Path, out: Path, names: Path | None) -> list[Submission]:
    """Every notebook below the folder with its student. DataError where a student has two, or the folder none."""
    files = [
        file
        for file in sorted(file for file in files_under(folder) if fnmatch(file.name, "*.ipynb"))
        if ".ipynb_checkpoints" not in file.parts and not file.is_symlink() and not file.is_relative_to(out)
    ]
    if not files:
        raise DataError(f"{folder} holds no notebook: give the folder that the submissions lie in.")
    known = {} if names is None else {row["file"]: row["student"] for row in read_table(names, ("file", "student"))}
    missing = [name for name in known if not is_file(folder / name)]
    if missing:
        raise DataError(f"{names} names {missing[0]}, which is not in {folder}: the column file holds paths below that folder.")
    submissions = []
    for file in files:
        relative = writable(file.relative_to(folder).as_posix())
        if names is not None and relative not in known:
            raise DataError(f"{names} does not say whose {relative} is: add a line for it, or move the file away.")
        submissions.append(Submission(known.get(relative, relative.removesuffix(".ipynb")), file))
    for what in ("student", "stem"):
        seen: dict[str, Submission] = {}
        for submission in submissions:
            other = seen.setdefault(getattr(submission, what).casefold(), submission)
            if other is not submission:
                raise DataError(f"{other.file} and {submission.file} both belong to the student {submission.student}: keep one.")
    for submission in submissions:
        try:
            submission.notebook = read_notebook(submission.file)
        except DataError as error:
            submission.trouble = str(error)
    return submissions


def read_table(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """A CSV with these columns, with comma, semicolon or tab. DataError where one is missing or a line has no clear end."""
    try:
        if path.exists() and not is_file(path):  # a pipe would be waited for
            raise DataError(f"{path} is no file: give a CSV in UTF-8.")
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        rows = list(csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=first.count)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}): give a CSV in UTF-8.") from error
    for column in columns:
        if not rows or column not in rows[0]:
            raise DataError(f"{path} has no column {column!r}, or no line below its head: it needs {', '.join(columns)}.")
        broken = next((row[column] for row in rows if "\n" in (row[column] or "").strip()), None)
        if broken is not None:
            raise DataError(f"{path} has more than one line in {broken[:60]!r}, a {column}: look for a quotation mark that is not closed.")
    return [{key.strip(): (value or "").strip() for key, value in row.items() if isinstance(key, str)} for row in rows]


def assignment_of(submissions: Sequence[Submission], sources: Mapping[str, NotebookNode]) -> str:
    """The name of the one assignment that the submissions are of. Raises DataError where they are of none that is known, or of several."""
    found: dict[str, str] = {}
    for submission in submissions:
        if submission.notebook is not None:
            try:
                found[find_assignment(submission.notebook, sources)] = submission.file.name
            except DataError:
                continue
    if len(found) != 1:
        held = " and ".join(f"{name} ({file})" for name, file in found.items()) or "no assignment that is known"
        raise DataError(f"The folder holds {held}: say with --assignment which is to be graded.")
    return next(iter(found))
