"""Archives, folders of images and submissions that nest folders by the thousand, or fill a disk: none stands in anybody's way for good."""

import csv
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from novkit.data import archives
from novkit.data.archives import unpack
from novkit.data.folder import load_folder
from novkit.data.prepare import Files, prepare
from novkit.errors import DataError
from novkit.methods import make_detector
from novkit.scoring import score_folder
from novkit.teaching import folder as grading_folder
from novkit.teaching import submission
from novkit.teaching.confinement import bytes_kept
from novkit.teaching.folder import grade_folder
from novkit.teaching.handed_in import collect
from novkit.teaching.leaderboard import _hand_over
from novkit.teaching.messages import lost
from novkit.teaching.process import Limits, Stopped, Worker
from tests.conftest import blobs
from tests.nests import nest, place_for_nests, unix


@pytest.fixture
def nests(tmp_path) -> Iterator[Path]:
    with place_for_nests(tmp_path / "nests") as place:
        yield place


# ---- archives --------------------------------------------------------------------------------------------------------------


def deep_zip(file: Path, depths: tuple[int, ...]) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for depth in depths:
            archive.writestr("a/" * depth + "x", "x")
    return file


def tar_of(file: Path, names: list[str]) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return file


def test_a_nest_in_an_archive_is_refused_and_leaves_nothing(nests):
    archive = deep_zip(nests / "deep.zip", (600, 1200, 1800))
    with pytest.raises(DataError, match=r"deep\.zip holds folders in folders"):
        unpack(archive, nests / "out/new", progress=False)
    assert [*(nests / "out").iterdir()] == []
    unpack(deep_zip(nests / "fine.zip", (0, 1, 40)), nests / "out/new", progress=False)
    assert (nests / "out/new" / ("a/" * 40) / "x").is_file()


@unix
def test_a_nest_that_an_older_version_left_is_cleared_away(nests, monkeypatch):
    monkeypatch.setenv("NOVKIT_DATA", str(nests / "data"))
    deep_zip(nests / "ISBI2016_ISIC_Part3_Training_Data.zip", (1200,))
    left = nests / "data/isic2016/unpacked/.x.abcdef-1-y.tmp"
    left.mkdir(parents=True)
    nest(left)
    for _ in range(2):
        with pytest.raises(DataError, match="folders in folders"):
            prepare("isic2016", source=nests, verified=False, progress=False)
        assert [*(nests / "data/isic2016/unpacked").iterdir()] == []


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([f"{k:06}" for k in range(archives.FEW + 1)], "more than 1,000 files"),
        ([f"{k}/" + "a/" * 40 + "x" for k in range(archives.FEW // 20)], "more than 1,000 files"),  # the folders count
    ],
    ids=["files", "folders"],
)
def test_a_small_archive_does_not_hold_files_by_the_ten_thousand(tmp_path, names, words):
    archive = tar_of(tmp_path / "many.tar.gz", names)
    assert archive.stat().st_size < 64 * archives.FEW
    with pytest.raises(DataError, match=words):
        unpack(archive, tmp_path / "out", progress=False)
    assert [*tmp_path.iterdir()] == [archive]
    unpack(tar_of(archive, names[: len(names) // 4]), tmp_path / "out", progress=False)
    assert len([*(tmp_path / "out").iterdir()]) == len(names) // 4


def test_one_that_is_as_large_as_its_files_may_hold_more(tmp_path):
    noise, names = np.random.default_rng(0), [f"{k}.png" for k in range(archives.FEW + 200)]
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, noise.bytes(64))
    unpack(tmp_path / "x.zip", tmp_path / "out", progress=False)
    assert len([*(tmp_path / "out").iterdir()]) == len(names)


# ---- folders that are searched ---------------------------------------------------------------------------------------------


@pytest.fixture
def searched(nests) -> Path:
    (nests / "in").mkdir()
    Image.fromarray(blobs(1, size=16)[0, 0]).save(nests / "in/a.png")
    (nests / "in/ann.ipynb").write_text(json.dumps(new_notebook()))
    nest(nests / "in/deep")
    nest(nests / "in/long", 40, "b" * 200)
    return nests / "in"


@unix
def test_a_folder_of_images_or_notebooks_may_hold_a_nest(searched, tmp_path):
    make_detector("pixel_zscore", progress=False).fit(blobs(20, size=16)).save(tmp_path / "detector")
    assert score_folder(tmp_path / "detector", searched, tmp_path / "out.csv", device="cpu", progress=False)[0] == 1
    assert Files(searched).find("*.png") == [searched / "a.png"]
    assert [found.student for found in collect(searched, tmp_path / "out", None)] == ["ann"]


@unix
@pytest.mark.parametrize("letter", ["x", "中"])
def test_the_folder_of_a_data_set_may_have_the_longest_name_there_is(tmp_path, monkeypatch, letter):
    monkeypatch.setenv("NOVKIT_CACHE", str(tmp_path / "cache"))
    named = tmp_path / (letter * (255 // len(letter.encode())))
    named.mkdir()
    Image.fromarray(blobs(1, size=16)[0, 0]).save(named / "a.png")
    (named / "labels.csv").write_text("path,label\na.png,normal\n")
    for _ in range(2):
        assert load_folder(named, progress=False).name == named.name
    assert len([*(tmp_path / "cache").iterdir()]) == 1


# ---- submissions -----------------------------------------------------------------------------------------------------------

GOOD = "def f(x):\n    return 2 * x"
NEST = "import os\nfor _ in range({}):\n    os.mkdir({!r})\n    os.chdir({!r})\n"
NESTS = {
    "deep": NEST.format(1500, "a", "a"),
    "long": f"try:\n    {NEST.format(40, 'b' * 200, 'b' * 200)}".replace("\n", "\n    ") + "\nfinally: pass",
}


def handed_in(code: str) -> NotebookNode:
    """An assignment of one part: the solution, and two points for it."""
    solution = {"grade": False, "solution": True, "grade_id": "one", "locked": False, "schema_version": 3, "task": False}
    tests = {"grade": True, "solution": False, "grade_id": "test_one", "points": 2, "locked": True, "schema_version": 3, "task": False}
    cells = [new_code_cell(code, metadata={"nbgrader": solution}), new_code_cell("assert f(2) == 4", metadata={"nbgrader": tests})]
    return new_notebook(cells=cells)


@pytest.fixture
def graded(nests, monkeypatch) -> Callable[..., dict[str, dict[str, str]]]:
    """graded(ann="code", …): the lines of grades.csv by student."""
    monkeypatch.setattr(submission, "ALWAYS", ("json",))
    monkeypatch.setattr("tempfile.tempdir", str(nests / "tmp"))
    for name in ("in", "tmp"):
        (nests / name).mkdir()
    (nests / "a1_small.ipynb").write_text(json.dumps(handed_in(f"### BEGIN SOLUTION\n{GOOD}\n### END SOLUTION")))

    def run(limits: Limits | None = None, **code: str) -> dict[str, dict[str, str]]:
        for name, text in code.items():
            (nests / f"in/{name}.ipynb").write_text(json.dumps(handed_in(text)))
        grade_folder(nests / "in", nests / "out", source=nests / "a1_small.ipynb", limits=limits, workers=1)
        assert os.listdir(nests / "tmp") == []
        with (nests / "out/grades.csv").open(encoding="utf-8") as file:
            return {row["student"]: row for row in csv.DictReader(file)}

    return run


@unix
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", NESTS)
def test_a_submission_that_nests_folders_ends_nobodys_grading(graded, how):
    grades = graded(ann=f"{NESTS[how]}\n{GOOD}", bob=GOOD)
    assert grades["bob"]["points"] == "2"
    assert grades["ann"]["points"] in ("0", "2")


@unix
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "code",
    [
        "for k in range(200):\n    with open(f'{k}', 'wb') as file: file.write(bytes(1 << 20))\n    import time; time.sleep(0.02)",
        "for k in range(10 ** 6):\n    open(f'{k}', 'wb').close()",
    ],
    ids=["large files", "many files"],
)
def test_a_submission_that_fills_the_disk_is_stopped(graded, code):
    grades = graded(Limits(disk=16 << 20), ann=f"{GOOD}\n{code}", bob=GOOD)
    assert {name: row["points"] for name, row in grades.items()} == {"ann": "0", "bob": "2"}
    assert lost("disk", Limits(disk=16 << 20)) in grades["ann"]["notes"]


@unix
def test_what_is_kept_is_counted_in_blocks_and_what_is_out_of_reach_as_too_much(nests):
    (nests / "t/b").mkdir(parents=True)
    (nests / "t/own").write_bytes(bytes(100_000))
    (nests / "t/b/small").touch()
    with open(nests / "t/b/sparse", "wb") as file:
        file.truncate(1 << 40)
    (nests / "t/ring").symlink_to(nests / "t", target_is_directory=True)
    assert 100_000 + 4 * 4096 <= bytes_kept(nests / "t", 1 << 30) <= 100_000 + 8 * 4096
    assert 4096 < bytes_kept(nests / "t", 4096) < 1 << 20
    assert bytes_kept(nests / "nowhere", 9) == 0
    nest(nests / "t/long", 40, "b" * 200)
    assert bytes_kept(nests / "t", 1 << 30) == (1 << 30) + 1


@pytest.mark.parametrize("error", [RecursionError, OSError, KeyError])
def test_trouble_with_one_is_that_ones_and_it_is_graded_the_next_time(graded, nests, monkeypatch, error):
    plain, wrong = grading_folder.grade, [True]

    def grade(submitted: NotebookNode, *rest: object, **options: object) -> object:
        if "ann" in submitted.cells[0].source and wrong[0]:
            raise error("x" * 300)
        return plain(submitted, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(grading_folder, "grade", grade)
    grades = graded(ann=f"{GOOD}  # ann", bob=GOOD)
    assert {name: row["points"] for name, row in grades.items()} == {"ann": "0", "bob": "2"}
    assert f"could not be graded ({error.__name__})" in grades["ann"]["notes"]
    wrong[0] = False
    grades = graded()
    assert {name: (row["points"], row["notes"]) for name, row in grades.items()} == {"ann": ("2", ""), "bob": ("2", "")}


def test_what_is_wrong_with_the_grading_ends_it(graded, monkeypatch):
    def stop(*rest: object, **options: object) -> None:
        raise Stopped("The grading was stopped.")

    monkeypatch.setattr(grading_folder, "_warm", lambda *_: Path("nowhere"))
    monkeypatch.setattr(grading_folder, "grade", stop)
    with pytest.raises(Stopped):
        graded(ann=GOOD)


# ---- test images of the leaderboard ----------------------------------------------------------------------------------------


@unix
@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", ["link", "pipe", "folder", "file", "nothing"])
def test_test_images_are_written_to_a_new_file_only(tmp_path, what):
    (tmp_path / "own.txt").write_text("mine")
    (tmp_path / "work").mkdir()
    laid = tmp_path / "work/test.npy"
    {"link": lambda: laid.symlink_to(tmp_path / "own.txt"), "pipe": lambda: os.mkfifo(laid), "folder": lambda: nest(laid, 3),
     "file": lambda: laid.write_text("x"), "nothing": lambda: None}[what]()  # fmt: skip
    _hand_over(X := np.arange(6.0), tmp_path / "work")
    assert np.array_equal(np.load(laid), X)
    assert not laid.is_symlink()
    assert (tmp_path / "own.txt").read_text() == "mine"


@unix
def test_nor_through_a_folder_that_is_a_link(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "work").symlink_to(tmp_path / "mine", target_is_directory=True)
    with pytest.raises(DataError, match="cannot be written"):
        _hand_over(np.arange(6.0), tmp_path / "work")
    assert os.listdir(tmp_path / "mine") == []


def test_a_worker_in_whose_folder_nothing_is_written_is_not_stopped():
    with Worker(("json",), Limits(disk=1 << 20)) as worker, worker.submission(course_seed=0):
        cell = {"name": "x", "kind": "solution", "source": "import time\ntime.sleep(2.5)", "keeps": []}
        assert worker.ask(cell, 10)["status"] == "done"
