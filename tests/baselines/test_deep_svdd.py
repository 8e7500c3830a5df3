"""Deep SVDD: the sphere's objective, centre and radius against closed forms; no biases; collapse is an error."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import nn

from novkit.baselines import DeepSvddSettings
from novkit.baselines.deep_svdd import SphereLearning, SphereNetwork, biasless_autoencoder
from novkit.errors import SettingsError, TrainingError
from novkit.training import LoopSettings, Step, train
from tests.baselines.conftest import fit
from tests.conftest import blobs


def objective(kind: str, epoch: int, **changes) -> SphereLearning:
    torch.manual_seed(0)
    settings = DeepSvddSettings(objective=kind, width=4, latent=8, **changes)
    learning = SphereLearning(SphereNetwork(biasless_autoencoder((1, 32, 32), 4, 8).encoder, 8), settings)
    with torch.no_grad():
        for e in (0, epoch):
            learning.begin_epoch(e, blobs(50), Step(seed=0, epoch=e, step=-1, device=torch.device("cpu")))
    return learning


def test_encoder_has_no_bias_and_maps_nothing_to_nothing(fitted):
    encoder = fitted("deep_svdd").network_.encoder
    assert all(m.bias is None for m in encoder.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    with torch.no_grad():
        assert torch.equal(encoder(torch.zeros(1, 1, 32, 32)), torch.zeros(1, 8))


def test_centre_is_the_mean_embedding_kept_from_zero():
    learning = objective("one-class", 0)
    with torch.no_grad():
        mean = learning.network.encoder(torch.from_numpy(blobs(50)).float() / 255).double().mean(dim=0).numpy()
    expected = np.where(np.abs(mean) < 0.1, np.where(mean < 0, -0.1, 0.1), mean)
    assert (np.abs(mean) < 0.1).any()
    np.testing.assert_allclose(learning.network.centre.numpy(), expected, atol=1e-5)


def test_one_class_objective_is_the_mean_squared_distance():
    learning = objective("one-class", 3)
    x = torch.from_numpy(blobs(7, seed=1)).float() / 255
    with torch.no_grad():
        z, c = learning.network.encoder(x).double().numpy(), learning.network.centre.double().numpy()
        loss = float(learning.loss("adam", x, Step(seed=0, epoch=3, step=0, device=torch.device("cpu")))["loss"])
    assert loss == pytest.approx(np.mean(np.linalg.norm(z - c, axis=1) ** 2), rel=1e-5)
    assert float(learning.network.radius) == 0


def test_radius_minimises_the_soft_boundary_objective():
    """R² + 1/ν mean max(0, d − R²) over the training images, by a search that knows nothing of quantiles."""
    learning = objective("soft-boundary", 5, nu=0.25, warmup=5)
    with torch.no_grad():
        d = learning.network(torch.from_numpy(blobs(50)).float() / 255).double().numpy()

    def value(squared: float) -> float:
        return squared + np.maximum(0, d - squared).mean() / 0.25

    best = minimize_scalar(value, bounds=(0, d.max()), method="bounded", options={"xatol": 1e-10})
    radius = float(learning.network.radius)
    assert value(radius**2) == pytest.approx(best.fun, rel=1e-4)
    assert (d > radius**2).mean() == pytest.approx(0.25, abs=0.02)
    assert float(learning.objective(torch.from_numpy(d))) == pytest.approx(value(radius**2), rel=1e-5)


def test_radius_waits_for_the_warm_up():
    assert float(objective("soft-boundary", 4, warmup=5).network.radius) == 0
    assert objective("soft-boundary", 0).phase(4) == "warm-up"
    assert objective("soft-boundary", 0).phase(5) == objective("one-class", 0).phase(0) == "sphere"


def test_score_is_the_distance_less_the_soft_radius(fitted):
    X = blobs(9, seed=3)
    for name, soft in (("deep_svdd", False), ("deep_svdd, soft", True)):
        detector = fitted(name)
        distance = ((detector.embed(X).astype(float) - detector.network_.centre.numpy()) ** 2).sum(axis=1)
        radius = float(detector.network_.radius)
        assert (radius > 0) == soft
        np.testing.assert_allclose(detector.components(X)["score"], distance - radius**2, rtol=1e-9)


@pytest.mark.parametrize("kind", ["one-class", "soft-boundary"])
def test_training_draws_the_images_together(kind):
    learning, x = objective(kind, 0), torch.from_numpy(blobs(40, seed=1)).float() / 255
    with torch.no_grad():
        before = float(learning.network(x).mean())
    train(
        learning, blobs(48), blobs(16, seed=2), LoopSettings(epochs=2, batch_size=16, precision="no"), seed=0, device="cpu", progress=False
    )
    with torch.no_grad():
        assert float(learning.network(x).mean()) < 0.8 * before


def test_collapse_to_one_point_is_an_error():
    """A last layer of zeros gives every image the embedding 0; one that is all but zero is no better."""
    detector = fit("deep_svdd", epochs=2, epochs_autoencoder=1, warmup=0)
    detector._refuse_collapse(blobs(16, seed=1))
    for factor in (1e-6, 0.0):
        with torch.no_grad():
            detector.network_.encoder[-1].weight.mul_(factor)
        with pytest.raises(TrainingError, match="deep_svdd has collapsed"):
            detector._refuse_collapse(blobs(16, seed=1))


@pytest.mark.parametrize("changes", [{"objective": "two-class"}, {"epochs_autoencoder": 50}, {"warmup": 25}, {"nu": 0.0}])
def test_impossible_settings_are_refused(changes):
    with pytest.raises(SettingsError):
        DeepSvddSettings(**changes)
