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
# # Four explorers
#
# Every number of the README's table was once a histogram, and every histogram a heap of images. Here you take them apart with sliders.
#
# **What you will learn**
# - what one threshold decides: sensitivity, specificity, and a precision that depends on how rare illness is;
# - what λ of TEND and τ of Patch-GAN change, and what they do not;
# - how a sphere forms around normal images, seen epoch by epoch;
# - how patch size and mask share change what a patch score means;
# - which transformations give themselves away.
#
# About a minute and 1 GB on two cores; one small network is trained; no network access. The brain slices are *synthetic*: real, averaged
# anatomy with drawn contrast, noise and lesions; the digits are real. Marks: **[P]** the paper, **[C]** its published code, **[O]** our
# own choice.
#
# Each explorer needs a running kernel. After each comes a static figure, drawn by the same function that the sliders call, for readers
# without one. Everything that can be clicked has a slider or a list as well.

# %%
from dataclasses import replace

import numpy as np

from novkit.data import load
from novkit.data.setups import one_vs_rest
from novkit.distortions.training import TrainingFamily
from novkit.evaluation import auroc
from novkit.figures import novelty_maps
from novkit.figures.charts import curves
from novkit.notebooks import exercise_check, reference_results, show_source
from novkit.tend import Tend, TendSettings
from novkit.widgets import DistortionExplorer, MarginExplorer, PatchExplorer, PatchRuns, ScoreExplorer, record_snapshots
from novkit.widgets.distortion_view import FAMILIES, DistortionState, distorted, distortion_figure, distortion_readout
from novkit.widgets.margin_view import MarginState, margin_figure
from novkit.widgets.patch_view import PatchState, patch_figure, ranking
from novkit.widgets.score_figure import scores_figure
from novkit.widgets.score_view import OperatingPoint, reweighted, threshold_at

# %% [markdown]
# ## 1. Scores, and what a threshold makes of them
#
# These are the stored scores behind the README's table: pick a data set, a test, a seed, methods. The **threshold** slider says which share
# of the test images lies below it, so that methods with different units can share it; it moves the dashed line through the histograms and
# the marks along the ROC curves. An image is called novel where its score lies above. (The grey band marks selected scores, see below.)
#
# **Predict:** gliomas, threshold at 90 %: one image in ten is called novel. Of the 1,360 test images 400 have a glioma. What is the highest
# sensitivity that *any* method can then have?

# %%
explorer = ScoreExplorer(reference_results())
explorer

# %%
shown = explorer.shown
scores_figure(shown, explorer.state)

# %% [markdown]
# A perfect method would call 136 gliomas novel and nobody else: sensitivity 0.34. Patch-GAN is almost there. Move the threshold down and
# watch both methods walk along their curves; the ROC curve *is* all thresholds at once.
#
# The explorer selects images, too: click or box bins of a histogram, or use the slider *Selected scores* below the figure. Their pictures
# appear with the maps of the detector, as far as it has any; the list names them, and the button saves them as CSV. The images that
# Patch-GAN finds most novel, for readers without a kernel:

# %%
run = explorer.stored.run("brain", "One-vs-rest, novel: glioma", 100, "Patch-GAN")
top = np.argsort(-run.scores.score, kind="stable")[:6]
pictures = explorer.stored.pictures(run, top)
captions = [f"{run.scores.condition[row]}\nscore {run.scores.score[row]:.1f}" for row in top]
images, maps, masks = (np.stack([getattr(pictures[row], part) for row in top]) for part in ("image", "map", "mask"))
novelty_maps(images, np.minimum(maps, 8), captions, masks=masks, title="Most novel to Patch-GAN (synthetic; maps cut at 8)")

# %%
# NBVAL_CHECK_OUTPUT
label = run.scores.label
called = run.scores.score > threshold_at(run.scores.score, 0.9)
print("test images:", len(label), "- with a glioma:", int(label.sum()), "- called novel at 90 %:", int(called.sum()))
print("Patch-GAN finds more than three quarters of what any method could find at that threshold:", called[label == 1].sum() > 0.75 * 136)

# %% [markdown]
# ### Precision needs a prevalence
#
# In this test three in ten have a glioma. Nowhere else are they so common. Of those called novel, how many are? That depends on the share π
# that is ill, by Bayes' rule:
#
# $$\text{precision} = \frac{\pi \cdot \text{sensitivity}}{\pi \cdot \text{sensitivity} + (1-\pi)\,(1-\text{specificity})}$$
#
# **Predict:** Patch-GAN at that threshold calls only a few in 1,000 healthy slices novel. In a screening where 1 in 1,000 has a glioma:
# what is the chance that a slice called novel shows one? Then move the *Prevalence* slider.

# %%
show_source(OperatingPoint)

# %%
point = shown["Patch-GAN"].point
shares = np.array([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5])
precision = {name: (shares, [replace(each.point, prevalence=share).precision for share in shares]) for name, each in shown.items()}
curves(
    {"": precision},
    title="Precision at the threshold above, by prevalence (synthetic)",
    x_title="prevalence π",
    y_title="precision",
    log_x=True,
    y_range=(-0.02, 1.02),
)

# %%
# NBVAL_CHECK_OUTPUT
rare, half = (replace(point, prevalence=share).precision for share in (0.001, 0.5))
print("same detector, same threshold; every second slice is ill: precision above 0.95:", half > 0.95)
print("one in a thousand is ill: precision below 0.5:", rare < 0.5)
one = replace(point, prevalence=float(label.mean()))
print("at the test's own share, precision is the counted one:", np.isclose(one.precision, label[called].mean()))

# %% [markdown]
# ### λ: probability or distance?
#
# TEND's score is $s(x) = (1-\lambda)\,p(x) + \lambda\,\tilde d(x)$, λ = 0.1 [C]. The explorer holds both terms of every image, so the
# slider re-weights them at once, exactly: nothing is interpolated.
#
# **Predict:** which is the better half, the classifier's probability (λ = 0) or the distance (λ = 1)? How far are they apart?

# %%
weights = np.linspace(0, 1, 21)
cases = [case for case in explorer.stored.cases("brain") if "generated" not in case]
tend = {case.split(": ")[1]: explorer.stored.run("brain", case, 100, "TEND").scores for case in cases}
by_weight = {name: (weights, [auroc(s.label, reweighted(s, w).score) for w in weights]) for name, s in tend.items()}
curves(
    {"": by_weight},
    title="TEND's AUROC, from its probability to its distance (synthetic)",
    x_title="λ, weight of the distance",
    y_title="AUROC (0.5 is chance)",
    reference=0.5,
    y_range=(0.45, 0.8),
)

# %%
# NBVAL_CHECK_OUTPUT
stored = all(np.allclose(reweighted(s, 0.1).score, s.score) for s in tend.values())
print("re-weighted with the stored λ, the scores are the stored ones:", stored)
moves = {name: max(values) - min(values) for name, (_, values) in by_weight.items()}
print("over all λ, no condition's AUROC moves by more than 0.06:", max(moves.values()) < 0.06)

# %% [markdown]
# Flat, until the distance stands alone: a far-flung transform has stretched its scale, so that beside p it has hardly a say. And alone it
# says nearly the same: both are read off one embedding, along one direction of it ([notebook 04](04_the_margin.ipynb) shows which). Before
# you tune a weight, look whether there is anything to weigh. And whoever picks λ where the curve is highest has picked it on the test
# ([notebook 11](11_how_evaluations_go_wrong.ipynb)).
#
# **Exercise 1.** With the sliders: data set *brain*, gliomas, Patch-GAN. Move the threshold until its sensitivity first reaches 0.800 or
# more. What is the specificity?
#
# <details><summary>Hint</summary>
#
# Start at the right end of the slider and go left with the arrow keys; the table under the figure follows.
# </details>

# %%
specificity = ...  # to three digits, from the table


def first_above(scores, wanted):
    """Specificity at the highest step of the slider whose sensitivity reaches `wanted`."""
    for share in np.arange(200, -1, -1) / 200:
        called = scores.score > threshold_at(scores.score, share)
        if called[scores.label == 1].mean() >= wanted:
            return 1 - called[scores.label == 0].mean()


exercise_check("1", specificity, first_above(run.scores, 0.8), tolerance=0.002)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# specificity = first_above(run.scores, 0.8)
# ```
# </details>

# %% [markdown]
# **Exercise 2.** Choose *ms* as the test and box the last bins of Patch-GAN's histogram, or move the lower end of *Selected scores* to the
# right. Of its twelve most novel images, how many are healthy? Look at their maps: what fooled it?
#
# <details><summary>Hint</summary>
#
# Choose Patch-GAN in *Selected by the score of*; each picture's caption begins with its class. As code:
# `np.argsort(-scores.score, kind="stable")[:12]`.
# </details>

# %%
healthy_among_twelve = ...  # a count

ms = explorer.stored.run("brain", "One-vs-rest, novel: ms", 100, "Patch-GAN").scores
exercise_check("2", healthy_among_twelve, int((ms.label[np.argsort(-ms.score, kind="stable")[:12]] == 0).sum()))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# first = np.argsort(-ms.score, kind="stable")[:12]
# healthy_among_twelve = (ms.label[first] == 0).sum()
# ```
# </details>
#
# ## 2. The margin, epoch by epoch
#
# TEND pulls normal images (ID) into a sphere and pushes transformed ones out [P]. Here it learns that threes are normal, on real digits,
# in an embedding of two numbers, so that the picture is the embedding itself. R bounds the *squared* distance [C]: the circle has radius
# √R.
# After each epoch the place of every held-out digit is kept, together with its picture: a *snapshot*.

# %%
digits = load("digits", progress=False)
setup = one_vs_rest(digits, "3", seed=0)
some = np.flatnonzero(setup.y_test)[::8]
snapshots = record_snapshots(
    Tend(
        TendSettings(
            embedding=2,
            epochs_autoencoder=6,
            epochs=16,
            warmup=4,
            margin_weight=1 / 150,
            least_steps=15,
            family=TrainingFamily(local=0.0),
        ),
        seed=0,
        progress=False,
    ),
    setup.X_train,
    setup.X_calibration,
    X_shown=setup.X_test[setup.y_test == 0],
    X_novel=setup.X_test[some],
    novel_labels=setup.test_table["label"][some].tolist(),
)

# %% [markdown]
# **Predict:** the other digits (novel) were never shown in training, neither inside nor outside. Where will they lie at the end? Play the
# epochs, then click points, or choose images in the list: which digits did the sphere swallow?

# %%
MarginExplorer(snapshots)

# %%
figure = margin_figure(snapshots, MarginState(step=len(snapshots.epochs) - 1))
figure.data = (*figure.data[1:3], figure.data[0], *figure.data[3:])  # the normal digits on top: they lie in the thick of the others
figure

# %%
# NBVAL_CHECK_OUTPUT
inside = {
    group: (snapshots.squared_distance[-1, snapshots.group == group] < snapshots.radius).mean() for group in np.unique(snapshots.group)
}
print("snapshots:", len(snapshots.epochs), "- digits watched:", len(snapshots.group))
print("of the normal threes most lie inside, of their transforms fewer than half:", inside["ID"] > 0.5 > inside["transformed"])
print("other digits lie inside as well, more than one in four:", inside["novel"] > 0.25)

# %% [markdown]
# **Exercise 3.** With the *Snapshot* slider: after how many epochs of margin learning is the median distance of the *novel* digits
# largest? (0 is the snapshot when the centre was set.)
#
# <details><summary>Hint</summary>
#
# The table under the figure gives the median distance of each group; the dotted line beside the embedding is the same.
# </details>

# %%
epoch = ...  # a whole number

medians = np.median(snapshots.distance[:, snapshots.group == "novel"], axis=1)
exercise_check("3", epoch, int(snapshots.epochs[np.argmax(medians)]))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# epoch = snapshots.epochs[np.argmax(medians)]
# ```
# </details>
#
# ## 3. Patches, ranked
#
# Patch-GAN gives every patch a score and lets the highest have the most to say: $A(x) = \sum_i w_i s_{(i)}$, the weights
# adding up to 1 and falling with the rank, the faster the smaller τ ([notebook 07](07_patch_ranking.ipynb)). That patches are ranked is
# [P], the formula [O]. τ and k need no network, so they are live. Patch size and mask share do: other networks, to
# be trained each. They are *precomputed* on a grid, and the list offers nothing in between:

# %%
# NBVAL_CHECK_OUTPUT
runs = PatchRuns.load()
for patch, share in runs.scores:
    print(f"patches of {patch} pixels, {share:.3g} of the image hidden:", runs.scores[(patch, share)].scores.shape[1], "patches an image")
print(runs.about)

# %% [markdown]
# **Predict:** when half the image is hidden at once, is a lesion easier to see, because less of it shines through, or harder, because
# less is left to restore it from? And larger patches: will they find small lesions better or worse?
#
# Light the patches in their order; then compare the runs on the same slice.

# %%
PatchExplorer(runs.scores, runs.images, runs.masks, labels=list(runs.labels), progress=False)

# %%
glioma = int(np.flatnonzero(runs.labels == "glioma")[0])
state = PatchState(image=glioma, patch=4, mask_share=0.25, lit=20)
patch_figure(runs.images[glioma], runs.scores[(4, 0.25)], state, runs.masks[glioma], caption="a glioma (synthetic)")

# %%
novel = (runs.labels != "healthy").astype(int)
found = {}
for patch in (4, 8):
    states = [PatchState(patch=patch, mask_share=share) for share in (0.125, 0.25, 0.5)]
    image_scores = [[ranking(s, state).image_score for s in runs.scores[(patch, state.mask_share)].scores] for state in states]
    found[f"patches of {patch} pixels"] = ([state.mask_share for state in states], [auroc(novel, values) for values in image_scores])
curves(
    {"": found},
    title="All five conditions against healthy, six small runs (synthetic)",
    x_title="mask share: how much is hidden at once",
    y_title="AUROC (0.5 is chance)",
    reference=0.5,
    y_range=(0.4, 1.02),
)

# %% [markdown]
# Sixty slices and one seed: a difference of 0.05 between two of these runs means nothing. What is sure is what the rules do:

# %%
# NBVAL_CHECK_OUTPUT
scores = runs.scores[(4, 0.25)].scores
built = {
    how: np.array([ranking(s, PatchState(how=how, top_k=k)).image_score for s in scores])
    for how, k in (("max", 1), ("top_k", 1), ("mean", 1))
}
print("the mean of the top 1 is the maximum:", np.array_equal(built["max"], built["top_k"]))
limits = [np.array([ranking(s, PatchState(tau=tau)).image_score for s in scores]) for tau in (1e-4, 100.0)]
print("τ → 0 is the maximum, τ → ∞ the mean:", np.allclose(limits[0], built["max"]), np.allclose(limits[1], built["mean"], atol=0.02))
print("at the slider's left end one patch holds all the weight:", ranking(scores[0], PatchState(tau=1e-4)).weights[0] > 0.999)

# %% [markdown]
# **Exercise 4.** With the run *patches of 4 pixels, 0.25 hidden* and τ = 0.1: how many patches hold half of the weight? And does the
# answer depend on the image?
#
# <details><summary>Hint</summary>
#
# The table under the figure says it. Weights depend on ranks alone.
# </details>

# %%
half_the_weight = ...  # a count

weights_at = ranking(scores[0], PatchState(tau=0.1)).weights
exercise_check("4", half_the_weight, int(np.searchsorted(np.cumsum(weights_at), 0.5)) + 1)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# half_the_weight = np.searchsorted(np.cumsum(weights_at), 0.5) + 1  # the same for all images: ranks alone count
# ```
# </details>
#
# ## 4. Distortions
#
# TEND learns from distortions that it makes itself. If these leave a mark that no real novelty has, it learns the mark
# ([notebook 03](03_tend_stage_2.ipynb)).
#
# **Predict:** look through the published eight [C]. Which of them could you tell from the original without looking at the brain at all?

# %%
slices = load("brain", seed=7, n_healthy=40, n_novel=4, conditions=("healthy", "glioma"), progress=False)
slices = slices.subset(np.r_[1:41:4, 41:44:2])
DistortionExplorer(slices)

# %%
image = slices.images[0]
distortion_figure(image, DistortionState(family="published", kind="affine_projection"))

# %% [markdown]
# The table under the explorer measures what could give a transformation away. One of them: the share of pixels that have the commonest grey
# level. For every transformation:


# %%
def constant_share(family, kind):
    """(before, after) the share of the commonest grey level."""
    return distortion_readout(image, distorted(image, DistortionState(family=family, kind=kind)))["share of the commonest grey level"]


# %%
show_source(distortion_readout)

# %%
# NBVAL_CHECK_OUTPUT
share = {(family, kind): constant_share(family, kind)[1] for family, kinds in FAMILIES.items() for kind in kinds}
filled = [kind for (family, kind), value in share.items() if value > 0.3]
print("more than 0.3 of the picture has one grey level after:", ", ".join(filled))
print("of the default training family and of the generated novelties, none:", all(share[f, k] < 0.3 for f, k in share if f != "published"))

# %% [markdown]
# **Exercise 5.** In the training family, set *Strength* to 0. What is left is the sub-pixel warp that normal images pass through as well.
# Which of the four measures in the table does it change most, relative to its value before, for *translation* on the first image?
#
# <details><summary>Hint</summary>
#
# Compare `before` and `after` of `distortion_readout(image, distorted(image, DistortionState(kind="translation", strength=0)))`.
# </details>

# %%
measure = ...  # its name as in the table

before_after = distortion_readout(image, distorted(image, DistortionState(kind="translation", strength=0)))
exercise_check("5", measure, max(before_after, key=lambda name: abs(before_after[name][1] / before_after[name][0] - 1)))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# measure = max(before_after, key=lambda name: abs(before_after[name][1] / before_after[name][0] - 1))
# ```
# </details>
#
# ## Your own results, and a page without code
#
# `ScoreExplorer("results/quick")` opens what `novkit reproduce` measured on your machine;
# `ScoreExplorer("results/mine", datasets={"mine": load("folder/of/images")})` shows the pictures of your own images.
#
# With `python -m pip install -c constraints.txt -e ".[teach]"` in the project's folder, `python -m voila notebooks/10_score_explorer.ipynb`
# serves this notebook as a page: text, figures and sliders, no code. Use it for readers who want to explore without programming.
#
# ## Sources
#
# - TEND: Guo et al. 2022, J. Med. Imaging 9(1) 014004; arXiv 2108.00117. Patch-GAN: Chen et al. 2025, arXiv 2501.17906.
# - Precision and prevalence: Altman and Bland 1994, BMJ 309, 102. Marks: [the methods](../docs/methods.md).
# - How the slices are made: [docs/brain.md](../docs/brain.md). What a results folder holds: [docs/results.md](../docs/results.md).
#
# **Read next:** [11](11_how_evaluations_go_wrong.ipynb), on how all of these numbers can lie; then [12](12_your_own_images.ipynb), with
# images of your own.
