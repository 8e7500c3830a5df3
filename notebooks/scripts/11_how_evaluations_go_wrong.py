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
# # How evaluations go wrong
#
# Five honest-looking mistakes. Each is made here on purpose, live, and you see the AUROC it fakes beside the honest one.
#
# **What you will learn**
# - what choosing on the test set is worth, even among detectors that know nothing;
# - why an image's score must not depend on the images scored beside it;
# - what happens when slices of one patient stand on both sides;
# - two things of the file, not of the patient, that a classifier finds first: JPEG and fill;
# - why one number of the image belongs beside every model.
#
# Under a minute and 1.2 GB on two cores; nothing is trained; no network. The brain slices are *synthetic*, of a development seed. Every
# claim is made over several divisions of the subjects: "clearly above" means three standard deviations of the difference. Marks: **[C]**
# the published code of TEND, **[O]** our own choice.

# %%
import io

import numpy as np
import plotly.graph_objects as go
import torch
from PIL import Image
from scipy.fft import dctn
from scipy.stats import rankdata
from sklearn.neighbors import NearestNeighbors

from novkit.baselines.pixel_zscore import PixelZScore
from novkit.data import load
from novkit.distortions import PUBLISHED, distort, near_identity
from novkit.distortions.published import published
from novkit.evaluation import Scores, auroc
from novkit.figures import gallery, score_distributions
from novkit.figures.charts import curves, pairs
from novkit.figures.style import DASHES, NORMAL_COLOUR, NOVEL_COLOURS, faint, finish, legend_on_top
from novkit.images import to_tensor
from novkit.notebooks import exercise_check, reference_results, show_source
from novkit.results import load_results, load_scores
from novkit.seeding import numpy_generator, torch_generator
from novkit.statistics import compute_statistics
from novkit.tend.objectives import through_jpeg
from novkit.tend.settings import Faithful

data = load("brain", seed=1, n_healthy=1200, n_novel=400, conditions=("healthy", "glioma"), progress=False)
images, groups = np.asarray(data.images), data.groups
healthy, gliomas = np.flatnonzero(data.labels == "healthy"), np.flatnonzero(data.labels == "glioma")
SEEDS = range(5)
found = {}  # mistake -> mean AUROC, honest and faked


def auroc_of(novel, normal):
    """AUROC of two sets of scores."""
    return auroc(np.repeat([1, 0], [len(novel), len(normal)]), np.concatenate([novel, normal]))


def subjects_in_parts(rows, seed, shares=(0.6, 0.2)):
    """The rows' subjects, shuffled and cut at the shares -> the rows of each part."""
    names = numpy_generator(seed, "subjects").permutation(np.unique(groups[rows]))
    cuts = np.split(names, np.round(np.cumsum(shares) * len(names)).astype(int))
    return [rows[np.isin(groups[rows], part)] for part in cuts]


def clearly_above(larger, smaller):
    """Whether the difference over seeds is positive by three of its standard deviations."""
    difference = np.subtract(larger, smaller)
    return bool(difference.mean() > 3 * difference.std(ddof=1))


print(len(healthy), "healthy slices and", len(gliomas), "gliomas, four of each subject")

# %% [markdown]
# ## 1. Choosing on the test set
#
# A random projection weighs all pixels at random and adds them up. It knows nothing about gliomas. Now try many, and report the best *on
# the test set*, with the sign that suits it: as one does who compares epochs, seeds and settings there.
#
# $$k^* = \arg\max_k \left| \mathrm{AUROC}_{\text{test}}(s_k) - \tfrac12 \right|$$
#
# The test has 20 healthy and 20 glioma subjects, one slice of each. **Predict:** the AUROC of the best of 1000, on that test, and on fresh
# subjects?

# %%
one_each = np.sort(np.unique(groups, return_index=True)[1])  # the first slice of every subject
small = images[:, 0].reshape(-1, 32, 2, 32, 2).mean(axis=(2, 4)).reshape(len(images), -1) / 255  # (n, 1024)
pixels = small[one_each]
ill = np.isin(one_each, gliomas)
TRIED = (1, 3, 10, 30, 100, 300, 1000)


def aurocs(y, scores):
    """AUROC of every column of scores (n, candidates), by ranks."""
    n1, n0 = y.sum(), (~y).sum()
    return (rankdata(scores, axis=0)[y].sum(axis=0) - n1 * (n1 + 1) / 2) / (n1 * n0)


def best_of(seed):
    """For each number of candidates: the best one's AUROC on the test that chose it, and on all other subjects."""
    generator = numpy_generator(seed, "projections")
    order = [generator.permutation(np.flatnonzero(ill == kind)) for kind in (False, True)]
    test, fresh = np.concatenate([part[:20] for part in order]), np.concatenate([part[20:] for part in order])
    spread = pixels[fresh].std(axis=0)[:, None] + 0.05  # a pixel that varies much weighs little
    scores = pixels @ (generator.standard_normal((pixels.shape[1], max(TRIED))) / spread)
    on_test, on_fresh = aurocs(ill[test], scores[test]), aurocs(ill[fresh], scores[fresh])
    chosen = [int(np.argmax(np.abs(on_test[:tried] - 0.5))) for tried in TRIED]
    sign = np.sign(on_test[chosen] - 0.5)
    return 0.5 + sign * (on_test[chosen] - 0.5), 0.5 + sign * (on_fresh[chosen] - 0.5)


chosen_on, fresh_on = np.array([best_of(seed) for seed in range(20)]).transpose(1, 0, 2)  # each (seeds, TRIED)
found["choosing on the test"] = {"honest": fresh_on[:, -1].mean(), "faked": chosen_on[:, -1].mean()}
curves(
    {"": {"on the test that chose": (TRIED, chosen_on.mean(axis=0)), "on fresh subjects": (TRIED, fresh_on.mean(axis=0))}},
    title="The best of many detectors that know nothing (synthetic)",
    x_title="random detectors tried",
    y_title="AUROC, mean of 20 divisions",
    reference=0.5,
    log_x=True,
    y_range=(0.45, 0.85),
)

# %%
# NBVAL_CHECK_OUTPUT
print("best of 1000, clearly above what it is worth:", clearly_above(chosen_on[:, -1], fresh_on[:, -1]))
print("the more are tried, the better it looks:", bool((np.diff(chosen_on.mean(axis=0)) > 0).all()))
print("on fresh subjects, trying more does not help by 0.05:", bool(fresh_on[:, -1].mean() < fresh_on[:, 0].mean() + 0.05))

# %% [markdown]
# TEND's published code chooses its stage-2 checkpoint on the test set, novelties and their labels included [C]. Its forty epochs after
# warm-up are forty candidates; they resemble one another, so the gain is smaller, but it is not a result. Here that is a switch, for
# measuring the leak:

# %%
show_source(Faithful)

# %% [markdown]
# **The mend:** choose on held-out normal images and their transforms, settings on development data; open the test once.
#
# ## 2. A score that depends on its neighbours
#
# The published code scales the distances over whatever is scored together [C]:
#
# $$\tilde d_i = \frac{d_i - \min_j d_j}{\max_j d_j - \min_j d_j}$$
#
# Below are TEND's stored distances to the centre, of the reference results. Scaled over the whole test the *order* stays, and so does
# the AUROC of the distance: no harm is seen. But one image's score now hangs on the largest distance in its company, and so does every
# threshold. And who scores folder by folder, `normal/` and then `novel/`, scales each class by itself.
#
# **Predict:** what becomes of the AUROC when the two folders are scaled apart? And when one picture in `normal/` is broken, and lies ten
# times as far out as anything else?

# %%
folder = reference_results()
wanted = ("tend", "", "brain", "generated_ood")
records = [record for record in load_results(folder) if (record.method, record.variant, record.dataset, record.setup) == wanted]
run = load_scores(folder, min(records, key=lambda record: record.seed))
distance, label = run.components["distance"], run.label


def scaled(d):
    return (d - d.min()) / (d.max() - d.min())


def by_folder(seed):
    """AUROC of 50 + 50 images: scaled together, folder by folder, and so with a broken picture among the normal ones."""
    generator = numpy_generator(seed, "folders")
    normal, novel = (distance[generator.choice(np.flatnonzero(label == kind), 50, replace=False)] for kind in (0, 1))
    broken = np.append(normal, 10 * distance.max())
    return auroc_of(novel, normal), auroc_of(scaled(novel), scaled(normal)), auroc_of(scaled(novel), scaled(broken))


together, apart, with_broken = np.array([by_folder(seed) for seed in range(300)]).T
found["scaling by folder"] = {"honest": together.mean(), "faked": with_broken.mean()}
three = {"one scale for all": together, "a scale for each folder": apart, "the same, one broken normal": with_broken}
figure = go.Figure()
for (name, values), colour, dash in zip(three.items(), (NORMAL_COLOUR, NOVEL_COLOURS[1], NOVEL_COLOURS[0]), DASHES, strict=False):
    density, edges = np.histogram(values, bins=np.linspace(0, 1, 51), density=True)
    outline = {"x": np.repeat(edges, 2), "y": np.r_[0, np.repeat(density, 2), 0]}
    figure.add_scatter(
        **outline, mode="lines", name=name, line={"color": colour, "dash": dash}, fill="tozeroy", fillcolor=faint(colour, 0.16)
    )
figure.update_xaxes(title_text="AUROC of 50 normal and 50 novel images, 300 draws").update_yaxes(title_text="density", showticklabels=False)
legend_on_top(figure, 380)
alt = "AUROC over 300 draws. " + "; ".join(f"{name}: median {np.median(values):.2f}" for name, values in three.items()) + "."
finish(figure, title="One detector, three AUROCs (synthetic)", alt=alt, height=380)

# %%
# NBVAL_CHECK_OUTPUT
print("scaled over the whole test, the order stays:", auroc(label, scaled(distance)) == auroc(label, distance))
companies = [np.append(distance[0], numpy_generator(seed, "company").choice(distance, 49)) for seed in range(20)]
values = [scaled(company)[0] for company in companies]
print("the first image's scaled distance, over 20 companies, varies more than threefold:", max(values) > 3 * min(values))
print("one broken normal picture makes a brilliant detector:", bool(with_broken.min() > together.mean()))

# %% [markdown]
# **The mend:** everything that scales is fitted on held-out normal images, once; `novelty_score` of one image is the same alone or in
# company, and a test holds every method to that.
#
# ## 3. Patients on both sides
#
# The nearest neighbour: an image is as novel as it is far from the most similar training image.
#
# $$s(x) = \min_{i \in \text{train}} \lVert x - x_i \rVert^2$$
#
# Split by slice, a healthy test slice finds its own siblings in train. Gliomas never do: their subjects are all in the test.
# **Predict:** by how much does that flatter the detector?


# %%
def nearest(train, rows):
    """(n,): squared distance of each row's slice to the nearest training slice."""
    return NearestNeighbors(n_neighbors=1).fit(small[train]).kneighbors(small[rows])[0][:, 0] ** 2


def careless_and_honest(seed):
    """Scores of the normal test slices and of the gliomas, split by slice and by subject; equally many in train."""
    train, _, test = subjects_in_parts(healthy, seed)
    shuffled = numpy_generator(seed, "careless").permutation(healthy)
    careless_train, careless_test = shuffled[: len(train)], shuffled[-len(test) :]
    careless = nearest(careless_train, careless_test), nearest(careless_train, gliomas)
    return careless, (nearest(train, test), nearest(train, gliomas))


divisions = [careless_and_honest(seed) for seed in SEEDS]
by_slice, by_subject = ([auroc_of(novel, normal) for normal, novel in side] for side in zip(*divisions, strict=True))
found["patients on both sides"] = {"honest": np.mean(by_subject), "faked": np.mean(by_slice)}


def as_scores(normal, novel):
    y = np.repeat([0, 1], [len(normal), len(novel)])
    names = np.arange(len(y)).astype(str)
    return Scores(names, names, y, np.where(y == 1, "glioma", "healthy"), np.sqrt(np.concatenate([normal, novel])))


panels = {"split by slice": as_scores(*divisions[0][0]), "split by subject": as_scores(*divisions[0][1])}
score_distributions(panels, title="Distance to the nearest training slice (synthetic)")

# %%
# NBVAL_CHECK_OUTPUT
print("split by slice, above 0.9:", min(by_slice) > 0.9)
print("clearly above the honest split:", clearly_above(by_slice, by_subject))

# %% [markdown]
# The gliomas' scores are the same on both sides; only the normal ones moved. Nothing was learnt about gliomas.
#
# **The mend:** split by `group`: patient, lesion, or writer. Where the groups are not published, say so beside the number.
#
# ## 4. The file gives it away
#
# ### JPEG
#
# In the published code only the transformed images pass through JPEG [C]. The same happens wherever "novel" was collected as JPEG and
# "normal" as PNG. JPEG cuts the image into blocks of 8 × 8, and rounds each block's cosine coefficients $c$ to multiples of a step $q$.
# So look how far they are from such multiples; the eye sees nothing:
#
# $$s(x) = -\operatorname{mean} \left| c/q - \operatorname{round}(c/q) \right|$$


# %%
def saved_as_jpeg(rows):
    """(n, 64, 64) uint8: the slices, written as JPEG of quality 92 and read again."""
    return np.rint(through_jpeg(to_tensor(images[rows]))[:, 0].numpy() * 255).astype(np.uint8)


file = io.BytesIO()
Image.fromarray(images[0, 0]).save(file, "JPEG", quality=92)
step = np.array(Image.open(file).quantization[0]).reshape(8, 8)


def on_the_jpeg_grid(pictures):
    """(n, 64, 64) -> (n,): 0 where every coefficient is a multiple of JPEG's step, negative elsewhere."""
    blocks = (pictures.astype(float) - 128).reshape(-1, 8, 8, 8, 8).transpose(0, 1, 3, 2, 4)
    coefficients = dctn(blocks, axes=(-2, -1), norm="ortho") / step
    return -np.abs(coefficients - np.round(coefficients)).mean(axis=(1, 2, 3, 4))


before, after = images[:1, 0], saved_as_jpeg([0])
difference = np.clip(128 + 12 * (after.astype(int) - before), 0, 255).astype(np.uint8)
three = np.stack([before, after, difference])
gallery(three, ["as made", "after JPEG, quality 92", "difference, 12 times"], title="What the eye does not see (synthetic)", columns=3)

# %% [markdown]
# **Predict:** all slices below are *healthy*; half of the subjects were saved as JPEG and called novel. The AUROC? And if everyone's were
# saved as JPEG?

# %%
one_format, two_formats = [], []
for seed in SEEDS:
    a, b = subjects_in_parts(healthy, seed, (0.5,))
    two_formats.append(auroc_of(on_the_jpeg_grid(saved_as_jpeg(b)), on_the_jpeg_grid(images[a, 0])))
    one_format.append(auroc_of(on_the_jpeg_grid(saved_as_jpeg(b)), on_the_jpeg_grid(saved_as_jpeg(a))))
found["JPEG for one class"] = {"honest": np.mean(one_format), "faked": np.mean(two_formats)}

# %%
# NBVAL_CHECK_OUTPUT
print("healthy against healthy, two formats: above 0.99", min(two_formats) > 0.99)
print("one format for all: near a coin", abs(np.mean(one_format) - 0.5) < 0.1)

# %% [markdown]
# ### Fill
#
# A transformation that moves the picture must put something where nothing was. Four of the published eight leave much of the image filled
# with one grey level, black or white [C]. One number finds that: the share of pixels that have the commonest grey level. **Predict:** for
# which kinds does it tell a transformed healthy slice from an untouched one?


# %%
def commonest_level(batch):
    """(n, 1, h, w) in [0, 1] -> (n,): share of the pixels that have the image's commonest grey level."""
    levels = np.rint(batch.numpy() * 255).astype(int).reshape(len(batch), -1)
    return np.array([np.bincount(row).max() / row.size for row in levels])


def fills(seed):
    """AUROC of the commonest level for each published kind, and for novkit's default family, against other healthy subjects."""
    a, b = subjects_in_parts(healthy[::4], seed, (0.5,))  # one slice a subject
    untouched = commonest_level(near_identity(to_tensor(images[a]), torch_generator(seed, "untouched")))
    made = {f"{kind} [C]": published(to_tensor(images[b]), kind) for kind in PUBLISHED}
    made["novkit's default, reflected borders [O]"] = distort(to_tensor(images[b]), torch_generator(seed, "default"))[0]
    return {name: auroc_of(commonest_level(batch), untouched) for name, batch in made.items()}


with torch.inference_mode():
    by_seed = [fills(seed) for seed in SEEDS]
by_kind = {name: [each[name] for each in by_seed] for name in by_seed[0]}
*kinds, ours = by_kind
found["fill of the transformations"] = {
    "honest": np.mean(by_kind[ours]),
    "faked": np.mean([by_kind[kind] for kind in kinds]),
}
pairs(
    {name: {"commonest grey level": np.mean(values)} for name, values in by_kind.items()},
    title="Transformed or not, told by one number (synthetic)",
    x_title="AUROC of healthy slices, transformed against untouched",
    x_range=(0.0, 1.03),
)

# %%
# NBVAL_CHECK_OUTPUT
print("kinds of the published eight that one number gives away (above 0.95):", sum(min(by_kind[kind]) > 0.95 for kind in kinds) >= 4)
print("clearly above the default family:", clearly_above(np.mean([by_kind[kind] for kind in kinds], axis=0), by_kind[ours]))

# %% [markdown]
# A classifier trained on such pairs has solved its task without having looked at anatomy, and has nothing to say about a glioma.
#
# **The mend:** whatever happens to the file happens to both classes: one format, one resampling, no fill. novkit passes x itself through a
# sub-pixel warp with the same kernel and border.
#
# ## 5. One number of the image
#
# The novel slices come from another scanner, whose pictures are 40 % brighter. A detector that learnt the healthy brain, pixel by pixel,
# does splendidly. **Predict:** what does the mean grey level reach? And what if the other scanner's patients are *healthy*?


# %%
def brighter(rows, gain=1.4):
    return np.clip(np.rint(images[rows] * gain), 0, 255).astype(np.uint8)


def mean_level(pictures):
    return compute_statistics(pictures, ["mean"])["mean"].to_numpy()


CASES = ("glioma, same scanner", "glioma, other scanner", "healthy, other scanner")
zscore, level = {case: [] for case in CASES}, {case: [] for case in CASES}
for seed in SEEDS:
    train, held_out, test = subjects_in_parts(healthy, seed)
    detector = PixelZScore(progress=False).fit(images[train], images[held_out])
    for case, novel in zip(CASES, (images[gliomas], brighter(gliomas), brighter(held_out)), strict=True):
        zscore[case].append(auroc_of(detector.novelty_score(novel), detector.novelty_score(images[test])))
        level[case].append(auroc_of(mean_level(novel), mean_level(images[test])))
found["another scanner for one class"] = {"honest": np.mean(zscore[CASES[0]]), "faked": np.mean(zscore[CASES[1]])}
pairs(
    {case: {"pixel_zscore": np.mean(zscore[case]), "mean grey level": np.mean(level[case])} for case in CASES},
    title="A detector beside one number (synthetic)",
    x_title="AUROC, mean of five divisions",
    x_range=(0.4, 1.0),
)

# %%
# NBVAL_CHECK_OUTPUT
print("another scanner, clearly above the same scanner:", clearly_above(zscore[CASES[1]], zscore[CASES[0]]))
print("the detector does not clearly beat one number:", not clearly_above(zscore[CASES[1]], level[CASES[1]]))
print("nobody ill, and still above 0.6:", np.mean(zscore[CASES[2]]) > 0.6)

# %% [markdown]
# It found the scanner. Real sets do this unasked: on PneumoniaMNIST one statistic of the picture alone passes 0.8, and novkit's tables
# carry the best such statistic, chosen with the test's labels, as a bar to clear ([the notes](../results/NOTES.md)).
#
# **The mend:** put a fixed statistic and the oracle statistic beside every model, and look where the two classes come from.
#
# ## All of them

# %%
pairs(found, title="What each mistake fakes (synthetic)", x_title="AUROC", x_range=(0.4, 1.03))

# %%
# NBVAL_CHECK_OUTPUT
print("fakes more than 0.1:", {name: bool(pair["faked"] > pair["honest"] + 0.1) for name, pair in found.items()})

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** How far does a detector that knows nothing stray by chance? The standard deviation of its AUROC is
#
# $$\sigma = \sqrt{\frac{n_1 + n_0 + 1}{12\, n_1 n_0}}$$
#
# Compute it for the 20 + 20 subjects of part 1, and compare $0.5 + \sigma\sqrt{2 \ln 2000}$, an upper guess for the best of 1000 with
# either sign, with the figure there.
#
# <details><summary>Hint</summary>
#
# `np.sqrt`; 41 above, 4800 below.
# </details>

# %%
sigma = ...  # a number

exercise_check("1", sigma, np.sqrt(41 / 4800), tolerance=0.001)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# sigma = np.sqrt((20 + 20 + 1) / (12 * 20 * 20))  # 0.092; the guess is then 0.86: our detectors are not independent
# ```
# </details>

# %% [markdown]
# **Exercise 2.** Write the check that would have caught mistake 2: True where `score` gives an image the same score alone as in company.
#
# <details><summary>Hint</summary>
#
# Compare `score(batch)` with `score(batch[:5])` on the first five. Alone, `scaled` would divide by zero.
# </details>


# %%
def keeps_to_itself(score, batch):
    return ...  # score: a function of (n,) distances; batch: some distances


exercise_check("2", lambda: [keeps_to_itself(scaled, distance[:9]), keeps_to_itself(np.sqrt, distance[:9])], [False, True])

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def keeps_to_itself(score, batch):
#     return bool(np.allclose(score(batch)[:5], score(batch[:5])))
# ```
# </details>

# %% [markdown]
# **Exercise 3.** Mend mistake 3 in one line: from two lists of rows, keep of `test` only those whose subject is not in `train`.
#
# <details><summary>Hint</summary>
#
# `np.isin(groups[test], groups[train])` says who has a sibling in train.
# </details>

# %%
shuffled = numpy_generator(0, "exercise").permutation(healthy)
train, test = shuffled[:400], shuffled[400:]
clean_test = ...  # rows of test; `groups` holds every row's subject


def is_clean():
    return None if clean_test is ... else len(clean_test) > 0 and not np.isin(groups[clean_test], groups[train]).any()


exercise_check("3", is_clean)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# clean_test = test[~np.isin(groups[test], groups[train])]
# ```
#
# Few are left: it is better to split by subject from the start.
# </details>
#
# ## Sources
#
# - TEND and its published code: Guo et al. 2022, J. Med. Imaging 9(1) 014004; [what it does, switch by switch](../docs/methods.md).
# - Leakage across the sciences: Kapoor & Narayanan 2023, Patterns 4(9) 100804. Shortcuts: Geirhos et al. 2020, Nature Machine
#   Intelligence 2, 665–673; in medical images, Zech et al. 2018, PLoS Medicine 15(11), e1002683.
# - Code: `novkit/data/splits.py`, `novkit/distortions/resampling.py`, `novkit/baselines/statistic.py`.
#
# **Read next:** [12](12_your_own_images.ipynb), where the images are yours, and so are the mistakes.
