"""Results folders, checkpoints and detectors that somebody has changed on purpose: each is refused in a sentence that names the file."""

import io
import json
import os
import resource
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from novkit import results
from novkit.checkpoints import CheckpointFolder
from novkit.errors import DataError, StoredFileError
from novkit.figures import training_curves
from novkit.methods import load_detector, make_detector
from novkit.report import write_report
from novkit.results import Scores, add_record, arrange_records, load_examples, load_history, load_results
from novkit.widgets.patch_runs import PatchRuns
from novkit.widgets.snapshots import Snapshots
from novkit.widgets.stored import StoredResults
from tests.conftest import blobs
from tests.hostile_stored import _checkpoint, panel, record

SCORES = Scores(
    id=np.array(list("abcdefgh")), group=np.array(list("abcdefgh")), label=np.arange(8) % 2, condition=np.array(["a", "b"] * 4),
    score=np.linspace(0, 1, 8),
)  # fmt: skip
EPOCHS = [{"epoch": 0, "phase": "a", "loss": 1.0}, {"epoch": 1, "phase": "a", "loss": 0.5}]
posix = pytest.mark.skipif(sys.platform == "win32", reason="no pipes in folders there")


@pytest.fixture
def folder(tmp_path) -> Path:
    add_record(tmp_path, record(), SCORES, history=EPOCHS, examples=panel(SCORES))
    return tmp_path


def only(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def refused(call, *names: str) -> None:
    with pytest.raises(StoredFileError) as caught:
        call()
    assert all(name in str(caught.value) for name in names), caught.value


# ---- curves and examples ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [
    [{"epoch": 0, "loss": 1}, {"epoch": "x", "loss": 2}], [{"epoch": None, "loss": 1.0}, EPOCHS[1]], [{"epoch": 0, "loss": 10**400}],
    [{"epoch": 0, "loss": -1e300}], [{"epoch": 0, "loss": "x"}], [{"epoch": 0, "seconds": 1.0}], [{"epoch": 0, "\ud800": 1.0}],
    [{"epoch": 0, "phase": "\ud800", "loss": 1.0}], [{"epoch": 0, "phase": [[]], "loss": 1.0}],
    [{"epoch": 0, **{f"k{k}": 1.0 for k in range(400)}}], [{"epoch": 0, "phase": str(k % 2), "loss": 1.0} for k in range(400)],
])  # fmt: skip
def test_curves_that_cannot_be_drawn(folder, epochs):
    file = only(folder / "curves")
    file.write_text(json.dumps(epochs))
    refused(lambda: load_history(folder, load_results(folder)[0]), str(file))
    refused(lambda: write_report(folder, n_resamples=10), str(file))


def test_a_value_without_end_is_left_out_of_curves():
    drawn = training_curves([{"epoch": 0, "loss": 10**400, "error": 2}, {"epoch": 1, "loss": 1.0, "error": 10**290}])
    assert sorted(trace.y[-1] for trace in drawn.data) == [1.0, 1e290]


CHANGES = {
    "images": (np.array(1), np.ones(4), blobs(1, size=16), np.zeros((0, 1, 16, 16)), np.full((4, 1, 16, 16), np.nan), None),
    "labels": (np.arange(4), np.array(1), np.array(["a"]), np.full(4, "\ud800"), None),
    "scores": (np.full(4, "x"), np.full(4, np.nan), np.full(4, np.inf), np.array(1.0), np.ones((4, 1)), None),
    "maps": (np.ones((4, 16)), np.full((4, 16, 16), "x"), np.full((4, 16, 16), np.nan), np.ones((3, 16, 16))),
    "masks": (np.ones((4, 8, 8), bool), np.full((4, 16, 16), "x")),
    "reconstructions": (blobs(4, size=8), np.full((4, 1, 16, 16), 7.0)),
    "masked": (blobs(3, size=16), np.full((4, 1, 16, 16), "x")),
    "patch_scores": (np.ones(4), np.ones((4, 0)), np.ones((4, 300)), np.full((4, 16), "x")),
}


@pytest.mark.parametrize(("name", "number"), [(name, number) for name, values in CHANGES.items() for number in range(len(values))])
def test_examples_that_cannot_be_shown(folder, name, number):
    file, value = only(folder / "examples"), CHANGES[name][number]
    np.savez(file, **{key: each for key, each in (panel(SCORES) | {name: value}).items() if each is not None})
    refused(lambda: load_examples(folder, load_results(folder)[0]), str(file), name)
    refused(lambda: write_report(folder, n_resamples=10), str(file))
    stored = StoredResults(folder)
    run = stored.run("made", next(iter(stored.cases("made"))), 1, "TEND")
    for _ in range(2):
        refused(lambda: stored.pictures(run, range(8)), str(file))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.float16(np.inf), np.float64(1e300), np.int8(7)], ids=["float16", "float64", "int8"])
def test_maps_too_high_for_their_type_are_shown(folder, value):
    """float16 ends at 65504, and novelty has no unit."""
    np.savez(only(folder / "examples"), **(panel(SCORES) | {"maps": np.full((4, 16, 16), value)}))
    write_report(folder, n_resamples=10)


def large(n: int, side: int) -> dict[str, np.ndarray]:
    """A sound panel of black images."""
    alike = {name: np.zeros((n, 1, side, side), np.uint8) for name in ("images", "reconstructions", "masked")}
    return {**alike, "labels": np.full(n, "a"), "scores": np.zeros(n), "maps": np.zeros((n, side, side), np.float16)}


@pytest.mark.parametrize(("n", "side", "shown"), [(4, 1024, True), (4, 1025, False), (1000, 8, True), (1001, 8, False), (1, 4096, False)])
def test_examples_are_bounded_in_number_and_size(folder, n, side, shown):
    """What a page would take seconds and gigabytes for is refused, and is not stored in the first place."""
    file, (stored,), before = only(folder / "examples"), load_results(folder), record(seed=2)
    np.savez_compressed(file, **large(n, side))
    if shown:
        assert load_examples(folder, stored)["images"].shape == (n, 1, side, side)
    else:
        refused(lambda: load_examples(folder, stored), str(file), f"{n} images of {side}×{side}")
        refused(lambda: write_report(folder, n_resamples=10), str(file))
    add_record(folder, before, SCORES, examples=panel(SCORES))
    assert load_examples(folder, before) is not None
    add_record(folder, before, SCORES, examples=large(n, side))
    again = load_examples(folder, before)  # none, rather than those of the earlier measurement
    assert (again is not None and len(again["images"]) == n) if shown else again is None


def test_examples_are_bounded_in_bytes_before_they_are_read(folder, monkeypatch):
    file, (stored,), given = only(folder / "examples"), load_results(folder), panel(SCORES)
    size = sum(np.asarray(value).nbytes for value in given.values())
    monkeypatch.setattr(results, "_PANEL_BYTES", size)
    assert load_examples(folder, stored) is not None
    monkeypatch.setattr(results, "_PANEL_BYTES", size - 1)
    refused(lambda: load_examples(folder, stored), str(file), "unpacks to")
    add_record(folder, stored, SCORES, examples=given)
    assert load_examples(folder, stored) is None


def test_examples_of_two_kinds_in_one_panel(folder):
    add_record(folder, record(novel=("c",)), SCORES, examples={"images": blobs(1, size=8), "labels": np.array(["c"]), "scores": np.ones(1)})
    refused(lambda: write_report(folder, n_resamples=10), "examples", str(folder))


# ---- records ---------------------------------------------------------------------------------------------------------


def test_settings_nested_without_end(folder):
    settings: dict = {}
    for _ in range(600):
        settings = {"a": settings}
    content = json.loads((folder / "results.json").read_text())
    content["records"][0]["settings"] = settings
    (folder / "results.json").write_text(json.dumps(content))
    refused(lambda: load_results(folder), "results.json", "settings")
    refused(lambda: add_record(folder, record(seed=5), SCORES), "results.json", "settings")
    with pytest.raises(DataError, match="nested"):
        record(settings=settings)
    nested: list = []
    for _ in range(40):
        nested = [nested]
    assert record(settings={"a": nested}).settings == {"a": nested}


@pytest.mark.parametrize("kind", ["folder", pytest.param("link", marks=posix)])
def test_a_lock_that_is_none(folder, kind):
    lock, other = folder / ".results.lock", folder / "other.txt"
    lock.unlink(missing_ok=True)
    other.write_text("mine")
    lock.mkdir() if kind == "folder" else lock.symlink_to(other)
    refused(lambda: add_record(folder, record(seed=2), SCORES), str(lock))
    assert other.read_text() == "mine"


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "x").write_text("")
    refused(lambda: arrange_records(tmp_path / "x", []), str(tmp_path / "x"))


# ---- pipes, devices and bombs ------------------------------------------------------------------------------------------


def strange(file: Path, kind: str) -> None:
    file.unlink()
    os.mkfifo(file) if kind == "pipe" else file.symlink_to("/dev/zero")


@posix
@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_weights_that_never_end(tmp_path, kind):
    detector = make_detector("pixel_zscore", device="cpu", progress=False).fit(blobs(12, size=16), blobs(6, size=16, seed=1))
    detector.save(tmp_path / "detector")
    strange(tmp_path / "detector" / "weights.safetensors", kind)
    refused(lambda: load_detector(tmp_path / "detector"), "weights.safetensors")
    checkpoints = CheckpointFolder(tmp_path / "checkpoints", {})
    checkpoints.write(_checkpoint(0))
    strange(tmp_path / "checkpoints" / "epoch_0000" / "weights.safetensors", kind)
    with pytest.warns(UserWarning, match=r"epoch_0000 is damaged \(weights\.safetensors"):
        assert checkpoints.read() is None


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux counts it")
@pytest.mark.parametrize("kind", [Snapshots, PatchRuns])
def test_explorers_do_not_unpack_a_bomb(tmp_path, kind):
    header, file = io.BytesIO(), tmp_path / "bomb.npz"
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**30 + 2**20,)})
    name = "epochs.npy" if kind is Snapshots else "images.npy"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, archive.open(name, "w", force_zip64=True) as member:
        member.write(header.getvalue())
        for _ in range(1025):
            member.write(bytes(2**20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(lambda: kind.load(file), str(file))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB
