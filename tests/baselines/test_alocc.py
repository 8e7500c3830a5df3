"""ALOCC's losses against scikit-learn, its game, its score, and that collapse is an error."""

from contextlib import suppress

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from novkit.baselines import AloccSettings
from novkit.baselines import alocc as alocc_module
from novkit.baselines.alocc import AdversarialReconstruction, Discriminator
from novkit.baselines.autoencoder import bottleneck_autoencoder
from novkit.errors import SettingsError, TrainingError
from novkit.training import Step
from tests.baselines.conftest import beside, fit
from tests.conftest import blobs

STEP = Step(seed=0, epoch=0, step=0, device=torch.device("cpu"))


def objective(**changes) -> AdversarialReconstruction:
    torch.manual_seed(0)
    settings = AloccSettings(width=4, latent=8, **changes)
    return AdversarialReconstruction(bottleneck_autoencoder((1, 32, 32), 4, 8), Discriminator((1, 32, 32), 4, settings.spectral), settings)


def images(n: int = 6) -> torch.Tensor:
    return torch.from_numpy(blobs(n)).float() / 255


def test_losses_are_cross_entropies_and_the_squared_norm():
    game, x = objective(noise=0.0), images()
    game.modules.eval()
    with torch.no_grad():
        made = game.modules["reconstructor"](x)
        real, fake = (torch.sigmoid(game.modules["discriminator"](v).double()).numpy() for v in (x, made))
        d = float(game.loss("discriminator", x, STEP)["loss"])
        r = {name: float(value) for name, value in game.loss("reconstructor", x, STEP).items()}
    assert d == pytest.approx(2 * log_loss([1] * 6 + [0] * 6, np.concatenate([real, fake])), rel=1e-5)
    assert r["adversarial"] == pytest.approx(log_loss([1] * 6, fake, labels=[0, 1]), rel=1e-5)
    assert r["error"] == pytest.approx(
        np.mean([np.linalg.norm(a - b) ** 2 for a, b in zip(x.numpy(), made.numpy(), strict=True)]), rel=1e-5
    )
    assert r["loss"] == pytest.approx(r["adversarial"] + 0.4 * r["error"], rel=1e-6)


def test_reconstructor_sees_noise_and_aims_at_the_clean_image():
    game, x = objective(noise=0.3), images(40)
    seen = []
    game.modules["reconstructor"].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    game.loss("reconstructor", x, STEP)
    noise = (seen[0] - x).flatten()
    assert abs(float(noise.std()) - 0.3) < 0.01
    assert abs(float(noise.mean())) < 0.01


def test_each_optimiser_moves_its_own_network():
    game, x = objective(), images()
    optimizers = game.optimizers()
    assert list(optimizers) == ["discriminator", "reconstructor"]
    for name, optimizer in optimizers.items():
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        assert held == {id(p) for p in game.modules[name].parameters()}
    game.loss("discriminator", x, STEP)["loss"].backward()
    assert all(p.grad is None for p in game.modules["reconstructor"].parameters())


def test_spectral_norm_bounds_every_layer():
    game = objective()
    for _ in range(200):  # its power iteration takes one step a call
        game.modules["discriminator"](images(1))
    layers = [m for m in game.modules["discriminator"].modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) == 4
    for layer in layers:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1, abs=0.02)
    assert not hasattr(Discriminator((1, 32, 32), 4, False).layers[0], "parametrizations")


def test_score_is_minus_the_logit_of_the_noiseless_reconstruction(fitted):
    alocc, X = fitted("alocc"), np.concatenate([blobs(10, seed=3), beside(10, seed=4)])
    parts = alocc.components(X)
    with torch.no_grad():
        made = torch.from_numpy(alocc.reconstruct(X))
        logit = alocc.discriminator_(made).double().numpy()
        direct = alocc.discriminator_(torch.from_numpy(X).float() / 255).double().numpy()
    np.testing.assert_allclose(parts["score"], -logit, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(parts["unrestored"], -direct, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(parts["error"], ((X / 255 - made.numpy()) ** 2).mean(axis=(1, 2, 3)), rtol=1e-4)
    y = [0] * 10 + [1] * 10
    assert roc_auc_score(y, parts["score"]) == roc_auc_score(y, 1 - 1 / (1 + np.exp(-logit)))  # 1 − D(R(x)), the published score


@pytest.fixture
def rates(monkeypatch) -> list[tuple[float, float]]:
    """The rates of R and D of every attempt."""
    found = []

    class Watched(alocc_module.AdversarialReconstruction):
        def __init__(self, reconstructor, discriminator, settings):
            found.append((settings.lr, settings.lr_discriminator))
            super().__init__(reconstructor, discriminator, settings)

    monkeypatch.setattr(alocc_module, "AdversarialReconstruction", Watched)
    return found


def test_a_collapsed_run_is_not_the_last_one(rates):
    with suppress(TrainingError):
        fit("alocc", epochs=2, lr=3.0)
    assert len(rates) > 1


def test_a_collapsed_run_starts_again_at_a_third_of_the_rates(monkeypatch, rates):
    monkeypatch.setattr(alocc_module, "draws_one_picture", lambda *a: len(rates) == 1)  # the first attempt's
    found = fit("alocc", epochs=1, lr=3e-3, lr_discriminator=6e-3)
    assert rates == [(3e-3, 6e-3), (pytest.approx(1e-3), pytest.approx(2e-3))]
    assert found.settings_.lr == 3e-3  # what was asked for stays on record


def test_a_reconstructor_that_draws_one_picture_at_every_rate_is_refused(monkeypatch):
    monkeypatch.setattr(alocc_module, "draws_one_picture", lambda *a: True)
    with pytest.raises(TrainingError, match=r"the same of every held-out image, at lr 0\.9 and down to 0\.1"):
        fit("alocc", epochs=1, lr=0.9)


@pytest.mark.parametrize("changes", [{"noise": -0.1}, {"reconstruction_weight": -1.0}])
def test_impossible_settings_are_refused(changes):
    with pytest.raises(SettingsError):
        AloccSettings(**changes)


def test_what_a_step_that_ran_out_of_memory_kept_is_let_go_first():
    game, x, kept = objective(), images(), []
    game.modules["reconstructor"].register_forward_pre_hook(lambda *_: kept.append(game._kept))
    for _ in range(2):  # as if the discriminator's gradients had not fitted the first time
        game.loss("discriminator", x, STEP)
    assert kept == [None, None]
    assert game._kept is not None
