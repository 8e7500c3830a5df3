"""Paths out of a folder, links, pipes, devices, and names that no system has: nothing is written outside, nothing is waited for."""

import hashlib
import io
import json
import os
import stat
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from novkit.checkpoints import CheckpointFolder
from novkit.cli import app
from novkit.data.archives import unpack
from novkit.data.folder import load_folder, read_labels, stamp
from novkit.data.formats import read_dicom, read_volume
from novkit.data.medmnist import load_medmnist
from novkit.data.reading import read_image
from novkit.data.store import Sample, open_store, write_store
from novkit.errors import NovkitError, StoredFileError
from novkit.files import read_json
from novkit.methods import load_detector, make_detector
from novkit.results import add_record, load_history, load_results, load_scores
from novkit.scoring import score_folder
from tests.campaign import record
from tests.conftest import blobs
from tests.drawn import error_of
from tests.hostile_stored import record as run_record
from tests.spreadsheets import no_formulas
from tests.test_results import scores

unix = pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")

LEAVING = (
    "../x",
    "a/../../x",
    "/tmp/x",
    "//host/x",
    "..\\x",
    "a\\..\\..\\x",
    "C:\\x",
    "C:x",
    "\\\\host\\x",
    "..",
    "a/..",
    "x\0.png",
    "./../x",
)
IMPOSSIBLE = ("a" * 300, "a/" * 3000 + "b", "\ud800", "x" * 70_000)


def picture(file: Path, seed: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16), dtype=np.uint8)).save(file, "PNG")
    return file


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def inside(tmp_path) -> Path:
    """A folder in a folder; what lies beside it must stay as it is."""
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/own.txt").write_text("mine")
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


# ---- archives --------------------------------------------------------------------------------------------------------------


def zipped(file: Path, name: str, mode: int = 0o100644, content: bytes = b"x") -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("sound.txt", "x")
        info = zipfile.ZipInfo("x")
        info.filename = name  # as it is: the constructor would tidy it up
        info.external_attr = mode << 16
        archive.writestr(info, content)
    return file


def tarred(file: Path, name: str, kind: bytes = tarfile.REGTYPE, link: str = "", then: str = "") -> Path:
    with tarfile.open(file, "w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, 1 if kind == tarfile.REGTYPE else 0
        archive.addfile(info, io.BytesIO(b"x"))
        if then:
            archive.addfile(tarfile.TarInfo(then), io.BytesIO(b""))
    return file


def _is_refused(archive: Path, inside: Path) -> bool:
    before = listing(inside.parent)
    said = error_of(lambda: unpack(archive, inside / "out", progress=False))
    return said is not None and "\n" not in str(said) and listing(inside.parent) == before


def test_no_archive_writes_outside(inside, tmp_path):
    archives = [zipped(tmp_path / f"beside/{k}.zip", name) for k, name in enumerate(LEAVING)]
    archives += [tarred(tmp_path / f"beside/{k}.tar", name) for k, name in enumerate(LEAVING) if "\0" not in name]
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)
    archives += [tarred(tmp_path / f"beside/k{k}.tar", "link", kind, "../beside", "link/own.txt") for k, kind in enumerate(kinds)]
    modes = (stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o644, stat.S_IFCHR | 0o644, stat.S_IFSOCK | 0o644)
    archives += [zipped(tmp_path / f"beside/m{k}.zip", "link", mode, b"../beside/own.txt") for k, mode in enumerate(modes)]
    archives += [tarred(tmp_path / "beside/file-and-folder.tar", "a", then="a/b"), zipped(tmp_path / "beside/long.zip", "a" * 300)]
    refused = [_is_refused(archive, inside) for archive in archives]
    outcome = {"refused in a sentence": sum(refused), "otherwise": len(refused) - sum(refused)}
    record("Untrusted files", "archives with paths outside, links, pipes and devices", tried=len(refused), outcome=outcome)
    assert all(refused), [archive.name for archive, well in zip(archives, refused, strict=True) if not well]
    assert (tmp_path / "beside/own.txt").read_text() == "mine"


# ---- labels.csv ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["path", "mask"])
def test_labels_name_files_inside_their_folder_only(inside, column):
    picture(inside / "a.png")
    picture(inside.parent / "x")  # what would be read
    for name in (*LEAVING, *IMPOSSIBLE):
        row = {"path": "a.png", "label": "normal", "mask": ""} | {column: name}
        cells = ['"' + value.encode("utf-8", "surrogatepass").decode("latin-1") + '"' for value in row.values()]
        (inside / "labels.csv").write_bytes(("path,label,mask\n" + ",".join(cells) + "\n").encode("latin-1"))
        with pytest.raises(NovkitError):
            load_folder(inside, size=16, cache=False, progress=False)


@unix
def test_links_are_followed_to_files_and_to_nothing_else(inside):
    """A folder of links into a store of images is common; a pipe would be waited for, a device never ends, a ring leads nowhere."""
    picture(inside.parent / "beside/a.png")
    (inside / "good.png").symlink_to(inside.parent / "beside/a.png")
    (inside / "labels.csv").write_text("path,label\ngood.png,normal\n")
    assert len(load_folder(inside, cache=False, progress=False)) == 1
    os.mkfifo(inside / "pipe.png")
    (inside / "zero.png").symlink_to("/dev/zero")
    (inside / "ring.png").symlink_to(inside / "ring.png")
    (inside / "folder.png").mkdir()
    for name in ("pipe", "zero", "ring", "folder", "gone"):
        (inside / "labels.csv").write_text(f"path,label\n{name}.png,normal\n")
        with pytest.raises(NovkitError, match=f"{name}.png does not exist"):
            load_folder(inside, cache=False, progress=False)


@unix
def test_a_folder_whose_name_is_no_text_is_read_and_prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NOVKIT_DATA", str(tmp_path / "data"))
    named = Path(os.fsdecode(os.fsencode(tmp_path) + b"/f\xff"))
    try:
        picture(named / "a.png")
    except OSError:
        pytest.skip("this system has no such names")
    (named / "labels.csv").write_text("path,label\na.png,normal\n")
    for cache in (True, True, False):
        assert load_folder(named, cache=cache, progress=False).name == "f\\udcff"
    shown = CliRunner().invoke(app, ["data", "prepare", str(named), "--name", "mine"])
    assert shown.exit_code == 0, shown.output
    assert open_store(next((tmp_path / "data/mine").glob("size=*"))).source == "Images listed in f\\udcff/labels.csv."


def test_the_stamp_of_a_folder_is_what_it_always_was(tmp_path):
    """Else all that was prepared and cached would be made again."""
    (tmp_path / "ä 中").mkdir()
    table = pd.DataFrame({"path": ["gone.png"], "label": ["x"]})
    expected = hashlib.sha256((str((tmp_path / "ä 中").resolve()) + table.to_csv(index=False)).encode()).hexdigest()
    assert stamp(tmp_path / "ä 中", table, True) == expected


@unix
@pytest.mark.timeout(60)
def test_a_prepared_table_that_the_manifest_leaves_out_is_not_waited_for(tmp_path):
    table = pd.DataFrame({"id": ["a"], "label": ["x"], "group": ["a"], "path": [""]})
    described = {"name": "made", "normal": "x", "source": "", "licence": "", "extra": {}}
    write_store(tmp_path / "s", table, [Sample(np.zeros((1, 4, 4), np.uint8))], described, made_of={}, progress=False)
    manifest = json.loads((tmp_path / "s/manifest.json").read_text())
    del manifest["files"]["table.csv"]
    (tmp_path / "s/manifest.json").write_text(json.dumps(manifest))
    assert len(open_store(tmp_path / "s")) == 1
    (tmp_path / "s/table.csv").unlink()
    os.mkfifo(tmp_path / "s/table.csv")
    with pytest.raises(StoredFileError, match=r"table\.csv is missing"):
        open_store(tmp_path / "s")


Reader = Callable[[Path], object]
READERS: dict[str, Reader] = {
    "picture": read_image, "DICOM": read_dicom, "NIfTI": read_volume, "npz": load_medmnist, "JSON": read_json,
    "labels.csv": read_labels, "results": load_results, "detector": load_detector, "prepared": open_store,
}  # fmt: skip
LIES_IN = {"detector": "detector.json", "prepared": "manifest.json", "results": "results.json", "labels.csv": "labels.csv"}


@unix
@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", READERS)
def test_nothing_waits_for_a_pipe_or_reads_a_device(tmp_path, what):
    name = LIES_IN.get(what, {"NIfTI": "x.nii", "DICOM": "x.dcm", "npz": "x.npz", "JSON": "x.json"}.get(what, "x.png"))
    given = tmp_path if what in ("detector", "prepared", "results") else tmp_path / name
    for make in (lambda: os.mkfifo(tmp_path / name), lambda: (tmp_path / name).symlink_to("/dev/zero"), lambda: (tmp_path / name).mkdir()):
        make()
        with pytest.raises(NovkitError) as said:
            READERS[what](given)
        assert "\n" not in str(said.value)
        (tmp_path / name).rmdir() if (tmp_path / name).is_dir() else (tmp_path / name).unlink()


@pytest.mark.parametrize("what", READERS)
@pytest.mark.parametrize("name", [name for name in IMPOSSIBLE if "\ud800" not in name] + ["a\0b"], ids=lambda name: f"{len(name)} letters")
def test_names_that_no_system_has_are_a_sentence(tmp_path, what, name):
    with pytest.raises(NovkitError):
        READERS[what](tmp_path / name)


# ---- results and checkpoints -----------------------------------------------------------------------------------------------


@unix
def test_results_read_and_delete_scores_of_their_own_folder_only(inside):
    stored = add_record(inside, run_record(n_test=6), scores())
    text = (inside / "results.json").read_text()
    outside = inside.parent / "beside/own.txt"
    (inside / "scores/link.npz").symlink_to(outside)
    for name in ("../beside/own.txt", str(outside), "scores/link.npz", "scores/../../beside/own.txt", "x\0y", "a" * 300, "scores"):
        (inside / "results.json").write_text(text.replace(stored.scores, name.replace("\0", "\\u0000")))
        with pytest.raises(StoredFileError):
            load_results(inside)
    for name in ("results.json", "mine.txt"):  # files of the folder, but no scores: a new run of that name must not delete them
        (inside / "mine.txt").write_text("mine")
        (inside / "results.json").write_text(text.replace(stored.scores, name))
        renewed = add_record(inside, run_record(n_test=6), scores())
        assert load_results(inside) == [renewed]
        assert (inside / "mine.txt").exists()
    assert outside.read_text() == "mine"
    assert load_scores(inside, renewed).score.shape == (6,)
    assert load_history(inside, renewed) is None


@unix
def test_tidying_checkpoints_follows_no_link(inside):
    (inside / "epoch_0007").symlink_to(inside.parent / "beside", target_is_directory=True)
    (inside / ".epoch_0001.x.tmp").symlink_to(inside.parent / "beside", target_is_directory=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CheckpointFolder(inside, {}).read()
    CheckpointFolder(inside, {})._clean()
    assert (inside.parent / "beside/own.txt").read_text() == "mine"


# ---- novkit score FOLDER ---------------------------------------------------------------------------------------------------

NAMES = ("=cmd|'x'!A0.png", "-1+1.png", "@SUM(A1).png", "a,b;c.png", 'q"uote.png', "<script>alert(1)<.png", "line\nbreak.png", "ä€😀.png",
         "\t=1.png", " =1+1.png", "x;=1+1;y.png", 'x;"=1".png', "x\t=1.png", "x\n=1.png", 'x";=1.png',
         "a\r=1.png", " space.png", "$(id).png", "%s{0}.png")  # fmt: skip


@unix
def test_scores_of_hostile_names_are_a_table_no_spreadsheet_runs(inside, tmp_path):
    import pandas as pd

    make_detector("pixel_zscore", progress=False).fit(blobs(20, size=16)).save(tmp_path / "detector")
    for k, name in enumerate(NAMES):
        picture(inside / name, k)
    with open(os.fsencode(inside) + b"/\xff\xfe.png", "wb") as stream:  # a name that is no text
        stream.write((inside / NAMES[0]).read_bytes())
    (inside / "away.png").symlink_to("/dev/zero")
    (inside / "loop").symlink_to(inside, target_is_directory=True)
    before = listing(tmp_path)
    n, _ = score_folder(tmp_path / "detector", inside, tmp_path / "out.csv", maps=tmp_path / "maps", device="cpu", progress=False)
    table = pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False)
    assert len(table) == n == len(NAMES) + 1
    assert not table["path"].str.match(r" *[=+\-@\t\r\n]").any()
    no_formulas((tmp_path / "out.csv").read_text(encoding="utf-8"), n + 1)
    assert all((inside / path).is_file() for path in table["path"] if "\\udc" not in path)
    assert len({(inside / path).name for path in table["path"]} & set(NAMES)) == len(NAMES)
    made = [path for path in listing(tmp_path) if path not in before]
    assert all(path == "out.csv" or path.split("/")[0] == "maps" for path in made)
    assert sum(path.endswith(".tiff") for path in made) == n


@unix
def test_an_error_about_a_hostile_name_is_one_line_of_text(inside, tmp_path, monkeypatch, capsys):
    from novkit import cli

    make_detector("pixel_zscore", progress=False).fit(blobs(20, size=16)).save(tmp_path / "detector")
    (inside / "a\n\x1b[2J\x07.png").write_bytes(b"no picture")
    result = CliRunner().invoke(
        app, ["score", str(tmp_path / "detector"), str(inside), "--out", str(tmp_path / "x.csv"), "--device", "cpu"]
    )
    assert isinstance(result.exception, NovkitError)
    monkeypatch.setattr(sys, "argv", ["novkit", "score", str(tmp_path / "detector"), str(inside), "--out", str(tmp_path / "x.csv")])
    with pytest.raises(SystemExit):
        cli.main()
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(said) == 1
    assert "\x1b" not in said[0]
    assert r"a\n\x1b[2J\x07.png" in said[0]
    assert not (tmp_path / "x.csv").exists()
