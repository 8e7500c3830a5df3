"""Unpacking archives that came from elsewhere: nothing leaves the folder, nothing is half-unpacked, bombs are refused."""

import gzip
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, NamedTuple

from novkit.data.untrusted import MAX_RATIO, SMALL, Bounded
from novkit.errors import DataError, NovkitError
from novkit.files import replacing_folder
from novkit.progress import progress_bar

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
MAX_FILES = 1_000_000
FEW = 1000  # files that any archive may hold
_LEAST = 64  # bytes of an archive that each further file takes: one of images has more, gzip makes 6 of the head of an empty file
_DEEPEST = 50  # folders in folders
_PIECE = 2**20
_LONGEST = 2**24  # bytes of a name or another header of a tar
_ROOM = 2**28  # bytes of a tar's headers and padding
_STEADY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # Python unpacks the other kinds in one go, whatever they become


class _Member(NamedTuple):
    """name: with forward slashes. kind: "file", "folder", or what must not be there. open: reads a file's content."""

    name: str
    kind: str
    size: int
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether a file's name says that it is an archive `unpack` can open."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path, *, progress: bool = True) -> None:
    """Unpack a zip or tar as a new `folder`, whole or not at all.

    Raises DataError, and leaves nothing, for members outside the folder, links, devices, too many or too large contents, and damage;
    StoredFileError where the disk refuses.
    """
    try:
        size = archive.stat().st_size
        limit, most = max(SMALL, MAX_RATIO * size), min(MAX_FILES, max(FEW, size // _LEAST))
        with _opened(archive, limit) as content:
            members = _zip_members(content) if isinstance(content, zipfile.ZipFile) else _tar_members(content, most)
            with replacing_folder(folder) as temporary:
                _check(archive, members, min(limit, shutil.disk_usage(temporary).free), most)
                _write(archive, progress_bar(members, desc=f"Unpacking {archive.name}", disable=not progress, delay=1), temporary, limit)
    except NovkitError:
        raise
    except Exception as error:  # zip, tar, zlib and the names in them each have errors of their own
        words = " ".join(str(error).split())[:200]
        raise DataError(f"{archive} is damaged or no archive ({words}): download it again.") from error


def _write(archive: Path, members: Iterable[_Member], folder: Path, limit: int) -> None:
    written = 0
    for member in members:
        target = folder / member.name
        if member.kind == "folder":
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, open(target, "xb") as stream:
            while piece := _piece(source):
                written += len(piece)
                if written > limit:  # the sizes that an archive lists can lie
                    raise DataError(f"{archive} unpacks to more than {limit >> 20} MiB: it is a trap or damaged, download it again.")
                stream.write(piece)


@contextmanager
def _opened(archive: Path, limit: int) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    """A tar's stream ends at the limit too: its headers can be as large as its files."""
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as zipped:
            yield zipped
    else:
        packed = archive.name.lower().endswith("gz")
        stream: Any
        with gzip.open(archive) if packed else open(archive, "rb") as stream:
            bounded: Any = Bounded(stream, limit + _ROOM if packed else 2**62, archive, most=_LONGEST)
            with tarfile.open(fileobj=bounded, mode="r:") as tarred:
                yield tarred


def _piece(source: IO[bytes]) -> bytes:
    """The next piece of a member; what is wrong with it is the archive's fault, not the disk's."""
    try:
        return source.read(_PIECE)
    except NovkitError:
        raise
    except OSError as error:
        raise tarfile.ReadError(str(error)) from error


def _zip_members(archive: zipfile.ZipFile) -> list[_Member]:
    members = []
    for info in archive.infolist():
        mode = info.external_attr >> 16  # the Unix mode, where the archive has one
        kind = "folder" if info.is_dir() else "file"
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            kind = "link" if stat.S_ISLNK(mode) else "device"
        if kind == "file" and info.compress_type not in _STEADY:
            kind = "file packed in a rare way"
        members.append(_Member(info.orig_filename.replace("\\", "/"), kind, info.file_size, partial(archive.open, info)))
    return members


def _tar_members(archive: tarfile.TarFile, most: int) -> list[_Member]:
    members = []
    for info in archive:
        kind = "file" if info.isreg() else "folder" if info.isdir() else "link" if info.issym() or info.islnk() else "device"
        members.append(_Member(info.name, kind, info.size, partial(_tar_content, archive, info)))
        if len(members) > most:
            break
    return members


def _tar_content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    if content is None:  # only for what is no file
        raise tarfile.TarError(f"{info.name} has no content")
    return content


def _check(archive: Path, members: list[_Member], limit: int, most: int) -> None:
    """Refuse what no archive of images holds, before anything is written."""
    seen: set[str] = set()
    folders = {".", ""}
    for member in members:
        path, windows = PurePosixPath(member.name), PureWindowsPath(member.name)
        if path.is_absolute() or windows.drive or windows.root or ".." in windows.parts or "\0" in member.name or not path.parts:
            raise DataError(f"{archive} holds {member.name!r}, which lies outside its folder: it is a trap or damaged, download it again.")
        if len(windows.parts) > _DEEPEST:
            raise DataError(f"{archive} holds folders in folders, more than {_DEEPEST} deep: it is a trap or damaged, download it again.")
        if member.kind not in ("file", "folder"):
            raise DataError(f"{archive} holds {member.name!r}, a {member.kind}: only files and folders are unpacked, download it again.")
        if member.kind == "file" and str(path) in seen:
            raise DataError(f"{archive} holds {member.name!r} twice: it is a trap or damaged, download it again.")
        (folders if member.kind == "folder" else seen).add(str(path))
        above = str(path.parent)
        while above not in folders:
            folders.add(above)
            above = above.rpartition("/")[0]
        if max(len(members), len(seen) + len(folders) - 2) > most:
            raise DataError(f"{archive} holds more than {most:,} files: it is a trap or damaged, download it again.")
    total = sum(member.size for member in members)
    if total > limit:
        raise DataError(
            f"{archive} would unpack to {total >> 20} MiB, more than {limit >> 20} MiB: free that much space, or, if the archive is small, "
            "download it again, for it is a trap or damaged."
        )
