"""What killed writers leave is removed, what living ones write is not; one run at a time in a folder."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from novkit import files
from novkit.errors import StoredFileError
from novkit.files import alone, discard, replacing, replacing_folder, write_json, writer_lives
from tests.waiting import PATIENCE, Heard


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def left_by(pid: int, path: Path, suffix: str = "tmp") -> Path:
    return path.with_name(files._prefix(path).replace(f"-{os.getpid()}-", f"-{pid}-") + f"x_y1.{suffix}")


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path, dead):
    target = tmp_path / "a[1].json"  # as names may be
    killed, living = left_by(dead, target), left_by(os.getppid(), target)
    other, foreign = left_by(dead, tmp_path / "b.json"), tmp_path / f".{target.name}.abcdef-{dead}-x.tmp"
    for file in (killed, living, other, foreign):
        file.write_text("half")
    write_json(target, 1)
    assert sorted(tmp_path.iterdir()) == sorted([target, living, other, foreign])
    assert (writer_lives(killed), writer_lives(living), writer_lives(foreign), writer_lives(target)) == (False, True, None, None)


def test_the_same_for_folders(tmp_path, dead):
    target = tmp_path / "d"
    for suffix in ("tmp", "old"):
        left_by(dead, target, suffix).mkdir()
        (left_by(dead, target, suffix) / "inner").write_text("half")
    for word in ("one", "two"):
        with replacing_folder(target) as temporary:
            (temporary / word).write_text(word)
    assert [path.name for path in tmp_path.rglob("*")] == ["d", "two"]


@pytest.mark.parametrize("can_swap", [True, False])
def test_a_folder_is_replaced_where_the_system_can_swap_and_where_it_cannot(tmp_path, monkeypatch, can_swap):
    seen = []
    plain = files._swapped
    monkeypatch.setattr(files, "_swapped", lambda a, b: can_swap and (seen.append(b.exists()) or plain(a, b)))
    for word in ("one", "two"):
        with replacing_folder(tmp_path / "d") as temporary:
            (temporary / word).write_text(word)
    assert [path.name for path in tmp_path.rglob("*")] == ["d", "two"]
    assert seen == [True] * can_swap


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_linux_swaps_in_one_step(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("")
    assert files._swapped(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a/b").exists()
    assert (tmp_path / "b/a").exists()
    assert not files._swapped(tmp_path / "a", tmp_path / "nowhere")


def test_discarding_leaves_nothing(tmp_path):
    (tmp_path / "d/inner").mkdir(parents=True)
    discard(tmp_path / "d")
    discard(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_second_one_waits_and_says_so(tmp_path, monkeypatch):
    order, heard = [], Heard(monkeypatch, "waiting for it.\n")

    def second() -> None:
        with alone(tmp_path, "run"):
            order.append("second")

    with alone(tmp_path, "run"):
        other = threading.Thread(target=second)
        other.start()
        heard.wait()
        order.append("first")
    other.join(PATIENCE)
    assert order == ["first", "second"]
    assert heard.getvalue() == f"Another run is at work in {tmp_path}: waiting for it.\n"


def test_who_wrote_nothing_leaves_nothing(tmp_path):
    with alone(tmp_path / "new/work", "run"):
        pass
    assert list(tmp_path.iterdir()) == []
    with alone(tmp_path / "new/work", "run"):
        (tmp_path / "new/a").write_text("")
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "a"]


def test_a_folder_that_cannot_be_held(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoredFileError, match="could not be written"), alone(tmp_path / "file", "run"):
        pass


def test_an_error_inside_a_block_is_not_hidden_by_left_overs(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
