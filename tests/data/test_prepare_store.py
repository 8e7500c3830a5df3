"""The prepared folder: complete or not there, done once, opened at once, and gone through in little memory."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from novkit import cli
from novkit.data import load
from novkit.data.prepare import Collection, Recipe, prepare, recipes, verify
from novkit.data.store import ImageMap, Sample, open_map, open_store, verify_store, write_store
from novkit.errors import DataError, StoredFileError
from tests.data.layouts import make_isic, rng
from tests.waiting import PATIENCE, Heard


def table(n: int) -> pd.DataFrame:
    rows = {"id": [f"i{k}" for k in range(n)], "label": ["a", "b"] * (n // 2), "group": [f"g{k // 2}" for k in range(n)], "path": "x"}
    return pd.DataFrame(rows | {"depth": np.arange(n) / 7})


def samples(n: int, dtype: type = np.uint8, masks: bool = True) -> list[Sample]:
    images = rng().integers(0, np.iinfo(dtype).max, (n, 2, 8, 6)).astype(dtype)
    return [Sample(image, image[0] > 100 if masks else None) for image in images]


DESCRIBED = {"name": "made", "normal": "a", "source": "Made.", "licence": "None."}
MADE_OF = {"options": {"size": 8}, "stamp": "", "sources": {}}


# ---- writing and opening ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_opened_is_what_was_written(tmp_path, dtype):
    given = samples(6, dtype)
    write_store(tmp_path / "s", table(6), given, DESCRIBED, made_of=MADE_OF, progress=False)
    data = open_store(tmp_path / "s")
    assert np.array_equal(data.images, [sample.image for sample in given])
    assert np.array_equal(np.load(tmp_path / "s/images.npy"), data.images)  # a plain .npy
    assert np.array_equal(data.masks, [sample.mask for sample in given])
    assert data.body is None
    assert (data.images.dtype, data.masks.dtype) == (dtype, bool)
    pd.testing.assert_frame_equal(data.table, table(6), check_dtype=False)
    assert not data.images.flags.writeable
    verify_store(tmp_path / "s")
    write_store(tmp_path / "t", table(6), given, DESCRIBED, made_of=MADE_OF, progress=False)
    for name in ("images.npy", "masks.npy", "table.csv", "manifest.json"):
        assert (tmp_path / "s" / name).read_bytes() == (tmp_path / "t" / name).read_bytes()  # no times, no chance


def test_exact_duplicates_get_one_group(tmp_path):
    given = samples(6)
    given[5] = given[0]
    write_store(tmp_path / "s", table(6), given, DESCRIBED, made_of=MADE_OF, progress=False)
    data = open_store(tmp_path / "s")
    assert data.groups.tolist() == ["g0", "g0", "g1", "g1", "g0", "g0"]
    assert data.extra["duplicate_images"] == 1
    assert json.loads((tmp_path / "s/manifest.json").read_text())["counts"]["groups"] == 2


def test_samples_must_fit_each_other_and_the_table(tmp_path):
    good = samples(6)
    wrong = {
        "differs from the first in having masks": [*good[:5], Sample(good[5].image)],
        "came after others": [*good[:5], Sample(good[5].image[:1], good[5].mask)],
        "5 images came for the 6 rows": good[:5],
        "float64": [Sample(sample.image.astype(float), sample.mask) for sample in good],
    }
    for message, given in wrong.items():
        with pytest.raises(DataError, match=message):
            write_store(tmp_path / "s", table(6), given, DESCRIBED, made_of=MADE_OF, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", ["images.npy", "masks.npy", "table.csv", "manifest.json"])
def test_damage_is_found(tmp_path, file):
    write_store(tmp_path / "s", table(6), samples(6), DESCRIBED, made_of=MADE_OF, progress=False)
    content = bytearray((tmp_path / "s" / file).read_bytes())
    (tmp_path / "s" / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(StoredFileError, match=file):
        open_store(tmp_path / "s")
    if file != "manifest.json":
        content[-3] ^= 1
        (tmp_path / "s" / file).write_bytes(content)
        with pytest.raises(StoredFileError, match=rf"{file} is not what was prepared"):
            verify_store(tmp_path / "s")


# ---- preparing --------------------------------------------------------------------------------------------------------------


def recipe(given, **changes) -> Recipe:
    """A recipe of `given` samples, or of a function that gives them."""
    calls = changes.pop("calls", [])

    def collect(files, *, size):
        calls.append(size)
        return Collection(table(6), given() if callable(given) else given)

    text = {"title": "made", "needs": "nothing", "source": "Made.", "licence": "None.", "groups": "Made up."}
    return Recipe(name="made", collect=collect, normal="a", options={"size": 8}, **text, **changes)


def test_a_second_run_does_nothing(root):
    calls: list[int] = []
    made = recipe(samples(6), calls=calls)
    prepare("made", recipe=made, progress=False)
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*") if file.is_file()}
    prepare("made", recipe=made, progress=False)
    assert calls == [8]
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_run_leaves_nothing_half_written(root, stop):
    def given():
        yield from samples(6)[:4]
        raise stop

    with pytest.raises(stop):
        prepare("made", recipe=recipe(given), progress=False)
    assert not [path for path in (root / "made").iterdir() if path.name not in (".lock", "raw")]
    assert len(prepare("made", recipe=recipe(samples(6)), progress=False)) == 6


def test_a_damaged_result_is_prepared_again(root):
    prepare("made", recipe=recipe(samples(6)), progress=False)
    (root / "made/size=8/images.npy").write_bytes(b"")
    assert len(prepare("made", recipe=recipe(samples(6)), progress=False)) == 6
    assert verify("made") == 1


def test_a_second_process_waits_and_says_so(root, monkeypatch):
    """Both call at once; the second finds the work done when its turn comes."""
    calls: list[int] = []
    begun, heard = threading.Event(), Heard(monkeypatch, "Another process is preparing made: waiting")

    def given():
        begun.set()
        heard.wait()
        yield from samples(6)

    results = []
    made = recipe(given, calls=calls)
    first = threading.Thread(target=lambda: results.append(prepare("made", recipe=made, progress=False)))
    first.start()
    assert begun.wait(PATIENCE)
    results.append(prepare("made", recipe=made))
    first.join(PATIENCE)
    assert [len(result) for result in results] == [6, 6]
    assert calls == [8]


KILLED = """
import os, signal
from novkit.data import store
from novkit.data.prepare import prepare

append, images = store._ArrayFile.append, []

def append_and_die(self, array):
    append(self, array)
    images.append(array)
    if len(images) == 5:
        os.kill(os.getpid(), signal.SIGKILL)

store._ArrayFile.append = append_and_die
prepare("isic2016", source={source!r}, verified=False, progress=False, size=16)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_a_killed_process_leaves_nothing_in_the_way(root, tmp_path):
    make_isic(tmp_path / "isic")
    code = KILLED.format(source=str(tmp_path / "isic"))
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "NOVKIT_DATA": str(root)}, timeout=300)
    assert done.returncode != 0
    assert list((root / "isic2016").glob(".*.tmp"))
    assert not list((root / "isic2016").glob("*/manifest.json"))
    prepare("isic2016", source=tmp_path / "isic", verified=False, progress=False, size=16)
    assert not list((root / "isic2016").glob(".*.tmp"))
    assert len(load("isic2016")) == 10


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NOVKIT_DATA", str(tmp_path / "file" / "root"))
    with pytest.raises(StoredFileError, match="NOVKIT_DATA"):
        prepare("made", recipe=recipe(samples(6)), progress=False)


# ---- the command line -------------------------------------------------------------------------------------------------------


def test_commands(root, tmp_path):
    run = CliRunner().invoke
    make_isic(tmp_path / "isic")
    listed = run(cli.app, ["data", "list"]).output
    assert all(f"  {name} " in listed for name in recipes())
    assert listed.count("[not prepared]") == len(recipes())
    done = run(cli.app, ["data", "prepare", "isic2016", "--size", "16", "--from", str(tmp_path / "isic"), "--unverified"])
    assert "isic2016 is ready: 10 images (malignant 4, benign 6)" in done.output
    assert "[prepared: size=16]" in run(cli.app, ["data", "list"]).output
    shown = run(cli.app, ["data", "show", "isic2016", "--verify"]).output
    assert "3×16×16 uint8" in shown
    assert "files are what was prepared: 1" in shown
    refused = run(cli.app, ["data", "prepare", "isic2016", "--where", "part == 'train'"])
    assert isinstance(refused.exception, Exception)
    assert "--where is for loading" in str(refused.exception)


def test_a_script_is_the_same_command(root, tmp_path, monkeypatch, capsys):
    make_isic(tmp_path / "isic")
    script = Path(__file__).resolve().parents[2] / "data_scripts/isic2016.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--size", "16", "--from", str(tmp_path / "isic"), "--unverified"])
    with pytest.raises(SystemExit) as end:
        exec(compile(script.read_text(), script, "exec"), {"__name__": "__main__"})
    assert end.value.code == 0
    assert "isic2016 is ready: 10 images" in capsys.readouterr().out
    assert len(load("isic2016", size=16)) == 10


# ---- memory -----------------------------------------------------------------------------------------------------------------


def test_an_image_map_behaves_as_its_array(tmp_path, monkeypatch):
    array = rng().integers(0, 256, (50, 1, 64, 64), dtype=np.uint8)
    np.save(tmp_path / "x.npy", array)
    monkeypatch.setattr("novkit.data.store._AT_ONCE", 3 * 64 * 64)  # hands back all the time
    mapped = open_map(tmp_path / "x.npy")
    view = mapped[10:20]
    for index in (3, slice(5, 40), slice(None, None, 7), [4, 1, 9], np.arange(50) % 3 == 0, (slice(2), 0, 5), -1, (0, 0, 0, 0)):
        assert np.array_equal(mapped[index], array[index])
    assert np.array_equal(view, array[10:20])  # still there after pages were handed back
    assert np.array_equal(view[::2], array[10:20:2])
    assert isinstance(view, ImageMap)
    assert type(mapped[[1, 2]]) is np.ndarray
    assert type(mapped[0] + 1) is np.ndarray
    assert mapped.sum() == array.sum()
    assert np.array_equal(np.concatenate([mapped[part] for part in (slice(25), slice(25, 50))]), array)
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 1


MEASURED = """
import resource, sys
import numpy as np
from novkit.baselines.autoencoder import AutoencoderDetector, AutoencoderSettings
from novkit.baselines.statistic import Statistic, StatisticSettings
from novkit.data import load
from tests.conftest import blobs

data = load("huge")
small = blobs(30, size=256)
score = Statistic(StatisticSettings(statistic="std")).fit(small).novelty_score(data.images)
bright = np.flatnonzero(score > 0)
print(len(data), data.images.nbytes >> 20, *bright, np.ptp(score[bright]) < 1e-9)
settings = AutoencoderSettings.quick(width=4, latent=8, epochs=2, least_steps=15, batch_size=8)
network = AutoencoderDetector(settings, device="cpu", progress=False).fit(small).novelty_score(data.images[:512])
print(len(network), int(np.abs(network - np.median(network)).argmax()))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak // (2**20 if sys.platform == "darwin" else 2**10))
"""


def measure(root: Path, megabytes: int) -> int:
    """Peak memory in MiB of a process that opens and scores a sparse set of 256×256 images with three bright ones; checks the scores."""
    n = megabytes * 2**20 // 256**2
    marks = [100, n // 2, n - 1]
    rows = pd.DataFrame({"id": [str(k) for k in range(n)], "label": "a", "group": "g", "path": "x"})
    square = np.zeros((1, 256, 256), np.uint8)
    write_store(root / "huge/size=256", rows[:1], [Sample(square)], DESCRIBED, made_of=MADE_OF, progress=False)
    folder = root / "huge/size=256"
    held = json.loads((folder / "manifest.json").read_text())
    with open(folder / "images.npy", "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (n, 1, 256, 256)})
        start = stream.tell()
        square[0, 64:192, 64:192] = 200
        for mark in marks:
            stream.seek(start + mark * 256**2)
            stream.write(square.tobytes())
        stream.truncate(start + n * 256**2)
        held["files"]["images.npy"]["bytes"] = start + n * 256**2
    rows.to_csv(folder / "table.csv", index=False)
    held["files"]["table.csv"]["bytes"] = (folder / "table.csv").stat().st_size
    (folder / "manifest.json").write_text(json.dumps(held))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", MEASURED],
        env={**os.environ, "NOVKIT_DATA": str(root), "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    scores, network, peak = done.stdout.splitlines()
    assert scores.split() == [str(n), str(megabytes), *map(str, marks), "True"]
    assert network.split() == ["512", "100"]
    return int(peak)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="measures with getrusage")
def test_statistic_scores_2_gb_and_a_network_a_prefix_of_it_within_2_gb_of_memory(root):
    """With a plain memory map the process would hold the 2 GB beside everything else."""
    assert measure(root, 2048) < 2048


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="measures with getrusage")
def test_statistic_scores_20_gb_and_a_network_a_prefix_of_it_within_2_gb_of_memory(root):
    """The same with a sparse file of 20 GB: minutes, for each of its 20 billion pixels is looked at."""
    assert measure(root, 20 * 1024) < 2048
