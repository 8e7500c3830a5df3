"""Next year's course: a hash of every part, and what changed since the ones that a course was built on."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

import novkit
from novkit.errors import StoredFileError
from novkit.files import read_json, write_json
from novkit.teaching.marks import kind, nbgrader, part

FORMAT = 1
TEXT = "text and given cells"

Manifest = dict[str, Any]


def manifest_of(sources: Mapping[str, NotebookNode]) -> Manifest:
    """Hashes and points of every part of every assignment, from the source notebooks by name."""
    return {
        "format": FORMAT,
        "novkit": novkit.__version__,
        "assignments": {name: _parts(notebook) for name, notebook in sorted(sources.items())},
    }


def manifest_text(manifest: Manifest) -> str:
    """As it is stored."""
    return json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"


def _parts(notebook: NotebookNode) -> dict[str, Any]:
    """{part: {"points", "task", "tests"}}: hashes of what students read and write, and of what grades it."""
    texts: dict[str, dict[str, str]] = {}
    points: dict[str, float] = {}
    for cell in notebook.cells:
        name = part(cell) or TEXT
        side = "tests" if kind(cell) == "tests" else "task"
        texts.setdefault(name, {"task": "", "tests": ""})[side] += f"{cell.cell_type}\n{cell.source}\n"
        points[name] = points.get(name, 0) + float(nbgrader(cell).get("points", 0))
    return {name: {"points": points[name]} | {side: _hash(text) for side, text in both.items()} for name, both in texts.items()}


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest() if text else ""


def changes(old: Manifest, new: Manifest) -> list[str]:
    """One line for each assignment or part that came, went or changed; none where all is as it was."""
    lines = []
    before, after = old["assignments"], new["assignments"]
    for name in sorted(before.keys() | after.keys()):
        if name not in after or name not in before:
            lines.append(f"{name}: {'new' if name in after else 'no longer there'}")
            continue
        for piece in [*after[name], *(piece for piece in before[name] if piece not in after[name])]:
            was, now = before[name].get(piece), after[name].get(piece)
            if was is None or now is None:
                lines.append(f"{name}, {piece}: {'new' if now else 'no longer there'}")
                continue
            differs = [what for what, key in (("task or solution", "task"), ("tests", "tests")) if was[key] != now[key]]
            if was["points"] != now["points"]:
                differs.append(f"points ({was['points']:g} → {now['points']:g})")
            if differs:
                lines.append(f"{name}, {piece}: {', '.join(differs if piece != TEXT else ['changed'])}")
    return lines


def read_manifest(path: str | Path) -> Manifest:
    """A stored manifest; StoredFileError where it is missing, damaged or of another format."""
    found = read_json(path, "manifest of assignments")
    if not isinstance(found, dict) or found.get("format") != FORMAT or not isinstance(found.get("assignments"), dict):
        raise StoredFileError(f"{path} is not a manifest of assignments that this novkit reads: pin the course again.")
    return found


def write_manifest(path: str | Path, manifest: Manifest) -> None:
    """Store the manifest that a course is built on."""
    write_json(path, manifest)


def current_manifest() -> Manifest:
    """Of the assignments as they are here; StoredFileError where novkit was installed without them."""
    return read_manifest(Path(novkit.__file__).resolve().parent.parent / "notebooks" / "assignments" / "manifest.json")
