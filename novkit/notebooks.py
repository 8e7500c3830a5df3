"""What the notebooks use beside the library: showing source code, checking exercises, and a student's own copy."""

import inspect
import json
import os
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import novkit
from novkit.errors import NovkitError, StoredFileError
from novkit.files import replacing

_ROOT = Path(novkit.__file__).parent.parent


def show_source(thing: Any) -> None:
    """Display the source of a function, method or class of novkit as highlighted code, under the name of its file."""
    from IPython.display import Markdown, display

    display(Markdown(source_markdown(thing)))


def source_markdown(thing: Any) -> str:
    """The source of a function, method or class as Markdown, with the file's path as seen from the project.

    Raises NovkitError for what has no source in Python.
    """
    try:
        file = Path(inspect.getsourcefile(inspect.unwrap(thing)) or "")
        code = textwrap.dedent(inspect.getsource(thing)).rstrip()
    except (TypeError, OSError) as error:
        raise NovkitError(f"{thing!r} has no Python source to show: give a function, method or class.") from error
    path = file.relative_to(_ROOT).as_posix() if file.is_relative_to(_ROOT) else file.name
    return f"`{path}`\n\n```python\n{code}\n```"


_EMPTY = "not solved yet: the answer is still empty."


def exercise_check(name: str, got: Any, expected: Any = True, *, tolerance: float = 1e-6) -> None:
    """Print whether an exercise is solved. Never raises, so that a notebook runs to its end with exercises unsolved.

    got: the reader's answer, or a function without arguments that gives it (errors inside are then reported, not raised). None, ..., a
    list with ... and a function that stumbles over ... are "still empty".
    expected: a number or array (compared to within `tolerance`, absolute and relative), or anything that can be compared with ==.
    """
    print(f"Exercise {name}: {_verdict(got, expected, tolerance)}")


def _verdict(got: Any, expected: Any, tolerance: float) -> str:
    if isinstance(got, Callable):  # type: ignore[arg-type]
        try:
            got = got()
        except Exception as error:
            if isinstance(error, TypeError | AttributeError) and "ellipsis" in str(error):  # it computed with the placeholder
                return _EMPTY
            return f"not solved yet: it stops with {type(error).__name__} ({error})."
    if got is None or got is ... or (isinstance(got, list | tuple) and any(item is ... for item in got)):
        return _EMPTY
    try:
        answer, truth = np.asarray(got), np.asarray(expected)
        if truth.dtype.kind not in "iuf":
            solved = bool(np.array_equal(answer, truth))
        elif answer.shape != truth.shape:
            return f"not solved yet: the answer has shape {answer.shape}, not {truth.shape}."
        else:
            solved = bool(np.allclose(answer.astype(float), truth, rtol=tolerance, atol=tolerance))
    except (TypeError, ValueError):
        solved = False
    if solved:
        return "correct."
    text = repr(got)
    return "not solved yet." if len(text) > 60 or isinstance(got, bool | np.bool_) else f"not solved yet: {text} is not it."


def notebooks_folder() -> Path:
    """Where the notebooks are; NovkitError where novkit was installed without them."""
    folder = _ROOT / "notebooks"
    if not any(folder.glob("[0-9]*.ipynb")):
        raise NovkitError("novkit was installed without its notebooks: install it from its repository with `pip install -e .`.")
    return folder


def reference_results() -> Path:
    """The folder of the stored results that notebooks show (`results/reference`); NovkitError where novkit was installed without it."""
    folder = _ROOT / "results" / "reference"
    if not (folder / "results.json").is_file():
        raise NovkitError("novkit was installed without its results: install it from its repository with `pip install -e .`.")
    return folder


def copy_notebooks(destination: str | Path, report: Callable[[str], object] = print) -> list[Path]:
    """Copy the notebooks into a folder, for a student to work in; returns what was written.

    Links to other parts of the project are adapted: within the project they lead there from the copy, elsewhere they become text that names
    the file, because Jupyter opens nothing outside its own folder.
    A file that is there already is never overwritten: `report` is told what was left as it is, and what was written.
    Raises StoredFileError where the folder cannot be written.
    """
    destination = Path(destination).expanduser()
    if destination.exists() and not destination.is_dir():
        raise StoredFileError(f"{destination} is a file: give a folder.")
    written, same, kept = [], 0, []
    for source in sorted(notebooks_folder().glob("[0-9]*.ipynb")):
        content, target = _adapted(source, destination), destination / source.name
        if target.exists():
            if target.is_file() and target.read_bytes() == content:
                same += 1
            else:
                kept.append(target.name)
            continue
        with replacing(target) as temporary:
            temporary.write_bytes(content)
        written.append(target)
    report(f"{len(written)} notebooks copied to {destination}" + (f", {same} were there already" if same else "") + ".")
    if kept:
        report(f"Left as they are, because they were changed: {', '.join(kept)}. To start one afresh, rename it and copy again.")
    return written


_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((\.\./[^)\s#]*)(#[^)\s]*)?\)")


def _adapted(source: Path, destination: Path) -> bytes:
    """A notebook as it is copied to a folder: its text, with links to files of the project that lead there from that folder."""
    notebook = json.loads(source.read_bytes())
    place, home = destination.resolve(), _ROOT.resolve()

    def adapted(link: re.Match) -> str:
        text, path, anchor = link.groups(default="")
        file = (source.parent / path).resolve()
        if place.is_relative_to(home) and file.exists():
            return f"[{text}]({Path(os.path.relpath(file, place)).as_posix()}{anchor})"
        shown = file if file.exists() else file.relative_to(home) if file.is_relative_to(home) else path
        return f"{text} (`{shown}`)"

    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = _LINK.sub(adapted, "".join(cell["source"])).splitlines(keepends=True)
    return (json.dumps(notebook, ensure_ascii=False, indent=1) + "\n").encode()
