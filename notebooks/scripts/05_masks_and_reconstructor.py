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
# # Patch-GAN I: hide, and restore from the surroundings
#
# **What you will learn**
# - why a network that sees a lesion redraws it, and what hiding changes;
# - how masks are dealt out so that every patch is restored from its surroundings, never from itself;
# - where the network looks when it fills a hole;
# - why the hidden boxes may be neither small nor large;
# - that the question asked of the difference is worth as much as the network.
#
# About a minute and 1.3 GB on two cores; two tiny trainings; no network. The brain slices are *synthetic*: real, averaged anatomy with
# drawn contrast, noise and lesions. Marks: **[P]** the paper, **[S]** a summary by others, **[O]** our own choice, because the paper's
# formulas are not published.

# %%
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from plotly.subplots import make_subplots
from scipy import ndimage

from novkit.data import load
from novkit.evaluation import Scores, auroc, image_metrics, paired_difference, pixel_metrics
from novkit.figures import gallery
from novkit.figures.charts import curves, pairs
from novkit.figures.style import finish
from novkit.images import to_tensor
from novkit.notebooks import exercise_check, show_source
from novkit.patchgan import PatchGan, PatchGanSettings
from novkit.patchgan.detector import brightness, slope
from novkit.patchgan.losses import composite
from novkit.patchgan.masking import PatchGrid, hidden_patches, partitions
from novkit.patchgan.networks import Reconstructor
from novkit.patchgan.ranking import image_score
from novkit.ready import ready_detector
from novkit.seeding import torch_generator

normal = load("brain", seed=0, n_healthy=400, conditions=("healthy",), progress=False)  # to learn from
fresh = load("brain", seed=7, n_healthy=200, n_novel=100, conditions=("healthy", "glioma"), progress=False)  # other subjects, to test on
healthy, glioma = np.flatnonzero(fresh.labels == "healthy"), np.flatnonzero(fresh.labels == "glioma")
print(len(normal), "slices to learn from;", len(healthy), "healthy ones and", len(glioma), "gliomas to test on")

# %% [markdown]
# ## 1. Black boxes
#
# Notebook 02 ended in a dilemma. An autoencoder with a narrow code draws badly *everything*; one that draws well draws lesions well, too.
# Patch-GAN leaves the dilemma by another door: **black boxes are laid over the image, and the network restores what is under them** [P].
# Under a box it cannot copy. It has to guess, and it has learnt guessing on healthy brains.
#
# How the boxes are laid is ours [O]. The image is cut into $P = 16 \times 16$ *patches* of 4 × 4 pixels, the smallest squares that are
# judged. Boxes of $b \times b$ patches are dealt out like cards to four players: four masks, each hides a quarter of the image, and
# together they hide everything once.

# %%
grid = PatchGrid.of(fresh.image_shape)
x = to_tensor(fresh.images[healthy[41:42]])
shown, captions = [], []
for box in (4, 2, 1):
    dealt = partitions(1, grid, (box,), 4, torch_generator(1, "masks", box))  # (1, P): which of the four masks hides each patch
    for number in range(4):
        shown.append(x * (1 - grid.spread((dealt == number).float())))
        captions.append(f"{box} × {box} patches: mask {number + 1}")
gallery(torch.cat(shown).numpy(), captions, title="Three ways of dealing out one slice (synthetic)", columns=4)

# %% [markdown]
# **Predict:** how many of the 256 patches does one mask hide? Is any patch hidden twice, or never?

# %%
# NBVAL_CHECK_OUTPUT
dealt = partitions(1000, grid, (4, 2, 3), 4, torch_generator(0, "check"))
times_hidden = torch.stack([dealt == number for number in range(4)]).sum(dim=0)
print("patches:", grid.count, "- each hidden by exactly one of the four masks:", bool((times_hidden == 1).all()))
share = (dealt == 0).double().mean()
print("a mask hides a quarter on average, to within 0.01:", bool(abs(share - 0.25) < 0.01))

# %% [markdown]
# ## 2. Learning to fill
#
# The network sees the image with holes, and the mask as a second channel, so that black tissue is not mistaken for a hole [O]:
#
# $$\hat x = R\bigl(x\,(1-M),\ M\bigr), \qquad \tilde x = M\,\hat x + (1-M)\,x$$

# %%
show_source(Reconstructor)

# %% [markdown]
# Skips lead from each level of the encoder straight to the decoder: whatever is visible can be passed on sharply. For the autoencoder of
# notebook 02 that would be fatal. Here it is not: what counts is hidden *before* the first layer.

# %%
show_source(composite)

# %% [markdown]
# It learns by the mean absolute error $e_p$ on each hidden patch, weighted (notebook 07), and a small share of the error on what was
# visible. The discriminator comes in notebook 06; it is switched off here:
#
# $$L_R = \frac{1}{|H|}\sum_{p \in H} w_p\, e_p + 0.1\, \operatorname*{mean}_\text{visible} |x - \hat x|$$
#
# Two small networks of one design learn from the same 300 slices. One **guesses** under boxes; the other **sees** everything and restores
# what it sees, an autoencoder with skips (`masked=False`).
#
# **Predict:** what does the guesser put into a hole first, and what last?

# %%
few = {"discriminator": False, "width": 8, "epochs": 6, "partitions": 2}
guesses = PatchGan(PatchGanSettings.quick(**few), seed=0, progress=False)
sees = PatchGan(PatchGanSettings.quick(**few, masked=False), seed=0, progress=False)
held_out = normal.images[300::2]
for name, detector in (("guesses", guesses), ("sees", sees)):
    detector.fit(normal.images[:300], held_out, X_threshold=normal.images[301::2])
    print(name, "- held-out error by epoch:", [round(epoch["val_loss"], 3) for epoch in detector.history_["patchgan"].epochs])

# %%
rows = (1, 3)
epochs = (0, 1, 2, 5)
pictures = [p for row in rows for p in (held_out[row], *(guesses.panel_[epoch][row] for epoch in epochs))]
captions = ["a held-out slice", *(f"restored after epoch {epoch + 1}" for epoch in epochs)] * len(rows)
gallery(np.stack(pictures), captions, title="Learning to fill (synthetic)", columns=5)

# %% [markdown]
# First the brightness, then the outline of the head; ventricles and folds, which differ from head to head, hardly at all. (Only boxes
# are restored here; what was visible is shown as it is.)
#
# ## 3. What becomes of a lesion
#
# To score an image, all four masks of a partition are laid in turn; the hidden parts of the four restorations make one **cover**, an
# image in which every patch was guessed from its surroundings. This is done for several random partitions.
#
# **Predict:** both networks restore healthy slices and gliomas. Who has the smaller error on healthy slices? On gliomas, who has the
# larger error *inside the lesion*, compared with the rest of the brain?

# %%
some = np.r_[healthy[::5], glioma[::2]]
images, lesion, brain = fresh.images[some], fresh.masks[some], fresh.body[some]
ill = lesion.any(axis=(1, 2))
error = {}
covers = {"sees": sees.reconstruct(images), "guesses": guesses.reconstruct(images)}
for name, cover in covers.items():
    error[name] = np.abs(to_tensor(images).numpy() - cover).mean(axis=1)

picked = np.flatnonzero(ill)[[3, 11, 19, 30, 44]]
truth = np.tile(lesion[picked], (3, 1, 1))
sheet = [images[picked] / np.float32(255), covers["sees"][picked], covers["guesses"][picked]]
captions = ["glioma"] * 5 + ["sees everything"] * 5 + ["guesses"] * 5
gallery(np.concatenate(sheet), captions, masks=truth, title="What becomes of a lesion, outlined (synthetic)", columns=5)

# %%
of_ill = ill[:, None, None]
regions = {"healthy brain": brain & ~of_ill, "ill brain, outside the lesion": brain & ~lesion & of_ill, "inside the lesion": brain & lesion}
measured = {region: {name: float(e[where].mean()) for name, e in error.items()} for region, where in regions.items()}
pairs(measured, title="Error by region (synthetic)", x_title="mean |x − x̂| (grey level, 0–1)", reference=None)

# %%
# NBVAL_CHECK_OUTPUT
ratio = {name: measured["inside the lesion"][name] / measured["ill brain, outside the lesion"][name] for name in error}
print("who sees draws better, everywhere:", all(row["sees"] < row["guesses"] for row in measured.values()))
print("inside the lesion, the guesser's error stands out more:", ratio["guesses"] > ratio["sees"] + 0.1)

# %% [markdown]
# Who sees, copies: a lesion is hardly more difficult to redraw than a ventricle. The guesser draws much worse, as it must, but
# *differently* worse: it puts healthy tissue where the lesion is. What makes a detector is not a small error but one that is large
# where it should be.
#
# ## 4. Where does it look?
#
# Hide one box, restore it, and ask the pixel in its middle: which pixels of the *input* would change you? That is a gradient,
# $\lvert \partial \hat x_\text{middle} / \partial x \rvert$, which autograd gives for the asking. From here on with the ready-trained
# reconstructor (twice the width, many more slices).
#
# **Predict:** it will look at the box's rim, surely. Anywhere else?

# %%
ready = ready_detector("patchgan", progress=False)
network = ready.reconstructor_.cpu().eval()


def box_around(row, column, side):
    """(P,) bool: a box of side × side patches around the patch (row, column), cut at the border."""
    hidden = torch.zeros(grid.rows, grid.columns, dtype=torch.bool)
    top, left = row - (side - 1) // 2, column - (side - 1) // 2
    hidden[max(0, top) : top + side, max(0, left) : left + side] = True
    return hidden.flatten()


def influence(row, column, side):
    """(height, width): mean |∂ x̂(patch) / ∂ x| over healthy slices, the patch in the middle of a hidden box."""
    inputs = to_tensor(fresh.images[healthy[:40]]).requires_grad_()
    mask = grid.spread(box_around(row, column, side)[None].float())
    restored = grid.mean(network(inputs, mask))[:, row * grid.columns + column]
    restored.sum().backward()
    return inputs.grad.abs().mean(dim=(0, 1)).numpy()


places = {"left, in the white matter": (7, 5), "at the front": (3, 8), "on the right, cortex": (8, 12)}
looks = {name: influence(row, column, 4) for name, (row, column) in places.items()}
figure = make_subplots(1, 3, subplot_titles=list(looks), horizontal_spacing=0.03)
for number, (seen, (row, column)) in enumerate(zip(looks.values(), places.values(), strict=True), start=1):
    strength = np.log10(np.maximum(seen / seen.max(), 1e-3)).astype(np.float32)
    figure.add_heatmap(z=strength, coloraxis="coloraxis", hoverinfo="skip", row=1, col=number)
    top, left = 4 * (row - 1) - 0.5, 4 * (column - 1) - 0.5
    figure.add_shape(type="rect", x0=left, y0=top, x1=left + 16, y1=top + 16, line={"color": "#56B4E9", "width": 2}, row=1, col=number)
bar = {"title": "influence<br>(1 = strongest)", "tickvals": [-3, -2, -1, 0], "ticktext": ["≤ 0.001", "0.01", "0.1", "1"]}
figure.update_layout(coloraxis={"colorscale": "Inferno", "cmin": -3, "cmax": 0, "colorbar": bar})
figure.update_xaxes(visible=False, constrain="domain")
figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x", constrain="domain")
alt = "Three maps of the influence of input pixels on the middle of a hidden box: none inside the box, strongest at its rim, fading away."
finish(figure, title="Where the network looks when it fills the box (mean of 40 synthetic slices)", alt=alt, height=340)

# %%
# NBVAL_CHECK_OUTPUT
inside = [grid.spread(box_around(row, column, 4)[None].float())[0, 0].numpy() > 0 for row, column in places.values()]
print("pixels in a box of 4 × 4 patches:", [int(box.sum()) for box in inside])
within = [np.abs(seen[box]).max() for seen, box in zip(looks.values(), inside, strict=True)]
print("the hidden pixels' influence is exactly zero:", max(within) == 0)
near = [ndimage.binary_dilation(box, iterations=8) & ~box for box in inside]
shares = [seen[rim].sum() / seen.sum() for seen, rim in zip(looks.values(), near, strict=True)]
print("more than half of the influence comes from within 8 pixels of the box:", all(share > 0.5 for share in shares))

# %% [markdown]
# The rim first, then less and less; nothing inside the box, to the last bit. All of the head has a little say: how bright this subject
# is, how the head is turned. What a radiologist would consult, the same place on the *other side*, gets no more than its distance would
# suggest.
#
# ## 5. How large a box?
#
# The middle of a lesion, hidden under boxes of growing size. **Predict:** what does the network put there when the box is smaller than
# the lesion? Sketch the error of that middle patch against the size of the box, for a lesion and for the same place in healthy brains.

# %%
SIDES = (1, 2, 3, 4, 6, 8, 10)
depth = np.stack([ndimage.distance_transform_edt(mask) for mask in fresh.masks[glioma]])
row, column = np.unravel_index(depth.reshape(len(depth), -1).argmax(axis=1), depth.shape[1:])
middle = np.stack([row // grid.patch, column // grid.patch], axis=1)  # of each lesion, in patches
target = {"glioma": (fresh.images[glioma], middle), "healthy, the same places": (fresh.images[healthy], np.tile(middle, (2, 1)))}


@torch.inference_mode()
def restored_under(images, places, side):
    """x, x̂ and the error of the patch in the middle of a box of its own in each image."""
    x = to_tensor(images)
    hidden = torch.stack([box_around(row, column, side) for row, column in places.tolist()]).float()
    restored = network(x, grid.spread(hidden))
    number = torch.from_numpy(places[:, :1] * grid.columns + places[:, 1:])
    return composite(x, restored, grid.spread(hidden)), grid.mean((x - restored).abs()).gather(1, number)[:, 0].numpy()


by_side = {name: [restored_under(*pair, side)[1] for side in SIDES] for name, pair in target.items()}
one = int(np.argsort(fresh.table["lesion_area"].to_numpy()[glioma])[60])  # a large one
example = fresh.images[glioma[[one]]]
pictures = [to_tensor(example), *(restored_under(example, middle[[one]], side)[0] for side in SIDES)]
gallery(
    torch.cat(pictures).numpy(),
    ["a glioma", *(f"box of {side} × {side} patches" for side in SIDES)],
    masks=np.repeat(fresh.masks[glioma[[one]]], len(pictures), axis=0),
    title="One lesion, restored under growing boxes (synthetic)",
    columns=4,
)

# %%
curves(
    {"": {name: (SIDES, [np.median(e) for e in errors]) for name, errors in by_side.items()}},
    title="Error of the middle patch (synthetic)", x_title="side of the hidden box, in patches of 4 pixels", y_title="median |x − x̂|",
)  # fmt: skip

# %%
y = np.repeat([1, 0], [len(glioma), len(healthy)])
tells = [auroc(y, np.concatenate(pair)) for pair in zip(*by_side.values(), strict=True)]
pd.DataFrame({"AUROC of the patch, lesion against healthy": tells}, index=pd.Index(SIDES, name="side of the box")).T.round(2)

# %%
# NBVAL_CHECK_OUTPUT
grows = {name: np.median(errors[3]) / np.median(errors[0]) for name, errors in by_side.items()}
more = grows["glioma"] > grows["healthy, the same places"] + 0.2
print("from 1 patch to 4 the lesion's error grows by the larger factor:", bool(more))
print("a box of 4 tells lesions better than a box of 1, by more than 0.05:", tells[3] > tells[0] + 0.05)

# %% [markdown]
# A small box lies within the lesion: its rim is ill, and the network, well taught, goes on with what it sees. The lesion **restores
# itself**. Only a box that reaches into healthy tissue gets healthy tissue. But under a large box healthy brains are guessed badly,
# too, and the two distances grow together. Somewhere between 3 and 6 patches is best, for lesions of this size; ours are 2, 3 and 4 in
# turns [O].
#
# ## 6. The question asked of the difference
#
# Now the cover is there. How novel is a pixel? The obvious answer is $|x - \hat x|$. Ours asks a little more [O]:
#
# 1. in units of the image's own brightness: scanner gain is no novelty;
# 2. first average the *signed* difference over 5 × 5 pixels, then take its size: along an edge guessed a pixel aside, signs cancel; a
#    lesion brightens or darkens a whole neighbourhood;
# 3. divide by one plus the local change of the image itself: where there are edges, some error is expected.
#
# **Predict:** which step helps most? The same questions go to the two small networks, to the ready Patch-GAN, and, because only that is
# fair, to the autoencoder of notebook 02 with its narrow code. Who localises best?


# %%
def average(values):
    """Mean over 5 × 5 pixels, in the image's own bounds."""
    return F.avg_pool2d(values, 5, stride=1, padding=2, count_include_pad=False)


def questions(x, x_hat):
    """Four ways of asking how novel each pixel is: name -> (n, 1, height, width)."""
    difference = x - x_hat
    relative = difference / brightness(x)
    signed = average(relative).abs()
    expected = 1 + 1.25 * grid.patch * average(slope(x / brightness(x)))
    return {
        "|x − x̂|": difference.abs(),
        "1. relative": relative.abs(),
        "2. signed, then size": signed,
        "3. edges discounted": signed / expected,
    }


x = to_tensor(images)
autoencoder = ready_detector("autoencoder", progress=False)
redrawn = covers | {"autoencoder": autoencoder.reconstruct(images), "patchgan": ready.reconstruct(images)}
asked = {name: questions(x, torch.from_numpy(x_hat)) for name, x_hat in redrawn.items()}
precision = {
    question: {name: pixel_metrics(asked[name][question][:, 0].numpy(), lesion, brain).average_precision for name in asked}
    for question in asked["patchgan"]
}
pairs(
    precision, title="Four questions to four networks (synthetic gliomas and healthy slices)",
    x_title="average precision over the pixels of the brain (dotted: chance)", reference=float(lesion[brain].mean()), x_range=(0, 0.65),
)  # fmt: skip

# %%
# NBVAL_CHECK_OUTPUT
first, last = precision["|x − x̂|"], precision["3. edges discounted"]
for name in ("guesses", "autoencoder", "patchgan"):
    print(f"{name}: the last question finds at least 1.5 times what the first does:", bool(last[name] > 1.5 * first[name]))
print("with the best question, to see is still worse than to guess, by more than 0.1:", bool(last["sees"] < last["guesses"] - 0.1))

# %% [markdown]
# Asked plainly, nobody finds much. Nearly every better question finds more, the sign most of all. And there are two ways not to copy, a
# mask and a narrow code: asked the same, the old autoencoder localises as well as the masked networks. Only the network that copies
# stays behind, whatever you ask.
#
# Two more steps lead to Patch-GAN's score of an image: each patch is measured by the scale of its own place, and the highest patches are
# ranked (notebook 07). The autoencoder can have those as well.
#
# **Predict:** AUROC on gliomas of the autoencoder's plain error; of the same error, asked like Patch-GAN's; and of Patch-GAN's own.

# %%
many = np.r_[healthy[::2], glioma]  # 200 slices
label = (fresh.labels[many] == "glioma").astype(int)


def patch_errors(slices):
    """The autoencoder's error after question 3, mean over each patch: (n, P)."""
    x = to_tensor(slices)
    return grid.mean(questions(x, torch.from_numpy(autoencoder.reconstruct(slices)))["3. edges discounted"]).numpy()


usual = patch_errors(normal.images)  # healthy subjects that neither it nor the test has seen
sigma = np.hypot(usual.std(axis=0), 0.5 * np.median(usual.std(axis=0)))  # as in Patch-GAN's settings
by_place = (patch_errors(fresh.images[many]) - usual.mean(axis=0)) / sigma
table = fresh.table.iloc[many]
score = {
    "autoencoder, mean squared error": autoencoder.novelty_score(fresh.images[many]),
    "autoencoder, asked like Patch-GAN": image_score(by_place, tau=0.01),
    "Patch-GAN, restoration error alone": image_score(ready.components(fresh.images[many])["patch_error"], tau=0.01),
}
columns = [table[name].to_numpy() for name in ("id", "group", "label")]
runs = {name: Scores(columns[0], columns[1], label, columns[2], values) for name, values in score.items()}
found = {name: image_metrics(label, values, columns[1]) for name, values in score.items()}
rows = {name: {"AUROC": round(m.auroc, 2), "95 % interval": f"{m.auroc_low:.2f} to {m.auroc_high:.2f}"} for name, m in found.items()}
pd.DataFrame(rows).transpose()

# %%
plain, well_asked, own = runs.values()
by_question, by_network = paired_difference([well_asked], [plain]), paired_difference([own], [well_asked])
print(f"what the questions bring the autoencoder: {by_question.value:+.3f} [{by_question.low:+.3f}, {by_question.high:+.3f}]")
print(f"what the masked network brings beyond:    {by_network.value:+.3f} [{by_network.low:+.3f}, {by_network.high:+.3f}]")

# %%
# NBVAL_CHECK_OUTPUT
print("the questions bring the autoencoder more than 0.1:", by_question.value > 0.1)
print("and more than the masked network adds to it:", by_question.value > by_network.value + 0.05)

# %% [markdown]
# Most of the way lies in the questions; the masked network adds the rest, and its interval only just clears zero. Mind that when you
# read a table: the autoencoder there has its usual score, the plain error, and a good part of its distance to Patch-GAN is this. To be
# fair to the other side as well: our questions were found on gliomas of development subjects [O]. The subjects here are others, the
# disease is the same.
#
# ## Exercises
#
# **Exercise 1: how lonely is a hidden patch?** A patch is *closed in* if its four neighbours are hidden with it: nothing next to it gives
# it away. With boxes of $b \times b$ patches ($b \ge 2$), and every other box hidden with chance $r = \frac14$: what share $c(b)$ of the
# hidden patches is closed in? Find the formula; the check simulates it.
#
# <details><summary>Hint</summary>
#
# Rows and columns are independent. Along one axis, of the $b$ positions in a box $b - 2$ have both neighbours in the same box; the other
# two need the next box to be hidden as well.
# </details>


# %%
def closed_in(b):
    return ...


# %%
def simulated(b):
    hidden = hidden_patches(3000, grid, (b,), 4, torch_generator(0, "lonely", b)).reshape(-1, 16, 16)
    inner = hidden[:, 1:-1, 1:-1]
    alone = inner & hidden[:, :-2, 1:-1] & hidden[:, 2:, 1:-1] & hidden[:, 1:-1, :-2] & hidden[:, 1:-1, 2:]
    return float(alone.sum() / inner.sum())


exercise_check("1", lambda: [closed_in(b) for b in (2, 3, 4)], [simulated(b) for b in (2, 3, 4)], tolerance=0.03)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def closed_in(b, r=0.25):
#     return ((b - 2 + 2 * r) / b) ** 2
# ```
#
# 0.06 for boxes of 2, 0.25 for 3, 0.39 for 4; and $r^4 = 0.004$ for single patches: those are always betrayed by a neighbour. (The
# simulation is a little lower: when one box is hidden, fewer of the others are.)
# </details>

# %% [markdown]
# **Exercise 2: heal the patient.** Someone marks the lesion; hide every patch that holds a pixel of it, and restore. Which patches are
# hidden for glioma slice number `one`? (A (P,) bool array. `fresh.masks[glioma[one]]` is the mark, (64, 64) bool.)
#
# <details><summary>Hint</summary>
#
# Cut the mask into patches with `reshape(16, 4, 16, 4)`, and ask for `any` along the axes within a patch.
# </details>

# %%
touched = ...

# %%
exercise_check("2", touched, grid.mean(torch.from_numpy(fresh.masks[glioma[[one]]][:, None]).float())[0].numpy() > 0)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# touched = fresh.masks[glioma[one]].reshape(16, 4, 16, 4).any(axis=(1, 3)).flatten()
# slices = fresh.images[glioma[[one]]]
# healed = ready.reconstruct_masked(slices, touched)
# gallery(np.concatenate([slices / np.float32(255), healed]), ["ill", "healed"], title="What might have been there (synthetic)", columns=2)
# ```
#
# Radiologists call such a picture *pseudo-healthy*. It is a guess by a network that knows healthy brains, no evidence about this one.
# </details>

# %% [markdown]
# **Exercise 3: a fourth question.** Lesions of this kind are brighter than the tissue they replace. Write a question that keeps the
# *sign*: positive where the image is brighter than its restoration, 0 elsewhere. Use `average`, and beat question 2 for Patch-GAN.
#
# <details><summary>Hint</summary>
#
# `average(...).clamp(min=0)` instead of `average(...).abs()`.
# </details>


# %%
def brighter_only(x, x_hat):
    """(n, 1, height, width)"""
    return ...


# %%
def precision_of_mine():
    mine = brighter_only(x, torch.from_numpy(redrawn["patchgan"]))
    if mine is ...:
        return mine
    return pixel_metrics(mine[:, 0].numpy(), lesion, brain).average_precision > precision["2. signed, then size"]["patchgan"]


exercise_check("3", precision_of_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def brighter_only(x, x_hat):
#     return average((x - x_hat) / brightness(x)).clamp(min=0)
# ```
#
# And what have you given up? A detector that knows what gliomas look like is no longer a detector of the *unknown*: it would miss every
# dark lesion. That is why our default does not do it.
# </details>

# %% [markdown]
# **To think about.** The network was trained on masks that hide a quarter. Section 5 hid one box alone, of sizes it had partly never
# seen. Which of its conclusions might depend on that?
#
# ## Sources
#
# - Patch-GAN: Chen, Yang, Zhang, Peng, Zhang, Zhang, Han, Grau, *Unsupervised Patch-GAN with targeted patch ranking for fine-grained
#   novelty detection in medical imaging*, arXiv 2501.17906, 2025.
# - Filling holes: Pathak, Krähenbühl, Donahue, Darrell, Efros, *Context encoders: feature learning by inpainting*, CVPR 2016.
# - Covers from disjoint masks: Zavrtanik, Kristan, Skočaj, *Reconstruction by inpainting for visual anomaly detection*, Pattern Recognit.
#   112, 2021.
#
# **Read next:** [06](06_the_adversarial_game.ipynb), where a second network judges the restorations. In the library:
# `novkit/patchgan/masking.py`, `novkit/patchgan/networks.py`.
