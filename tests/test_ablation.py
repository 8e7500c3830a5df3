"""The ablation: rescoring is what fitting with that setting gives, the table is what scikit-learn says of the scores."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from novkit.errors import SettingsError
from novkit.experiments.ablation import DEFAULT, PATCHGAN, ablation_jobs, ablation_table
from novkit.experiments.jobs import Job
from novkit.experiments.running import run_jobs
from novkit.patchgan import PatchGanSettings
from novkit.patchgan.settings import SCORE_SETTINGS
from novkit.report.ablation import ablation_markdown, write_ablation
from novkit.report.markdown import between_markers
from novkit.results import load_scores
from tests.conftest import blobs
from tests.patchgan.small import TINY, fitted


@pytest.mark.parametrize(
    "changes",
    [
        {"gamma": 0.7},
        {"standardise": "global"},
        {"aggregate": "mean"},
        {"partitions": 1},
        {"smoothing": 0.0},
        {"adversarial_score": "cover"},
    ],
)
def test_rescoring_is_fitting_with_that_setting(changes):
    val, threshold = blobs(16, seed=1), blobs(16, seed=2)  # those of `fitted`
    once, anew = fitted().rescored(changes, val, threshold), fitted(replace(TINY, **changes))
    np.testing.assert_array_equal(once.novelty_score(blobs(5, seed=3)), anew.novelty_score(blobs(5, seed=3)))
    assert once.threshold_ == anew.threshold_
    assert once.settings_ == anew.settings_


def test_what_training_depends_on_cannot_be_rescored():
    with pytest.raises(SettingsError, match="epochs belongs to training"):
        fitted().rescored({"epochs": 3}, blobs(16), blobs(16))


def test_every_ablation_changes_its_field_from_the_default():
    default = PatchGanSettings.quick()
    names = {f.name for f in fields(default)}
    for ablation in PATCHGAN:
        changed = PatchGanSettings.quick(**ablation.changes)
        assert changed != default, ablation.name
        assert set(ablation.changes) <= names
    assert set(SCORE_SETTINGS) <= names
    assert len({a.name for a in PATCHGAN}) == len(PATCHGAN)


def test_jobs_train_what_has_to_be_trained_and_rescore_the_rest():
    jobs = ablation_jobs(seeds=(100, 101))
    trained = [a.name for a in PATCHGAN if a.trained]
    assert len(jobs) == 2 * (1 + len(trained))
    assert {job.variant for job in jobs} == {"", *trained}
    assert {name for job in jobs for name, _ in job.rescored} == {a.name for a in PATCHGAN} - set(trained)
    with pytest.raises(SettingsError, match="There is no ablation"):
        ablation_jobs("tend")


@pytest.mark.slow
def test_the_table_is_what_the_scores_say(tmp_path):
    small = {f.name: getattr(TINY, f.name) for f in fields(TINY)}
    common = {"method": "patchgan", "dataset": "brain", "normal": ("healthy",), "cases": (("one_vs_rest", ("glioma",)),)}
    options = {"size": 64, "n_healthy": 80, "n_novel": 24, "conditions": ("healthy", "glioma")}
    jobs = [
        Job(
            **common, options=options, seed=seed, changes=small | {"patch": 8, "boxes": (2, 1)}, rescored=(("mean", {"aggregate": "mean"}),)
        )
        for seed in (0, 1)
    ]
    records = run_jobs(jobs, tmp_path, device="cpu", progress=False)
    assert len(records) == 4
    table = ablation_table(tmp_path, records, n_resamples=50).set_index("name")
    for name, variant in ((DEFAULT, ""), ("mean", "mean")):
        scores = [load_scores(tmp_path, r) for r in records if r.variant == variant]
        values = [roc_auc_score(s.label, s.score) for s in scores]
        assert table.loc[name, "auroc_mean"] == pytest.approx(np.mean(values))
        assert table.loc[name, "auroc_sd"] == pytest.approx(np.std(values, ddof=1))
    difference = table.loc["mean", "auroc_mean"] - table.loc[DEFAULT, "auroc_mean"]
    assert table.loc["mean", "difference"] == pytest.approx(difference)
    assert table.loc["mean", "low"] <= difference <= table.loc["mean", "high"]
    again = run_jobs(jobs, tmp_path, device="cpu", progress=False)
    assert [r.scores for r in again] == [r.scores for r in records]  # nothing was trained again
    text = write_ablation(tmp_path, "novkit ablate").read_text()
    assert "synthetic" in text
    assert f"{table.loc['mean', 'auroc_mean']:.3f}" in text
    assert f"{table.loc['mean', 'auroc_mean']:.3f}" in ablation_markdown(tmp_path)


def test_the_notes_show_the_stored_ablation():
    """The table of the notes is what `novkit ablate patchgan` prints from the stored records."""
    root = Path(__file__).parent.parent / "results"
    page = (root / "NOTES.md").read_text(encoding="utf-8")
    assert between_markers(page, ablation_markdown(root / "ablation"), "NOTES.md", "ablation") == page
