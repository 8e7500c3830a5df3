"""Patch-GAN's losses [O; the paper's abstract gives no formula].

x is a normal image, x̂ its restoration; M = 1 where hidden; x̃ = M·x̂ + (1−M)·x; H the hidden patches; e_p the error of patch p;
D_p the discriminator's logit of patch p, higher = more authentic; D_g its logit of the whole image; w_p the rank weights.
"""

import torch.nn.functional as F
from torch import Tensor


def composite(x: Tensor, restored: Tensor, mask: Tensor) -> Tensor:
    """x̃ = M·x̂ + (1−M)·x; mask (n, 1, height, width) float, 1 = hidden."""
    return mask * restored + (1 - mask) * x


def mean_over(values: Tensor, among: Tensor) -> Tensor:
    """Mean over the patches `among` of each image, then over images: (n, P), (n, P) -> scalar."""
    chosen = among.to(values.dtype)
    return ((values * chosen).sum(dim=1) / chosen.sum(dim=1).clamp(min=1)).mean()


def patch_loss(error: Tensor, logit: Tensor | None, weight: Tensor, hidden: Tensor, beta: float) -> Tensor:
    """(1/|H|) Σ_{p∈H} w_p (e_p − β D(x̃)_p), averaged over images; all (n, P). `logit` None: no discriminator."""
    return mean_over(weight * (error if logit is None else error - beta * logit), hidden)


def visible_error(x: Tensor, restored: Tensor, mask: Tensor) -> Tensor:
    """Mean |x − x̂| over the visible pixels of the batch."""
    visible = 1 - mask
    return ((x - restored).abs().mean(dim=1, keepdim=True) * visible).sum() / visible.sum().clamp(min=1)


def patch_hinge(logit_real: Tensor, logit_fake: Tensor, hidden: Tensor) -> Tensor:
    """L_D on patches: mean over H of max(0, 1 − D(x)_p) + max(0, 1 + D(x̃)_p); all (n, P)."""
    return mean_over(F.relu(1 - logit_real) + F.relu(1 + logit_fake), hidden)


def global_hinge(logit_real: Tensor, logit_fake: Tensor) -> Tensor:
    """The same for the whole-image logit: (n,), (n,) -> scalar."""
    return (F.relu(1 - logit_real) + F.relu(1 + logit_fake)).mean()
