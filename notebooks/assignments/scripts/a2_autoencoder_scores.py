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
# # Assignment 2: autoencoder scores and their blind spots
#
# "What the network has not learnt to draw, it draws badly." It is the most popular idea of novelty detection, and half true. Here you take
# a trained autoencoder apart: you compute its score, find out what it mostly measures, mend what can be mended, and list what it will
# never see.
#
# **What you will learn**
# - to compute a reconstruction error without the traps of pixel types and regions;
# - to measure how much a score depends on things that are not illness, such as contrast;
# - to calibrate a score by an image statistic, fitted on held-out normal images;
# - why the width of the bottleneck is no cure;
# - to test for blind spots with generated novelties, and to word what you found.
#
# **Before you start:** notebook 02, assignment 1 or notebook 01; least squares and the singular value decomposition. **Time:** two and a
# half to four hours of yours, a minute of the computer's, 1.2 GB, no network. The brain slices are *synthetic*: real, averaged anatomy with
# drawn contrast, noise and lesions. They come from development seeds: you may look as often as you like.
#
# | part | what you write | points |
# |---|---|---:|
# | 1 `error` | the reconstruction error of an image, or of a region | 4 |
# | 2 `bias` | rank correlation, and the statistic that the score follows most | 5 |
# | 3 `calibration` | a score freed from that statistic | 7 |
# | 4 `latent` | the errors of linear autoencoders of every width | 6 |
# | 5 `blind_spots` | what the score cannot see, beyond chance | 6 |
# | 6 `advice` | a written answer, graded by hand | 6 |
# | | together | 34 |
#
# **How it is graded.** Write where it says `YOUR CODE HERE`; leave each function's name and arguments as they are. The locked cells below
# test your function at once, hidden tests then try it on fresh random inputs. The parts do not need each other: what you skip costs its
# own points and no more. **y is 0 for normal and 1 for novel, and a higher score is more novel.** Marks: **[P]** the paper, **[C]** its
# published code, **[O]** our own choice.

# %% kind="given"
import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr
from sklearn.decomposition import PCA

from novkit.data import load
from novkit.distortions import UNSEEN, near_identity
from novkit.evaluation import Scores, auroc, image_metrics, paired_difference
from novkit.figures import gallery, reconstructions
from novkit.figures.charts import cloud, curves, pairs
from novkit.images import to_tensor
from novkit.ready import ready_detector
from novkit.seeding import torch_generator
from novkit.statistics import compute_statistics

CONDITIONS = ("glioma", "infarct", "ventricles")
STATISTICS = ["mean", "std", "percentile_75", "centre_brightness", "asymmetry", "high_frequency_energy"]
normal = load("brain", seed=0, n_healthy=400, conditions=("healthy",), progress=False)
held_out = normal.subset(np.arange(240, 400))  # for calibration: 40 subjects that no autoencoder here has seen
fresh = load("brain", seed=7, n_healthy=400, n_novel=120, conditions=("healthy", *CONDITIONS), progress=False)  # the test
healthy = fresh.labels == "healthy"
detector = ready_detector("autoencoder", progress=False)  # trained on the normal slices of a third seed


def auroc_of(score, condition):
    """How well a score tells the fresh slices of a condition from the healthy ones."""
    chosen = healthy | (fresh.labels == condition)
    return auroc((fresh.labels[chosen] == condition).astype(int), np.asarray(score)[chosen])


print(
    len(held_out), "held-out normal slices;", {name: int((fresh.labels == name).sum()) for name in ("healthy", *CONDITIONS)}, "to test on"
)

# %% [markdown]
# ## Part 1: the error of an image (4 points)
#
# An encoder squeezes the 4096 pixels of a slice into 64 numbers, a decoder draws the slice again from these. Both learnt from normal
# slices only, by the mean squared error [P; the squared error: C].

# %%
shown = [int(np.flatnonzero(fresh.labels == name)[k]) for name, k in (("healthy", 4), ("glioma", 0), ("infarct", 8), ("ventricles", 12))]
drawn = detector.reconstruct(fresh.images[shown])
reconstructions(fresh.images[shown], drawn, list(fresh.labels[shown]), title="Fresh slices and how they are redrawn (synthetic)")

# %% [markdown]
# The score is the mean squared difference, over all channels and pixels, or over the pixels of a region $B$ such as the brain:
#
# $$s(x) = \frac{1}{|B|\,C} \sum_{p \in B} \sum_{c=1}^{C} \bigl( x_{c,p} - \hat x_{c,p} \bigr)^2$$
#
# The images are stored as `uint8`, 0 to 255; the drawings are floats between 0 and 1. Bring both to the same scale, [0, 1], and compute in
# float64: unsigned integers have no negative numbers, and in them 3 − 5 is 254.
#
# **Write `reconstruction_error`.**
#
# <details><summary>Hint</summary>
#
# `difference.mean(axis=1)` averages over channels and leaves (n, height, width). Where a region is given, sum inside it and divide by the
# number of its pixels, image by image.
# </details>


# %% part="error" kind="solution"
def reconstruction_error(images, drawn, region=None):
    """(n,) float64: the mean squared error of each image, on the scale of grey levels from 0 to 1.

    images: (n, channels, height, width) uint8. drawn: the same shape, float in [0, 1].
    region: (n, height, width) bool, the pixels that count, at least one an image; None for all.
    """
    ### BEGIN SOLUTION
    squared = ((images.astype(np.float64) / 255 - drawn.astype(np.float64)) ** 2).mean(axis=1)
    if region is None:
        return squared.mean(axis=(1, 2))
    return (squared * region).sum(axis=(1, 2)) / region.sum(axis=(1, 2))
    ### END SOLUTION


# %% part="error" kind="tests" points=2
black, half = np.zeros((3, 1, 4, 4), np.uint8), np.full((3, 1, 4, 4), 0.5)
got = np.asarray(reconstruction_error(black, half), dtype=float)
assert got.shape == (3,), "Return one number an image."
assert np.allclose(got, 0.25), "A black image drawn in mid-grey, 0.5, has the squared error 0.25."
assert np.allclose(np.asarray(reconstruction_error(black + np.uint8(255), half), dtype=float), 0.25), (
    "A white image drawn in mid-grey has the same error."
)


### BEGIN HIDDEN TESTS
def _check_error():
    import numpy as np

    from novkit.teaching import course_generator

    for number, channels in enumerate((1, 3, 2)):
        draw = course_generator("a2", "error", number)
        images = draw.integers(0, 256, (5, channels, 6, 8)).astype(np.uint8)
        drawn = draw.random((5, channels, 6, 8)).astype(np.float32)
        got = np.asarray(reconstruction_error(images.copy(), drawn.copy()), dtype=float)
        assert got.shape == (5,), f"Five images of {channels} channels should give five numbers: average over channels, too."
        truth = np.array(
            [
                np.mean([(float(x) / 255 - float(d)) ** 2 for x, d in zip(i.ravel(), j.ravel(), strict=True)])
                for i, j in zip(images, drawn, strict=True)
            ]
        )
        assert not np.allclose(np.sqrt(got), truth, rtol=1e-4), "That is the square of the error asked for."
        assert np.allclose(got, truth, rtol=1e-5), (
            "Your error differs from the definition, pixel by pixel. Are both on the scale 0 to 1, and is it squared?"
        )


_check_error()
### END HIDDEN TESTS

# %% part="error" kind="tests" points=2
corner = np.zeros((3, 4, 4), bool)
corner[:, :2, :2] = True
patchy = np.where(corner[:, None], 0.5, 0.0)
assert np.allclose(np.asarray(reconstruction_error(black, patchy, corner), dtype=float), 0.25), (
    "Inside the corner every pixel is off by 0.5: its mean squared error is 0.25, however large the rest of the image is."
)


### BEGIN HIDDEN TESTS
def _check_error_of_region():
    import numpy as np

    from novkit.teaching import course_generator

    for number, channels in enumerate((1, 3)):
        draw = course_generator("a2", "region", number)
        images = draw.integers(0, 256, (6, channels, 7, 9)).astype(np.uint8)
        drawn = draw.random((6, channels, 7, 9)).astype(np.float32)
        region = draw.random((6, 7, 9)) < np.linspace(0.1, 0.9, 6)[:, None, None]
        region[:, 0, 0] = True
        got = np.asarray(reconstruction_error(images, drawn, region), dtype=float)
        squared = (images / 255 - drawn.astype(np.float64)) ** 2
        truth = np.array([squared[i][:, region[i]].mean() for i in range(6)])
        assert got.shape == (6,), "Return one number an image, with a region too."
        assert np.allclose(got, truth, rtol=1e-5), (
            "Your error inside a region is wrong: each image divides by the pixels of its own region."
        )


_check_error_of_region()
### END HIDDEN TESTS

# %%
in_brain = reconstruction_error(fresh.images, detector.reconstruct(fresh.images), fresh.body)
error = detector.novelty_score(fresh.images)
same = np.allclose(reconstruction_error(fresh.images, detector.reconstruct(fresh.images)), error, rtol=1e-4)
print("yours equals novkit's score:", bool(same))
pd.DataFrame(
    {name: {c: auroc_of(score, c) for c in CONDITIONS} for name, score in (("whole image", error), ("brain only", in_brain))}
).round(2)

# %% [markdown]
# That is not much better than a coin. What does the score measure, then?
#
# ## Part 2: what the score follows (5 points)
#
# Take normal slices only, where there is nothing to find. Whatever the score follows *there* is a nuisance. Does it follow brightness?
# Contrast? Fine detail? We do not expect a straight line, so compare ranks: **Spearman's rank correlation** is Pearson's correlation of the
# ranks, where equal values share their mean rank.
#
# $$\rho(a, b) = \frac{\sum_i (r_i - \bar r)(q_i - \bar q)}{\sqrt{\sum_i (r_i - \bar r)^2 \, \sum_i (q_i - \bar q)^2}},
# \qquad r = \text{ranks of } a,\; q = \text{ranks of } b$$
#
# **Write `rank_correlation` and `strongest_bias`.** The second names the statistic whose correlation with the score is largest *in size*
# among the **normal** images. `rankdata` of SciPy gives mean ranks; use it or your own.
#
# <details><summary>Hint</summary>
#
# `np.argsort(np.argsort(a))` looks like ranks, but gives equal values different ones. And a correlation of −0.9 is stronger than one of
# 0.5.
# </details>


# %% part="bias" kind="solution"
def rank_correlation(a, b):
    """Spearman's ρ of two arrays (n,), equal values sharing their mean rank."""
    ### BEGIN SOLUTION
    r, q = rankdata(a), rankdata(b)
    r, q = r - r.mean(), q - q.mean()
    return float((r * q).sum() / np.sqrt((r**2).sum() * (q**2).sum()))
    ### END SOLUTION


def strongest_bias(score, statistics, is_normal):
    """(name, ρ) of the statistic that the score follows most among the normal images; ρ keeps its sign.

    score: (n,). statistics: a DataFrame with n rows and one column a statistic. is_normal: (n,) bool.
    """
    ### BEGIN SOLUTION
    found = {name: rank_correlation(score[is_normal], statistics[name].to_numpy()[is_normal]) for name in statistics.columns}
    name = max(found, key=lambda column: abs(found[column]))
    return name, found[name]
    ### END SOLUTION


# %% part="bias" kind="tests" points=2
assert np.isclose(float(rank_correlation(np.array([1.0, 2, 3, 4]), np.array([1.0, 8, 27, 64]))), 1), (
    "The same order has ρ = 1, however the curve bends."
)
assert np.isclose(float(rank_correlation(np.array([1.0, 2, 3]), np.array([5.0, 4, 0]))), -1), "The opposite order has ρ = −1."
assert not {"spearmanr"} & set(rank_correlation.__code__.co_names), "By hand, please: ranks, then Pearson's correlation of them."


### BEGIN HIDDEN TESTS
def _check_rank_correlation():
    import numpy as np
    from scipy.stats import spearmanr

    from novkit.teaching import course_generator

    for number in range(6):
        draw = course_generator("a2", "ranks", number)
        a = draw.normal(size=50)
        b = np.exp(a * draw.choice([-1, 1]) + draw.normal(size=50))
        if number >= 2:
            a, b = np.round(a), np.round(b, 1)  # ties
        got = float(rank_correlation(a.copy(), b.copy()))
        truth = float(spearmanr(a, b).statistic)
        tied = "equal values share their mean rank" if number >= 2 else "ranks first, then Pearson's correlation"
        assert np.isclose(got, truth), f"Your rank correlation differs from SciPy's: {tied}."


_check_rank_correlation()
### END HIDDEN TESTS

# %% part="bias" kind="tests" points=3
small_table = pd.DataFrame({"up": [1.0, 2, 3, 5, 4, 9], "down": [6.0, 5, 4, 3, 2, 9]})
told = strongest_bias(np.array([1.0, 2, 3, 4, 5, 0]), small_table, np.array([True] * 5 + [False]))
assert told[0] == "down", "Among the five normal images `down` falls as the score rises, without exception: that is the strongest."
assert np.isclose(float(told[1]), -1), "ρ keeps its sign."


### BEGIN HIDDEN TESTS
def _check_strongest_bias():
    import numpy as np
    import pandas as pd
    from scipy.stats import spearmanr

    from novkit.teaching import course_generator

    for number in range(4):
        draw = course_generator("a2", "bias", number)
        is_normal = draw.permutation(np.arange(160) < 80)
        z = draw.normal(size=160)
        score = np.where(is_normal, z, z + 20)
        sign = 1 if number % 2 else -1
        noise = draw.normal(size=(160, 3))
        columns = {
            "strong": sign * z + 0.4 * noise[:, 0],  # what counts
            "weaker": -sign * z + 1.5 * noise[:, 1],  # of the other sign
            "of the novel": np.where(is_normal, 0.0, 50.0) + noise[:, 2],  # seen only with the novel images
        }
        names = draw.permutation(list(columns))
        table = pd.DataFrame({name: columns[name] for name in names})
        name, rho = strongest_bias(score.copy(), table, is_normal.copy())
        assert name != "of the novel", "You let novel images have a say: among normal ones alone another statistic is the strongest."
        assert name == "strong", "The strongest correlation is the largest in size, whatever its sign."
        truth = float(spearmanr(score[is_normal], table["strong"].to_numpy()[is_normal]).statistic)
        assert np.isclose(float(rho), truth), "The name is right, ρ is not: is it the correlation among normal images, with its sign?"


_check_strongest_bias()
### END HIDDEN TESTS

# %%
statistics = compute_statistics(fresh.images, STATISTICS)
name, rho = strongest_bias(error, statistics, healthy)
print(f"the error follows {name} most, ρ = {rho:.2f} (SciPy: {spearmanr(error[healthy], statistics[name][healthy]).statistic:.2f})")
two = healthy | (fresh.labels == "glioma")
cloud(
    statistics[name][two],
    error[two],
    fresh.labels[two],
    title="The error mostly says how much there is to draw (synthetic)",
    x_title=f"{name} of the slice",
    y_title="mean squared error",
)

# %% [markdown]
# A crisp, contrasty picture of a healthy head looks more novel than a dim picture of an ill one. The error asks *how hard is this
# to draw?*
#
# ## Part 3: a score freed from a statistic (7 points)
#
# On held-out **normal** images, draw the line that the error usually follows, on logarithmic axes, with $q$ the statistic:
#
# $$\log s \approx a + b \log q, \qquad \sigma^2 = \frac1m \sum_{i=1}^m \bigl( \log s_i - a - b \log q_i \bigr)^2$$
#
# with $a$ and $b$ by least squares. The calibrated score says how far an image lies above that line, in units of $\sigma$ [O]:
#
# $$\tilde s(x) = \frac{\log s(x) - a - b \log q(x)}{\sigma}$$
#
# $a$, $b$ and $\sigma$ are fixed before the test: one new patient must get the same score whoever else is scored.
#
# **Write `fit_line` and `calibrated_score`.**
#
# <details><summary>Hint</summary>
#
# `np.polyfit(x, y, 1)` returns slope and intercept, in this order. σ is the spread of what *remains*, not of log s.
# </details>


# %% part="calibration" kind="solution"
def fit_line(score, statistic):
    """(a, b, σ) from held-out normal images; score, statistic: (m,), above 0."""
    ### BEGIN SOLUTION
    x, y = np.log(statistic), np.log(score)
    b, a = np.polyfit(x, y, 1)
    sigma = np.sqrt(((y - a - b * x) ** 2).mean())
    return float(a), float(b), float(sigma)
    ### END SOLUTION


def calibrated_score(score, statistic, line):
    """(n,): how many σ each image lies above the line. score, statistic: (n,), above 0. line: (a, b, σ)."""
    ### BEGIN SOLUTION
    a, b, sigma = line
    return (np.log(score) - a - b * np.log(statistic)) / sigma
    ### END SOLUTION


# %% part="calibration" kind="tests" points=3
q = np.exp(np.array([0.0, 1.0, 2.0, 3.0]))
a, b, sigma = (float(value) for value in fit_line(np.exp([0.9, 2.1, 4.1, 4.9]), q))
assert np.isclose(b, 1.4), "Four points whose least-squares line has the slope 1.4."
assert np.isclose(a, 0.9), "Its intercept, at log q = 0, is 0.9."
assert 0 < sigma < 0.5, "The points lie close to the line: σ is the spread around it."


### BEGIN HIDDEN TESTS
def _check_line():
    import numpy as np
    from sklearn.linear_model import LinearRegression

    from novkit.teaching import course_generator

    for number in range(5):
        draw = course_generator("a2", "line", number)
        m = int(draw.integers(8, 200))
        x = draw.normal(size=m)
        y = draw.normal() + draw.normal() * x + 0.3 * draw.normal(size=m)
        a, b, sigma = (float(value) for value in fit_line(np.exp(y), np.exp(x)))
        truth = LinearRegression().fit(x[:, None], y)
        assert np.isclose(b, truth.coef_[0]), (
            "Your slope differs from the least-squares one on logarithmic axes. Do you return a, b, σ in this order?"
        )
        assert np.isclose(a, truth.intercept_), "Your intercept differs from the least-squares one."
        remains = np.sqrt(((y - truth.predict(x[:, None])) ** 2).mean())
        assert not np.isclose(sigma, y.std()) or np.isclose(sigma, remains), (
            "Your σ is the spread of log s itself: take the spread around the line."
        )
        assert np.isclose(sigma, remains), "Your σ differs: the square root of the mean squared distance from the line, divided by m."


_check_line()
### END HIDDEN TESTS

# %% part="calibration" kind="tests" points=4
got = np.asarray(calibrated_score(np.exp([1.0, 3.0]), np.exp([2.0, 2.0]), (1.0, 0.5, 0.5)), dtype=float)
assert np.allclose(got, [-2, 2]), "At log q = 2 this line is at 2: log s = 1 lies two σ of 0.5 below it, log s = 3 two σ above."


### BEGIN HIDDEN TESTS
def _check_calibrated():
    import numpy as np

    from novkit.teaching import course_generator

    for number in range(5):
        draw = course_generator("a2", "calibrated", number)
        line = (float(draw.normal()), float(draw.uniform(0.5, 2)), float(draw.uniform(0.1, 0.9)))
        q, above = np.exp(draw.normal(size=30)), draw.normal(size=30)
        score = np.exp(line[0] + line[1] * np.log(q) + line[2] * above)
        got = np.asarray(calibrated_score(score.copy(), q.copy(), line), dtype=float)
        alone = np.array([float(np.ravel(calibrated_score(score[i : i + 1], q[i : i + 1], line))[0]) for i in range(3)])
        assert np.allclose(got[:3], alone), (
            "An image's calibrated score depends on the others scored with it: take everything from the line."
        )
        worse = np.asarray(calibrated_score(score * 1.1, q, line), dtype=float)
        assert (worse > got).all(), "An image that is drawn worse must score higher."
        brighter = np.asarray(calibrated_score(score, q * 1.1, line), dtype=float)
        assert (brighter < got).all(), (
            "Where the line rises, an image with more of the statistic may have more error: with the same error it must score lower."
        )
        assert np.allclose(got, above), "Your calibrated score is not the distance from the line in units of σ."


_check_calibrated()
### END HIDDEN TESTS

# %% [markdown]
# Fitted on the held-out normal slices, with the energy of fine detail (the mean squared Laplacian) as $q$: an image with many edges is
# hard to draw. Tried on the fresh slices. An interval above 0 means "better than the plain error", subjects resampled.


# %%
def detail_of(images):
    """(n,): the energy of fine detail of each image."""
    return compute_statistics(images, ["high_frequency_energy"])["high_frequency_energy"].to_numpy()


line = fit_line(detector.novelty_score(held_out.images), detail_of(held_out.images))
detail = detail_of(fresh.images)
calibrated = calibrated_score(error, detail, line)
print(f"slope {line[1]:.2f}, σ {line[2]:.2f}; rank correlation with detail among healthy slices:", end=" ")
follows = [spearmanr(detail[healthy], score[healthy]).statistic for score in (error, calibrated)]
print(f"{follows[0]:.2f} before, {follows[1]:.2f} after")


def as_scores(score, condition):
    """The rows of a condition and the healthy ones, as novkit's comparison wants them."""
    chosen = healthy | (fresh.labels == condition)
    table = fresh.table[chosen]
    y = (table["label"] == condition).to_numpy().astype(int)
    return Scores(table["id"].to_numpy(), table["group"].to_numpy(), y, table["label"].to_numpy(), np.asarray(score)[chosen])


rows = {}
for condition in CONDITIONS:
    gain = paired_difference([as_scores(calibrated, condition)], [as_scores(error, condition)], n_resamples=500)
    rows[condition] = {"error": auroc_of(error, condition), "calibrated": auroc_of(calibrated, condition)}
    rows[condition] |= {"gain": gain.value, "low": gain.low, "high": gain.high}
pd.DataFrame(rows).T.round(3)

# %% [markdown]
# ## Part 4: the width of the bottleneck (6 points)
#
# Perhaps 64 numbers are too many, and a narrower code would draw lesions worse? To see every width at once, take the best *linear*
# autoencoder, which needs no training loop: PCA (Baldi & Hornik 1989). With the mean image $\mu$ and the $k$ leading principal directions
# $V_k$ of the **training** images,
#
# $$\hat x = \mu + V_k V_k^\top (x - \mu), \qquad e_k(x) = \lVert x - \hat x \rVert^2.$$
#
# **Write `latent_errors`** with NumPy's SVD. A width of 0 draws the mean image for everyone.
#
# <details><summary>Hint</summary>
#
# The rows of the last matrix of `np.linalg.svd(centred, full_matrices=False)` are the directions. Their squared projections sum up, so one
# `np.cumsum` gives all widths: $e_k = \lVert x - \mu \rVert^2 - \sum_{j \le k} (v_j^\top (x - \mu))^2$.
# </details>


# %% part="latent" kind="solution"
def latent_errors(train, images, widths):
    """(len(widths), n): the squared error of each image after a linear autoencoder of each width, learnt from `train`.

    train: (m, pixels). images: (n, pixels). widths: numbers of principal components, 0 to at most min(m, pixels), in any order.
    """
    ### BEGIN SOLUTION
    mean = train.mean(axis=0)
    directions = np.linalg.svd(train - mean, full_matrices=False)[2]
    centred = images - mean
    drawn = np.cumsum((centred @ directions.T) ** 2, axis=1)
    drawn = np.concatenate([np.zeros((len(images), 1)), drawn], axis=1)
    return np.stack([(centred**2).sum(axis=1) - drawn[:, k] for k in widths])
    ### END SOLUTION


# %% part="latent" kind="tests" points=4
on_a_line = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
got = np.asarray(latent_errors(on_a_line, np.array([[3.0, 3.0], [2.0, 0.0]]), (1, 0)), dtype=float)
assert got.shape == (2, 2), "One row a width, one column an image."
assert np.allclose(got[0], [0, 2]), "One component is the diagonal: (3, 3) lies on it, (2, 0) at a squared distance of 2."
assert np.allclose(got[1], [8, 2]), "Width 0 draws the mean of the training images, (1, 1)."
assert not {"PCA"} & set(latent_errors.__code__.co_names), "By hand, please: with NumPy's SVD."


### BEGIN HIDDEN TESTS
def _check_latent():
    import numpy as np

    from novkit.teaching import course_generator

    for number in range(3):
        draw = course_generator("a2", "latent", number)
        mixing = draw.normal(size=(12, 12)) * np.linspace(3, 0.2, 12)
        train, images = (draw.normal(size=(n, 12)) @ mixing + 2 * draw.normal() for n in (40, 9))
        widths = [int(k) for k in draw.permutation([1, 3, 7, 11])]
        got = np.asarray(latent_errors(train.copy(), images.copy(), widths), dtype=float)
        assert got.shape == (4, 9), "One row a width, one column an image."
        for row, k in zip(got, widths, strict=True):
            pca = PCA(k, svd_solver="full").fit(train)
            truth = ((images - pca.inverse_transform(pca.transform(images))) ** 2).sum(axis=1)
            assert np.allclose(row, truth, rtol=1e-5), (
                f"At width {k} your errors differ from scikit-learn's PCA. Is the mean taken off, and how many components are kept?"
            )


_check_latent()
### END HIDDEN TESTS

# %% part="latent" kind="tests" points=2
all_nine = np.asarray(latent_errors(np.arange(12.0).reshape(6, 2) ** 2, np.ones((9, 2)), (1,)), dtype=float)
assert np.allclose(all_nine, all_nine[0, 0]), "Equal images have equal errors."


### BEGIN HIDDEN TESTS
def _check_latent_alone():
    import numpy as np

    from novkit.teaching import course_generator

    draw = course_generator("a2", "latent alone", 0)
    train, images = draw.normal(size=(30, 8)) + 1, draw.normal(size=(10, 8)) * 2 + draw.normal(size=8)
    together = np.asarray(latent_errors(train, images, (0, 2, 5)), dtype=float)
    alone = np.asarray(latent_errors(train, images[:1], (0, 2, 5)), dtype=float)
    assert np.allclose(together[:, :1], alone), (
        "An image's error depends on the others it is scored with: mean and directions come from the training images."
    )
    assert np.allclose(together[0], ((images - train.mean(axis=0)) ** 2).sum(axis=1)), "Width 0 draws the mean of the *training* images."
    assert (np.diff(together, axis=0) < 0).all(), "A wider code should draw every image at least as well."


_check_latent_alone()
### END HIDDEN TESTS

# %%
WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128)
flat_train, flat_held_out, flat_fresh = (
    images.reshape(len(images), -1) / 255.0 for images in (normal.images[:240], held_out.images, fresh.images)
)
errors = latent_errors(flat_train, flat_fresh, WIDTHS)
on_held_out = np.median(latent_errors(flat_train, flat_held_out, WIDTHS), axis=1)
panels = {"plain error": errors, "divided by the slice's variance": errors / flat_fresh.var(axis=1)}
lines = {panel: {c: (WIDTHS, [auroc_of(row, c) for row in values]) for c in CONDITIONS} for panel, values in panels.items()}
print(
    "error of held-out normal slices, relative to width 1:",
    dict(zip(WIDTHS, (on_held_out / on_held_out[0]).round(2).tolist(), strict=True)),
)
curves(
    lines,
    title="AUROC against the width of a linear bottleneck (synthetic)",
    x_title="principal components",
    y_title="AUROC",
    log_x=True,
    reference=0.5,
)

# %% [markdown]
# The drawing gets several times better. Does the detection?
#
# ## Part 5: what it cannot see (6 points)
#
# Real lesions change many things at once. *Generated* novelties change one thing each: nine transformations that no training here used
# [the idea: P; which ones: O].

# %%
chosen = np.flatnonzero(healthy)[:200]  # 50 subjects
x, of_subject = to_tensor(fresh.images[chosen]), fresh.groups[chosen]
before_images = near_identity(x, torch_generator(7, "before")).clamp(0, 1).numpy()  # resampled once, like the transformed ones
after_images = {family: change(x, torch_generator(7, family)).clamp(0, 1).numpy() for family, change in UNSEEN.items()}
gallery(
    np.stack([before_images[4], *(images[4] for images in after_images.values())]),
    ["nearly unchanged", *after_images],
    columns=5,
    title="One healthy slice, changed in nine ways (synthetic)",
)

# %% [markdown]
# A score *sees* a kind of novelty if it tells the changed images from the unchanged ones, and not by a hair. Let us call a kind a **blind
# spot** unless the 95 % interval of its AUROC lies wholly **above** a bar, `least`, of 0.6 [O]. If the AUROC lies below 0.5, the changed
# images look *more normal* than the originals: that is no detection, it is worse. Each image stands in the comparison twice, unchanged
# (y = 0) and changed (y = 1), and both copies belong to the same subject: the interval must draw subjects.
#
# `image_metrics(y, score, groups)` of novkit gives `auroc`, `auroc_low` and `auroc_high`.
#
# **Write `blind_spots`:** the names of the kinds that the score cannot see, the lowest AUROC first.
#
# <details><summary>Hint</summary>
#
# Put the scores end to end, `np.concatenate([before, after[name]])`; labels and subjects go along, in the same order.
# </details>


# %% part="blind_spots" kind="solution"
def blind_spots(before, after, group, least=0.6):
    """A list of names, lowest AUROC first: the kinds whose 95 % interval does not lie wholly above `least`.

    before: (n,) scores of the unchanged images. after: {name: (n,) scores of the changed ones}. group: (n,) subjects of the images.
    """
    ### BEGIN SOLUTION
    y = np.repeat([0, 1], len(before))
    found = {name: image_metrics(y, np.concatenate([before, score]), np.tile(group, 2)) for name, score in after.items()}
    blind = [name for name, metrics in found.items() if metrics.auroc_low <= least]
    return sorted(blind, key=lambda name: found[name].auroc)
    ### END SOLUTION


# %% part="blind_spots" kind="tests" points=3
ramp = np.linspace(0, 1, 40)
told = blind_spots(ramp, {"seen": ramp + 2, "unseen": ramp[::-1], "turned": ramp - 2}, np.arange(40).astype(str))
assert "seen" not in told, "Scores that all rise above the old ones are seen."
assert "unseen" in told, "The same scores in another order are not seen."
assert list(told) == ["turned", "unseen"], "Scores that fall are a blind spot too, and the lowest AUROC comes first."


### BEGIN HIDDEN TESTS
def _check_blind_spots():
    import numpy as np

    from novkit.teaching import course_generator

    for number in range(2):
        draw = course_generator("a2", "blind", number)
        n = 120
        before = draw.normal(size=n)
        shifts = {"far up": 2.5, "up": 1.6, "down": -0.9, "far down": -2.5}
        after = {name: draw.permutation(before) + shift + 0.2 * draw.normal(size=n) for name, shift in shifts.items()}
        after["same"] = before[::-1].copy()
        after = {str(name): after[str(name)] for name in draw.permutation(list(after))}
        subject = np.arange(n).astype(str)
        got = list(blind_spots(before.copy(), after, subject))
        assert not {"far up", "up"} & set(got), "A kind whose scores rise clearly is called a blind spot. Which class is y = 1?"
        assert "same" in got, "A kind with the same scores as before is a blind spot."
        assert {"down", "far down"} <= set(got), "A kind whose scores fall is not detected: its interval does not lie above the bar."
        assert got == ["far down", "down", "same"], "Sort the blind spots by AUROC, the lowest first."
        high = list(blind_spots(before, after, subject, 0.98))
        assert "up" in high, "`least` is an argument: with a bar of 0.98 a kind with an AUROC of about 0.87 is a blind spot."


_check_blind_spots()
### END HIDDEN TESTS

# %% part="blind_spots" kind="tests" points=3
few_subjects = np.repeat(["s1", "s2", "s3"], 40)  # 120 images, but only three subjects, whose images all score alike
told = blind_spots(np.repeat([0.0, 3.0, 6.0], 40), {"changed": np.repeat([4.0, 2.0, 7.0], 40)}, few_subjects, 0.5)
assert list(told) == ["changed"], "Three subjects are too few to be sure, however many images they have."


### BEGIN HIDDEN TESTS
def _check_blind_spots_by_subject():
    import numpy as np

    from novkit.evaluation import image_metrics
    from novkit.teaching import course_generator

    n_subjects, each = 16, 12
    group = np.repeat([f"s{k}" for k in range(n_subjects)], each)
    y, twice = np.repeat([0, 1], n_subjects * each), np.tile(group, 2)
    for number in range(400):  # fresh numbers, until drawing images or subjects makes a clear difference
        draw = course_generator("a2", "blind by subject", number)
        before, changed = (np.repeat(draw.normal(size=n_subjects), each) + 0.05 * draw.normal(size=len(group)) for _ in "ab")
        changed = changed + 0.8
        both = np.concatenate([before, changed])
        if not 0.66 < image_metrics(y, both, n_resamples=50).auroc < 0.75:
            continue
        if image_metrics(y, both, twice, n_resamples=500).auroc_low < 0.57 and image_metrics(y, both, n_resamples=500).auroc_low > 0.62:
            break
    order = draw.permutation(len(group))
    got = list(blind_spots(before[order], {"slight": changed[order], "strong": changed[order] + 5}, group[order]))
    assert "strong" not in got, "A kind whose scores all rise above the old ones is seen, with few subjects too."
    assert got == ["slight"], "Your interval is too sure of itself: the images of a subject are alike. Draw subjects, one for both copies."


_check_blind_spots_by_subject()
### END HIDDEN TESTS

# %%
before = detector.novelty_score(before_images)
after = {family: detector.novelty_score(images) for family, images in after_images.items()}
calibrated_before = calibrated_score(before, detail_of(before_images), line)
calibrated_after = {f: calibrated_score(after[f], detail_of(images), line) for f, images in after_images.items()}
twice = np.repeat([0, 1], 200)
rows = {
    family: {
        "error": auroc(twice, np.r_[before, after[family]]),
        "calibrated": auroc(twice, np.r_[calibrated_before, calibrated_after[family]]),
    }
    for family in UNSEEN
}
print("blind spots of the error:", blind_spots(before, after, of_subject))
print("blind spots of the calibrated score:", blind_spots(calibrated_before, calibrated_after, of_subject))
pairs(rows, title="Which changes the autoencoder sees (synthetic)", x_title="AUROC, changed against nearly unchanged", x_range=(0.3, 1))

# %% [markdown]
# One more look, before you judge: compare each image *with itself*. In what share of images does the error rise?

# %%
itself = {family: {"share of images drawn worse than before": float((after[family] > before).mean())} for family in UNSEEN}
pairs(itself, title="Against itself (synthetic)", x_title="share of images whose error rises", x_range=(0, 1.02))

# %% [markdown]
# ## Part 6: advice to a colleague (6 points, graded by hand)
#
# A radiologist writes: *"We would like to screen FLAIR slices with an autoencoder: what it draws badly is sent to a reader. A student of
# ours says it only needs the right bottleneck. Is this a good idea?"* Answer in 200 to 300 words, from what you measured above:
#
# 1. What does the plain error mostly measure? Give the number that shows it.
# 2. What did the calibration mend, what not, and what did it make worse? Speak of intervals.
# 3. Is the student right about the bottleneck? What in the figure tells you?
# 4. Name two kinds of change that the score cannot see, and for one of them **why**: what can the decoder draw, that it draws this too?
# 5. What would you try next, and on which images would you measure whether it helped?

# %% [markdown] part="advice" kind="manual" points=6
# **Your answer**
#
# ### BEGIN SOLUTION
# **Model answer**
#
# 1. Mostly how much there is to draw: among *healthy* slices, where nothing is to be found, the error's rank correlation with the
#    statistic of part 2 is close to 0.9, while ill and healthy slices are told apart little better than by a coin. Crisp scans of
#    high gain would be called back, not ill people.
# 2. The calibration takes that dependence away (the rank correlation drops to about 0), without training and without looking at any novel
#    image. Whether it helps to detect, the intervals say: where one lies above 0 it does; where it holds 0 nothing is shown, whatever the
#    two AUROCs look like. It has its price: local noise *is* fine detail, so its error is now excused, and it is seen worse than
#    before. A lesion that is small against what every head leaves undrawn still drowns in the mean over all pixels.
# 3. No. The error of held-out normal slices falls to less than half while no AUROC moves by more than about a tenth, up for one condition
#    and down for another: no width is good for all. What helps to draw healthy brains helps to draw ill ones. And choosing the width by
#    these curves would be choosing on the test.
# 4. *Local* changes: blur, noise, inverted contrast, swapped patches, a moderate pinch. Blur even makes the slice *easier*: a decoder that
#    draws from a few numbers draws smoothly anyway, so what was blurred fits its drawing better and the error falls in most images. The
#    score then points the wrong way. Noise and inversion raise the error in more images than not, in few pixels, by much less than
#    subjects differ from each other: the figure of each image against itself shows the signal, the AUROC shows the nuisance.
# 5. Something that knows the *place*: errors standardised for each pixel or region on held-out normal slices; or restoring hidden patches
#    from their surroundings (Patch-GAN), so that a lesion cannot draw itself; or invented novelty (TEND). Settings chosen on development
#    seeds and the calibration part; the result once, on subjects that nobody has looked at.
#
# **Rubric**
#
# | points | for |
# |---:|---|
# | 1 | the nuisance named, with a measured number among *normal* images |
# | 1 | what calibration mends and leaves or worsens, argued with the interval of the gain and not with two AUROCs alone |
# | 1 | bottleneck: error and AUROC told apart; ½ for "no" without the figure |
# | 2 | two true blind spots (1), and a reason that speaks of what the decoder can draw or of images that get easier (1) |
# | 1 | a next step that addresses the named fault, **and** images for measuring it that were not used for choosing |
# ### END SOLUTION

# %% [markdown]
# ## Sources
#
# - TEND: Guo, Gichoya, Purkayastha, Banerjee, *Margin-aware intraclass novelty identification for medical images*, J. Med. Imaging 9(1)
#   014004, 2022: stage 1, and generated novelties.
# - PCA as an autoencoder: Baldi, Hornik, *Neural networks and principal component analysis: learning from examples without local minima*,
#   Neural Networks 2, 1989.
# - Residuals against plain intensity: Meissen, Kaissis, Rueckert, *Challenging current semi-supervised anomaly segmentation methods for
#   brain MRI*, BrainLes 2021.
# - Complexity mistaken for novelty: Serrà et al., *Input complexity and out-of-distribution detection with likelihood-based generative
#   models*, ICLR 2020.
#
# **Read next:** notebook 03, and assignment 3.
