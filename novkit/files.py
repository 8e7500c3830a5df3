"""Writing files so that nothing is ever half-written: a temporary neighbour, fsync, then a rename.

And text of unknown origin, as it can be written and shown.
"""

import ctypes
import glob
import hashlib
import io
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout
from PIL import Image

from novkit.errors import DataError, StoredFileError

_HERE = hashlib.blake2b(platform.node().encode(), digest_size=3).hexdigest()  # this machine, in the names of temporary files


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # folders cannot be synced on Windows
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    if os.name != "nt":
        _sync(path)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path (file) beside `path`; when the block ends well it becomes `path`, else it vanishes.

    Raises StoredFileError where the system refuses: disk full, read-only folder, no permission.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix=".tmp")
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        _sync(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except StoredFileError:
        raise
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """The same for a folder: an existing `path` is replaced only when the new one is complete.

    Linux and macOS swap the two in one step. Elsewhere there is a moment between two renames in which `path` is missing; a process killed
    in it leaves the old folder beside `path`, as `.<name>.….old`.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path), suffix=".tmp"))
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        os.chmod(temporary, 0o755)
        if path.exists() and _swapped(temporary, path):
            pass  # the old one now has the temporary name, and goes with it
        elif path.exists():
            old = temporary.with_suffix(".old")
            os.replace(path, old)
            try:
                os.replace(temporary, path)
            except OSError:
                if not path.exists():
                    os.replace(old, path)
                raise  # or another process has put its own there
            finally:
                shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(temporary, path)
        _sync_folder(path.parent)
    except StoredFileError:
        raise
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def alone(folder: str | Path, what: str) -> Iterator[None]:
    """Hold `folder` for one run; a second one says so and waits. A killed process lets go of it.

    what: such as "run", for the message. Raises StoredFileError where the folder cannot be written.
    """
    folder = Path(folder)
    lock, patience = FileLock(folder / ".run.lock"), 0
    while not lock.is_locked:
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # who held the folder is done and has removed it
                lock.acquire(timeout=patience)
        except Timeout:
            print(f"Another {what} is at work in {folder}: waiting for it.", file=sys.stderr, flush=True)
            patience = -1
        except (OSError, NotImplementedError) as error:
            raise _refused(folder, error) from error
    try:
        yield
    finally:
        with suppress(OSError):  # a run that wrote nothing leaves nothing
            if made and [path.name for path in folder.iterdir()] == [".run.lock"]:
                (folder / ".run.lock").unlink()  # while it is ours; Windows does so at the release
        lock.release()
        with suppress(OSError):
            for path in made:
                path.rmdir()


def writer_lives(path: Path) -> bool | None:
    """Whether the process that made this temporary file or folder still runs; None where it is of another machine, or of nobody known."""
    found = re.search(rf"\.{_HERE}-(\d+)-[^.]*\.(tmp|old)$", path.name)
    return psutil.pid_exists(int(found[1])) if found else None


def _prefix(path: Path) -> str:
    """Of temporary names beside `path`: hidden, and telling whose they are."""
    return f".{path.name}.{_HERE}-{os.getpid()}-"


def _remove_abandoned(path: Path) -> None:
    """Remove what killed writers of `path` left beside it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.{_HERE}-*.tmp"):
        if writer_lives(left) is False:
            _remove(left)
    if path.exists():  # else the old one may be all there is
        for left in path.parent.glob(f".{glob.escape(path.name)}.{_HERE}-*.old"):
            if writer_lives(left) is False:
                _remove(left)


def discard(path: Path) -> None:
    """Remove a folder so that whoever is killed on the way leaves it whole or not at all; as far as the system lets us."""
    hidden = path.with_name(f"{_prefix(path)}discarded.old")
    with suppress(OSError):
        os.replace(path, hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _swapped(a: Path, b: Path) -> bool:
    """Exchange two paths in one step, where the system and the file system can; whether they did."""
    try:
        if sys.platform == "linux":
            return ctypes.CDLL(None).renameat2(-100, os.fsencode(a), -100, os.fsencode(b), 2) == 0  # AT_FDCWD, RENAME_EXCHANGE
        if sys.platform == "darwin":
            return ctypes.CDLL(None).renamex_np(os.fsencode(a), os.fsencode(b), 2) == 0  # RENAME_SWAP
    except (AttributeError, OSError):
        pass  # a C library without it
    return False


def _refused(path: Path, error: Exception) -> StoredFileError:
    return StoredFileError(
        f"{path} could not be written ({getattr(error, 'strerror', None) or error}): free some space or choose a folder you may write to; "
        "nothing was changed."
    )


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON (UTF-8, indented, strict: no NaN) in one step. DataError for what JSON in UTF-8 cannot hold."""
    try:
        text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
        with replacing(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    except (UnicodeEncodeError, RecursionError) as error:
        what = "half a letter (a lone surrogate)" if isinstance(error, UnicodeEncodeError) else "tables in tables without end"
        raise DataError(f"{path} could not be written: what it would hold has {what} in it, take that out; nothing was changed.") from error


def writable(text: str) -> str:
    """The text with its lone surrogates, which JSON and names of files can hold and no file in UTF-8 can, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str, keep: str = "") -> str:
    """The text with what a terminal would obey instead of show as escapes: codes, ends of lines, turns of direction. keep: not these."""
    return "".join(letter if letter.isprintable() or letter in keep else repr(letter)[1:-1] for letter in text)


def write_image(path: str | Path, image: Image.Image, kind: str) -> None:
    """Write an image as `kind`, such as PNG, in one step. Through memory: on a disk that is full, Pillow cuts a file without a word."""
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_json(path: str | Path, what: str = "file") -> Any:
    """Read JSON; StoredFileError if it is missing or damaged. `what` names it in the message."""
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device never ends
            raise StoredFileError(f"The {what} {path} is no file: delete it and make it again.")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoredFileError(f"There is no {what} at {path}: check the path.") from error
    except StoredFileError:
        raise
    except OSError as error:
        raise StoredFileError(f"The {what} {path} could not be read ({error.strerror}): check its permissions.") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, numbers of thousands of digits, tables in tables without end
        raise StoredFileError(f"The {what} {path} is damaged ({error}): delete it and make it again.") from error
