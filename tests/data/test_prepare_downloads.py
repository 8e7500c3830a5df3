"""Downloads from a server that cuts and lies, and archives that mean harm."""

import hashlib
import io
import stat
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from novkit.data import archives
from novkit.data.archives import unpack
from novkit.data.downloads import _PIECE, Download, fetch
from novkit.errors import DataError, StoredFileError

CONTENT = np.random.default_rng(0).bytes(300_000)


class Server:
    """A loopback server of one file. cuts: how many bytes of each answer come before the connection is cut; then whole answers."""

    def __init__(self, content: bytes = CONTENT, cuts: tuple[int, ...] = (), ranges: bool = True, status: int = 200) -> None:
        self.asked: list[str] = []
        self.sent = 0
        left = list(cuts)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range", "")
                outer.asked.append(wanted)
                start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and ranges else 0
                if status != 200 or start >= len(content):
                    self.send_response(status if status != 200 else 416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(content) - start))
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.end_headers()
                part = content[start : start + left.pop(0)] if left else content[start:]
                self.wfile.write(part)
                outer.sent += len(part)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/data.bin"

    def __enter__(self) -> "Server":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def wanted(server: Server, content: bytes = CONTENT, kind: str = "sha256") -> Download:
    return Download(server.url, f"{kind}:{hashlib.new(kind, content).hexdigest()}", "data.bin")


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


# ---- downloads --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_file_is_fetched_once(tmp_path, kind):
    with Server() as server:
        for _ in range(2):
            assert fetch(wanted(server, kind=kind), tmp_path / "raw", progress=False).read_bytes() == CONTENT
        assert len(server.asked) == 1
    assert names(tmp_path / "raw") == ["data.bin"]


def test_a_cut_download_goes_on_where_it_stopped(tmp_path):
    with Server(cuts=(100_000, 50_000)) as server:
        assert fetch(wanted(server), tmp_path, progress=False).read_bytes() == CONTENT
        starts = [int(asked[6:-1]) for asked in server.asked[1:]]
        assert len(starts) == 2
        assert 100_000 - _PIECE < starts[0] <= 100_000  # at most the piece that was cut is sent twice
        assert starts[0] + 50_000 - _PIECE < starts[1] <= starts[0] + 50_000
    assert names(tmp_path) == ["data.bin"]


def test_a_download_cut_too_often_keeps_its_part_for_the_next_run(tmp_path):
    with Server(cuts=(100_000, 0, 10)) as server:
        with pytest.raises(StoredFileError, match=r"data\.bin could not be fetched.*goes on where it stopped"):
            fetch(wanted(server), tmp_path, progress=False)
        assert names(tmp_path) == [".data.bin.part"]
        assert fetch(wanted(server), tmp_path, progress=False).read_bytes() == CONTENT
        assert int(server.asked[-1][6:-1]) > 100_000 - _PIECE
    assert names(tmp_path) == ["data.bin"]


def test_a_server_that_knows_no_ranges_sends_it_all_again(tmp_path):
    with Server(cuts=(100_000,), ranges=False) as server:
        assert fetch(wanted(server), tmp_path, progress=False).read_bytes() == CONTENT
        assert server.sent == 100_000 + len(CONTENT)


def test_a_complete_part_needs_nothing_more_and_one_of_another_file_is_dropped(tmp_path):
    (tmp_path / ".data.bin.part").write_bytes(CONTENT)
    with Server() as server:
        assert fetch(wanted(server), tmp_path, progress=False).read_bytes() == CONTENT
        assert server.sent == 0
    (tmp_path / "data.bin").unlink()
    (tmp_path / ".data.bin.part").write_bytes(CONTENT + b"more")
    with Server() as server:
        assert fetch(wanted(server), tmp_path, progress=False).read_bytes() == CONTENT


def test_wrong_content_is_never_kept(tmp_path):
    with Server(content=CONTENT[:-1] + b"?") as server, pytest.raises(DataError, match="is not the published file"):
        fetch(wanted(server), tmp_path, progress=False)
    assert names(tmp_path) == []


def test_a_refusing_or_silent_server(tmp_path):
    with Server(status=404) as server:
        with pytest.raises(StoredFileError, match="HTTPError"):
            fetch(wanted(server), tmp_path, progress=False)
        assert len(server.asked) == 1
        gone = wanted(server)
    with pytest.raises(StoredFileError, match="ConnectionError"):
        fetch(gone, tmp_path, progress=False)
    assert names(tmp_path) == []


def test_a_file_of_the_users_is_never_overwritten(tmp_path):
    (tmp_path / "data.bin").write_text("mine")
    with Server() as server:
        with pytest.raises(DataError, match=r"not the published file.*--unverified"):
            fetch(wanted(server), tmp_path, progress=False)
        assert fetch(wanted(server), tmp_path, progress=False, verified=False).read_text() == "mine"
        assert server.asked == []


# ---- archives ---------------------------------------------------------------------------------------------------------------


def zipped(file: Path, members: dict[str, bytes | None], links: dict[str, str] | None = None) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            if content is None:
                archive.mkdir(name)
            else:
                archive.writestr(name, content)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    return file


def tarred(file: Path, members: dict[str, bytes], **special: tarfile.TarInfo) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in special.values():
            archive.addfile(info)
    return file


def link(kind: bytes, name: str, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def refused(archive: Path, message: str) -> None:
    """The archive is refused, and nothing was written: not below the folder, not beside it."""
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(DataError, match=message):
        unpack(archive, archive.parent / "out", progress=False)
    assert sorted(archive.parent.rglob("*")) == before


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archives_are_unpacked(tmp_path, pack):
    file = pack(tmp_path / ("x.zip" if pack is zipped else "x.tar.gz"), {"a/b.txt": b"1", "a/c/d.bin": CONTENT, "./e": b""})
    unpack(file, tmp_path / "out", progress=False)
    assert (tmp_path / "out/a/c/d.bin").read_bytes() == CONTENT
    assert (tmp_path / "out/e").read_bytes() == b""
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 3


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "..\\x", "C:\\x", "C:x", "\\x", ".."])
def test_no_member_leaves_the_folder(tmp_path, name):
    refused(zipped(tmp_path / "x.zip", {"good": b"1", name: b"evil"}), "outside its folder")
    refused(tarred(tmp_path / "x.tar.gz", {"good": b"1", name: b"evil"}), "outside its folder")


def test_names_that_end_early_are_refused(tmp_path):
    file = zipped(tmp_path / "x.zip", {"good.png#.exe": b"evil"})
    file.write_bytes(file.read_bytes().replace(b"good.png#.exe", b"good.png\0.exe"))
    refused(file, "outside its folder")


def test_links_and_devices_are_refused(tmp_path):
    refused(zipped(tmp_path / "x.zip", {"good": b"1"}, {"out": "/etc"}), "a link")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        refused(tarred(tmp_path / "x.tgz", {"good": b"1"}, x=link(kind, "x")), "a link")
    refused(tarred(tmp_path / "x.tgz", {"good": b"1"}, x=link(tarfile.CHRTYPE, "null")), "a device")
    refused(tarred(tmp_path / "x.tgz", {"good": b"1"}, x=link(tarfile.FIFOTYPE, "pipe")), "a device")


def test_bombs_are_refused_before_and_while_they_burst(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SMALL", 2**20)
    bomb = zipped(tmp_path / "bomb.zip", {"zeros": bytes(20 * 2**20)})  # 20 kB
    refused(bomb, "would unpack to 20 MiB")
    content = bytearray(bomb.read_bytes())  # the same, with a list that says 1 kB
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (1024).to_bytes(4, "little")
    bomb.write_bytes(content)
    refused(bomb, "than it says|damaged|unpacks to more")
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    refused(zipped(tmp_path / "many.zip", {str(k): b"" for k in range(5)}), "more than 3 files")
    refused(tarred(tmp_path / "many.tar.gz", {str(k): b"" for k in range(5)}), "more than 3 files")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_damage_leaves_nothing(tmp_path):
    file = zipped(tmp_path / "x.zip", {"a": CONTENT, "b": CONTENT})
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    refused(file, "damaged")
    file.write_bytes(content[: len(content) // 2])
    refused(file, "damaged")
    (tmp_path / "x.tar.gz").write_bytes(b"nothing")
    refused(tmp_path / "x.tar.gz", "damaged")
    twice = tmp_path / "twice.zip"
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("a", "2")
    refused(twice, "twice")
