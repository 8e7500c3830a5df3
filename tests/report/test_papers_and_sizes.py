"""The papers' section names its data, and the tertiles are what scikit-learn says of each third."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from novkit.evaluation import Scores
from novkit.report.page import Page
from novkit.report.papers import papers_section
from novkit.report.tertiles import tertile_table
from novkit.results import Record, add_record


def store(folder, method="patchgan", *, dataset="brain", novel="glioma", seed=0, area=True) -> tuple[Record, Scores]:
    rng = np.random.default_rng([seed, len(method)])
    label = np.repeat([0, 1], 60)
    size = np.where(label == 1, rng.uniform(0.01, 0.2, 120), 0.0)
    score = rng.normal(size=120) + 12 * size
    components = {"mean": score + rng.normal(size=120), "max": score - rng.normal(size=120)} if method == "patchgan" else {}
    names = np.array([f"i{i}" for i in range(120)])
    condition = np.where(label == 1, novel, "normal")
    scores = Scores(names, names, label, condition, score, components=components, area=size if area else None)
    auroc = roc_auc_score(label, score)
    record = Record(
        method=method,
        dataset=dataset,
        setup="one_vs_rest",
        normal=("normal",),
        novel=(novel,),
        seed=seed,
        profile="quick",
        auroc=auroc,
        auroc_low=0.0,
        auroc_high=1.0,
        average_precision=0.5,
        fpr95=0.5,
        n_train=10,
        n_test=120,
        seconds_fit=1.0,
        seconds_score=1.0,
        peak_memory_mb=1.0,
        n_settings_tried=1,
        data_fingerprint="f",
        synthetic=True,
        device="cpu",
    )
    return add_record(folder, record, scores), scores


def test_tertiles_are_the_aurocs_of_each_third(tmp_path):
    runs = [store(tmp_path, seed=seed) for seed in (0, 1)]
    table = tertile_table(tmp_path, [record for record, _ in runs]).set_index(["name", "tertile"])
    for name, values in (("Patch-GAN, ranked", "score"), ("Patch-GAN, mean of patches", "mean")):
        for third, tertile in enumerate(("small", "medium", "large")):
            expected = []
            for _, scores in runs:
                given = scores.score if values == "score" else scores.components[values]
                novel = np.flatnonzero(scores.label == 1)
                ordered = novel[np.argsort(scores.area[novel])]
                rows = np.r_[np.flatnonzero(scores.label == 0), ordered[20 * third : 20 * (third + 1)]]
                expected.append(roc_auc_score(scores.label[rows], given[rows]))
            assert table.loc[(name, tertile), "mean"] == pytest.approx(np.mean(expected))
            assert table.loc[(name, tertile), "seeds"] == pytest.approx(expected)


def test_runs_without_sizes_are_left_out(tmp_path):
    record, _ = store(tmp_path, "autoencoder", area=False)
    assert tertile_table(tmp_path, [record]).empty


def test_the_papers_section_keeps_the_papers_figures_and_ours_apart(tmp_path):
    records = [store(tmp_path, method)[0] for method in ("patchgan", "autoencoder", "tend")]
    text = papers_section(Page(), tmp_path, records)
    rows = [row.split("</tr>")[0] for row in text.split("<tr")[1:] if "<td" in row]
    printed, ours = f"{0.9579:.4f}", f"{records[0].auroc:.3f}"
    assert [printed in row and ours in row for row in rows] == [False] * len(rows)
    assert sum(printed in row and "ISIC 2016" in row and "not run here" in row for row in rows) == 1
    assert sum("Patch-GAN" in row and ours in row and "brain (synthetic)" in row for row in rows) == 1
    assert "It is no reproduction of that figure" in text
    assert "TEND" not in text  # not a method of that figure


def test_without_patch_gan_there_is_no_such_section(tmp_path):
    assert papers_section(Page(), tmp_path, [store(tmp_path, "autoencoder")[0]]) == ""
