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
# # Assignment 6, project: find what nobody has shown you
#
# **40 points and a leaderboard; 4 hours for the points, as long as you like for the board.** Build a novelty detector that beats the
# baselines on a condition that you have never seen, under a budget.
#
# **When you are done, you can**
# - turn an idea into a detector that keeps a contract others can rely on;
# - keep a budget, and count what you spend;
# - practise on conditions of your own making without tuning to one of them;
# - report a comparison with its uncertainty, its failures and its costs.
#
# **Before you start:** the other assignments that your course had, and the notebooks of the method you build on. One or two people a
# submission, as your teacher says.
# No GPU needed: 2 GB of memory, about two minutes for all cells (the first time one more, to make the images). All images are *synthetic*.
#
# | part | what | points |
# |---|---|---:|
# | `accounting` | count parameters, plan epochs | 6 |
# | `detector` | keeps its contract | 6 |
# | | keeps the budget | 4 |
# | | beats the fixed statistic on an unseen condition | 6 |
# | | beats the autoencoder there | 8 |
# | `report` | two pages, graded by hand | 10 |
#
# **The rules.** You learn from the healthy images that you are handed, and from nothing else: no other images, no trained weights (novkit's
# ready-made detectors are baselines, not parts). Everything of novkit's *code* may be used, and any method of the course. Limits:

# %% kind="given"
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import ndimage

from novkit.data import load
from novkit.detector import Detector, Presets
from novkit.evaluation import Scores, auroc, paired_difference
from novkit.figures import gallery, novelty_maps
from novkit.figures.charts import pairs
from novkit.patchgan.ranking import image_score
from novkit.ready import ready_detector
from novkit.statistics import compute_statistics
from novkit.teaching import Budget, Condition, budget_check, course_generator, practice_project

LIMITS = Budget(images_seen=20_000, parameters=250_000, seconds=300.0)
print(f"{LIMITS.images_seen} images seen in training, {LIMITS.parameters} numbers kept, {LIMITS.seconds:g} seconds")

# %% [markdown]
# - **Images seen**: each time an image passes through a network with gradients on, it counts once; at the least, every image that you are
#   handed counts once. The stored autoencoder that you have to beat has seen three times as many.
# - **Numbers kept**: all that the finished detector holds, in network parameters and buffers and in arrays. A memory of training images
#   counts, too.
# - **Seconds** to train. (Grading also stops a cell after a minute of computing on one core: stay well below.)
#
# ## 1. Practice
#
# What is novel here are *foci*: spots, darker or brighter than the tissue, drawn into healthy slices. How many, how large, how strong, how
# soft: those are the parameters of a `Condition`. You practise on dark foci and on any others that you make up. **Your grade and the
# leaderboard come from other subjects and from conditions that you have not seen**; the leaderboard's seed and parameters lie in a file
# that only your teacher has. So do not fit the condition; fit the healthy images.

# %% kind="given"
practice = Condition()  # one to three dark foci
project = practice_project(practice, seed=0, n_train=320, n_val=80, n_test=100)
print("to learn from:", project.X_train.shape, "- to calibrate:", project.X_val.shape, "- to practise on:", project.X_test.shape)
print("novel practice images:", int(project.y_test.sum()), "of", len(project.y_test))

# %%
rows = np.r_[np.flatnonzero(project.y_test == 1)[:40:10], np.flatnonzero(project.y_test == 0)[:40:10]]
gallery(
    project.X_test[rows],
    ["novel"] * 4 + ["normal"] * 4,
    masks=project.masks_test[rows],
    title="The practice condition, outlined (synthetic)",
    columns=4,
)

# %% [markdown]
# Two opponents: the **fixed statistic**, the standard deviation of the image, chosen before anybody looked; and the **autoencoder**, stored
# with novkit. "Beats" means: the paired difference of AUROC has its whole 95 % interval above 0.

# %% kind="given"
autoencoder = ready_detector("autoencoder", device="cpu", progress=False)


def baselines(X):
    """Novelty scores (n,) of the two opponents, by name."""
    return {"fixed statistic": compute_statistics(X, ["std"])["std"].to_numpy(), "autoencoder": autoencoder.novelty_score(X)}


def lead(y, score, baseline, groups):
    """AUROC(score) − AUROC(baseline) with its paired 95 % interval: .value, .low, .high, .above_zero."""
    names = np.arange(len(y))
    runs = [[Scores(names, np.asarray(groups), y, y, np.asarray(values, dtype=np.float64))] for values in (score, baseline)]
    return paired_difference(*runs)


for name, score in baselines(project.X_test).items():
    print(f"{name}: AUROC {auroc(project.y_test, score):.3f}")

# %% [markdown]
# ## 2. Accounting
#
# Two functions that you will want while you plan. In the first, a tensor that two layers share counts **once**, and buffers (such as the
# running means of batch normalisation) count as well. In the second, `readings` is how many times a training step sends an image through
# networks: once for an autoencoder; twice for TEND's second stage, which reads $x$ and $T(x)$.


# %% part="accounting" kind="solution"
def parameter_count(network):
    """Numbers that a torch module holds: elements of all its parameters and buffers, a shared tensor counted once."""
    ### BEGIN SOLUTION
    tensors = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return sum(tensor.numel() for tensor in tensors.values())
    ### END SOLUTION


def most_epochs(limit, n_train, readings=1):
    """The largest whole number of epochs that shows at most `limit` images; 0 where not even one fits."""
    ### BEGIN SOLUTION
    return limit // (n_train * readings)
    ### END SOLUTION


# %% part="accounting" kind="tests" points=3
tiny = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
assert int(parameter_count(tiny)) == 33, (
    "Linear(3, 4) holds 16 numbers; BatchNorm1d(4) holds 8 parameters, 8 running values and one counter."
)
### BEGIN HIDDEN TESTS
rng = course_generator("accounting", 1)
for _ in range(3):
    a, b, c = (int(value) for value in rng.integers(2, 9, 3))
    first, frozen = torch.nn.Linear(a, b), torch.nn.Linear(b, c, bias=False).requires_grad_(False)
    tied = torch.nn.Linear(a, b)
    tied.weight = first.weight
    network = torch.nn.ModuleList([first, frozen, tied, torch.nn.BatchNorm2d(c)])
    assert int(parameter_count(network)) >= a * b + 2 * b + b * c + 4 * c + 1, (
        "Too few: frozen layers and buffers are kept by the detector, too."
    )
    assert int(parameter_count(network)) == a * b + 2 * b + b * c + 4 * c + 1, "Too many: a weight that two layers share is kept once."
### END HIDDEN TESTS

# %% part="accounting" kind="tests" points=3
assert int(most_epochs(20_000, 320)) == 62, "62 epochs of 320 images are 19 840, 63 would be 20 160."
assert int(most_epochs(1_000, 100)) == 10, "Ten epochs of 100 images are exactly 1000: the limit itself is allowed."
assert int(most_epochs(20_000, 320, readings=2)) == 31, "A step that reads every image twice spends twice as much."
### BEGIN HIDDEN TESTS
rng = course_generator("accounting", 2)
for _ in range(20):
    limit, n_train, readings = (int(rng.integers(low, high)) for low, high in ((50, 5000), (20, 400), (1, 4)))
    found = int(most_epochs(limit, n_train, readings))
    assert found * n_train * readings <= limit, "Your plan exceeds its limit."
    assert (found + 1) * n_train * readings > limit, "Another epoch would still have fitted in."
assert float(most_epochs(700, 100, 2)) == 3.0, "An epoch is whole: half of one cannot be trained."
### END HIDDEN TESTS

# %% [markdown]
# ## 3. The detector
#
# One function, `build_detector`, trains your detector on healthy images and returns it. What it returns has a method `novelty_score(X)`.
# The **contract**, which `novkit.detector.Detector` helps you to keep (look at `novkit/baselines/pixel_zscore.py` for a short subclass):
#
# - images come as uint8 (n, 1, 64, 64), and are left as they are;
# - one finite number an image, **higher = more novel**;
# - an image's score does not depend on the other images of the batch, nor on their order;
# - every random draw follows from `seed`: the same seed gives the same detector;
# - it learns from `X_normal` and calibrates on `X_normal_val`, both healthy, and sees no other image.
#
# Ideas, in the order of what they cost: differences from the mean head, smoothed and standardised by place; each place predicted from its
# surroundings; a small masked reconstructor (assignment 4) with a ranked score (assignment 5); TEND's second stage on a few thousand
# images. A brain is nearly symmetric. Start with the simplest that could work, and measure what each addition brings.
#
# Classes and functions of your own may stand in the same cell, below `build_detector`.


# %% part="detector" kind="solution"
def build_detector(X_normal, X_normal_val, seed):
    """Train a detector. X_normal, X_normal_val: healthy images uint8 (n, 1, 64, 64). Returns an object with novelty_score(X) -> (n,)."""
    ### BEGIN SOLUTION
    return SurroundingsDetector(seed=seed, progress=False).fit(X_normal, X_normal_val)
    ### END SOLUTION


### BEGIN SOLUTION
RING = [(i, j) for i in range(-4, 5) for j in range(-4, 5) if max(abs(i), abs(j)) >= 3]  # beyond the 3 × 3 that is predicted, and a gap


@dataclass(frozen=True, kw_only=True)
class SurroundingsSettings(Presets):
    """Fixed beforehand, on made-up conditions."""

    ridge: float = 3.0
    floor: float = 0.5  # σ₀ as a share of the median σ
    tau: float = 0.01


class SurroundingsDetector(Detector):
    """Predicts the mean of 3 × 3 pixels of the halved image from a ring around them and from the mirrored place, by ridge regression.

    Masked restoration with a linear network: every place is restored from its surroundings, never from itself. One look at each image.
    """

    method = "surroundings"
    Settings = SurroundingsSettings

    def _fit(self, train, val):
        seen, wanted = self._surroundings(train), self._target(train)
        rows, columns, k = seen.shape[1:]
        self.weight_ = np.empty((rows, columns, k))
        for row in range(rows):  # one regression for each place, a row of them at a time
            x, t = seen[:, row].transpose(1, 0, 2), wanted[:, row].T[..., None]
            self.weight_[row] = np.linalg.solve(x.transpose(0, 2, 1) @ x + self.settings_.ridge * np.eye(k), x.transpose(0, 2, 1) @ t)[
                ..., 0
            ]
        residual = self._residual(val)
        deviation = residual.std(axis=0)
        least = self.settings_.floor * np.median(deviation[deviation > 1e-6])
        self.mean_, self.deviation_ = residual.mean(axis=0), np.sqrt(deviation**2 + least**2)

    def _components(self, images):
        standardised = np.abs(self._residual(images) - self.mean_) / self.deviation_
        return {"score": image_score(standardised.reshape(len(images), -1), "ranked", tau=self.settings_.tau)}

    def _residual(self, images):
        return self._target(images) - np.einsum("nijk,ijk->nij", self._surroundings(images), self.weight_)

    @staticmethod
    def _halved(images):
        """(n, 32, 32), in units of the image's own brightness: gain is no novelty."""
        grey = images.astype(np.float64).mean(axis=1) / 255
        halved = grey.reshape(len(grey), 32, 2, 32, 2).mean(axis=(2, 4))
        return halved / np.quantile(halved.reshape(len(grey), -1), 0.75, axis=1).clip(0.05)[:, None, None]

    def _target(self, images):
        return ndimage.uniform_filter(self._halved(images), size=(0, 3, 3))

    def _surroundings(self, images):
        """(n, 32, 32, k): the ring, the mirrored place (not in the midline, where it is part of what is predicted), and 1."""
        x = self._halved(images)
        mirrored = x[:, :, ::-1].copy()
        mirrored[:, :, 15:17] = 0
        padded = np.pad(x, ((0, 0), (4, 4), (4, 4)))
        ring = [padded[:, 4 + i : 36 + i, 4 + j : 36 + j] for i, j in RING]
        return np.stack([*ring, mirrored, np.ones_like(x)], axis=-1)

    def _tensors(self):
        return {name: torch.from_numpy(getattr(self, f"{name}_")) for name in ("weight", "mean", "deviation")}, {}

    def _restore(self, tensors, extra):
        for name, value in tensors.items():
            setattr(self, f"{name}_", value.numpy())


### END SOLUTION

# %% [markdown]
# **The contract** (6 points). A small training set, so that this is quick.

# %% part="detector" kind="tests" points=6
few, few_val, some = project.X_train[::5].copy(), project.X_val[::4].copy(), project.X_test[::10].copy()
kept = [array.copy() for array in (few, few_val, some)]
small = build_detector(few, few_val, 3)
score = np.asarray(small.novelty_score(some), dtype=np.float64)
assert score.shape == (len(some),), f"One number for each of {len(some)} images, not {score.shape}."
assert np.isfinite(score).all(), "Some scores are NaN or infinite."
assert np.ptp(score) > 0, "All images get the same score."
assert all((old == new).all() for old, new in zip(kept, (few, few_val, some), strict=True)), "Images that were handed to you have changed."
alone = np.concatenate([np.asarray(small.novelty_score(some[i : i + 1]), dtype=np.float64) for i in range(len(some))])
assert np.allclose(score, alone, rtol=2e-4, atol=1e-6 + 2e-4 * np.ptp(score)), "An image scored alone gets another score than in a batch."
### BEGIN HIDDEN TESTS
rng = course_generator("detector", 1)
order = rng.permutation(len(some))
close = {"rtol": 2e-4, "atol": 1e-6 + 2e-4 * np.ptp(score)}
assert np.allclose(np.asarray(small.novelty_score(some[order]), dtype=np.float64), score[order], **close), (
    "Scores depend on the order of the images."
)
torch.manual_seed(int(rng.integers(1, 1000)))
np.random.seed(int(rng.integers(1, 1000)))  # noqa: NPY002
again = np.asarray(build_detector(few, few_val, 3).novelty_score(some), dtype=np.float64)
assert np.allclose(again, score, **close), (
    "Built twice with the same seed, your detector gives different scores: draw everything from `seed`."
)
blot = project.X_test[project.y_test == 0][:12].copy()
normal_score = np.asarray(small.novelty_score(blot), dtype=np.float64)
blot[:, :, 24:36, 20:32] = 255 - blot[:, :, 24:36, 20:32]  # a square that nobody could overlook
found = auroc(np.repeat([0, 1], 12), np.r_[normal_score, np.asarray(small.novelty_score(blot), dtype=np.float64)])
assert found > 0.5, "Images with a large inverted square should score higher than before: higher = more novel."
### END HIDDEN TESTS

# %% [markdown]
# **The budget** (4 points). From here on your detector is trained on the whole practice set, once; the cells below use the same one.

# %% kind="given"
trained = {}


def built(build):
    """(detector, Budget spent): trained on the practice images, once for each function `build`."""
    if build not in trained:
        trained[build] = budget_check(build, project.X_train, project.X_val, 0)
    return trained[build]


def scores_of(X):
    """Your detector's scores as plain numbers."""
    return np.asarray(built(build_detector)[0].novelty_score(X), dtype=np.float64)


# %% part="detector" kind="tests" points=4
spent = built(build_detector)[1]
assert spent.images_seen <= LIMITS.images_seen, f"{spent.images_seen} images seen, {LIMITS.images_seen} are allowed."
assert spent.parameters <= LIMITS.parameters, f"The detector keeps {spent.parameters} numbers, {LIMITS.parameters} are allowed."
print(f"images seen {spent.images_seen}, numbers kept {spent.parameters}, seconds {spent.seconds:.1f}")
### BEGIN HIDDEN TESTS
assert spent.seconds <= LIMITS.seconds, f"Training took {spent.seconds:.0f} seconds, {LIMITS.seconds:.0f} are allowed."
### END HIDDEN TESTS

# %% [markdown]
# **The fixed statistic** (6 points; half of them where your AUROC is higher but the interval holds 0). What you see is the practice
# condition; the grade comes from another one, and other subjects.

# %% part="detector" kind="tests" points=6
practised = lead(project.y_test, scores_of(project.X_test), baselines(project.X_test)["fixed statistic"], project.groups_test)
print(f"practice: ahead of the fixed statistic by {practised.value:.3f} [{practised.low:.3f}, {practised.high:.3f}]")
assert practised.value > 0, "On the practice condition the standard deviation of the image does better than your detector."
### BEGIN HIDDEN TESTS
rng = course_generator("detector", 2)
unseen = Condition(foci=(1, int(rng.integers(2, 5))), radius=(0.06, 0.11), contrast=(0.20, 0.35), softness=float(rng.uniform(0.2, 0.6)))
exam = practice_project(unseen, seed=int(rng.integers(1000, 10**6)), n_train=20, n_val=12, n_test=120)
ahead = lead(exam.y_test, scores_of(exam.X_test), baselines(exam.X_test)["fixed statistic"], exam.groups_test)
assert ahead.value > 0, (
    "On an unseen condition the standard deviation of the image does better: is your detector tuned to dark foci, or to one size?"
)
6.0 if ahead.above_zero else 3.0
### END HIDDEN TESTS

# %% [markdown]
# **The autoencoder** (8 points; half of them where your AUROC is higher but the interval holds 0).

# %% part="detector" kind="tests" points=8
practised = lead(project.y_test, scores_of(project.X_test), baselines(project.X_test)["autoencoder"], project.groups_test)
print(f"practice: ahead of the autoencoder by {practised.value:.3f} [{practised.low:.3f}, {practised.high:.3f}]")
assert practised.value > 0, "On the practice condition the autoencoder does better than your detector."
### BEGIN HIDDEN TESTS
rng = course_generator("detector", 2)  # the same unseen condition as above
unseen = Condition(foci=(1, int(rng.integers(2, 5))), radius=(0.06, 0.11), contrast=(0.20, 0.35), softness=float(rng.uniform(0.2, 0.6)))
exam = practice_project(unseen, seed=int(rng.integers(1000, 10**6)), n_train=20, n_val=12, n_test=120)
ahead = lead(exam.y_test, scores_of(exam.X_test), baselines(exam.X_test)["autoencoder"], exam.groups_test)
assert ahead.value > 0, (
    "On an unseen condition the autoencoder does better: practise with bright foci, other sizes and other edges as well."
)
8.0 if ahead.above_zero else 4.0
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Practise
#
# Your workshop: nothing here is graded. Make up conditions, add rows, keep a list of what you tried (your report needs the number).

# %%
conditions = {
    "dark (practice)": Condition(),
    "bright": Condition(contrast=(0.1, 0.25)),
    "many small": Condition(foci=(3, 6), radius=(0.03, 0.05), contrast=(0.1, 0.25)),
    "one large, faint": Condition(foci=(1, 1), radius=(0.10, 0.16), contrast=(-0.15, -0.08)),
}
table = {}
for name, condition in conditions.items():
    made = practice_project(condition, seed=1, n_train=20, n_val=12, n_test=100)
    methods = {"yours": scores_of(made.X_test), **baselines(made.X_test)}
    table[name] = {method: auroc(made.y_test, score) for method, score in methods.items()}
pairs(table, title="Made-up conditions (synthetic)", x_title="AUROC (dotted: chance)", x_range=(0.3, 1.0))

# %%
pd.DataFrame(table).T.round(3)

# %% [markdown]
# If your detector has a `novelty_map`, look where it looks. (Optional; black where it has none.)

# %%
mine = built(build_detector)[0]
maps = mine.novelty_map(project.X_test[rows]) if getattr(mine, "has_map", False) else np.zeros((8, 64, 64), np.float32)
novelty_maps(project.X_test[rows], maps, ["novel"] * 4 + ["normal"] * 4, masks=project.masks_test[rows])

# %% [markdown]
# Lesions have more shapes than spots. novkit's own conditions, which `load("brain")` makes, are another test (not graded):

# %%
brains = load("brain", seed=7, n_healthy=40, n_novel=40, conditions=("healthy", "glioma"), progress=False)
novel = (brains.labels != "healthy").astype(int)
for name, score in {"yours": scores_of(brains.images), **baselines(brains.images)}.items():
    print(f"glioma, {name}: AUROC {auroc(novel, score):.3f}")

# %% [markdown]
# ## 5. The leaderboard
#
# Your teacher runs every submission's `build_detector` on fresh healthy images, gives it unlabelled test images of the secret condition,
# and ranks by AUROC, with the interval and what each spent; detectors over budget are listed without a rank. What your cell prints
# or reads makes no difference: labels never enter the process in which your code runs. A place on the board is not part of the 40 points
# unless your teacher says so.
#
# ## 6. Report
#
# At most two pages, in the next cell:
#
# 1. **Method.** What it learns and how it scores; why it should find what it has not seen. The equations, with [O] where a choice is yours.
# 2. **Budget.** What you spent, where; what you would do with ten times as much.
# 3. **Results.** AUROC and the paired difference to both baselines with intervals, on the practice condition and on two conditions that you
#    made up *before* you looked at the results on them. How many settings you tried.
# 4. **One ablation.** One choice changed, everything else kept: what was it worth?
# 5. **Failures.** A condition on which it fails, with a picture or a number, and your explanation. What the results do not show.

# %% [markdown] part="report" kind="manual" points=10
# ### BEGIN SOLUTION
# **Model answer, in outline** (the detector above).
# 1. Each 3 × 3 square of the halved image is predicted from a ring around it, with a gap of one, and from the mirrored place: masked
#    restoration by a linear map for each place, $\hat t_p = w_p^\top f_p$, with ridge 3 [O]. The residual is standardised by place on
#    held-out normals, with σ₀ half of the median [O], and the ranking with τ = 0.01 [O] makes the score. It knows no lesion: whatever does
#    not follow from its surroundings stands out, dark or bright.
# 2. Each of the 320 images once; 1024 places × 58 weights and 2048 numbers for the scale, about 61 000. With more: a network instead
#    of a linear map.
# 3. A table of the kind of section 4, with intervals from `lead`, and the number of settings tried.
# 4. For example the mirrored place left out, or the mean in place of the ranking: paired difference with its interval.
# 5. Large, faint foci: they fill the ring, too, and predict themselves; and foci smaller than the square that is averaged. Nothing is
#    known about real images: all are synthetic, one anatomy, one scanner.
#
# **Rubric** (10 points)
# - Method: reproducible from the text (1), a reason why it should generalise to unseen conditions (1).
# - Budget: correct numbers for images seen and numbers kept (1).
# - Results: both baselines, practice and two own conditions (1), paired intervals and not bare AUROCs (1), number of settings tried and how
#   the conditions were fixed beforehand (1).
# - Ablation: one choice only, same data, interval, a conclusion that follows (2).
# - Failures and limits: a real failure, explained (1); what synthetic images cannot show, no claim beyond the numbers (1).
# A detector that beats nothing can earn all 10 points; one that wins with an undeclared look at test labels earns none.
# ### END SOLUTION

# %% [markdown]
# **Sources.** The notebooks and `docs/methods.md` name those of each method. The budget, the conditions and the leaderboard are
# `novkit/teaching`.
