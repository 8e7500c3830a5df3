"""The page of what was tried: how it is made from records, and that the one at hand leaves nothing out and names no failure."""

import os
import re
import subprocess
from importlib.metadata import version
from types import SimpleNamespace

import pytest

from novkit.files import write_json
from tests import campaign, oldest, reliability


def test_records_become_a_page(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVKIT_RELIABILITY", str(tmp_path))
    campaign.record("Faults", "kills", tried=3, outcome={"the same": 2, "other": 1, "never": 0})
    campaign.record("Faults", "kills", tried=2, outcome="fewer tries: not kept")
    campaign.record("Own", "a | b <i>", tried=1000, outcome="so\nso", note="of two")
    with pytest.raises(ValueError, match="3 tries, but 2 outcomes"):
        campaign.record("Faults", "kills", tried=3, outcome={"the same": 2})
    folder = campaign._folder()
    assert folder is not None
    stamp = {"date": "2026-01-01", "commit": 40 * "a" + "-modified", "torchvision": "0.1"}
    ended = {"outcome": "skipped", "reason": "no GPU", "seconds": 0.0, **stamp}
    write_json(folder / "tests.json", {"t.py::a": ended, "t.py::b": {**ended, "outcome": "failed", "reason": ""}})
    page = reliability.page(tmp_path)
    assert f"| kills | 3 | 2 the same, 1 other | {campaign.today()} |" in page
    assert "| a / b &lt;i> | 1,000 | so so (of two) |" in page
    assert f"With torch {version('torch')} and torchvision 0.1: 2 tests of 1 files (2026-01-01). 0 passed, 1 failed, 1 skipped." in page
    assert "- failed: `t.py::b`" in page
    assert "- 1 skipped: no GPU" in page
    assert "aaaaaaaaaa with changes" in page
    assert campaign.stamp()["commit"][:10] in page


def test_a_failure_is_in_the_row_whatever_ran_before_and_after(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVKIT_RELIABILITY", str(tmp_path))
    monkeypatch.setattr(campaign, "_ended", {})
    monkeypatch.setattr(campaign, "_recorded", {})

    def run(test: str, tried: int, outcome: str) -> str:
        monkeypatch.setenv("PYTEST_CURRENT_TEST", f"{test} (call)")
        campaign.record("Faults", "kills", tried=tried, outcome={outcome: tried})
        report = SimpleNamespace(when="call", outcome="passed" if outcome == "good" else "failed", longrepr=None, nodeid=test, duration=0.0)
        campaign.pytest_runtest_logreport(report)
        return reliability.page(tmp_path)

    assert "| kills | 150 | 150 good |" in run("t.py::brief[a b]", 150, "good")
    assert "| kills | 150 | 150 good; failed: `long` |" in run("t.py::long", 37, "bad")  # fewer tries than the brief one
    assert "failed: `long` |" in run("t.py::brief[a b]", 200, "good")
    assert "| kills | 40 | 40 good |" in run("t.py::long", 40, "good")


def test_nothing_is_recorded_unless_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("NOVKIT_RELIABILITY", raising=False)
    monkeypatch.chdir(tmp_path)
    campaign.record("Faults", "kills", tried=1, outcome="")
    assert list(tmp_path.iterdir()) == []


# ---- the page at hand -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page() -> str:
    if "NOVKIT_RELIABILITY" in os.environ:
        pytest.skip("the page is about to be made anew")
    return reliability.PAGE.read_text(encoding="utf-8")


def rows(page: str, words: str) -> list[tuple[str, int, str]]:
    """(what, tried, what came out) of the rows that hold `words`."""
    found = re.findall(r"^\| (.+?) \| ([\d,]+) \| (.+?) \| [\d-]+ \|$", page, re.MULTILINE)
    return [(what, int(tried.replace(",", "")), outcome) for what, tried, outcome in found if words in what]


def test_no_test_failed(page):
    assert "failed: `" not in page
    assert re.findall(r"(\d+) failed", page) == ["0", "0"]


def test_both_ends_of_the_supported_versions_were_tried(page):
    pins = (reliability.PROJECT / "constraints.txt").read_text(encoding="utf-8")
    newest = dict(re.findall(r"^(torch|torchvision)==(.+)$", pins, re.MULTILINE))
    floor = dict(pin.split("==") for pin in oldest.oldest())
    for versions in (newest, floor):
        assert f"With torch {versions['torch']} and torchvision {versions['torchvision']}: " in page


@pytest.mark.parametrize("topic", reliability.TOPICS)
def test_every_topic_has_its_rows(page, topic):
    assert f"\n## {topic}\n" in page


FAULTS = "one sentence, nothing half-written"


@pytest.mark.parametrize(
    ("words", "tried", "good"),
    [
        ("a disk that fills up", 43, FAULTS),
        ("a disk that may only be read", 1, FAULTS),
        ("no space", 7, FAULTS),
        ("permission denied (", 7, FAULTS),
        ("permission denied to read", 8, FAULTS),
        ("two runs in one folder", 2, "the second said so, waited, and went on"),
        ("two workers side by side", 3, "all workers ended with it"),
        ("archives with paths outside", 36, "refused in a sentence"),
        ("bombs", 30, "refused in a sentence"),
        ("hostile names", 21, "shown as they are"),
        ("preset, a few steps, against its recorded run", 8, "the same"),
    ],
)
def test_what_was_tried_once_is_there_and_ended_well(page, words, tried, good):
    found = [row for row in rows(page, words) if "[torch" not in row[0]]
    assert found
    for what, times, outcome in found:
        assert times >= tried, what
        assert re.match(rf"(?:{times:,} )?{re.escape(good)}", outcome), (what, outcome)
        assert "failed" not in outcome


def test_the_page_comes_from_commits_of_this_history(page):
    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *words], cwd=reliability.PROJECT, capture_output=True, text=True, timeout=60)

    if git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("no checkout with its whole history")
    named = re.search(r"commit ([0-9a-f, ]+)\.", page)
    assert named
    for commit in named[1].split(", "):
        assert git("merge-base", "--is-ancestor", commit, "HEAD").returncode == 0, commit


EACH_A_PAGE = "reported and explored"
"""Damaged folders that a report is written of, each time anew: as many as take as long as 10,000 files."""


@pytest.mark.parametrize(
    ("words", "tried", "least", "good"),
    [
        ("SIGKILL:", 50, 7, r"the same result as undisturbed, bit for bit"),
        ("damaged at random", 10_000, 21, r"refused in a sentence|read"),
        (EACH_A_PAGE, 2_000, 1, r"refused in a sentence|read"),
        ("fresh clones", 2, 1, r"the same \d+ records but for seconds and memory"),
    ],
    ids=["kills", "damaged files", "damaged folders", "clones"],
)
def test_the_long_campaigns_were_whole_and_ended_well(page, words, tried, least, good):
    found = [row for row in rows(page, words) if "[torch" not in row[0] and (words == EACH_A_PAGE or EACH_A_PAGE not in row[0])]
    assert len(found) >= least
    for what, times, outcome in found:
        assert times >= tried, what
        without_note = re.sub(r" \(.*\)$", "", outcome)
        assert all(re.fullmatch(r"(?:[\d,]+ )?(?:" + good + ")", words) for words in re.split(r", (?=\d)", without_note)), what
