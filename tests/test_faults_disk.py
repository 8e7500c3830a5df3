"""Full disks, folders that may not be written, files that may not be read, two runs at once: one sentence, and nothing half-written."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from novkit.checkpoints import CheckpointFolder
from novkit.cli import main
from novkit.detector import Detector
from novkit.methods import make_detector
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
    return in_a_child("command", words, cwd, **limits)


def in_a_child(task: str, words: tuple[Any, ...], cwd: Path, **limits: Any) -> Any:
    """`task` of this file, with the words of a command line, in a child that must not hang."""
    from tests import forking

    variables = {"NOVKIT_DATA": str(cwd / "data"), "NOVKIT_CACHE": str(cwd / "cache")}
    ended = forking.run(f"tests.test_faults_disk:{task}", words=[str(word) for word in words], cwd=cwd, variables=variables, **limits)
    assert not ended.hung, ended.err
    return ended


@contextmanager
def a_place() -> Iterator[Path]:
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


@pytest.fixture
def place() -> Iterator[Path]:
    with a_place() as folder:
        yield folder


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


NOTHING_HALF = "one sentence, nothing half-written"


def said(ended: Any, before: dict, after: dict) -> str:
    """What came out, for the record."""
    if ended.code != 1 or "Traceback" in ended.err or not ended.last.startswith("Error: "):
        return "no clear sentence"
    return NOTHING_HALF if before == after else "one sentence, but files changed"


PAGE, DISK = 4096, "16m"


def content(folder: Path) -> dict[str, Any]:
    """Every file, left-overs included; but neither the cache nor novelty maps: those that are there stay, and must be whole."""
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
    """A disk of memory in the place of the folder that is written to: with no page left, then with one, two, four …, so that it fills up
    before the first write and between later ones; at last the command goes through, with the same result as where nothing was wrong."""
    over = what == "train over an older one"
    target = "old" if over else {"data prepare": "data"}.get(what, "out")
    words = [word if word != "detector" or not over else "old/detector" for word in COMMANDS[what]]
    (place / target).mkdir()
    if over:
        shutil.copytree(place / "detector", place / "old/detector")
    shutil.copytree(place / target, place / "moved")
    kept = content(place / target)
    assert novkit(*words, cwd=place).code == 0
    whole, maps = _but_the_page(place / target), _maps(place / target)
    shutil.rmtree(place / target)
    (place / target).mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", place / target], capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    outcomes, wrong = Counter[str](), []
    try:
        shutil.copytree(place / "moved", place / target, dirs_exist_ok=True)
        for pages in (0, *(2**power for power in range(12))):
            filler = place / target / "filler"
            filler.write_bytes(bytes(max(0, shutil.disk_usage(place / target).free - pages * PAGE)))
            ended = novkit(*words, cwd=place)
            filler.unlink()
            if ended.code == 0:
                break
            half = half_written(place / target, kept, whole)
            half |= {name: found for name, found in _maps(place / target).items() if found != maps[name]}
            outcomes[said(ended, {}, half)] += 1
            wrong += [f"{pages} pages: {sorted(half)} {ended.err}"] * (said(ended, {}, half) != NOTHING_HALF)
        after = _but_the_page(place / target)
    finally:
        subprocess.run(["umount", place / target], check=True)
    record("Faults", "a disk that fills up, at the first write or later", part=what, tried=outcomes.total(), outcome=outcomes)
    assert not wrong, wrong[:3]
    assert outcomes.total() > 1 or what == "score"  # not at the first write alone, where there is more than one
    assert ended.code == 0, ended.err
    assert after == whole


def half_written(folder: Path, kept: dict, whole: dict) -> dict[str, Any]:
    """Files that are neither as they were nor as they will be. Records may still be missing; a checkpoint is gone in the end."""
    found = {name: value for name, value in content(folder).items() if value != kept.get(name) and value != whole.get(name)}
    for name in [name for name in found if name.endswith("/state.json")]:
        state = json.loads((folder / name).read_text(encoding="utf-8"))
        CheckpointFolder((folder / name).parent.parent, state["run"])._read((folder / name).parent)
        found = {other: value for other, value in found.items() if Path(other).parent != Path(name).parent}
    if "results.json" in found and all(one in whole["results.json"]["records"] for one in found["results.json"]["records"]):
        del found["results.json"]
    return found


def _maps(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.rglob("*.tiff")}


def _but_the_page(folder: Path) -> dict[str, Any]:
    """All content but the report, which names what a run cost."""
    return {name: found for name, found in content(folder).items() if not name.endswith(".html")}


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


def two_at_once(words: list[str], cwd: str) -> None:
    """The same command in two processes. The first has begun to fit when the second comes, and goes on when that one says that it waits."""
    os.chdir(cwd)
    begun, at_work = os.pipe()
    first = os.fork()
    if first == 0:
        plain = Detector.fit

        def fit(self: Detector, *images: Any, **more: Any) -> Detector:
            os.write(at_work, b"1")
            until = time.monotonic() + 30  # the second may never say so: then the test fails
            while "waiting" not in Path("second.txt").read_text() and time.monotonic() < until:
                time.sleep(0.01)
            return plain(self, *images, **more)

        Detector.fit = fit
        code = 1
        try:
            code = _code_of(words, cwd)
        finally:
            os._exit(code)
    os.close(at_work)
    with open("second.txt", "w", encoding="utf-8", buffering=1) as sys.stderr:
        os.read(begun, 1)  # ends too where the first has died
        code = _code_of(words, cwd)
    _, status = os.waitpid(first, 0)
    sys.exit(code or os.waitstatus_to_exitcode(status))


def _code_of(words: list[str], cwd: str) -> int:
    try:
        command(words, cwd)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.mark.parametrize(
    ("what", "out", "work"), [("reproduce", "out", "out/work"), ("train", "out/new", "out/.new-checkpoints")], ids=["reproduce", "train"]
)
def test_a_second_run_in_a_folder_says_so_and_waits(what, out, work, place):
    assert novkit(*COMMANDS[what], cwd=place).code == 0
    alone = _but_the_page(place / out)
    shutil.rmtree(place / "out")
    (place / "second.txt").touch()
    ended = in_a_child("two_at_once", COMMANDS[what], place)
    second = (place / "second.txt").read_text()
    waited = f"Another run is at work in {work}: waiting for it." in second
    well = ended.code == 0 and _but_the_page(place / out) == alone
    outcome = "the second said so, waited, and went on" if waited and well else "the second did not wait, or ended otherwise than alone"
    record("Faults", "two runs in one folder", part=what, tried=1, outcome=outcome)
    assert waited, second
    assert ended.code == 0, ended.err + second
    assert _but_the_page(place / out) == alone
    assert what != "train" or [path.name for path in (place / "out").iterdir()] == ["new"]
