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
# # Reproducing the score distributions
#
# **What you will learn**
# - to read the picture behind an AUROC, in the arrangement of Patch-GAN's Figure 3; one panel of it you make again, live;
# - what bins and scales do to a histogram, and what they cannot do to an AUROC;
# - how overlap and AUROC hang together, and where they part;
# - where a threshold comes from, and what it costs to take it from the test;
# - why a constant score is an error, and a collapsed network looks quite healthy in a histogram.
#
# A minute and 1 GB on two cores (the first time half a minute more, to make the skin images); one panel is fitted, the rest is read from
# [`results/reference`](../results/reference); no network. Brain and skin are *synthetic*. Marks: **[P]** the paper, **[O]** our own
# choice.

# %%
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from scipy.stats import ks_2samp, norm

from novkit.baselines.autoencoder import draws_one_picture
from novkit.errors import TrainingError
from novkit.evaluation import auroc, image_metrics
from novkit.experiments import build_setups, load_for, reproduction
from novkit.figures import DistributionPanel, distribution_grid, score_distributions
from novkit.figures.charts import cloud, curves
from novkit.methods import load_detector, make_detector
from novkit.notebooks import exercise_check, reference_results, show_source
from novkit.published import PUBLISHED
from novkit.records import METHODS
from novkit.report.papers import CASES, FIGURE_3, figure_3
from novkit.results import load_results, load_scores
from novkit.seeding import numpy_generator

torch.set_num_threads(1)  # as the stored runs were made
folder = reference_results()
records = [r for r in load_results(folder) if r.seed == 100]  # a histogram shows one run, never a mean of seeds
by = {(r.dataset, r.case, r.method): r for r in records}
scores = {key: load_scores(folder, r) for key, r in by.items() if r.dataset != "digits"}

# %% [markdown]
# ## 1. Eight panels
#
# Figure 3 of Patch-GAN's paper shows the score distributions of an autoencoder, ALOCC (a restorer trained against a judge,
# [notebook 06](06_the_adversarial_game.ipynb)), a one-class SVM and Patch-GAN on ISIC 2016 and BraTS 2019 [P]. Here are the same methods on
# the data that are always there, one run each, of the first seed: **the arrangement of that figure, on other images. It is no
# reproduction of it.**
#
# **Predict:** if a method gives 0.5, what does its panel look like? And if it gives 0.92: do the two classes part entirely?

# %%
figure_3(folder, records)

# %% [markdown]
# Read one panel at a time. Every method scores in units of its own, so that *between* panels neither position nor height means anything.
# Blue and orange are densities: each has area 1, however many images it holds.
#
# Where the eight come from:

# %%
panels = {(METHODS[m], dataset): by[dataset, case, m] for dataset, case in CASES.items() for m in FIGURE_3}
pd.DataFrame(
    {
        name: {
            "AUROC": round(r.auroc, 3), "tested": r.n_test, "learnt from": r.n_train, "seed": r.seed, "device": r.device,
            "torch": r.versions["torch"], "commit": r.commit[:10], "data": r.data_fingerprint,
        }
        for name, r in panels.items()
    }
).T  # fmt: skip

# %%
# NBVAL_CHECK_OUTPUT
drawn = [(by[dataset, case, m], scores[dataset, case, m]) for dataset, case in CASES.items() for m in FIGURE_3]
as_stored = all(np.isclose(r.auroc, auroc(s.label, s.score)) for r, s in drawn)
alike = all(len({tuple(s.id) for r, s in drawn if r.dataset == dataset}) == 1 for dataset in CASES)
print(len(drawn), "panels; the stored AUROC is that of the stored scores:", as_stored)
print("within a data set all methods saw the same test images:", alike)

# %% [markdown]
# ## 2. One panel, made again
#
# The OC-SVM on skin: principal components of the pixels, then a smooth boundary around the normal ones
# ([notebook 02](02_tend_stage_1.ipynb)). The images are made from the stored seed, split as they were, and the detector is fitted anew.

# %%
job = next(job for job in reproduction(seeds=(100,), methods=("ocsvm",)) if job.dataset == "skin")
job = replace(job, cases=(("one_vs_rest", ("atypical",)),))
setup = build_setups(job, load_for(job, progress=False))[0]
ocsvm = make_detector(job.method, job.profile, seed=job.seed, progress=False)
ocsvm.fit(setup.X_train, setup.X_calibration, X_threshold=setup.X_threshold)
live, stored = ocsvm.novelty_score(setup.X_test), scores["skin", "novel: atypical", "ocsvm"]
print(f"AUROC live {auroc(setup.y_test, live):.5f}, stored {auroc(stored.label, stored.score):.5f}")

# %%
# NBVAL_CHECK_OUTPUT
print("the same images:", setup.dataset.fingerprint == by["skin", "novel: atypical", "ocsvm"].data_fingerprint)
print("in the same order:", bool(np.array_equal(setup.test_table["id"], stored.id)))
print("AUROC to within 0.005:", abs(auroc(setup.y_test, live) - auroc(stored.label, stored.score)) < 0.005)
print("each score to within 1 % of their spread:", bool(np.abs(live - stored.score).max() < 0.01 * np.ptp(stored.score)))

# %% [markdown]
# No training by gradient, so the tolerance can be narrow: only the order of sums differs between machines. Patch-GAN takes minutes to
# train; but its weights are stored, and must give the stored scores. Eighty images, whole scores:

# %%
some = np.r_[np.flatnonzero(stored.label == 0)[:40], np.flatnonzero(stored.label == 1)[:40]]
patchgan = load_detector(folder / "detectors" / "skin-benign-patchgan-seed100")
then = scores["skin", "novel: atypical", "patchgan"].score[some]
now = patchgan.novelty_score(setup.X_test[some])
again = cloud(
    then, now, np.where(stored.label[some] == 1, "atypical", "benign"),
    title="Patch-GAN on 80 images, stored and now (synthetic)", x_title="stored score", y_title="score now",
)  # fmt: skip
again.add_scatter(
    x=[then.min(), then.max()], y=[then.min(), then.max()], mode="lines", name="equal", line={"color": "#8C8C8C", "dash": "dot"}
)

# %%
# NBVAL_CHECK_OUTPUT
print(len(some), "scores, each to within 1 % of their spread:", bool(np.abs(now - then).max() < 0.01 * np.ptp(then)))

# %% [markdown]
# ## 3. What bins do
#
# A histogram has a setting nobody reports: its bins. A common summary of such pictures is the *overlap*, the area under both curves:
#
# $$\mathrm{OVL} = \int \min\bigl(f_0(s), f_1(s)\bigr)\,ds \;\approx\; \sum_\text{bins} \min(p_b, q_b)$$
#
# **Predict:** divide the healthy subjects into two halves. Their scores come from one and the same distribution, so the overlap is 1. What
# does a histogram with 100 bins say?


# %%
def overlap_of_bins(normal, novel, bins):
    """Σ min(p, q) over equal bins of both together."""
    edges = np.histogram_bin_edges(np.r_[normal, novel], bins=bins)
    shares = [np.histogram(values, edges)[0] / len(values) for values in (normal, novel)]
    return float(np.minimum(*shares).sum())


def by_class(run):
    return run.score[run.label == 0], run.score[run.label == 1]


glioma = {m: by_class(scores["brain", "novel: glioma", m]) for m in METHODS}
ae = scores["brain", "novel: glioma", "autoencoder"]
well = np.unique(ae.group[ae.label == 0])
first = np.isin(ae.group[ae.label == 0], numpy_generator(0, "halves").permutation(well)[: len(well) // 2])
halves = (glioma["autoencoder"][0][first], glioma["autoencoder"][0][~first])

BINS = (5, 10, 20, 40, 100, 200, 500, 1000)
shown = {m: glioma[m] for m in ("patchgan", "autoencoder")} | {"healthy against healthy: in truth 1": halves}
measured = {name: (BINS, [overlap_of_bins(*pair, bins) for bins in BINS]) for name, pair in shown.items()}
curves(
    {"": measured}, title="Overlap by the number of bins (synthetic)",
    x_title="bins", y_title="overlap of the histograms", log_x=True, y_range=(0, 1.02),
)  # fmt: skip

# %%
# NBVAL_CHECK_OUTPUT
identical = measured["healthy against healthy: in truth 1"][1]
print("healthy against healthy, 10 bins: above 0.85:", identical[1] > 0.85)
print("with 1000 bins below 0.6, of the same scores:", identical[-1] < 0.6)

# %% [markdown]
# With many bins two combs of thin teeth hardly touch: any method can be made to separate. So novkit takes no more bins than the
# smaller class can fill, $3\sqrt n$ at most [O]. Even so the brain panels of part 1 are ragged, because $n$ flatters: four slices of a
# head score alike, and 400 images are 100 heads.

# %%
# NBVAL_CHECK_OUTPUT
_, head = np.unique(ae.group, return_inverse=True)
of_head = np.bincount(head, ae.score) / np.bincount(head)
print("of the variance of the autoencoder's scores more than 90 % lies between heads:", bool(of_head[head].var() / ae.score.var() > 0.9))

# %% [markdown]
# And here is an overlap that needs no bins. Where the densities cross once, at $t$, all that overlaps is what $t$ gets wrong on either
# side:
#
# $$\mathrm{OVL} = 1 - \max_t \bigl|\,P(s > t \mid \text{novel}) - P(s > t \mid \text{normal})\,\bigr| ,$$
#
# one minus the Kolmogorov–Smirnov statistic: the largest height of the ROC curve above (or below) its diagonal.


# %%
def overlap(normal, novel):
    """1 − the Kolmogorov–Smirnov statistic."""
    return 1 - float(ks_2samp(normal, novel).statistic)


pd.Series({METHODS.get(name, name): overlap(*pair) for name, pair in shown.items()}, name="overlap, without bins").round(2).to_frame()

# %% [markdown]
# Healthy against healthy still is not 1: the largest of many small chance differences. Numbers from samples of this size should be read
# to one digit.
#
# ## 4. What scales do
#
# Patch-GAN's scores have a long tail: some gliomas score twice as high as the most suspicious healthy slice. **Predict:** take
# logarithms. What happens to the picture, what to the AUROC?

# %%
run = scores["brain", "novel: glioma", "patchgan"]
logarithm = replace(run, score=np.log10(run.score))
score_distributions({"the score": run, "log₁₀ of the score": logarithm}, title="Patch-GAN on gliomas, twice (synthetic)")


# %%
# NBVAL_CHECK_OUTPUT
def separation(run):
    """d′: the difference of the means, in standard deviations."""
    normal, novel = by_class(run)
    return (novel.mean() - normal.mean()) / np.sqrt((normal.var() + novel.var()) / 2)


print("the AUROC is the same:", auroc(run.label, run.score) == auroc(run.label, logarithm.score))
print("and so is the overlap without bins:", overlap(*by_class(run)) == overlap(*by_class(logarithm)))
print("the difference of the means, in sd, is not: more than 10 % larger:", separation(logarithm) > 1.1 * separation(run))

# %% [markdown]
# AUROC knows the order of the scores and nothing else. Whatever is computed from their *size*, means, t-tests, "distance between the
# peaks", depends on a scale that nobody has chosen for a reason.
#
# There is one scale on which all methods can be compared: give each image *the share of normal images that score below it*. Normal
# images are then flat between 0 and 1. **Predict:** what is the mean of the novel ones on this scale?


# %%
def as_share(run):
    """The run with each score replaced by the share of normal scores below it, ties counting half."""
    normal = np.sort(run.score[run.label == 0])
    below, up_to = (np.searchsorted(normal, run.score, side=side) for side in ("left", "right"))
    return replace(run, score=(below + up_to) / (2 * len(normal)))


shares = {m: as_share(scores["brain", "novel: glioma", m]) for m in ("autoencoder", "ocsvm", "patchgan")}
flat = score_distributions(shares, title="Gliomas among the healthy: 0, the least novel; 1, the most (synthetic)", bins=20)
flat.update_xaxes(title_text="share of healthy slices below")

# %%
# NBVAL_CHECK_OUTPUT
means = {m: by_class(run)[1].mean() for m, run in shares.items()}
print("the mean of the novel ones is the AUROC:", all(np.isclose(means[m], by["brain", "novel: glioma", m].auroc) for m in shares))

# %% [markdown]
# So that is what an AUROC is: where, on average, a novel image would stand in the queue of the normal ones.
#
# **A scale that destroys.** A sigmoid keeps the order, too: in mathematics. TEND's squared distances reach into the thousands.
# **Predict:** the sigmoid of 40, in 32 bits?

# %%
# NBVAL_CHECK_OUTPUT
tend = scores["brain", "novel: glioma", "tend"]
distance = tend.components["distance"]
squashed = torch.sigmoid(torch.from_numpy(distance).float()).numpy()
print("sigmoid(40) is 1:", bool(torch.sigmoid(torch.tensor(40.0)) == 1))
print("a quarter or more of all images are now exactly 1:", bool((squashed == 1).mean() > 1 / 4))
print("AUROC lost, 0.01 or more:", auroc(tend.label, distance) - auroc(tend.label, squashed) > 0.01)

# %% [markdown]
# Ties cannot be undone. Hence: metrics on raw scores, in 64 bits.
#
# ## 5. Overlap against AUROC
#
# If both classes were normal curves of equal width, $d$ standard deviations apart, each number would tell the other:
#
# $$\mathrm{AUROC} = \Phi\!\left(\tfrac{d}{\sqrt 2}\right), \qquad \mathrm{OVL} = 2\,\Phi\!\left(-\tfrac{|d|}{2}\right).$$
#
# Every run of brain and skin with the first seed as a point. **Predict:** on which side of the curve do they lie? And how much overlaps
# where the AUROC is *below* one half?

# %%
runs = list(scores)
area = np.array([by[key].auroc for key in runs])
share = np.array([overlap(*by_class(scores[key])) for key in runs])
kinds = {"tend": "TEND", "patchgan": "Patch-GAN", "statistic": "one statistic", "statistic_oracle": "one statistic"}
seen = cloud(
    area, share, [kinds.get(m, "other methods") for _, _, m in runs],
    title="Every run of brain and skin, seed 100 (synthetic)", x_title="AUROC", y_title="overlap, without bins",
)  # fmt: skip
curve = np.linspace(0.35, 0.97, 125)
theory = 2 * norm.cdf(-np.abs(norm.ppf(curve)) / np.sqrt(2))
seen.add_scatter(x=curve, y=theory, mode="lines", name="normal curves of equal width", line={"color": "#8C8C8C", "dash": "dot"})
for key, side in ((("brain", "novel: ventricles", "alocc"), 40), (("brain", "novel: glioma", "patchgan"), -60)):
    at = runs.index(key)
    name = f"{METHODS[key[2]]}, {key[1].removeprefix('novel: ')}"
    seen.add_annotation(x=area[at], y=share[at], text=name, ax=side, ay=40, showarrow=True, arrowcolor="#8C8C8C")
seen.update_traces(marker_size=8, selector={"mode": "markers"})

# %%
# NBVAL_CHECK_OUTPUT
alocc, autoencoder = (runs.index(("brain", "novel: ventricles", m)) for m in ("alocc", "autoencoder"))
print(len(runs), "runs; the larger |AUROC − ½|, the smaller the overlap, correlation below −0.9:",
      bool(np.corrcoef(np.abs(area - 0.5), share)[0, 1] < -0.9))  # fmt: skip
print("ventricles: ALOCC overlaps less than the autoencoder:", bool(share[alocc] < share[autoencoder]))
print("and yet its AUROC is below 0.45, the autoencoder's above 0.55:", bool(area[alocc] < 0.45 and area[autoencoder] > 0.55))

# %% [markdown]
# Two places where they part:
#
# - **Direction.** An overlap does not know which class lies higher. ALOCC gives enlarged ventricles *lower* scores than healthy ones:
#   separated, and the wrong way round.
# - **Width.** Where the novel scatter more than the normal, or the other way round, the curves cross twice, and there is some separation
#   even at an AUROC of 0.5.
#
# Most points lie below the curve also because a *maximum* over thresholds picks up chance, as you saw with the two healthy halves.
#
# ## 6. The column that is missing
#
# Figure 3 compares networks with networks. One more column belongs in it: **one number of the picture**, fixed beforehand, and the best
# such number for this very test, the oracle † ([notebook 08](08_reproducing_auc_tables.ipynb)). **Predict:** of the eight panels in
# part 1, how many clearly look better than these?

# %%
humble = ("statistic", "statistic_oracle")
added = [
    DistributionPanel(dataset=dataset, method=m, scores=scores[dataset, case, m], auroc=by[dataset, case, m].auroc, synthetic=True)
    for dataset, case in CASES.items()
    for m in (*humble, "patchgan")
]
distribution_grid(added, title="One number of the picture (the oracle is chosen on the test), and Patch-GAN")

# %%
overlaps = {METHODS[m]: {d: overlap(*by_class(scores[d, case, m])) for d, case in CASES.items()} for m in (*FIGURE_3, *humble)}
pd.DataFrame(overlaps).T.round(2)

# %%
# NBVAL_CHECK_OUTPUT
print("the fixed statistic overlaps by more than 0.7 on both sets:", all(value > 0.7 for value in overlaps["Fixed statistic"].values()))
print("Patch-GAN, gliomas: by less than half of that:", overlaps["Patch-GAN"]["brain"] < 0.5 * overlaps["Fixed statistic"]["brain"])

# %% [markdown]
# The autoencoder's gliomas look better than chance, and hardly better than one number of the picture. A figure without that column
# cannot show it.
#
# ## 7. Where the threshold goes
#
# A histogram invites you to draw a line where the curves cross. You can do that only because you see the orange one, the test's labels.
# The honest line comes from held-out *normal* images: their 95 % quantile, so that 5 % false alarms are intended.

# %%
thresholds = {}
for m in FIGURE_3:
    detector = load_detector(folder / "detectors" / f"brain-healthy-{m}-seed100")
    normal, novel = glioma[m]
    found = np.sort(np.r_[normal, novel])
    best = found[np.argmax([(novel > t).mean() - (normal > t).mean() for t in found])]
    thresholds[m] = {"from held-out normals": detector.threshold_, "from the test": float(best)}
score_distributions(run, threshold=thresholds["patchgan"]["from held-out normals"], title="Patch-GAN on gliomas (synthetic)")

# %% [markdown]
# **Predict:** how many healthy slices will lie above it? And for the autoencoder, with an AUROC above 0.6: what share of the gliomas
# does it find at 5 % false alarms? The last two columns cheat.

# %%
rates = pd.DataFrame(
    {
        METHODS[m]: {
            (f"threshold {source}", kind): (values > t).mean()
            for source, t in thresholds[m].items()
            for kind, values in zip(("false alarms", "found"), glioma[m], strict=True)
        }
        for m in FIGURE_3
    }
).T
rates.round(2)

# %%
# NBVAL_CHECK_OUTPUT
honest, cheated = (rates[f"threshold from {source}"] for source in ("held-out normals", "the test"))
print("5 % intended; all four between 2 % and 15 %:", bool(honest["false alarms"].between(0.02, 0.15).all()))
print("Patch-GAN finds more than two in three:", honest.loc["Patch-GAN", "found"] > 2 / 3)
print("the three others fewer than one in five:", bool((honest["found"].drop("Patch-GAN") < 0.2).all()))
print("on the test's own threshold these seem to find more than half:", bool((cheated["found"].drop("Patch-GAN") > 0.5).all()))

# %% [markdown]
# An AUROC above 0.6 sounds like something. At the threshold one would really use, the autoencoder calls hardly a larger share of the
# gliomas novel than of the healthy slices: its curve rises in the middle, where nobody can afford the false alarms. And a 95 % quantile of
# 120 subjects is itself a guess: see how far the honest false alarms are from 5 % ([notebook 01](01_data_and_metrics.ipynb) says why).
#
# ## 8. Constant, collapsed
#
# A network may die in training and give every image the same score. What is its AUROC? It depends on who computes it:

# %%
# NBVAL_CHECK_OUTPUT
dead = np.full(len(run), 0.7)
normal, novel = dead[run.label == 0], dead[run.label == 1]
print("share of pairs with novel ≥ normal:", (novel[:, None] >= normal).mean(), "- with novel > normal:", (novel[:, None] > normal).mean())
try:
    image_metrics(run.label, dead)
except TrainingError as error:
    print("novkit:", error)

# %% [markdown]
# Perfect, worthless, or 0.5 with ties as halves, which looks like an honest failure of an honest method. It is none: nothing was measured.
# So a constant score is an *error* here, when fitting and when evaluating. Scores that differ in the last bits, by rounding, count as
# constant, too: a plot scales its axis to whatever is there, and shows them as a fine bell.
#
# That was the easy case. **Predict:** both panels show squared errors on skin. One is the trained autoencoder's; the other "autoencoder"
# has collapsed, and draws *the same picture*, the mean of the training images, whatever it is shown. Which is which?

# %%
mean_image = setup.X_train.mean(axis=0) / 255
collapsed = replace(stored, score=((setup.X_test / 255 - mean_image) ** 2).reshape(len(stored), -1).mean(axis=1), components={})
two = {"A": collapsed, "B": scores["skin", "novel: atypical", "autoencoder"]}
score_distributions(two, title="One of these has collapsed (synthetic)")

# %%
print({name: round(auroc(run.label, run.score), 3) for name, run in two.items()})

# %% [markdown]
# A is the collapsed one. Its score is not constant at all: it measures how far an image is from the mean, which needs no network, and its
# histogram is as good as any. No picture of scores can show this, one has to look at what was drawn. After training, novkit
# does:

# %%
show_source(draws_one_picture)

# %% [markdown]
# It happened to us, on dark slices of real gliomas: a sigmoid that closes in the first steps, one black picture for all, and a
# plausible AUROC ([the notes](../results/NOTES.md)). Where it happens, the autoencoder now starts again at a lower rate and from
# pictures as bright as the images, and raises an error where that does not help.
#
# ## 9. What these panels are not
#
# The paper's AUROCs, 95.79 % on ISIC 2016 and 96.05 % on BraTS 2019 [P], belong to its own Figure 3, and to a task whose normal class and
# split are not stated where we could read them. Our panels show that a method of this kind, with our choices [O], separates *drawn*
# lesions, and by how much. To measure on the paper's images, one needs them: [notebook 08](08_reproducing_auc_tables.ipynb) prints the
# commands.

# %%
# NBVAL_CHECK_OUTPUT
print("all panels are synthetic:", all(r.synthetic for r, _ in drawn))
print("and none is of the paper's data:", not {r.dataset for r, _ in drawn} & {figure.folder for figure in PUBLISHED if figure.folder})

# %% [markdown]
# ## Exercises
#
# **Exercise 1: without bins, by hand.** Write the overlap as one minus the largest difference of the two shares above a threshold, without
# SciPy.
#
# <details><summary>Hint</summary>
#
# Sort all scores and try each as a threshold. `np.searchsorted(np.sort(values), t, side="right")` counts the values up to t, for many t
# at once.
# </details>


# %%
def my_overlap(normal, novel):
    return ...


# %%
pair = glioma["ocsvm"]
exercise_check("1", lambda: my_overlap(*pair), overlap(*pair))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_overlap(normal, novel):
#     t = np.sort(np.r_[normal, novel])
#     up_to = [np.searchsorted(np.sort(values), t, side="right") / len(values) for values in (normal, novel)]
#     return 1 - np.abs(up_to[0] - up_to[1]).max()
# ```
# </details>

# %% [markdown]
# **Exercise 2: an AUROC as a picture.** *If* both classes were normal curves of equal width, how much would they overlap at an AUROC of
# 0.9579? (This is arithmetic. It says nothing about how the paper's curves really look.)
#
# <details><summary>Hint</summary>
#
# Solve the first formula of part 5 for $d$ with `norm.ppf`, and put it into the second.
# </details>

# %%
overlap_at_9579 = ...

# %%
exercise_check("2", overlap_at_9579, 2 * norm.cdf(-norm.ppf(0.9579) / np.sqrt(2)), tolerance=5e-3)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# d = np.sqrt(2) * norm.ppf(0.9579)
# overlap_at_9579 = 2 * norm.cdf(-d / 2)  # 0.22: one image in nine on the wrong side of the best threshold
# ```
# </details>

# %% [markdown]
# **Exercise 3: fewer alarms.** Set the threshold of the OC-SVM of part 2 so that 1 % false alarms are intended. No test image may be used.
#
# <details><summary>Hint</summary>
#
# The 99 % quantile of its scores on `setup.X_threshold`; `method="higher"` takes a score that occurs.
# </details>

# %%
threshold_1 = ...

# %%
held_out = np.sort(ocsvm.novelty_score(setup.X_threshold))
exercise_check("3", lambda: threshold_1 if threshold_1 is ... else bool(held_out[-3] <= threshold_1 <= held_out[-1]))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# threshold_1 = np.quantile(ocsvm.novelty_score(setup.X_threshold), 0.99, method="higher")
# print([round(float((values > threshold_1).mean()), 3) for values in by_class(stored)])
# ```
#
# 160 lesions set it: 1 % of them is one or two. The rarer the alarms you ask for, the fewer images your threshold rests on.
# </details>

# %% [markdown]
# **To think about.** You may show one histogram of your method in a paper. Which seed do you take, and how does the reader know?
#
# ## Sources
#
# - Patch-GAN: Chen, Yang, Zhang, Peng, Zhang, Zhang, Han, Grau, *Unsupervised Patch-GAN with targeted patch ranking for fine-grained
#   novelty detection in medical imaging*, arXiv 2501.17906, 2025: Figure 3.
# - ALOCC: Sabokrou, Khalooei, Fathy, Adeli, *Adversarially learned one-class classifier for novelty detection*, CVPR 2018. OC-SVM:
#   Schölkopf et al., Neural Computation 13, 2001.
# - Overlap: Weitzman, *Measures of overlap of income distributions*, U.S. Bureau of the Census, 1970; Inman & Bradley, Commun. Stat.
#   Theory Methods 18, 1989. The best threshold: Youden, *Index for rating diagnostic tests*, Cancer 3, 1950.
# - Code: `novkit/figures/distributions.py`, `novkit/figures/comparisons.py`, `novkit/report/papers.py`.
#
# **Read next:** [10](10_score_explorer.ipynb), where you move the threshold yourself; [11](11_how_evaluations_go_wrong.ipynb), how such
# pictures go wrong.
