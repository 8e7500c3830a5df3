"""Readers that do what no reader may, to see that the watch sees it."""

import os
import pickle
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.hostile_worker import SECONDS


def prepare(folder: Path) -> None:
    """They need nothing."""


def _dawdle() -> None:
    end = time.process_time() + SECONDS + 0.5
    while time.process_time() < end:
        pass


DEEDS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda room: None,
    "raise": lambda room: {}["no such key"],
    "warn": lambda room: warnings.warn("a remark", stacklevel=1),
    "say": lambda room: os.write(2, b"from C\n") and sys.stderr.flush(),
    "write": lambda room: (room.parent.parent / "outside.txt").write_text("x"),
    "unpickle": lambda room: pickle.loads(pickle.dumps(Path("x"))),
    "die": lambda room: os._exit(9),
    "hoard": lambda room: bytearray(2**32),
    "dawdle": lambda room: _dawdle(),
    "sleep": lambda room: time.sleep(600),
}


def _reader(deed: Callable[[Path], object]) -> Callable[[str, int, Path], Callable[[], object]]:
    return lambda kind, index, room: partial(deed, room)


READERS = {how: _reader(deed) for how, deed in DEEDS.items()}
