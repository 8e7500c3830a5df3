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
# # The margin: a sphere for the normal, and a score from it
#
# **What you will learn**
# - Deep SVDD's sphere, and the cheat that fits it perfectly;
# - TEND's margin loss: a pull, a push, and why the sphere has radius √R and not R;
# - how an embedding forms over training, drawn truly: in two dimensions, not as a shadow of many;
# - what the sphere swallows, and how many of its dimensions are used;
# - how probability and distance become one score, what λ really weighs, and how the threshold is set.
#
# About a minute and 1.2 GB on two cores; three small trainings on real handwritten digits; no network. The brain slices are *synthetic*.
# Marks: **[P]** the paper, **[C]** its published code, **[O]** our own choice.

# %%
import copy
from dataclasses import replace

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from novkit.baselines.deep_svdd import SphereNetwork
from novkit.data import load
from novkit.data.setups import one_vs_rest
from novkit.distortions import UNSEEN, TrainingFamily, distort
from novkit.evaluation import Scores, auroc
from novkit.figures import gallery, score_distributions
from novkit.figures.charts import cloud, curves
from novkit.figures.margin import Moment, distance_histograms, margin_animation
from novkit.images import to_tensor
from novkit.notebooks import exercise_check, reference_results, show_source
from novkit.ready import ready_detector
from novkit.results import load_results, summary
from novkit.seeding import torch_generator
from novkit.tend import Faithful, Tend, TendSettings
from novkit.tend.losses import centre_of, margin_loss, squared_distance
from novkit.widgets import MarginExplorer, record_snapshots

R = 150.0  # [C] the margin, of the *squared* distance
digits = load("digits", size=28, progress=False)  # real, 28 × 28: the published network for this size [C] is a small MLP
print(len(digits), "digits; normal will be one of", ", ".join(sorted(set(digits.labels))))

# %% [markdown]
# ## 1. One sphere, one cheat
#
# Deep SVDD [Ruff et al. 2018] is the plainest idea of one-class learning. Fix a point $c$. Teach a network $\varphi$ to bring every
# normal image near it; what then lands far away is novel:
#
# $$L = \operatorname{mean}\,\lVert \varphi(x) - c \rVert^2$$
#
# **Predict:** what is the smallest loss that a network can reach, and what does that network do?
#
# You need no training to find out. Here is one with all weights zero and one bias.

# %%
zeros = to_tensor(digits.images[digits.labels == "0"])
noise = torch.rand(100, 1, 28, 28, generator=torch_generator(0, "noise"))
cheat = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 2))
sphere = SphereNetwork(cheat, latent=2)
with torch.no_grad():
    sphere.centre.copy_(torch.tensor([3.0, 4.0]))
    cheat[1].weight.zero_()
    cheat[1].bias.copy_(sphere.centre)

# %%
# NBVAL_CHECK_OUTPUT
with torch.no_grad():
    print("Deep SVDD's loss on the zeros:", sphere(zeros).mean().item(), "- largest distance of pure noise:", sphere(noise).max().item())
    everywhere_c = cheat(zeros)
    print("TEND's margin loss for the same network:", margin_loss(everywhere_c, everywhere_c, sphere.centre, R).item())

# %% [markdown]
# A perfect loss, and a network that says the same of everything. Deep SVDD forbids the cheat by hand: no bias terms, and a centre away
# from the origin (Ruff et al.). TEND makes it *expensive*: the images that must stay outside pay the full $R$ each.
#
# ## 2. Pull and push
#
# $$L_3 = \operatorname{mean}\,\lVert z(x) - c \rVert^2 \;+\; \operatorname{mean}\,\max\bigl(0,\; R - \lVert z(T(x)) - c \rVert^2\bigr)$$
#
# The idea is [P], the formula [C]. The first term pulls the normal images to the centre, the second pushes transformed ones until their
# **squared** distance exceeds $R$.

# %%
show_source(margin_loss)

# %% [markdown]
# **Predict:** (a) $R = 150$. How far from the centre does the push end? (b) At which distance is it *strongest*: at the centre, half way,
# or just inside the edge? (c) A transformed image that is embedded exactly in the centre: how hard is it pushed?

# %%
distance = torch.linspace(0, 16, 65)
z = torch.stack([distance, torch.zeros_like(distance)], dim=1).requires_grad_()  # 65 embeddings on a line through c = 0
d = squared_distance(z, torch.zeros(2))
terms = {"pull on x": d, "push on T(x)": (R - d).clamp(min=0)}
force = {name: torch.autograd.grad(term.sum(), z, retain_graph=True)[0].norm(dim=1) for name, term in terms.items()}
figure = curves(
    {
        "loss of one image": {name: (distance.numpy(), term.detach().numpy()) for name, term in terms.items()},
        "force: size of the gradient": {name: (distance.numpy(), f.numpy()) for name, f in force.items()},
    },
    title="The two forces of the margin loss, R = 150",
    x_title="distance from the centre",
    y_title="loss",
    same_y=False,
)
figure.add_vline(float(np.sqrt(R)), line={"color": "#009E73", "width": 2.5}, annotation_text="√R", annotation_position="top right")
figure.update_yaxes(title_text="size of the gradient", col=2)
figure.update_traces(mode="lines")

# %%
# NBVAL_CHECK_OUTPUT
print("√R =", round(float(np.sqrt(R)), 2))
print("push at the centre:", force["push on T(x)"][0].item(), "- just inside the edge (12.0):", force["push on T(x)"][48].item())
print("push beyond √R:", force["push on T(x)"][distance > np.sqrt(R)].max().item())

# %% [markdown]
# Three things to remember.
# - $R$ bounds the *squared* distance: the sphere that you draw has radius $\sqrt{R} \approx 12.2$, not 150.
# - The push is weakest where it is needed most: $2\lVert z - c\rVert$ is nothing in the centre and largest at the edge. A transformed image
#   that looks exactly like a normal one cannot be pushed at all. That is one reason for the warm-up: first the classifier moves them apart.
# - Beyond $\sqrt R$ the margin pushes no more, but nothing pulls back, and the classifier may go on.
#
# The centre is set once, after warm-up: the mean embedding of the normal images, with no coordinate nearer to zero than 0.1 [C].

# %%
show_source(centre_of)

# %% [markdown]
# ## 3. Watching the sphere form
#
# An embedding of two numbers, on real digits: the zeros are normal. What you see is the whole embedding, no projection. Directions are
# true, distances are drawn as log(1 + distance), since they soon span from 0.1 to 100. Held-out images only.
#
# **Predict:** after the centre is set, who moves first: the normal zeros inwards, or their transforms outwards? To which sides will the
# transforms be pushed? And the other nine digits, which no training ever saw?

# %%
SETTINGS = TendSettings(
    embedding=2, epochs_autoencoder=6, epochs=16, warmup=4, margin_weight=1 / R, least_steps=15, family=TrainingFamily(local=0.0)
)


def learn(digit):
    """TEND with one digit as normal; where held-out images, their transforms and other digits lie after every epoch."""
    setup = one_vs_rest(digits, digit, seed=0)
    novel = np.flatnonzero(setup.y_test)[::8]
    return record_snapshots(
        Tend(SETTINGS, seed=0, progress=False),
        setup.X_train,
        setup.X_calibration,
        X_shown=setup.X_test[setup.y_test == 0],
        X_novel=setup.X_test[novel],
        novel_labels=setup.test_table["label"][novel].tolist(),
    )


learnt = {digit: learn(digit) for digit in ("0", "3", "8")}


# %%
def moments(snapshots):
    """For each epoch: the embedding of each group, seen from the centre."""
    across, up = (snapshots.distance * turn(snapshots.angle) for turn in (np.cos, np.sin))
    offset = np.stack([across, up], axis=2)  # (epochs, images, 2): z − c
    names = {"ID": "normal", "transformed": "transformed", "novel": "novel: other digits"}
    return [
        Moment(str(epoch), {names[group]: z[snapshots.group == group] for group in names})
        for epoch, z in zip(snapshots.epochs, offset, strict=True)
    ]


margin_animation(
    moments(learnt["0"]), centre=(0, 0), radius=R, title="Zeros are normal: the embedding over training (real digits)", step="margin epoch"
)

# %%
# NBVAL_CHECK_OUTPUT
of_zero = learnt["0"]
at_end = {group: np.median(of_zero.distance[-1, of_zero.group == group]) for group in ("ID", "transformed", "novel")}
print("moments recorded:", len(of_zero.epochs), "- the first when the centre was set")
print("at the end most normal zeros lie inside the sphere:", bool(at_end["ID"] < np.sqrt(R)))
print("and most of their transforms outside:", bool(at_end["transformed"] > np.sqrt(R)))
print("the other digits are farther out than the zeros:", bool(at_end["novel"] > 2 * at_end["ID"]))

# %% [markdown]
# Did you expect a *ring* of transformed images around the sphere? They leave on one side, along a line. The classifier needs a single
# direction to tell them apart, and the push is radial: it drives everyone farther to the side on which it stands. The sphere has room all
# around; hardly any of it is used.
#
# Play it again and watch the other digits. Nobody ever pushed them: they are outside only as far as the network, for its own purposes,
# embeds *them* like bent zeros.
#
# **Predict:** now the threes are normal, or the eights. Same network, same settings. Does the distance tell the other digits from them as
# well? And does training longer help?

# %%
course = {}
for digit, snapshots in learnt.items():
    asked = snapshots.group != "transformed"
    course[f"{digit} is normal"] = (
        snapshots.epochs,
        [auroc(snapshots.group[asked] == "novel", distance[asked]) for distance in snapshots.distance],
    )
curves(
    {"": course},
    title="How well the distance finds the other digits (real digits)",
    x_title="epochs of margin learning",
    y_title="AUROC of ‖z − c‖",
    reference=0.5,
    y_range=(0.2, 1.03),
)

# %%
three = learnt["3"]
distance_histograms(
    {
        name: three.squared_distance[-1, three.group == group]
        for name, group in (("normal: 3", "ID"), ("transformed", "transformed"), ("novel", "novel"))
    },
    radius=R,
    title="Threes are normal, end of training: who is inside? (real digits)",
)

# %%
# NBVAL_CHECK_OUTPUT
mean = {digit: np.mean(values[1]) for digit, values in zip(learnt, course.values(), strict=True)}
inside = three.squared_distance[-1, three.group == "novel"] < R
print("the zeros are easier than the threes, on average over the epochs:", bool(mean["0"] > mean["3"] + 0.05))
print("with threes as normal, more than a third of the other digits lie inside the sphere:", bool(inside.mean() > 1 / 3))

# %% [markdown]
# The loss has got all it asked for: threes inside, bent threes outside. But a five is no bent three. The network was never told what to
# do with a five, and the pull, which gathers whatever resembles the normal images in *its* eyes, swallows fives as well. A margin holds
# out only what the transformations stand for; on digits the autoencoder beats TEND (the README's table).
#
# Look at the eights, too: from one epoch to the next the AUROC of the same run jumps. Whoever picks the epoch on the test set, as the
# published code does [C], picks the peaks: [notebook 11](11_how_evaluations_go_wrong.ipynb) measures what that fakes. Ours is picked by the
# held-out loss.
#
# Which digits does the sphere swallow? With a kernel running, click on the points:

# %%
MarginExplorer(three)

# %%
novel_rows = np.flatnonzero(three.group == "novel")
swallowed = novel_rows[np.argsort(three.distance[-1, novel_rows])[:10]]
gallery(
    three.images[swallowed],
    [f"{three.label[row]}, at {three.distance[-1, row]:.1f}" for row in swallowed],
    title="Threes are normal: the ten other digits nearest to the centre (real digits)",
    columns=10,
)

# %% [markdown]
# ## 4. In 128 dimensions
#
# The stored TEND for brain slices embeds in 128 dimensions [O]; the published one in 512 [C]. Any flat picture of that would be a shadow,
# so we draw the one thing that matters: the distance to the centre. Fresh subjects, none of them trained on.
#
# **Predict:** where do the gliomas lie: with the healthy slices, or farther out, with the transformed ones?

# %%
CONDITIONS = ("glioma", "infarct", "ventricles")
fresh = load("brain", seed=7, n_healthy=600, n_novel=200, conditions=("healthy", *CONDITIONS), progress=False)
healthy = fresh.labels == "healthy"
detector = ready_detector("tend", progress=False)
settings = detector.settings_
x = to_tensor(fresh.images[healthy])
transformed = distort(x, torch_generator(7, "transformed"), settings.family)[0].clamp(0, 1)
turns = np.arange(len(x)) % len(UNSEEN)  # the families of unseen distortions take turns
unseen = torch.cat([UNSEEN[name](x[turns == k], torch_generator(7, name)) for k, name in enumerate(UNSEEN)]).clamp(0, 1)

of_fresh = detector.components(fresh.images)  # score, probability, distance (squared), distance_scaled
of_transformed, of_unseen = detector.components(transformed.numpy()), detector.components(unseen.numpy())
distance_histograms(
    {
        "healthy": of_fresh["distance"][healthy],
        "T(x) of these": of_transformed["distance"],
        "glioma": of_fresh["distance"][fresh.labels == "glioma"],
        "ventricles": of_fresh["distance"][fresh.labels == "ventricles"],
    },
    radius=settings.radius,
    title="Distances in the stored TEND's embedding (synthetic brains)",
)

# %%
# NBVAL_CHECK_OUTPUT
median = {"healthy": np.median(of_fresh["distance"][healthy]), "T(x)": np.median(of_transformed["distance"])}
print("dimensions of the embedding:", detector.embed(fresh.images[:1]).shape[1])
print("half of the healthy slices or more lie inside the sphere:", bool(median["healthy"] < settings.radius))
print("transformed ones are farther out, in the median:", bool(median["T(x)"] > median["healthy"]))

# %% [markdown]
# On the digits the sphere kept the transformed images out. Here two thirds of them stay inside, and most gliomas with them: what tells is
# how far out they lie.
#
# ## 5. One score from two
#
# [P] "the weighted sum of class probability and the distance to margin"; in the code [C]
#
# $$s(x) = (1-\lambda)\,p(x) + \lambda\,\tilde d(x), \qquad \lambda = 0.1,$$
#
# where $\tilde d$ is the squared distance to the *centre*, brought to the scale of $p$ by a minimum and a maximum. The published code
# takes them from the test set [C]: then an image's score depends on who else is tested. Ours come from held-out normal images and their
# transforms [O], once and for all.

# %%
show_source(Tend._components)

# %%
# NBVAL_CHECK_OUTPUT
few = fresh.images[healthy][:50]
odd = np.concatenate([few, 255 - few[:1]])  # the same fifty and one inverted slice
as_published = copy.copy(detector)
as_published.settings_ = replace(settings, faithful=Faithful(scale_on_test=True))
for name, scorer in (("ours", detector), ("scaled on the test set", as_published)):
    print(
        f"{name}: fifty scores are the same with and without a fifty-first image:",
        bool(np.allclose(scorer.novelty_score(few), scorer.novelty_score(odd)[:50])),
    )

# %% [markdown]
# **Predict:** an image exactly on the sphere's edge, $\lVert z - c\rVert^2 = R$. What is its $\tilde d$: about 1, about ½, or almost 0?
# The largest distance of a held-out transform decides; look at the previous figure's right end before you answer.

# %%
low, high = detector.distance_range_
print(f"d̃ = 0 at a squared distance of {low:.1f}, d̃ = 1 at {high:.0f}")
edge = (settings.radius - low) / (high - low)
print(f"so on the edge d̃ = {edge:.3f}: with λ = {settings.score_weight} it adds {settings.score_weight * edge:.4f} to (1 − λ) p")

# %% [markdown]
# One far-flung transform stretches the scale, and the distance hardly counts: a minimum and a maximum are decided by single images. But
# does it matter? Only if probability and distance *disagree*.

# %%
ordered = np.concatenate([np.flatnonzero(healthy), np.flatnonzero(fresh.labels == "glioma")])
figure = cloud(
    of_fresh["probability"][ordered],
    np.sqrt(of_fresh["distance"][ordered]),
    fresh.labels[ordered],
    title="Probability and distance of every slice (synthetic)",
    x_title="p = P(transformed)",
    y_title="distance from the centre, ‖z − c‖",
)
edge = float(np.sqrt(settings.radius))
figure.add_hline(edge, line={"color": "#009E73", "width": 2.5})
figure.add_annotation(x=1, xref="x domain", y=edge, yshift=9, text="√R", showarrow=False, xanchor="right")

# %% [markdown]
# Not a cloud: a curve. Given one number you know the other, and the curve is a **V**: slices that look *even less* transformed than the
# centre are far from it as well. That happens when an embedding is a line, seen from a point on it. Is it?

# %%
# NBVAL_CHECK_OUTPUT
embedded = np.concatenate([detector.embed(fresh.images), detector.embed(transformed.numpy())]).astype(np.float64)
variance = np.linalg.svd(embedded - embedded.mean(axis=0), compute_uv=False) ** 2
print(
    "dimensions:", embedded.shape[1], "- more than 90 % of the variance lies along one of them:", bool(variance[0] > 0.9 * variance.sum())
)

# %% [markdown]
# As with the digits: 128 dimensions, one of them used. A linear classifier with a radial push has no reason to need more.

# %% [markdown]
# **Predict:** sketch AUROC against λ, from 0 (probability alone) to 1 (distance alone).

# %%
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def mixed(components, weight):
    return (1 - weight) * components["probability"] + weight * components["distance_scaled"]


def auroc_at(weight, condition=None):
    """AUROC of the score with this λ: a condition, or (None) the unseen distortions, against healthy slices."""
    normal = mixed(of_fresh, weight)[healthy]
    novel = mixed(of_unseen, weight) if condition is None else mixed(of_fresh, weight)[fresh.labels == condition]
    return auroc(np.repeat([0, 1], [len(normal), len(novel)]), np.concatenate([normal, novel]))


by_weight = {"unseen distortions": (WEIGHTS, [auroc_at(w) for w in WEIGHTS])}
by_weight |= {condition: (WEIGHTS, [auroc_at(w, condition) for w in WEIGHTS]) for condition in CONDITIONS}
curves(
    {"": by_weight},
    title="λ from probability alone to distance alone (synthetic)",
    x_title="λ, weight of the distance",
    y_title="AUROC (0.5 is chance)",
    reference=0.5,
    y_range=(0.45, 0.9),
)

# %%
# NBVAL_CHECK_OUTPUT
agreement = spearmanr(of_fresh["probability"], of_fresh["distance"]).statistic
print("rank correlation of probability and distance over all slices is above 0.6:", bool(agreement > 0.6))
print("no AUROC moves by more than 0.1 over all of λ:", all(np.ptp(values) < 0.1 for _, values in by_weight.values()))

# %% [markdown]
# Nearly flat, as it must be where one number tells the other. (Up to λ = 0.8 nothing moves at all: on its stretched scale the distance has
# no say.) What is the margin worth, then? On development seeds our trials without it did as well ([the notes](../results/NOTES.md)): a tidy
# geometry for what the classifier knows, on our data. And what is the *transformation* worth? Deep SVDD has the sphere without it. Stored
# results, three reserved seeds:

# %%
stored = summary(load_results(reference_results()))
stored = stored[(stored["dataset"] == "brain") & stored["method"].isin(["tend", "deep_svdd", "autoencoder"]) & (stored["variant"] == "")]
stored.pivot(index="display_name", columns="case", values="auroc_mean").round(2)

# %%
# NBVAL_CHECK_OUTPUT
of_method = stored[stored["setup"] == "generated_ood"].set_index("method")
gap = of_method["auroc_mean"]["tend"] - of_method["auroc_mean"]["deep_svdd"]
print("TEND is above Deep SVDD on unseen distortions by more than three seed sd:", bool(gap > 3 * of_method["auroc_sd"].max()))
print("Deep SVDD lies within 0.05 of chance there:", bool(abs(of_method["auroc_mean"]["deep_svdd"] - 0.5) < 0.05))

# %% [markdown]
# The sphere alone knows nothing here; the invented novelty does the work.
#
# ## 6. The threshold
#
# To say "novel", a score needs a threshold. Ours is the 95 % quantile of *further* held-out normal slices [O], so that about 5 % of the
# normal ones are called novel; no novel image has a say.
#
# **Predict:** on 600 fresh healthy slices of 150 subjects: how many false alarms? And do they come one by one, or several from one
# subject?

# %%
shown = healthy | np.isin(fresh.labels, ("glioma", "ventricles"))
table = fresh.table[shown]
scores = Scores(
    id=table["id"].to_numpy(),
    group=table["group"].to_numpy(),
    label=(~healthy[shown]).astype(int),
    condition=table["label"].to_numpy(),
    score=of_fresh["score"][shown],
)
score_distributions({"tend": scores}, threshold=detector.threshold_, title="TEND's score and its threshold (synthetic, fresh subjects)")

# %%
called = of_fresh["score"] > detector.threshold_
alarms = fresh.table[healthy & called].groupby("group").size()
print("false alarms:", int(called[healthy].sum()), "of", int(healthy.sum()), "healthy slices, from", len(alarms), "of 150 subjects")
print("found:", {name: f"{called[fresh.labels == name].mean():.0%}" for name in CONDITIONS}, "of the slices of each condition")

# %%
# NBVAL_CHECK_OUTPUT
print("false alarms are below 12 % of the healthy slices:", bool(called[healthy].mean() < 0.12))
print("false alarms come in groups: fewer subjects than alarms:", len(alarms) < int(called[healthy].sum()))
print("predict() says the same as the threshold:", bool(((detector.predict(fresh.images) == -1) == called).all()))

# %% [markdown]
# Slices of one subject are alike, in their oddities too: 600 slices are not 600 independent tests. That is why every split and every
# interval in this kit goes by subject.
#
# ## Exercises
#
# **Exercise 1: the margin loss by hand.** Two normal embeddings, two transformed ones, $c = (1, 1)$, $R = 150$. Compute $L_3$ in NumPy.
#
# <details><summary>Hint</summary>
#
# `((z - c) ** 2).sum(axis=1)` are the squared distances; the push is `np.maximum(0, 150 - …)`.
# </details>

# %%
z_x, z_t, c = np.array([[1.0, 3.0], [4.0, 1.0]]), np.array([[1.0, 11.0], [13.0, 1.0]]), np.array([1.0, 1.0])
loss_by_hand = ...

# %%
exercise_check("1", loss_by_hand, margin_loss(*(torch.from_numpy(a) for a in (z_x, z_t, c)), R).item())

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# loss_by_hand = ((z_x - c) ** 2).sum(1).mean() + np.maximum(0, 150 - ((z_t - c) ** 2).sum(1)).mean()
# ```
#
# Distances 2, 3, 10 and 12: $(4 + 9)/2 + (50 + 6)/2 = 34.5$.
# </details>

# %% [markdown]
# **Exercise 2: the wrong circle.** A colleague draws the sphere of the stored TEND with radius 150. Of the transformed slices
# (`of_transformed["distance"]`, squared!), which share would *look* as if it were inside, and which share truly is? Give both.
#
# <details><summary>Hint</summary>
#
# Drawn is the distance, the square root: it is compared with 150 in the wrong picture and with √150 in the right one.
# </details>

# %%
looks_inside, truly_inside = ..., ...

# %%
drawn = np.sqrt(of_transformed["distance"])
exercise_check(
    "2", lambda: np.array([looks_inside, truly_inside], dtype=float), np.array([(drawn < 150).mean(), (drawn < np.sqrt(150)).mean()])
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# looks_inside = (np.sqrt(of_transformed["distance"]) < 150).mean()
# truly_inside = (of_transformed["distance"] < 150).mean()
# ```
# </details>

# %% [markdown]
# **Exercise 3: a calmer scale.** Replace min–max by ranks: $\hat d(x)$ = the share of the distances in `reference` that lie below $d(x)$.
# Then λ means what it says. Write it for all fresh slices, in float64.
#
# <details><summary>Hint</summary>
#
# `np.searchsorted(np.sort(reference), values)` counts how many lie below.
# </details>

# %%
reference = np.concatenate([of_fresh["distance"][healthy][::2], of_transformed["distance"][::2]])  # would be held-out images, as in `fit`
ranked = ...  # (n,) in [0, 1], one number a fresh slice

# %%
exercise_check("3", ranked, (reference[None] < of_fresh["distance"][:, None]).mean(axis=1))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# ranked = np.searchsorted(np.sort(reference), of_fresh["distance"]) / len(reference)
# ```
#
# Now mix it: `(1 - weight) * p + weight * ranked`. λ = 0.1 gives the distance a tenth of a say, and no single image can stretch the
# scale. What is lost? Beyond the farthest reference image, all are equally far.
# </details>

# %% [markdown]
# **To think about.** [P] speaks of the distance to the *margin*, [C] takes the distance to the centre. With `distance="margin"`, max(0, d
# − R), most healthy slices get the same value, 0. What does that do to a ROC curve, and to λ = 1?
#
# **To try.** In `SETTINGS`, make `radius` ten times larger and smaller, or `margin_weight` 1 as published. Watch the animation: who
# notices?
#
# ## Sources
#
# - TEND: Guo, Gichoya, Purkayastha, Banerjee, *Margin-aware intraclass novelty identification for medical images*, J. Med. Imaging 9(1)
#   014004, 2022, and its published code.
# - Deep SVDD: Ruff et al., *Deep one-class classification*, ICML 2018.
# - The sphere before networks: Tax, Duin, *Support vector data description*, Mach. Learn. 54, 2004.
# - Digits: Alpaydin, Kaynak, *Optical recognition of handwritten digits*, UCI, 1998, as scikit-learn carries it.
#
# **Read next:** [05](05_masks_and_reconstructor.ipynb), where the second paper starts: masks. In the library: `novkit/tend/losses.py`,
# `novkit/tend/detector.py`, `novkit/baselines/deep_svdd.py`.
