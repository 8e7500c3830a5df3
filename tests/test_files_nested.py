"""Folders nested deeper than Python recurses and than paths are long: removed, searched and made; and for whom what is written is."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from novkit import files
from novkit.files import cut, files_under, remove, replacing, replacing_folder, write_json

unix = pytest.mark.skipif(os.name == "nt", reason="Windows has modes and links of other kinds, and shorter paths")
DEEP = sys.getrecursionlimit() + 200


def nest(folder: Path, depth: int, name: str = "a") -> None:
    """Folders in folders, an empty file in the innermost; entered one by one, for a path to them may be too long."""
    folder.mkdir(exist_ok=True)
    here = os.getcwd()
    try:
        os.chdir(folder)
        for _ in range(depth):
            os.mkdir(name)
            os.chdir(name)
        Path("x").touch()
    finally:
        os.chdir(here)


# ---- removing --------------------------------------------------------------------------------------------------------------


def wide(folder: Path) -> None:
    for k in range(30):
        (folder / f"{k}/b/c").mkdir(parents=True)
        (folder / f"{k}/b/c/x").touch()
        (folder / f"{k}/x").touch()


def locked(folder: Path) -> None:
    nest(folder, 3)
    (folder / "a/a/a/x").chmod(0)
    for path in (folder / "a/a/a", folder / "a/a", folder):
        path.chmod(0o500 if path.name == "a" else 0)


def locked_and_long(folder: Path) -> None:
    nest(folder, 2, "b" * 200)
    (folder / ("b" * 200) / ("b" * 200)).chmod(0)
    (folder / ("b" * 200)).chmod(0o500)


TREES: dict[str, Callable[[Path], None]] = {
    "nothing": lambda folder: None,
    "a file": lambda folder: folder.write_text(""),
    "empty": lambda folder: folder.mkdir(),
    "wide": wide,
    "deep": lambda folder: nest(folder, DEEP),
    "long names": lambda folder: nest(folder, 40, "b" * 200),
    "deep, in letters of several bytes": lambda folder: nest(folder, 80, "ä中" * 25),
    "locked": locked,
    "locked, long names": locked_and_long,
}


@unix
@pytest.mark.parametrize("tree", TREES)
def test_any_tree_is_removed(tmp_path, tree):
    (tmp_path / "beside").mkdir()
    TREES[tree](tmp_path / "t")
    remove(tmp_path / "t")
    assert os.listdir(tmp_path) == ["beside"]


@unix
def test_of_a_link_the_link_alone_is_removed(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/own.txt").write_text("mine")
    (tmp_path / "t" / ("b" * 200)).mkdir(parents=True)
    for place in (tmp_path / "link", tmp_path / "t/link", tmp_path / "t" / ("b" * 200) / "link"):
        place.symlink_to(tmp_path / "kept", target_is_directory=True)
    remove(tmp_path / "link")
    remove(tmp_path / "t")
    assert os.listdir(tmp_path) == ["kept"]
    assert (tmp_path / "kept/own.txt").read_text() == "mine"


def test_what_cannot_be_removed_is_left_without_a_word(tmp_path, monkeypatch):
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    wide(tmp_path / "t")
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        remove(tmp_path / "t")
    assert (tmp_path / "t/3/b/c/x").exists()
    remove(tmp_path / "t")
    assert os.listdir(tmp_path) == []


@unix
def test_a_block_that_fails_leaves_no_nest_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "d") as temporary:
        nest(temporary, DEEP)
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


# ---- searching and making --------------------------------------------------------------------------------------------------


@unix
def test_files_are_found_in_any_depth_and_links_to_folders_are_not_entered(tmp_path):
    wide(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "1", target_is_directory=True)
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    found = sorted(path.relative_to(tmp_path).as_posix() for path in files_under(tmp_path))
    assert found == sorted([*(f"{k}/{place}" for k in range(30) for place in ("x", "b/c/x")), "link", "ring"])
    assert [*files_under(tmp_path / "nowhere")] == []
    nest(tmp_path / "deep", DEEP)
    nest(tmp_path / "deeper", 40, "b" * 200)  # whose innermost no path reaches
    deep = [path for path in files_under(tmp_path) if path.parts[len(tmp_path.parts)].startswith("deep")]
    assert [len(path.parts) - len(tmp_path.parts) for path in deep] == [DEEP + 2]
    for name in ("deep", "deeper"):  # which pytest could not
        remove(tmp_path / name)


@unix
def test_a_file_is_written_however_many_folders_there_are_to_make(tmp_path):
    write_json(tmp_path / "t" / ("a/" * DEEP) / "x.json", 1)
    assert [path.name for path in files_under(tmp_path)] == ["x.json"]
    remove(tmp_path / "t")


@pytest.mark.parametrize(("text", "short"), [("abc", "abc"), ("a" * 9, "a" * 8), ("中" * 5, "中" * 2), ("", "")])
def test_a_text_is_cut_at_whole_letters(text, short):
    assert cut(text, 8) == short


# ---- for whom ----------------------------------------------------------------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@unix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o027])
def test_what_is_written_is_for_those_whom_the_umask_lets(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_json(tmp_path / "new/a.json", 1)
        with replacing_folder(tmp_path / "d") as temporary:
            (temporary / "x").touch()
    finally:
        os.umask(before)
    assert mode(tmp_path / "new/a.json") == 0o666 & ~umask
    assert mode(tmp_path / "new") == mode(tmp_path / "d") == 0o777 & ~umask


@unix
@pytest.mark.parametrize("can_swap", [True, False])
def test_what_replaces_something_is_for_the_same_readers(tmp_path, monkeypatch, can_swap):
    plain = files._swapped
    monkeypatch.setattr(files, "_swapped", lambda a, b: can_swap and plain(a, b))
    (tmp_path / "a").touch(0o600)
    (tmp_path / "d").mkdir(0o700)
    for _ in range(2):
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("new")
        with replacing_folder(tmp_path / "d") as temporary:
            (temporary / "x").touch()
    assert (mode(tmp_path / "a"), mode(tmp_path / "d")) == (0o600, 0o700)
    assert sorted(os.listdir(tmp_path)) == ["a", "d"]
