"""Images made again from their ids are those of the data set, and other data is never mistaken for it."""

from dataclasses import replace

import numpy as np
import pytest

from novkit.data import load
from novkit.data.brain import generate_brain
from novkit.data.skin import generate_skin
from novkit.experiments.jobs import Job
from novkit.notebooks import reference_results
from novkit.results import load_results
from novkit.widgets import remaking
from novkit.widgets.stored import StoredResults
from tests.widgets.small import record

SMALL = {
    "brain": ({"size": 64, "n_healthy": 6}, generate_brain, "healthy"),
    "skin": ({"size": 32}, generate_skin, "benign"),
    "digits": ({}, None, "0"),
}


def made(name: str, monkeypatch, **changes):
    """A record on a small data set, and that data set, made as `reproduction` is told."""
    options, _, normal = SMALL[name]
    job = Job(method="statistic", dataset=name, normal=(normal,), cases=(("one_vs_rest", ()),), seed=5, options=options)
    monkeypatch.setattr(remaking, "reproduction", lambda profile, seeds, methods: [replace(job, seed=seeds[0])])
    remaking._fingerprint.cache_clear()
    if name == "skin":
        data = generate_skin(size=32, seed=5, progress=False, n_benign=1600, n_atypical=400)
    elif name == "brain":
        data = generate_brain(size=64, n_healthy=6, seed=5, n_novel=5, progress=False)
        monkeypatch.setattr(remaking.brain, "generate_brain", _with_fewer_novel)
    else:
        data = load("digits")
    return data, record(dataset=name, seed=5, data_fingerprint=data.fingerprint, **changes)


def _with_fewer_novel(
    *, size=64, seed=0, contrast="flair", n_healthy=1, n_novel=5, conditions=remaking.brain.CONDITIONS, slices_per_subject=4, progress=True
):
    raise AssertionError("the whole data set is never made")


@pytest.mark.parametrize("name", [pytest.param("skin", marks=pytest.mark.slow), "brain", "digits"])
def test_images_made_again_are_the_data_set_s(name, monkeypatch):
    data, tested = made(name, monkeypatch)
    assert remaking.can_remake(tested)
    rows = [0, 5, len(data) - 1, 2]
    for row, (image, mask) in zip(rows, remaking.remake(tested, list(data.table["id"].iloc[rows])), strict=True):
        np.testing.assert_array_equal(image, data.images[row])
        if data.masks is not None:
            np.testing.assert_array_equal(mask, data.masks[row])
    remaking._fingerprint.cache_clear()


def test_other_data_is_not_mistaken(monkeypatch):
    _, tested = made("brain", monkeypatch)
    for changes in ({"data_fingerprint": "other"}, {"seed": 6}, {"setup": "generated_ood"}, {"dataset": "blobs"}):
        assert not remaking.can_remake(replace(tested, **changes))
    remaking._fingerprint.cache_clear()


def test_reference_results_show_every_image_of_a_fresh_clone():
    """All that is tested one-vs-rest has pictures without a stored example, and what has none says how to see it."""
    records = load_results(reference_results())
    assert {r.dataset for r in records if remaking.can_remake(r)} == {"brain", "skin", "digits"}
    assert all(remaking.can_remake(r) == (r.setup == "one_vs_rest") for r in records)
    stored = StoredResults(reference_results())
    stored._examples = lambda run: {}
    run = stored.run("brain", "One-vs-rest, novel: glioma", 100, "Patch-GAN")
    rows = [int(np.argmax(run.scores.score)), 3]
    assert stored.takes_time(run, rows)
    found = stored.pictures(run, rows)
    assert not stored.takes_time(run, rows)
    assert found[rows[0]].image.shape == (1, 64, 64)
    assert found[rows[0]].mask.shape == found[rows[0]].map.shape == (64, 64)
    assert found[rows[0]].mask.any() == bool(run.scores.label[rows[0]])
    generated = next(case for case in stored.cases("brain") if case.startswith("Generated"))
    run = stored.run("brain", generated, 100, "TEND")
    assert stored.pictures(run, [0]) == {}
    assert "datasets={'brain': load('brain', size=64, n_healthy=4800, seed=100)}" in stored.what_is_missing(run)
