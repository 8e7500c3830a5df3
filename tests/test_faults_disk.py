"""Full disks, folders that may not be written, files that may not be read, two runs at once: one sentence, and nothing half-written."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image

from novkit.cli import main
from novkit.methods import make_detector
from novkit.results import load_results
from tests.campaign import record
from tests.conftest import blobs
from tests.data.layouts import make_isic
from tests.test_faults import essence

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX's limits and users")]
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may do this")


def command(words: list[str], cwd: str) -> None:
    """The command line, in a child."""
    os.chdir(cwd)
    sys.argv = ["novkit", *words]
    main()


def novkit(*words: Any, cwd: Path, **limits: Any) -> Any:
    from tests import forking

    variables = {"NOVKIT_DATA": str(cwd / "data"), "NOVKIT_CACHE": str(cwd / "cache")}
    return forking.run("tests.test_faults_disk:command", words=[str(word) for word in words], cwd=cwd, variables=variables, **limits)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter, with images, a detector, results and a download in it."""
    folder = Path(tempfile.mkdtemp(prefix="novkit-"))
    folder.chmod(0o755)
    X = np.concatenate([blobs(40, size=16), blobs(20, size=16, seed=1) // 2])
    rows = [{"path": f"{k}.png", "label": "normal" if k < 40 else "dark", "group": f"g{k // 2}"} for k in range(60)]
    (folder / "images").mkdir()
    for row, image in zip(rows, X, strict=True):
        Image.fromarray(image[0]).save(folder / "images" / row["path"])
    pd.DataFrame(rows).to_csv(folder / "images/labels.csv", index=False)
    make_detector("pixel_zscore", device="cpu").fit(X[:40]).save(folder / "detector")
    make_isic(folder / "isic")
    yield folder
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


OWN = ("--data", "images", "--normal", "normal")
COMMANDS: dict[str, tuple[Any, ...]] = {
    "train": ("train", "autoencoder", *OWN, "--out", "out/new", "--setting", "epochs=1", "--setting", "latent=8"),
    "train over an older one": ("train", "pixel_zscore", *OWN, "--out", "detector"),
    "score": ("score", "detector", "images", "--out", "out/scores.csv"),
    "score with maps": ("score", "detector", "images", "--out", "out/scores.csv", "--maps", "out/maps"),
    "reproduce": ("reproduce", *OWN, "--novel", "dark", "--method", "pixel_zscore", "--out", "out", "--workers", "1"),
    "data prepare": ("data", "prepare", "isic2016", "--from", "isic", "--unverified", "--size", "32"),
    "data show --sheet": ("data", "show", "digits", "--sheet", "out/sheet.png"),
}


def assert_one_sentence(ended: Any, *words: str) -> None:
    """Exit code 1, the reason as the last line, no traceback."""
    assert ended.code == 1, ended.err
    assert "Traceback" not in ended.err
    assert ended.last.startswith("Error: "), ended.err
    assert any(word in ended.last for word in words), ended.last
    assert ended.last.rstrip().endswith(".")


def said(ended: Any, before: dict, after: dict) -> str:
    """What came out, for the record."""
    if ended.code != 1 or "Traceback" in ended.err or not ended.last.startswith("Error: "):
        return "no clear sentence"
    return "one sentence, nothing half-written" if before == after else "one sentence, but files changed"


def content(folder: Path) -> dict[str, Any]:
    """Every file, left-overs included; but neither the cache nor novelty maps, of which those that are there are whole."""
    for novelty in folder.rglob("*.tiff"):
        assert np.asarray(Image.open(novelty)).shape == (16, 16)
    return {name: found for name, found in essence(folder).items() if not name.startswith("cache/") and not name.endswith(".tiff")}


@pytest.mark.parametrize("what", COMMANDS)
def test_no_file_may_grow(what, place):
    """What a full disk does, where nobody may mount one: every file ends at 300 bytes."""
    before = content(place)
    ended = novkit(*COMMANDS[what], cwd=place, file_limit=300)
    after = content(place)
    record("Faults", "no space (files end at 300 bytes)", part=what, tried=1, outcome={said(ended, before, after): 1})
    assert_one_sentence(ended, "File too large", "could not be written")
    assert after == before


@as_root
@pytest.mark.parametrize("what", COMMANDS)
def test_a_full_disk(what, place):
    """A disk of memory in the place of the folder that is written to, with a few pages left."""
    target = {"train over an older one": "detector", "data prepare": "data"}.get(what, "out")
    (place / target).mkdir(exist_ok=True)
    kept = content(place / target)
    moved = place / "moved"
    shutil.copytree(place / target, moved)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", place / target], capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        inner = place / target / ("sub" if what == "train over an older one" else "")
        shutil.copytree(moved, inner, dirs_exist_ok=True)
        with suppress(OSError), open(place / target / "filler", "wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass
        words = [str(word) for word in COMMANDS[what]]
        words = [word if word != "detector" or what != "train over an older one" else "detector/sub" for word in words]
        ended = novkit(*words, cwd=place)
        (place / target / "filler").unlink()
        after = content(inner)
    finally:
        subprocess.run(["umount", place / target], check=True)
    record("Faults", "a full disk of 64 kB", part=what, tried=1, outcome={said(ended, kept, after): 1})
    assert_one_sentence(ended, "No space left", "could not be written")
    assert after == kept


@as_root
@pytest.mark.parametrize("what", COMMANDS)
def test_a_folder_that_may_not_be_written(what, place):
    """As nobody, in a folder of root's; a cache that cannot be written either is no error."""
    before = essence(place)
    ended = novkit(*COMMANDS[what], cwd=place, user="nobody")
    after = essence(place)
    record("Faults", "permission denied (a folder of another user's)", part=what, tried=1, outcome={said(ended, before, after): 1})
    assert_one_sentence(ended, "Permission denied")
    assert after == before


UNREADABLE: dict[str, tuple[str, tuple[Any, ...]]] = {
    "an image": ("images/7.png", COMMANDS["score"]),
    "an image of a data set": ("images/7.png", ("data", "show", "images")),
    "the table": ("images/labels.csv", ("data", "show", "images")),
    "the folder": ("images", ("data", "show", "images")),
    "the weights": ("detector/weights.safetensors", COMMANDS["score"]),
    "the description": ("detector/detector.json", COMMANDS["score"]),
    "a download": ("isic/ISBI2016_ISIC_Part3_Training_GroundTruth.csv", COMMANDS["data prepare"]),
    "an image of a download": ("isic/ISBI2016_ISIC_Part3_Training_Data/ISIC_0000002.jpg", COMMANDS["data prepare"]),
}


@as_root
@pytest.mark.parametrize("what", UNREADABLE)
def test_a_file_that_may_not_be_read(what, place):
    name, words = UNREADABLE[what]
    for folder in ("out", "data"):
        (place / folder).mkdir()
        (place / folder).chmod(0o777)
    (place / name).chmod(0)
    before = essence(place)
    ended = novkit(*words, cwd=place, user="nobody")
    after = essence(place)
    record("Faults", "permission denied to read", part=what, tried=1, outcome={said(ended, before, after): 1})
    assert_one_sentence(ended, "Permission denied")
    assert after == before


def test_nothing_in_the_way_of_what_works(place):
    """The commands above do succeed where nothing is wrong."""
    ended = Counter(novkit(*words, cwd=place).code for words in COMMANDS.values())
    assert ended == {0: len(COMMANDS)}


def test_a_second_run_in_a_folder_says_so_and_waits(place):
    (place / "out/work").mkdir(parents=True)
    lock = FileLock(place / "out/work/.run.lock", thread_local=False)  # released by another thread
    lock.acquire()
    later = threading.Timer(3, lock.release)
    later.start()
    ended = novkit(*COMMANDS["reproduce"], cwd=place)
    waited = "Another run is at work in out/work: waiting for it." in ended.err and ended.seconds >= 3
    outcome = "the second said so, waited, and went on" if waited and ended.code == 0 else "the second did not wait"
    record("Faults", "two runs in one folder: reproduce", tried=1, outcome=outcome)
    assert ended.code == 0, ended.err
    assert waited
    assert len(load_results(place / "out")) == 2
