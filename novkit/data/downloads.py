"""Downloads: pooch checks the published hash; a download that was cut goes on where it stopped."""

import os
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from novkit.errors import DataError, NovkitError, StoredFileError
from novkit.progress import progress_bar

ATTEMPTS = 3  # a run, each going on where the one before was cut
_TIMEOUT = 30  # seconds without a byte
_PIECE = 2**14  # bytes; what came of a piece is lost when the connection is cut in it


@dataclass(frozen=True)
class Download:
    """A file that anyone may fetch.

    url: where it lies. hash: as published, "md5:…" or "sha256:…"; there is no download without one. file: its name, or path, here.
    """

    url: str
    hash: str
    file: str


def fetch(download: Download, folder: Path, *, progress: bool = True, verified: bool = True) -> Path:
    """The file below `folder`, fetched unless it lies there already; never there without the published content.

    verified: False takes a file that lies there as it is. Raises DataError where another file has its name or another content came,
    StoredFileError where the connection failed or the disk refused.
    """
    target = folder / download.file
    if target.is_file():
        if verified and not pooch.hashes.hash_matches(str(target), download.hash):
            raise DataError(
                f"{target} is not the published file ({download.hash}): delete it to fetch that one, or prepare with --unverified."
            )
        return target
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch_all(download.url, part, progress)
        if not pooch.hashes.hash_matches(str(part), download.hash):
            part.unlink()
            raise DataError(
                f"What came from {download.url} is not the published file ({download.hash}) and was deleted: run the same command again, "
                f"or put the file into {target.parent} yourself."
            )
        os.replace(part, target)
    except requests.exceptions.RequestException as error:
        raise StoredFileError(
            f"{target.name} could not be fetched from {download.url} ({type(error).__name__}): run the same command again, it goes on "
            f"where it stopped, or put the file into {target.parent} yourself."
        ) from error
    except NovkitError:
        raise
    except OSError as error:
        raise StoredFileError(
            f"{target} could not be written ({error.strerror or error}): free some space or choose a folder you may write to; what has "
            "come so far is kept."
        ) from error
    return target


def _fetch_all(url: str, part: Path, progress: bool) -> None:
    """Bytes gather in `part`, which outlives a cut, until it is complete."""
    for attempt in range(ATTEMPTS):
        try:
            return _go_on(url, part, progress)
        except requests.exceptions.HTTPError:
            raise  # the server has spoken
        except requests.exceptions.RequestException:
            if attempt == ATTEMPTS - 1:
                raise


def _go_on(url: str, part: Path, progress: bool) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if answer.status_code == 416:  # there is nothing after what we have: complete, or of another file
            if answer.headers.get("Content-Range") == f"bytes */{have}":
                return
            part.unlink()
            raise requests.exceptions.ConnectionError("the part kept here does not fit the file")
        answer.raise_for_status()
        if answer.status_code != 206 or not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0  # the server sends all of it
        rest = int(answer.headers["Content-Length"]) if "Content-Length" in answer.headers else None
        bar = progress_bar(
            total=None if rest is None else have + rest, initial=have, unit="B", unit_scale=True, desc=url, disable=not progress
        )
        with bar, open(part, "ab" if have else "wb") as stream:
            for piece in answer.iter_content(_PIECE):
                stream.write(piece)
                bar.update(len(piece))
    if rest is not None and part.stat().st_size != have + rest:
        raise requests.exceptions.ConnectionError("the connection was cut")
