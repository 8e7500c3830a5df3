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
# # TEND, stage 1: an autoencoder, what its error sees and what it misses
#
# **What you will learn**
# - how an autoencoder learns to redraw normal images, and why its error is a novelty score;
# - what that score mostly measures (it is not what you hope);
# - two changes of a brain, one of which it cannot see at all;
# - that a better drawing is not a better detector;
# - the other half of the information: how unusual the *code* is, asked with a one-class SVM.
#
# About a minute and 1 GB on two cores; one small training; no network. The brain slices are *synthetic*: real, averaged anatomy with
# drawn contrast, noise and lesions. Marks: **[P]** the paper, **[C]** its published code, **[O]** our own choice.

# %%
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from scipy.special import logsumexp
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from novkit.baselines.autoencoder import bottleneck_autoencoder
from novkit.baselines.ocsvm import Ocsvm, OcsvmSettings
from novkit.data import load
from novkit.distortions.resampling import near_identity_points, pixel_centres, resample, to_centred, to_pixels
from novkit.distortions.unseen import pinch_map, soft_disc
from novkit.evaluation import auroc
from novkit.figures import gallery, reconstructions
from novkit.figures.charts import cloud, curves, shares
from novkit.figures.style import NORMAL_COLOUR, NOVEL_COLOURS, finish
from novkit.images import to_tensor
from novkit.notebooks import exercise_check, show_source
from novkit.ready import ready_detector
from novkit.seeding import seeded, torch_generator
from novkit.tend.losses import reconstruction_loss
from novkit.tend.objectives import Reconstruction
from novkit.training import LoopSettings, train

CONDITIONS = ("glioma", "infarct", "ventricles")
normal = load("brain", seed=0, n_healthy=800, conditions=("healthy",), progress=False)  # to learn from
fresh = load("brain", seed=7, n_healthy=600, n_novel=200, conditions=("healthy", *CONDITIONS), progress=False)  # to test on
healthy = fresh.labels == "healthy"


def auroc_of(score, condition):
    """How well `score` tells the fresh slices of a condition from the healthy ones."""
    chosen = healthy | (fresh.labels == condition)
    return auroc(fresh.labels[chosen] == condition, score[chosen])


print(len(normal), "slices to learn from;", {name: int((fresh.labels == name).sum()) for name in ("healthy", *CONDITIONS)}, "to test on")

# %% [markdown]
# ## 1. Squeeze, then redraw
#
# An *encoder* turns the 64 × 64 = 4096 pixels of a slice into a few numbers, the code; a *decoder* draws the slice again from the code
# alone. Both learn on normal slices only [P], by the mean squared error [C]:
#
# $$L_1 = \operatorname{mean}\,(x - \hat x)^2, \qquad \hat x = \mathrm{dec}(\mathrm{enc}(x))$$

# %%
show_source(reconstruction_loss)

# %%
show_source(bottleneck_autoencoder)

# %% [markdown]
# **Predict:** you watch two held-out slices being redrawn while the network learns. What will it get right first: the outline of the
# head, how bright this subject is, or the folds of the cortex? Then run the training (eight short epochs on 600 slices).


# %%
class Watched(Reconstruction):
    """Stage 1 that also keeps, after each epoch, how it draws a few held-out slices."""

    def __init__(self, autoencoder, slices):
        super().__init__(autoencoder, lr=1e-3, weight_decay=1e-6)
        self.slices, self.drawings = slices, []

    @torch.inference_mode()
    def draw(self, device="cpu"):
        self.drawings.append(self.modules["autoencoder"](to_tensor(self.slices, device)).float().cpu().numpy())

    def validate(self, images, step):
        self.draw(step.device)
        return super().validate(images, step)


small = seeded(0, "autoencoder", lambda: bottleneck_autoencoder((1, 64, 64), width=8, latent=64))
stage1 = Watched(small, normal.images[[640, 700]])
stage1.draw()  # epoch 0: nothing learnt yet
history = train(stage1, normal.images[:600], normal.images[600:], LoopSettings(epochs=8, batch_size=16), seed=0, progress=False)
print("held-out error by epoch:", [round(epoch["val_loss"], 4) for epoch in history.epochs])

# %%
EPOCHS = (0, 1, 3, 8)
by_epoch = np.stack([*(stage1.drawings[epoch] for epoch in EPOCHS), to_tensor(stage1.slices).numpy()], axis=1)  # (slice, epoch, 1, 64, 64)
captions = [*(f"after epoch {epoch}" for epoch in EPOCHS), "the slice itself"] * 2
gallery(by_epoch.reshape(-1, 1, 64, 64), captions, title="Held-out slices, redrawn as the network learns (synthetic)", columns=5)

# %%
# NBVAL_CHECK_OUTPUT
with torch.inference_mode():
    code = small.encode(to_tensor(normal.images[:2]).to(next(small.parameters()).device))
print("pixels of a slice:", normal.images[0].size, "- numbers in its code:", code.shape[1])
print("the held-out error fell by more than a fifth:", history.epochs[-1]["val_loss"] < 0.8 * history.epochs[0]["val_loss"])

# %% [markdown]
# First the average head, then how large and how bright this one is, folds last or never. That is the hope behind the score: *what is rare
# in normal images is not worth a number of the code, so it is drawn badly.*
#
# The baseline `autoencoder` is this network, trained longer on more subjects. (TEND's own stage 1 has no narrow bottleneck [C]: it hands
# its whole feature maps to stage 2, the next notebook.) From here on we use the stored one, and test on subjects that it has never seen.
#
# ## 2. What the error sees
#
# **Predict:** a glioma on FLAIR is a bright blob. Where will the residual $|x - \hat x|$ be large: in the blob, along the skull, or in
# the folds?

# %%
detector = ready_detector("autoencoder", progress=False)
shown = [np.flatnonzero(fresh.labels == name)[row] for name, row in (("healthy", 4), ("glioma", 0), ("infarct", 8), ("ventricles", 12))]
drawn = detector.reconstruct(fresh.images[shown])
reconstructions(fresh.images[shown], drawn, list(fresh.labels[shown]), title="What the autoencoder makes of fresh subjects (synthetic)")

# %% [markdown]
# In all three. So let us count: how large is the squared error of a pixel inside a lesion, elsewhere in the brain, and outside of it?

# %%
error_map = detector.novelty_map(fresh.images)  # (x − x̂)² of every pixel
error = detector.novelty_score(fresh.images)  # its mean: the novelty score
lesion, brain = np.asarray(fresh.masks), np.asarray(fresh.body)
regions = {"lesion": lesion & brain, "rest of the brain": brain & ~lesion, "skull, scalp, air": ~brain}
of_pixel, share = {}, {}
for name in ("healthy", *CONDITIONS):
    errors = error_map[fresh.labels == name]
    inside = {region: where[fresh.labels == name] for region, where in regions.items() if where[fresh.labels == name].any()}
    of_pixel[name] = {region: float(errors[where].mean()) for region, where in inside.items()}
    share[name] = {region: float(errors[where].sum() / errors.sum()) for region, where in inside.items()}
pd.DataFrame(of_pixel).T.round(4)

# %%
shares(
    share,
    title="Where the error of an image comes from (synthetic)",
    x_title="share of the squared error, all images of the class together",
)

# %%
# NBVAL_CHECK_OUTPUT
worse = of_pixel["glioma"]["lesion"] > 2 * of_pixel["glioma"]["rest of the brain"]
print("a pixel of a glioma is drawn at least twice as badly as the brain around it:", worse)
print("yet most of its slice's error lies elsewhere:", share["glioma"]["lesion"] < 0.5)

# %%
print("AUROC of the mean error:", {name: round(auroc_of(error, name), 2) for name in CONDITIONS})

# %% [markdown]
# The *map* finds the lesion; the *mean* drowns it in everything else that is hard to draw. What is that everything else? Take healthy
# slices only, where there is nothing to find.
#
# **Predict:** for healthy slices, how does the score depend on how much contrast the picture has?

# %%
contrast = to_tensor(fresh.images).flatten(1).std(dim=1).numpy()
rank_correlation = spearmanr(contrast[healthy], error[healthy]).statistic
two = healthy | (fresh.labels == "glioma")
cloud(
    contrast[two], error[two], fresh.labels[two],
    title="The error mostly says how much there is to draw (synthetic)",
    x_title="standard deviation of the slice's grey levels (0–1)", y_title="novelty score: mean squared error",
)  # fmt: skip

# %%
# NBVAL_CHECK_OUTPUT
print("rank correlation of score and contrast among healthy slices is above 0.6:", rank_correlation > 0.6)

# %% [markdown]
# A subject scanned with more gain has larger grey levels, hence larger squared errors, ill or not. The score asks *how hard is this image
# to draw?*, and only then *is it normal?* (Exercise 1 mends a part of this.)
#
# ## 3. A blind spot
#
# Real lesions change brightness and shape together. Let us change one at a time, in a soft disc somewhere in a healthy brain:
# **brighter** adds light and moves nothing; **pinched** pushes the tissue away from the centre and adds no light. A grown ventricle is
# the second kind.

# %%
x = to_tensor(fresh.images[healthy])
n, size = len(x), x.shape[-1]
draws = torch_generator(7, "edits")
place = (0.6 * torch.rand(n, 1, 1, generator=draws) - 0.3, 0.6 * torch.rand(n, 1, 1, generator=draws) - 0.3)
radius = 0.2 + 0.12 * torch.rand(n, 1, 1, generator=draws)
level = x.flatten(1).quantile(0.75, dim=1).view(-1, 1, 1, 1)


def pinched(amount):
    """Tissue pushed outwards by up to about `amount` radii; all passes through one resampling, as the unedited slices do."""
    points = near_identity_points(n, size, size, torch_generator(7, "warp"), "cpu")
    return resample(x, to_pixels(*pinch_map(*to_centred(points), place, torch.tensor(-amount), radius)))


plain = pinched(0.0)


def brighter(amount):
    """Up to `amount` × the slice's own brightness added; no pixel moves."""
    return (plain + amount * level * soft_disc(*to_centred(pixel_centres(size, size)), place, radius)).clamp(0, 1)


AMOUNTS = (0.15, 0.3, 0.6, 0.9)
slice_number = int(torch.hypot(*place).argmin())  # the one whose disc is nearest to the middle
examples = [(name, edit, amount) for name, edit in (("brighter", brighter), ("pinched", pinched)) for amount in (0.0, 0.3, 0.6, 0.9)]
gallery(
    torch.stack([edit(amount)[slice_number] for _, edit, amount in examples]).numpy(),
    [f"{name} {amount:g}" for name, _, amount in examples],
    title="One healthy slice, edited in brightness or in shape (synthetic)",
    columns=4,
)

# %% [markdown]
# **Predict:** sketch two curves: AUROC of edited against unedited slices, as each edit grows from 0 to 0.9. And a harder one: compare
# each slice *with itself*: what share of slices is drawn worse after the edit than before?

# %%
before = detector.novelty_score(plain.numpy())
seen = {}
for name, edit in (("brighter", brighter), ("pinched", pinched)):
    after = [detector.novelty_score(edit(amount).numpy()) for amount in AMOUNTS]
    between = [auroc(np.repeat([0, 1], n), np.concatenate([before, scores])) for scores in after]
    itself = [(scores > before).mean() for scores in after]
    seen[name] = {"against other subjects (AUROC)": (AMOUNTS, between), "against itself (share drawn worse)": (AMOUNTS, itself)}
curves(
    seen,
    title="What the autoencoder's error sees of an edit (synthetic)",
    x_title="amount of the edit",
    y_title="AUROC, or share (0.5 is chance)",
    reference=0.5,
    y_range=(0.0, 1.03),
)

# %%
# NBVAL_CHECK_OUTPUT
brightness, shape = (np.array(seen[name]["against other subjects (AUROC)"][1]) for name in ("brighter", "pinched"))
print("AUROC of every pinch lies within 0.05 of chance:", bool(np.abs(shape - 0.5).max() < 0.05))
print("the strongest brightening is seen better than the strongest pinch:", bool(brightness[-1] > shape[-1] + 0.05))

# %% [markdown]
# Two lessons. The score is **blind to shape**: a decoder that can draw brains of all sizes can draw this one too. And for brightness, the
# paired curve shows that almost every slice *is* drawn worse, but less than subjects differ anyway: the signal is there, the nuisance is
# larger.
#
# ## 4. Does a better drawing detect better?
#
# The wider the code, the better the drawing. To look at every width at once, take the best *linear* autoencoder, which needs no training
# loop: PCA. With $k$ components, $\hat x$ is the projection on the $k$ directions in which normal slices vary most.
#
# **Predict:** as $k$ grows from 1 to 512, the error of healthy slices falls about eightfold. What does the AUROC do? Rise, fall, or rise
# and then fall?

# %%
X, Z = (to_tensor(images).flatten(1).numpy() for images in (normal.images, fresh.images))
pca = PCA().fit(X)
explained = np.cumsum(pca.transform(Z) ** 2, axis=1)  # by the first 1, 2, 3, … components
left_over = ((Z - pca.mean_) ** 2).sum(axis=1, keepdims=True) - explained  # ‖x − x̂‖² for every k
WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
error_of_width = np.array([np.median(left_over[healthy, k - 1]) for k in WIDTHS])
auroc_of_width = {name: np.array([auroc_of(left_over[:, k - 1], name) for k in WIDTHS]) for name in CONDITIONS}
curves(
    {"": {"error of healthy slices (1 at k = 1)": (WIDTHS, error_of_width / error_of_width[0]),
          **{f"AUROC, {name}": (WIDTHS, values) for name, values in auroc_of_width.items()}}},
    title="The drawing improves, the detection does not (synthetic)", x_title="width of the code: k principal components",
    y_title="AUROC, or relative error", log_x=True, reference=0.5, y_range=(0, 1.03),
)  # fmt: skip

# %%
# NBVAL_CHECK_OUTPUT
print("the error of healthy slices falls to less than a quarter:", bool(error_of_width[-1] < 0.25 * error_of_width[0]))
print("no condition's AUROC moves by more than 0.12:", all(np.ptp(values) < 0.12 for values in auroc_of_width.values()))

# %% [markdown]
# Hardly anything. Whatever helps to draw healthy brains helps to draw ill ones. The width of the bottleneck is no cure.
#
# ## 5. The other half: is the *code* unusual?
#
# The error is what the code leaves out. But the code itself may be odd: a head drawn perfectly from numbers no healthy head has. That
# second question goes to a **one-class SVM** (Schölkopf et al. 2001; a method that the Patch-GAN paper compares itself with [P]). It puts
# a kernel on every training code $f_i$ and keeps weights $\alpha_i$ for the few that bound the crowd, the support vectors:
#
# $$s(x) = -\log \sum_i \alpha_i \, e^{-\gamma \lVert f(x) - f_i \rVert^2}$$
#
# $\nu$ bounds the share of *training* codes that may lie outside. To see all of it, let the code be just two numbers, the first two
# principal components.
#
# **Predict:** with $\nu = 0.5$, how much of the cloud lies outside the line?

# %%
NUS = (0.02, 0.1, 0.3, 0.5)
svms = {nu: Ocsvm(OcsvmSettings(latent=2, nu=nu), progress=False).fit(normal.images) for nu in NUS}
codes, glioma_codes = svms[0.1].features(normal.images), svms[0.1].features(fresh.images[fresh.labels == "glioma"])
axis = np.linspace(-4, 4, 33)
grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
figure = go.Figure()
for nu, svm in svms.items():
    to_support = ((grid[:, None] - svm.support_vectors_) ** 2).sum(axis=2)
    score = -logsumexp(-svm.gamma_ * to_support, b=svm.dual_coef_, axis=1).reshape(33, 33)  # the equation above
    line_at = -np.log(svm.offset_)  # the SVM's own boundary
    common = {"x": axis, "y": axis, "z": score, "visible": nu == 0.1, "hoverinfo": "skip"}
    fill = {"coloring": "fill", "showlines": False}
    figure.add_contour(
        **common, contours=fill, colorscale="Greys", opacity=0.55, ncontours=12, colorbar={"title": "score", "thickness": 10}
    )
    figure.add_contour(
        **common,
        contours={"type": "constraint", "operation": "=", "value": line_at},
        line={"color": NOVEL_COLOURS[3], "width": 3},
        name="boundary",
        showlegend=True,
    )
for name, points, colour, symbol in (
    ("healthy, trained on", codes, NORMAL_COLOUR, "circle"),
    ("glioma", glioma_codes, NOVEL_COLOURS[0], "x"),
):
    marker = {"color": colour, "symbol": symbol, "size": 5, "opacity": 0.7}
    figure.add_scatter(x=points[:, 0], y=points[:, 1], mode="markers", name=name, marker=marker)
steps = [{"label": str(nu), "method": "update", "args": [{"visible": [v == nu for v in NUS for _ in "ab"] + [True, True]}]} for nu in NUS]
slider = {"active": 1, "steps": steps, "currentvalue": {"prefix": "ν = "}, "pad": {"t": 45}}
figure.update_layout(sliders=[slider], legend={"x": 1.14, "y": 1}, width=760)
figure.update_xaxes(title="first principal component, standardised", range=[-4, 4])
figure.update_yaxes(title="second principal component", range=[-4, 4])
alt = (
    "Plane of two principal components: the cloud of healthy training slices, glioma slices in the middle of it, and a closed line "
    "that leaves about a share ν of the training slices outside. A slider changes ν; here it is 0.1."
)
finish(figure, title="A one-class SVM on two numbers (synthetic brains)", alt=alt, height=560)

# %%
# NBVAL_CHECK_OUTPUT
for nu, svm in svms.items():
    # `fit` holds out every fifth slice; these are the ones that the SVM was trained on
    trained = svm.components(normal.images[np.arange(800) % 5 != 4])["decision"]
    print(f"ν = {nu}: share of training slices outside is at most ν + 0.02:", bool((trained > 0).mean() <= nu + 0.02))

# %% [markdown]
# ν is a promise about *training* data, and it is kept. But the gliomas sit in the middle of the crowd: two numbers cannot tell them. Now
# all 64 numbers of the autoencoder's code:


# %%
@torch.inference_mode()
def embed(images):
    """The autoencoder's code, (n, 64)."""
    network = detector.autoencoder_.cpu().eval()
    return network.encode(to_tensor(images)).numpy()


svm = make_pipeline(StandardScaler(), OneClassSVM(nu=0.1)).fit(embed(normal.images))
oddness = -svm.decision_function(embed(fresh.images))  # higher = more novel
pd.DataFrame(
    {"error": {c: auroc_of(error, c) for c in CONDITIONS}, "SVM on the code": {c: auroc_of(oddness, c) for c in CONDITIONS}}
).round(2)

# %% [markdown]
# **Predict:** two scores from one network. Do they agree about *which healthy* slices are odd?

# %%
agreement = spearmanr(error[healthy], oddness[healthy]).statistic
cloud(
    error[two], oddness[two], fresh.labels[two], title="Two questions to one autoencoder (synthetic)",
    x_title="mean squared error: what the code left out", y_title="one-class SVM: how unusual the code is",
)  # fmt: skip

# %%
# NBVAL_CHECK_OUTPUT
print("rank correlation of the two scores among healthy slices is below 0.3 in size:", abs(agreement) < 0.3)

# %% [markdown]
# They hardly agree, and need not. PCA shows why. Its code is the coordinates $c_1, \dots, c_k$ of the image along the first $k$ components,
# and with the average image $\mu$, Pythagoras cuts the image's distance from it into two legs at right angles:
#
# $$\lVert x - \mu \rVert^2 = \underbrace{c_1^2 + \dots + c_k^2}_{\text{within the code}} + \underbrace{\lVert x - \hat x \rVert^2}_{Q}$$
#
# - $Q$, the error, asks: *how much of this image can the code not draw?*
# - The SVM asks about the other leg: *is what the code does draw something usual?* The plainest such score is Hotelling's $T^2$, where each
#   coordinate counts in units of its own variance $\lambda_j$ over the normal images:
#
# $$T^2 = \sum_{j=1}^{k} \frac{c_j^2}{\lambda_j}$$
#
# Knowing one leg of a right angle tells nothing about the other. A head of an odd shape, perfectly drawn, has a small $Q$ and a large
# $T^2$; an ordinary head with a scratch across it, the other way round. Engineers who watch over factories have long charted both.
#
# Neither finds these lesions well. What both lack is any idea of **what could be wrong**. Stage 2 gives the network one: invented
# wrongness.
#
# ## Exercises
#
# **Exercise 1: a fairer error.** Divide each slice's error by its own variance of grey levels, and average over the brain only. Given are
# `error_map` (n, 64, 64), `brain` (n, 64, 64) and `Z` (n, 4096). How much does the AUROC of gliomas gain?
#
# <details><summary>Hint</summary>
#
# `(error_map * brain).sum(axis=(1, 2))` sums over the brain; `Z.var(axis=1)` is each slice's variance.
# </details>

# %%
relative_error = ...  # (n,) one number a slice

# %%
exercise_check("1", lambda: all(auroc_of(relative_error, name) > auroc_of(error, name) + 0.03 for name in ("glioma", "ventricles")))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# in_brain = (error_map * brain).sum(axis=(1, 2)) / brain.sum(axis=(1, 2))
# relative_error = in_brain / Z.var(axis=1)
# print({name: round(auroc_of(relative_error, name), 2) for name in CONDITIONS})
# ```
#
# A free gain: no training at all, only a better question. But mind that the brain's outline was *given* here; on real images you would
# have to find it first. And the choice was made while looking at test labels: to report the number, you would need other subjects.
# </details>

# %% [markdown]
# **Exercise 2: only the worst pixels.** The lesion is small, so why not average the $k$ largest errors of each slice? Predict first:
# better or worse than the mean over all pixels? Then write `worst(k)`.
#
# <details><summary>Hint</summary>
#
# `np.sort(error_map.reshape(len(error_map), -1), axis=1)` sorts each slice's errors, the largest last.
# </details>


# %%
def worst(k):
    """(n,) mean of the k largest pixel errors of each slice."""
    return ...


# %%
flat = error_map.reshape(len(error_map), -1)
exercise_check("2", lambda: worst(100), -np.partition(-flat, 99, axis=1)[:, :100].mean(axis=1), tolerance=1e-5)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def worst(k):
#     return np.sort(error_map.reshape(len(error_map), -1), axis=1)[:, -k:].mean(axis=1)
#
# for k in (10, 100, 1000, 4096):
#     print(k, {name: round(auroc_of(worst(k), name), 2) for name in CONDITIONS})
# ```
#
# Worse! The largest errors are edges of the skull, in every slice. Picking the worst places pays only once "bad" means *bad for this
# place*: notebook 07 shows how Patch-GAN does that.
# </details>

# %% [markdown]
# **Exercise 3: T² by hand.** With the first 64 components of `pca`, compute $T^2 = \sum_j c_j^2 / \lambda_j$ of every fresh slice: $c_j$
# its coordinates, $\lambda_j$ their variances (`pca.explained_variance_`). Does it agree with $Q$, `left_over[:, 63]`?
#
# <details><summary>Hint</summary>
#
# `pca.transform(Z)[:, :64]` are the coordinates.
# </details>

# %%
t_squared = ...  # (n,)

# %%
exercise_check("3", t_squared, (PCA(64, whiten=True, svd_solver="full").fit(X).transform(Z) ** 2).sum(axis=1), tolerance=1e-2)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# t_squared = (pca.transform(Z)[:, :64] ** 2 / pca.explained_variance_[:64]).sum(axis=1)
# print(round(spearmanr(t_squared[healthy], left_over[healthy, 63]).statistic, 2))
# ```
# </details>

# %% [markdown]
# **To think about.** A friend adds skip connections, "because the drawings get so much sharper". What happens to the score?
#
# ## Sources
#
# - TEND: Guo, Gichoya, Purkayastha, Banerjee, *Margin-aware intraclass novelty identification for medical images*, J. Med. Imaging 9(1)
#   014004, 2022.
# - One-class SVM: Schölkopf et al., *Estimating the support of a high-dimensional distribution*, Neural Comput. 13, 2001.
# - Q and T²: Jackson, Mudholkar, *Control procedures for residuals associated with principal component analysis*, Technometrics 21, 1979.
# - Residuals against plain intensity: Meissen, Kaissis, Rueckert, *Challenging current semi-supervised anomaly segmentation methods for
#   brain MRI*, BrainLes 2021.
#
# **Read next:** [03](03_tend_stage_2.ipynb), where fake novelty teaches the network what to look for. In the library:
# `novkit/baselines/autoencoder.py`, `novkit/baselines/ocsvm.py`.
