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
# # Your own images, and the real data sets
#
# A folder comes from a clinic. By the evening you are to say how well novelty detection works on it. This notebook is that afternoon.
#
# **What you will learn**
# - how a folder with a `labels.csv` becomes a data set, and what `load()` refuses;
# - two checks before any network: who is a patient (and who was sent twice), and whether one number gives the class away;
# - how to run several methods on your images, and to read the table and the report;
# - how to keep a detector and score new pictures with it;
# - how to get the real, public sets, and the trap in each of them.
#
# About a minute and 1.2 GB on two cores; a few small trainings; no network. The pictures are *synthetic* (novkit's `skin`: drawn by
# formulas, no patient behind them) and are written into a temporary folder, as if a clinic had sent them. Put your own in their place:
# all else stays.

# %%
import os
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from novkit.data import load
from novkit.data.prepare import recipes
from novkit.data.reading import read_image
from novkit.data.setups import one_vs_rest
from novkit.errors import DataError
from novkit.evaluation import auroc
from novkit.experiments import reproduction_on, run_jobs
from novkit.figures import auroc_dots, gallery, score_distributions
from novkit.figures.charts import pairs
from novkit.methods import load_detector
from novkit.notebooks import exercise_check, reference_results, show_source
from novkit.records import METHODS as METHOD_NAMES
from novkit.report import write_report
from novkit.results import auroc_intervals, load_results, load_scores, summary
from novkit.scoring import score_folder
from novkit.seeding import numpy_generator
from novkit.statistics import STATISTICS, compute_statistics

temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # gone when the kernel stops
WORK = Path(temporary.name)

# %% [markdown]
# ## 1. What the clinic sends
#
# Lesions, each photographed twice, at two hospitals. *North* has an older camera; and because it is the reference centre, most of the
# atypical lesions are photographed there. Somebody also copied three pictures to other patients' names. None of this is said in the mail.

# %%
drawn = load("skin", seed=3, n_benign=300, n_atypical=120, progress=False)  # synthetic


def write_folder(folder):
    """Write the pictures, and labels.csv with one row for each."""
    (folder / "photos").mkdir(parents=True)
    rows = []
    for number, (image, label) in enumerate(zip(np.asarray(drawn.images), drawn.labels, strict=True)):
        random = numpy_generator(3, "clinic", number)
        north = random.random() < {"benign": 0.1, "atypical": 0.7}[label]
        patient, age = f"p{number:03d}", int(random.integers(20, 90))
        for shot, pixels in enumerate((image, image[:, :, ::-1]), start=1):  # the second one mirrored
            picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
            if north:  # more pixels, and much noise in each
                picture = picture.resize((80, 80), Image.Resampling.BICUBIC)
                noisy = np.asarray(picture) + random.normal(0, 40, (80, 80, 3))
                picture = Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
            path = f"photos/{patient}_{shot}.png"
            picture.save(folder / path)
            rows.append({"path": path, "label": label, "group": patient, "site": "north" if north else "south", "age": age})
    for of, to in ((10, 50), (20, 60), (30, 70)):  # three pictures, once more under another name
        copied = {**rows[2 * to], "path": f"photos/p{to:03d}_3.png"}
        shutil.copy(folder / rows[2 * of]["path"], folder / copied["path"])
        rows.append(copied)
    pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)


folder = WORK / "lesions"
write_folder(folder)
pd.read_csv(folder / "labels.csv").groupby("label").head(3)

# %% [markdown]
# That table is all that novkit asks for. `path` and `label` are needed, `group` is what keeps an evaluation honest, `mask` may name a
# picture of what is abnormal; further columns are kept, to choose rows by ([all of it](../docs/data.md)).
#
# **Predict:** `load(folder)`, without anything else. Will it work?

# %%
# NBVAL_CHECK_OUTPUT
try:
    load(folder, cache=False, progress=False)
except DataError as error:
    print(error)
data = load(folder, size=64, cache=False, progress=False)
print(len(data), "images of", data.image_shape, "- normal:", data.normal)

# %% [markdown]
# Two cameras, two sizes: you have to say which one you want. (`cache=False`: patients' pictures should leave no copy on this computer. For
# large folders the copy is worth having, and is the default.) Look at some before counting anything:

# %%
some = data.table.groupby(["label", "site"]).head(6).groupby(["label", "site"]).nth([0, 2, 4]).index
captions = [f"{label}, {site}" for label, site in data.table.loc[some, ["label", "site"]].to_numpy()]
gallery(data.images[some], captions, title="What came (synthetic lesions)", columns=6)

# %% [markdown]
# ## 2. Check one: what is a patient?
#
# **Predict:** 420 patients are in `labels.csv`. How many groups will the data set have?

# %%
# NBVAL_CHECK_OUTPUT
print("patients in labels.csv:", pd.read_csv(folder / "labels.csv")["group"].nunique(), "- groups:", data.table["group"].nunique())
print({name: value for name, value in data.extra.items() if name != "groups"})

# %% [markdown]
# The copies were found: pixel for pixel the same picture cannot belong to two people, so the two patients became one group. What it
# cannot find: the mirrored second shot, another JPEG of the same picture, a patient under two names. That is what `group` is for.
#
# A split divides *groups*. Here is the split of this data set; and the split that you would get had the clinic left the column out, and
# every picture were its own group. **Predict:** of the test's normal pictures, what share has its own twin in train?


# %%
def shared_lesions(dataset):
    """Share of the normal test pictures of which another picture of the same patient is in train."""
    split = one_vs_rest(dataset, "benign", seed=0).split
    patient = dataset.table["path"].str.extract(r"(p\d+)")[0].to_numpy()
    test = split.test[dataset.labels[split.test] == "benign"]
    return float(np.isin(patient[test], patient[split.train]).mean())


without_groups = replace(data, table=data.table.assign(group=data.table["id"]))

# %%
# NBVAL_CHECK_OUTPUT
own_groups = sorted({str(name) for name in data.groups[one_vs_rest(data, "benign", seed=0).split.train]})
tested = one_vs_rest(data, "benign", seed=0).test_table["group"]
print("groups on both sides:", len(set(own_groups) & set(tested)))
print("without groups, more than half of the normal test pictures have a twin in train:", shared_lesions(without_groups) > 0.5)

# %% [markdown]
# What such twins do to an AUROC, [notebook 11](11_how_evaluations_go_wrong.ipynb) shows.
#
# ## 3. Check two: one number, before any network
#
# A novelty score that is one number of the picture needs no training:
#
# $$s(x) = \pm\, t(x), \qquad t \in \{\text{mean}, \text{standard deviation}, \dots\}$$
#
# The *fixed* statistic and its sign were chosen before anyone saw these pictures (the standard deviation, larger is more novel [O]). The
# *oracle* is the best of twelve, chosen with the labels: no method, but a bar. If it is high, either the task is easy or something gives
# the class away, and no network's AUROC means anything until you know which.
#
# **Predict:** atypical lesions are drawn so that no single number gives them away. These came through two cameras. Which number, if any?

# %%
show_source(STATISTICS["high_frequency_energy"])


# %%
def by_statistic(dataset):
    """AUROC of each single number, larger is more novel; far below 0.5 gives the class away as well."""
    table = compute_statistics(np.asarray(dataset.images))
    return {name: auroc(dataset.labels != dataset.normal, table[name]) for name in table}


south = load(folder, size=64, where="site == 'south'", cache=False, progress=False)
numbers = {"both hospitals": by_statistic(data), "south alone": by_statistic(south)}
ordered = sorted(STATISTICS, key=lambda name: -abs(numbers["both hospitals"][name] - 0.5))
pairs(
    {name.replace("_", " "): {where: found[name] for where, found in numbers.items()} for name in ordered},
    title="One number of the picture (synthetic lesions)", x_title="AUROC, larger is more novel", x_range=(0.2, 1.0),
)  # fmt: skip

# %%
# NBVAL_CHECK_OUTPUT
oracle = {where: max(max(value, 1 - value) for value in found.values()) for where, found in numbers.items()}
print("both hospitals: the best number is the energy of fine detail:", ordered[0] == "high_frequency_energy")
print("and it knows a lot:", oracle["both hospitals"] > 0.7)
print("the fixed statistic does not:", abs(numbers["both hospitals"]["std"] - 0.5) < 0.1)
print("south alone,", len(south), "pictures: no number is left above 0.65:", oracle["south alone"] < 0.65)

# %% [markdown]
# Nobody's skin has that much fine detail: it is the noise of north's camera. Whoever trains on both hospitals builds a detector of cameras,
# and the reference centre makes it look like one of disease. The mend is a line of text, `where="site == 'south'"`, and a smaller data set.
# (Where you cannot leave a hospital out, compare within each one.)
#
# ## 4. Several methods
#
# In a terminal, this is one command; it measures every method and writes a report:
#
# ```console
# novkit reproduce --data lesions --normal benign --novel atypical --size 64 --where "site == 'south'" --seeds 3
# ```
#
# Here are the same steps in Python: `reproduction_on` lists what is to be run, `run_jobs` runs it and skips what is done. To keep it short
# we take five methods, few epochs, and the clinic's own novelty alone (the command adds generated ones). A seed means: another division
# of the patients, another training.
#
# First two methods on *both* hospitals, to see what that would have claimed; then all five on south.
#
# **Predict:** by how much does leaving north out lower their AUROC? And which of the five will stand above the bar?


# %%
def measured(name, methods, **options):
    """Records of the methods, three seeds each; results in WORK/name."""
    options = {"size": 64, "cache": False, **options}
    jobs = reproduction_on(folder, ["benign"], ["atypical"], seeds=(0, 1, 2), methods=methods, options=options)
    short = {"autoencoder": {"epochs": 4}}
    jobs = [replace(job, cases=job.cases[:1], changes=short.get(job.method, {})) for job in jobs]
    return run_jobs(jobs, WORK / name, progress=False)


METHODS = ("autoencoder", "ocsvm", "pixel_zscore", "statistic", "statistic_oracle")
claimed = measured("both", ("ocsvm", "pixel_zscore"))
honest = measured("south", METHODS, where="site == 'south'")
table = summary(honest)
table[["display_name", "auroc_mean", "auroc_sd", "average_precision_mean", "n_seeds", "note"]].round(3)

# %% [markdown]
# One row a method: the mean over three divisions of the patients, and their standard deviation. The last row is the bar, not a method.


# %%
def by_seed(records, method):
    """(3,): AUROC of one method, seed by seed."""
    return np.array([record.auroc for record in sorted(records, key=lambda record: record.seed) if record.method == method])


def clearly_above(first, second):
    """Whether the mean difference over the seeds is larger than three of its standard deviations."""
    return bool((first - second).mean() > 3 * (first - second).std(ddof=1))


pairs(
    {
        METHOD_NAMES[m]: {"both hospitals": by_seed(claimed, m).mean(), "south alone": by_seed(honest, m).mean()}
        for m in ("ocsvm", "pixel_zscore")
    },
    title="What the other camera would have claimed (synthetic lesions)", x_title="AUROC, mean of three seeds", x_range=(0.45, 1.0),
)  # fmt: skip

# %%
# NBVAL_CHECK_OUTPUT
print("seed 0 learns from", honest[0].n_train, "pictures and is tested on", honest[0].n_test)
flattered = clearly_above(by_seed(claimed, "pixel_zscore"), by_seed(honest, "pixel_zscore"))
print("pixel z-score: both hospitals clearly above south alone:", flattered)
print("south: the autoencoder clearly above the bar:", clearly_above(by_seed(honest, "autoencoder"), by_seed(honest, "statistic_oracle")))

# %% [markdown]
# The other camera made the pixel z-score look like a good detector. With south alone nobody does well: the pictures are few, the four
# epochs fewer than any network deserves, and the standard deviations wide. Is the task hopeless, or the data too small? novkit keeps the
# results of `novkit reproduce` on the same kind of lesions, with far more to learn from and full training. **Predict:** which methods
# gain most?

# %%
reference = summary([r for r in load_results(reference_results()) if r.dataset == "skin" and r.setup == "one_vs_rest"])
learnt = dict(zip(reference["method"], reference["auroc_mean"], strict=True))
small = {method: {"this clinic, south": by_seed(honest, method).mean()} for method in METHODS}
order = sorted(learnt, key=learnt.get, reverse=True)
pairs(
    {METHOD_NAMES[m]: {"novkit reproduce": learnt[m], **small.get(m, {})} for m in order},
    title="The same kind of pictures, few and many (synthetic lesions)", x_title="AUROC, mean of three seeds", x_range=(0.4, 0.9),
)  # fmt: skip

# %%
# NBVAL_CHECK_OUTPUT
of_method = reference.set_index("method").loc[["patchgan", "statistic_oracle"]]
lead = of_method["auroc_mean"]["patchgan"] - of_method["auroc_mean"]["statistic_oracle"]
print("with many pictures, Patch-GAN is above the bar by more than three seed sd:", bool(lead > 3 * of_method["auroc_sd"].max()))

# %% [markdown]
# The bar, the oracle statistic, hardly moves; the better methods move past it, and some never do. The pixel z-score, best in the clinic,
# falls behind: perhaps it was lucky with these few patients. So the honest answer to the clinic is neither "it works" nor "it does not",
# but "send more, from one camera, and here is how sure we are so far".
#
# ## 5. The report
#
# With three divisions the table says how much chance there is in *who* was trained on. The interval says how much there is in *who was
# tested*: whole patients are drawn, again and again, and the same patients for every seed.

# %%
intervals = auroc_intervals(WORK / "south", honest)
auroc_dots(intervals, title="South alone: mean of three seeds, 95 % interval over patients (synthetic lesions)")

# %%
run = next(record for record in honest if record.method == "pixel_zscore" and record.seed == 0)
detector = load_detector(WORK / "south" / "detectors" / "lesions-benign-pixel_zscore-seed0")
scores = load_scores(WORK / "south", run)
score_distributions({"pixel_zscore": scores}, threshold=detector.threshold_, title="One run: scores and threshold (synthetic lesions)")

# %% [markdown]
# All of this, and more, is written by `write_report`, into one HTML file that opens anywhere, offline. Its parts:

# %%
page = write_report(WORK / "south")
headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page.read_text(encoding="utf-8"), flags=re.DOTALL)
print(" · ".join(re.sub("<[^>]+>", "", heading).strip() for heading in headings))

# %%
# NBVAL_CHECK_OUTPUT
print("report written:", page.name, "- records:", len(honest))

# %% [markdown]
# ## 6. New pictures
#
# Every run keeps its fitted detector. On Monday new pictures come, nobody knows of what. **Predict:** the threshold was set so that 5 % of
# normal pictures are called novel. Of twelve benign and six atypical new lesions, how many will be?

# %%
monday = WORK / "monday"
monday.mkdir(exist_ok=True)
arrived = load("skin", seed=4, n_benign=12, n_atypical=6, progress=False)  # synthetic, of another seed
for number, image in enumerate(np.asarray(arrived.images)):
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(monday / f"{number:02d}.png")
n, n_novel = score_folder(WORK / "south" / "detectors" / "lesions-benign-pixel_zscore-seed0", monday, WORK / "scores.csv", progress=False)
listed = pd.read_csv(WORK / "scores.csv").sort_values("score", ascending=False)
print(n_novel, "of", n, "called novel")
listed.head()

# %%
pictures = np.stack([read_image(monday / path, (64, 64)) for path in listed["path"]])
truth = arrived.labels[[int(Path(path).stem) for path in listed["path"]]]
captions = [f"{label}, {score:.2f}" for score, label in zip(listed["score"], truth, strict=True)]
gallery(pictures, captions, title=f"Monday, the most novel first; the threshold is {detector.threshold_:.2f} (synthetic)", columns=6)

# %%
# NBVAL_CHECK_OUTPUT
print("pictures scored:", n, "- columns:", list(listed.columns[:4]))
print("the file says what the detector says:", bool(np.allclose(listed["score"], detector.novelty_score(pictures))))

# %% [markdown]
# A threshold that gives few false alarms finds little of what hardly stands out; and this one hangs on the oddest two or three of some
# thirty patients ([notebook 01](01_data_and_metrics.ipynb) drew such thresholds again and again). What a weak detector has to offer is
# the *order*: read the list from the top. In a terminal:
#
# ```console
# novkit train pixel_zscore --data lesions --size 64 --where "site == 'south'" --out my-detector
# novkit score my-detector monday --out scores.csv
# ```
#
# A detector that was fitted in one hospital knows one camera; pictures from another may all be novel to it. Check two, new pictures against
# old ones, costs a second and tells you so.
#
# ## 7. The real data sets
#
# Everything so far works the same on real, public images. `novkit data list` shows them; here is the list, from the same recipes:

# %%
listing = {
    name: {
        "what": recipe.title,
        "who gets the files": "novkit" if recipe.downloads(recipe.options) else "you",
        "normal": recipe.normal or "you choose",
        "licence": recipe.licence,
    }
    for name, recipe in recipes().items()
}
pd.options.display.max_colwidth = 200
pd.DataFrame(listing).T

# %% [markdown]
# One command each, once, with a network: then `load("pneumoniamnist")` opens it at once, here and in every command, without one.
#
# ```console
# novkit data prepare pneumoniamnist
# novkit data prepare isic2016 --size 256
# novkit data prepare brats2019 --option modality=t1
# novkit reproduce --data pneumoniamnist --normal normal --novel pneumonia
# ```
#
# Where you have to fetch the files yourself, because a licence wants your name, the same command says what to get and where to put it, and
# goes on from there:

# %%
for name, recipe in recipes().items():
    if not recipe.downloads(recipe.options):
        print(f"{name}: {recipe.needs.format(raw=f'ROOT/{name}/raw')}.\n")

# %% [markdown]
# Licences are as far as we know them: read them before you publish, and never put a patient's picture where it does not belong.
#
# **Every one has its trap.** Found in copies of these sets, reduced in size (the project's `python results/real_images.py traps` prints
# the numbers):
#
# | set | mind |
# |---|---|
# | PneumoniaMNIST | some training images recur in validation; patients are not published |
# | Kermany, chest X-rays | 26 exact duplicates |
# | TCGA-LGG, FLAIR | no healthy subject; a slice's place in its stack has AUROC 0.71, its nearness to the middle 0.78 |
# | ISIC, dermoscopy | masks outline every lesion, benign or not: no truth for a map; so load it with `masks=False` |
#
# So LGG is loaded from one range of the stack, which `where` chooses:
# `"0.31 <= z_rel <= 0.84 and (label == 'normal' or tumor_px_256 >= 100)"`. Within it, nearness to its middle still has an AUROC of about
# 0.59.
#
# And each has its bar, what the best single number of the picture reaches. **Predict:** where is it highest: on chest X-rays, brain slices
# or skin?

# %%
real = load_results(reference_results().parent / "real")
bars = summary([r for r in real if r.method == "statistic_oracle" and r.setup != "generated_ood"])
bars[["dataset", "case", "auroc_mean", "auroc_sd", "n_seeds", "note"]].round(3)

# %% [markdown]
# How far methods come beyond that bar on real images is stored with the project ([all tables](../docs/real_images.md)). **Predict:** on
# chest X-rays of 28 × 28 pixels, which methods clear it?

# %%
stored = summary([r for r in real if r.dataset == "pneumoniamnist" and r.setup == "one_vs_rest"])
stored[["dataset", "case", "display_name", "auroc_mean", "auroc_sd", "n_seeds", "note"]].round(3)

# %% [markdown]
# A method that does not stand above the last row has not shown that it learnt anything but how grey a picture is. And see the fixed
# statistic, far *below* one half: turned round it would be among the best. Turning it round now, labels in hand, makes it an oracle.
#
# Do you have such a folder? Let `NOVKIT_REAL_DATA` name one that holds data sets as folders (each with a `labels.csv`, or one MedMNIST
# file) before you start Jupyter, and the next cell takes its first look at each: the fixed statistic and the oracle, before any network.

# %%
MATCHED = {"lgg_flair_mri": "0.31 <= z_rel <= 0.84 and (label == 'normal' or tumor_px_256 >= 100)"}


def first_look(home):
    """Images, groups, duplicates, and what one number knows."""
    own = {"size": 64, "masks": False, "where": MATCHED.get(home.name)} if (home / "labels.csv").exists() else {}
    dataset = load(home, progress=False, **own)
    found = by_statistic(dataset)
    best = max(found, key=lambda name: abs(found[name] - 0.5))
    row = {"images": len(dataset), "groups": dataset.table["group"].nunique(), "copies": dataset.extra.get("duplicate_images", "")}
    return row | {"fixed: std": round(found["std"], 2), "oracle": f"{best} {max(found[best], 1 - found[best]):.2f}"}


homes = sorted(Path(os.environ.get("NOVKIT_REAL_DATA", WORK / "none")).glob("*/"))
usable = [home for home in homes if (home / "labels.csv").exists() or list(home.glob("*.npz"))]
looks = pd.DataFrame({home.name: first_look(home) for home in usable}).T
looks if len(looks) else print("NOVKIT_REAL_DATA names no folder of data sets: skipped.")

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** Keep the pictures of *south* whose patient is younger than 60, as text for `where`.
#
# <details><summary>Hint</summary>
#
# Columns are `site` and `age`; conditions are joined by `and`; text stands in quotes of the other kind.
# </details>

# %%
where = ...  # "…"

exercise_check(
    "1",
    lambda: where if where is ... else len(load(folder, size=64, where=where, cache=False, progress=False)),
    int(((data.table["site"] == "south") & (data.table["age"] < 60)).sum()),
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# where = "site == 'south' and age < 60"
# ```
# </details>

# %% [markdown]
# **Exercise 2.** Another clinic sends no table, only names: `P07_left_atypical.png` is a picture of patient P07. Write the function that
# makes a row of `labels.csv` from a name. What is the group: P07, or P07_left?
#
# <details><summary>Hint</summary>
#
# `Path(name).stem.split("_")` gives the three parts.
# </details>

# %%
NAMES = ("P07_left_atypical.png", "P07_right_benign.png", "P12_left_benign.png")


def row_of(name):
    """name -> {"path": …, "label": …, "group": …}"""
    return ...


exercise_check(
    "2",
    lambda: [row_of(name) for name in NAMES],
    [{"path": name, "label": name.split("_")[2][:-4], "group": name[:3]} for name in NAMES],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def row_of(name):
#     patient, _, label = Path(name).stem.split("_")
#     return {"path": name, "label": label, "group": patient}
# ```
#
# The patient: both sides share skin, camera and day. `pd.DataFrame(map(row_of, names)).to_csv(…, index=False)` writes the table.
# </details>

# %% [markdown]
# **Exercise 3.** Is it the disease or the camera? Among *benign* pictures alone, how well does the energy of fine detail tell north from
# south? Give the AUROC, north as 1.
#
# <details><summary>Hint</summary>
#
# `benign = data.subset(data.labels == "benign")`, then `compute_statistics(benign.images, ["high_frequency_energy"])`, and
# `benign.table["site"] == "north"`.
# </details>

# %%
camera = ...  # a number


def camera_auroc():
    benign = data.subset(data.labels == "benign")
    return auroc(benign.table["site"] == "north", compute_statistics(benign.images, ["high_frequency_energy"])["high_frequency_energy"])


exercise_check("3", camera, camera_auroc())

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# benign = data.subset(data.labels == "benign")
# energy = compute_statistics(benign.images, ["high_frequency_energy"])["high_frequency_energy"]
# camera = auroc(benign.table["site"] == "north", energy)
# ```
#
# Far above the disease's own. When a number tells the *place* that well among healthy people, it is the place.
# </details>

# %% [markdown]
# **To try.** Set `folder` to a folder of your own, change the class names in `measured`, and run from `load` on. What does check two say?
#
# ## Sources
#
# - Shortcuts between hospitals: Zech et al. 2018, PLoS Medicine 15(11), e1002683. Leaks: Kapoor & Narayanan 2023, Patterns 4(9) 100804.
# - The public sets: ISIC 2016 (Gutman et al., arXiv 1605.01397); BraTS (Menze et al. 2015, IEEE Trans. Med. Imaging 34, 1993–2024);
#   RSNA Pneumonia (Shih et al. 2019, Radiology: AI 1, e180041); Kermany et al. 2018, Cell 172, 1122–1131; MedMNIST (Yang et al. 2023,
#   Scientific Data 10, 41); TCGA-LGG with masks (Buda et al. 2019, Computers in Biology and Medicine 109, 218–225).
# - [Data: every option](../docs/data.md); [the results folder](../docs/results.md). The marks: [O] our choice.
#
# **Read next:** the [notes on the results](../results/NOTES.md), and then your own notebook. This was the last of the tour; the first is
# [00](00_you_against_the_detector.ipynb).
