"""Images that several threads read: what all of them hold, and what decoding takes, stays within the memory there is."""

import io
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian

from novkit.data import folder, formats, reading, untrusted
from novkit.data.folder import load_folder, read_mask, read_row
from novkit.data.formats import read_volume
from novkit.data.prepare.rsna_pneumonia import _header
from novkit.data.reading import in_parallel, read_image
from novkit.errors import DataError
from tests.data import layouts


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


def written(made: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


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
