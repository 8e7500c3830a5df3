"""The command line, as a user meets it."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from novkit.cli import main
from novkit.results import load_examples, load_results
from tests.conftest import blobs


def novkit(*words, cwd: Path | None = None) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "novkit", *map(str, words)], capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of images with a labels.csv: 60 normal, 20 novel, two a group."""
    X = np.concatenate([blobs(60), np.roll(blobs(20, seed=1), 12, axis=3)])
    rows = []
    (tmp_path / "images").mkdir()
    for index, image in enumerate(X):
        Image.fromarray(image[0]).save(tmp_path / "images" / f"{index}.png")
        rows.append({"path": f"images/{index}.png", "label": "normal" if index < 60 else "moved", "group": f"g{index // 2}"})
    pd.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def test_doctor_says_what_is_here_and_names_nobody():
    done = novkit("doctor")
    assert done.returncode == 0, done.stderr
    assert "torch" in done.stdout
    assert "brain" in done.stdout
    assert str(Path.home()) not in done.stdout
    assert "Everything novkit needs is here." in done.stdout


@pytest.mark.slow
def test_train_then_score_a_folder_of_images(folder):
    done = novkit("train", "autoencoder", "--data", folder, "--out", folder / "det", "--setting", "epochs=2", "--setting", "latent=8")
    assert done.returncode == 0, done.stderr
    assert [p.name for p in folder.iterdir() if "checkpoints" in p.name] == []
    done = novkit("score", folder / "det", folder / "images", "--out", folder / "scores.csv", "--maps", folder / "maps")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(folder / "scores.csv")
    assert len(table) == 80
    assert list(table.columns[:4]) == ["path", "score", "threshold", "novel"]
    assert ((table["score"] > table["threshold"]) == table["novel"]).all()
    novelty = np.asarray(Image.open(folder / "maps" / "7.png.tiff"))
    assert novelty.shape == (32, 32)
    assert novelty.mean() == pytest.approx(table.set_index("path").loc["7.png", "score"], rel=1e-4)


@pytest.mark.slow
def test_reproduce_on_ones_own_images(folder):
    words = ["reproduce", "--data", folder, "--normal", "normal", "--novel", "moved", "--method", "pixel_zscore", "--out", folder / "r"]
    done = novkit(*words)
    assert done.returncode == 0, done.stderr
    assert "Pixel z-score" in done.stdout
    assert (folder / "r" / "results.json").exists()
    assert "<html" in (folder / "r" / "report.html").read_text(encoding="utf-8")[:200]
    written = (folder / "r" / "results.json").stat().st_mtime_ns
    again = novkit(*words)
    assert again.stdout == done.stdout
    assert (folder / "r" / "results.json").stat().st_mtime_ns == written  # what is done is skipped
    record = load_results(folder / "r")[0]
    assert load_examples(folder / "r", record) is not None  # found again by the record's name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data", "show", "brian"], "did you mean 'brain'"),
        (["train", "tent", "--data", "digits", "--normal", "8", "--out", "x"], "There is no method 'tent'"),
        (["train", "pixel_zscore", "--data", "digits", "--normal", "x", "--out", "x"], "no image of class 'x'"),
        (["train", "tend", "--data", "digits", "--normal", "8", "--size", "8", "--out", "x"], "at least 16×16"),
        (["score", "nowhere", "."], "holds no image"),
        (["reproduce", "--normal", "a"], "give --data too"),
        (["reproduce", "--option", "modality=t1"], "give --data too"),
        (["reproduce", "--data", ".", "--normal", "a"], "name them with --novel"),
        (["reproduce", "--data", "digits", "--novel", "x", "--method", "statistic"], "no image of class 'x'"),
        (["reproduce", "--setting", "epochs=3"], "name the method with --method"),
        (["reproduce", "--method", "tent"], "There is no method 'tent'"),
        (["reproduce", "--method", "tend", "--setting", "epochs=x"], "epochs of tend cannot be 'x': give a whole number, such as 16."),
        (["reproduce", "--method", "tend", "--setting", "epochs"], "write name=value"),
        (["reproduce", "--method", "tend", "--method", "statistic", "--setting", "lr=1"], "statistic has no setting 'lr': choose from"),
        (["train", "tend", "--data", "digits", "--setting", "epochs=x", "--out", "x"], "epochs of tend cannot be 'x'"),
        (["train", "tend", "--data", "digits", "--setting", "nope=1", "--out", "x"], "tend has no setting 'nope': choose from width, "),
        (["reproduce", "--data", ".", "--normal", "a", "--novel", "b"], "no labels.csv"),
        (["report", "nowhere"], "no results file"),
    ],
)
def test_errors_are_one_sentence_and_change_no_file(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["novkit", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in last
    assert list(tmp_path.iterdir()) == []


def test_no_traceback_reaches_the_user(tmp_path):
    done = novkit("data", "show", "brian", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: There is no data set 'brian'")
    assert "Traceback" not in done.stderr


def said(capsys, monkeypatch, *words: str) -> list[str]:
    """The lines of the table that `novkit reproduce --data digits` prints, cells two blanks apart."""
    monkeypatch.setattr(sys, "argv", ["novkit", "reproduce", "--data", "digits", "--method", "pixel_zscore", "--workers", "1", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    lines = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    return [line[:-1] for line in lines if line[0].startswith("digits")]


def test_reproduce_takes_several_normal_classes_or_all_but_the_novel_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert said(capsys, monkeypatch, "--normal", "0", "--normal", "1", "--novel", "8") == [
        ["digits", "one_vs_rest", "normal: 0 + 1, novel: 8", "Pixel z-score"],
        ["digits", "generated_ood", "normal: 0 + 1, novel: generated", "Pixel z-score"],
    ]
    assert said(capsys, monkeypatch, "--novel", "8")[0] == ["digits", "rest_vs_one", "novel: 8", "Pixel z-score"]
    assert said(capsys, monkeypatch, "--novel", "8", "--novel", "9")[0][1:3] == ["one_vs_rest", "novel: 8 + 9"]
    trained_on = {record.normal for record in load_results(tmp_path / "results" / "digits-quick")}
    assert trained_on == {("0", "1"), tuple("012345679"), tuple("01234567")}


def test_reproduce_keeps_changed_settings_and_options_apart(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plain = ["--normal", "0", "--novel", "8"]
    for words in ([], ["--setting", "floor=3"], ["--setting", "floor=3.5"], ["--option", "size=16"]):
        shown = said(capsys, monkeypatch, *plain, *words)[0]
    assert shown == ["digits (size=16)", "one_vs_rest", "novel: 8", "Pixel z-score"]
    folder = tmp_path / "results" / "digits-quick"
    found = {(r.dataset, r.display_name): r for r in load_results(folder) if r.setup == "one_vs_rest"}
    assert {key: record.settings["floor"] for key, record in found.items()} == {
        ("digits", "Pixel z-score"): 0.5,
        ("digits", "Pixel z-score (floor=3)"): 3,
        ("digits", "Pixel z-score (floor=3.5)"): 3.5,
        ("digits (size=16)", "Pixel z-score"): 0.5,
    }
    assert len({record.data_fingerprint for record in found.values()}) == 2
    assert len(list((folder / "detectors").iterdir())) == 4
