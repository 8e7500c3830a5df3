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
# # Assignment 1: splits and metrics without leaks
#
# Every number in a paper about detectors comes out of six small functions: one that splits, three that measure, one that sets a threshold
# and one that says how sure we are. Here you write all six, once in your life, and compare them with scikit-learn. Then you read an
# abstract and say what it hides.
#
# **What you will learn**
# - to split by subject, and what it fakes to split by image;
# - to compute AUROC, average precision and FPR95 from their definitions, ties included;
# - to set a threshold without looking at the test;
# - to put an interval around an AUROC that counts subjects and not images;
# - to find leaks in other people's protocols.
#
# **Before you start:** notebook 01; NumPy indexing, sorting, cumulative sums. **Time:** two to three hours of yours, half a minute of the
# computer's, 1 GB, no network. The brain slices are *synthetic*: real, averaged anatomy with drawn contrast, noise and lesions.
#
# | part | what you write | points |
# |---|---|---:|
# | 1 `split` | a split by subject | 4 |
# | 2 `auroc` | AUROC, ties included | 5 |
# | 3 `average_precision` | average precision, ties included | 4 |
# | 4 `fpr95` | false-positive rate at 95 % sensitivity | 4 |
# | 5 `threshold` | a threshold from normal images kept for it | 4 |
# | 6 `bootstrap` | an interval that draws subjects | 6 |
# | 7 `judgement` | a written answer, graded by hand | 6 |
# | | together | 33 |
#
# **How it is graded.** Write where it says `YOUR CODE HERE` and leave each function's name and arguments as they are. The locked cells
# below it test your function at once; hidden tests then try it on fresh random inputs, so an answer that fits only the visible ones earns
# nothing. The parts do not need each other: what you skip costs its own points and no more. Inside the graded functions use NumPy, not a
# ready-made metric. Everywhere, **y is 0 for normal and 1 for novel, and a higher score is more novel.**

# %% kind="given"
import numpy as np
import plotly.graph_objects as go
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

from novkit.data import load
from novkit.evaluation import auroc, fpr_at_tpr, image_metrics
from novkit.figures import gallery, score_distributions
from novkit.figures.charts import pairs
from novkit.figures.style import DASHES, NORMAL_COLOUR, NOVEL_COLOURS, faint, finish, legend_on_top
from novkit.notebooks import reference_results
from novkit.results import load_results, load_scores
from novkit.seeding import numpy_generator
from novkit.statistics import compute_statistics

data = load("brain", seed=3, n_healthy=400, n_novel=80, conditions=("healthy", "glioma"), progress=False)
group, is_novel = data.groups, data.labels != "healthy"
folder = reference_results()  # measured by `novkit reproduce` on reserved seeds
wanted = ("brain", "one_vs_rest", "patchgan", "", ("glioma",))
record = next(r for r in load_results(folder) if (r.dataset, r.setup, r.method, r.variant, tuple(r.novel)) == wanted)
stored = load_scores(folder, record)  # Patch-GAN's scores of other healthy and glioma slices, four a subject
print(len(data), "slices of", len(np.unique(group)), "subjects;", int(is_novel.sum()), "slices show a glioma")

# %% [markdown]
# ## Part 1: a split by subject (4 points)
#
# Each subject gives four neighbouring slices:

# %%
shown = np.flatnonzero(np.isin(group, np.unique(group)[[0, -1]]))
gallery(
    data.images[shown], [f"{group[i]}, slice {i % 4 + 1}" for i in shown], columns=4, title="Two subjects, four slices each (synthetic)"
)

# %% [markdown]
# They are four looks at one head. If one of them is trained on and another one tested, the detector is asked about a head it knows.
#
# **Write `split_by_subject`.** The subjects with at least one *normal* image are shuffled by `generator` and cut into four parts: of $n$
# such subjects, the first $\lfloor 6n/10 \rfloor$ are for `train`, those up to $\lfloor 7n/10 \rfloor$ for `calibration`, those up to
# $\lfloor 8n/10 \rfloor$ for `threshold`, the others for `test`. Then
#
# - `train`, `calibration` and `threshold` hold the **normal** images of their subjects, nothing else;
# - `test` holds the normal images of its subjects, and every novel image **whose subject stands in no other part**;
# - a novel image of a subject that is trained, calibrated or thresholded on stands nowhere. (In this data set no subject has both kinds.
#   In real ones many do: a healthy slice of a patient whose next slice shows the tumour.)
#
# <details><summary>Hint</summary>
#
# Shuffle *names*, `generator.permutation(np.unique(...))`, cut the names, and let `np.isin` find the rows.
# </details>


# %% part="split" kind="solution"
def split_by_subject(group, is_novel, generator):
    """Row indices of the four parts, ascending: {"train": …, "calibration": …, "threshold": …, "test": …}.

    group: (n,) names of subjects. is_novel: (n,) bool. generator: a NumPy generator, the only source of chance.
    """
    ### BEGIN SOLUTION
    subjects = generator.permutation(np.unique(group[~is_novel]))
    n = len(subjects)
    *learning, _ = np.split(subjects, [n * 6 // 10, n * 7 // 10, n * 8 // 10])
    names = ("train", "calibration", "threshold")
    parts = {name: np.flatnonzero(np.isin(group, chosen) & ~is_novel) for name, chosen in zip(names, learning, strict=True)}
    parts["test"] = np.flatnonzero(~np.isin(group, np.concatenate(learning)))
    return parts
    ### END SOLUTION


# %% part="split" kind="tests" points=2
parts = {name: np.asarray(rows) for name, rows in split_by_subject(group, is_novel, numpy_generator(0, "split")).items()}
assert set(parts) == {"train", "calibration", "threshold", "test"}, "Return a dictionary with the four parts' names as keys."
assert not is_novel[parts["train"]].any(), "There are novel images in train: a detector learns from normal ones only."
assert len(parts["train"]) == 240, "60 of the 100 healthy subjects, four slices each, should be in train."
assert is_novel[parts["test"]].sum() == 80, "The gliomas' subjects stand in no other part, so all their slices can be tested."


### BEGIN HIDDEN TESTS
def _check_split():
    import numpy as np

    from novkit.teaching import course_generator

    draw = course_generator("a1", "split", 1)
    names = np.array([f"p{number}" for number in draw.permutation(999)[:60]])
    group = np.repeat(names, draw.integers(1, 6, 60))
    is_novel = np.isin(group, names[:20])
    order = draw.permutation(len(group))
    group, is_novel = group[order], is_novel[order]
    drawn = []
    for number in (2, 3):
        got = split_by_subject(group.copy(), is_novel.copy(), course_generator("a1", "split", number))
        got = {name: np.asarray(rows).astype(int).ravel() for name, rows in got.items()}
        assert set(got) == {"train", "calibration", "threshold", "test"}, "Return a dictionary with the four parts' names as keys."
        subjects = {name: set(group[rows][~is_novel[rows]]) for name, rows in got.items()}
        everyone = [subject for found in subjects.values() for subject in found]
        assert len(everyone) == len(set(everyone)), (
            "A subject stands in two parts: cut the shuffled subjects, not the images, and only once."
        )
        sizes = [len(subjects[name]) for name in ("train", "calibration", "threshold", "test")]
        assert sizes == [24, 4, 4, 8], f"40 subjects with normal images should be cut into 24, 4, 4 and 8, yours are {sizes}."
        for name in ("train", "calibration", "threshold"):
            assert not is_novel[got[name]].any(), f"There are novel images in {name}."
        every_row = np.concatenate(list(got.values()))
        assert np.array_equal(np.sort(every_row), np.arange(len(group))), (
            "Here every image belongs in exactly one part: some of yours are in none or in two."
        )
        assert all(np.array_equal(rows, np.sort(rows)) for rows in got.values()), "The row indices of a part should ascend."
        drawn.append(subjects["train"])
    assert drawn[0] != drawn[1], "Two generators gave the same split: shuffle the subjects with the generator."
    again = split_by_subject(group, is_novel, course_generator("a1", "split", 3))
    assert set(group[np.asarray(again["train"])]) == drawn[1], (
        "The same generator gave two different splits: draw from it and from nothing else."
    )


_check_split()
### END HIDDEN TESTS

# %% part="split" kind="tests" points=2
mixed_group = np.repeat([f"patient {number}" for number in range(10)], 2)  # each with a normal and a novel slice
mixed_novel = np.tile([False, True], 10)
parts = {name: np.asarray(rows) for name, rows in split_by_subject(mixed_group, mixed_novel, numpy_generator(0, "mixed")).items()}
assert len(parts["test"]) == 4, "Two of these ten patients are tested on, with two slices each; the other novel slices stand nowhere."


### BEGIN HIDDEN TESTS
def _check_split_of_mixed():
    import numpy as np

    from novkit.teaching import course_generator

    draw = course_generator("a1", "split", 4)
    names = np.array([f"p{number}" for number in draw.permutation(999)[:50]])
    group = np.repeat(names, 4)
    is_novel = np.zeros(200, bool)
    is_novel[np.flatnonzero(np.isin(group, names[:30]))[::2]] = True  # 30 patients with both kinds
    is_novel[np.isin(group, names[30:40])] = True  # 10 with novel images alone
    order = draw.permutation(200)
    group, is_novel = group[order], is_novel[order]
    got = split_by_subject(group, is_novel, course_generator("a1", "split", 5))
    got = {name: np.asarray(rows).astype(int).ravel() for name, rows in got.items()}
    used = np.concatenate([group[got[name]] for name in ("train", "calibration", "threshold")])
    for name in ("train", "calibration", "threshold"):
        assert not is_novel[got[name]].any(), (
            f"There are novel images in {name}: of a patient with both kinds, only the normal ones may be there."
        )
    assert not np.isin(group[got["test"]], used).any(), (
        "Novel images of a patient that you train, calibrate or threshold on are tested: leave them out."
    )
    lacking = set(np.flatnonzero(~np.isin(group, used))) - set(got["test"])
    assert not lacking, "Some images whose patient stands in no other part are not tested."
    assert len(np.unique(used)) == 32, (
        "The shares count the subjects with at least one normal image: here 40, of whom 32 stand outside the test."
    )


_check_split_of_mixed()
### END HIDDEN TESTS

# %% [markdown]
# **What the careless split fakes.** A detector that only remembers: an image is as novel as its distance to the nearest training image
# (after PCA). It is tried on five random splits by subject (yours) and on five by image. The dots are AUROCs for the gliomas.


# %%
def by_image(group, is_novel, generator):
    """The careless split: normal images are dealt out one by one."""
    rows = generator.permutation(np.flatnonzero(~is_novel))
    train, calibration, threshold, rest = np.split(rows, [len(rows) * 6 // 10, len(rows) * 7 // 10, len(rows) * 8 // 10])
    return {"train": train, "calibration": calibration, "threshold": threshold, "test": np.concatenate([rest, np.flatnonzero(is_novel)])}


def remembering(parts):
    """AUROC of the distance to the nearest training image."""
    flat = data.images.reshape(len(data), -1) / 255
    pca = PCA(30, random_state=0).fit(flat[parts["train"]])
    nearest = NearestNeighbors(n_neighbors=1).fit(pca.transform(flat[parts["train"]]))
    distance = nearest.kneighbors(pca.transform(flat[parts["test"]]))[0][:, 0]
    return auroc(is_novel[parts["test"]].astype(int), distance)


ways = {"by subject": split_by_subject, "by image": by_image}
rows = {
    f"split {k + 1}": {name: remembering(way(group, is_novel, numpy_generator(k, "leak"))) for name, way in ways.items()} for k in range(5)
}
pairs(rows, title="The same detector, split by subject and by image (synthetic)", x_title="AUROC, glioma against healthy", x_range=(0.3, 1))

# %% [markdown]
# It knows nothing of gliomas. Split by image, nearly every healthy test slice has a sibling in train, so the healthy ones look familiar
# and everything else looks novel.
#
# ## Part 2: AUROC by hand (5 points)
#
# Show a random novel and a random normal image. How often does the novel one score higher, if a tie counts half?
#
# $$\mathrm{AUROC} = \frac{1}{n_1 n_0} \sum_{i\,\text{novel}} \; \sum_{j\,\text{normal}}
# \Bigl( \mathbb 1[s_i > s_j] + \tfrac12\, \mathbb 1[s_i = s_j] \Bigr)$$
#
# Ties are common in life: scores are rounded, clipped, counted, or saturated by a sigmoid.
#
# **Write `auroc_by_hand`.** A table of all pairs is fine; sorting is faster.
#
# <details><summary>Hint</summary>
#
# `a[:, None] > b[None, :]` compares all pairs. Without a table: how many normal scores lie below each novel one, and how many not above?
# `np.searchsorted(sorted_normal, novel, side=...)` counts both.
# </details>


# %% part="auroc" kind="solution"
def auroc_by_hand(y, score):
    """Area under the ROC curve, ties counting half. y: (n,) 0 or 1. score: (n,). Returns a number in [0, 1]."""
    ### BEGIN SOLUTION
    novel, normal = score[y == 1], np.sort(score[y == 0])
    below = np.searchsorted(normal, novel, side="left")
    not_above = np.searchsorted(normal, novel, side="right")
    return float((below + not_above).mean() / (2 * len(normal)))
    ### END SOLUTION


# %% part="auroc" kind="tests" points=2
assert np.isclose(float(auroc_by_hand(np.array([0, 0, 1]), np.array([1.0, 3.0, 2.0]))), 0.5), (
    "One pair in the right order, one in the wrong."
)
assert np.isclose(float(auroc_by_hand(np.array([0, 1, 0, 1]), np.array([1.0, 9.0, 2.0, 8.0]))), 1.0), (
    "All novel images score above all normal ones."
)
assert not {"roc_auc_score", "roc_curve", "auroc", "auc"} & set(auroc_by_hand.__code__.co_names), (
    "By hand, please: without a ready-made metric."
)


### BEGIN HIDDEN TESTS
def _check_auroc():
    import numpy as np
    from sklearn.metrics import roc_auc_score

    from novkit.teaching import course_generator

    for number in range(5):
        draw = course_generator("a1", "auroc", number)
        y = draw.permutation(np.repeat([0, 1], draw.integers(10, 80, 2)))
        score = draw.normal(size=len(y)) + 0.8 * y
        got = float(auroc_by_hand(y.copy(), score.copy()))
        turned = float(auroc_by_hand(y.copy(), -score))
        assert np.isclose(got + turned, 1), "AUROC(s) and AUROC(−s) should sum to 1."
        stretched = float(auroc_by_hand(y.copy(), np.exp(3 * score)))
        assert np.isclose(got, stretched), "Your AUROC changes when the scores are stretched: it should depend on their order alone."
        truth = roc_auc_score(y, score)
        assert not np.isclose(got, 1 - truth), "Your AUROC is turned round: a higher score is more novel."
        assert np.isclose(got, truth), (
            "Your AUROC differs from scikit-learn's on scores without ties. Do the counts n₁ and n₀ stand where they should?"
        )


_check_auroc()
### END HIDDEN TESTS

# %% part="auroc" kind="tests" points=3
assert np.isclose(float(auroc_by_hand(np.array([0, 0, 1]), np.array([1.0, 3.0, 3.0]))), 0.75), "One win and one tie."
assert np.isclose(float(auroc_by_hand(np.array([0, 0, 1, 1, 1]), np.zeros(5))), 0.5), "A score that is the same for all is a coin."


### BEGIN HIDDEN TESTS
def _check_auroc_with_ties():
    import numpy as np
    from sklearn.metrics import roc_auc_score

    from novkit.teaching import course_generator

    for number in range(5):
        draw = course_generator("a1", "auroc with ties", number)
        y = draw.permutation(np.repeat([0, 1], draw.integers(20, 80, 2)))
        score = np.round(2 * draw.normal(size=len(y)) + 1.5 * y) / 2
        got = float(auroc_by_hand(y, score))
        assert np.isclose(got, roc_auc_score(y, score)), (
            "Your AUROC differs from scikit-learn's where scores are tied: each tie counts half."
        )
        shuffled = draw.permutation(len(y))
        again = float(auroc_by_hand(y[shuffled], score[shuffled]))
        assert np.isclose(got, again), "Your AUROC depends on the order of tied images in the table: it should not."


_check_auroc_with_ties()
### END HIDDEN TESTS

# %% [markdown]
# Compare, on the scores of a trained detector: Patch-GAN's for gliomas, stored with novkit. Rounded, they have ties.

# %%
score_distributions({"patchgan": stored}, title="Patch-GAN's scores of healthy slices and gliomas (synthetic)")

# %%
for digits in (6, 0):
    rounded = np.round(stored.score, digits)
    both = auroc_by_hand(stored.label, rounded), roc_auc_score(stored.label, rounded)
    print(f"rounded to {digits} digits: by hand {both[0]:.4f}, scikit-learn {both[1]:.4f}")

# %% [markdown]
# ## Part 3: average precision by hand (4 points)
#
# Go down the list of images, most novel first. After each threshold, *recall* is the share of the novel images found so far, and
# *precision* the share of novel ones among those called novel. Average precision is the mean precision, weighted by the recall gained:
#
# $$\mathrm{AP} = \sum_k (R_k - R_{k-1})\, P_k, \qquad R_0 = 0,$$
#
# one $k$ for each **distinct** score: images with the same score are called novel together. No trapezoids: between two thresholds
# precision is not a straight line, and drawing one makes it look better.
#
# **Write `average_precision_by_hand`.**
#
# <details><summary>Hint</summary>
#
# Sort downwards, `np.cumsum` counts the novel ones found. Then keep only the last row of each group of equal scores, before taking
# differences.
# </details>


# %% part="average_precision" kind="solution"
def average_precision_by_hand(y, score):
    """Σ (R_k − R_{k−1}) P_k over the distinct scores, from the highest down. y: (n,) 0 or 1. score: (n,). Returns a number in (0, 1]."""
    ### BEGIN SOLUTION
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))  # the last image of each distinct score
    found = np.cumsum(y[order])[last]
    precision, recall = found / (last + 1), found / found[-1]
    return float(np.sum(np.diff(recall, prepend=0) * precision))
    ### END SOLUTION


# %% part="average_precision" kind="tests" points=2
assert np.isclose(float(average_precision_by_hand(np.array([1, 0, 1, 0]), np.array([4.0, 3.0, 2.0, 1.0]))), (1 + 2 / 3) / 2), (
    "The first novel image comes with precision 1, the second with 2/3, and each gains half of the recall."
)
assert not {"average_precision_score", "precision_recall_curve", "auc"} & set(average_precision_by_hand.__code__.co_names), (
    "By hand, please: without a ready-made metric."
)


### BEGIN HIDDEN TESTS
def _check_average_precision():
    import numpy as np
    from sklearn.metrics import average_precision_score

    from novkit.teaching import course_generator

    for number in range(5):
        draw = course_generator("a1", "ap", number)
        y = draw.permutation(np.repeat([0, 1], draw.integers(10, 80, 2)))
        score = draw.normal(size=len(y)) + 0.8 * y
        got = float(average_precision_by_hand(y.copy(), score.copy()))
        assert not np.isclose(got, average_precision_score(y, -score)), (
            "You seem to start with the most normal image: begin with the highest score."
        )
        assert np.isclose(got, average_precision_score(y, score)), (
            "Your average precision differs from scikit-learn's on scores without ties. Which steps gain recall, at which precision?"
        )


_check_average_precision()
### END HIDDEN TESTS

# %% part="average_precision" kind="tests" points=2
assert np.isclose(float(average_precision_by_hand(np.array([1, 0, 0, 1]), np.zeros(4))), 0.5), (
    "All images are called novel together, half of them are: a score that is the same for all has AP = prevalence."
)


### BEGIN HIDDEN TESTS
def _check_average_precision_with_ties():
    import numpy as np
    from sklearn.metrics import average_precision_score

    from novkit.teaching import course_generator

    for number in range(5):
        draw = course_generator("a1", "ap with ties", number)
        y = draw.permutation(np.repeat([0, 1], draw.integers(20, 80, 2)))
        score = np.round(2 * draw.normal(size=len(y)) + 1.5 * y) / 2
        got = float(average_precision_by_hand(y, score))
        shuffled = draw.permutation(len(y))
        again = float(average_precision_by_hand(y[shuffled], score[shuffled]))
        assert np.isclose(got, again), (
            "Your average precision depends on the order of tied images in the table: equal scores are called together."
        )
        assert np.isclose(got, average_precision_score(y, score)), (
            "Your average precision differs from scikit-learn's where scores are tied."
        )


_check_average_precision_with_ties()
### END HIDDEN TESTS

# %%
ready_made = average_precision_score(stored.label, stored.score)
print(f"AP of Patch-GAN: by hand {average_precision_by_hand(stored.label, stored.score):.4f}, scikit-learn {ready_made:.4f}")
print(f"AP of a coin would be the prevalence, {stored.label.mean():.4f}")

# %% [markdown]
# ## Part 4: FPR95 (4 points)
#
# If at least 95 % of the novel images must be found, how many normal ones are called novel too? An image is called novel where its score
# is **at least** the threshold:
#
# $$\mathrm{FPR95} = \min_t \; P(s \ge t \mid \text{normal}) \quad\text{such that}\quad P(s \ge t \mid \text{novel}) \ge 0.95$$
#
# With 20 novel images one may be missed, for 19 of 20 *is* 95 %; with 19 images none may.
#
# **Write `fpr_by_hand`** for any sensitivity.
#
# <details><summary>Hint</summary>
#
# The best threshold is one of the novel scores: between two of them, going up costs no sensitivity. A quantile that interpolates lands
# between them, and finds too few.
# </details>


# %% part="fpr95" kind="solution"
def fpr_by_hand(y, score, tpr=0.95):
    """The smallest share of normal images called novel at a threshold that finds at least `tpr` of the novel ones; novel is score ≥ t."""
    ### BEGIN SOLUTION
    novel, normal = score[y == 1], score[y == 0]
    candidates = np.unique(novel)
    found = (novel[None, :] >= candidates[:, None]).mean(axis=1)
    threshold = candidates[found >= tpr].max()
    return float((normal >= threshold).mean())
    ### END SOLUTION


# %% part="fpr95" kind="tests" points=2
twenty = np.arange(20.0)  # the scores of twenty novel images; one of them may be missed
assert float(fpr_by_hand(np.r_[np.ones(20), 0, 0], np.r_[twenty, 0.5, 1.5])) == 0.5, (
    "A threshold of 1 finds 19 of 20 and calls one normal image of two."
)
assert float(fpr_by_hand(np.r_[np.ones(4), 0, 0], np.r_[1, 2, 3, 4, 0.5, 2.5])) == 0.5, "Of four novel images none may be missed."
assert not {"roc_curve", "fpr_at_tpr"} & set(fpr_by_hand.__code__.co_names), "By hand, please: without a ready-made metric."


### BEGIN HIDDEN TESTS
def _check_fpr():
    import numpy as np

    from novkit.evaluation import fpr_at_tpr
    from novkit.teaching import course_generator

    for number, n_novel in enumerate((20, 40, 19, 37, 100, 61)):
        draw = course_generator("a1", "fpr", number)
        y = draw.permutation(np.repeat([0, 1], [300, n_novel]))
        score = draw.normal(size=len(y)) + 1.5 * y
        for tpr in (0.95, 0.8):
            got, truth = float(fpr_by_hand(y.copy(), score.copy(), tpr)), fpr_at_tpr(y, score, tpr)
            assert got >= truth - 1e-9, (
                f"Your threshold finds too few: with {n_novel} novel images and a sensitivity of {tpr}, count how many may be missed."
            )
            assert got <= truth + 1e-9, (
                f"A higher threshold finds enough: of {n_novel} novel images, at a sensitivity of {tpr}, how many may be missed?"
            )
        default = float(fpr_by_hand(y, score))
        assert np.isclose(default, fpr_at_tpr(y, score)), "Without a third argument the sensitivity should be 0.95."


_check_fpr()
### END HIDDEN TESTS

# %% part="fpr95" kind="tests" points=2
assert float(fpr_by_hand(np.array([1, 1, 0, 0]), np.array([2.0, 2.0, 2.0, 1.0]))) == 0.5, (
    "A normal image that scores exactly the threshold is called novel."
)


### BEGIN HIDDEN TESTS
def _check_fpr_with_ties():
    import numpy as np

    from novkit.evaluation import fpr_at_tpr
    from novkit.teaching import course_generator

    for number in range(6):
        draw = course_generator("a1", "fpr with ties", number)
        y = draw.permutation(np.repeat([0, 1], [200, 60]))
        score = np.round(2 * draw.normal(size=len(y)) + 3 * y) / 2
        got = float(fpr_by_hand(y, score))
        assert np.isclose(got, fpr_at_tpr(y, score)), (
            "Your FPR is wrong where scores are tied: images that score exactly the threshold are called novel, of either class."
        )


_check_fpr_with_ties()
### END HIDDEN TESTS

# %%
print(f"FPR95 of Patch-GAN: by hand {fpr_by_hand(stored.label, stored.score):.4f}, novkit {fpr_at_tpr(stored.label, stored.score):.4f}")

# %% [markdown]
# ## Part 5: a threshold from normal images kept for it (4 points)
#
# To say "novel" somebody must say above which score. The test may not: a threshold that was chosen there has seen the answers. It comes
# from the split's `threshold`: normal images of other subjects, kept for it. Their scores are called *validation scores* here.
# Let at most a share $\alpha$ of them be called novel, where novel now means **strictly above** the threshold:
#
# $$t = \min \bigl\{ v \in V : \tfrac{1}{|V|} \, \#\{ w \in V : w > v \} \le \alpha \bigr\}, \qquad V = \text{validation scores}$$
#
# **Write `decide`:** the threshold $t$ from the validation scores, and what it does on the test: the share of normal test images called
# novel, and the share of novel ones. (`threshold_` of novkit's detectors is a quantile of the same scores, from the same idea.)
#
# <details><summary>Hint</summary>
#
# For each validation score, which share of the others lies above it? With 100 different scores and α = 0.05, five may lie above.
# </details>


# %% part="threshold" kind="solution"
def decide(validation_score, test_score, y_test, alpha=0.05):
    """(threshold, false-positive rate on the test, sensitivity on the test).

    validation_score: (m,) of normal images. test_score, y_test: (n,), 0 normal, 1 novel. An image is called novel above the threshold.
    """
    ### BEGIN SOLUTION
    share_above = (validation_score[None, :] > validation_score[:, None]).mean(axis=1)
    threshold = float(validation_score[share_above <= alpha].min())
    called = test_score > threshold
    return threshold, float(called[y_test == 0].mean()), float(called[y_test == 1].mean())
    ### END SOLUTION


# %% part="threshold" kind="tests" points=4
hundred = numpy_generator(0, "hundred").permutation(np.arange(1.0, 101))
told = decide(hundred, np.array([1.0, 95.0, 96.0, 200.0]), np.array([0, 0, 0, 1]))
assert len(told) == 3, "Return three numbers: threshold, false-positive rate, sensitivity."
assert float(told[0]) == 95, "With the scores 1 to 100 and α = 0.05, five may lie above the threshold."
assert np.isclose(float(told[1]), 1 / 3), (
    "Of the three normal test images one scores above 95; one that scores exactly 95 is not called novel."
)
assert float(told[2]) == 1, "The novel test image scores above the threshold."


### BEGIN HIDDEN TESTS
def _check_threshold():
    import numpy as np

    from novkit.teaching import course_generator

    for number, alpha in enumerate((0.05, 0.1, 0.2, 0.05, 0.1)):
        draw = course_generator("a1", "threshold", number)
        validation = draw.normal(size=int(draw.integers(40, 200)))
        if number >= 3:
            validation = np.round(validation, 1)  # ties
        y = draw.permutation(np.repeat([0, 1], [60, 40]))
        test = np.round(draw.normal(size=100) + 0.5 + y, 1)  # the test's normal images score higher than the validation's
        t, false_positive, sensitivity = (float(value) for value in decide(validation.copy(), test.copy(), y.copy(), alpha))
        other = float(decide(validation.copy(), test + 5, 1 - y, alpha)[0])
        assert t == other, "Your threshold moved when only the test changed: it must come from the validation scores alone."
        assert (validation == t).any(), "The threshold should be one of the validation scores."
        assert (validation > t).mean() <= alpha, f"More than α = {alpha} of the validation scores lie above your threshold: it is too low."
        lower = validation[validation < t]
        assert not len(lower) or (validation > lower.max()).mean() > alpha, (
            f"The next lower validation score would also leave at most α = {alpha} above it: your threshold is too high."
        )
        assert np.isclose(false_positive, (test[y == 0] > t).mean()), (
            "The false-positive rate is the share of *normal test* images above the threshold."
        )
        assert np.isclose(sensitivity, (test[y == 1] > t).mean()), (
            "The sensitivity is the share of *novel test* images above the threshold."
        )


_check_threshold()
### END HIDDEN TESTS

# %% [markdown]
# How well does that work? The simplest score needs no training: how much a slice differs from its own mirror image. So the 100 healthy
# subjects can be dealt out again and again: 20 for the threshold, 80 for the test. The false-positive rate was meant to be 5 %.

# %%
healthy = np.flatnonzero(~is_novel)
names = np.unique(group[healthy])
asymmetry = compute_statistics(data.images, ["asymmetry"])["asymmetry"].to_numpy()
achieved = {"threshold from other subjects": [], "threshold from the test itself": []}
draws = numpy_generator(3, "many thresholds")
for _ in range(200):
    kept = np.isin(group[healthy], draws.permutation(names)[:20])
    validation, tested = asymmetry[healthy[kept]], asymmetry[healthy[~kept]]
    with_one, y = np.append(tested, 1), np.append(np.zeros(len(tested)), 1)  # one novel image, so that there is a sensitivity
    achieved["threshold from other subjects"].append(decide(validation, with_one, y)[1])
    achieved["threshold from the test itself"].append(decide(tested, with_one, y)[1])
figure = go.Figure()
for (name, values), colour in zip(achieved.items(), (NORMAL_COLOUR, NOVEL_COLOURS[0]), strict=True):
    density, edges = np.histogram(values, bins=np.linspace(0, 0.25, 26))
    figure.add_bar(x=edges[:-1], y=density / len(values), width=0.01, offset=0, name=name, marker_color=colour, opacity=0.75)
figure.update_layout(barmode="overlay")
figure.update_xaxes(title_text="false-positive rate on the test", tickformat=".0%").update_yaxes(title_text="share of 200 draws")
legend_on_top(figure, 340)
spread = np.quantile(achieved["threshold from other subjects"], [0.05, 0.95])
alt = f"False-positive rates of 200 draws: nine in ten between {spread[0]:.0%} and {spread[1]:.0%}; from the test itself always 5 %."
finish(figure, title="Meant: 5 %. Achieved: (synthetic)", alt=alt, height=340)

# %% [markdown]
# The honest threshold scatters, because twenty subjects are few. The other one always "achieves" 5 %, and would have done so on noise.
#
# ## Part 6: an interval that draws subjects (6 points)
#
# How much would the AUROC change with other subjects? The bootstrap asks the ones it has: draw as many again, **with replacement**, and
# measure; often; the middle 95 % of what comes out is the interval. What is drawn are subjects, each with *all* its images, and a subject
# drawn twice counts twice. Normal subjects are drawn among the normal ones and novel among the novel, as many as there are of each, so
# that no resample lacks a class (a *stratified* bootstrap). Here every subject is wholly normal or wholly novel.
#
# **Write `resampled_aurocs` and `percentile_interval`.** `auroc(y, score)` of novkit is there for you to use, so this part does not need
# your part 2.
#
# <details><summary>Hint</summary>
#
# First make a list of row indices for each subject. A resample is the concatenation of the lists drawn:
# `generator.integers(k, size=k)` draws k of k with replacement. `np.isin(group, drawn)` would count a subject once however often it is
# drawn.
# </details>


# %% part="bootstrap" kind="solution"
def resampled_aurocs(y, score, group, n_resamples, generator):
    """(n_resamples,) AUROCs of stratified bootstrap resamples that draw whole subjects. y: (n,) 0 or 1. score, group: (n,)."""
    ### BEGIN SOLUTION
    members = [[np.flatnonzero((group == name) & (y == label)) for name in np.unique(group[y == label])] for label in (0, 1)]
    values = np.empty(n_resamples)
    for k in range(n_resamples):
        rows = np.concatenate([of_class[i] for of_class in members for i in generator.integers(len(of_class), size=len(of_class))])
        values[k] = auroc(y[rows], score[rows])
    return values
    ### END SOLUTION


def percentile_interval(values, level=0.95):
    """(low, high): the middle share `level` of the values, as much cut off below as above."""
    ### BEGIN SOLUTION
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
    ### END SOLUTION


# %% part="bootstrap" kind="tests" points=2
assert np.allclose(percentile_interval(np.arange(201.0)), (5, 195)), "Of the values 0 to 200 the middle 95 % lie between 5 and 195."
assert np.allclose(percentile_interval(np.arange(201.0), 0.5), (50, 150)), "The level is the share in the middle."


### BEGIN HIDDEN TESTS
def _check_percentile_interval():
    from novkit.teaching import course_generator

    for number, level in enumerate((0.95, 0.9, 0.5, 0.8)):
        values = course_generator("a1", "interval", number).normal(size=4000)
        low, high = (float(value) for value in percentile_interval(values, level))
        inside = ((values > low) & (values < high)).mean()
        assert abs(inside - level) < 0.003, f"At level {level} your interval holds {inside:.1%} of the values."
        assert abs((values < low).mean() - (values > high).mean()) < 0.003, "Cut off as much below as above."


_check_percentile_interval()
### END HIDDEN TESTS

# %% part="bootstrap" kind="tests" points=4
pair_y, pair_group = np.array([0, 0, 1, 1]), np.array(["a", "a", "b", "b"])
got = np.asarray(resampled_aurocs(pair_y, np.array([1.0, 3.0, 2.0, 4.0]), pair_group, 20, numpy_generator(0, "pair")), dtype=float)
assert got.shape == (20,), "Return one AUROC for each resample."
assert np.allclose(got, 0.75), "With one subject of each class there is only one resample: the data itself. Are images drawn instead?"


### BEGIN HIDDEN TESTS
def _check_bootstrap():
    import numpy as np

    from novkit.bootstrap import resampled_auroc
    from novkit.teaching import course_generator

    draw = course_generator("a1", "bootstrap", 1)
    n_normal, n_novel = 24, 8
    level = np.r_[draw.normal(size=n_normal), 0.7 + draw.normal(size=n_novel)]
    size = draw.permutation(np.tile([2, 3, 4, 5], 8))
    names = np.array([f"s{k}" for k in draw.permutation(999)[: n_normal + n_novel]])
    group, y = np.repeat(names, size), np.repeat(np.repeat([0, 1], [n_normal, n_novel]), size)
    score = np.repeat(level, size) + 0.1 * draw.normal(size=size.sum())  # images of a subject are nearly alike
    order = draw.permutation(len(y))
    y, score, group = y[order], score[order], group[order]
    got = np.asarray(resampled_aurocs(y, score, group, 800, course_generator("a1", "resamples", 1)), dtype=float).ravel()
    assert got.shape == (800,), "Return one AUROC for each resample."
    truth = resampled_auroc([(y, score, group)], 4000, 0)[0]
    ratio = got.std() / truth.std()
    assert len(np.unique(got)) > 100, "Your resamples hardly differ: draw anew, with replacement, for each."
    assert ratio > 0.87, (
        f"Your resamples spread {ratio:.2f} times as much as they should. Do you draw subjects? Does one drawn twice count twice?"
    )
    assert ratio < 1.15, (
        f"Your resamples spread {ratio:.2f} times as much as they should. Draw as many subjects of each class as there are."
    )
    assert abs(got.mean() - truth.mean()) < 0.25 * truth.std(), "Your resamples lie too low or too high, on average."
    y, group = np.array([0] * 30 + [1] * 2), np.array([f"s{k}" for k in range(32)])
    few = np.asarray(resampled_aurocs(y, np.arange(32.0), group, 100, course_generator("a1", "few", 0)), dtype=float)
    assert np.allclose(few, 1), (
        "Two novel subjects score above all others, so every resample has AUROC 1. Draw the classes apart, as many as there are of each."
    )


_check_bootstrap()
### END HIDDEN TESTS

# %% [markdown]
# Compare, on Patch-GAN's scores, four slices a subject. One interval draws subjects; the other pretends that each slice is a subject of its
# own.

# %%
drawn = {
    "subjects drawn": resampled_aurocs(stored.label, stored.score, stored.group, 300, numpy_generator(0, "subjects")),
    "images drawn": resampled_aurocs(stored.label, stored.score, stored.id, 300, numpy_generator(0, "images")),
}
figure = go.Figure()
for (name, values), colour, dash in zip(drawn.items(), (NORMAL_COLOUR, NOVEL_COLOURS[0]), DASHES, strict=False):
    density, edges = np.histogram(values, bins=20, density=True)
    low, high = percentile_interval(values)
    look = {"line": {"color": colour, "dash": dash}, "fill": "tozeroy", "fillcolor": faint(colour, 0.16)}
    outline = {"x": np.repeat(edges, 2), "y": np.r_[0, np.repeat(density, 2), 0]}
    figure.add_scatter(**outline, mode="lines", name=f"{name}: {low:.3f} to {high:.3f}", **look)
figure.update_xaxes(title_text="AUROC of a resample").update_yaxes(title_text="density", showticklabels=False)
legend_on_top(figure, 340)
finish(
    figure,
    title="Patch-GAN on gliomas: two bootstraps (synthetic)",
    alt="Two densities of resampled AUROCs; drawing subjects is wider.",
    height=340,
)

# %%
whole = image_metrics(stored.label, stored.score, stored.group)
print(f"novkit's interval, 2000 resamples: {whole.auroc:.3f} [{whole.auroc_low:.3f}, {whole.auroc_high:.3f}]")

# %% [markdown]
# ## Part 7: read an abstract (6 points, graded by hand)
#
# Invented, but its faults are common ones:
#
# > We detect lesions in 4,800 healthy slices of 1,200 subjects and 400 slices of 100 patients. A random 60 % of the healthy slices train
# > the detector; all others are the test. It was trained for 200 epochs, and we report the epoch with the highest AUROC. Distances were
# > scaled to between 0 and 1 by the smallest and largest distance in the test set. Where a lesion type scored lower than healthy slices,
# > the sign of its score was turned. At the operating point, the corner of the ROC curve, sensitivity is 0.91 and the false-positive rate
# > 0.10. The AUROC is 0.96, with a 95 % bootstrap interval over the 2,320 test slices of 0.95 to 0.97.
#
# Name **five** faults of this protocol. For each, in a sentence or two: (a) what it does to the reported numbers (too good? too certain?
# not defined for one new patient?), and (b) how to mend it. Then say which one you would mend first, and why. About 250 words.

# %% [markdown] part="judgement" kind="manual" points=6
# **Your answer**
#
# ### BEGIN SOLUTION
# **Model answer**
#
# 1. *Split by slice.* Nearly every healthy test slice has a sibling in train, so healthy slices look familiar and AUROC is too good (part
#    1). Split by subject.
# 2. *The epoch with the highest test AUROC.* The best of 200 noisy numbers, chosen with the labels: too good, and for other data unknown.
#    Choose the epoch by a loss on held-out normal images.
# 3. *Scaled over the test set.* An image's score depends on the others tested with it, one extreme image changes all, and a single new
#    patient has no score. Fit the scale on held-out normal images, once.
# 4. *Signs turned for each lesion type.* No type can lie below 0.5, the expected AUROC of noise is above it, and in practice nobody knows
#    the type beforehand. Fix the sign before the test: higher is more novel.
# 5. *The operating point is chosen on the test.* Sensitivity and false-positive rate are the best of many and would not be met on new
#    patients. Take the threshold from further normal images.
# 6. *A bootstrap over slices.* Four slices of a head are not four heads: the interval is too narrow. Draw subjects.
#
# Also right: one training seed, no baseline and no simple statistic beside it, AP missing although lesions are rare, the novel slices' type
# mix unknown.
#
# *First to mend:* the split, because its damage cannot be undone afterwards: every other number is measured on that test. (Choosing the
# epoch on the test is as good an answer, with a reason.)
#
# **Rubric**
#
# | points | for |
# |---:|---|
# | 5 | one for each of five different faults, with its effect **and** a mend that works; ½ where one of the two is missing or wrong |
# | 1 | which one first, with a reason that speaks of consequences |
#
# No point for a fault that is none (such as "the classes are unbalanced": AUROC does not mind).
# ### END SOLUTION

# %% [markdown]
# ## Sources
#
# - AUROC as a probability: Hanley, McNeil, *The meaning and use of the area under a receiver operating characteristic curve*, Radiology
#   143, 1982.
# - No trapezoids for precision: Davis, Goadrich, *The relationship between precision-recall and ROC curves*, ICML 2006.
# - The bootstrap: Efron, Tibshirani, *An introduction to the bootstrap*, 1993.
# - In the library, the same functions: `novkit/data/splits.py`, `novkit/evaluation.py`, `novkit/bootstrap.py`.
#
# **Read next:** notebook 11 measures what each of these leaks fakes.
