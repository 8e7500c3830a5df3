"""TEND as a whole: contract, score, calibration, leaks."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from novkit.errors import SettingsError
from novkit.methods import load_detector
from novkit.tend import Faithful, Tend, TendSettings
from novkit.tend.networks import MarginNetwork, autoencoder_for
from novkit.tend.objectives import MarginLearning, through_jpeg
from novkit.training import Step
from tests.conftest import blobs

TINY = TendSettings(width=4, embedding=16, epochs_autoencoder=2, epochs=6, warmup=2, batch_size=16, lr=3e-3)


def fitted(settings: TendSettings = TINY, seed: int = 0, **kwargs) -> Tend:
    return Tend(settings, seed=seed, device="cpu", progress=False, **kwargs).fit(
        blobs(96), blobs(32, seed=1), X_threshold=blobs(32, seed=2)
    )


@pytest.fixture(scope="module")
def tend() -> Tend:
    return fitted()


def test_same_seed_same_weights_other_seed_others(tend):
    again, other = fitted(), fitted(seed=1)
    for a, b in zip(tend.network_.parameters(), again.network_.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(tend.network_.to_logit.weight, other.network_.to_logit.weight)


def test_score_is_the_weighted_sum_on_the_calibrated_scale(tend):
    parts = tend.components(blobs(20, seed=3))
    low, high = tend.distance_range_
    expected = 0.9 * parts["probability"] + 0.1 * (parts["distance"] - low) / (high - low)
    np.testing.assert_allclose(parts["score"], expected, rtol=1e-12)
    z = tend.embed(blobs(20, seed=3))
    np.testing.assert_allclose(parts["distance"], ((z - tend.network_.centre.numpy()) ** 2).sum(axis=1), rtol=1e-4)
    assert parts["score"].dtype == np.float64


def test_an_image_scores_the_same_alone_and_among_others(tend):
    X = blobs(9, seed=4)
    together = tend.novelty_score(X)
    alone = np.array([tend.novelty_score(x[None])[0] for x in X])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_allclose(tend.novelty_score(X[::-1]), together[::-1], atol=1e-5)


def test_literal_distance_to_the_margin():
    tend = fitted(replace(TINY, distance="margin", score_weight=0.5, radius=1.0))
    X = blobs(12, seed=5)
    z = torch.from_numpy(tend.embed(X))
    squared = (z - tend.network_.centre).square().sum(dim=1)
    np.testing.assert_allclose(tend.components(X)["distance"], (squared - 1.0).clamp(min=0).numpy(), atol=1e-3)


def test_threshold_holds_the_asked_for_false_positive_rate(tend):
    scores = tend.novelty_score(blobs(32, seed=2))
    assert (scores > tend.threshold_).mean() <= 0.05
    assert set(tend.predict(blobs(5))) <= {1, -1}
    np.testing.assert_array_equal(tend.predict(blobs(32, seed=2)) == -1, scores > tend.threshold_)
    np.testing.assert_array_equal(tend.score_samples(blobs(3)), -tend.novelty_score(blobs(3)))


def test_saved_and_loaded_it_scores_the_same_bits(tend, tmp_path):
    tend.save(tmp_path / "detector")
    loaded = load_detector(tmp_path / "detector", device="cpu")
    X = blobs(6, seed=6)
    np.testing.assert_array_equal(loaded.novelty_score(X), tend.novelty_score(X))
    assert loaded.threshold_ == tend.threshold_
    assert loaded.settings == tend.settings
    assert sorted(path.name for path in (tmp_path / "detector").iterdir()) == ["detector.json", "weights.safetensors"]


def test_clone_and_params():
    tend = Tend(TINY, seed=3)
    copy = clone(tend)
    assert copy.get_params() == tend.get_params()
    assert copy.set_params(seed=5).seed == 5


def test_it_learns_transformed_from_untransformed():
    """A disc that is always in the middle: half an image to the side is novel."""
    tend = fitted(replace(TINY, epochs=14))
    X = blobs(60, seed=7)
    moved = np.roll(X, 16, axis=3)
    score = tend.novelty_score(np.concatenate([X, moved]))
    assert roc_auc_score([0] * 60 + [1] * 60, score) > 0.9


def test_each_image_is_encoded_once_a_step(normal_images):
    network = MarginNetwork(autoencoder_for((1, 32, 32), 4), 8)
    seen = []
    network.encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    objective = MarginLearning(network, TINY, seed=0)
    x = torch.from_numpy(normal_images[:5]).float() / 255
    for epoch in (0, TINY.warmup):
        objective.loss("adam", x, Step(seed=0, epoch=epoch, step=0, device=torch.device("cpu")))
    assert seen == [10, 10]


def test_centre_is_set_after_warm_up_and_stays(tend):
    centre = tend.network_.centre
    assert (centre.abs() >= 0.1 - 1e-6).all()
    phases = [epoch["phase"] for epoch in tend.history_["margin"].epochs]
    assert phases == ["warm-up"] * 2 + ["margin"] * 4
    assert tend.history_["margin"].best_epoch >= 2


def test_validation_draws_are_the_same_in_every_epoch(normal_images):
    objective = MarginLearning(MarginNetwork(autoencoder_for((1, 32, 32), 4), 8), TINY, seed=0)
    values = [objective.validate(normal_images[:20], Step(seed=9, epoch=e, step=-1, device=torch.device("cpu")))["loss"] for e in (0, 1)]
    assert values[0] == values[1]


def test_scaling_on_the_test_makes_scores_depend_on_the_others():
    tend = fitted(replace(TINY, faithful=Faithful(scale_on_test=True)))
    X = blobs(8, seed=8)
    odd = np.concatenate([X, np.roll(X, 16, axis=3)])
    assert np.abs(tend.novelty_score(odd)[:8] - tend.novelty_score(X)).max() > 1e-4


def test_leaky_switches_demand_the_test_set_by_name():
    leaky = replace(TINY, faithful=Faithful.all())
    with pytest.raises(SettingsError, match="call leak_test"):
        fitted(leaky)
    X = np.concatenate([blobs(10, seed=9), np.roll(blobs(10, seed=10), 16, axis=3)])
    detector = Tend(leaky, device="cpu", progress=False).leak_test(X, [0] * 10 + [1] * 10)
    detector.fit(blobs(40), blobs(20, seed=1))
    chosen = detector.history_["margin"].epochs[detector.history_["margin"].best_epoch]
    best = max(-e["val_loss"] for e in detector.history_["margin"].epochs if e["phase"] == "margin")
    assert -chosen["val_loss"] == best  # the AUROC on the test chose the epoch
    assert detector.history_["margin"].epochs[0]["val_loss"] <= 0


def test_jpeg_marks_transformed_images_alone(normal_images):
    """8×8 blocks show in the transformed images, as discontinuities at their borders; x stays as it is."""
    x = torch.from_numpy(normal_images[:16]).float() / 255
    written = through_jpeg(x, quality=20)
    assert written.shape == x.shape
    assert 0.001 < (written - x).abs().mean() < 0.05
    steps = (written[..., 1:] - written[..., :-1]).abs().mean(dim=(0, 1, 2))
    border = torch.arange(31) % 8 == 7
    assert steps[border].mean() > 1.1 * steps[~border].mean()
    objective = MarginLearning(
        MarginNetwork(autoencoder_for((1, 32, 32), 4), 8), replace(TINY, faithful=Faithful(jpeg_on_transformed=True)), seed=0
    )
    plain = MarginLearning(objective.modules["network"], TINY, seed=0)
    step = Step(seed=0, epoch=0, step=0, device=torch.device("cpu"))
    (a, t), (b, u) = objective.pair(x, step), plain.pair(x, step)
    assert torch.equal(a, b)
    assert torch.equal(t, through_jpeg(u))


def test_published_transformations_can_be_trained_on():
    assert np.isfinite(fitted(replace(TINY, transformations="published", epochs=3)).novelty_score(blobs(4))).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warmup": 6}, "warmup"),
        ({"score_weight": 1.5}, "λ"),
        ({"radius": 0.0}, "positive"),
        ({"distance": "cosine"}, "centre"),
        ({"transformations": "all"}, "published"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        replace(TINY, **changes)


def test_paper_preset_is_the_published_code():
    """[C] batch 32, 50 epochs each, warm-up 10, R 150, λ 0.1, z in R^512, Adam 1e-3 with weight decay 1e-6."""
    s = TendSettings.paper()
    assert (s.batch_size, s.epochs_autoencoder, s.epochs, s.warmup, s.radius, s.score_weight) == (32, 50, 50, 10, 150.0, 0.1)
    assert (s.embedding, s.width, s.lr, s.weight_decay) == (512, 16, 1e-3, 1e-6)
    assert not any(asdict(s.faithful).values())


def test_batch_normalisation_is_stored_and_scores_images_alone(tmp_path):
    tend = fitted(replace(TINY, batch_norm=True))
    X = blobs(6, seed=12)
    alone = np.array([tend.novelty_score(x[None])[0] for x in X])
    np.testing.assert_allclose(alone, tend.novelty_score(X), atol=1e-5)
    tend.save(tmp_path / "d")
    np.testing.assert_array_equal(load_detector(tmp_path / "d", device="cpu").novelty_score(X), tend.novelty_score(X))
