"""The losses against closed forms and scikit-learn."""

import math

import numpy as np
import torch
from sklearn.metrics import log_loss

from novkit.tend.losses import centre_of, classification_loss, margin_loss, reconstruction_loss, squared_distance


def test_classification_is_scikit_learns_log_loss():
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=7), rng.normal(size=7)
    p = 1 / (1 + np.exp(-np.concatenate([x, t])))
    expected = log_loss([0] * 7 + [1] * 7, p)
    assert math.isclose(float(classification_loss(torch.tensor(x), torch.tensor(t))), expected, rel_tol=1e-9)


def test_classification_stays_finite_where_a_sigmoid_saturates():
    assert math.isclose(float(classification_loss(torch.tensor([200.0]), torch.tensor([-200.0]))), 200.0)


def test_margin_bounds_the_squared_distance():
    centre = torch.zeros(2)
    inside, on, outside = torch.tensor([[3.0, 0.0]]), torch.tensor([[math.sqrt(150), 0.0]]), torch.tensor([[0.0, 20.0]])
    at_centre = torch.zeros(1, 2)
    assert float(margin_loss(at_centre, inside, centre, 150)) == 150 - 9
    assert abs(float(margin_loss(at_centre, on, centre, 150))) < 1e-4
    assert float(margin_loss(at_centre, outside, centre, 150)) == 0
    assert float(margin_loss(outside, outside, centre, 150)) == 400


def test_margin_gradient_pulls_x_in_and_pushes_t_out_only_inside_the_margin():
    centre = torch.tensor([1.0, -1.0])
    x = torch.tensor([[2.0, 0.0]], requires_grad=True)
    near = torch.tensor([[2.0, 0.0]], requires_grad=True)
    far = torch.tensor([[40.0, 0.0]], requires_grad=True)
    margin_loss(x, torch.cat([near, far]), centre, 150).backward()
    torch.testing.assert_close(x.grad, 2 * (x.detach() - centre))
    torch.testing.assert_close(near.grad, -(near.detach() - centre))  # a mean over two transformed images
    assert torch.equal(far.grad, torch.zeros_like(far))


def test_centre_is_the_mean_kept_away_from_zero():
    z = torch.tensor([[0.02, -0.02, 1.0, -3.0, 0.0], [0.04, -0.04, 2.0, -1.0, 0.0]])
    torch.testing.assert_close(centre_of(z), torch.tensor([0.1, -0.1, 1.5, -2.0, 0.1]))


def test_squared_distance_and_reconstruction_against_numpy():
    rng = np.random.default_rng(1)
    z, c = rng.normal(size=(5, 4)), rng.normal(size=4)
    np.testing.assert_allclose(squared_distance(torch.tensor(z), torch.tensor(c)), np.linalg.norm(z - c, axis=1) ** 2)
    np.testing.assert_allclose(reconstruction_loss(torch.tensor(z), torch.tensor(z * 0)), (z**2).mean())
