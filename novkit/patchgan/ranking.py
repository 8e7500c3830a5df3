"""Targeted patch ranking [P]: the more abnormal a patch, the more it counts. The formula is ours [O].

>>> scores = torch.tensor([[0.2, 0.9, 0.1, 0.4]])
>>> ranks(scores)
tensor([[2, 0, 3, 1]])
>>> rank_weights(scores, tau=0.5)
tensor([[0.6696, 1.8202, 0.4061, 1.1040]])
>>> image_score(scores.numpy(), "max").round(2)
array([0.9])
"""

import numpy as np
import torch
from torch import Tensor

from novkit.errors import SettingsError

AGGREGATES = ("ranked", "mean", "max", "top_k")


def ranks(scores: Tensor, among: Tensor | None = None) -> Tensor:
    """Rank of each patch within its image, 0 = most abnormal: (n, P) -> (n, P) int64.

    among: (n, P) bool, the patches that are ranked; the others come after them.
    """
    scores = scores if among is None else scores.masked_fill(~among, -torch.inf)
    return scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)


def rank_weights(scores: Tensor, tau: float, among: Tensor | None = None) -> Tensor:
    """w_p ∝ exp(−rank_p / (τ P)), P = patches ranked, mean 1 over them and 0 elsewhere: (n, P) -> (n, P). No gradient passes.

    τ→∞ gives every patch 1; τ→0 gives the most abnormal one everything.
    """
    scores = scores.detach()
    ranked = torch.ones_like(scores) if among is None else among.to(scores.dtype)
    count = ranked.sum(dim=1, keepdim=True)
    weight = torch.exp(-ranks(scores, among).to(scores.dtype) / (tau * count.clamp(min=1))) * ranked
    return weight * count / weight.sum(dim=1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)


def image_score(patch_scores: np.ndarray, how: str = "ranked", *, tau: float = 0.1, top_k: int = 3) -> np.ndarray:
    """A(x), one number of an image's patch scores: (n, P) -> (n,) float64.

    how: "ranked": Σ w_i s_(i) with the rank weights of `tau` (sum 1) · "mean" · "max" · "top_k": mean of the `top_k` highest.
    Raising one patch's score never lowers the image's. Raises SettingsError for any other `how`.
    """
    scores = np.asarray(patch_scores, dtype=np.float64)
    if how == "mean":
        return scores.mean(axis=1)
    if how == "max":
        return scores.max(axis=1)
    if how == "top_k":
        return np.sort(scores, axis=1)[:, -top_k:].mean(axis=1)
    if how != "ranked":
        raise SettingsError(f"aggregate is {how!r}: choose one of {', '.join(AGGREGATES)}.")
    values = torch.from_numpy(scores)
    return (rank_weights(values, tau) * values).mean(dim=1).numpy()
