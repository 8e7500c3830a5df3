"""Waiting for what another thread says, however busy the machine is."""

import io
import sys
import threading

import pytest

PATIENCE = 120  # seconds


class Heard(io.StringIO):
    """Takes what is written to stderr, and tells threads that wait when it held certain words."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
        super().__init__()
        self.words, self.said = words, threading.Event()
        monkeypatch.setattr(sys, "stderr", self)

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.words in self.getvalue():
            self.said.set()
        return written

    def wait(self) -> None:
        """Return when the words were said; else the test fails."""
        assert self.said.wait(PATIENCE), self.getvalue()
