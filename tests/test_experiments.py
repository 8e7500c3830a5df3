"""Recipes: done once, skipped after, the same numbers again, training images shared."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from novkit.baselines import PixelZScore
from novkit.data import load
from novkit.data.dataset import ImageDataset
from novkit.data.setups import one_vs_rest
from novkit.errors import DataError, SettingsError, TrainingError
from novkit.experiments import Job, build_setups, measuring, reproduction, reproduction_on, run_job, run_jobs, settings_text
from novkit.experiments.sharing import heirs_of
from novkit.methods import load_detector, make_detector
from novkit.results import load_history, load_results, load_scores
from novkit.seeding import DEVELOPMENT_SEEDS, RESERVED_SEEDS
from novkit.tend import Tend
from tests.conftest import blobs


def job(method: str = "pixel_zscore", **changes) -> Job:
    values = {"dataset": "digits", "normal": ("8",), "cases": (("one_vs_rest", ()), ("generated_ood", ())), "seed": 0}
    return Job(**(values | {"method": method} | changes))


def run(job: Job, folder, **arguments):
    return run_job(job, folder, device="cpu", progress=False, **arguments)


def test_a_record_is_what_a_plain_script_measures(tmp_path):
    record, _ = run(job(), tmp_path)
    setup = one_vs_rest(load("digits"), "8", seed=0)
    detector = make_detector("pixel_zscore", seed=0, progress=False).fit(setup.X_train, setup.X_calibration, X_threshold=setup.X_threshold)
    assert record.auroc == pytest.approx(roc_auc_score(setup.y_test, detector.novelty_score(setup.X_test)), abs=1e-12)
    assert record.n_train == len(setup.X_train)
    assert record.novel == tuple("012345679")
    scores = load_scores(tmp_path, record)
    np.testing.assert_array_equal(scores.score, detector.novelty_score(setup.X_test))
    np.testing.assert_array_equal(scores.id, setup.test_table["id"])
    np.testing.assert_array_equal(load_detector(tmp_path / "detectors" / job().name).novelty_score(setup.X_test), scores.score)


def test_what_is_done_is_skipped_and_what_changed_is_not(tmp_path, monkeypatch):
    first = run(job(), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "_measure", lambda *a: pytest.fail("measured again"))
        assert run(job(), tmp_path) == first
    assert run(job(changes={"floor": 2.0}), tmp_path)[0].settings["floor"] == 2.0
    assert len(load_results(tmp_path)) == 2  # the old ones were replaced


def test_a_setting_that_came_later_does_not_undo_what_was_measured(tmp_path, monkeypatch):
    run(job(), tmp_path)
    older = json.loads((tmp_path / "results.json").read_text())
    assert [record["settings"].pop("floor") for record in older["records"]]
    (tmp_path / "results.json").write_text(json.dumps(older))
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "_measure", lambda *a: pytest.fail("measured again"))
        assert len(run(job(), tmp_path)) == 2
    assert run(job(changes={"floor": 2.0}), tmp_path)[0].settings["floor"] == 2.0


def test_the_reference_is_of_the_settings_at_hand():
    """What is done is skipped, so that nobody trains all of it again."""
    for record in load_results(Path(__file__).parent.parent / "results" / "reference"):
        if record.variant == "":
            settings = make_detector(record.method, record.profile).settings
            now = replace(record, settings=asdict(settings)).settings
            assert record.settings == {name: value for name, value in now.items() if name in record.settings}, record.run
            later = set(now) - set(record.settings)
            assert {name: now[name] for name in later} == {name: value for name, value in asdict(type(settings)()).items() if name in later}


def test_two_runs_give_the_same_results_but_for_cost(tmp_path):
    def essence(folder):
        records = json.loads((folder / "results.json").read_text())["records"]
        return [{k: v for k, v in r.items() if not k.startswith("seconds") and k != "peak_memory_mb"} for r in records]

    for name in "ab":
        run_jobs([job("statistic"), job("statistic_oracle")], tmp_path / name, device="cpu", progress=False)
    assert essence(tmp_path / "a") == essence(tmp_path / "b")


def test_runs_side_by_side_give_what_runs_in_a_row_give(tmp_path):
    jobs = [job("statistic"), job("statistic_oracle"), job("pixel_zscore")]
    row = run_jobs(jobs, tmp_path / "row", device="cpu", progress=False)
    beside = run_jobs(jobs, tmp_path / "beside", device="cpu", workers=2, progress=False)
    assert [r.run for r in load_results(tmp_path / "beside")] == [r.run for r in row]  # in the order of the jobs, whichever ended first
    cost = {"seconds_fit", "seconds_score", "peak_memory_mb"}
    assert [{k: v for k, v in vars(r).items() if k not in cost} for r in row] == [
        {k: v for k, v in vars(r).items() if k not in cost} for r in beside
    ]


def test_a_leak_that_is_asked_for_gets_the_test_set_and_no_other_run_does(tmp_path, monkeypatch):
    handed: list[int] = []
    monkeypatch.setattr(Tend, "leak_test", lambda self, X, y: handed.append(len(X)) or setattr(self, "_leaked_test", (X, y)))
    tiny = {"epochs": 2, "epochs_autoencoder": 1, "warmup": 1, "width": 4, "embedding": 8, "least_steps": 1}
    cases = (("one_vs_rest", ("1",)),)
    (plain,) = run(job("tend", cases=cases, changes=tiny), tmp_path)
    assert handed == []
    leaky = {**tiny, "faithful": {"select_on_test": True, "scale_on_test": True}}
    (record,) = run(job("tend", cases=cases, changes=leaky, variant="leaky"), tmp_path)
    assert handed == [plain.n_test]
    assert record.settings["faithful"]["select_on_test"]
    assert {r.variant for r in load_results(tmp_path)} == {"", "leaky"}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_autoencoder_that_two_methods_begin_with_is_trained_once(tmp_path, workers):
    skin = {"dataset": "skin", "normal": ("benign",), "cases": (("one_vs_rest", ("atypical",)),)}
    skin |= {"options": {"n_benign": 60, "n_atypical": 20, "size": 16}, "changes": {"epochs": 3}}
    giver, heir = job("autoencoder", **skin), job("patch_knn", **skin | {"changes": {"epochs": 3, "bank": 50, "neighbours": 1}})
    (alone,) = run(heir, tmp_path / "alone")
    before = tmp_path / "together"
    (trained,) = run(giver, before, heirs=[heir.name])
    seconds = json.loads((before / "work" / heir.name / "given.json").read_text())["seconds"]
    assert 0 < seconds < trained.seconds_fit
    together = run_jobs([giver, heir], before, device="cpu", workers=workers, progress=False)[1]
    np.testing.assert_array_equal(load_scores(tmp_path / "alone", alone).score, load_scores(before, together).score)
    assert together.images_seen == alone.images_seen
    assert together.seconds_fit > seconds
    assert not list((before / "work").glob("*patch_knn*"))
    other = job("patch_knn", **skin | {"changes": {"epochs": 4}})
    assert heirs_of(giver, [heir, other, job("patch_knn", **skin, seed=1), job("deep_svdd", **skin | {"changes": {}})]) == (heir.name,)


def test_who_begins_with_the_same_training_waits_for_it_though_a_worker_is_free(tmp_path):
    short = {"changes": {"epochs": 2, "width": 4}, "cases": (("one_vs_rest", ()),)}
    heir = job("patch_knn", **short | {"changes": short["changes"] | {"bank": 50, "candidates": 100}})
    records = run_jobs([heir, job("vae", **short), job("autoencoder", **short)], tmp_path, device="cpu", workers=3, progress=False)
    histories = {record.method: load_history(tmp_path, record) for record in records}
    assert histories["patch_knn"] == histories["autoencoder"]  # to the microsecond that each epoch took


def test_an_error_in_a_worker_is_the_callers(tmp_path):
    with pytest.raises(DataError, match="train on different images"):
        run_jobs([job(cases=(("one_vs_rest", ()), ("rest_vs_one", ("8",))))], tmp_path, device="cpu", workers=2, progress=False)


def test_synthetic_subjects_of_two_seeds_are_not_the_same_but_real_ones_are(tmp_path):
    skin = {"dataset": "skin", "normal": ("benign",), "cases": (("one_vs_rest", ("atypical",)),)}
    skin["options"] = {"n_benign": 60, "n_atypical": 20, "size": 16}
    for values, shared in ((skin, False), ({}, True)):
        groups = [set(load_scores(tmp_path, run(job("statistic", **values, seed=seed), tmp_path)[0]).group) for seed in (0, 1)]
        assert bool(groups[0] & groups[1]) is shared


@pytest.mark.parametrize("workers", [1, 2])
def test_a_training_that_fails_leaves_the_others_done_and_is_named(tmp_path, workers):
    jobs = [job("autoencoder", changes={"epochs": 1, "width": 4, "lr": 1e30}), job("statistic"), job("pixel_zscore")]
    with pytest.raises(TrainingError, match=f"but for 1. {jobs[0].name}: .*lower the learning rate"):
        run_jobs(jobs, tmp_path, device="cpu", workers=workers, progress=False)
    assert {record.method for record in load_results(tmp_path)} == {"statistic", "pixel_zscore"}


def test_images_of_several_set_ups_are_scored_once_and_alike(tmp_path, monkeypatch):
    """Two cases share the normal test images; their scores are those of a plain call."""
    both = job(cases=(("one_vs_rest", ("1",)), ("one_vs_rest", ("2", "3"))), normal=("8",))
    counted = []
    with monkeypatch.context() as patch:
        plain = PixelZScore.assess
        patch.setattr(PixelZScore, "assess", lambda self, X: counted.append(len(X)) or plain(self, X))
        records = run(both, tmp_path)
    setups = build_setups(both, load("digits"))
    detector = load_detector(tmp_path / "detectors" / both.name)
    for record, setup in zip(records, setups, strict=True):
        np.testing.assert_array_equal(load_scores(tmp_path, record).score, detector.novelty_score(setup.X_test))
    assert sum(counted) == len(set(setups[0].split.test) | set(setups[1].split.test))


def test_the_oracle_beats_every_single_statistic_on_its_test(tmp_path):
    fixed, oracle = (run(job(method), tmp_path)[0] for method in ("statistic", "statistic_oracle"))
    assert oracle.auroc >= max(fixed.auroc, 1 - fixed.auroc)


def test_an_interrupted_run_leaves_no_record_and_can_be_repeated(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "image_metrics", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(job(), tmp_path)
    assert not (tmp_path / "results.json").exists()
    assert len(run(job(), tmp_path)) == 2


def test_set_ups_that_train_on_different_images_are_refused(tmp_path):
    with pytest.raises(DataError, match="train on different images"):
        run(job(cases=(("one_vs_rest", ()), ("rest_vs_one", ("8",)))), tmp_path)
    with pytest.raises(SettingsError, match="There is no set-up"):
        run(job(cases=(("all_vs_all", ("1",)),)), tmp_path)


def test_plans_use_reserved_seeds_and_every_method():
    jobs = reproduction("quick", methods=("tend", "statistic"))
    assert {j.seed for j in jobs} <= set(RESERVED_SEEDS)
    assert not set(RESERVED_SEEDS) & set(DEVELOPMENT_SEEDS)
    assert {j.method for j in jobs} == {"tend", "statistic"}
    assert {j.dataset for j in jobs} == {"brain", "skin", "digits"}
    own = reproduction_on("folder", ["a"], ["b", "c"], methods=("tend",))
    assert own[0].cases == (("one_vs_rest", ("b", "c")), ("generated_ood", ()))
    rest = reproduction_on("digits", [], ["8"], methods=("tend",), seeds=(1, 2))
    assert [(j.normal, j.cases[0], j.seed) for j in rest] == [(tuple("012345679"), ("rest_vs_one", ("8",)), seed) for seed in (1, 2)]
    assert reproduction_on("digits", [], ["8", "9"])[0].cases[0] == ("one_vs_rest", ("8", "9"))
    with pytest.raises(DataError, match="no image of class 'x'"):
        reproduction_on("digits", [], ["x"])


def test_several_normal_classes_are_trained_on_together(tmp_path):
    record, generated = run(job(normal=("0", "1"), cases=(("one_vs_rest", ("8",)), ("generated_ood", ()))), tmp_path)
    scores = load_scores(tmp_path, record)
    assert set(scores.condition) == {"0", "1", "8"}
    np.testing.assert_array_equal(scores.label, scores.condition == "8")
    assert record.auroc == pytest.approx(roc_auc_score(scores.condition == "8", scores.score), abs=1e-12)
    images = sum(np.isin(load("digits").labels, ["0", "1"]))
    assert record.n_train == generated.n_train == pytest.approx(0.6 * images, abs=2)
    assert record.normal == generated.normal == ("0", "1")
    assert (record.case, generated.case) == ("normal: 0 + 1, novel: 8", "normal: 0 + 1, novel: generated")


def test_a_case_says_what_is_novel_where_that_is_a_part_of_the_rest(tmp_path):
    whole = run(job(cases=(("one_vs_rest", ()),)), tmp_path)[0]
    part, one = run(job(cases=(("one_vs_rest", ("0", "9")), ("one_vs_rest", ("9",)))), tmp_path)
    named = run(job(cases=(("one_vs_rest", tuple("012345679")),)), tmp_path)[0]
    assert [r.case for r in (whole, part, one, named)] == ["normal: 8", "normal: 8, novel: 0 + 9", "novel: 9", "normal: 8"]
    assert [r.part_of_rest for r in (whole, part, one, named)] == [False, True, True, False]
    assert named == whole  # it was done already


def test_changed_settings_and_data_options_are_runs_of_their_own(tmp_path):
    small = {"options": {"size": 16}, "data_note": "size=16"}
    jobs = [job(), job(changes={"floor": 2.0}, variant="floor=2"), job(**small)]
    records = run_jobs(jobs, tmp_path, device="cpu", progress=False)
    assert load_results(tmp_path) == records
    assert [r.dataset for r in records[::2]] == ["digits", "digits", "digits (size=16)"]
    assert records == [r for j in jobs for r in run(j, tmp_path)]  # none has replaced another
    assert len({j.name for j in jobs}) == 3
    of_record = job(dataset="digits (size=16)")  # as the explorers look for a record's detector
    assert of_record.name == jobs[2].name
    X = np.zeros((1, 1, 16, 16), np.uint8)
    assert len(load_detector(tmp_path / "detectors" / of_record.name).novelty_score(X)) == 1


def test_names_of_jobs():
    """Those of plain jobs stand in stored results; settings that differ late, and many classes, still give different ones."""
    assert job(variant="patches of twice the size, more or less").name == "digits-8-pixel_zscore-patches_of_twice_the_siz-seed0"
    assert job(normal=("0", "a/b")).name == "digits-0-a_b-pixel_zscore-seed0"
    late = [job(variant=settings_text({"epochs_autoencoder": 5, "warmup": w})).name for w in (1, -1, 2)]
    assert len(set(late)) == 3
    many = [job(normal=tuple(f"class {'ü' * 20} {n:03}" for n in range(40)), seed=seed).name for seed in (0, 1)]
    assert many[0] != many[1]
    assert all(len(name.encode()) < 230 for name in many)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"method": "tent"}, "There is no method 'tent'"),
        ({"changes": {"flor": 1}}, "no setting 'flor'"),
        ({"changes": {"floor": "x"}}, "floor of pixel_zscore cannot be 'x'"),
        ({"options": {"seed": 1}}, "the run's own seed"),
    ],
)
def test_a_job_that_cannot_work_is_refused_before_anything_runs(values, words):
    with pytest.raises(SettingsError, match=words):
        job(**values)


def test_measured_sees_memory_and_time():
    """In a process of its own: what earlier tests have freed would be used again, and nothing grow."""
    code = """
import time
import numpy as np
from novkit.experiments import measured
with measured("cpu") as small:
    pass
with measured("cpu") as large:
    block = np.ones((60, 2**20), np.uint8)  # 60 MiB
    time.sleep(0.2)
print(large.megabytes - small.megabytes, large.seconds)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, seconds = map(float, done.stdout.split())
    assert 40 < grown < 80
    assert 0.2 <= seconds < 5


def test_generated_ood_trains_on_the_same_images_where_patients_hold_both_kinds():
    """Patients with normal and novel slices: the split of one-vs-rest and of generated OOD must be one."""
    X = np.concatenate([blobs(60), blobs(60, seed=1)])
    table = pd.DataFrame(
        {"id": [str(i) for i in range(120)], "label": ["n"] * 60 + ["o"] * 60, "group": [f"p{i % 20}" for i in range(120)]}
    )
    table.loc[table["group"].isin(["p1", "p2", "p3"]), "label"] = "n"
    dataset = ImageDataset("mixed", X, table, normal="n")
    both = Job(method="statistic", dataset="mixed", normal=("n",), cases=(("one_vs_rest", ("o",)), ("generated_ood", ())), seed=0)
    one, generated = build_setups(both, dataset)
    np.testing.assert_array_equal(one.X_train, generated.X_train)
    tested = set(generated.test_table["group"])
    assert tested == set(one.test_table["group"][one.y_test == 0])
    assert len(generated.y_test) == 2 * (one.y_test == 0).sum()


def test_generated_ood_trains_on_what_rest_vs_one_trains_on_where_patients_hold_both_kinds():
    table = pd.DataFrame({"id": [str(i) for i in range(120)], "label": ["n", "m", "o"] * 40, "group": [f"p{i % 25}" for i in range(120)]})
    dataset = ImageDataset("mixed", blobs(120), table, normal="n")
    both = Job(method="statistic", dataset="mixed", normal=("m", "n"), cases=(("rest_vs_one", ("o",)), ("generated_ood", ())), seed=0)
    rest, generated = build_setups(both, dataset)
    np.testing.assert_array_equal(rest.X_train, generated.X_train)
    assert set(dataset.labels[rest.split.train]) == {"m", "n"}
