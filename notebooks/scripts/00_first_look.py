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
# # A first look
#
# **What you will learn:** what the images look like, why no single number of an image gives illness away, and how to read a score
# distribution. About one minute and 1 GB on two cores; no training, no network.
#
# The slices are *synthetic*: real, averaged anatomy (the ICBM 152 template) with drawn contrast, noise and lesions.

# %%
from pathlib import Path

from novkit.data import load
from novkit.evaluation import auroc
from novkit.figures import gallery, roc_curves, score_distributions
from novkit.results import load_results, load_scores
from novkit.statistics import compute_statistics

data = load("brain", seed=0, n_healthy=800, n_novel=800, conditions=("healthy", "glioma"), progress=False)
print(len(data), "images of", data.image_shape, "-", data.table["group"].nunique(), "subjects")

# %% [markdown]
# Four slices belong to one subject. Whoever splits by slice lets a subject stand on both sides.

# %%
rows = data.table.drop_duplicates("group").groupby("label").head(5).index
gallery(data.images[rows], list(data.labels[rows]), title="Brain slices (synthetic)", columns=5)

# %% [markdown]
# **Predict:** gliomas on FLAIR are bright. How well does the brightest percentile of the image tell glioma from healthy?
#
# $$\mathrm{AUROC} = P(s(\text{novel}) > s(\text{normal}))$$

# %%
statistics = compute_statistics(data.images)
y = (data.labels == "glioma").astype(int)
values = {name: auroc(y, statistics[name]) for name in ("mean", "percentile_99", "asymmetry", "high_frequency_energy")}
print("every one below 0.7:", all(max(v, 1 - v) < 0.7 for v in values.values()))
print({name: round(value, 2) for name, value in values.items()})

# %% [markdown]
# Hardly at all: brightness differs more between subjects than between health and illness. A detector has to know where a bright spot
# does not belong.
#
# ## What three detectors make of distorted slices
#
# Scores stored by `novkit reproduce --seeds 3`, seed 100: normal slices, and slices distorted in ways that no training saw.

# %%
folder = next(p / "results" / "reference" for p in (Path.cwd(), *Path.cwd().parents) if (p / "results" / "reference").is_dir())
records = [r for r in load_results(folder) if (r.dataset, r.setup, r.seed) == ("brain", "generated_ood", 100)]
scores = {r.method: load_scores(folder, r) for r in records if r.method in ("tend", "autoencoder", "pixel_zscore")}
print(
    "TEND is above the autoencoder:",
    auroc(scores["tend"].label, scores["tend"].score) > 0.05 + auroc(scores["autoencoder"].label, scores["autoencoder"].score),
)

# %%
score_distributions(scores, title="Scores of normal and of distorted slices (synthetic)")

# %%
roc_curves(scores, title="The same as ROC curves (synthetic)")

# %% [markdown]
# **Try:** replace `"glioma"` by `"ventricles"` above. Which statistic says most now?
#
# **Read next:** `novkit/tend/losses.py`, the equations of TEND in order, and `docs/brain.md`, how the slices are made.
