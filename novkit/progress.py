"""Progress bars: tqdm's, each process on a line of its own."""

import sys
from typing import Any

from tqdm.auto import tqdm

_line: int | None = None  # of this process's bars, where several processes draw on one screen


def own_line(number: int | None) -> None:
    """Draw this process's bars on line `number`, counted from the topmost, and clear them when done; None: where tqdm puts them."""
    global _line
    _line = number


def progress_bar(iterable: Any = None, **arguments: Any) -> Any:
    """tqdm(iterable, **arguments), on this process's line."""
    if _line is not None:
        arguments |= {"position": _line, "leave": False}
    return tqdm(iterable, **arguments)


def say(sentence: str) -> None:
    """Print a sentence above the bars, to standard error."""
    tqdm.write(sentence, file=sys.stderr)
