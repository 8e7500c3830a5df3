"""Autoencoder, fixed and oracle statistic, pixel z-score: closed forms, and what they store."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from novkit.baselines import (
    AutoencoderDetector,
    AutoencoderSettings,
    OracleStatistic,
    PixelZScore,
    PixelZScoreSettings,
    Statistic,
    StatisticSettings,
)
from novkit.baselines import autoencoder as autoencoder_module
from novkit.errors import DataError, NotFittedError, SettingsError, TrainingError
from novkit.methods import load_detector
from tests.conftest import blobs


def test_autoencoder_score_is_the_mean_squared_residual(fitted):
    detector, X = fitted("autoencoder"), blobs(5, seed=3)
    residual = (X / 255 - detector.reconstruct(X)) ** 2
    np.testing.assert_allclose(detector.novelty_score(X), residual.mean(axis=(1, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(detector.novelty_map(X), residual.mean(axis=1), rtol=1e-3, atol=1e-6)
    with torch.no_grad():
        assert detector.autoencoder_.encode(torch.zeros(2, 1, 32, 32)).shape == (2, 8)


def test_autoencoder_keeps_its_best_epoch(fitted):
    history = fitted("autoencoder").history_["autoencoder"]
    assert history.best_epoch == int(np.argmin([epoch["val_loss"] for epoch in history.epochs]))


def test_autoencoder_goes_on_from_its_checkpoint(tmp_path):
    settings = AutoencoderSettings(width=4, latent=4, epochs=2, batch_size=16)
    whole = AutoencoderDetector(settings, device="cpu", progress=False).fit(blobs(40))
    kept = [AutoencoderDetector(settings, device="cpu", progress=False, workdir=tmp_path).fit(blobs(40)) for _ in range(2)]
    for detector in kept:
        np.testing.assert_array_equal(detector.novelty_score(blobs(4)), whole.novelty_score(blobs(4)))


@pytest.mark.parametrize("sign", [1, -1])
def test_statistic_is_that_of_numpy(sign, tmp_path):
    X = blobs(12, seed=3, channels=3)
    detector = Statistic(StatisticSettings(statistic="std", sign=sign)).fit(blobs(20, channels=3))
    np.testing.assert_allclose(detector.novelty_score(X), sign * (X / 255).mean(axis=1).std(axis=(1, 2)), rtol=1e-9)
    np.testing.assert_allclose(detector.novelty_map(X), sign * (X / 255).mean(axis=1), rtol=1e-5)
    detector.save(tmp_path / "d")
    np.testing.assert_array_equal(load_detector(tmp_path / "d").novelty_score(X), detector.novelty_score(X))


def test_oracle_is_the_best_of_all_statistics_and_survives_storing(tmp_path):
    X = np.concatenate([blobs(30, seed=1), blobs(30, seed=2) // 2])  # novel = darker
    y = np.repeat([0, 1], 30)
    oracle = OracleStatistic().fit(blobs(20)).choose_on_test(X, y)
    best = roc_auc_score(y, oracle.novelty_score(X))
    assert best == 1
    for statistic in ("mean", "asymmetry", "std"):
        for sign in (1, -1):
            assert best >= roc_auc_score(y, Statistic(StatisticSettings(statistic=statistic, sign=sign)).fit(blobs(20)).novelty_score(X))
    oracle.save(tmp_path / "d")
    np.testing.assert_array_equal(load_detector(tmp_path / "d").novelty_score(X), oracle.novelty_score(X))
    with pytest.raises(NotFittedError):
        OracleStatistic().choose_on_test(X, y)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros(20), "All test images are normal"),
        (np.ones(20, bool), "All test images are novel"),
        (np.arange(20), "give each a label, 0"),
        (np.repeat([0, 1], 9), "20 test images but y_test of shape"),
        (np.full(20, np.nan), "give each a label, 0"),
    ],
)
def test_oracle_refuses_labels_that_choose_nothing(labels, words):
    oracle = OracleStatistic().fit(blobs(20))
    before = oracle.statistic_, oracle.sign_
    with pytest.raises(DataError, match=words):
        oracle.choose_on_test(blobs(20, seed=1), labels)
    assert (oracle.statistic_, oracle.sign_) == before


def test_one_picture_many_times_teaches_no_pixel_anything():
    with pytest.raises(DataError, match="All training images are the same picture"):
        PixelZScore().fit(np.repeat(blobs(1), 20, axis=0))


def test_pixel_zscore_in_closed_form_on_colour(tmp_path):
    train = blobs(50, channels=3)
    train[:, :, :4] = 17  # a border that never varies
    X = blobs(4, channels=3, seed=1)
    detector = PixelZScore(PixelZScoreSettings(floor=0.3)).fit(train, train)
    deviation = (train / 255).std(axis=0)
    sigma = np.sqrt(deviation**2 + (0.3 * np.median(deviation[deviation > 1e-6])) ** 2)
    expected = np.abs(X / 255 - (train / 255).mean(axis=0)) / sigma
    np.testing.assert_allclose(detector.novelty_map(X), expected.mean(axis=1), rtol=1e-3)
    np.testing.assert_allclose(detector.novelty_score(X), expected.mean(axis=(1, 2, 3)), rtol=1e-4)
    detector.save(tmp_path / "d")
    np.testing.assert_array_equal(load_detector(tmp_path / "d").novelty_score(X), detector.novelty_score(X))


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (AutoencoderSettings, {"latent": 0}),
        (StatisticSettings, {"statistic": "beauty"}),
        (StatisticSettings, {"sign": 0}),
        (PixelZScoreSettings, {"floor": 0.0}),
    ],
)
def test_impossible_settings_are_refused(kind, changes):
    with pytest.raises(SettingsError):
        kind(**changes)


@pytest.mark.parametrize("epochs", [2, 5])  # seen at the end, and after a few epochs
def test_an_autoencoder_that_draws_one_picture_starts_again_at_a_lower_rate(monkeypatch, epochs):
    """From the same weights but for the brightness, at a third of the rate; what it learnt first is forgotten."""
    rates, starts = [], []
    plain = autoencoder_module._WatchedReconstruction

    def watched(network, *, lr, weight_decay):
        rates.append(lr)
        starts.append({name: value.clone() for name, value in network.state_dict().items()})
        return plain(network, lr=lr, weight_decay=weight_decay)

    monkeypatch.setattr(autoencoder_module, "_WatchedReconstruction", watched)
    monkeypatch.setattr(autoencoder_module, "draws_one_picture", lambda *a: len(rates) == 1)  # the first attempt's
    settings = AutoencoderSettings(width=4, latent=8, epochs=epochs)
    detector = AutoencoderDetector(settings, device="cpu", progress=False).fit(blobs(64))
    assert rates == [settings.lr, settings.lr / 3]
    assert len(detector.history_["autoencoder"].epochs) == epochs
    changed = [name for name in starts[0] if not torch.equal(starts[0][name], starts[1][name])]
    assert len(changed) == 1  # the last bias: pictures begin as bright as the images
    assert torch.sigmoid(starts[1][changed[0]]).item() == pytest.approx(blobs(64)[:48].mean() / 255, abs=0.05)


def test_one_picture_for_all_is_told_from_little_learnt():
    X = blobs(16)
    network = autoencoder_module.bottleneck_autoencoder((1, 32, 32), 4, 8)
    assert not autoencoder_module.draws_one_picture(network, X)  # untrained: different, if hardly
    for parameter in network.encoder.parameters():
        torch.nn.init.zeros_(parameter)
    assert autoencoder_module.draws_one_picture(network, X)


def test_an_autoencoder_that_cannot_learn_is_an_error(monkeypatch):
    monkeypatch.setattr(autoencoder_module, "draws_one_picture", lambda *a: True)
    with pytest.raises(TrainingError, match="the same picture of every held-out image"):
        AutoencoderDetector(AutoencoderSettings(width=4, latent=8, epochs=2), device="cpu", progress=False).fit(blobs(64))


def test_what_is_lost_is_given_up_early(monkeypatch):
    given, validations = autoencoder_module.GIVEN_UP, []
    plain = autoencoder_module.Reconstruction.validate
    monkeypatch.setattr(autoencoder_module.Reconstruction, "validate", lambda *a: validations.append(1) or plain(*a))
    monkeypatch.setattr(autoencoder_module, "draws_one_picture", lambda *a: True)
    with pytest.raises(TrainingError, match="the same picture"):
        AutoencoderDetector(AutoencoderSettings(width=4, latent=8, epochs=50), device="cpu", progress=False).fit(blobs(64))
    assert len(validations) == autoencoder_module.ATTEMPTS * (given - 1)


@pytest.mark.parametrize(("brightness", "expected"), [(1e-3, True), (0.5, False), (1 - 1e-3, True)])
def test_black_or_white_pictures_have_collapsed_though_they_differ(brightness, expected):
    X = np.random.default_rng(0).integers(60, 200, (8, 1, 16, 16), dtype=np.uint8)
    network = nn.Sequential(nn.Flatten(), nn.Linear(256, 256), nn.Unflatten(1, (1, 16, 16)))
    nn.init.normal_(network[1].weight, std=1e-5)
    nn.init.constant_(network[1].bias, brightness)
    assert autoencoder_module.draws_one_picture(network, X) == expected
