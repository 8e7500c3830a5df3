"""Files are written whole or not at all."""

import errno
import os

import pytest

from novkit import files
from novkit.errors import StoredFileError
from novkit.files import read_json, replacing, replacing_folder, write_json


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.endswith((".tmp", ".old"))]


def test_a_file_appears_only_when_complete(tmp_path):
    target = tmp_path / "a.txt"
    with replacing(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert leftovers(tmp_path) == []


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(target) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "d"
    for word in ("one", "two"):
        with replacing_folder(target) as temporary:
            (temporary / word).write_text(word)
    assert [path.name for path in target.iterdir()] == ["two"]
    with pytest.raises(ZeroDivisionError), replacing_folder(target) as temporary:
        (temporary / "three").write_text("")
        raise ZeroDivisionError
    assert [path.name for path in target.iterdir()] == ["two"]
    assert leftovers(tmp_path) == []


def test_a_full_disk_is_one_sentence_and_changes_nothing(tmp_path, monkeypatch):
    target = tmp_path / "a.json"
    write_json(target, [1])

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_sync", full)
    with pytest.raises(StoredFileError, match=r"No space left on device.*free some space"):
        write_json(target, [2])
    assert read_json(target) == [1]
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_device_that_is_full_while_writing(tmp_path):
    with pytest.raises(StoredFileError, match="could not be written"), replacing(tmp_path / "a") as temporary:
        temporary.write_text("x")
        with open("/dev/full", "w") as stream:
            stream.write("x" * 100_000)
    assert list(tmp_path.iterdir()) == []


def test_where_a_folder_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoredFileError, match="could not be written"):
        write_json(tmp_path / "file" / "inside.json", 1)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1, 2"])
def test_damaged_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(StoredFileError, match=r"The results file .*a\.json is damaged"):
        read_json(tmp_path / "a.json", "results file")


def test_missing_json_is_named(tmp_path):
    with pytest.raises(StoredFileError, match="There is no results file at"):
        read_json(tmp_path / "b.json", "results file")


def test_nan_never_reaches_a_file(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", float("nan"))
    assert list(tmp_path.iterdir()) == []
