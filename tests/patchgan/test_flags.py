"""Patch-GAN's settings, one flag each, and its collapse errors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from novkit.errors import SettingsError, TrainingError
from novkit.patchgan import PatchGan
from novkit.patchgan.objectives import MaskedRestoration
from novkit.patchgan.ranking import image_score
from novkit.training import Step
from tests.conftest import blobs
from tests.patchgan.small import TINY, fitted, rebuilt

# ---- one flag each -------------------------------------------------------------------------------------------------


def objective(**changes) -> MaskedRestoration:
    detector = PatchGan(TINY)
    detector.settings_, detector.image_shape_ = replace(TINY, **changes), (1, 32, 32)
    detector._build()
    return MaskedRestoration(detector.reconstructor_, detector.discriminator_, detector.grid_, detector.settings_)


def step() -> Step:
    return Step(seed=0, epoch=0, step=0, device=torch.device("cpu"))


def losses(game: MaskedRestoration) -> dict[str, dict[str, torch.Tensor]]:
    x = torch.from_numpy(blobs(8)).float() / 255
    return {name: game.loss(name, x, step()) for name in game.optimizers()}


def test_without_a_mask_everything_is_seen_and_judged():
    game = objective(masked=False)
    x = torch.from_numpy(blobs(4)).float() / 255
    hidden, mask, _ = game.restore(x, step().generator("mask"))
    assert hidden.all()
    assert (mask == 0).all()
    detector = fitted(replace(TINY, epochs=1, masked=False))
    with torch.inference_mode():
        seen = detector.reconstructor_(torch.from_numpy(blobs(3)).float() / 255, torch.zeros(3, 1, 32, 32)).numpy()
    np.testing.assert_allclose(detector.reconstruct(blobs(3)), seen, atol=1e-6)


def test_without_a_discriminator_there_is_one_player_and_no_authenticity():
    game = objective(discriminator=False)
    assert list(game.optimizers()) == ["reconstructor"]
    assert set(losses(game)["reconstructor"]) == {"loss", "error"}
    parts = fitted(replace(TINY, epochs=1, discriminator=False)).components(blobs(3))
    np.testing.assert_array_equal(parts["patch_scores"], parts["patch_error"])
    assert (parts["patch_adversarial"] == 0).all()


def test_the_discriminator_comes_first_and_its_restoration_is_used_again():
    game = objective()
    assert list(game.optimizers()) == ["discriminator", "reconstructor"]
    passes = []
    game.modules["reconstructor"].register_forward_hook(lambda *_: passes.append(1))
    found = losses(game)
    assert len(passes) == 1
    own = [p for p in game.modules["reconstructor"].parameters()]
    assert all(g is None for g in torch.autograd.grad(found["discriminator"]["loss"], own, allow_unused=True))
    assert all(g is not None for g in torch.autograd.grad(found["reconstructor"]["loss"], own))


def test_learning_rates_fall_by_half_a_cosine():
    game = objective(epochs=11, final_lr=0.2, lr=0.01, lr_discriminator=0.1)
    optimizers = game.optimizers()
    rates = []
    for epoch in (0, 5, 10):
        game.begin_epoch(epoch, blobs(1), step())
        rates.append([optimizer.param_groups[0]["lr"] for optimizer in optimizers.values()])
    np.testing.assert_allclose(rates, np.outer([1, 0.6, 0.2], [0.1, 0.01]))


def test_networks_follow_scales_and_global_logit():
    assert len(objective(scales=1).discriminator.scales) == 1
    assert len(objective(scales=2).discriminator.scales) == 2
    assert "image" in losses(objective())["discriminator"]
    assert "image" not in losses(objective(global_logit=False))["discriminator"]


def test_no_ranking_in_the_loss_is_the_plain_mean():
    game = objective(rank_loss=False, discriminator=False, visible_weight=0.0)
    found = losses(game)["reconstructor"]
    assert float(found["loss"].detach()) == pytest.approx(float(found["error"].detach()), rel=1e-6)
    ranked = losses(objective(discriminator=False, visible_weight=0.0, tau_loss=0.1))["reconstructor"]
    assert float(ranked["loss"].detach()) > 1.1 * float(ranked["error"].detach())


@pytest.mark.parametrize("how", ["mean", "max", "top_k", "ranked"])
def test_aggregates(detector, how):
    parts = rebuilt(detector, aggregate=how).components(blobs(4))
    np.testing.assert_array_equal(parts["score"], image_score(parts["patch_scores"], how, tau=TINY.tau_score, top_k=TINY.top_k))


@pytest.mark.parametrize(("how", "shape"), [("none", (1,)), ("global", (1,)), ("position", (64,))])
def test_standardisation(how, shape):
    detector = fitted(replace(TINY, epochs=1, standardise=how, smoothing=0.0, relative=False, edge_discount=0.0))
    assert detector.scale_["error_mean"].shape == shape
    parts = detector.components(blobs(16, seed=1))
    if how == "none":
        expected = np.abs(blobs(16, seed=1) / 255.0 - detector.reconstruct(blobs(16, seed=1)))
        assert (parts["patch_error"] >= expected.reshape(16, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(16, 64) - 1e-6).all()
    else:
        assert abs(parts["patch_error"].mean()) < 1e-6


def test_adversarial_scores(detector):
    X = blobs(3, seed=10)
    x = torch.from_numpy(X).float() / 255
    judge = detector.discriminator_
    values = {}
    for how in ("cover", "image", "features"):
        other = rebuilt(detector, adversarial_score=how)
        scale = {name: other.scale_[f"unlike_{name}"].numpy() for name in ("mean", "deviation")}
        values[how] = other.components(X)["patch_adversarial"] * scale["deviation"] + scale["mean"]
    with torch.inference_mode():
        np.testing.assert_allclose(values["image"], -judge(x)[0].numpy(), atol=1e-6)
        assert float(judge.feature_distance(x, x).abs().max()) == 0
    assert (values["features"] > 0).all()
    assert not np.allclose(values["cover"], values["image"])


# ---- collapse ------------------------------------------------------------------------------------------------------


def test_a_discriminator_that_always_wins_ends_the_run():
    with pytest.raises(TrainingError, match="discriminator has won every patch for 2 epochs"):
        fitted(replace(TINY, lost_below=10.0, lost_epochs=2))
    game = objective(lost_epochs=2)
    for held_out in (0.0, 0.5, 0.0, 0.5):  # a win now and then is no defeat
        game._watch(held_out, 0)


def test_a_dead_discriminator_and_a_dead_reconstructor_are_named(detector):
    broken = rebuilt(detector)
    broken.discriminator_.forward = lambda x: (torch.zeros(len(x), 64), None)
    with pytest.raises(TrainingError, match="discriminator says the same"):
        broken._calibrate(blobs(16, seed=1))
    broken = rebuilt(detector)
    broken.reconstructor_.forward = lambda x, mask: torch.zeros_like(x)
    with pytest.raises(TrainingError, match="reconstructor is equally wrong"):
        broken._calibrate(np.full((4, 1, 32, 32), 128, np.uint8))


def test_diverged_training_is_an_error():
    with pytest.raises(TrainingError):
        fitted(replace(TINY, lr=float("inf")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_share": 0.3}, "mask_share"),
        ({"mask_share": 0.0}, "mask_share"),
        ({"boxes": ()}, "boxes"),
        ({"scales": 3}, "scales"),
        ({"rank_by": "logit"}, "rank_by"),
        ({"standardise": "image"}, "standardise"),
        ({"aggregate": "median"}, "aggregate"),
        ({"adversarial_score": "fake"}, "adversarial_score"),
        ({"gamma": 1.5}, "gamma"),
        ({"tau_loss": 0.0}, "tau_loss"),
        ({"adversarial_weight": -1.0}, "negative"),
        ({"partitions": 0}, "partitions"),
        ({"patch": 1}, "patch"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        replace(TINY, **changes)


def test_what_a_step_that_ran_out_of_memory_kept_is_let_go_first():
    game, x, kept = objective(), torch.from_numpy(blobs(8)).float() / 255, []
    game.modules["reconstructor"].register_forward_pre_hook(lambda *_: kept.append(game._kept))
    for _ in range(2):  # as if the discriminator's gradients had not fitted the first time
        game.loss("discriminator", x, step())
    assert kept == [None, None]
    assert game._kept is not None
