"""Ready detectors: the stored ones are found, stale ones passed over, missing ones trained and kept."""

import shutil

import numpy as np
import pytest

from novkit import ready
from novkit.errors import SettingsError
from novkit.experiments.jobs import Job
from novkit.methods import load_detector, make_detector
from novkit.ready import ready_detector


@pytest.mark.parametrize("method", ["tend", "autoencoder", "patchgan", "alocc", "ocsvm", "deep_svdd"])
def test_the_project_carries_the_detectors_that_the_notebooks_use(method):
    """Stored with the reference results, small, and of today's quick settings: nothing is trained."""
    folder = ready.PROJECT / "results/reference/detectors" / f"brain-healthy-{method}-seed100"
    assert load_detector(folder, device="cpu").settings == make_detector(method).settings
    assert sum(file.stat().st_size for file in folder.iterdir()) < 5e6
    scores = ready_detector(method, device="cpu", progress=False).novelty_score(np.full((2, 1, 64, 64), 90, np.uint8))
    assert np.isfinite(scores).all()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """An empty project and cache, and a plan with one small job."""
    job = Job(method="pixel_zscore", dataset="digits", normal=("8",), cases=(("one_vs_rest", ()),), seed=100)
    monkeypatch.setattr(ready, "PROJECT", tmp_path / "project")
    monkeypatch.setattr(ready, "reproduction", lambda *a: [job])
    monkeypatch.setenv("NOVKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path, job


def test_a_missing_one_is_trained_once_and_kept(small, monkeypatch):
    first = ready_detector("pixel_zscore", "digits", device="cpu", progress=False)
    monkeypatch.setattr(ready, "load_for", lambda *a, **k: pytest.fail("trained again"))
    again = ready_detector("pixel_zscore", "digits", device="cpu", progress=False)
    X = np.arange(1024, dtype=np.uint16).reshape(1, 1, 32, 32)
    np.testing.assert_array_equal(first.novelty_score(X), again.novelty_score(X))


def test_stale_and_damaged_ones_are_passed_over(small):
    folder, job = small
    kept = ready_detector("pixel_zscore", "digits", device="cpu", progress=False)
    place = folder / "project" / "results/reference/detectors" / job.name
    stale = make_detector("pixel_zscore", changes={"floor": 3.0}, seed=1, device="cpu").fit(
        np.random.default_rng(0).random((20, 1, 32, 32))
    )
    stale.save(place)
    assert ready_detector("pixel_zscore", "digits", device="cpu", progress=False).settings == kept.settings
    shutil.rmtree(place)
    place.mkdir()
    (place / "detector.json").write_text("{")
    assert ready_detector("pixel_zscore", "digits", device="cpu", progress=False).settings == kept.settings


def test_what_reproduce_does_not_run_is_refused():
    with pytest.raises(SettingsError, match="does not run 'patchgan' on 'digits'"):
        ready_detector("patchgan", "digits")
