"""Writing files so that nothing is ever half-written: a temporary neighbour, fsync, then a rename."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from novkit.errors import StoredFileError


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
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
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
    """The same for a folder: an existing `path` is replaced only when the new one is complete."""
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        os.chmod(temporary, 0o755)
        if path.exists():
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


def _refused(path: Path, error: OSError) -> StoredFileError:
    return StoredFileError(
        f"{path} could not be written ({error.strerror or error}): free some space or choose a folder you may write to; "
        "nothing was changed."
    )


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON (UTF-8, indented, strict: no NaN) in one step."""
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path, what: str = "file") -> Any:
    """Read JSON; StoredFileError if it is missing or damaged. `what` names it in the message."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoredFileError(f"There is no {what} at {path}: check the path.") from error
    except OSError as error:
        raise StoredFileError(f"The {what} {path} could not be read ({error.strerror}): check its permissions.") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StoredFileError(f"The {what} {path} is damaged ({error}): delete it and make it again.") from error
