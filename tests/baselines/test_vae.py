"""The variational autoencoder's terms against torch.distributions and a Monte Carlo estimate."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from novkit.baselines import VaeSettings
from novkit.baselines import vae as module
from novkit.errors import SettingsError
from novkit.training import Step
from tests.conftest import blobs


def test_kl_is_that_of_torch_distributions():
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(5, 7, generator=generator), torch.randn(5, 7, generator=generator)
    q, p = Normal(mean, (0.5 * log_variance).exp()), Normal(torch.zeros(5, 7), torch.ones(5, 7))
    torch.testing.assert_close(module.kl_divergence(mean, log_variance), kl_divergence(q, p).sum(dim=1))
    assert float(module.kl_divergence(torch.zeros(1, 3), torch.zeros(1, 3))) == 0


def test_reconstruction_is_the_gaussian_without_its_constant():
    x, y = torch.rand(4, 2, 5, 3), torch.rand(4, 2, 5, 3)
    full = -Normal(y, 0.2).log_prob(x).flatten(1).sum(dim=1)
    constant = 30 * math.log(0.2 * math.sqrt(2 * math.pi))
    torch.testing.assert_close(module.reconstruction_nats(x, y, 0.2) + constant, full)


def test_score_is_reconstruction_at_the_mean_plus_beta_kl(fitted):
    vae, X = fitted("vae"), blobs(5, seed=3)
    parts, s = vae.components(X), fitted("vae").settings_
    np.testing.assert_allclose(parts["score"], parts["reconstruction"] + s.beta * parts["kl"], rtol=1e-12)
    residual = (X / 255 - vae.reconstruct(X)) ** 2
    np.testing.assert_allclose(parts["reconstruction"], residual.sum(axis=(1, 2, 3)) / (2 * s.noise**2), rtol=1e-4)
    np.testing.assert_allclose(vae.novelty_map(X), residual.mean(axis=1), rtol=1e-3, atol=1e-6)


def test_latent_is_drawn_from_q(fitted):
    """The mean loss over many draws is reconstruction expected under q, by torch.distributions, plus KL."""
    vae = fitted("vae")
    x = torch.from_numpy(blobs(1, seed=4)).float() / 255
    objective = module.EvidenceLowerBound(vae.autoencoder_, vae.settings_)
    with torch.no_grad():
        draws = [objective.terms(x, torch.Generator().manual_seed(k))["reconstruction"] for k in range(400)]
        mean, log_variance = vae.autoencoder_.encode(x)
        torch.manual_seed(0)
        z = Normal(mean[0], (0.5 * log_variance[0]).exp()).sample((400,))
        expected = module.reconstruction_nats(x.expand(400, -1, -1, -1), vae.autoencoder_.decoder(z), vae.settings_.noise)
    spread = float(expected.std()) / math.sqrt(400)
    assert abs(float(torch.stack(draws).mean() - expected.mean())) < 5 * spread
    assert abs(float(torch.stack(draws).std() / expected.std()) - 1) < 0.3


def test_validation_is_the_same_at_every_epoch(fitted):
    objective = module.EvidenceLowerBound(fitted("vae").autoencoder_, fitted("vae").settings_)
    device = torch.device("cpu")
    with torch.no_grad():
        first, second = (objective.validate(blobs(9), Step(seed=1, epoch=e, step=-1, device=device)) for e in (0, 5))
    assert first == second


def test_beta_weighs_the_latent_away():
    from tests.baselines.conftest import fit

    strong = fit("vae", beta=1000.0, epochs=3).components(blobs(20, seed=2))
    weak = fit("vae", beta=0.01, epochs=3).components(blobs(20, seed=2))
    assert strong["kl"].mean() < 0.05 * weak["kl"].mean()


@pytest.mark.parametrize("changes", [{"beta": 0.0}, {"noise": 0.0}, {"latent": 0}])
def test_impossible_settings_are_refused(changes):
    with pytest.raises(SettingsError):
        VaeSettings(**changes)
