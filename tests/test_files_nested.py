"""Folders nested deeper than Python recurses and than paths are long: removed, searched and made; and for whom what is written is."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from novkit import files
from novkit.files import cut, files_under, remove, replacing, replacing_folder, write_json
from tests.nests import DEEP, nest, place_for_nests, unix


@pytest.fixture
def nests(tmp_path) -> Iterator[Path]:
    with place_for_nests(tmp_path / "nests") as place:
        yield place


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
    "deep": nest,
    "long names": lambda folder: nest(folder, 40, "b" * 200),
    "deep, in letters of several bytes": lambda folder: nest(folder, 80, "ä中" * 25),
    "locked": locked,
    "locked, long names": locked_and_long,
}


@unix
@pytest.mark.parametrize("tree", TREES)
def test_any_tree_is_removed(nests, tree):
    (nests / "beside").mkdir()
    TREES[tree](nests / "t")
    remove(nests / "t")
    assert os.listdir(nests) == ["beside"]


@unix
def test_of_a_link_the_link_alone_is_removed(nests):
    (nests / "kept").mkdir()
    (nests / "kept/own.txt").write_text("mine")
    (nests / "t" / ("b" * 200)).mkdir(parents=True)
    for place in (nests / "link", nests / "t/link", nests / "t" / ("b" * 200) / "link"):
        place.symlink_to(nests / "kept", target_is_directory=True)
    remove(nests / "link")
    remove(nests / "t")
    assert os.listdir(nests) == ["kept"]
    assert (nests / "kept/own.txt").read_text() == "mine"


def test_what_cannot_be_removed_is_left_without_a_word(nests, monkeypatch):
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    wide(nests / "t")
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        remove(nests / "t")
    assert (nests / "t/3/b/c/x").exists()
    remove(nests / "t")
    assert os.listdir(nests) == []


@unix
def test_a_block_that_fails_leaves_no_nest_behind(nests):
    with pytest.raises(ZeroDivisionError), replacing_folder(nests / "d") as temporary:
        nest(temporary)
        raise ZeroDivisionError
    assert os.listdir(nests) == []


# ---- searching and making --------------------------------------------------------------------------------------------------


@unix
def test_files_are_found_in_any_depth_and_links_to_folders_are_not_entered(nests):
    wide(nests)
    (nests / "link").symlink_to(nests / "1", target_is_directory=True)
    (nests / "ring").symlink_to(nests / "ring")
    found = sorted(path.relative_to(nests).as_posix() for path in files_under(nests))
    assert found == sorted([*(f"{k}/{place}" for k in range(30) for place in ("x", "b/c/x")), "link", "ring"])
    assert [*files_under(nests / "nowhere")] == []
    nest(nests / "deep")
    nest(nests / "deeper", 40, "b" * 200)  # whose innermost no path reaches
    deep = [path for path in files_under(nests) if path.parts[len(nests.parts)].startswith("deep")]
    assert [len(path.parts) - len(nests.parts) for path in deep] == [DEEP + 2]


@unix
def test_a_file_is_written_however_many_folders_there_are_to_make(nests):
    write_json(nests / "t" / ("a/" * DEEP) / "x.json", 1)
    assert [path.name for path in files_under(nests)] == ["x.json"]


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
