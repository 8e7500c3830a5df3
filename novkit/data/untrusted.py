"""What reading files of unknown origin has in common: one kind of error, quiet libraries, and bounds on what small files may become."""

import gzip
import io
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from novkit.errors import DataError, NovkitError

MAX_RATIO = 100  # times its own size that a file may hold: images are compressed already
SMALL = 2**30  # bytes that any file may hold
AT_ONCE = 2**30  # bytes that decoding may take in all threads together, unless one file alone takes more
_LOGGERS = ("pydicom", "nibabel", "nibabel.global", "PIL")


def unpacked_limit(file: Path) -> int:
    """How many bytes a file may unpack to; more is a trap, or damage."""
    return max(SMALL, MAX_RATIO * file.stat().st_size)


def is_file(path: Path) -> bool:
    """Whether a regular file lies there; a pipe, a device, a loop of links and a name that no system has are none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


@contextmanager
def reading(file: Path, what: str, mend: str = "replace it or remove it") -> Iterator[None]:
    """Whatever goes wrong in the block is a DataError that names the file; what libraries remark on the way is not heard.

    what: what the file should be, with its article. mend: what the reader of the error can do.
    """
    try:
        with quiet():
            yield
    except NovkitError:
        raise
    except MemoryError as error:  # no fault of the file's, as a rule
        raise DataError(f"There is too little memory to read {file} as {what}: read fewer or smaller files, or free some.") from error
    except Exception as error:  # decoders raise nearly anything for a broken file
        words = " ".join(str(error).split())[:200]
        why = f"{type(error).__name__}: {words}" if words else type(error).__name__
        raise DataError(f"{file} cannot be read as {what} ({why}): {mend}.") from error


class _Quiet:
    """Filters and log levels are the process's own: the first reader in sets them, the last one out puts them back."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.filters = warnings.catch_warnings()
        self.levels: dict[str, int] = {}

    def enter(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.filters = warnings.catch_warnings()
                self.filters.__enter__()
                warnings.simplefilter("ignore")
                self.levels = {name: logging.getLogger(name).level for name in _LOGGERS}
                for name in _LOGGERS:
                    logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.filters.__exit__(None, None, None)
                for name, level in self.levels.items():
                    logging.getLogger(name).setLevel(level)


_quiet = _Quiet()


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back the remarks of the libraries that read files, in all threads: the error that may follow says what matters."""
    _quiet.enter()
    try:
        yield
    finally:
        _quiet.leave()


class _Budget:
    """Memory that threads share while they decode: eight cores must not read eight of the largest images at once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.start()

    def start(self) -> None:
        """Nothing is taken, as in a process that has just begun."""
        self.taken, self.changed, self.own = 0, threading.Condition(), threading.local()

    def take(self, needed: int) -> None:
        """Have so many bytes, once they are free or nobody else has any; less is given back first, so that no two wait for each other."""
        if needed > getattr(self.own, "held", 0):
            self.give_back()
            with self.changed:
                self.changed.wait_for(lambda: not self.taken or self.taken + needed <= self.size)
                self.taken, self.own.held = self.taken + needed, needed

    def give_back(self) -> None:
        """All that this thread has taken."""
        with self.changed:
            self.taken -= getattr(self.own, "held", 0)
            self.own.held = 0
            self.changed.notify_all()


_budget = _Budget(AT_ONCE)
if hasattr(os, "register_at_fork"):  # a child has none of the threads that would give back
    os.register_at_fork(after_in_child=_budget.start)


@contextmanager
def decoding() -> Iterator[None]:
    """A block, or a function, that decodes files: what it `needs` is given back at its end, in nested ones at the end of the outermost.

    Never around work that waits for other threads which decode.
    """
    own = _budget.own
    own.depth = getattr(own, "depth", 0) + 1
    try:
        yield
    finally:
        own.depth -= 1
        if not own.depth:
            _budget.give_back()


def needs(size: int) -> None:
    """Wait, in a block of `decoding`, until decoding may take so many bytes."""
    _budget.take(size)


class Bounded(io.BufferedIOBase):
    """A stream to read and seek in, which refuses what lies beyond `limit` bytes, and to read more than `most` at once.

    What a small file unpacks to can be more than anybody has, and a length in its header can be anything.
    """

    def __init__(self, stream: IO[bytes], limit: int, file: Path, most: int | None = None) -> None:
        super().__init__()
        self.stream, self.limit, self.file, self.place = stream, limit, file, 0
        self.most = limit if most is None else most

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True, though not from the end."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes; None or −1 for all up to the limit. Raises DataError for more than `most`, or beyond the limit."""
        if size is None or size < 0:
            size = self.limit - self.place
        elif size > self.most:
            raise self._refused()
        content = self.stream.read(size)
        self._at(self.place + len(content))
        return content

    read1 = read

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place, counted in bytes from the start or from here; returns it. Raises DataError beyond the limit."""
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end is not known")
        wanted = offset + (self.place if whence == io.SEEK_CUR else 0)
        self._at(wanted)
        self.place = self.stream.seek(wanted)
        return self.place

    def tell(self) -> int:
        """The place, in bytes from the start."""
        return self.place

    def _at(self, place: int) -> None:
        if place > self.limit:
            raise self._refused()
        self.place = place

    def _refused(self) -> DataError:
        return DataError(f"{self.file} unpacks to more than {max(1, self.limit >> 20)} MiB: it is a trap or damaged, download it again.")


@contextmanager
def opened(file: Path, limit: int | None = None) -> Iterator[Bounded]:
    """The content of a file, unpacked where its name ends in .gz, up to `limit` bytes; by default `unpacked_limit`."""
    stream: Any
    with gzip.open(file) if file.name.lower().endswith(".gz") else open(file, "rb") as stream:
        yield Bounded(stream, unpacked_limit(file) if limit is None else limit, file)
