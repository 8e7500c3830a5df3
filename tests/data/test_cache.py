"""The cache of data sets: exact, mended when damaged, safe for several at once."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pandas as pd
import pytest

from novkit.data.cache import cache_folder, cached
from novkit.data.dataset import ImageDataset


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("NOVKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def made(seed: int = 0) -> ImageDataset:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "id": ["a", "b,\n\"c\"", "001"],
            "label": ["NA", "None", "x"],
            "group": ["1", "0\r2", ""],
            "ratio": [0.1 + 0.2, np.nan, 1e-300],
            "count": [1, 2, 3],
            "flag": [True, False, True],
        }
    )  # fmt: skip
    images = rng.random((3, 1, 16, 16)).astype(np.float32)
    return ImageDataset("made", images, table, masks=images[:, 0] > 0.5, normal="x", synthetic=True, extra={"seed": seed, "note": "é"})


def same(one: ImageDataset, other: ImageDataset) -> bool:
    text = dict.fromkeys(("id", "label", "group"), object)
    pd.testing.assert_frame_equal(one.table.astype(text), other.table.astype(text), check_exact=True)
    blank = {"images": one.images, "masks": None, "body": None, "table": one.table}
    assert vars(replace(one, **blank)) == vars(replace(other, **blank))
    return np.array_equal(one.images, other.images) and np.array_equal(one.masks, other.masks)


def never() -> ImageDataset:
    raise AssertionError("it should have come from the cache")


def test_what_the_cache_gives_back_is_what_was_put_in():
    stored = cached("made", {"seed": 0}, made)
    again = cached("made", {"seed": 0}, never)
    assert same(stored, made())
    assert same(again, made())
    assert isinstance(again.images, np.memmap)
    assert not again.images.flags.writeable
    with pytest.raises(AssertionError):
        cached("made", {"seed": 1}, never)


@pytest.mark.parametrize("file", ["images.npy", "masks.npy", "table.csv", "dataset.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "removed"])
def test_a_damaged_entry_is_made_again(file, damage):
    cached("made", {}, made)
    (entry,) = cache_folder().iterdir()
    content = bytearray((entry / file).read_bytes())
    (entry / file).unlink()
    if damage == "flipped":
        content[len(content) // 2] ^= 0x55
        (entry / file).write_bytes(content)
    elif damage != "removed":
        (entry / file).write_bytes(content[: len(content) // 2 if damage == "cut" else 0])
    calls = []
    assert same(cached("made", {}, lambda: calls.append(1) or made()), made())
    assert len(calls) == 1 or (file, damage) == ("dataset.json", "flipped")
    cached("made", {}, never)


def test_a_cache_that_cannot_be_written_leaves_the_data_in_memory(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NOVKIT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="made could not be cached and stays in memory"):
        assert same(cached("made", {}, made), made())


def test_nothing_half_written_is_left_when_making_fails(own_cache):
    with pytest.raises(ZeroDivisionError):
        cached("made", {}, lambda: 1 / 0)
    assert not own_cache.exists() or not list(own_cache.iterdir())


def test_many_may_make_the_same_entry_at_once(own_cache):
    barrier = Barrier(8)

    def make() -> ImageDataset:
        barrier.wait(timeout=20)  # nobody has written yet, and now all of them will
        return made()

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: cached("made", {}, make), range(8)))
    assert all(same(result, made()) for result in results)
    assert len(list(own_cache.iterdir())) == 1
    cached("made", {}, never)


@pytest.mark.slow
def test_two_processes_may_make_the_same_entry_at_once(own_cache):
    code = "from novkit.data import load; d = load('skin', size=16, n_benign=30, n_atypical=10); print(d.images.sum(), type(d.images))"
    command = [sys.executable, "-W", "error", "-c", code]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in running]
    assert all(process.returncode == 0 for process in running), outputs
    assert len({out for out, _ in outputs}) == 1
    assert "memmap" in outputs[0][0]
    assert len(list(own_cache.iterdir())) == 1
