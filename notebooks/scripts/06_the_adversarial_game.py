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
# # Patch-GAN II: ALOCC, discriminators, and the adversarial game
#
# **What you will learn**
# - why a network that minimises an error restores blur, and what a judge adds;
# - ALOCC, the first of these games for novelty detection, and which of its three numbers to believe;
# - how one discriminator judges 256 patches and the whole image at once;
# - why two networks that learn against each other may never settle;
# - what a trained discriminator knows (forgeries) and what it does not (illness), and what that is worth in the score.
#
# About a minute and 1.3 GB on two cores; three tiny trainings; no network. The brain slices are *synthetic*: real, averaged anatomy
# with drawn contrast, noise and lesions. Marks: **[P]** the paper, **[S]** a summary by others, **[O]** our own choice, because the
# formulas of Patch-GAN's paper are not published.

# %%
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from plotly.subplots import make_subplots
from scipy import ndimage
from scipy.stats import norm

from novkit.baselines.alocc import AdversarialReconstruction
from novkit.data import load
from novkit.evaluation import Scores, auroc, image_metrics, paired_difference
from novkit.figures import gallery, reconstructions, training_curves
from novkit.figures.charts import curves, pairs
from novkit.figures.style import NORMAL_COLOUR, NOVEL_COLOURS, finish
from novkit.images import to_tensor
from novkit.notebooks import exercise_check, show_source
from novkit.patchgan import PatchGan, PatchGanSettings
from novkit.patchgan.detector import brightness, slope
from novkit.patchgan.losses import composite, patch_hinge
from novkit.patchgan.masking import PatchGrid
from novkit.patchgan.networks import Discriminator
from novkit.patchgan.ranking import image_score
from novkit.ready import ready_detector
from novkit.seeding import torch_generator

normal = load("brain", seed=0, n_healthy=400, conditions=("healthy",), progress=False)  # to learn from
fresh = load("brain", seed=7, n_healthy=200, n_novel=100, conditions=("healthy", "glioma"), progress=False)  # other subjects, to test on
novel = (fresh.labels == "glioma").astype(int)
healthy, glioma = np.flatnonzero(novel == 0), np.flatnonzero(novel == 1)
grid = PatchGrid.of(fresh.image_shape)
print(len(normal), "slices to learn from;", len(healthy), "healthy ones and", len(glioma), "gliomas to test on")

# %% [markdown]
# ## 1. The mean of two good answers
#
# A pixel is hidden. From its surroundings it might be a dark fold or a bright ridge, at equal odds: its value is about −1 or about +1,
# never 0. The network must say *one* number $v$.
#
# **Predict:** which $v$ has the smallest expected squared error? The smallest expected absolute error? Which $v$ would an expert call
# authentic?

# %%
v = np.linspace(-1.8, 1.8, 73)
truth = np.concatenate([side + 0.15 * norm.ppf((np.arange(200) + 0.5) / 200) for side in (-1, 1)])  # the possible values
density = (norm.pdf(v, -1, 0.15) + norm.pdf(v, 1, 0.15)) / 2
costs = {
    "expected squared error": ((v[:, None] - truth) ** 2).mean(axis=1),
    "expected absolute error": np.abs(v[:, None] - truth).mean(axis=1),
    "an expert's disbelief, 1 − p(v)/max p": 1 - density / density.max(),
}
curves(
    {"": {name: (v, cost / cost.max()) for name, cost in costs.items()}},
    title="What to say when −1 and +1 are equally likely", x_title="v, what the network says", y_title="cost (1 = its largest)",
)  # fmt: skip

# %%
# NBVAL_CHECK_OUTPUT
best = {name: abs(v[cost.argmin()]) for name, cost in costs.items()}
print("least squared error at 0:", bool(best["expected squared error"] < 0.05))
flat = np.ptp(costs["expected absolute error"][np.abs(v) < 0.5]) / costs["expected absolute error"].max()
print("the absolute error does not care between the two answers:", bool(flat < 0.01))
print("the expert wants one of the two:", bool(abs(best["an expert's disbelief, 1 − p(v)/max p"] - 1) < 0.05))

# %% [markdown]
# Squared error asks for the mean, an answer that never occurs; absolute error is content with anything in between. In an image that is
# *blur*. The expert does not compare with the one truth; she asks whether it *could* be true. A **discriminator** is such an expert, and
# learns its trade on the spot: from true images, and from the forgeries of the network it judges.
#
# ## 2. ALOCC: the game comes to novelty detection
#
# ALOCC (Sabokrou et al. 2018), one of the methods that Patch-GAN's paper compares with [P], is that game without masks. $R$ restores a
# noisy image, $D$ gives it one number:
#
# $$\min_R \max_D\; \mathbb E \log D(x) + \mathbb E \log\bigl(1 - D(R(x+\eta))\bigr) + \lambda\, \mathbb E \lVert x - R(x+\eta) \rVert^2$$

# %%
show_source(AdversarialReconstruction.loss)

# %% [markdown]
# Once both are trained, three numbers offer themselves as a novelty score:
#
# 1. $1 - D(x)$: the expert looks at the image;
# 2. $1 - D(R(x))$: she looks at what $R$ made of it. The paper's proposal: $R$ mends what it knows and *spoils* what it does not;
# 3. $\lVert x - R(x) \rVert^2$: nobody asks the expert.
#
# **Predict:** order the three by how well they find gliomas.

# %%
alocc = ready_detector("alocc", progress=False)
three = np.r_[healthy[[40, 120]], glioma[[10, 30, 70]]]
reconstructions(
    fresh.images[three], alocc.reconstruct(fresh.images[three]), list(fresh.labels[three]), title="What ALOCC's R restores (synthetic)"
)

# %%
said = alocc.components(fresh.images)
offered = {"1 − D(x)": said["unrestored"], "1 − D(R(x)), the score": said["score"], "‖x − R(x)‖²": said["error"]}
found = {name: image_metrics(novel, score, fresh.groups) for name, score in offered.items()}
rows = {name: {"AUROC": round(m.auroc, 2), "95 % interval": f"{m.auroc_low:.2f} to {m.auroc_high:.2f}"} for name, m in found.items()}
pd.DataFrame(rows).transpose()

# %% [markdown]
# With 25 ill subjects the intervals are wide, so look at the large differences only. What the expert thinks of the image itself says
# nothing: half is within the interval. Her opinion of what $R$ made of it may say a little. That $R$ spoils what it does not know is a
# hope: nothing in the loss asks for it. And the plain error, which nobody was asked about, is at least as good.
#
# The scores above are logits, $-\log\frac{D}{1-D}$, not $1 - D$ itself: the same order, but a sigmoid in 32 bits rounds a confident
# judge's opinions to 1.0. Make D twenty times as sure, and see how many different scores are left of 300:

# %%
# NBVAL_CHECK_OUTPUT
sure = torch.from_numpy(20 * (said["score"] - said["score"].mean()))
print("different logits:", len(sure.unique()))
print("fewer different values of the 32-bit sigmoid:", len(sure.float().sigmoid().unique()) < len(sure.unique()))
print("1 − D(x): chance lies within its interval:", found["1 − D(x)"].auroc_low < 0.5 < found["1 − D(x)"].auroc_high)

# %% [markdown]
# ## 3. One judge, 256 verdicts
#
# A single number for a whole image is little to learn from, and nothing to localise with. Patch-GAN judges the authenticity of **patches**
# [P]; that discriminators of the PatchGAN kind (Isola et al. 2017) do so is [S]. Ours [O] is fully convolutional: logits $D(x)_p$ for
# each of the 16 × 16 patches, at two scales, and one more, $D_g(x)$, for the whole.

# %%
show_source(Discriminator.forward)

# %% [markdown]
# **Predict:** a 4 × 4 patch is judged by two 4 × 4 convolutions of stride 2 and one 3 × 3 convolution. How many pixels does one verdict
# rest on, at full scale? With the half-size scale in addition?

# %%
patchgan = ready_detector("patchgan", progress=False)
R, D = patchgan.reconstructor_.cpu().eval(), patchgan.discriminator_.cpu().eval()
MIDDLE = 7 * grid.columns + 6


def rests_on(logit_of):
    """(height, width): size of the gradient of one logit with respect to the pixels, mean over some slices."""
    x = to_tensor(fresh.images[healthy[:20]]).requires_grad_()
    logit_of(x).sum().backward()
    return x.grad.abs().mean(dim=(0, 1)).numpy()


one_scale = Discriminator(fresh.image_shape, grid, width=8, scales=1, global_logit=True).eval()
verdicts = {
    "D(x)<sub>p</sub>, one scale": rests_on(lambda x: one_scale(x)[0][:, MIDDLE]),
    "D(x)<sub>p</sub>, two scales": rests_on(lambda x: D(x)[0][:, MIDDLE]),
    "D<sub>g</sub>(x), the whole image": rests_on(lambda x: D(x)[1]),
}
figure = make_subplots(1, 3, subplot_titles=list(verdicts), horizontal_spacing=0.03)
for number, seen in enumerate(verdicts.values(), start=1):
    strength = np.log10(np.maximum(seen / seen.max(), 1e-3)).astype(np.float32)
    figure.add_heatmap(z=strength, coloraxis="coloraxis", hoverinfo="skip", row=1, col=number)
top, left = np.array(divmod(MIDDLE, grid.columns)) * grid.patch - 0.5
for number in (1, 2):
    figure.add_shape(type="rect", x0=left, y0=top, x1=left + 4, y1=top + 4, line={"color": "#56B4E9", "width": 2}, row=1, col=number)
bar = {"title": "influence<br>(1 = strongest)", "tickvals": [-3, -2, -1, 0], "ticktext": ["≤ 0.001", "0.01", "0.1", "1"]}
figure.update_layout(coloraxis={"colorscale": "Inferno", "cmin": -3, "cmax": 0, "colorbar": bar})
figure.update_xaxes(visible=False, constrain="domain")
figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x", constrain="domain")
alt = "Influence of pixels on three verdicts: a small square around the patch, a larger square at two scales, and the whole image."
finish(figure, title="What a verdict rests on (the patch is outlined; synthetic slices)", alt=alt, height=340)

# %%
# NBVAL_CHECK_OUTPUT
for name, seen in zip(("one scale", "two scales", "the whole"), verdicts.values(), strict=True):
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    print(f"{name}: {np.ptp(rows) + 1} × {np.ptp(columns) + 1} pixels")

# %% [markdown]
# ## 4. The game
#
# $D$ learns to say at least +1 of true patches and at most −1 of restored ones, on hidden patches $H$ only [O]: what was visible is a
# copy, and judging it would teach $D$ to find the mask.
#
# $$L_D = \operatorname*{mean}_{p\in H}\ \bigl[\max(0,\, 1 - D(x)_p) + \max(0,\, 1 + D(\tilde x)_p)\bigr] + \text{the same for } D_g$$
#
# $$L_R = \frac1{|H|}\sum_{p\in H} w_p\,\bigl(e_p - \beta\, D(\tilde x)_p\bigr) - \beta_g D_g(\tilde x) + \text{error on what was visible}$$

# %%
show_source(patch_hinge)

# %% [markdown]
# Each lowers a loss that the other raises. Nothing of the kind happens in ordinary training, where one loss goes downhill. The smallest
# game there is: $R$ chooses a number $r$, $D$ a number $d$; $R$ lowers $r\,d$, $D$ raises it. The rest point is (0, 0).
#
# **Predict:** both take gradient steps of length η = 0.2. Where do they end, if they move at the same time? If they take turns?


# %%
def move(together, steps=60, rate=0.2):
    """The path of (r, d) from (1, 0)."""
    path = [(1.0, 0.0)]
    for _ in range(steps):
        r, d = path[-1]
        d_new = d + rate * r
        path.append((r - rate * (d if together else d_new), d_new))
    return np.array(path)


figure = go.Figure()
for name, together, colour, dash in (("at the same time", True, NOVEL_COLOURS[0], "dash"), ("in turns", False, NORMAL_COLOUR, "solid")):
    r, d = move(together).T
    figure.add_scatter(x=r, y=d, mode="lines+markers", name=name, line={"color": colour, "dash": dash}, marker={"size": 4})
figure.add_scatter(x=[0], y=[0], mode="markers", name="rest", marker={"symbol": "star", "size": 13, "color": NOVEL_COLOURS[3]})
figure.update_xaxes(title="r: lowers r·d", constrain="domain")
figure.update_yaxes(title="d: raises r·d", scaleanchor="x", constrain="domain")
alt = (
    "Paths of two players of the game r times d from (1, 0): moving at the same time they spiral outwards, in turns they circle the origin."
)
finish(figure, title="The smallest game: nobody arrives", alt=alt, height=440, width=600)

# %%
# NBVAL_CHECK_OUTPUT
radius = {name: np.linalg.norm(move(together), axis=1) for name, together in (("together", True), ("in turns", False))}
print("together, they drift away:", bool(radius["together"][-1] > 2))
print("in turns, they circle, neither away nor home:", bool(np.abs(radius["in turns"] - 1).max() < 0.25))

# %% [markdown]
# So a falling loss proves nothing in such a game, and a steady one need not mean rest. Real ones are tamed: we take turns, keep $D$'s
# features from becoming steep (spectral norm), make β small beside the error, and choose the epoch by the *error* on held-out slices [O].
#
# Now the real game, three times, on 300 slices: without a judge; with ours (β = 0.01); and with β = 1, where the judge's word counts
# most. **Predict:** where does $L_D$ of the patches start, when $D$ knows nothing and says 0 of everything? And who restores most
# sharply, who most correctly?

# %%
zero, hidden_all = torch.zeros(1, grid.count), torch.ones(1, grid.count)
print("patch_hinge of a judge who says 0:", float(patch_hinge(zero, zero, hidden_all)))


def play(**changes):
    """A small Patch-GAN after six short epochs."""
    settings = PatchGanSettings.quick(**{"width": 8, "epochs": 6, "partitions": 1, **changes})
    return PatchGan(settings, seed=0, progress=False).fit(normal.images[:300], normal.images[300::2], X_threshold=normal.images[301::2])


runs = {"no judge": play(discriminator=False), "β = 0.01": play(), "β = 1": play(adversarial_weight=1.0, global_weight=0.2)}
game = runs["β = 1"].history_["patchgan"].epochs
shown = ("epoch", "best", "discriminator_patches", "discriminator_image", "reconstructor_error", "val_discriminator_patches")
training_curves([{key: epoch[key] for key in shown if key in epoch} for epoch in game], title="The game with β = 1 (synthetic)")


# %%
def box_around(row, column, side=4):
    """(P,) float: 1 in a box of patches around (row, column)."""
    box = torch.zeros(grid.rows, grid.columns)
    top, left = max(0, row - (side - 1) // 2), max(0, column - (side - 1) // 2)
    box[top : top + side, left : left + side] = 1
    return box.flatten()


hidden = box_around(6, 5) + box_around(9, 10)
mask = grid.spread(hidden[None])
x = to_tensor(fresh.images[healthy[::2]])
filled = {name: composite(x, torch.from_numpy(run.reconstruct_masked(x.numpy(), hidden.numpy())), mask) for name, run in runs.items()}
two = [11, 60]
sheet = [picture for row in two for picture in (x[row], x[row] * (1 - mask[0]), *(filled[name][row] for name in runs))]
gallery(torch.stack(sheet).numpy(), ["image", "with boxes", *runs] * 2, title="Three ways of filling (synthetic)", columns=5)

# %%
inner = F.max_pool2d(1 - mask, 3, stride=1, padding=1) == 0  # hidden pixels, without the boxes' rims
measured = {
    name: {
        "error: mean |x − x̂|": float((x - y).abs()[inner.expand_as(x)].mean()),
        "sharpness: slope of x̂ / slope of x": float(slope(y)[inner.expand_as(x)].mean() / slope(x)[inner.expand_as(x)].mean()),
    }
    for name, y in filled.items()
}
pd.DataFrame(measured).transpose().round(3)

# %%
# NBVAL_CHECK_OUTPUT
print("patch_hinge of a judge who says 0 is 2:", float(patch_hinge(zero, zero, hidden_all)))
error, sharpness = ({name: list(row.values())[i] for name, row in measured.items()} for i in (0, 1))
print("the loud judge gets sharper restorations than no judge:", sharpness["β = 1"] > 1.2 * sharpness["no judge"])
print("and less correct ones:", error["β = 1"] > 1.03 * error["no judge"])

# %% [markdown]
# The loud judge gets what it asks for: texture. But it is *invented*, so early in training a weave rather than folds, and the error rises.
# That one cannot have both, the most correct and the most plausible answer, is a theorem (Blau and Michaeli 2018). For a detector that
# measures errors, invented folds are noise; hence our small β [O]. (Six epochs on 300 slices are few; the judge never got far from 2, the
# loss of someone who guesses. The epoch kept, the star, is the one of the smallest error, not one in which some player was ahead.)
#
# ## 5. What does the judge know?
#
# Now the trained discriminator of the stored detector. We forge healthy slices, in a box of 4 × 4 patches, in five ways, and ask for the
# mean of $-D(x)_p$ in the box. Beside it the restoration's question (notebook 05): hide the box, restore it, how far off is it?
#
# - **restored**: the box as the detector's own $R$ fills it;
# - **blurred**, **noisier**, **brighter**: in a soft spot;
# - **foreign**: the same place of another subject;
# - and no forgery: **gliomas**, the box in the middle of the lesion, against the same places in healthy brains.
#
# **Predict:** for each, who notices: the judge, the restoration, both, nobody?


# %%
@torch.inference_mode()
def opinions(x, boxes):
    """Mean over each image's own box of −D(x)ₚ, and of the size of the restoration's (smoothed, relative) error: two of (n,)."""
    x_hat = R(x, grid.spread(boxes))
    off = F.avg_pool2d((x - x_hat) / brightness(x), 5, stride=1, padding=2, count_include_pad=False).abs()
    return [((values * boxes).sum(dim=1) / boxes.sum(dim=1)).numpy() for values in (-D(x)[0], grid.mean(off))]


x = to_tensor(fresh.images[healthy])
box = box_around(8, 5)[None]
spot = F.avg_pool2d(grid.spread(box), 5, stride=1, padding=2)  # the box with soft edges
with torch.inference_mode():
    restored = composite(x, R(x, grid.spread(box)), grid.spread(box))
noise = torch.randn(x.shape, generator=torch_generator(7, "noise"))
forged = {
    "restored": restored,
    "blurred": x + spot * (F.avg_pool2d(x, 5, stride=1, padding=2) - x),
    "noisier": x + spot * 0.15 * brightness(x) * noise,
    "brighter": x + spot * 0.4 * brightness(x),
    "foreign": x + spot * (x.roll(4, dims=0) - x),  # four slices a subject
}
depth = np.stack([ndimage.distance_transform_edt(lesion) for lesion in fresh.masks[glioma]])
middle = np.stack(np.unravel_index(depth.reshape(len(depth), -1).argmax(axis=1), depth.shape[1:]), axis=1) // grid.patch
own = torch.stack([box_around(row, column) for row, column in middle.tolist()])
cases = {name: (opinions(x, box.expand(len(x), -1)), opinions(y.clamp(0, 1), box.expand(len(x), -1))) for name, y in forged.items()}
cases["<b>glioma</b>"] = (opinions(x, own.repeat(2, 1)), opinions(to_tensor(fresh.images[glioma]), own))
notices = {
    name: {
        who: auroc(np.repeat([0, 1], [len(before[i]), len(after[i])]), np.concatenate([before[i], after[i]]))
        for i, who in enumerate(("the judge, −D(x)ₚ", "the restoration's error"))
    }
    for name, (before, after) in cases.items()
}
pairs(notices, title="Who notices what (synthetic)", x_title="AUROC of forged against true (0.5 is chance)", x_range=(-0.04, 1.04))

# %%
# NBVAL_CHECK_OUTPUT
judge, restoration = ({name: list(row.values())[i] for name, row in notices.items()} for i in (0, 1))
print("the judge notices blur:", judge["blurred"] > 0.8)
print("and takes noise for a sign of truth:", judge["noisier"] < 0.4)
print("gliomas: the restoration is ahead of the judge by more than 0.1:", restoration["<b>glioma</b>"] > judge["<b>glioma</b>"] + 0.1)

# %% [markdown]
# The judge knows **its forger's style**. What $R$ paints is smooth, so smooth is suspicious, and noisy tissue passes for *more* authentic
# than the truth: an AUROC far below one half. Gliomas are nobody's forgery; it notices them as far as they happen to look like one. The
# restoration is blind to its own work, of course (what $R$ painted it paints again: AUROC 0), and to blur, but it sees lesions.
#
# ## 6. What is it worth in the score?
#
# $$s_p = (1-\gamma)\,\tilde e_p + \gamma\,\tilde a_p, \qquad a_p = -D(x)_p$$
#
# **Predict:** AUROC on gliomas as γ goes from 0 (restoration alone) to 1 (judge alone).

# %%
some = np.r_[healthy[::3], glioma[::2]]
parts = patchgan.components(fresh.images[some])
GAMMAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
scores = {gamma: image_score((1 - gamma) * parts["patch_error"] + gamma * parts["patch_adversarial"], tau=0.01) for gamma in GAMMAS}
by_gamma = [auroc(novel[some], score) for score in scores.values()]
curves(
    {"": {"Patch-GAN's score": (GAMMAS, by_gamma)}}, title="From the restoration alone to the judge alone (synthetic gliomas)",
    x_title="γ, the judge's share", y_title="AUROC (0.5 is chance)", reference=0.5, y_range=(0.45, 1.02),
)  # fmt: skip


# %%
def run_of(gamma):
    table = fresh.table.iloc[some]
    label = novel[some]
    return Scores(table["id"].to_numpy(), table["group"].to_numpy(), label, table["label"].to_numpy(), scores[gamma])


gain = paired_difference([run_of(0.2)], [run_of(0.0)])
print(f"AUROC with γ = 0.2 minus γ = 0: {gain.value:+.3f}, 95 % interval {gain.low:+.3f} to {gain.high:+.3f}")

# %%
# NBVAL_CHECK_OUTPUT
print("the restoration alone beats the judge alone by more than 0.1:", by_gamma[0] > by_gamma[-1] + 0.1)
print("γ = 0.2 changes the AUROC by less than 0.05:", abs(gain.value) < 0.05)

# %% [markdown]
# Flat for half of the way, then falling: an honest zero. Whatever the judge adds is smaller than these 117 slices can show. Whether
# *training* against a judge gives a better restorer is another question, which needs several trained pairs:
# `novkit ablate patchgan --out my-ablation` trains them, with and without, and [the notes](../results/NOTES.md) say what came out. That
# the paper uses discriminators is [S]; its data, sizes and settings are not ours.
#
# ## Exercises
#
# **Exercise 1: the hinge by hand.** Two hidden patches. $D$ says 2 and 0.5 of the true ones, −3 and 0.2 of the restored ones. $L_D$?
#
# <details><summary>Hint</summary>
#
# A verdict that is right by more than 1 costs nothing. Average over the two patches.
# </details>

# %%
hinge_by_hand = ...

# %%
exercise_check("1", hinge_by_hand, float(patch_hinge(torch.tensor([[2, 0.5]]), torch.tensor([[-3, 0.2]]), torch.ones(1, 2))))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# hinge_by_hand = (0 + 0.5) / 2 + (0 + 1.2) / 2
# ```
# </details>

# %% [markdown]
# **Exercise 2: how fast they drift.** Both players of the smallest game move at the same time, by steps η. By which factor does
# $r^2 + d^2$ grow in one step? And in turns: find the $2\times2$ matrix of one round and its determinant; why do they circle?
#
# <details><summary>Hint</summary>
#
# Insert $r' = r - \eta d$, $d' = d + \eta r$. A linear map with determinant 1 and complex eigenvalues turns along ellipses.
# </details>


# %%
def growth(rate):
    """Factor of r² + d² in one step at the same time."""
    return ...


def one_round(rate):
    """(2, 2): (r, d) -> (r, d) after D's step, then R's."""
    return ...


# %%
exercise_check("2, together", lambda: growth(0.2), float(radius["together"][1] ** 2 / radius["together"][0] ** 2))
matrix = one_round(0.2)
exercise_check("2, in turns", matrix if matrix is ... else lambda: np.asarray(matrix) @ move(False)[10], move(False)[11])

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def growth(rate):
#     return 1 + rate**2
#
# def one_round(rate):
#     return np.array([[1 - rate**2, -rate], [rate, 1]])
#
# print(np.linalg.det(one_round(0.2)), np.linalg.eigvals(one_round(0.2)))
# ```
#
# The determinant is 1 and the trace $2 - \eta^2$ lies between −2 and 2: eigenvalues of size 1, a rotation along an ellipse, for ever.
# </details>

# %% [markdown]
# **Exercise 3: the perfect judge.** True values come from $\mathcal N(0, 1)$, forged ones from $\mathcal N(1, 1)$. Trained by the
# logistic loss (ALOCC's), the best possible logit is $\log p(v) - \log q(v)$. Write it for these two.
#
# <details><summary>Hint</summary>
#
# The squares cancel; a straight line remains.
# </details>


# %%
def perfect_logit(v):
    return ...


# %%
line = np.linspace(-3, 3, 7)
exercise_check("3", lambda: perfect_logit(line), norm.logpdf(line, 0, 1) - norm.logpdf(line, 1, 1))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def perfect_logit(v):
#     return 0.5 - v
# ```
#
# It falls for ever: the further from the truth *on the forger's side*, the less authentic. But a novelty at $v = -10$, on the other
# side, would be called more authentic than any true value! A discriminator knows the difference between truth and *these* forgeries,
# and nothing about the rest of the world.
# </details>

# %% [markdown]
# **To think about.** With the hinge loss the best logit is the *sign* of $p - q$. What does that do to a score made from it? And what
# would you forge, if you could choose, to teach $D$ about lesions? (Notebook 03 has one answer.)
#
# ## Sources
#
# - Patch-GAN: Chen, Yang, Zhang, Peng, Zhang, Zhang, Han, Grau, *Unsupervised Patch-GAN with targeted patch ranking for fine-grained
#   novelty detection in medical imaging*, arXiv 2501.17906, 2025.
# - ALOCC: Sabokrou, Khalooei, Fathy, Adeli, *Adversarially learned one-class classifier for novelty detection*, CVPR 2018.
# - Discriminators of patches: Isola, Zhu, Zhou, Efros, *Image-to-image translation with conditional adversarial networks*, CVPR 2017.
# - Spectral norm: Miyato, Kataoka, Koyama, Yoshida, *Spectral normalization for generative adversarial networks*, ICLR 2018.
# - Games that do not settle: Mescheder, Geiger, Nowozin, *Which training methods for GANs do actually converge?*, ICML 2018.
# - Correct or plausible: Blau, Michaeli, *The perception-distortion tradeoff*, CVPR 2018.
#
# **Read next:** [07](07_patch_ranking.ipynb), where 256 patch scores become one number and a map. In the library:
# `novkit/patchgan/objectives.py`, `novkit/patchgan/losses.py`, `novkit/baselines/alocc.py`.
