"""What campaigns found, recorded for RELIABILITY.md, and, as a pytest plugin (`-p tests.campaign`), how every test ended.

Nothing is recorded unless NOVKIT_RELIABILITY names a folder; `python -m tests.reliability run` does and writes the page from it.
"""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from novkit.files import read_json, write_json
from novkit.provenance import provenance

_recorded: dict[str, set[Path]] = {}  # by test: the records that it wrote, or that held more tries than its own


def record(topic: str, what: str, *, tried: int, outcome: str | Mapping[str, int], note: str = "", part: str = "") -> None:
    """Keep what a campaign found, for one row of RELIABILITY.md. Call it before the assertions, so that a failure is in the page too.

    topic: a heading of the page. what: what was done to what. tried: how often. outcome: what came out, in words, or words and how often
    each.
    part: of which part of `what` this is the record, such as the command; the page adds the parts up.
    note: what a reader must know to judge the number. Of several records of one part, that with the most tries is kept, but one whose
    test failed stays until that test passes.
    """
    if not isinstance(outcome, str):
        outcome = {words: int(count) for words, count in outcome.items() if count}
        if sum(outcome.values()) != tried:
            raise ValueError(f"{what}: {tried} tries, but {sum(outcome.values())} outcomes.")
    folder = _folder()
    if folder is None:
        return
    file = folder / (re.sub(r"[^a-z0-9]+", "-", f"{topic} {what} {part}".lower()).strip("-")[:160] + ".json")
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    _recorded.setdefault(test, set()).add(file)
    kept = read_json(file) if file.exists() else {"tried": 0, "failed": ""}
    if (kept["tried"] > tried and kept["failed"] != test) or kept["failed"] not in ("", test):
        return
    values = {"topic": topic, "what": what, "part": part, "tried": tried, "outcome": outcome, "note": note, "test": test, "failed": ""}
    write_json(file, values | stamp())


def stamp() -> dict[str, str]:
    """When this is, at which commit of the checkout, and with which torchvision; torch's version names the folder."""
    return {"date": today(), "commit": _commit(), "torchvision": version("torchvision")}


@cache
def _commit() -> str:
    return provenance("cpu")["commit"]


def today() -> str:
    """The date, as 2026-01-31."""
    return datetime.now(UTC).date().isoformat()


def _folder() -> Path | None:
    """Where this run records; runs with another torch have a folder of their own."""
    named = os.environ.get("NOVKIT_RELIABILITY")
    return Path(named).resolve() / f"torch-{version('torch')}" if named else None


# ---- the plugin ------------------------------------------------------------------------------------------------------------

_ended: dict[str, dict[str, Any]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
        _ended[report.nodeid] = {"outcome": report.outcome, "reason": reason, "seconds": round(report.duration, 1), **stamp()}
    if report.outcome == "failed":  # what it recorded is no longer told as if all had gone well
        for file in _recorded.get(report.nodeid, ()):
            write_json(file, read_json(file) | {"failed": report.nodeid})


def pytest_sessionfinish() -> None:
    folder = _folder()
    if folder is None or not _ended or "PYTEST_XDIST_WORKER" in os.environ:
        return
    file = folder / "tests.json"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        known = read_json(file) if file.exists() else {}
        write_json(file, {**known, **_ended})
