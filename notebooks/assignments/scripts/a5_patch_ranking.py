# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Assignment 5: patch ranking, and what it is worth
#
# **40 points, 4 hours.** How do 256 patch scores become one number for an image? You will write the targeted ranking and its rivals,
# let them compete in a small ablation on errors of a trained reconstructor, and judge the outcome as you would in a paper.
#
# **When you are done, you can**
# - turn ranks into weights, and lead one number τ from the maximum to the mean;
# - give every place of an image a scale of its own, from held-out normal images alone;
# - compare two scores on the same patients with a paired bootstrap that draws patients, not images;
# - choose a setting on one set of subjects and report it on another;
# - write down what a small experiment shows, and what it does not.
#
# **Before you start:** notebook 07, assignment 1 (bootstrap); NumPy and a little PyTorch. No GPU, no training: 1 GB of memory, one to two
# minutes for all cells. The brain slices are *synthetic*.
#
# | part | what | points |
# |---|---|---:|
# | `weights` | from ranks to weights | 7 |
# | `share` | how much the first k patches weigh | 3 |
# | `score` | mean, max, top-k, ranked | 5 |
# | `scale` | a scale for every place | 6 |
# | `bootstrap` | is the difference real? | 7 |
# | `choose` | choose here, report there | 3 |
# | `ablation` | the table | 3 |
# | `judgement` | your judgement, in words | 6 |
#
# Write your code where it says `YOUR CODE HERE`, and keep names and arguments. Some tests are below each part, the others draw new inputs
# when your work is graded; no part needs your solution of another one. Please write the functions yourself rather than call
# `novkit.patchgan.ranking` or `novkit.evaluation`.
#
# That patches are ranked and the abnormal ones come first is the paper's **[P]**; every formula below is our choice **[O]**, because the
# paper's are not published.

# %% kind="given"
import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata

from novkit.data import load
from novkit.evaluation import Scores, paired_difference
from novkit.figures import rank_weight_curve
from novkit.figures.charts import pairs
from novkit.ready import ready_detector
from novkit.seeding import numpy_generator
from novkit.teaching import course_generator


def auroc(y, score):
    """Area under the ROC curve, ties counting half; y 0 or 1. (As scikit-learn's, but quick enough for thousands of resamples.)"""
    y = np.asarray(y)
    n_novel = y.sum()
    n_normal = len(y) - n_novel
    return float((rankdata(score)[y == 1].sum() - n_novel * (n_novel + 1) / 2) / (n_novel * n_normal))


def plain(result):
    """A result as a plain float64 array: the tests compare nothing else."""
    return np.asarray(result.detach() if isinstance(result, torch.Tensor) else result, dtype=np.float64)


# %% [markdown]
# ## 1. From ranks to weights
#
# Sort the $P$ patches of an image by their score, the most abnormal first: that one has rank 0, the last has rank $P - 1$. Then
#
# $$w_p \propto \exp\!\left(-\frac{\mathrm{rank}_p}{\tau P}\right), \qquad \frac1P \sum_p w_p = 1 .$$
#
# The same weights are used in the training loss. There they count as constants: **no gradient may pass through them**, while it must
# pass through the scores that they multiply.
#
# <details><summary>Hint</summary>
#
# `argsort` gives the patch that stands at each rank; you need the rank of each patch.
# </details>


# %% part="weights" kind="solution"
def rank_weights(scores, tau):
    """(n, P) -> (n, P): the weights above, for each image; mean 1, no gradient. tau > 0, from 1e-6 to 1e9."""
    ### BEGIN SOLUTION
    scores = scores.detach()
    rank = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    weight = torch.exp(-rank.to(scores.dtype) / (tau * scores.shape[1]))
    return weight / weight.mean(dim=1, keepdim=True)
    ### END SOLUTION


# %% part="weights" kind="tests" points=3
four = torch.tensor([[0.2, 0.9, 0.1, 0.4]])
found = torch.from_numpy(plain(rank_weights(four, 0.5)))
assert tuple(found.shape) == (1, 4), "One weight for each patch."
assert abs(float(found.mean()) - 1) < 1e-5, "The weights of an image should have mean 1."
assert int(found.argmax()) == 1, "The patch with the highest score (number 1) should weigh most."
assert torch.allclose(found, torch.tensor([[0.6696, 1.8202, 0.4061, 1.1040]]).double(), atol=1e-3), (
    "The ranks here are 2, 0, 3, 1: the weights do not follow the formula."
)
### BEGIN HIDDEN TESTS
rng = course_generator("weights", 1)
for n, count, tau in ((3, 9, 0.2), (2, 16, 0.05), (4, 5, 2.0)):
    values = rng.permuted(np.arange(count)[None].repeat(n, axis=0), axis=1) * 0.37 - 1.1
    rank = count - 1 - np.rint((values + 1.1) / 0.37)
    weight = np.exp(-rank / (tau * count))
    weight = weight / weight.mean(axis=1, keepdims=True)
    found = plain(rank_weights(torch.from_numpy(values), tau))
    assert np.allclose(found, weight), "On random scores your weights differ from the formula: check ranks, τ·P and the mean of each image."
### END HIDDEN TESTS

# %% part="weights" kind="tests" points=2
five = torch.tensor([[3.0, 1.0, 4.0, 1.5, 9.0]])
assert np.allclose(plain(rank_weights(five, 1e-4)), [[0, 0, 0, 0, 5]]), "τ → 0: the most abnormal patch alone should count."
assert np.allclose(plain(rank_weights(five, 1e8)), 1, atol=1e-4), "τ → ∞: every patch should weigh 1."
### BEGIN HIDDEN TESTS
rng = course_generator("weights", 2)
values = torch.from_numpy(rng.standard_normal((6, 64)))
top = torch.nn.functional.one_hot(values.argmax(dim=1), 64).double()
for tau in (1e-6, 1e-4):
    assert np.allclose(plain(rank_weights(values, tau)), 64 * top), (
        "For a tiny τ all of the weight belongs to the highest patch (and is a number)."
    )
assert np.allclose(plain(rank_weights(values, 1e9)), 1, atol=1e-6), "For a huge τ all patches weigh alike."
### END HIDDEN TESTS

# %% part="weights" kind="tests" points=2
leaf = torch.tensor([[0.5, 2.0, 1.0]], requires_grad=True)
weight = rank_weights(leaf, 0.5)
assert not weight.requires_grad, "A gradient could flow through your weights: they should count as constants."
(weight * leaf).mean().backward()
assert np.allclose(leaf.grad, plain(weight) / 3), "The gradient of the weighted mean should be w / P."
### BEGIN HIDDEN TESTS
rng = course_generator("weights", 3)
values = torch.from_numpy(rng.standard_normal((4, 20)))
assert np.allclose(plain(rank_weights(values, 0.1)), plain(rank_weights(torch.exp(3 * values), 0.1))), (
    "Weights should depend on the order of the scores only."
)
order = torch.from_numpy(rng.permutation(20))
assert np.allclose(plain(rank_weights(values[:, order], 0.1)), plain(rank_weights(values, 0.1))[:, order]), (
    "Where a patch lies should not matter."
)
values.requires_grad_()
weight = rank_weights(values, 0.3)
(weight * values).mean().backward()
assert np.allclose(values.grad, plain(weight) / 80), "With several images, the gradient of the weighted mean is not w / (n P)."
### END HIDDEN TESTS

# %%
rank_weight_curve(256, (1e-4, 0.01, 0.05, 0.5, 100.0), title="One number from the maximum to the mean")

# %% [markdown]
# ## 2. How many patches have their say?
#
# What share of the whole weight do the first $k$ patches of the ranking hold? The weights are a geometric series with ratio
# $q = e^{-1/(\tau P)}$, so there is a closed form. Mind its far end: for a huge τ, $1 - q$ is smaller than the computer can tell from 0,
# yet the share is simply $k / P$. (`numpy.expm1` computes $e^x - 1$ without losing digits.)


# %% part="share" kind="solution"
def weight_share(k, tau, count):
    """Share of the weight that the first k of `count` patches hold, in [0, 1]; tau from 1e-4 to 1e16."""
    ### BEGIN SOLUTION
    return np.expm1(-k / (tau * count)) / np.expm1(-1 / tau)
    ### END SOLUTION


# %% part="share" kind="tests" points=3
assert abs(float(weight_share(256, 0.3, 256)) - 1) < 1e-9, "All patches together hold all of the weight."
assert abs(float(weight_share(1, 1e-4, 256)) - 1) < 1e-9, "For a tiny τ the first patch alone holds all of the weight."
assert abs(float(weight_share(64, 1e6, 256)) - 0.25) < 1e-4, "For a large τ the first quarter of the patches holds a quarter of the weight."
### BEGIN HIDDEN TESTS
rng = course_generator("share", 1)
for _ in range(6):
    count, tau = int(rng.integers(5, 400)), float(10 ** rng.uniform(-2.5, 1))
    k = int(rng.integers(1, count))
    weight = np.exp(-np.arange(count) / (tau * count))
    assert abs(float(weight_share(k, tau, count)) - weight[:k].sum() / weight.sum()) < 1e-9, (
        f"k = {k}, τ = {tau:.3g}, P = {count}: adding up gives another share."
    )
found = float(weight_share(10, 1e16, 40))
assert abs(found - 0.25) < 1e-9, "For τ = 10¹⁶ the share should still be k / P: digits are lost in a difference of nearly equal numbers."
### END HIDDEN TESTS

# %% [markdown]
# ## 3. From patch scores to the image's score
#
# Four rules:
#
# | `how` | $A(x)$ |
# |---|---|
# | `"mean"` | mean of all patch scores |
# | `"max"` | the highest |
# | `"top_k"` | mean of the `k` highest |
# | `"ranked"` | $\frac1P \sum_p w_p s_p$ with the weights of section 1 |
#
# Every other name is a `ValueError`.


# %% part="score" kind="solution"
def image_score(scores, how, tau=0.1, k=3):
    """A(x) of every image: (n, P) NumPy array -> (n,). how: "mean", "max", "top_k" or "ranked"."""
    ### BEGIN SOLUTION
    ordered = -np.sort(-np.asarray(scores, dtype=np.float64), axis=1)  # the most abnormal first
    if how == "mean":
        return ordered.mean(axis=1)
    if how == "max":
        return ordered[:, 0]
    if how == "top_k":
        return ordered[:, :k].mean(axis=1)
    if how != "ranked":
        raise ValueError(f"There is no rule {how!r}.")
    weight = np.exp(-np.arange(ordered.shape[1]) / (tau * ordered.shape[1]))
    return ordered @ (weight / weight.sum())
    ### END SOLUTION


# %% part="score" kind="tests" points=3
two = np.array([[3.0, 1.0, 0.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
assert np.allclose(plain(image_score(two, "mean")), [1.5, 5]), "The mean rule is not the mean of the patches."
assert np.allclose(plain(image_score(two, "max")), [3, 5]), "The max rule is not the highest patch."
assert np.allclose(plain(image_score(two, "top_k", k=2)), [2.5, 5]), "The two highest of 3, 1, 0, 2 have the mean 2.5."
### BEGIN HIDDEN TESTS
rng = course_generator("score", 1)
values = rng.standard_normal((7, 25))
by_hand = [np.mean(sorted(row)[-5:]) for row in values]
assert np.allclose(plain(image_score(values, "top_k", k=5)), by_hand), "On random scores the mean of the 5 highest is another number."
assert np.allclose(plain(image_score(values, "top_k", k=25)), values.mean(axis=1)), "With k = P, top-k should be the mean."
try:
    image_score(values, "median")
except ValueError:
    pass
else:
    raise AssertionError("A rule that does not exist should be a ValueError.")
### END HIDDEN TESTS

# %% part="score" kind="tests" points=2
ranked = plain(image_score(np.array([[3.0, 1.0, 0.0, 2.0], [5.0, 5.0, 5.0, 5.0]]), "ranked", tau=0.25))
assert abs(ranked[1] - 5) < 1e-9, "An image whose patches all score 5 should score 5, whatever the weights."
assert abs(ranked[0] - 2.493) < 2e-3, "Scores 3, 2, 1, 0 with weights 1, e⁻¹, e⁻², e⁻³: their weighted mean is 2.493."
### BEGIN HIDDEN TESTS
rng = course_generator("score", 2)
values = rng.standard_normal((7, 25))
assert np.allclose(plain(image_score(values, "ranked", tau=1e-5)), values.max(axis=1)), "τ → 0 should be the maximum."
assert np.allclose(plain(image_score(values, "ranked", tau=1e9)), values.mean(axis=1)), "τ → ∞ should be the mean."
weight = np.exp(-np.arange(25) / (0.3 * 25))
assert np.allclose(plain(image_score(values, "ranked", tau=0.3)), np.sort(values)[:, ::-1] @ weight / weight.sum()), (
    "τ = 0.3 gives other scores."
)
raised = values.copy()
raised[:, 4] += 0.5
assert (plain(image_score(raised, "ranked", tau=0.1)) >= plain(image_score(values, "ranked", tau=0.1)) - 1e-12).all(), (
    "A worse patch lowered an image's score."
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. A scale for every place
#
# Some places are always hard to restore: the ventricles differ from head to head. So each patch is measured against the same place of
# **held-out normal** images (not those that were trained on, and never the test images):
#
# $$\tilde s_p = \frac{s_p - \mu_p}{\sqrt{\sigma_p^2 + \sigma_0^2}}, \qquad
# \sigma_0 = \text{floor} \cdot \operatorname{median}_{p:\ \sigma_p > 0} \sigma_p .$$
#
# $\sigma_p$ is the standard deviation over images (divided by $n$, NumPy's default). $\sigma_0$ keeps the black background, where
# $\sigma_p$ is 0 or nearly so, from winning with a speck of noise; places with $\sigma_p = 0$ are left out of the median.


# %% part="scale" kind="solution"
def fit_scale(held_out, floor):
    """Mean and deviation of every place, √(σ² + σ₀²), of held-out normal images: (n, P) -> (P,), (P,)."""
    ### BEGIN SOLUTION
    mean, deviation = held_out.mean(axis=0), held_out.std(axis=0)
    least = floor * np.median(deviation[deviation > 0])
    return mean, np.sqrt(deviation**2 + least**2)
    ### END SOLUTION


def standardised(scores, mean, deviation):
    """s̃: (n, P), (P,), (P,) -> (n, P)."""
    ### BEGIN SOLUTION
    return (scores - mean) / deviation
    ### END SOLUTION


# %% part="scale" kind="tests" points=3
held_out = np.array([[0.0, 1.0, 5.0], [0.0, 3.0, 9.0]])  # deviations 0, 1 and 2: their median without the 0 is 1.5
mean, deviation = (plain(values) for values in fit_scale(held_out, 0.5))
assert np.allclose(mean, [0, 2, 7]), "μ is the mean of each place over the images."
assert deviation[0] > 0, "A place that never varies would divide by zero: σ₀ is missing."
assert np.allclose(deviation, [0.75, 1.25, np.sqrt(4 + 0.75**2)]), (
    "With floor 0.5, σ₀ is 0.75: combine it with each place's σ as the formula says."
)
### BEGIN HIDDEN TESTS
rng = course_generator("scale", 1)
held_out = rng.standard_normal((30, 21)) * rng.uniform(0.2, 3, 21)
held_out[:, :13] = 0.3  # most places never vary
mean, deviation = (plain(values) for values in fit_scale(held_out, 0.4))
assert tuple(mean.shape) == tuple(deviation.shape) == (21,), "One mean and one deviation for every place."
least = 0.4 * np.median(held_out[:, 13:].std(axis=0))
assert np.allclose(mean, held_out.mean(axis=0)), "The means are not those of the places."
assert np.allclose(deviation, np.sqrt(held_out.std(axis=0) ** 2 + least**2)), (
    "Where most places never vary, your deviations are not those of the formula."
)
### END HIDDEN TESTS

# %% part="scale" kind="tests" points=3
mean, deviation = np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 2.0])
values = np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 5.0]])
assert np.allclose(plain(standardised(values, mean, deviation)), [[0, 0, 0], [2, 1, 1]]), (
    "(s − μ) / deviation, place by place, gives other values."
)
assert np.allclose(plain(standardised(values[1:], mean, deviation)), [[2, 1, 1]]), (
    "An image's values depend on which others are in the batch: a leak."
)
### BEGIN HIDDEN TESTS
rng = course_generator("scale", 2)
mean, deviation, values = rng.standard_normal(17), rng.uniform(0.1, 2, 17), rng.standard_normal((9, 17))
whole = plain(standardised(values, mean, deviation))
assert np.allclose(whole * deviation + mean, values), "Undoing the standardisation does not give the scores back."
alone = np.concatenate([plain(standardised(row[None], mean, deviation)) for row in values])
assert np.allclose(whole, alone), "Images standardised one by one differ from the batch: something is taken from the test images."
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Is the difference real?
#
# Two scores of the *same* images, $a$ and $b$: is $\mathrm{AUROC}(a) - \mathrm{AUROC}(b)$ more than luck in the choice of patients? The
# paired bootstrap answers:
#
# 1. draw groups (patients) with replacement, as many normal groups as there are and as many novel ones (**stratified**);
# 2. take *all* images of a drawn group, as often as it was drawn;
# 3. compute the difference on these images, **the same ones for both scores**;
# 4. repeat; the 2.5 % and 97.5 % quantiles of the differences are the interval.
#
# Every group here is wholly normal or wholly novel. `auroc` is given above.


# %% part="bootstrap" kind="solution"
def paired_bootstrap(y, score_a, score_b, groups, n_resamples, generator):
    """(difference, low, high): AUROC(a) − AUROC(b) on all images, and its 95 % interval.

    y: (n,) 0 or 1; score_a, score_b: (n,); groups: (n,) names; generator: numpy.random.Generator, for every draw.
    """
    ### BEGIN SOLUTION
    y, score_a, score_b, groups = (np.asarray(values) for values in (y, score_a, score_b, groups))
    members = {name: np.flatnonzero(groups == name) for name in np.unique(groups)}
    strata = [[rows for rows in members.values() if y[rows[0]] == label] for label in (0, 1)]
    found = []
    for _ in range(n_resamples):
        rows = np.concatenate([stratum[i] for stratum in strata for i in generator.integers(len(stratum), size=len(stratum))])
        found.append(auroc(y[rows], score_a[rows]) - auroc(y[rows], score_b[rows]))
    low, high = np.quantile(found, [0.025, 0.975])
    return auroc(y, score_a) - auroc(y, score_b), float(low), float(high)
    ### END SOLUTION


# %% part="bootstrap" kind="tests" points=2
rng = np.random.default_rng(0)
y, groups = np.repeat([0, 1], 40), np.arange(80)
a, b = rng.standard_normal(80) + 2 * y, rng.standard_normal(80)
difference, low, high = plain(paired_bootstrap(y, a, b, groups, 100, np.random.default_rng(1)))
assert abs(difference - (auroc(y, a) - auroc(y, b))) < 1e-12, "The difference itself is AUROC(a) − AUROC(b) on all images."
assert low < difference < high, "The interval should lie around the difference."
assert low > 0, "Here a is far better than b: the interval should lie above 0."
### BEGIN HIDDEN TESTS
rng = course_generator("bootstrap", 1)
y, groups = np.repeat([0, 1], 40), np.arange(80)
for lead in (2.0, -2.0):
    a, b = rng.standard_normal(80) + (1 + lead) * y, rng.standard_normal(80) + y
    difference, low, high = plain(paired_bootstrap(y, a, b, groups, 100, np.random.default_rng(2)))
    assert abs(difference - (auroc(y, a) - auroc(y, b))) < 1e-12, "The difference has the wrong sign or size."
    assert low <= difference <= high, "The interval does not hold the difference."
same = plain(paired_bootstrap(y, a, b, groups, 50, np.random.default_rng(3)))
again = plain(paired_bootstrap(y, a, b, groups, 50, np.random.default_rng(3)))
assert (same == again).all(), "The same generator gives another interval: draw from `generator` only."
### END HIDDEN TESTS

# %% part="bootstrap" kind="tests" points=2
rng = np.random.default_rng(0)
y, groups = np.repeat([0, 1], 40), np.arange(80)
a = rng.standard_normal(80) + y
assert (plain(paired_bootstrap(y, a, a, groups, 50, np.random.default_rng(1))) == 0).all(), (
    "A score compared with itself differs by 0 in every resample: are both AUROCs computed on the same images?"
)
### BEGIN HIDDEN TESTS
rng = course_generator("bootstrap", 2)
a = rng.standard_normal(80) + y
b = a + 0.3 * rng.standard_normal(80)
difference, low, high = plain(paired_bootstrap(y, a, b, groups, 300, np.random.default_rng(4)))
runs = [[Scores(np.arange(len(y)), groups, y, y, score)] for score in (a, b)]
expected = paired_difference(*runs, n_resamples=1000)
ratio = (high - low) / (expected.high - expected.low)
assert 0.75 < ratio < 1.3, "For two scores that agree on most images, your interval is much wider or narrower than novkit's own."
### END HIDDEN TESTS

# %% part="bootstrap" kind="tests" points=3
rng = np.random.default_rng(0)
y, groups = np.repeat([0, 1], [28, 12]), np.repeat(np.arange(10), 4)  # 7 normal and 3 novel patients, 4 images each
a, b = rng.standard_normal(40) + y, rng.standard_normal(40)
found = plain(paired_bootstrap(y, a, b, groups, 100, np.random.default_rng(1)))
assert np.isfinite(found).all(), "Some resample held patients of one class only: draw within each class."
### BEGIN HIDDEN TESTS
rng = course_generator("bootstrap", 3)
y, groups = np.repeat([0, 1], 100), np.repeat(np.arange(50), 4)
a, b = (
    np.repeat(rng.standard_normal(50), 4) + 0.01 * rng.standard_normal(200) + shift * y for shift in (1.5, 0.5)
)  # a patient's images agree
difference, low, high = plain(paired_bootstrap(y, a, b, groups, 300, np.random.default_rng(5)))
runs = [[Scores(np.arange(len(y)), groups, y, y, score)] for score in (a, b)]
expected = paired_difference(*runs, n_resamples=1000)
ratio = (high - low) / (expected.high - expected.low)
assert ratio > 0.75, "Four images of a patient are not four independent observations: your interval is too narrow."
assert ratio < 1.3, "Your interval is too wide: are both scores resampled together?"
order = rng.permutation(200)
shuffled = plain(paired_bootstrap(y[order], a[order], b[order], groups[order], 400, np.random.default_rng(6)))
assert abs((shuffled[2] - shuffled[1]) / (high - low) - 1) < 0.3, (
    "The order of the images changes your interval: find a group's images by name."
)
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Choose here, report there
#
# Whoever picks the best of ten settings on the test set reports luck. So the best AUROC on **development** subjects picks the setting,
# and the **test** subjects say what it is worth. Where two are equally good, the one that comes first in the dictionary is taken.


# %% part="choose" kind="solution"
def choose_and_report(development, y_development, test, y_test):
    """(name, AUROC on development, AUROC on test) of the candidate chosen.

    development, test: candidates by name, image scores (n,) of the subjects of each part; the same names in both.
    """
    ### BEGIN SOLUTION
    found = {name: auroc(y_development, score) for name, score in development.items()}
    best = max(found, key=found.__getitem__)
    return best, found[best], auroc(y_test, test[best])
    ### END SOLUTION


# %% part="choose" kind="tests" points=3
y = np.array([0, 0, 1, 1])
better_here = {"a": np.array([0.0, 1, 2, 3]), "b": np.array([0.0, 3, 2, 3])}
better_there = {"a": np.array([0.0, 2, 1, 3]), "b": np.array([0.0, 1, 2, 3])}
name, on_development, on_test = choose_and_report(better_here, y, better_there, y)
assert str(name) == "a", "a is better on the development subjects: who else may decide?"
assert (float(on_development), float(on_test)) == (1.0, 0.75), "Report the AUROC of the one that was chosen, once on each part."
### BEGIN HIDDEN TESTS
rng = course_generator("choose", 1)
for _ in range(5):
    y_here, y_there = (rng.permutation(np.repeat([0, 1], n)) for n in (30, 50))
    here = {f"c{i}": rng.standard_normal(60) + 0.4 * i * y_here for i in range(6)}
    there = {f"c{i}": rng.standard_normal(100) + 0.4 * (6 - i) * y_there for i in range(6)}
    best = max(here, key=lambda name: auroc(y_here, here[name]))
    found = choose_and_report(here, y_here, there, y_there)
    assert str(found[0]) == best, "With six candidates, yours is not the best of the development subjects."
    assert np.allclose(plain(found[1:]), (auroc(y_here, here[best]), auroc(y_there, there[best]))), (
        "The two AUROCs are not those of the chosen one."
    )
tied = {"first": y_here + 0.0, "second": 2.0 * y_here}
assert str(choose_and_report(tied, y_here, tied, y_here)[0]) == "first", "Of two that are equally good, the first should be taken."
### END HIDDEN TESTS

# %% [markdown]
# ## 7. The table of an ablation
#
# An ablation changes one choice at a time and compares each variant with one **reference**, fixed beforehand. Write the table: one row
# for each variant, in the order given, with the columns
#
# | column | |
# |---|---|
# | `auroc` | of the variant |
# | `difference`, `low`, `high` | variant − reference, with its interval; zeros in the reference's own row |
# | `verdict` | `"better"` where the whole interval lies above 0, `"worse"` where it lies below, `"undecided"` else; `"reference"` |


# %% part="ablation" kind="solution"
def ablation_table(variants, y, groups, reference, compare):
    """A pandas DataFrame, indexed by the variants' names.

    variants: image scores (n,) by name. y, groups: (n,). reference: one of the names.
    compare: (y, score_a, score_b, groups) -> (difference, low, high) of AUROC(a) − AUROC(b).
    """
    ### BEGIN SOLUTION
    rows = {}
    for name, score in variants.items():
        if name == reference:
            rows[name] = (auroc(y, score), 0.0, 0.0, 0.0, "reference")
            continue
        difference, low, high = compare(y, score, variants[reference], groups)
        verdict = "better" if low > 0 else "worse" if high < 0 else "undecided"
        rows[name] = (auroc(y, score), difference, low, high, verdict)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["auroc", "difference", "low", "high", "verdict"])
    ### END SOLUTION


# %% part="ablation" kind="tests" points=3
y, groups = np.repeat([0, 1], 3), np.arange(6)
variants = {"good": np.array([0, 1, 2, 3, 4, 5.0]), "poor": np.array([0, 3, 4, 1, 2, 5.0]), "fair": np.array([0, 1, 3, 2, 4, 5.0])}


def compare_by_rule(y, a, b, groups):
    """A stand-in for the bootstrap: ± 0.2 around the difference."""
    difference = auroc(y, a) - auroc(y, b)
    return difference, difference - 0.2, difference + 0.2


table = ablation_table(variants, y, groups, "good", compare_by_rule)
assert list(table.columns) == ["auroc", "difference", "low", "high", "verdict"], "The columns have other names or another order."
assert list(table.index) == ["good", "poor", "fair"], "One row for each variant, in the order given."
assert str(table.loc["good", "verdict"]) == "reference", "The reference's own row should say so."
assert float(table.loc["poor", "difference"]) < 0, "poor is worse than good: variant − reference is below 0."
assert str(table.loc["poor", "verdict"]) == "worse", "poor's whole interval lies below 0."
assert str(table.loc["fair", "verdict"]) == "undecided", "fair's interval holds 0: the data does not decide."
### BEGIN HIDDEN TESTS
rng = course_generator("ablation", 1)
y, groups = np.repeat([0, 1], 40), np.arange(80)
variants = {f"v{i}": rng.standard_normal(80) + shift * y for i, shift in enumerate((0.8, 3.0, 0.8, 0.0))}
variants["v4"] = variants["v0"] + 0.2 * rng.standard_normal(80)
wanted = {name: compare_by_rule(y, score, variants["v2"], groups) for name, score in variants.items()}
table = ablation_table(variants, y, groups, "v2", compare_by_rule)
assert np.allclose(table["auroc"].astype(float), [auroc(y, score) for score in variants.values()]), (
    "An AUROC in your table is not its variant's."
)
for name, (difference, low, high) in wanted.items():
    row = table.loc[name]
    if name == "v2":
        assert (*plain(row[["difference", "low", "high"]]), str(row["verdict"])) == (0, 0, 0, "reference"), "The reference is not at 0."
        continue
    assert np.allclose(plain(row[["difference", "low", "high"]]), [difference, low, high]), (
        "Variant − reference, with the reference that was named."
    )
    verdict = "better" if low > 0 else "worse" if high < 0 else "undecided"
    assert str(row["verdict"]) == verdict, "A verdict does not follow from its interval."
### END HIDDEN TESTS

# %% [markdown]
# ## 8. The experiment
#
# The trained Patch-GAN restores every patch from its surroundings; we keep the error of each of the 256 patches. The subjects (two
# slices each) are divided into three parts: held-out normals for the scale, development, and test. The detector saw none of them.

# %% kind="given"
brains = load("brain", seed=7, n_healthy=200, n_novel=100, conditions=("healthy", "glioma", "infarct"), progress=False)
brains = brains.subset(np.arange(0, len(brains), 2))
detector = ready_detector("patchgan", device="cpu", progress=False)
detector.covers_ = detector.covers_[:2]  # two random partitions instead of four: half the time
scale = {name: value.numpy() for name, value in detector.scale_.items()}
patch_errors = (
    detector.components(brains.images)["patch_error"] * scale["error_deviation"] + scale["error_mean"]
)  # e_p, not yet standardised

number = brains.table["group"].str.rsplit("-").str[-1].astype(int).to_numpy()  # of the subject, within its condition
is_healthy = brains.labels == "healthy"
part_of = np.where(is_healthy, np.digitize(number, [20, 32]), 1 + (number >= 9))  # 0 held out, 1 development, 2 test
parts = {name: np.flatnonzero(part_of == i) for i, name in enumerate(("held out", "development", "test"))}
truth = (~is_healthy).astype(int)
for name, rows in parts.items():
    print(name, "-", {label: int((brains.labels[rows] == label).sum()) for label in np.unique(brains.labels[rows])})

# %% [markdown]
# First choose τ on the development subjects, then compare the rules on the test subjects. The reference, fixed beforehand, is the ranked
# score of standardised errors with the τ that was chosen. (This cell uses your functions and is not graded. Change it as you like: other
# floors, other k, gliomas or infarcts alone.)

# %%
mean, deviation = fit_scale(patch_errors[parts["held out"]], 0.5)
TAUS = (1e-4, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
s = standardised(patch_errors, mean, deviation)
by_tau = {part: {f"τ = {tau:g}": image_score(s[parts[part]], "ranked", tau=tau) for tau in TAUS} for part in ("development", "test")}
chosen, on_development, on_test = choose_and_report(
    by_tau["development"], truth[parts["development"]], by_tau["test"], truth[parts["test"]]
)
tau = dict(zip(by_tau["test"], TAUS, strict=True))[chosen]
print(f"chosen on development subjects: {chosen} (AUROC {on_development:.3f}); on test subjects {on_test:.3f}")

test = parts["test"]
kinds = {"standardised": s[test], "raw": patch_errors[test]}
rules = {"ranked": {"how": "ranked", "tau": tau}, "max": {"how": "max"}, "top 3": {"how": "top_k", "k": 3}, "mean": {"how": "mean"}}
variants = {f"{kind}, {rule}": image_score(values, **options) for kind, values in kinds.items() for rule, options in rules.items()}


def compare(y, a, b, groups):
    return paired_bootstrap(y, a, b, groups, 500, numpy_generator(0, "ablation"))


groups = brains.groups[test].astype(str)
table = ablation_table(variants, truth[test], groups, "standardised, ranked", compare)
table.round(3)

# %%
rows = {name: {"AUROC (test)": row["auroc"]} for name, row in table.iterrows()}
pairs(rows, title="Rules and scales on the test subjects (synthetic)", x_title="AUROC (dotted: chance)", x_range=(0.4, 1.0))

# %%
for condition in ("glioma", "infarct"):
    kept = np.isin(brains.labels[test], ["healthy", condition])
    only = ablation_table({k: v[kept] for k, v in variants.items()}, truth[test][kept], groups[kept], "standardised, ranked", compare)
    print(condition)
    print(only.round(3).to_string(), "\n")

# %% [markdown]
# ## 9. Your judgement
#
# Half a page, as for the results section of a paper. Answer at least:
#
# - Which choices matter on these data, which do not, and what does the table leave open? Give numbers with their intervals.
# - Is the targeted ranking better than the plain maximum? Than the mean? Does it depend on the kind of lesion, and why would it?
# - Which numbers were chosen on which subjects? What would be wrong with picking the best row of the test table?
# - What would you do next to settle what is open, and what can this experiment not tell at all?

# %% [markdown] part="judgement" kind="manual" points=6
# ### BEGIN SOLUTION
# **Model answer** (numbers as the cells above print them; they differ a little between machines).
#
# *What matters.* The rule, if it is the mean: −0.20 [−0.33, −0.06] against the reference with standardised errors, −0.17 [−0.30, −0.05]
# with raw ones. Whether maximum, top 3 or ranked is used hardly matters: the differences are of the order of 0.01 and their intervals
# hold 0, so the data does not decide between them. The scale of every place is worth about 0.05, and the interval of all novel images
# together holds 0 ([−0.13, 0.01]); for infarcts alone it just misses it, for gliomas the data does not decide.
#
# *Why.* A lesion fills a few of 256 patches. The mean lets all healthy patches vote, and these rise and fall together from slice to slice,
# so that averaging does not remove their noise; for large gliomas the loss is smaller than for infarcts, which fill fewer patches. The
# maximum listens to the worst patch alone, and every healthy brain has one. The ranking lies between; the τ chosen is so small that it
# is nearly the maximum, which is why the two agree.
#
# *Honesty.* The scale came from held-out normals, τ from development subjects, all differences from test subjects, the reference was fixed
# before. Picking the best row of the test table would report the luck of eight draws; the intervals hold for one comparison each and
# are not corrected for seven of them.
#
# *Next, and limits.* More test subjects (the intervals shrink with the root of their number), several training seeds (here there is one
# detector), conditions apart. Nothing is said about real patients: the slices are synthetic, and the ranking in the *loss* was not tested.
#
# **Rubric** (6 points)
# - Claims follow from the table, with numbers and intervals: 2 (1 if intervals are missing).
# - Says "undecided" where an interval holds 0, instead of ranking by AUROC: 1.
# - Explains by mechanism (few ill patches, patches that vary together, places that are always hard): 1.
# - What was chosen on which subjects; why the best test row must not be picked, or that several comparisons were made: 1.
# - A next step that would settle something, and one real limit: 1.
# ### END SOLUTION

# %% [markdown]
# **Sources.** Chen, Yang, Zhang, Peng, Zhang, Zhang, Han, Grau, *Unsupervised Patch-GAN with targeted patch ranking for fine-grained
# novelty detection in medical imaging*, arXiv 2501.17906, 2025. Efron, Tibshirani, *An Introduction to the Bootstrap*, 1993. In novkit:
# `novkit/patchgan/ranking.py`, `novkit/bootstrap.py`.
