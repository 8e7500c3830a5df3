"""What the tests of prepared data share."""

from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """An empty folder for prepared data."""
    monkeypatch.setenv("NOVKIT_DATA", str(tmp_path / "prepared"))
    return tmp_path / "prepared"
