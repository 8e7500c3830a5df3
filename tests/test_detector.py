"""The contract that every method keeps, on every method there is."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from novkit.detector import REGISTRY, Detector
from novkit.errors import DataError, NotFittedError, NovkitError, StoredFileError, TrainingError
from novkit.methods import load_detector, make_detector
from novkit.records import METHODS
from tests.conftest import blobs

FAST = {"statistic": {}, "statistic_oracle": {}, "pixel_zscore": {}}


def fast(method: str = "pixel_zscore", **arguments) -> Detector:
    return make_detector(method, device="cpu", progress=False, **arguments)


def test_every_method_has_a_name_for_people():
    assert set(REGISTRY) <= set(METHODS)


@pytest.mark.parametrize("method", sorted(FAST))
def test_contract(method, tmp_path):
    X, novel = blobs(60), blobs(10, seed=5)
    detector = fast(method).fit(X)
    score = detector.novelty_score(novel)
    assert score.shape == (10,)
    assert score.dtype == np.float64
    np.testing.assert_array_equal(detector.decision_function(novel), detector.threshold_ - score)
    assert detector.novelty_map(novel).shape == (10, 32, 32)
    detector.save(tmp_path / "d")
    np.testing.assert_array_equal(load_detector(tmp_path / "d").novelty_score(novel), score)


@pytest.mark.parametrize("method", sorted(REGISTRY))
def test_unfitted_and_unusable_input_is_one_sentence(method):
    with pytest.raises(NotFittedError, match="not fitted yet: call fit"):
        make_detector(method).novelty_score(blobs(2))
    bad = blobs(20).astype(np.float32) / 255
    bad[3, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="Image 3 of X_normal holds NaN"):
        make_detector(method, progress=False).fit(bad)


def test_pixel_zscore_is_mean_and_spread():
    X = blobs(50).astype(np.float64) / 255
    detector = fast().fit(blobs(50), blobs(10, seed=1))
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    deviation = np.sqrt(deviation**2 + (0.5 * np.median(deviation)) ** 2)
    x = blobs(1, seed=2)
    expected = np.abs(x[0] / 255 - mean) / deviation
    np.testing.assert_allclose(detector.novelty_map(x)[0], expected[0], rtol=1e-3)
    np.testing.assert_allclose(detector.novelty_score(x)[0], expected.mean(), rtol=1e-4)


def test_without_validation_images_a_fifth_is_held_out():
    X = blobs(50)
    held_out = np.arange(50) % 5 == 4
    alone, told = fast().fit(X), fast().fit(X[~held_out], X[held_out])
    assert alone.threshold_ == told.threshold_


def test_what_cannot_be_fitted_is_named_and_leaves_it_unfitted():
    detector = fast()
    with pytest.raises(DataError, match="give at least 10"):
        detector.fit(blobs(5))
    with pytest.raises(DataError, match="1 channels where the detector was fitted on 3"):
        detector.fit(blobs(12, channels=3), blobs(4))
    with pytest.raises(DataError, match="between 0 and 1"):
        fast(false_positive_rate=0).fit(blobs(12))
    with pytest.raises(NotFittedError):
        detector.novelty_score(blobs(2))


def test_collapsed_scores_are_an_error():
    class Collapsed(REGISTRY["pixel_zscore"]):
        def _components(self, images):
            return {"score": np.zeros(len(images))}

    with pytest.raises(TrainingError, match="collapsed"):
        Collapsed().fit(blobs(20))


def test_scoring_other_images_than_fitted_on():
    detector = fast().fit(blobs(20))
    with pytest.raises(DataError, match="3 channels where the detector was fitted on 1"):
        detector.novelty_score(blobs(2, channels=3))
    with pytest.raises(DataError, match="16×16 where the detector was fitted on 32×32"):
        detector.novelty_score(blobs(2, size=16))


@pytest.mark.parametrize("damage", ["cut", "no json", "bad json", "other method", "old format", "missing weights"])
def test_damaged_detectors_are_refused_in_one_sentence(tmp_path, damage):
    fast().fit(blobs(20)).save(tmp_path / "d")
    meta, weights = tmp_path / "d" / "detector.json", tmp_path / "d" / "weights.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "missing weights":
        weights.unlink()
    elif damage == "no json":
        meta.unlink()
    elif damage == "bad json":
        meta.write_text("{")
    else:
        values = json.loads(meta.read_text())
        values["method" if damage == "other method" else "format"] = "unheard" if damage == "other method" else 0
        meta.write_text(json.dumps(values))
    with pytest.raises(StoredFileError) as caught:
        load_detector(tmp_path / "d")
    assert str(tmp_path) in str(caught.value)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [("pixel_zscore", "image_shape", [0, 32, 32]), ("statistic", "extra", {"statistic": "std", "sign": 10**400}),
     ("statistic", "extra", {"statistic": "x" * 5000, "sign": 1})],
    ids=["no channels", "no sign", "a long name"],
)  # fmt: skip
def test_what_a_detector_cannot_have_been_saved_with_is_refused(tmp_path, method, name, value):
    fast(method).fit(blobs(20)).save(tmp_path / "d")
    meta = tmp_path / "d" / "detector.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {name: value}))
    with pytest.raises(NovkitError) as caught:
        load_detector(tmp_path / "d")
    assert len(str(caught.value)) <= 1200
    assert str(caught.value).endswith(".")


def test_an_error_that_quotes_too_much_still_ends_with_its_mend():
    for kind in (DataError, StoredFileError, NotFittedError):
        told = str(kind(f"labels.csv names {'9' * 50_000}: write a label."))
        assert told.startswith("labels.csv names 999")
        assert told.endswith("9: write a label.")
        assert len(told) <= 1200
        assert str(kind("short")) == "short"


def test_saving_replaces_whole_and_pickles_nothing(tmp_path):
    fast().fit(blobs(20)).save(tmp_path / "d")
    fast("statistic").fit(blobs(20)).save(tmp_path / "d")
    assert json.loads((tmp_path / "d" / "detector.json").read_text())["method"] == "statistic"
    assert load_file(tmp_path / "d" / "weights.safetensors") == {}


def test_unknown_methods_settings_and_missing_maps():
    with pytest.raises(NovkitError, match="There is no method 'tent': choose one of"):
        make_detector("tent")
    with pytest.raises(NovkitError, match="tend has no setting 'radiuss'"):
        make_detector("tend", changes={"radiuss": 3})
    with pytest.raises(NovkitError, match="There is no profile"):
        make_detector("tend", "slow")
    detector = fast().fit(blobs(20))
    detector.has_map = False
    with pytest.raises(NovkitError, match="no novelty map"):
        detector.novelty_map(blobs(2))


@pytest.mark.parametrize("change", [{"beta": 10**400}, {"noise": 2**70}])
def test_settings_that_no_number_holds_are_refused(tmp_path, change):
    detector = make_detector("vae", changes={"epochs": 1, "width": 2, "latent": 2}, device="cpu", progress=False)
    detector.fit(blobs(16, size=16), blobs(4, size=16, seed=1)).save(tmp_path / "vae")
    meta = json.loads((tmp_path / "vae" / "detector.json").read_text())
    meta["settings"] |= change
    (tmp_path / "vae" / "detector.json").write_text(json.dumps(meta))
    with pytest.raises(StoredFileError, match=r"beyond all measure|is damaged"):
        Detector.load(tmp_path / "vae")


def test_weights_that_are_missing_are_told_on_loading(tmp_path):
    detector = make_detector("ocsvm", changes={"features": "pca", "latent": 4}, device="cpu", progress=False)
    detector.fit(blobs(16, size=16), blobs(4, size=16, seed=1)).save(tmp_path / "svm")
    weights = load_file(tmp_path / "svm" / "weights.safetensors")
    del weights["kept_"]
    save_file(weights, tmp_path / "svm" / "weights.safetensors")
    with pytest.raises(StoredFileError):
        Detector.load(tmp_path / "svm")
