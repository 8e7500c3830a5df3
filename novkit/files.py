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
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout
from PIL import Image

from novkit.errors import DataError, StoredFileError

_HERE = hashlib.blake2b(platform.node().encode(), digest_size=3).hexdigest()  # this machine, in the names of temporary files
_LONG = 128  # letters of a path in a folder that is removed: what lies deeper is moved up, for a system takes no path of thousands


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
        _make_folder(path.parent)
        _remove_abandoned(path)
        made = path.with_name(f"{_prefix(path)}{secrets.token_hex(4)}.tmp")
        os.close(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))  # less what the user's umask takes
        temporary = made
        yield temporary
        _sync(temporary)
        _keep_mode(path, temporary)
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
        _make_folder(path.parent)
        _remove_abandoned(path)
        made = path.with_name(f"{_prefix(path)}{secrets.token_hex(4)}.tmp")
        made.mkdir()
        temporary = made
        yield temporary
        for file in files_under(temporary):
            if file.is_file():
                _sync(file)
        _keep_mode(path, temporary)
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
                remove(old)
        else:
            os.replace(temporary, path)
        _sync_folder(path.parent)
    except StoredFileError:
        raise
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        if temporary is not None:
            remove(temporary)


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
            remove(left)
    if path.exists():  # else the old one may be all there is
        for left in path.parent.glob(f".{glob.escape(path.name)}.{_HERE}-*.old"):
            if writer_lives(left) is False:
                remove(left)


def discard(path: Path) -> None:
    """Remove a folder so that whoever is killed on the way leaves it whole or not at all; as far as the system lets us."""
    hidden = path.with_name(f"{_prefix(path)}discarded.old")
    with suppress(OSError):
        os.replace(path, hidden)
    remove(hidden)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, as far as the system lets us; never an error. Of a link, the link alone.

    A folder may be nested deeper than Python can recurse and than a system takes paths, and may forbid to be changed.
    """
    folders = [os.fspath(path)] if _is_folder(path) else []
    for folder in folders:  # grows by those that lie in it
        for entry in _entries(folder):
            if _is_folder(entry):
                folders.append(_within_reach(entry, folders[0]))
            else:
                with suppress(OSError):
                    os.unlink(entry)
    for place in [*reversed(folders)] if folders else [path]:
        with suppress(OSError):
            os.rmdir(place) if folders else os.unlink(place)


def _entries(folder: str) -> list[str]:
    """The paths of what lies in a folder that is to be removed."""
    with suppress(OSError):
        os.chmod(folder, 0o700)  # else it may forbid to be listed, changed or moved
    with suppress(OSError):
        return [os.path.join(folder, name) for name in os.listdir(folder)]
    return []


def _within_reach(folder: str, top: str) -> str:
    """Where a folder below `top` lies now: where its path is long, it was moved up."""
    if len(folder) - len(top) > _LONG:
        with suppress(OSError):
            os.chmod(folder, 0o700)
            os.rename(folder, moved := os.path.join(top, secrets.token_hex(8)))
            return moved
    return folder


def files_under(folder: Path) -> Iterator[Path]:
    """All that lies in a folder, in any depth, and is no folder itself, in no order; links to folders are not entered.

    What cannot be listed is passed over, as by `Path.rglob`, which ends in an error where folders are nested by the thousand.
    """
    folders = [os.fspath(folder)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path)
                elif _is_folder(entry.path):
                    folders.append(entry.path)


def _is_folder(path: str | Path) -> bool:
    """Whether a folder itself lies there: no link to one, and none of Windows' junctions."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    junction = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)
    return stat.S_ISDIR(status.st_mode) and getattr(status, "st_reparse_tag", 0) != junction


def _make_folder(path: Path) -> None:
    """`path.mkdir(parents=True, exist_ok=True)`, however many parents there are to make."""
    for missing in reversed([*takewhile(lambda each: not each.is_dir(), (path, *path.parents))]):
        missing.mkdir(exist_ok=True)


def _keep_mode(path: Path, new: Path) -> None:
    """What replaces `path` is for the same readers; on Windows, a mode tells nothing of them."""
    if os.name != "nt" and path.exists():
        os.chmod(new, stat.S_IMODE(path.stat().st_mode) & 0o777)


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


_FORMULA = r"[=+\-@]"
_CELL = re.compile(rf"""^(?=[\s"]*{_FORMULA})|(?<=[;\t\n])(?=(?:[^\S\t\n]|")*{_FORMULA})""")


def csv_cell(text: str) -> str:
    """The text as a cell of a CSV in which no spreadsheet finds a formula, also where it cuts lines at semicolons or tabs, not at commas.

    An apostrophe keeps text what would begin one; quotation marks do not, for they hold together only what was cut as it was written.
    """
    return _CELL.sub("'", text.replace("\r", "\n"))  # Python before 3.13 leaves the first unquoted: what follows would begin a line


def cut(text: str, most: int) -> str:
    """The beginning of a text, at most so many bytes in UTF-8: names of files are that short."""
    return text.encode("utf-8", "backslashreplace")[:most].decode("utf-8", "ignore")


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
