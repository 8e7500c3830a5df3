"""TEND's losses, in the order in which training uses them.

x is an in-distribution image, T(x) a transformed one; p = P(transformed); z the embedding; c the centre; R the margin.

>>> c, z_x, z_t = torch.zeros(2), torch.tensor([[3.0, 4.0]]), torch.tensor([[6.0, 8.0]])
>>> squared_distance(z_x, c), squared_distance(z_t, c)
(tensor([25.]), tensor([100.]))
>>> margin_loss(z_x, z_t, c, radius=150.0)  # 25 pulled, 150 − 100 still to be pushed
tensor(75.)
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def reconstruction_loss(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Stage 1 [P]; the mean squared error is [C]: mean over images and pixels of (x − x̂)²."""
    return F.mse_loss(reconstruction, x)


def classification_loss(logit_x: Tensor, logit_t: Tensor) -> Tensor:
    """½ [BCE(p(x), 0) + BCE(p(T(x)), 1)] [C], on logits: (n,), (n,) -> scalar."""
    return 0.5 * (
        F.binary_cross_entropy_with_logits(logit_x, torch.zeros_like(logit_x))
        + F.binary_cross_entropy_with_logits(logit_t, torch.ones_like(logit_t))
    )


def squared_distance(z: Tensor, centre: Tensor) -> Tensor:
    """‖z − c‖²: (n, d), (d,) -> (n,)."""
    return (z - centre).square().sum(dim=1)


def margin_loss(z_x: Tensor, z_t: Tensor, centre: Tensor, radius: float) -> Tensor:
    """mean ‖z(x) − c‖² + mean max(0, R − ‖z(T(x)) − c‖²) [C].

    R bounds the *squared* distance: the sphere that is drawn has radius √R.
    """
    pull = squared_distance(z_x, centre).mean()
    push = F.relu(radius - squared_distance(z_t, centre)).mean()
    return pull + push


def centre_of(embeddings: Tensor, least: float = 0.1) -> Tensor:
    """c = mean embedding of the ID training set, every |c_i| < `least` moved to ±`least` [C] (0 goes to +`least`): (n, d) -> (d,).

    A coordinate at zero could be reached by switching its weights off: the sphere would collapse.
    """
    centre = embeddings.mean(dim=0)
    nudged = torch.where(centre < 0, -least, least).to(centre)
    return torch.where(centre.abs() < least, nudged, centre)
