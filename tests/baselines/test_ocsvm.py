"""The one-class SVM in closed form against scikit-learn's own object, on both kinds of features."""

import warnings

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from novkit.baselines import OcsvmSettings
from novkit.baselines.ocsvm import Ocsvm
from novkit.errors import SettingsError, TrainingError
from tests.baselines.conftest import beside, fit
from tests.conftest import blobs

X = np.concatenate([blobs(20, seed=3), beside(20, seed=4)])


def test_on_pixels_it_is_scikit_learns_pipeline(fitted):
    """An exact PCA of the same pixels: the decision agrees to what the randomised one leaves open."""
    pipeline = make_pipeline(PCA(8, svd_solver="full"), StandardScaler(), OneClassSVM(nu=0.1, gamma="scale"))
    pipeline.fit(blobs(96).reshape(96, -1) / 255)
    expected = -pipeline.decision_function(X.reshape(40, -1) / 255)
    np.testing.assert_allclose(fitted("ocsvm on pixels").components(X)["decision"], expected, atol=2e-2 * np.ptp(expected))


@pytest.mark.parametrize("name", ["ocsvm on pixels", "ocsvm on embeddings"])
def test_closed_form_is_scikit_learns_decision(fitted, name):
    ocsvm = fitted(name)
    svm = OneClassSVM(nu=0.1, gamma="scale").fit(ocsvm.features(blobs(96)))
    np.testing.assert_allclose(ocsvm.components(X)["decision"], -svm.decision_function(ocsvm.features(X)), atol=1e-8)
    assert ocsvm.gamma_ == pytest.approx(1 / ocsvm.features(blobs(96)).size * 96, rel=1e-6)  # variance 1 after standardising


@pytest.mark.parametrize("name", ["ocsvm on pixels", "ocsvm on embeddings"])
def test_score_orders_images_as_the_decision_does(fitted, name):
    parts = fitted(name).components(X)
    np.testing.assert_array_equal(np.argsort(parts["score"]), np.argsort(parts["decision"]))
    np.testing.assert_allclose(fitted(name).offset_ - np.exp(-parts["score"]), parts["decision"], atol=1e-12)


def test_score_still_orders_where_the_decision_is_used_up(fitted):
    """Scale features up until every kernel is 0 to float64: the decision ties, the score does not."""
    ocsvm = fitted("ocsvm on pixels")
    scale, ocsvm.scale_ = ocsvm.scale_, ocsvm.scale_ / 200
    try:
        parts = ocsvm.components(X[20:])
    finally:
        ocsvm.scale_ = scale
    assert np.ptp(parts["decision"]) == 0
    assert len(np.unique(parts["score"])) == 20


def test_features_are_standard_on_the_training_images(fitted):
    features = fitted("ocsvm on embeddings").features(blobs(96))
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(features.std(axis=0), 1, atol=1e-5)


def test_nu_bounds_the_training_images_outside():
    for nu in (0.1, 0.5):
        outside = fit("ocsvm on pixels", nu=nu).components(blobs(96))["decision"] > 2e-3  # the solver stops within 1e-3
        assert outside.mean() <= nu + 0.03


def test_fewer_images_than_components():
    fit("ocsvm on pixels", latent=500).novelty_score(X)


@pytest.mark.parametrize("changes", [{"features": "raw"}, {"nu": 0.0}, {"nu": 1.5}])
def test_impossible_settings_are_refused(changes):
    with pytest.raises(SettingsError):
        OcsvmSettings(**changes)


def test_the_same_picture_many_times_is_told_without_a_warning():
    picture = np.random.default_rng(0).integers(0, 2, (1, 1, 16, 16), dtype=np.uint8) * 255
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TrainingError, match="the same features in every image"):
            Ocsvm(OcsvmSettings(features="pca"), progress=False).fit(np.repeat(picture, 20, axis=0))
