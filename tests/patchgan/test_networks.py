"""The reconstructor sees nothing of what is hidden; the discriminator has a logit for every patch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from novkit.errors import SettingsError
from novkit.patchgan.losses import global_hinge, patch_hinge
from novkit.patchgan.masking import PatchGrid, hidden_patches
from novkit.patchgan.networks import Discriminator, Reconstructor, _area_weights

SHAPES = [(1, 64, 64), (3, 32, 32), (1, 28, 28), (1, 16, 24), (3, 128, 128)]


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_and_ranges(shape):
    grid = PatchGrid.of(shape)
    x, mask = torch.rand(2, *shape), grid.spread(hidden_patches(2, grid, (1,), 4, torch.Generator().manual_seed(0)).float())
    restored = Reconstructor(shape, 4).eval()(x, mask).detach()
    assert restored.shape == x.shape
    assert 0 <= float(restored.min()) <= float(restored.max()) <= 1
    for scales in (1, 2):
        patch, whole = Discriminator(shape, grid, width=4, scales=scales, global_logit=True)(x)
        assert patch.shape == (2, grid.count)
        assert whole.shape == (2,)
    assert Discriminator(shape, grid, width=4, scales=1, global_logit=False)(x)[1] is None


def test_what_is_hidden_cannot_change_its_own_restoration():
    """Bit for bit, in a trained-like state of the normalisation too."""
    shape = (1, 32, 32)
    grid = PatchGrid.of(shape)
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(4, *shape, generator=generator)
    mask = grid.spread(hidden_patches(4, grid, (1, 2), 4, generator).float())
    other = torch.where(mask == 1, torch.rand(x.shape, generator=generator), x)
    network = Reconstructor(shape, 4).eval()
    assert not torch.equal(other, x)
    assert torch.equal(network(other, mask), network(x, mask))
    seen = torch.where(mask == 0, 1 - x, x)
    assert not torch.equal(network(seen, mask), network(x, mask))


def test_every_place_is_restored_from_all_the_others():
    shape = (1, 32, 32)
    network = Reconstructor(shape, 4).eval()
    x = torch.rand(1, *shape, requires_grad=True)
    network(x, torch.zeros(1, 1, 32, 32))[0, 0, 2, 2].backward()
    assert (x.grad[0, 0, 24:, 24:] != 0).any()


@pytest.mark.parametrize(("fine", "coarse"), [(16, 8), (7, 4), (14, 8), (3, 3), (4, 8)])
def test_area_weights_conserve_the_mean(fine, coarse):
    weight = _area_weights(fine, coarse, torch.zeros(1))
    np.testing.assert_allclose(weight.sum(dim=1), 1, rtol=1e-5)
    values = torch.rand(fine)
    np.testing.assert_allclose((weight @ values).mean(), values.mean(), rtol=1e-5)
    fine_on_common = values.repeat_interleave(coarse)  # brute force on the common refinement
    np.testing.assert_allclose(weight @ values, fine_on_common.reshape(coarse, fine).mean(dim=1), rtol=1e-5)
    if fine % coarse == 0:
        torch.testing.assert_close(weight @ values, F.adaptive_avg_pool1d(values[None], coarse)[0])


def test_a_patch_logit_belongs_to_its_place():
    """The logit of the top-left patch feels its own pixels, not the far corner's."""
    shape = (1, 64, 64)
    judge = Discriminator(shape, PatchGrid.of(shape), width=4, scales=2, global_logit=False).eval()
    x = torch.rand(1, *shape, requires_grad=True)
    judge(x)[0][0, 0].backward()
    assert (x.grad[0, 0, :8, :8] != 0).any()
    assert (x.grad[0, 0, 48:, 48:] == 0).all()


def test_spectral_norm_bounds_every_layer_but_the_last():
    torch.manual_seed(0)
    judge = Discriminator((1, 32, 32), PatchGrid.of((1, 32, 32)), width=4, scales=2, global_logit=True)
    with torch.no_grad():
        for parameter in judge.parameters():
            parameter.mul_(20)
    for _ in range(100):  # the power iteration of training
        judge(torch.rand(2, 1, 32, 32))
    free = {judge.to_logit[0], judge.to_logit[1], judge.to_global[-1]}
    layers = [m for m in judge.eval().modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear) and m not in free]
    assert len(layers) == 2 * 2 + 1
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2)
        assert float(norm) == pytest.approx(1, abs=0.02)


def test_bfloat16_autocast_trains():
    shape = (1, 32, 32)
    grid = PatchGrid.of(shape)
    network, judge = Reconstructor(shape, 4), Discriminator(shape, grid, width=4, scales=2, global_logit=True)
    x = torch.rand(4, *shape)
    hidden = hidden_patches(4, grid, (1,), 4, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        restored = network(x, grid.spread(hidden.float())).float()
        patch, whole = judge(torch.cat([x, restored.detach()]))
        loss = patch_hinge(patch[:4].float(), patch[4:].float(), hidden) + global_hinge(whole[:4].float(), whole[4:].float())
        loss = loss + restored.mean()
    loss.backward()
    for module in (network, judge):
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    assert all(buffer.dtype == torch.float32 for name, buffer in judge.named_buffers())


def test_sizes_that_do_not_halve_are_refused():
    with pytest.raises(SettingsError, match="multiples"):
        Reconstructor((1, 36, 50), 4)
