"""Files that were damaged on purpose: each ends in a sentence or in a valid result, in bounded time and memory, and writes nothing outside.

A worker with limits reads them (tests/hostile_worker.py); how they are damaged is told in tests/hostile_damage.py.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from novkit.data.reading import PICTURES, read_image
from novkit.errors import DataError
from tests import hostile_files
from tests.campaign import record
from tests.drawn import counts
from tests.hostile_worker import MEMORY, SECONDS, Worker

pytestmark = pytest.mark.slow

ELSEWHERE = {
    "png": "PNG", "jpeg": "JPEG", "tiff": "TIFF", "bmp": "BMP", "gif": "GIF", "webp": "WebP", "ppm": "PPM and PGM", "jpeg2000": "JPEG 2000",
    "dicom": "DICOM", "nifti": "NIfTI",
    "nifti_gz": "NIfTI, gzipped", "medmnist": "MedMNIST's .npz", "idx": "MNIST's IDX, gzipped",
    "cifar": "CIFAR-10's binary batches", "zip": "zip", "tar": "tar", "tar_gz": "tar, gzipped",
    "labels": "labels.csv", "tables": "tables of public sets (CSV and JSON)",
    "handed_in": "notebooks that were handed in",
}  # fmt: skip
OWN = {
    "results": "results.json", "scores": "scores.npz", "checkpoint": "checkpoints (JSON and safetensors)",
    "detector": "saved detectors (JSON and safetensors)", "store": "prepared data (JSON, CSV and .npy)",
    "explored": "what the explorers keep (.npz)",
}  # fmt: skip


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Iterator[Worker]:
    worker = Worker("tests.hostile_readers", tmp_path_factory.mktemp("elsewhere"))
    yield worker
    worker.stop()


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Iterator[Worker]:
    worker = Worker("tests.hostile_stored", tmp_path_factory.mktemp("own"))
    yield worker
    worker.stop()


def holds(worker: Worker, kind: str, title: str, number: int) -> None:
    campaign = worker.run(kind, range(number))
    note = f"at most {campaign.slowest:.1f} s of computing each; {MEMORY >> 30} GiB allowed"
    record("Untrusted files", f"{title}, damaged at random", tried=campaign.tried, outcome=campaign.outcome(), note=note)
    assert not campaign.faults, campaign.faults[:3]
    assert campaign.tried == number
    assert campaign.clean > number / 20  # the damage reaches what is read
    assert campaign.read > 0
    assert campaign.slowest < SECONDS


@counts(300, 10_000)
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", ELSEWHERE)
def test_a_damaged_file_is_refused_in_a_sentence_or_read(elsewhere, kind, examples):
    holds(elsewhere, kind, ELSEWHERE[kind], examples)


@counts(300, 10_000)
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", OWN)
def test_so_is_a_changed_file_of_novkits_own(own, kind, examples):
    holds(own, kind, OWN[kind], examples)


@counts(60, 2000)  # each writes a page
@pytest.mark.timeout(7200)
def test_so_is_a_changed_results_folder_that_is_reported_and_explored(own, examples):
    holds(own, "report", "results folders (JSON and .npz), reported and explored", examples)


def test_every_format_of_pictures_that_is_read_is_among_them():
    kinds = set(hostile_files.SUFFIX) - {"dicom", "nifti", "nifti_gz"}
    assert {Image.open(io.BytesIO(content)).format for kind in kinds for content in hostile_files.valid(kind)} == {*PICTURES, "MPO"}
    assert kinds <= set(ELSEWHERE)


@pytest.mark.parametrize("kind", ["TGA", "PCX", "SGI", "DIB", "ICO", "ICNS", "EPS", "PDF", "DDS"])
def test_other_formats_are_refused_whatever_their_names(tmp_path, kind):
    Image.new("RGB", (32, 32)).save(tmp_path / "x.png", kind)
    with pytest.raises(DataError, match=r"x\.png cannot be read as an image"):
        read_image(tmp_path / "x.png")


# ---- what the watch is worth -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "fault"), [("raise", "traceback"), ("warn", "warned"), ("say", "warned"), ("write", "wrote outside"),
                                            ("unpickle", "wrote outside"), ("die", "died"), ("hoard", "traceback"), ("dawdle", "too slow"),
                                            ("sleep", "hung")])  # fmt: skip
def test_the_watch_sees_what_must_not_be(tmp_path, monkeypatch, how, fault):
    monkeypatch.setattr("tests.hostile_worker.PATIENCE", 20 if how == "sleep" else 120)
    worker = Worker("tests.hostile_misdeeds", tmp_path / "inside")
    try:
        assert worker.ask(how, 0)["fault"].startswith(fault)
        assert not worker.ask("nothing", 0).get("fault")  # and goes on
    finally:
        worker.stop()
    assert Path(tmp_path / "outside.txt").exists() == (how == "write")
