"""The results file: what is written is read back, what is wrong is named, and a killed or concurrent writer breaks nothing."""

import dataclasses
import enum
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from novkit import provenance as provenance_module
from novkit.errors import DataError, NovkitError, StoredFileError
from novkit.results import (
    METHODS,
    UPPER_BOUND_NOTE,
    Record,
    Scores,
    add_record,
    arrange_records,
    auroc_intervals,
    load_examples,
    load_history,
    load_results,
    load_scores,
    provenance,
    save_results,
    summary,
    to_frame,
)
from novkit.widgets.stored import _job

BASE = {
    "method": "tend",
    "dataset": "brain",
    "setup": "one_vs_rest",
    "normal": ("healthy",),
    "novel": ("glioma",),
    "seed": 0,
    "profile": "quick",
    "auroc": 0.75,
    "auroc_low": 0.5,
    "auroc_high": 0.875,
    "average_precision": 0.5,
    "fpr95": 0.5,
    "n_train": 10,
    "n_test": 6,
    "seconds_fit": 1.5,
    "seconds_score": 0.25,
    "peak_memory_mb": 100.0,
    "data_fingerprint": "abc",
    "synthetic": True,
    "device": "CPU (test)",
    "settings": {"margin": 150.0, "channels": (1, 2)},
    "versions": {"numpy": "2"},
}


def record(**changes) -> Record:
    return Record(**(BASE | changes))


def scores(n: int = 6, seed: int = 0) -> Scores:
    draw = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return Scores(
        id=np.array([f"image-{i}" for i in range(n)]),
        group=np.array([f"Müller {i // 2}" for i in range(n)]),
        label=y,
        condition=np.where(y, "glioma", "healthy"),
        score=draw.normal(size=n),
        components={"probability": draw.random(n), "patch": draw.random((n, 9))},
        area=y / 7,
    )


def test_round_trip(tmp_path):
    given = scores()
    history = [{"epoch": 0, "phase": "warm-up", "loss": 0.5}]
    panel = {"images": np.zeros((2, 1, 8, 8), np.uint8), "labels": np.array(["glioma", "healthy"]), "scores": given.score[:2]}
    stored = add_record(tmp_path, record(), given, history=history, examples=panel)
    assert load_results(tmp_path) == load_results(tmp_path / "results.json") == [stored]
    assert dataclasses.replace(stored, scores="") == record()
    found = load_scores(tmp_path, stored)
    for name in ("id", "group", "label", "condition", "score", "area"):
        assert np.array_equal(getattr(found, name), getattr(given, name))
    assert found.components.keys() == given.components.keys()
    assert np.array_equal(found.components["patch"], given.components["patch"])
    assert load_history(tmp_path, stored) == history
    examples = load_examples(tmp_path, stored)
    assert examples is not None
    assert examples["images"].dtype == np.uint8
    other = record(seed=1)
    assert load_history(tmp_path, other) is None
    assert load_examples(tmp_path, other) is None
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["schema"] == 1
    assert content["records"][0]["novel"] == ["glioma"]


def test_text_of_a_table_is_stored_without_pickle(tmp_path):
    given = scores()
    table = pd.DataFrame({"id": given.id, "group": given.group, "condition": given.condition}, dtype=object)
    loose = dataclasses.replace(given, **{name: table[name].to_numpy() for name in table})
    assert np.array_equal(load_scores(tmp_path, add_record(tmp_path, record(), loose)).group, given.group)


def test_same_run_replaces_other_runs_stay(tmp_path):
    first = add_record(tmp_path, record(), scores(seed=1))
    for changes in ({"seed": 1}, {"variant": "λ = 0.5"}, {"method": "vae"}, {"novel": ("infarct",)}, {"profile": "paper"}):
        add_record(tmp_path, record(**changes), scores())
    assert len(load_results(tmp_path)) == 6
    again = add_record(tmp_path, record(auroc=0.8), scores(seed=2))
    records = load_results(tmp_path)
    assert len(records) == 6
    assert [r.auroc for r in records].count(0.8) == 1
    assert again.scores != first.scores
    assert not (tmp_path / first.scores).exists()
    assert len({r.run for r in records}) == 6
    assert all(r.run.isascii() for r in records)
    assert {file.name for file in (tmp_path / "scores").iterdir()} == {r.scores.split("/")[1] for r in records}


def test_runs_are_put_in_order_behind_the_others(tmp_path):
    stored = {seed: add_record(tmp_path, record(seed=seed), scores()) for seed in (3, 2, 9, 1)}
    arrange_records(tmp_path, [stored[1], stored[2], stored[3]])
    assert load_results(tmp_path) == [stored[9], stored[1], stored[2], stored[3]]


def test_writers_at_once_lose_nothing(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: add_record(tmp_path, record(seed=seed), scores(seed=seed)), range(16)))
    assert sorted(r.seed for r in load_results(tmp_path)) == list(range(16))


def test_a_writer_that_dies_leaves_the_old_file(tmp_path, monkeypatch):
    stored = add_record(tmp_path, record(), scores())

    def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("novkit.results.save_results", dies)
    with pytest.raises(KeyboardInterrupt):
        add_record(tmp_path, record(), scores(seed=5))
    monkeypatch.undo()
    assert load_results(tmp_path) == [stored]
    assert np.array_equal(load_scores(tmp_path, stored).score, scores().score)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"auroc": 1.2}, "'auroc'.*1.2.*in .0, 1."),
        ({"auroc": float("nan")}, "'auroc'"),
        ({"auroc": True}, "'auroc'"),
        ({"auroc": "0.9"}, "'auroc'"),
        ({"pixel_pro": -0.1}, "'pixel_pro'.*or null"),
        ({"method": "magic"}, "'method'.*tend"),
        ({"setup": "all"}, "'setup'.*one_vs_rest"),
        ({"profile": "fast"}, "'profile'"),
        ({"seed": -1}, "'seed'"),
        ({"n_test": 3.0}, "'n_test'.*whole"),
        ({"novel": "glioma"}, "'novel'.*list"),
        ({"novel": []}, "'novel'"),
        ({"synthetic": 1}, "'synthetic'.*true or false"),
        ({"part_of_rest": "no"}, "'part_of_rest'.*true or false"),
        ({"seconds_fit": -1}, "'seconds_fit'"),
        ({"settings": [1]}, "'settings'"),
        ({"device": ""}, "'device'"),
        ({"auroc_low": 0.9}, "auroc_low.*above"),
    ],
)
def test_impossible_values_are_refused(tmp_path, changes, words):
    with pytest.raises(DataError, match=words):
        record(**changes)
    values = json.loads(json.dumps(dataclasses.asdict(record()) | changes))
    (tmp_path / "results.json").write_text(json.dumps({"schema": 1, "records": [dataclasses.asdict(record()), values]}))
    with pytest.raises(StoredFileError, match="Record 1 of .*results.json.*" + words):
        load_results(tmp_path)


def test_settings_must_fit_json():
    assert record().settings == {"margin": 150.0, "channels": [1, 2]}
    with pytest.raises(DataError, match=r"'settings'.*JSON"):
        record(settings={"folder": object()})
    with pytest.raises(DataError, match=r"'settings'.*JSON"):
        record(settings={"weight": float("inf")})


def test_numpy_numbers_become_plain(tmp_path):
    made = record(auroc=np.float64(0.75), n_test=np.int64(6), synthetic=np.bool_(True))
    assert type(made.n_test) is int
    assert made == record()


def write(folder, content) -> None:
    (folder / "results.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_damaged_files(tmp_path):
    good = dataclasses.asdict(record())
    cases = [
        ("{", "damaged"),
        ([], "schema 1"),
        ({"schema": 2, "records": []}, "schema 1"),
        ({"schema": 1}, "schema 1"),
        ({"schema": 1, "records": [3]}, "Record 0"),
        ({"schema": 1, "records": [good | {"extra": 1}]}, "unknown field 'extra'"),
        ({"schema": 1, "records": [{k: v for k, v in good.items() if k != "auroc"}]}, "lacks the field 'auroc'"),
        ({"schema": 1, "records": [good | {"scores": "scores/gone.npz"}]}, "scores/gone.npz.*missing"),
        ({"schema": 1, "records": [good | {"scores": "../outside.npz"}]}, "outside its folder"),
        ({"schema": 1, "records": [good | {"scores": "/etc/hostname"}]}, "outside its folder"),
    ]
    for content, words in cases:
        write(tmp_path, content)
        with pytest.raises(StoredFileError, match=words):
            load_results(tmp_path)
    with pytest.raises(StoredFileError, match="no results file"):
        load_results(tmp_path / "nowhere")


def test_damaged_scores(tmp_path):
    stored = add_record(tmp_path, record(), scores())
    path = tmp_path / stored.scores
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoredFileError, match="cannot be read"):
        load_scores(tmp_path, stored)
    np.savez(path, id=np.array(["a"]), score=np.array([object()], dtype=object))
    with pytest.raises(StoredFileError, match="cannot be read"):  # a pickle is not opened
        load_scores(tmp_path, stored)
    np.savez(path, id=np.array(["a"]), score=np.array([1.0]))
    with pytest.raises(StoredFileError, match="lack the column 'group'"):
        load_scores(tmp_path, stored)
    np.savez(path, **{name: np.arange(2 + (name == "score")) for name in ("id", "group", "label", "condition", "score")})
    with pytest.raises(StoredFileError, match="rows of score"):
        load_scores(tmp_path, stored)
    with pytest.raises(StoredFileError, match="without scores"):
        load_scores(tmp_path, record())
    with pytest.raises(DataError, match="6 test images but there are 4"):
        add_record(tmp_path, record(), scores(4))


def test_tables(tmp_path):
    records = [record(seed=s, auroc=a) for s, a in enumerate((0.7, 0.8, 0.75))]
    records += [record(method="statistic_oracle"), record(novel=("infarct",), pixel_auroc=0.5), record(setup="generated_ood")]
    frame = to_frame(records)
    assert len(frame) == 6
    assert list(frame["case"]) == ["novel: glioma"] * 4 + ["novel: infarct", "novel: generated"]
    table = summary(records)
    row = table[(table.method == "tend") & (table.case == "novel: glioma")].iloc[0]
    assert row.auroc_mean == pytest.approx(0.75)
    assert row.auroc_sd == pytest.approx(0.05)
    assert (row.n_runs, row.n_seeds, row.note, row.display_name) == (3, 3, "", "TEND")
    oracle = table[table.method == "statistic_oracle"].iloc[0]
    assert oracle.note == UPPER_BOUND_NOTE
    assert np.isnan(oracle.auroc_sd)
    assert np.isnan(oracle.pixel_auroc_mean)
    many = [record(seed=s, novel=(c,), auroc=a) for s, c, a in ((0, "a", 0.6), (0, "b", 0.8), (1, "a", 0.62), (1, "b", 0.8))]
    assert summary(many, by_case=False).auroc_sd[0] == pytest.approx(np.std([0.7, 0.71], ddof=1))  # seeds vary, cases do not count
    over = summary(records, by_case=False)
    assert over[(over.method == "tend") & (over.setup == "one_vs_rest")].iloc[0].n_runs == 4
    assert len(summary([])) == 0
    assert record(method="vae", variant="z = 8").display_name == "VAE (z = 8)"


@pytest.mark.parametrize(
    ("changes", "case"),
    [
        ({"novel": ("1", "2")}, "normal: 3"),
        ({"novel": ("1", "2"), "part_of_rest": True}, "normal: 3, novel: 1 + 2"),
        ({"novel": ("1",)}, "novel: 1"),
        ({"novel": ("1",), "part_of_rest": True}, "novel: 1"),
        ({"normal": ("3", "4"), "novel": ("1",), "part_of_rest": True}, "normal: 3 + 4, novel: 1"),
        ({"normal": ("3", "4"), "novel": ("1", "2"), "part_of_rest": True}, "normal: 3 + 4, novel: 1 + 2"),
        ({"normal": ("3", "4", "5"), "novel": ("1", "2")}, "novel: 1 + 2"),
        ({"normal": ("3", "4"), "novel": ("1",), "setup": "rest_vs_one"}, "novel: 1"),
        ({"novel": ("swirl", "pinch"), "setup": "generated_ood"}, "novel: generated"),
        ({"normal": ("3", "4"), "novel": ("swirl", "pinch"), "setup": "generated_ood"}, "normal: 3 + 4, novel: generated"),
    ],
)
def test_a_case_says_what_tells_it_from_others(changes, case):
    made = record(**{"dataset": "digits", "normal": ("3",)} | changes)
    assert made.case == case
    assert made.run == dataclasses.replace(made, part_of_rest=False).run  # a run is the same whatever its case is called


STORED = sorted((Path(__file__).parent.parent / "results").glob("*/results.json"))


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.parent.name)
def test_stored_runs_keep_their_names_and_cases(file):
    """The names of their files hold the run's name; the cases are those of the first release's tables."""
    records = load_results(file)
    for stored in records:
        name = stored.scores.removeprefix("scores/")
        assert name[: name.rindex("-")] == stored.run
        if stored.setup == "generated_ood":
            assert stored.case == "novel: generated"
        elif stored.dataset == "digits" or (stored.setup == "one_vs_rest" and stored.dataset == "kermany_chest_xray"):
            assert stored.case == f"normal: {stored.normal[0]}"
        else:
            assert stored.case == f"novel: {stored.novel[0]}"
    trained = {job.name for job in map(_job, records)}
    assert {folder.name for folder in (file.parent / "detectors").glob("*")} <= trained


def test_a_method_is_compared_with_the_others_by_family():
    """Each column is another method, and its numbers are those of the stored scores."""
    reference = Path(__file__).parent.parent / "results" / "reference"
    words = ["--method", "tend", "--dataset", "skin", "--case", "novel: generated"]
    script = [sys.executable, str(reference.parent / "compare.py"), str(reference), *words]
    lines = subprocess.run(script, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("AUROC by family"))
    assert lines[start].endswith(": TEND, Patch-GAN, Autoencoder")
    family, *numbers = next(line for line in lines[start:] if line.startswith("swirl")).split()
    records = [r for r in load_results(reference) if r.dataset == "skin" and r.setup == "generated_ood"]
    for method, number in zip(("tend", "patchgan", "autoencoder"), numbers, strict=True):
        found = []
        for run in (load_scores(reference, r) for r in records if r.method == method):
            kept = (run.label == 0) | (run.condition == family)
            found.append(roc_auc_score(run.label[kept], run.score[kept]))
        assert float(number) == pytest.approx(np.mean(found), abs=5.1e-4)


def test_auroc_intervals_come_from_the_scores(tmp_path):
    from novkit.evaluation import mean_auroc

    stored = [add_record(tmp_path, record(seed=s, n_test=60), scores(60, seed=s)) for s in range(2)]
    stored.append(add_record(tmp_path, record(method="statistic_oracle", n_test=60), scores(60, seed=9)))
    table = auroc_intervals(tmp_path, stored[::-1], n_resamples=100)
    assert list(table.display_name) == ["TEND", "Oracle statistic"]
    wanted = mean_auroc([scores(60, seed=s) for s in (1, 0)], n_resamples=100)
    assert tuple(table.loc[0, ["auroc", "low", "high"]]) == pytest.approx((wanted.value, wanted.low, wanted.high))
    assert list(table.note) == ["", UPPER_BOUND_NOTE]


def test_methods_are_those_of_the_papers_and_baselines():
    wanted = "tend patchgan autoencoder statistic statistic_oracle pixel_zscore alocc ocsvm deep_svdd vae patch_knn"
    assert set(METHODS) == set(wanted.split())


def test_provenance_says_where_and_fits_a_record(tmp_path):
    found = provenance("cpu")
    assert found["device"].startswith("CPU (")
    assert found["versions"]["numpy"] == np.__version__
    assert record(**found).commit == found["commit"]


def test_commit_of_a_checkout(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)

    package = tmp_path / "novkit"
    package.mkdir()
    (package / "provenance.py").write_text("x")
    monkeypatch.setattr(provenance_module, "__file__", str(package / "provenance.py"))
    assert provenance_module._commit() == "unknown"
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    head = provenance_module._commit()
    assert len(head) == 40
    (package / "provenance.py").write_text("y")
    assert provenance_module._commit() == f"{head}-modified"
    inner = tmp_path / "venv" / "novkit"  # installed inside somebody's checkout
    inner.mkdir(parents=True)
    monkeypatch.setattr(provenance_module, "__file__", str(inner / "provenance.py"))
    assert provenance_module._commit() == "unknown"


def test_unwritable_folder_is_a_sentence(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(NovkitError):
        add_record(blocked, record(), scores())
    with pytest.raises(NovkitError):
        save_results(blocked, [record()])


@pytest.mark.slow
def test_processes_at_once_lose_nothing(tmp_path):
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_results import record, scores\nfrom novkit.results import add_record\n"
        "[add_record(sys.argv[1], record(seed=s), scores()) for s in range(int(sys.argv[2]), 12, 2)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(start)]) for start in (0, 1)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert len(load_results(tmp_path)) == 12


def test_an_enumerations_member_names_the_same_run(tmp_path):
    class Profile(enum.StrEnum):
        quick = "quick"

    plain, member = record(), dataclasses.replace(record(), profile=Profile.quick)
    assert member.run == plain.run
    assert type(member.profile) is str
