"""Patch-GAN as a whole: contract, score, covers, flags, collapse."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from novkit.errors import SettingsError
from novkit.methods import load_detector, make_detector
from novkit.patchgan import PatchGan, PatchGanSettings
from novkit.patchgan.detector import brightness
from novkit.patchgan.objectives import MaskedRestoration
from novkit.training import LoopSettings
from tests.conftest import blobs
from tests.patchgan.small import TINY, fitted, planted, rebuilt


@pytest.fixture(scope="module")
def trained() -> PatchGan:
    return fitted(replace(TINY, width=8, epochs=16, batch_size=12), n=96)


# ---- what it learns ------------------------------------------------------------------------------------------------


def test_it_finds_and_locates_what_was_planted(trained):
    X, changed, place = planted(40)
    score = trained.novelty_score(np.concatenate([X, changed]))
    assert roc_auc_score([0] * 40 + [1] * 40, score) > 0.8
    maps = trained.novelty_map(changed)
    assert maps.shape == (40, 32, 32)
    assert maps.dtype == np.float32
    assert roc_auc_score(place.ravel(), maps.ravel()) > 0.9


def test_restoration_is_nearer_to_the_normal_image_than_the_planted_one_is(trained):
    X, changed, place = planted(20)
    restored = trained.reconstruct(changed)[:, 0][place]
    before, after = (np.abs(image / 255.0 - X[:, 0][place] / 255.0).mean() for image in (changed[:, 0][place], restored * 255))
    assert after < 0.6 * before


def test_history_records_both_players(trained):
    epochs = trained.history_["patchgan"].epochs
    wanted = {"discriminator_loss", "reconstructor_loss", "reconstructor_error", "val_loss", "val_discriminator_loss"}
    assert all(wanted <= set(epoch) for epoch in epochs)
    assert epochs[-1]["val_loss"] < epochs[0]["val_loss"]
    assert epochs[trained.history_["patchgan"].best_epoch]["val_loss"] == min(epoch["val_loss"] for epoch in epochs)
    assert sorted(trained.panel_) == list(range(16))
    assert trained.panel_[0].shape == (4, 1, 32, 32)
    held_out = blobs(16, seed=1)[:4].astype(int)
    errors = [np.abs(trained.panel_[epoch] - held_out).mean() for epoch in (0, 15)]
    assert errors[1] < errors[0]


# ---- the score -----------------------------------------------------------------------------------------------------


def test_score_is_made_of_its_components(detector):
    parts = detector.components(blobs(6, seed=3))
    s = (1 - TINY.gamma) * parts["patch_error"] + TINY.gamma * parts["patch_adversarial"]
    np.testing.assert_allclose(parts["patch_scores"], s, rtol=1e-12)
    assert parts["patch_scores"].shape == (6, 64)
    order = np.sort(s, axis=1)[:, ::-1]
    weight = np.exp(-np.arange(64) / (TINY.tau_score * 64))
    np.testing.assert_allclose(parts["score"], (order * weight).sum(axis=1) / weight.sum(), rtol=1e-9)
    assert all(value.dtype == np.float64 for value in parts.values())


def test_every_patch_of_the_cover_is_restored_without_itself(detector):
    """By hand from single masks: the error of each patch, its mean over partitions."""
    detector = rebuilt(detector, smoothing=0.0, relative=False, edge_discount=0.0)
    X = blobs(2, seed=4)
    grid = detector.grid_
    errors, covers = [], []
    for label in detector.covers_:
        assert set(label.tolist()) == {0, 1, 2, 3}
        cover = np.zeros((2, 1, 32, 32), np.float32)
        for number in range(4):
            hidden = (label == number).numpy()
            where = grid.spread(torch.from_numpy(hidden)[None].float())[0, 0].numpy().astype(bool)
            cover[:, :, where] = detector.reconstruct_masked(X, hidden)[:, :, where]
        covers.append(cover)
        errors.append(np.abs(X / 255.0 - cover).reshape(2, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(2, 64))
    np.testing.assert_allclose(detector.reconstruct(X), np.mean(covers, axis=0), atol=1e-6)
    raw = detector.components(X)["patch_error"] * detector.scale_["error_deviation"].numpy() + detector.scale_["error_mean"].numpy()
    np.testing.assert_allclose(raw, np.mean(errors, axis=0), atol=1e-6)


def test_a_patch_hidden_in_all_covers_never_restores_itself(detector):
    """A change inside one cell of the first partition leaves that cell's own cover as it was."""
    X = blobs(1, seed=5)
    label = detector.covers_[0]
    hidden = (label == 2).numpy()
    where = detector.grid_.spread(torch.from_numpy(hidden)[None].float())[0, 0].numpy().astype(bool)
    changed = X.copy()
    changed[:, :, where] = 255 - changed[:, :, where]
    np.testing.assert_array_equal(detector.reconstruct_masked(changed, hidden), detector.reconstruct_masked(X, hidden))


def residual(detector, x, cover):
    return detector._residual(x, cover, detector._weight(x))


def test_residual_is_smoothed_before_its_size_is_taken(detector):
    x, cover = (torch.from_numpy(blobs(2, seed=number)).float() / 255 for number in (11, 12))
    plain = residual(rebuilt(detector, smoothing=0.0, relative=False, edge_discount=0.0), x, cover)
    torch.testing.assert_close(plain, (x - cover).abs())
    smooth = residual(rebuilt(detector, smoothing=0.75, relative=False, edge_discount=0.0), x, cover)  # 0.75 × 4 pixels
    inner = uniform_filter((x - cover).numpy()[:, 0], size=(0, 3, 3))[:, 2:-2, 2:-2]
    np.testing.assert_allclose(smooth[:, 0, 2:-2, 2:-2], np.abs(inner), atol=1e-6)
    assert (smooth.mean() < plain.mean()).all()


def test_gain_is_no_novelty_in_relative_units(detector):
    x, cover = (torch.from_numpy(blobs(2, seed=number)).float() / 255 for number in (11, 12))
    assert TINY.relative
    torch.testing.assert_close(residual(detector, x / 2, cover / 2), residual(detector, x, cover))
    quartile = np.quantile(x.numpy().reshape(2, -1), 0.75, axis=1)
    np.testing.assert_allclose(brightness(x).flatten(), quartile, atol=2e-3)
    assert brightness(torch.zeros(1, 3, 8, 8)).item() == pytest.approx(0.05)


def test_edges_are_discounted(detector):
    """A step of the image weighs its neighbourhood down; flat places keep their residual."""
    x = torch.full((1, 1, 32, 32), 0.2)
    x[:, :, :, 16:] = 0.7
    cover = x - 0.1
    plain = residual(rebuilt(detector, smoothing=0.75, relative=False, edge_discount=0.0), x, cover)
    found = residual(rebuilt(detector, smoothing=0.75, relative=False, edge_discount=2.0), x, cover)
    expected = torch.full((32,), 0.1)
    expected[14:17] = 0.1 / (1 + 2 * 4 * 0.5 / 3)  # the step of 0.5 lies in column 15, averaged over three, four pixels a patch
    torch.testing.assert_close(plain, torch.full_like(plain, 0.1))
    torch.testing.assert_close(found[0, 0, 9], expected)


def test_held_out_components_are_standard(detector):
    parts = detector.components(blobs(16, seed=1))  # those that calibrate
    for name in ("patch_error", "patch_adversarial"):
        np.testing.assert_allclose(parts[name].mean(axis=0), 0, atol=1e-6)
        assert 0.5 < parts[name].std() < 1


def test_an_image_scores_the_same_alone_and_among_others(detector):
    X = blobs(7, seed=6)
    together = detector.novelty_score(X)
    np.testing.assert_allclose([detector.novelty_score(x[None])[0] for x in X], together, atol=1e-3)
    np.testing.assert_allclose(detector.novelty_score(X[::-1]), together[::-1], atol=1e-3)
    np.testing.assert_array_equal(detector.novelty_score(X), together)


def test_map_is_patch_scores_and_pixel_residuals(detector):
    X = blobs(3, seed=8)
    residuals, patches = (rebuilt(detector, map_residual=share).novelty_map(X) for share in (1.0, 0.0))
    together = TINY.map_residual * residuals + (1 - TINY.map_residual) * patches
    np.testing.assert_allclose(detector.novelty_map(X), together, atol=1e-4)
    s = detector.components(X)["patch_scores"].reshape(3, 8, 8)
    centre = patches.reshape(3, 8, 4, 8, 4)[:, :, 1:3, :, 1:3].mean(axis=(2, 4))
    assert np.corrcoef(centre.ravel(), s.ravel())[0, 1] > 0.9


# ---- the contract --------------------------------------------------------------------------------------------------


def test_same_seed_same_weights_other_seed_others(detector):
    again, other = fitted(), fitted(seed=1)
    for a, b in zip(detector.reconstructor_.parameters(), again.reconstructor_.parameters(), strict=True):
        assert torch.equal(a, b)
    np.testing.assert_array_equal(again.novelty_score(blobs(4)), detector.novelty_score(blobs(4)))
    assert not torch.equal(detector.covers_, other.covers_)
    assert not np.array_equal(other.novelty_score(blobs(4)), detector.novelty_score(blobs(4)))


@pytest.mark.parametrize("changes", [{}, {"discriminator": False}, {"standardise": "none"}])
def test_saved_and_loaded_it_scores_the_same_bits(changes, tmp_path):
    detector = fitted(replace(TINY, epochs=1, **changes))
    detector.save(tmp_path / "detector")
    loaded = load_detector(tmp_path / "detector", device="cpu")
    X = blobs(5, seed=9)
    for name, value in detector.components(X).items():
        np.testing.assert_array_equal(loaded.components(X)[name], value)
    np.testing.assert_array_equal(loaded.novelty_map(X), detector.novelty_map(X))
    assert loaded.settings == detector.settings
    assert loaded.threshold_ == detector.threshold_


def test_a_killed_run_ends_as_an_undisturbed_one(detector, tmp_path, monkeypatch):
    validate = MaskedRestoration.validate

    def dies(self, images, step):
        if step.epoch == 1:
            raise KeyboardInterrupt
        return validate(self, images, step)

    monkeypatch.setattr("novkit.patchgan.detector.LoopSettings", partial(LoopSettings, checkpoint_seconds=0.0))
    monkeypatch.setattr(MaskedRestoration, "validate", dies)
    with pytest.raises(KeyboardInterrupt):
        fitted(workdir=tmp_path)
    monkeypatch.setattr(MaskedRestoration, "validate", validate)
    resumed = fitted(workdir=tmp_path)
    assert sorted(resumed.panel_) == [1]  # the first epoch was not run again
    np.testing.assert_array_equal(resumed.novelty_score(blobs(4)), detector.novelty_score(blobs(4)))


def test_colour_and_odd_sizes():
    assert np.isfinite(fitted(replace(TINY, epochs=1), channels=3).novelty_map(blobs(3, channels=3))).all()
    X = blobs(20, size=28)
    detector = PatchGan(replace(TINY, epochs=1, patch=7, boxes=(1,)), device="cpu", progress=False).fit(X)
    assert detector.components(X)["patch_scores"].shape == (20, 16)
    with pytest.raises(SettingsError):
        PatchGan(TINY, device="cpu", progress=False).fit(np.tile(X, (1, 1, 2, 2))[:, :, :50, :38])


def test_clone_params_and_registry():
    detector = PatchGan(TINY, seed=3)
    assert clone(detector).get_params() == detector.get_params()
    assert make_detector("patchgan", "quick", changes={"epochs": 2}).settings.epochs == 2
    assert PatchGanSettings.paper().epochs > PatchGanSettings.quick().epochs


def test_assessing_is_scoring_and_mapping_at_once(trained):
    X = planted(5)[1]
    components, maps = trained.assess(X)
    for name, values in trained.components(X).items():
        np.testing.assert_array_equal(components[name], values)
    np.testing.assert_array_equal(maps, trained.novelty_map(X))
    patches = components["patch_scores"]
    np.testing.assert_allclose(components["mean"], patches.mean(axis=1))
    np.testing.assert_allclose(components["max"], patches.max(axis=1))


def test_masked_is_what_the_reconstructor_sees(trained):
    """Black where the first mask hides, untouched elsewhere; about a share r is black."""
    X = np.maximum(blobs(3), 1)  # no pixel is black by itself
    seen = trained.masked(X)
    black = (seen == 0).all(axis=1)
    assert (seen[~black[:, None]] == X[~black[:, None]]).all()
    assert (black == black[0]).all()
    cells = black[0].reshape(trained.grid_.rows, trained.grid_.patch, trained.grid_.columns, trained.grid_.patch)
    share = cells.mean(axis=(1, 3))
    assert set(np.unique(share)) == {0.0, 1.0}  # whole patches
    np.testing.assert_array_equal(share.ravel() > 0, trained.covers_[0].numpy() == 0)
