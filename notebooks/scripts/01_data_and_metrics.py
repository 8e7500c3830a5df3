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
# # Data, splits, and the numbers that judge a detector
#
# **What you will learn**
# - to look at images before counting anything;
# - to split by patient, and what each of the four parts is for;
# - which way a novelty score points, and why that is settled beforehand;
# - what ROC, AUROC, average precision, FPR95, a threshold and an interval say: each computed by hand once, with the simplest detector
#   there is, a single number of the image.
#
# Under a minute and 1 GB on two cores; nothing is trained; no network. The brain slices are *synthetic*: real, averaged anatomy (the
# ICBM 152 template) with drawn contrast, noise and lesions. They come from a development seed, so you may look as often as you like.

# %%
import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from scipy.stats import rankdata  # noqa: F401  for exercise 1
from sklearn.metrics import average_precision_score

from novkit.bootstrap import resampled_auroc
from novkit.data import load
from novkit.data.setups import one_vs_rest
from novkit.evaluation import Scores, auroc, fpr_at_tpr, image_metrics, roc
from novkit.figures import gallery, score_distributions
from novkit.figures.style import DASHES, GRID, INK, NORMAL_COLOUR, NOVEL_COLOURS, faint, finish, legend_on_top
from novkit.methods import make_detector
from novkit.notebooks import exercise_check, show_source
from novkit.seeding import numpy_generator
from novkit.statistics import STATISTICS, compute_statistics

data = load("brain", seed=1, n_healthy=1200, n_novel=400, conditions=("healthy", "glioma"), progress=False)

# %%
# NBVAL_CHECK_OUTPUT
print(len(data), "images of", data.image_shape, data.images.dtype)
print(data.table["group"].nunique(), "subjects; slices of each:", set(data.table.groupby("group").size()))

# %% [markdown]
# ## 1. Look first
#
# Five healthy subjects above, five with a glioma below. **Predict:** where are the five gliomas? The answer is in the figure after it.

# %%
rows = data.table.drop_duplicates("group").groupby("label").head(5).index
gallery(data.images[rows], list(data.labels[rows]), title="Healthy and glioma (synthetic)", columns=5)

# %%
gliomas = [row for row in rows if data.labels[row] == "glioma"]
gallery(data.images[gliomas], ["glioma, outlined"] * 5, masks=data.masks[gliomas], title="Where the gliomas are (synthetic)", columns=5)

# %% [markdown]
# On FLAIR a glioma is bright, but so is a healthy slice from a scanner with more gain. Brightness differs more between subjects than
# between health and illness, and so does nearly everything else that is simple. A detector has to know where a bright spot does not belong.
#
# ## 2. Four slices of one head
#
# Each subject gives four neighbouring slices. They share skull, anatomy, gain and scanner: they are four looks at one observation.

# %%
siblings = np.flatnonzero(np.isin(data.groups, data.groups[rows[:2]]))
gallery(data.images[siblings], [f"subject {1 + i // 4}, slice {1 + i % 4}" for i in range(8)], title="Two subjects (synthetic)", columns=4)

# %% [markdown]
# So a split must keep a subject's slices together. `one_vs_rest` divides the *subjects* 60 : 10 : 10 : 20:
#
# | part | holds | is for |
# |---|---|---|
# | train | normal | learning |
# | calibration | normal | choosing the epoch, scaling the score |
# | threshold | normal | setting the threshold |
# | test | normal and novel | the result, looked at once |
#
# Beside it, what a careless `train_test_split` over slices does. **Predict:** train holds 60 % of the slices, drawn at random. What share
# of the test slices has a sibling in train?

# %%
setup = one_vs_rest(data, "healthy", novel="glioma", seed=1)
healthy = np.flatnonzero(data.labels == "healthy")
split = setup.split
by_subject = [part[np.isin(part, healthy)] for part in (split.train, split.calibration, split.threshold, split.test)]
by_slice = np.split(numpy_generator(1, "careless").permutation(healthy), np.cumsum([len(part) for part in by_subject[:3]]))


def share_with_sibling(parts):
    """Share of the test slices whose subject is in train too."""
    return float(np.isin(data.groups[parts[3]], data.groups[parts[0]]).mean())


# %%
# NBVAL_CHECK_OUTPUT
print("by subject:", share_with_sibling(by_subject))
print("by slice, above 85 %:", share_with_sibling(by_slice) > 0.85)

# %% [markdown]
# Three siblings, each outside train with chance 0.4: $1 - 0.4^3 = 94\,\%$ have one inside. What that does to an AUROC is shown in
# [notebook 11](11_how_evaluations_go_wrong.ipynb).

# %% jupyter={"source_hidden": true}
PARTS = ("train", "calibration", "threshold", "test")


def part_of(parts):
    """(4, 30): the part each slice of every tenth subject is in."""
    part = np.empty(len(data), int)
    for number, chosen in enumerate(parts):
        part[chosen] = number
    return part[healthy].reshape(-1, 4)[::10].T


colours = (NORMAL_COLOUR, "#56B4E9", "#8C8C8C", NOVEL_COLOURS[0])
scale = [[(i + end) / 4, colour] for i, colour in enumerate(colours) for end in (0, 1)]
strips = make_subplots(2, 1, subplot_titles=["split by slice", "split by subject"], vertical_spacing=0.22)
for row, parts in enumerate((by_slice, by_subject), start=1):
    z = part_of(parts)
    letters = np.array(["", "c", "h", "t"])[z]
    cells = {"z": z, "text": letters, "texttemplate": "%{text}", "textfont": {"color": "black"}, "colorscale": scale}
    strips.add_heatmap(**cells, zmin=0, zmax=4, showscale=False, xgap=2, ygap=2, hoverinfo="skip", row=row, col=1)
strips.update_yaxes(title_text="slice", tickvals=[0, 1, 2, 3], ticktext=["1", "2", "3", "4"], showgrid=False)
strips.update_xaxes(showgrid=False, dtick=5)
strips.update_xaxes(title_text="subject: blue train, c calibration, h threshold, t test", row=2)
alt = "Thirty subjects of four slices. Split by slice, nearly every subject has slices in train and elsewhere; split by subject, none."
finish(strips, title="Who is where", alt=alt, height=380)

# %% [markdown]
# ## 3. A detector that is one number
#
# A glioma grows on one side; a healthy head is nearly symmetric. So let the novelty score be how much the image differs from its mirror
# image [O], and let us settle that *before* any score is looked at:
#
# $$s(x) = \operatorname{mean}_{ij} \left| x_{ij} - x_{i,\,w+1-j} \right|$$
#
# with columns $j = 1, \dots, w$.

# %%
show_source(STATISTICS["asymmetry"])

# %%
detector = make_detector("statistic", changes={"statistic": "asymmetry"}, progress=False)
detector.fit(setup.X_train, setup.X_calibration, X_threshold=setup.X_threshold)
score, y, table = detector.novelty_score(setup.X_test), setup.y_test, setup.test_table
tested = Scores(table["id"].to_numpy(), table["group"].to_numpy(), y, table["label"].to_numpy(), score)
score_distributions(tested, threshold=detector.threshold_, title="Asymmetry of healthy slices and gliomas (synthetic)")

# %% [markdown]
# **Which way it points.** Here and in all of novkit a *higher score is more novel*. scikit-learn's detectors point the other way:
# `score_samples` is high for the normal, and `predict` says −1 for the novel. A detector keeps both. The sign is no matter of taste:
# turned round, an AUROC of 0.63 is one of 0.37.

# %%
# NBVAL_CHECK_OUTPUT
print("AUROC(s) + AUROC(−s) = 1:", bool(np.isclose(auroc(y, score) + auroc(y, -score), 1)))
print("scikit-learn's sign:", bool(np.array_equal(detector.score_samples(setup.X_test), -score)))
print("called novel = score above the threshold:", bool(np.array_equal(detector.predict(setup.X_test) == -1, score > detector.threshold_)))

# %% [markdown]
# "Below 0.5, so we turn it round" is choosing on the test. With two signs and twelve statistics there are 24 detectors to choose from, and
# the best of them looks better than it is: that one is called the *oracle statistic*, and it is a bar to clear, not a method.
#
# ## 4. ROC: every threshold at once
#
# A threshold $t$ makes decisions: novel where $s > t$.
#
# $$\text{sensitivity} = P(s > t \mid \text{novel}), \qquad \text{false-positive rate} = P(s > t \mid \text{normal})$$
#
# Move the slider. The line cuts both histograms; the shares to its right are the two coordinates of the point.

# %% jupyter={"source_hidden": true}
novel, normal = score[y == 1], score[y == 0]
steps = np.unique(np.append(np.quantile(score, np.linspace(0.02, 0.98, 19)), detector.threshold_))
start = int(np.searchsorted(steps, detector.threshold_))
edges = np.linspace(score.min(), np.quantile(score, 0.995), 31)
moving = make_subplots(1, 2, horizontal_spacing=0.12)
top = 0.0
for name, values, colour, dash in (("healthy", normal, NORMAL_COLOUR, "solid"), ("glioma", novel, NOVEL_COLOURS[0], "dash")):
    density, _ = np.histogram(np.minimum(values, edges[-1]), bins=edges, density=True)
    top = max(top, density.max())
    look = {"line": {"color": colour, "dash": dash, "width": 1.6}, "fill": "tozeroy", "fillcolor": faint(colour, 0.16)}
    moving.add_scatter(x=np.repeat(edges, 2), y=np.r_[0, np.repeat(density, 2), 0], name=name, mode="lines", **look, row=1, col=1)
moving.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": GRID, "width": 2}, showlegend=False, hoverinfo="skip", row=1, col=2)
moving.add_scatter(x=roc(y, score)[0], y=roc(y, score)[1], mode="lines", line={"color": INK, "width": 2}, name="ROC", row=1, col=2)


def at(t):
    """The two traces that move: the line in the histogram and the point on the curve."""
    fpr, tpr = float((normal > t).mean()), float((novel > t).mean())
    line = go.Scatter(x=[t, t], y=[0, top], mode="lines", line={"color": INK, "dash": "dash"}, name="threshold", showlegend=False)
    said = f"sensitivity {tpr:.2f}<br>false positives {fpr:.2f}"
    marker = {"size": 12, "color": NOVEL_COLOURS[0], "symbol": "diamond"}
    point = go.Scatter(x=[fpr], y=[tpr], mode="markers+text", marker=marker, text=[said], textposition="bottom right", showlegend=False)
    return [line, point.update(xaxis="x2", yaxis="y2")]


moving.add_traces(at(steps[start]))
moving.frames = [go.Frame(data=at(t), traces=[4, 5], name=f"{t:.4f}") for t in steps]
jump = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}, "transition": {"duration": 0}}
slider = [{"method": "animate", "label": frame.name, "args": [[frame.name], jump]} for frame in moving.frames]
moving.update_layout(sliders=[{"steps": slider, "active": start, "currentvalue": {"prefix": "threshold "}, "pad": {"t": 46}}])
moving.update_xaxes(title_text="asymmetry (grey level, 0–1)", row=1, col=1)
moving.update_yaxes(title_text="density", showticklabels=False, row=1, col=1)
moving.update_xaxes(title_text="false-positive rate", range=[-0.02, 1.02], row=1, col=2)
moving.update_yaxes(title_text="sensitivity", range=[-0.02, 1.02], row=1, col=2)
legend_on_top(moving, 500)
alt = f"Histograms of the score of healthy and glioma slices, and the ROC curve, AUROC {auroc(y, score):.2f}; a slider moves the threshold."
finish(moving, title="One threshold, one point (synthetic)", alt=alt, height=500)

# %% [markdown]
# The area under the curve has a plain meaning: show a random novel and a random normal image; how often does the novel one score higher?
#
# $$\mathrm{AUROC} = P(s_\text{novel} > s_\text{normal}) + \tfrac12 P(s_\text{novel} = s_\text{normal})$$

# %%
# NBVAL_CHECK_OUTPUT
in_order = (novel[:, None] > normal[None, :]).mean() + 0.5 * (novel[:, None] == normal[None, :]).mean()
print(f"{novel.size} × {normal.size} pairs; share in the right order = AUROC:", bool(np.isclose(in_order, auroc(y, score))))

# %% [markdown]
# ## 5. Average precision depends on how rare the disease is
#
# Of the images *called novel*, how many are? That is precision, and average precision is its mean over the sensitivities reached:
#
# $$\text{precision} = \frac{\pi\,\text{TPR}}{\pi\,\text{TPR} + (1-\pi)\,\text{FPR}}, \qquad \mathrm{AP} = \sum_k (R_k - R_{k-1})\,P_k$$
#
# with prevalence $\pi$, recall $R$ (sensitivity) and precision $P$. **Predict:** the same scores, but one image in a hundred is novel and
# not two in three. What happens to AUROC, what to AP?

# %%
prevalences = (0.5, 0.1, 0.01)
weights = [np.where(y == 1, p / (y == 1).sum(), (1 - p) / (y == 0).sum()) for p in prevalences]  # as if that many were novel
ap = [average_precision_score(y, score, sample_weight=weight) for weight in weights]
fpr, tpr = roc(y, score)
ranked = go.Figure()
for p, value, colour, dash in zip(prevalences, ap, (NOVEL_COLOURS[0], NORMAL_COLOUR, NOVEL_COLOURS[3]), DASHES, strict=False):
    precision = p * tpr[1:] / (p * tpr[1:] + (1 - p) * fpr[1:])
    ranked.add_scatter(x=tpr[1:], y=precision, name=f"{p:.0%} novel, AP {value:.2f}", line={"color": colour, "dash": dash, "width": 2.2})
ranked.update_xaxes(title_text="recall = sensitivity").update_yaxes(title_text="precision", range=[-0.02, 1.02])
alt = "Precision against recall. " + "; ".join(f"{p:.0%} novel: AP {value:.2f}" for p, value in zip(prevalences, ap, strict=True)) + "."
finish(ranked, title="The same scores at three prevalences (synthetic)", alt=alt, height=400)

# %%
# NBVAL_CHECK_OUTPUT
print("AP falls with prevalence:", ap[0] > ap[1] > ap[2], "- at 1 %, below 0.1:", ap[2] < 0.1)
print("a coin has AP = prevalence:", bool(np.isclose(average_precision_score(y, np.zeros(len(y)), sample_weight=weights[1]), 0.1)))

# %% [markdown]
# AUROC knows no prevalence: both its axes are shares *within* a class. It is right for comparing detectors, and silent about how many
# healthy people are alarmed for each one found.
#
# ## 6. FPR95: what it costs to miss hardly anyone
#
# If 95 % of the novel images must be found, how many normal ones are called novel too?

# %%
# NBVAL_CHECK_OUTPUT
t95 = np.sort(novel)[int(0.05 * len(novel))]  # 95 % of the novel images score at least this
print("by hand = fpr_at_tpr:", (normal >= t95).mean() == fpr_at_tpr(y, score, 0.95))
print("more than two healthy slices in three are called novel:", fpr_at_tpr(y, score, 0.95) > 2 / 3)

# %% [markdown]
# ## 7. A threshold is set on normal images that were kept for it
#
# `threshold_` is the 95 % quantile of the scores of the threshold part: 5 % false positives are intended. **Predict:** will the
# test show 5 %? What if that part holds 30 subjects?
#
# Asymmetry needs no training, so we can draw the 30 subjects again and again, and watch what another 60 subjects then get.

# %%
of_subject = compute_statistics(data.images[healthy], ["asymmetry"])["asymmetry"].to_numpy().reshape(-1, 4)  # (subjects, slices)
generator = numpy_generator(1, "thresholds")
achieved = []
for _ in range(500):
    order = generator.permutation(len(of_subject))
    threshold = np.quantile(of_subject[order[:30]], 0.95, method="higher")
    achieved.append((of_subject[order[30:90]] > threshold).mean())
achieved = np.array(achieved)
histogram = go.Figure(go.Histogram(x=achieved, xbins={"start": 0, "end": 0.25, "size": 0.01}, marker_color=NORMAL_COLOUR, name="draws"))
histogram.add_vline(0.05, line={"dash": "dash", "color": INK}, annotation_text="intended")
histogram.update_xaxes(title_text="false-positive rate on 60 other subjects", tickformat=".0%").update_yaxes(
    title_text="draws of 30 subjects"
)
low, high = np.quantile(achieved, [0.05, 0.95])
alt = f"False-positive rates of 500 draws, intended 5 %: nine in ten lie between {low:.0%} and {high:.0%}."
finish(histogram, title="A threshold from 30 subjects (synthetic)", alt=alt, height=340)

# %%
# NBVAL_CHECK_OUTPUT
threshold_scores = detector.novelty_score(setup.X_threshold)
print("threshold_ is their 95 % quantile:", detector.threshold_ == np.quantile(threshold_scores, 0.95, method="higher"))
print("in one draw of ten or more the rate is twice as high as intended, or half:", ((achieved > 0.1) | (achieved < 0.025)).mean() > 0.1)

# %% [markdown]
# A threshold taken from the test itself would have shown exactly 5 % every time, and told you nothing.
#
# ## 8. An interval counts patients, not images
#
# How sure are we of the AUROC? The bootstrap draws the test again, with replacement. Drawing *images* pretends that four slices of a
# head are four people; novkit draws whole subjects (`groups`). **Predict:** how much wider is the honest interval?

# %%
by_image = image_metrics(y, score)
by_group = image_metrics(y, score, table["group"])
draws = {
    "images drawn": resampled_auroc([(y, score, table["id"].to_numpy())], 2000, 0)[0],
    "subjects drawn": resampled_auroc([(y, score, table["group"].to_numpy())], 2000, 0)[0],
}
widths = go.Figure()
for (name, values), colour, dash in zip(draws.items(), (NOVEL_COLOURS[0], NORMAL_COLOUR), DASHES, strict=False):
    density, bins = np.histogram(values, bins=40, density=True)
    low, high = np.quantile(values, [0.025, 0.975])
    look = {"line": {"color": colour, "dash": dash}, "fill": "tozeroy", "fillcolor": faint(colour, 0.16)}
    outline = {"x": np.repeat(bins, 2), "y": np.r_[0, np.repeat(density, 2), 0]}
    widths.add_scatter(**outline, mode="lines", name=f"{name}: {low:.3f} to {high:.3f}", **look)
widths.update_xaxes(title_text="AUROC of a resample").update_yaxes(title_text="density", showticklabels=False)
legend_on_top(widths, 360)
spread = np.std(draws["subjects drawn"]) / np.std(draws["images drawn"])
alt = f"AUROC of 2000 resamples: drawing subjects gives a spread {spread:.1f} times as wide."
finish(widths, title="The interval, careless and honest (synthetic)", alt=alt, height=360)

# %%
# NBVAL_CHECK_OUTPUT
ratio = (by_group.auroc_high - by_group.auroc_low) / (by_image.auroc_high - by_image.auroc_low)
print("the honest interval lies above 0.5:", by_group.auroc_low > 0.5)
print("the value is the same:", by_group.auroc == by_image.auroc, "- the honest interval is at least 1.4 times as wide:", ratio > 1.4)

# %% [markdown]
# With $m$ slices a subject whose scores correlate by $\rho$, the variance grows by $1 + (m-1)\rho$: four slices that are nearly copies
# are worth hardly more than one.
#
# ## Exercises
#
# **Exercise 1.** Write AUROC from ranks: rank all scores together (ties share their mean rank), sum the ranks of the novel images to
# $W$; then $\mathrm{AUROC} = \big(W - n_1(n_1+1)/2\big) / (n_1 n_0)$.
#
# <details><summary>Hint</summary>
#
# `rankdata(score)` gives all ranks; pick those where `y == 1`.
# </details>


# %%
def my_auroc(y, score):
    return ...  # use rankdata


exercise_check("1", lambda: my_auroc(y, np.round(score, 3)), auroc(y, np.round(score, 3)))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_auroc(y, score):
#     n1, n0 = (y == 1).sum(), (y == 0).sum()
#     return (rankdata(score)[y == 1].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)
# ```
# </details>

# %% [markdown]
# **Exercise 2.** A screening where 1 % are ill; a detector with sensitivity 0.9 and false-positive rate 0.05, far better than ours. Of
# those it alarms, what share is ill?
#
# <details><summary>Hint</summary>
#
# The formula for precision in part 5, with $\pi = 0.01$.
# </details>

# %%
share_ill = ...  # a number

exercise_check("2", share_ill, 0.01 * 0.9 / (0.01 * 0.9 + 0.99 * 0.05), tolerance=0.005)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# share_ill = 0.01 * 0.9 / (0.01 * 0.9 + 0.99 * 0.05)  # 15 %: six in seven alarms are false
# ```
# </details>

# %% [markdown]
# **Exercise 3.** Another statistic, chosen by thinking: which of `STATISTICS` should *enlarged ventricles* (dark, in the middle) change,
# and in which direction? Set name and sign; the check loads them and asks for an AUROC above 0.53.
#
# <details><summary>Hint</summary>
#
# Dark fluid takes the place of brain, in the centre of the picture: it gets darker there, so that *less* is more novel.
# </details>

# %%
statistic, sign = ..., ...  # for example "std", +1


def ventricles_auroc():
    if statistic is ...:
        return None
    ill = load("brain", seed=1, n_healthy=1, n_novel=400, conditions=("ventricles",), progress=False)
    values = sign * compute_statistics(np.concatenate([data.images[healthy], ill.images]), [statistic])[statistic]
    return auroc(np.arange(len(values)) >= len(healthy), values) > 0.53


exercise_check("3", ventricles_auroc)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# statistic, sign = "centre_brightness", -1
# ```
# It is far from a diagnosis: the data are calibrated so that no statistic tells a condition from health ([how](../docs/brain.md)).
# </details>
#
# ## Sources
#
# - What the area means: Hanley & McNeil 1982, Radiology 143, 29–36. ROC curves: Fawcett 2006, Pattern Recognition Letters 27, 861–874.
# - Precision where the novel are rare: Saito & Rehmsmeier 2015, PLoS ONE 10(3), e0118432.
# - Drawing whole groups: Field & Welsh 2007, Journal of the Royal Statistical Society B 69, 369–390.
# - Code: `novkit/evaluation.py`, `novkit/bootstrap.py`, `novkit/data/splits.py`; the choices, marked [O], are ours.
#
# **Read next:** [02](02_tend_stage_1.ipynb), the first stage of TEND; or [11](11_how_evaluations_go_wrong.ipynb), what happens to those who
# skip this page.
