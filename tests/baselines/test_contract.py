"""What every trained baseline keeps: independence of the batch, seeds, storing, maps, and that it finds a planted anomaly."""

from dataclasses import fields

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from novkit.baselines import AutoencoderSettings
from novkit.detector import REGISTRY
from novkit.methods import load_detector
from tests.baselines.conftest import CHANGES, beside, build, fit
from tests.conftest import blobs

TRAINED = sorted({method for method, _ in CHANGES.values()})
each = pytest.mark.parametrize("name", CHANGES)


@each
def test_it_finds_a_planted_anomaly(fitted, name):
    score = fitted(name).novelty_score(np.concatenate([blobs(60, seed=7), beside(60, seed=8)]))
    assert roc_auc_score([0] * 60 + [1] * 60, score) > 0.9


@each
def test_an_image_scores_the_same_alone_and_among_others(fitted, name):
    detector, X = fitted(name), np.concatenate([blobs(4, seed=4), beside(3, seed=4)])
    together = detector.novelty_score(X)
    scale = np.ptp(together)
    np.testing.assert_allclose([detector.novelty_score(x[None])[0] for x in X], together, atol=1e-4 * scale)
    np.testing.assert_allclose(detector.novelty_score(X[::-1]), together[::-1], atol=1e-4 * scale)


@each
def test_saved_and_loaded_it_gives_the_same_bits(fitted, name, tmp_path):
    detector, X = fitted(name), blobs(6, seed=6)
    detector.save(tmp_path / "detector")
    loaded = load_detector(tmp_path / "detector", device="cpu")
    assert type(loaded) is type(detector)
    assert loaded.settings == detector.settings
    assert loaded.threshold_ == detector.threshold_
    for part, value in detector.components(X).items():
        np.testing.assert_array_equal(loaded.components(X)[part], value, err_msg=part)
    if detector.has_map:
        np.testing.assert_array_equal(loaded.novelty_map(X), detector.novelty_map(X))


@each
def test_same_seed_same_scores_other_seed_others(name):
    X = blobs(8, seed=9)
    short = {"epochs": 2, **({"epochs_autoencoder": 1, "warmup": 0} if name.startswith("deep") else {})}
    first, again, other = (fit(name, seed, **short).novelty_score(X) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    if name != "ocsvm on pixels":  # nothing is drawn there but the start of the PCA, which it forgets
        assert not np.allclose(first, other)


@each
def test_components_are_finite_float64_with_a_score(fitted, name):
    components = fitted(name).components(beside(5, seed=1))
    for value in components.values():
        assert value.dtype == np.float64
        assert len(value) == 5
        assert np.isfinite(value).all()
    assert components["score"].shape == (5,)


@each
def test_maps_have_the_images_size(fitted, name):
    detector = fitted(name)
    if detector.has_map:
        novelty = detector.novelty_map(blobs(3, seed=1))
        assert novelty.shape == (3, 32, 32)
        assert novelty.dtype == np.float32
        assert (novelty >= 0).all()


@pytest.mark.parametrize("name", ["autoencoder", "vae", "alocc", "patch_knn"])
def test_the_map_is_highest_where_a_stain_was_planted(fitted, name):
    X = blobs(20, seed=5)
    stained = X.copy()
    stained[:, :, 18:26, 4:12] = 255 - stained[:, :, 18:26, 4:12]
    inside = np.zeros((32, 32), bool)
    inside[18:26, 4:12] = True
    change = fitted(name).novelty_map(stained) - fitted(name).novelty_map(X)
    assert change[:, inside].mean() > 3 * np.abs(change[:, ~inside]).mean()


@each
def test_clone_and_parameters(name):
    detector = build(name, seed=3)
    assert clone(detector).get_params() == detector.get_params()


@pytest.mark.parametrize("method", TRAINED)
def test_presets_train_as_long_as_the_autoencoder(method):
    """The same images and steps for every baseline."""
    for profile in ("quick", "paper"):
        mine, reference = getattr(REGISTRY[method].Settings, profile)(), getattr(AutoencoderSettings, profile)()
        assert all(getattr(mine, field.name) == getattr(reference, field.name) for field in fields(AutoencoderSettings))


@pytest.mark.parametrize("name", [name for name in CHANGES if name != "ocsvm on pixels"])
def test_history_counts_every_epoch(fitted, name):
    assert sum(len(history.epochs) for history in fitted(name).history_.values()) == 6


@pytest.mark.parametrize("name", ["vae", "alocc", "ocsvm on pixels", "deep_svdd", "patch_knn"])
def test_colour_and_oblong_images(name):
    X = blobs(40, size=32, channels=3)[:, :, :, :16]
    short = {"epochs": 2, **({"epochs_autoencoder": 1, "warmup": 0} if name.startswith("deep") else {})}
    detector = build(name, **short).fit(X)
    assert detector.novelty_score(X[:3]).shape == (3,)
    if detector.has_map:
        assert detector.novelty_map(X[:3]).shape == (3, 32, 16)
