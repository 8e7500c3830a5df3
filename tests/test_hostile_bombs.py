"""Small files that claim, or unpack to, more than anybody has: refused in a sentence, before the memory is taken, and soon.

They are read in a process of their own whose address space may grow by ROOM only, by far less than a file would fill; each reading's
seconds of computing are counted.
"""

import bz2
import gzip
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import threading
import time
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from novkit.data import folder, formats, reading, tables, untrusted
from novkit.data.folder import load_folder, read_labels, read_mask, read_row
from novkit.data.formats import MAX_PIXELS, read_volume
from novkit.data.prepare.isic2016 import read_truth
from novkit.data.prepare.rsna_pneumonia import _header
from novkit.data.reading import in_parallel, read_image
from novkit.data.tables import MAX_COLUMNS, read_csv, read_table
from novkit.errors import DataError
from tests.campaign import record
from tests.data import layouts
from tests.hostile_stored import record as run_record

pytestmark = pytest.mark.slow

ROOM = 400 * 2**20  # bytes
MANY = 3 * 2**30  # bytes that most bombs would fill
SECONDS = 30  # of computing that one of them may take
PROGRAM = f"""
import json, resource, sys, time
from pathlib import Path
import PIL.PngImagePlugin, nibabel, pydicom.pixels, pandas  # what reading would import
from novkit.data.archives import unpack
from novkit.data.folder import read_labels
from novkit.data.formats import read_dicom, read_volume
from novkit.data.medmnist import read_numbers, stream_images
from novkit.data.prepare.isic2016 import read_truth
from novkit.data.prepare.rsna_pneumonia import _header
from novkit.data.prepare.torchvision_sets import read_idx
from novkit.data.reading import read_image
from novkit.data.tables import read_csv
from novkit.errors import NovkitError
from novkit.results import load_examples, load_scores
from tests.hostile_stored import record
def compute(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    raise NovkitError("computed")
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + {ROOM},) * 2)
for file, call in json.loads(sys.stdin.read()):
    started = time.process_time()
    try:
        eval(call, {{**globals(), "file": Path(file)}})
        said = "read"
    except NovkitError as error:
        said = str(error)
    except BaseException as error:
        said = f"TRACEBACK {{error!r}}"
    print(json.dumps([said, time.process_time() - started]), flush=True)
"""


@pytest.fixture(scope="module")
def raw() -> bytes:
    """3 GiB of zeros as a bare deflate stream: 3 MB, the same block again and again."""
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packed.compress(bytes(2**24)) + packed.flush(zlib.Z_FULL_FLUSH)
    return block * (MANY // 2**24) + b"\3\0"


def gzipped(head: bytes, stream: bytes, total: int) -> bytes:
    """A gzip file of `head`, in a member of its own, and of a deflate stream."""
    return gzip.compress(head) + b"\x1f\x8b\x08" + bytes(7) + stream + struct.pack("<II", 0, total % 2**32)


def png(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"\x78\xda" + data) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(40)


def nifti(shape: tuple[int, ...], kind: type, offset: int = 352) -> bytes:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(kind)
    header.set_data_shape(shape)
    header["vox_offset"] = offset
    header["magic"] = b"n+1"
    return header.binaryblock + bytes(4)


def dicom_jpeg(rows: int, columns: int, inside: bytes) -> bytes:
    made = layouts.dicom(np.zeros((8, 8), np.uint8), bits=8)
    made.Rows, made.Columns = rows, columns
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.PixelData = encapsulate([inside])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return written(made)


def written(made: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def dicom_deflated(stream: bytes) -> bytes:
    """A sound header that announces a deflated data set, and the stream."""
    made = layouts.dicom(np.zeros((8, 8), np.uint8), bits=8)
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    content = written(made)
    length = int.from_bytes(content[140:144], "little")
    return content[: 144 + length] + stream


def jpeg(width: int, height: int) -> bytes:
    """A JPEG whose header says another size than it was made with."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG")
    content = buffer.getvalue()
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]


def scans(n: int, metadata: bytes = b"") -> bytes:
    """A progressive JPEG of 64 × 64 whose last scan comes n times."""
    buffer = io.BytesIO()
    Image.new("L", (64, 64), 99).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    last = content.rindex(b"\xff\xda")
    segment = b"\xff\xe5" + struct.pack(">H", len(metadata) + 2) + metadata if metadata else b""
    return content[:2] + segment + content[2:last] + content[last:-2] * n + content[-2:]


def npy(shape: tuple[int, ...], kind: str) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def zip_with(name: str, head: bytes, stream: bytes, total: int, method: int = 8) -> bytes:
    """A zip with one sound file, and one whose content is a stream that somebody else has packed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for part in {"train_labels.npy", "val_labels.npy", "test_labels.npy"} - {name}:
            archive.writestr(part, npy((1, 1), "|u1") + b"\0")
    crc, size, packed = zlib.crc32(head), len(head) + total, zlib.compressobj(9, zlib.DEFLATED, -15)
    body = (packed.compress(head) + packed.flush(zlib.Z_FULL_FLUSH) + stream) if method == 8 else stream
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, method, 0, 0, crc, len(body), size % 2**32, len(name), 0) + name.encode() + body
    old = buffer.getvalue()
    end = old.rindex(b"PK\5\6")
    entries, directory_size, directory = struct.unpack("<HII", old[end + 10 : end + 20])
    central = struct.pack(
        "<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, method, 0, 0, crc, len(body), size % 2**32, len(name), 0, 0, 0, 0, 0, directory
    )
    listing = central + name.encode() + old[directory : directory + directory_size]
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, entries + 1, entries + 1, len(listing), directory + len(local), 0)
    return old[:directory] + local + listing + tail


def tar_head(name: str, size: int, kind: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf()


UNPACK = "unpack(file, file.with_suffix('.out'), progress=False)"
STREAM_NPZ = "list(stream_images(file))"
LARGER = "load_examples(file.parents[1], record(seed=2))"
SCORES, EXAMPLES = "load_scores(file.parent, record(scores=file.name))", "load_examples(file.parents[1], record())"
CONTROL = 0.2  # seconds of computing, to see that they are counted


def bombs(raw: bytes) -> dict[str, tuple[str, bytes, str, str]]:
    """Name -> file's name, content, call, and words of the sentence expected."""
    big, half = MANY - 2**22, 2**32 - 2**20
    zeros, claims = npy((big,), "|u1"), npy((2**30, 2**30), "<u8")
    examples = f"examples/{run_record().run}.npz"
    colour = layouts.dicom(np.zeros((8, 8), np.uint8), bits=8)
    colour.Rows = colour.Columns = 60_000
    frames = layouts.dicom(np.zeros((8, 8), np.uint8), bits=8)
    frames.NumberOfFrames = 10**9
    short, wide = (f"path,label,{','.join(map(str, range(n - 2)))}\n" for n in (5000, 300_000))
    panel = io.BytesIO()
    np.savez_compressed(panel, images=np.zeros((3, 1, 5000, 5000), np.uint8))
    return {
        "PNG of 50,000 × 50,000": ("a.png", png(50_000, 50_000, raw), "read_image(file)", "cannot be read as an image|pixels"),
        "PNG of 10,000 × 10,000": ("b.png", png(10_000, 10_000, raw[:200_000]), "read_image(file)", "10000×10000 pixels"),
        "BMP of 2 billion pixels": ("c.bmp", bmp(46_000, 46_000), "read_image(file)", "cannot be read as an image|pixels"),
        "JPEG of 65,000 × 65,000": ("d.jpg", jpeg(65_000, 65_000), "read_image(file)", "cannot be read as an image|pixels"),
        "DICOM of 60,000 × 60,000": ("e.dcm", written(colour), "read_dicom(file)", "60000×60000 pixels"),
        "DICOM of a billion frames": ("f.dcm", written(frames), "read_dicom(file)", "1000000000 frames"),
        "DICOM, a larger JPEG inside": ("g.dcm", dicom_jpeg(8, 8, jpeg(13_000, 13_000)), "read_dicom(file)", "an image of 13000×13000"),
        "JPEG of 1000 scans": ("scans.jpg", scans(1000), "read_image(file)", "more than 100 scans"),
        "DICOM, a JPEG of 1000 scans inside": ("scans.dcm", dicom_jpeg(64, 64, scans(1000)), "read_dicom(file)", "more than 100 scans"),
        "DICOM, deflated": ("h.dcm", dicom_deflated(raw), "read_dicom(file)", "inflates to more than"),
        "DICOM, deflated, of which the header is read": ("rsna.dcm", dicom_deflated(raw), "_header(file)", "inflates to more than"),
        "NIfTI, gzipped, doubles": ("double.nii.gz", gzipped(nifti((600, 600, 600), np.float64), raw, MANY), "read_volume(file)",
                                    "too small for the volume"),
        "NIfTI, gzipped, complex": ("complex.nii.gz", gzipped(nifti((300, 300, 300), np.complex128), raw, MANY), "read_volume(file)",
                                    "holds complex numbers or colours"),
        "labels.csv of short lines": ("labels.csv", (short + "a,b\n" * 10_000).encode(), "read_labels(file)", "20 million cells"),
        "table of a public set, short lines": ("set.csv", (short + "a,b\n" * 10_000).encode(), "read_csv(file)", "20 million cells"),
        "table of a public set, very wide": ("wide.csv", wide.encode(), "read_csv(file)", "has 300000 columns"),
        "ground truth, very wide": ("truth.csv", ("ISIC_0,benign" + ",x" * 300_000).encode(), "read_truth(file)", "has 300002 columns"),
        "examples of large images": (f"examples/{run_record(seed=2).run}.npz", panel.getvalue(), LARGER, "3 images of 5000×5000"),
        "NIfTI that is cut short": ("i.nii", nifti((600, 600, 600), np.float64), "read_volume(file)", "cut short"),
        "NIfTI of too many voxels": ("j.nii", nifti((32_000, 32_000, 32_000), np.float64), "read_volume(file)", "crop it below 256"),
        "NIfTI, gzipped, nothing inside": ("k.nii.gz", gzip.compress(nifti((600, 600, 600), np.float64)), "read_volume(file)", "too small"),
        "NIfTI, gzipped zeros": ("l.nii.gz", gzipped(nifti((1500, 1500, 500), np.uint8), raw, MANY), "read_volume(file)", "crop it below"),
        "NIfTI, gzipped, a header of 60 GB": ("m.nii.gz", gzipped(nifti((5, 5, 5), np.uint8, 60 * 2**30), raw, MANY), "read_volume(file)",
                                              "claims to be a volume"),
        "NIfTI, gzipped, a long extension": ("n.nii.gz", gzipped(nifti((5, 5, 5), np.uint8, 2**20)[:-4] + b"\1\0\0\0" +
                                             struct.pack("<ii", 2**31 - 16, 4), raw, MANY), "read_volume(file)",
                                             "unpacks to more than|cannot be read as NIfTI"),
        "IDX, gzipped": ("o.gz", gzipped(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**20, 2**10, 2**10), raw, MANY), "read_idx(file, 3)",
                         "cannot be read|another number|unpacks to more"),
        "npz that claims 8 EB": ("p.npz", zip_with("train_images.npy", npy((2**30, 2**30), "<u8"), b"\3\0", 0), STREAM_NPZ, "claims to be"),
        "npz of labels that are not there": ("q.npz", zip_with("train_labels.npy", npy((2**40,), "<U0"), b"\3\0", 0), "read_numbers(file)",
                                             "claims to be|cannot be read"),
        "npz, zeros": ("r.npz", zip_with("train_labels.npy", npy((big, 1), "|u1"), raw, big), "read_numbers(file)", "unpacks to 3068 MiB"),
        "scores, zeros": ("score.npz", zip_with("score.npy", zeros, raw, big), SCORES, "unpacks to 3068 MiB"),
        "scores that claim 8 EB": ("claims.npz", zip_with("score.npy", claims, b"\3\0", 0), SCORES, "claims to be"),
        "examples, zeros": (examples, zip_with("images.npy", zeros, raw, big), EXAMPLES, "unpacks to 3068 MiB"),
        "zip of zeros": ("s.zip", zip_with("x", b"", raw, MANY), UNPACK, "would unpack to 3072 MiB"),
        "zip that understates": ("t.zip", zip_with("x", b"", raw, 1000), UNPACK, "damaged"),
        "zip in zip's rarer ways": ("u.zip", zip_with("x", b"", bz2.compress(bytes(2**24)), 2**24, 12), UNPACK, "rare way"),
        "tar of zeros, gzipped": ("v.tar.gz", gzipped(tar_head("x", MANY, tarfile.REGTYPE), raw, MANY), UNPACK, "unpacks? to"),
        "tar with a long name, gzipped": ("w.tar.gz", gzipped(tar_head("x", MANY, tarfile.GNUTYPE_LONGNAME), raw, MANY), UNPACK,
                                          "unpacks to more|damaged"),
        "tar, a long header, gzipped": ("x.tgz", gzipped(tar_head("x", half, tarfile.XHDTYPE), raw, MANY), UNPACK, "unpacks to|damaged"),
        "tar that is xz": ("y.tar", b"\xfd7zXZ\0" + bytes(100), UNPACK, "damaged or no archive"),
    }  # fmt: skip


def asked(calls: list[tuple[str, str]]) -> subprocess.CompletedProcess:
    """What PROGRAM says to calls on files."""
    command = [sys.executable, "-c", PROGRAM]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(command, input=json.dumps(calls), capture_output=True, text=True, timeout=1200, env=environment, check=False)


def test_bombs_are_refused_before_the_memory_is_taken(tmp_path, raw):
    made = bombs(raw)
    calls = [("", f"compute({CONTROL})")]
    for name, content, call, _ in made.values():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
        calls.append((str(tmp_path / name), call))
    done = asked(calls)
    control, *said = [json.loads(line) for line in done.stdout.splitlines()] or [None]
    right = {title: _fits(*answer, words) for (title, (*_, words)), answer in zip(made.items(), said, strict=False)}
    outcome = {"refused in a sentence": sum(right.values()), "otherwise": len(made) - sum(right.values())}
    slowest = max((seconds for _, seconds in said), default=0.0)
    note = f"400 MiB allowed; at most {slowest:.1f} s of computing each, {SECONDS} s allowed"
    record("Untrusted files", "bombs: files that claim or unpack to gigabytes", tried=len(made), outcome=outcome, note=note)
    assert len(said) == len(made), done.stderr[-1500:]
    assert control[0] == "computed"
    assert control[1] >= CONTROL
    wrong = {title: answer for (title, fits), answer in zip(right.items(), said, strict=True) if not fits}
    assert not wrong
    assert done.stderr == ""
    there = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert there == sorted(name for name, *_ in made.values())


def _fits(said: str, seconds: float, words: str) -> bool:
    import re

    refused = said != "read" and not said.startswith("TRACEBACK") and "MemoryError" not in said
    return refused and seconds < SECONDS and re.search(words, said) is not None


def test_files_at_the_limits_are_read_in_as_much_memory(tmp_path):
    """The largest images there may be, and one pixel row more."""
    calls = []
    for rows in (MAX_PIXELS // 8000, MAX_PIXELS // 8000 + 1):
        made = layouts.dicom(np.zeros((rows, 8000), np.uint8), bits=8)
        made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        (tmp_path / f"{rows}.dcm").write_bytes(written(made))
        (tmp_path / f"{rows}.png").write_bytes(png(8000, rows, zlib.compress(bytes(8001 * rows))[2:]))
        calls += [(str(tmp_path / f"{rows}.dcm"), "read_dicom(file)"), (str(tmp_path / f"{rows}.png"), "read_image(file, (8, 8))")]
    said = [json.loads(line) for line in asked(calls).stdout.splitlines()]
    assert [what for what, _ in said[:2]] == ["read", "read"]
    assert all("8000×8001 pixels" in what for what, _ in said[2:])
    assert len(said) == 4


@pytest.mark.parametrize("answer", [("read", 1.0), ("TRACEBACK unpacks to", 1.0), ("unpacks to", 31.0), ("another sentence", 1.0)])
def test_other_ends_are_noticed(answer):
    assert _fits("unpacks to", 1.0, "unpacks to")
    assert not _fits(*answer, "unpacks to")


def test_pictures_within_and_behind_a_jpeg_are_none_of_its_scans(tmp_path):
    """Thumbnails lie in its metadata, a phone's film behind its end."""
    file = tmp_path / "a.jpg"
    file.write_bytes(scans(50, b"\xff\xda\0\x08" * 5000) + scans(1000))
    assert read_image(file).shape == (1, 64, 64)


def labels(made: Path, columns: int, cells: int | None = None) -> Path:
    """labels.csv of one image, with so many columns beside path and label, and so many cells in them."""
    Image.new("L", (8, 8)).save(made / "a.png")
    head = "".join(f",c{k}" for k in range(columns))
    (made / "labels.csv").write_text(f"path,label{head}\na.png,normal{',1' * (columns if cells is None else cells)}\n")
    return made


def test_tables_at_the_limits_are_read(tmp_path, monkeypatch):
    """Lines count as they end, not where a cell has lines of its own; what a line leaves out counts."""
    file, head = tmp_path / "x.csv", ",".join(f"c{k}" for k in range(MAX_COLUMNS))
    file.write_text(f"{head}\n1\n")
    assert read_csv(file).shape == (1, MAX_COLUMNS)
    file.write_text(f"{head},more\n1\n")
    with pytest.raises(DataError, match=rf"x\.csv has {MAX_COLUMNS + 1} columns"):
        read_csv(file)
    monkeypatch.setattr(tables, "MAX_CELLS", 40)
    for end in ("\n", "\r\n", "\r"):
        file.write_bytes(f'a,b,c,d{end}1,2,3,"x{end}y""{end}z"{end}{f"1{end}" * 8}'.encode())
        assert read_csv(file).shape == (9, 4)
        file.write_bytes(file.read_bytes() + f"1{end}".encode())
        with pytest.raises(DataError, match=r"x\.csv has 4 columns in 11 lines"):
            read_csv(file)
    for start in ("a\r,b,c,d\n", "a,b\rx,y\rz,d\n"):  # where novkit writes tables, a lone \r is part of a cell
        file.write_bytes((start + "1\n" * 9).encode())
        assert read_table(file, {}).shape == (9, 4)
        file.write_bytes((start + "1\n" * 10).encode())
        with pytest.raises(DataError, match=r"x\.csv has 4 columns in 11 lines"):
            read_table(file, {})


@pytest.mark.parametrize("start", ["", '"' + "x" * 200_000 + '",', "\n\n", '"a""b,c",', "only\n"])
def test_no_cell_hides_how_many_there_are(tmp_path, start):
    """Such as one that Python's own reader finds too long."""
    (tmp_path / "x.csv").write_text(start + ",".join("a" * 300_000) + "\n1,2\n")
    for read in (read_csv, read_truth):
        with pytest.raises(DataError, match=r"has 30000\d columns"):
            read(tmp_path / "x.csv")


@pytest.mark.parametrize(("columns", "cells"), [(300_000, None), (0, 300_000)])
def test_a_table_of_very_many_columns_is_refused_at_once(tmp_path, columns, cells):
    started = time.process_time()
    with pytest.raises(DataError, match="has 300002 columns"):
        read_labels(labels(tmp_path, columns, cells) / "labels.csv")
    assert time.process_time() - started < 3


def test_a_wide_table_is_read_without_a_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = load_folder(labels(tmp_path, 1000), cache=False, progress=False).table
    assert table[[f"c{k}" for k in range(1000)]].to_numpy().tolist() == [[1] * 1000]


def test_a_cell_too_long_for_python_is_read(tmp_path):
    labels(tmp_path, 0)
    (tmp_path / "labels.csv").write_text("path,label,note\na.png,normal," + "x" * 200_000 + "\n")
    assert len(read_labels(tmp_path / "labels.csv")["note"][0]) == 200_000


def test_images_that_together_exceed_memory_are_refused_at_the_first(tmp_path, monkeypatch):
    """100 lines for one image of 64 × 64: what is read takes as much as the array of all."""
    Image.new("L", (64, 64)).save(tmp_path / "a.png")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "b.png")
    read: list[str] = []
    monkeypatch.setattr(folder, "read_row", lambda *given: read.append(given[1]) or read_row(*given))
    map_now = ThreadPoolExecutor.map

    def map_unwatched(*given: Any) -> Any:
        """Results that are looked at late: the threads are far ahead by then."""
        results = map_now(*given)
        time.sleep(0.2)
        return results

    monkeypatch.setattr(ThreadPoolExecutor, "map", map_unwatched)

    def load(free: int, last: str = "a.png", **options: Any) -> Any:
        monkeypatch.setattr(folder.psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
        (tmp_path / "labels.csv").write_text("path,label,id\n" + "".join(f"{'a.png' if k else last},normal,{k}\n" for k in range(100)))
        read.clear()
        return load_folder(tmp_path, cache=False, progress=False, **options)

    plane = 64 * 64
    with pytest.raises(DataError, match=r"labels.csv lists 100 images, which, all 64×64 as a.png, would take 0 MiB .* size= \(--size\)"):
        load(200 * plane - 1)
    assert len(read) < 20
    assert len(load(200 * plane)) == 100
    assert len(load(200 * 32 * 32, size=32)) == 100
    with pytest.raises(DataError, match="all 32×32"):
        load(200 * 32 * 32 - 1, size=32)
    assert load(402 * plane, "b.png").images.shape[1] == 3  # grey ones are held as such, whatever is beside them
    with pytest.raises(DataError, match=r"as b\.png"):
        load(402 * plane - 1, "b.png")


def test_where_memory_ends_no_file_is_blamed(tmp_path):
    def fail() -> None:
        raise MemoryError

    with pytest.raises(DataError, match=r"too little memory to read x\.png as an image"), untrusted.reading(Path("x.png"), "an image"):
        fail()


# ---- several at once -------------------------------------------------------------------------------------------------------


SIDE = 100  # pixels


@pytest.fixture
def large(tmp_path) -> dict[str, tuple[Any, int]]:
    """Kind -> how it is read, and the bytes that decoding it needs."""
    Image.new("L", (SIDE, SIDE)).save(tmp_path / "a.png")
    plain = layouts.dicom(np.zeros((SIDE, SIDE), np.uint8), bits=8)
    (tmp_path / "a.dcm").write_bytes(written(plain))
    plain.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    (tmp_path / "deflated.dcm").write_bytes(written(plain))
    nibabel.save(nibabel.Nifti1Image(np.zeros((SIDE, SIDE, 4), np.int16), np.eye(4)), tmp_path / "a.nii.gz")
    pixels = SIDE * SIDE
    mask = {"shape": (SIDE, SIDE), "resize": False}
    return {
        "PNG": (lambda: read_image(tmp_path / "a.png", (8, 8)), 12 * pixels),
        "mask": (lambda: read_mask(tmp_path, "a.png", None, **mask), 12 * pixels),  # type: ignore[arg-type]
        "DICOM": (lambda: read_image(tmp_path / "a.dcm", (8, 8)), 12 * pixels),
        "DICOM's header": (lambda: _header(tmp_path / "deflated.dcm"), 12 * pixels),
        "NIfTI": (lambda: read_volume(tmp_path / "a.nii.gz"), (2 + 4) * 4 * pixels),
    }


PLACES: dict[str, tuple[Any, str]] = {
    "PNG": (reading.ImageOps, "exif_transpose"), "mask": (reading.ImageOps, "exif_transpose"), "DICOM": (formats, "_unit"),
    "DICOM's header": (pydicom, "dcmread"), "NIfTI": (nibabel, "as_closest_canonical"),
}  # fmt: skip


class Watch:
    """How many threads are at one place of the code at once; `meet` waits until two are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str, meet: bool) -> None:
        self.lock, self.inside, self.most = threading.Lock(), 0, 0
        self.meet, self.met = meet, threading.Event()
        module, name = PLACES[kind]
        monkeypatch.setattr(module, name, self.watched(getattr(module, name)))

    def watched(self, call: Any) -> Any:
        def watched_call(*given: Any, **options: Any) -> Any:
            with self.lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
                if self.inside > 1:
                    self.met.set()
            self.met.wait(60 if self.meet else 0.01)
            made = call(*given, **options)
            with self.lock:
                self.inside -= 1
            return made

        return watched_call


def all_at_once(read: Any, n: int = 6) -> list[Any]:
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda _: read(), range(n)))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", PLACES)
def test_what_would_not_fit_at_once_is_decoded_in_turns(monkeypatch, large, kind):
    read, needed = large[kind]
    monkeypatch.setattr(untrusted, "_budget", untrusted._Budget(2 * needed - 1))
    watch = Watch(monkeypatch, kind, meet=False)
    assert len(all_at_once(read)) == 6
    assert watch.most == 1
    assert untrusted._budget.taken == 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", PLACES)
def test_what_fits_is_decoded_at_once(monkeypatch, large, kind):
    read, needed = large[kind]
    monkeypatch.setattr(untrusted, "_budget", untrusted._Budget(40 * needed))
    watch = Watch(monkeypatch, kind, meet=True)
    all_at_once(read)
    assert watch.most >= 2
    assert untrusted._budget.taken == 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("size", [1, 100, 10**9])
def test_threads_that_come_to_need_more_do_not_wait_for_each_other(monkeypatch, size):
    budget = untrusted._Budget(size)
    monkeypatch.setattr(untrusted, "_budget", budget)

    @untrusted.decoding()
    def grow(start: int) -> int:
        for needed in range(start, start + 60, 20):
            untrusted.needs(needed)
            assert budget.taken <= max(size, start + 59)
            time.sleep(0.001)
            with untrusted.decoding():
                untrusted.needs(1)  # less than there is
        assert budget.taken >= start + 40
        if start % 3 == 0:
            raise DataError("no image")
        return start

    ended = [0, 0]
    for start in in_parallel(lambda k: _caught(grow, k), range(1, 100)):
        ended[start is None] += 1
    assert ended == [66, 33]
    assert budget.taken == 0


def _caught(call: Any, given: Any) -> Any:
    try:
        return call(given)
    except DataError:
        return None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks there")
def test_a_child_does_not_wait_for_threads_it_does_not_have(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    program = f"""
import os, sys, threading
from pathlib import Path
from novkit.data import untrusted
from novkit.data.reading import read_image
taken, done = threading.Event(), threading.Event()
@untrusted.decoding()
def hold():
    untrusted.needs(10 * untrusted.AT_ONCE)
    taken.set()
    done.wait()
thread = threading.Thread(target=hold)
thread.start()
taken.wait()
child = os.fork()
if not child:
    os._exit(read_image(Path({str(tmp_path / "a.png")!r})).shape != (1, 8, 8))
assert os.waitpid(child, 0)[1] == 0
done.set()
thread.join()
print(read_image(Path({str(tmp_path / "a.png")!r})).shape)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.stdout == "(1, 8, 8)\n", done.stderr
