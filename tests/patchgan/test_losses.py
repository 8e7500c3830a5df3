"""L_R and L_D against closed forms and finite differences."""

import math

import pytest
import torch

from novkit.patchgan.losses import composite, global_hinge, mean_over, patch_hinge, patch_loss, visible_error
from novkit.patchgan.masking import PatchGrid, hidden_patches
from novkit.patchgan.networks import Discriminator, Reconstructor
from novkit.patchgan.objectives import MaskedRestoration
from novkit.patchgan.ranking import rank_weights
from novkit.patchgan.settings import PatchGanSettings

GRID = PatchGrid.of((1, 16, 16), 4)


def game(**changes) -> MaskedRestoration:
    s = PatchGanSettings(
        **{"width": 4, "discriminator_width": 4, "boxes": (1, 2), "adversarial_weight": 0.3, "global_weight": 0.2, **changes}
    )
    torch.manual_seed(0)
    judge = Discriminator((1, 16, 16), GRID, width=4, scales=s.scales, global_logit=s.global_logit) if s.discriminator else None
    objective = MaskedRestoration(Reconstructor((1, 16, 16), 4), judge, GRID, s)
    objective.modules.double().eval()
    return objective


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    hidden = hidden_patches(3, GRID, (1, 2), 4, generator)
    x, restored = (torch.rand(3, 1, 16, 16, generator=generator, dtype=torch.float64) for _ in range(2))
    return x, restored, GRID.spread(hidden.double()), hidden


def test_hinge_against_closed_form():
    real, fake = torch.tensor([[2.0, 0.5, -1.0]]), torch.tensor([[-3.0, 0.0, 2.0]])
    hidden = torch.tensor([[True, True, False]])
    # (max(0, 1−2) + max(0, 1−3)) = 0 and (0.5 + 1) = 1.5, mean over the two hidden
    assert float(patch_hinge(real, fake, hidden)) == pytest.approx(0.75)
    assert float(global_hinge(torch.tensor([0.0, 3.0]), torch.tensor([0.0, -3.0]))) == pytest.approx(1.0)


def test_patch_loss_against_closed_form():
    error, logit = torch.tensor([[0.5, 0.1, 9.0]]), torch.tensor([[1.0, -1.0, 9.0]])
    hidden = torch.tensor([[True, True, False]])
    weight = rank_weights(error - 0.2 * logit, 0.5, hidden)  # 0.3 and 0.3 + … : both terms decide
    first, second = math.exp(0), math.exp(-1 / (0.5 * 2))
    values = sorted([0.5 - 0.2, 0.1 + 0.2], reverse=True)
    expected = (first * values[0] + second * values[1]) / (first + second)
    assert float(patch_loss(error, logit, weight, hidden, 0.2)) == pytest.approx(expected)
    assert float(patch_loss(error, None, hidden.float(), hidden, 0.2)) == pytest.approx(0.3)


def test_visible_error_and_composite_look_only_where_they_should():
    x, restored, mask, _ = batch()
    shown = composite(x, restored, mask)
    assert torch.equal(shown[mask == 1], restored[mask == 1])
    assert torch.equal(shown[mask == 0], x[mask == 0])
    assert float(visible_error(x, restored, mask)) == pytest.approx(float((x - restored).abs()[mask == 0].mean()))
    assert float(mean_over(torch.ones(2, 4), torch.tensor([[True, False, False, False]] * 2))) == 1


def test_gradient_of_the_reconstructor_loss_is_the_finite_difference_with_frozen_weights():
    objective = game()
    x, restored, mask, hidden = batch()
    logit, _ = objective.discriminator(composite(x, restored, mask))
    frozen = objective.weights(objective.grid.mean((x - restored).abs()), logit, hidden).detach()

    def with_frozen(y: torch.Tensor) -> torch.Tensor:
        """L_R by hand: ranks as they were."""
        logit, whole = objective.discriminator(composite(x, y, mask))
        squares = (x - y).abs()[:, 0].unfold(1, 4, 4).unfold(2, 4, 4)  # (n, 4, 4, 4, 4): rows and columns of patches, then within
        error = squares.mean(dim=(3, 4)).flatten(1)
        per_image = (frozen * (error - 0.3 * logit) * hidden).sum(dim=1) / hidden.sum(dim=1)
        return per_image.mean() - 0.2 * whole.mean() + 0.1 * (x - y).abs()[mask == 0].mean()

    y = restored.clone().requires_grad_()
    loss = objective.reconstructor_loss(x, y, mask, hidden)["loss"]
    assert float(loss.detach()) == pytest.approx(float(with_frozen(restored).detach()), rel=1e-6)  # the objective computes in float32
    (gradient,) = torch.autograd.grad(loss, y)
    generator = torch.Generator().manual_seed(2)
    for _ in range(6):
        direction = torch.randn(y.shape, generator=generator, dtype=torch.float64)
        numeric = (with_frozen(restored + 1e-7 * direction) - with_frozen(restored - 1e-7 * direction)) / 2e-7
        assert float((gradient * direction).sum().detach()) == pytest.approx(float(numeric.detach()), rel=1e-4, abs=1e-7)


def test_swapping_two_ranks_moves_the_gradient_with_the_weights():
    """β = 0: within a patch, |∂L/∂x̂| is its weight over |H|, the patch's pixels and the batch."""
    objective = game(discriminator=False, visible_weight=0.0, tau_loss=0.4)
    x = torch.full((1, 1, 16, 16), 0.2, dtype=torch.float64)
    hidden = torch.zeros(1, 16, dtype=torch.bool)
    hidden[0, [2, 7, 11]] = True
    mask = GRID.spread(hidden.double())
    raw = [math.exp(-rank / (0.4 * 3)) for rank in range(3)]
    weight = [3 * w / sum(raw) for w in raw]
    for errors in ((0.3, 0.2, 0.1), (0.2, 0.3, 0.1)):  # patches 2 and 7 change places
        values = torch.zeros(1, 16, dtype=torch.float64)
        values[0, [2, 7, 11]] = torch.tensor(errors, dtype=torch.float64)
        y = (x + GRID.spread(values)).requires_grad_()
        (gradient,) = torch.autograd.grad(objective.reconstructor_loss(x, y, mask, hidden)["loss"], y)
        found = objective.grid.mean(gradient)[0, [2, 7, 11]] * 3 * 16
        expected = [weight[sorted(errors, reverse=True).index(e)] for e in errors]
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_ranking_by_error_alone_ignores_the_discriminator():
    error, logit = torch.tensor([[0.3, 0.2]]), torch.tensor([[5.0, -5.0]])
    hidden = torch.ones(1, 2, dtype=torch.bool)
    both, alone = (game(rank_by=by, adversarial_weight=0.3).weights(error, logit, hidden) for by in ("both", "error"))
    assert both[0, 0] < both[0, 1]  # 0.3 − 1.5 < 0.2 + 1.5
    assert alone[0, 0] > alone[0, 1]
    assert torch.equal(game(rank_loss=False).weights(error, logit, hidden), torch.ones(1, 2))
