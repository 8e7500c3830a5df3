"""What a student is told about a part that failed: what is wrong and where, never how the tests look."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from novkit.teaching.marks import BEGIN, END
from novkit.teaching.process import Limits
from novkit.teaching.submission import Step

LONGEST, OWN = 600, 160  # characters


def lost(why: str, limits: Limits) -> str:
    """A sentence for "time", "memory", "disk" or "died"."""
    return {
        "time": f"It took longer than {limits.cell:g} s a cell, or {limits.notebook:g} s in all: look for an endless loop.",
        "memory": f"It used more memory than the {limits.memory / 2**30:.0f} GB it may use.",
        "disk": f"It wrote more than the {limits.disk / 2**30:.0f} GB it may keep: remove what it no longer needs.",
        "died": "The process ended: something stopped Python itself, such as os._exit.",
    }[why]


def of_failure(answer: Mapping[str, Any], steps: Mapping[str, Step], name: str, *, trouble: str = "") -> str:
    """What failed in the cell `name`, in words; `trouble`: how the solution's own cell failed before."""
    error, message = str(answer.get("error", "Error")), str(answer.get("message", "")).strip()
    places = [(cell, line) for cell, line in answer.get("places", []) if cell in steps]
    own = next(((cell, line) for cell, line in reversed(places) if steps[cell].kind in ("solution", "free")), None)
    tests = next((line for cell, line in places if cell == name and steps[cell].kind == "tests"), None)
    first = "The checks you can see pass; one with other inputs does not. " if tests and _is_hidden(steps[name].source, tests) else ""
    if error == "NotImplementedError":
        return "Not done yet." + (f" ({_line(steps, own)})" if own and steps[own[0]].part != steps[name].part else "")
    if error == "AssertionError" and (own is None or own == (name, tests)):
        return first + (message or "A check fails.")
    if trouble and error in ("NameError", "AttributeError", "UnboundLocalError"):
        return f"Its own cell did not run to its end. {trouble}"
    said = f"{error}: {_short(message)}" if message else error
    return first + said + (f" ({_line(steps, own)})" if own else "")


def _short(message: str) -> str:
    """What a student's own code says: long enough to help, too short to carry the tests away."""
    return message if len(message) <= OWN else message[:OWN] + " …"


def _line(steps: Mapping[str, Step], place: tuple[str, int]) -> str:
    """The student's own line, as the student knows it."""
    cell, number = place
    lines = steps[cell].source.split("\n")
    text = lines[number - 1].strip() if number and 0 < number <= len(lines) else ""
    return f"line {number} of your cell {cell}: {text[:120]}"


def _is_hidden(source: str, number: int) -> bool:
    """Whether a line of tests belongs to a hidden region."""
    within = False
    for index, line in enumerate(source.split("\n"), 1):
        if BEGIN.match(line):
            within = True
        if index == number:
            return within
        if END.match(line):
            within = False
    return False


def scrubbed(message: str, hidden: Collection[str]) -> str:
    """The message without control characters, cut to a readable length; nothing of it where it quotes a line of hidden tests."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", message)
    packed = re.sub(r"[\s\\]", "", text)
    if any(re.sub(r"[\s\\]", "", line) in packed for line in hidden):
        return "The message is not shown, because it quotes the tests."
    text = "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"
