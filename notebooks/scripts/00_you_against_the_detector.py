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
# # You against the detector
#
# Twenty brain slices. Some are normal, some are not. You say which, and then two detectors say which, who have only ever seen normal ones.
#
# **What you will learn**
# - what novelty detection is asked to do, by doing it yourself;
# - how a reader becomes a dot, and a detector a curve, in one figure;
# - what a novelty map shows, and what you and the detector each missed;
# - where the other notebooks lead, and whether your computer is ready for them.
#
# Under a minute of computing and 1 GB on two cores; nothing is trained; no network. The slices are *synthetic*: real, averaged anatomy
# (the ICBM 152 template) with drawn contrast, noise and lesions. Being good at them says nothing about patients.

# %%
import numpy as np

from novkit.data import load
from novkit.doctor import report
from novkit.evaluation import auroc, image_metrics
from novkit.figures import gallery, novelty_maps
from novkit.notebooks import exercise_check, show_source
from novkit.ready import ready_detector
from novkit.widgets.reader_study import (
    ReaderPanel,
    ReaderStudy,
    draw_cases,
    guessing_reader,
    marks_from,
    reader_rates,
    readers_on_roc,
    reading_captions,
)

data = load("brain", seed=7, n_healthy=240, n_novel=40, progress=False)  # subjects that no detector was trained on
y = (data.labels != "healthy").astype(int)
cases = draw_cases(data.table, "healthy", n_normal=10, n_novel=10, seed=7)

# %%
# NBVAL_CHECK_OUTPUT
print(len(cases), "slices of", data.table["group"].iloc[cases].nunique(), "subjects;", int(y[cases].sum()), "are novel, of five conditions")

# %% [markdown]
# ## Your turn
#
# Ten are healthy. Ten show one of five things: a glioma, lesions of multiple sclerosis, an infarct, a haemorrhage, or ventricles that are
# too wide. Healthy brains vary too: in size, brightness, noise, tilt, in how wide their ventricles and how deep their folds are.
#
# Use the buttons, or click the picture and use the keys: **←** or **n** for normal, **→** or **v** for novel, **backspace** to go back.
#
# **Predict:** of the ten novel ones, how many will you find? How many healthy ones will you call novel?

# %%
study = ReaderStudy(len(cases))
ReaderPanel(study, data.images[cases], then="Now run the cells below.")

# %% [markdown]
# No buttons above? Here are the twenty; write your marks down as letters in the next cell.

# %%
gallery(data.images[cases], [f"slice {i + 1}" for i in range(len(cases))], title="Twenty slices (synthetic)", columns=5)

# %%
on_paper = ""  # twenty letters, n for normal and v for novel, if you had no buttons: "nnvn nvvn …"

if study.finished:
    reader, marks = "you", study.marks
elif on_paper:
    reader, marks = "you", marks_from(on_paper, len(cases))
else:
    reader, marks = "guesser", guessing_reader(len(cases), seed=1)  # who tosses a coin, until you have marked all
print(f"Marks of {reader}:", "".join("v" if novel else "n" for novel in marks))

# %% [markdown]
# ## Their turn
#
# Two methods, one of each paper, as `novkit reproduce` trains them, on normal slices of other subjects:
#
# - **TEND** learnt to tell normal slices from their own distortions; it gives a score [P].
# - **Patch-GAN** learnt to restore hidden patches; it judges and ranks patches, and localises [P]. That what it could not restore counts
#   as novel is our formula [O].
#
# A *reader* decides: one sensitivity, one specificity, one dot. A *detector* gives a score, and every threshold makes another reader of
# it: together they are the ROC curve.
#
# $$\text{sensitivity} = \frac{\text{novel, called novel}}{\text{novel}}, \qquad
# \text{specificity} = \frac{\text{normal, called normal}}{\text{normal}}$$

# %%
show_source(reader_rates)

# %%
detectors = {method: ready_detector(method, progress=False) for method in ("patchgan", "tend")}
scores = {method: detector.novelty_score(data.images) for method, detector in detectors.items()}
patchgan = detectors["patchgan"]
called = scores["patchgan"][cases] > patchgan.threshold_

curves = {method: (y, score) for method, score in scores.items()}
curves["Patch-GAN on these twenty"] = (y[cases], scores["patchgan"][cases])
readers = {reader: reader_rates(y[cases], marks), "Patch-GAN at its threshold": reader_rates(y[cases], called)}
readers_on_roc(curves, readers, title="Readers and detectors (synthetic)")

# %% [markdown]
# Above and left of a curve: no threshold of that detector is both as sensitive and as specific. The bars are 95 % intervals: twenty
# slices are few, and say little about who is better. The threshold lies where 5 % of other normal slices would be called novel: a
# detector set like this rarely cries wolf, and misses much.

# %%
# NBVAL_CHECK_OUTPUT
coin = reader_rates(y[cases], guessing_reader(len(cases), seed=1)).sensitivity
print("ten novel slices leave a guesser's sensitivity open by more than 0.4:", coin.high - coin.low > 0.4)
interval = image_metrics(y, scores["patchgan"], data.groups)
print("Patch-GAN is better than a coin, by the interval over all", data.table["group"].nunique(), "subjects:", interval.auroc_low > 0.5)

# %% [markdown]
# ## What was missed
#
# The slices that one of you got wrong, with Patch-GAN's map: bright where a patch could not be restored. The truth is
# outlined in blue; ✓ and ✗ say who was right.

# %%
wrong = np.flatnonzero((np.array(marks) != y[cases]) | (called != y[cases]))
missed, alarmed = (wrong[y[cases][wrong] == kind] for kind in (1, 0))
wrong = np.r_[missed[:4], alarmed[:2]]  # novel ones first, as many as fit
chosen = cases[wrong]
captions = reading_captions(data.labels[chosen], y[chosen], np.array(marks)[wrong], called[wrong], reader=reader)
maps = np.minimum(patchgan.novelty_map(data.images[chosen]), 4)  # what is brighter still would leave the rest in the dark
novelty_maps(data.images[chosen], maps, captions, masks=data.masks[chosen], title="What was missed (synthetic; maps cut at 4)")

# %% [markdown]
# Look where the map is bright on a healthy slice, and dark on a lesion: both happen. A map is the detector's opinion, not a finding.

# %%
# NBVAL_CHECK_OUTPUT
ill = cases[y[cases] == 1]
maps = patchgan.novelty_map(data.images[ill])
regions = zip(maps, data.masks[ill], data.body[ill], strict=True)
inside = np.array([novelty[mask].mean() > novelty[body & ~mask].mean() for novelty, mask, body in regions])
print("in most of the ten novel slices the map is brighter inside the outline than in the rest of the brain:", inside.mean() > 0.5)

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** By hand: the sensitivity from `y[cases]` and `marks`, without `reader_rates`.
#
# <details><summary>Hint</summary>
#
# `np.array(marks)[y[cases] == 1]` are the marks of the novel slices.
# </details>

# %%
my_sensitivity = ...  # a number

exercise_check("1", my_sensitivity, readers[reader].sensitivity.value)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# my_sensitivity = np.array(marks)[y[cases] == 1].mean()
# ```
# </details>

# %% [markdown]
# **Exercise 2.** Let Patch-GAN miss none of the ten: the highest threshold at which all of them score at least as high. What share of the
# ten normal slices does it then call novel?
#
# <details><summary>Hint</summary>
#
# The lowest score among the novel ones is that threshold.
# </details>

# %%
false_alarms = ...  # a share, 0 to 1

lowest = scores["patchgan"][cases][y[cases] == 1].min()
exercise_check("2", false_alarms, (scores["patchgan"][cases][y[cases] == 0] >= lowest).mean())

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# s, truth = scores["patchgan"][cases], y[cases]
# false_alarms = (s[truth == 0] >= s[truth == 1].min()).mean()
# ```
# </details>

# %% [markdown]
# **Exercise 3.** Which of the five conditions does TEND find best? Give its name; the AUROC of each is against all healthy slices.
#
# <details><summary>Hint</summary>
#
# For each condition: `chosen = np.isin(data.labels, ["healthy", condition])`, then `auroc(y[chosen], scores["tend"][chosen])`.
# </details>

# %%
best_found = ...  # such as "ms"


def by_condition():
    rows = {name: np.isin(data.labels, ["healthy", name]) for name in np.unique(data.labels[y == 1])}
    return {name: auroc(y[chosen], scores["tend"][chosen]) for name, chosen in rows.items()}


exercise_check("3", best_found, max(by_condition(), key=by_condition().get))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# best_found = max(by_condition(), key=by_condition().get)
# ```
# </details>
#
# ## The tour
#
# Each notebook can be opened first; in order they tell one story. None takes more than three minutes.
#
# | | what it is about |
# |---|---|
# | [01](01_data_and_metrics.ipynb) | data, splits, and the numbers that judge a detector |
# | [02](02_tend_stage_1.ipynb) | TEND, stage 1: an autoencoder, what its error sees and misses |
# | [03](03_tend_stage_2.ipynb) | TEND, stage 2: distortions as pretended novelty, and shortcuts |
# | [04](04_the_margin.ipynb) | the margin: spheres, distances, and the score |
# | [05](05_masks_and_reconstructor.ipynb) | Patch-GAN, part 1: masks, and a network that fills them |
# | [06](06_the_adversarial_game.ipynb) | Patch-GAN, part 2: the discriminators, and ALOCC |
# | [07](07_patch_ranking.ipynb) | patch ranking: from patch scores to one score and a map |
# | [08](08_reproducing_auc_tables.ipynb) | the tables of AUROCs: one cell made again, the rest read with care |
# | [09](09_reproducing_score_distributions.ipynb) | the distributions of scores behind the tables |
# | [10](10_score_explorer.ipynb) | explorers: scores, distances, patches and distortions under your sliders |
# | [11](11_how_evaluations_go_wrong.ipynb) | how evaluations go wrong, and what each mistake fakes |
# | [12](12_your_own_images.ipynb) | your own images, and the real data sets |
#
# ## Is this computer ready?
#
# `novkit doctor` in a terminal says which versions, device and data are here; paste its output into a question. In short:

# %%
# NBVAL_CHECK_OUTPUT
text, well = report()
print("everything novkit needs is here:", well)

# %% [markdown]
# ## Sources
#
# - TEND: Guo et al. 2022, J. Med. Imaging 9(1) 014004; arXiv 2108.00117. Patch-GAN: Chen et al. 2025, arXiv 2501.17906.
# - Readers as dots beside a curve: Esteva et al. 2017, Nature 542, 115–118. Wilson's interval: Wilson 1927, J. American Statistical
#   Association 22, 209–212.
# - How the slices are made: [docs/brain.md](../docs/brain.md). Marks: [P] the paper says so; [the others](../docs/methods.md) are
#   explained there.
#
# **Read next:** [01](01_data_and_metrics.ipynb), where the curve, the area under it and the interval are taken apart.
