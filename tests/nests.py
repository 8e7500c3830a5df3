"""Folders nested deeper than Python recurses, and the end of them: pytest could not remove what a test leaves."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEEP = sys.getrecursionlimit() + 200
unix = pytest.mark.skipif(os.name == "nt", reason="Windows has modes and links of other kinds, and shorter paths")


def nest(folder: Path, depth: int = DEEP, name: str = "a") -> None:
    """Folders in folders, an empty file in the innermost; entered one by one, for a path to them may be too long."""
    folder.mkdir(exist_ok=True)
    here = os.getcwd()
    try:
        os.chdir(folder)
        for _ in range(depth):
            os.mkdir(name)
            os.chdir(name)
        Path("x").touch()
    finally:
        os.chdir(here)


@contextmanager
def place_for_nests(folder: Path) -> Iterator[Path]:
    """A folder for such folders, removed by other code than that which is tested."""
    folder.mkdir()
    yield folder
    if os.name != "nt":
        subprocess.run(["rm", "-rf", str(folder)], check=True)
