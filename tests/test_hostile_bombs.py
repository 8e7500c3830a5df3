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
import zipfile
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from novkit.data import untrusted
from novkit.data.formats import MAX_PIXELS
from novkit.data.reading import read_image
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


def test_where_memory_ends_no_file_is_blamed(tmp_path):
    def fail() -> None:
        raise MemoryError

    with pytest.raises(DataError, match=r"too little memory to read x\.png as an image"), untrusted.reading(Path("x.png"), "an image"):
        fail()
