"""RELIABILITY.md, from what the tests recorded: what was tried, how many times, what came out.

Usage: python -m tests.reliability run [pytest's arguments]   runs the tests, campaigns included, and writes the page
       python -m tests.reliability                            writes the page from what is recorded in build/reliability
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

from novkit.files import read_json, replacing
from novkit.provenance import provenance
from tests.campaign import today
from tests.test_reproducible import AUROC, RELATIVE

PROJECT = Path(__file__).resolve().parent.parent
FOLDER = PROJECT / "build" / "reliability"
OWN = f"torch-{metadata.version('torch')}"
PAGE = PROJECT / "RELIABILITY.md"
TOPICS = {
    "Faults": "Killed processes, full disks, folders that may not be written, two runs at once. Half of the kills (SIGKILL) come at a "
    "moment drawn at random from the whole length of an undisturbed run, half at one of its file operations, which take no time to be hit "
    "by chance; the same command is then started again until it comes through, and what it leaves is compared with what the undisturbed "
    "run left.",
    "Untrusted files": "Damaged and hostile files. The only good ends are the content as it is, or one sentence of novkit's own.",
    "Properties": "What must hold for any input, tried on drawn ones: shapes, dtypes, sizes, NaN and infinity, ties, empty sets. The same "
    "ones are drawn at every run.",
    "Reproducible": "The same again, on the same machine; and the same as recorded runs, within "
    f"{RELATIVE:.0%} of every value and {AUROC} of AUROC.",
}
INTRODUCTION = """# Reliability

What was tried, how many times, and what came out, as the tests recorded it; nothing here is typed in. `make reliability` runs every test,
the long campaigns included, and writes this page anew; `make test-oldest` adds the short tests with the oldest torch that novkit works
with. Which tests the page at hand comes from stands at its end.
"""


def page(folder: Path) -> str:
    """The page, from the folders `torch-<version>` that tests recorded into, the newest first."""
    versions = sorted(folder.glob("torch-*"), key=_numbers, reverse=True)
    records = [record for version in versions for record in _records(version)]
    where = provenance("cpu")
    used = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    parts = [
        INTRODUCTION,
        f"{today()}, {where['device']}, {where['machine']}; {used}; commit {_commits(versions)}.\n",
    ]
    topics = [*TOPICS, *dict.fromkeys(record["topic"] for record in records if record["topic"] not in TOPICS)]
    for topic in topics:
        rows = [row for version in versions for row in _rows(version, topic)]
        if rows:
            parts += [
                f"## {topic}\n",
                TOPICS.get(topic, "") + "\n" * (topic in TOPICS),
                "| what | tried | what came out | when |\n|---|---:|---|---|\n" + "\n".join(rows) + "\n",
            ]
    parts.append("## All tests\n")
    for version in versions:
        parts.append(_tests(version))
    return "\n".join(part for part in parts if part)


def _records(version: Path) -> list[dict[str, Any]]:
    return [read_json(file, "record of a campaign") for file in sorted(version.glob("*.json")) if file.name != "tests.json"]


def _ended(version: Path) -> dict[str, dict[str, Any]]:
    return read_json(version / "tests.json", "record of the tests") if (version / "tests.json").exists() else {}


def _rows(version: Path, topic: str) -> list[str]:
    """One row a campaign, its parts added up; which torch, where it is not the installed one."""
    campaigns: dict[str, list[dict[str, Any]]] = {}
    for record in _records(version):
        if record["topic"] == topic:
            campaigns.setdefault(record["what"], []).append(record)
    rows = []
    for what, records in campaigns.items():
        parts = ", ".join(record["part"] for record in records if record.get("part"))
        torch = f" [{version.name.replace('-', ' ')}]" if version.name != OWN else ""
        notes = "; ".join(dict.fromkeys(record["note"] for record in records if record["note"]))
        cells = [what + torch + f": {parts}" * bool(parts), f"{sum(record['tried'] for record in records):,}"]
        failed = sorted({record["failed"].split("::")[-1] for record in records if record.get("failed")})
        outcome = _added(records) + f" ({notes})" * bool(notes) + f"; failed: `{', '.join(failed)}`" * bool(failed)
        cells += [outcome, max(record["date"] for record in records)]
        rows.append("| " + " | ".join(map(_cell, cells)) + " |")
    return rows


def _added(records: list[dict[str, Any]]) -> str:
    """What came out, in words; of several parts, how often each."""
    if len(records) == 1 and isinstance(records[0]["outcome"], str):
        return records[0]["outcome"]
    counts: Counter[str] = Counter()
    for record in records:
        counts.update({record["outcome"]: record["tried"]} if isinstance(record["outcome"], str) else record["outcome"])
    return ", ".join(f"{count:,} {words}" for words, count in counts.most_common())


def _tests(version: Path) -> str:
    """How the tests ended with one version of torch: how many, which failed, and why some were skipped."""
    ended = _ended(version)
    counts = Counter(test["outcome"] for test in ended.values())
    dates = sorted({test["date"] for test in ended.values()}) or [""]
    files = len({name.split("::")[0] for name in ended})
    used = " and ".join([version.name.replace("-", " "), *sorted({f"torchvision {test['torchvision']}" for test in ended.values()})])
    days = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    lines = [f"With {used}: {len(ended):,} tests of {files} files ({days})."]
    lines[0] += f" {counts['passed']:,} passed, {counts['failed']} failed, {counts['skipped']} skipped."
    lines += [f"- failed: `{name}`" for name, test in sorted(ended.items()) if test["outcome"] == "failed"]
    reasons = Counter(test["reason"] for test in ended.values() if test["outcome"] == "skipped")
    lines += [f"- {count} skipped: {_cell(reason)}" for reason, count in reasons.most_common()]
    return "\n".join([lines[0], *([""] if len(lines) > 1 else []), *lines[1:]]) + "\n"


def _cell(text: str) -> str:
    """Text that is safe in a cell: of one line, with neither bars nor tags."""
    return re.sub(r"\s+", " ", text).replace("|", "/").replace("<", "&lt;")


def _numbers(version: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.name)]


def _commits(versions: list[Path]) -> str:
    """The commits that the records come from."""
    records = [record for version in versions for record in (*_records(version), *_ended(version).values())]
    found = sorted({record["commit"] for record in records})
    return ", ".join(commit[:10] + " with changes" * commit.endswith("-modified") for commit in found)


def main(words: list[str]) -> int:
    code = 0
    if words[:1] == ["run"]:
        if not words[1:]:
            shutil.rmtree(FOLDER / OWN, ignore_errors=True)  # all tests: nothing of an earlier run remains
        command = [sys.executable, "-m", "pytest", "-p", "tests.campaign", *words[1:]]
        code = subprocess.run(command, cwd=PROJECT, env=os.environ | {"NOVKIT_RELIABILITY": str(FOLDER)}).returncode
    elif words:
        raise SystemExit(__doc__)
    with replacing(PAGE) as temporary:
        temporary.write_text(page(FOLDER), encoding="utf-8")
    print(f"page: {PAGE}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
