"""Targeted ranking: weights, limits, monotony, independence of order."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from novkit.errors import SettingsError
from novkit.patchgan.ranking import AGGREGATES, image_score, rank_weights, ranks

finite = arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 12)), elements=st.floats(-10, 10))


def test_weights_against_the_formula():
    scores = torch.tensor([[0.3, 2.0, -1.0, 0.7]])
    raw = {rank: math.exp(-rank / (0.5 * 4)) for rank in range(4)}
    by_hand = [raw[2], raw[0], raw[3], raw[1]]
    np.testing.assert_allclose(rank_weights(scores, 0.5)[0], np.array(by_hand) * 4 / sum(by_hand), rtol=1e-6)


def test_only_the_patches_among_are_ranked():
    scores = torch.tensor([[9.0, 1.0, 3.0, 8.0, 2.0]])
    among = torch.tensor([[False, True, True, False, True]])
    weight = rank_weights(scores, 0.7, among)
    alone = rank_weights(scores[among][None], 0.7)
    torch.testing.assert_close(weight[among][None], alone)
    assert (weight[~among] == 0).all()
    assert float(weight.sum()) == pytest.approx(3)  # mean 1 over the three
    assert ranks(scores, among)[0].tolist()[1:3] == [2, 0]


def test_no_gradient_passes_through_the_weights():
    scores = torch.rand(2, 5, requires_grad=True)
    assert not rank_weights(scores, 0.3).requires_grad


@given(finite)
@settings(max_examples=60, deadline=None)
def test_limits_of_tau(scores):
    np.testing.assert_allclose(image_score(scores, tau=1e9), scores.mean(axis=1), atol=1e-7)
    np.testing.assert_allclose(image_score(scores, tau=1e-6), scores.max(axis=1), atol=1e-12)


@given(finite, st.data())
@settings(max_examples=150, deadline=None)
def test_raising_one_patch_never_lowers_the_image(scores, data):
    patch = data.draw(st.integers(0, scores.shape[1] - 1))
    raised = scores.copy()
    raised[:, patch] += data.draw(st.floats(0, 5))
    tau = data.draw(st.floats(0.01, 10))
    for how in AGGREGATES:
        assert (image_score(raised, how, tau=tau) >= image_score(scores, how, tau=tau) - 1e-12).all()


@given(finite, st.randoms())
@settings(max_examples=60, deadline=None)
def test_order_of_the_patches_does_not_matter(scores, random):
    order = list(range(scores.shape[1]))
    random.shuffle(order)
    for how in AGGREGATES:
        np.testing.assert_allclose(image_score(scores[:, order], how), image_score(scores, how), atol=1e-12)
    if len(np.unique(scores[0])) == scores.shape[1]:
        weight, shuffled = (rank_weights(torch.from_numpy(s[:1]), 0.2) for s in (scores, scores[:, order]))
        torch.testing.assert_close(shuffled, weight[:, order])


def test_ranked_lies_between_mean_and_max_and_the_rest_is_what_it_says():
    scores = np.random.default_rng(0).standard_normal((7, 20))
    ranked = image_score(scores, tau=0.1)
    assert (scores.mean(axis=1) < ranked).all()
    assert (ranked < scores.max(axis=1)).all()
    np.testing.assert_array_equal(image_score(scores, "max"), scores.max(axis=1))
    np.testing.assert_allclose(image_score(scores, "top_k", top_k=2), [sorted(row)[-1] / 2 + sorted(row)[-2] / 2 for row in scores])
    with pytest.raises(SettingsError, match="aggregate"):
        image_score(scores, "median")
