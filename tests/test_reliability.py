"""The page of what was tried: how it is made from records, and that the one at hand leaves nothing out and names no failure."""

from importlib.metadata import version

import pytest

from novkit.files import write_json
from tests import campaign, reliability


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


def test_nothing_is_recorded_unless_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("NOVKIT_RELIABILITY", raising=False)
    monkeypatch.chdir(tmp_path)
    campaign.record("Faults", "kills", tried=1, outcome="")
    assert list(tmp_path.iterdir()) == []
