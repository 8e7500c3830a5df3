"""Printed figures keep their source and their data, and no row could be taken for a repetition of another's."""

import math
import re
import shlex

import numpy as np
import pytest
from typer.testing import CliRunner

from novkit.errors import NovkitError
from novkit.published import COLUMNS, PUBLISHED, beside_ours
from novkit.records import METHODS, Record

BASE = {
    "method": "patchgan", "dataset": "brain", "setup": "one_vs_rest", "normal": ("healthy",), "novel": ("glioma",), "seed": 100,
    "profile": "quick", "auroc": 0.5, "auroc_low": 0.25, "auroc_high": 0.75, "average_precision": 0.5, "fpr95": 0.5, "n_train": 10,
    "n_test": 6, "seconds_fit": 1.0, "seconds_score": 1.0, "peak_memory_mb": 1.0, "data_fingerprint": "abc", "synthetic": True,
    "device": "CPU",
}  # fmt: skip


def record(**changes) -> Record:
    return Record(**(BASE | changes))


def records() -> list[Record]:
    brain = [record(seed=seed, auroc=auroc) for seed, auroc in ((100, 0.5), (101, 0.625), (102, 0.75))]
    real = {"dataset": "lgg_flair_mri", "synthetic": False, "normal": ("normal",), "novel": ("tumor",)}
    return [*brain, record(method="alocc", auroc=0.375), record(auroc=0.7, **real)]


def test_every_printed_figure_names_its_source():
    for figure in PUBLISHED:
        assert 0.5 < figure.auroc < 1
        assert figure.mark == ("S" if "as others quote it" in figure.source else "P")
        assert re.search(r"\b(19|20)\d\d\b", figure.source)  # a year
        assert re.search(r"arXiv \d{4}\.\d{5}|PMC\d+", figure.source)
        assert figure.dataset
        assert figure.method in {*METHODS, ""}
        assert bool(figure.method) == bool(figure.command) == bool(figure.folder)


def test_patch_gan_and_the_scale_beside_it():
    printed = {(figure.method, figure.dataset): figure for figure in PUBLISHED}
    isic, brats = printed["patchgan", "ISIC 2016"], printed["patchgan", "BraTS 2019"]
    assert f"{isic.auroc:.2%}, {brats.auroc:.2%}" == "95.79%, 96.05%"
    fusion = next(figure for figure in PUBLISHED if not figure.method)
    assert fusion.auroc < isic.auroc
    assert f"{fusion.auroc:.2f}" in isic.remark
    assert "cannot be the same task" in isic.remark


def test_a_row_is_a_paper_s_or_ours_never_both():
    table = beside_ours(records())
    assert tuple(table) == COLUMNS
    assert (table["auroc_paper"].isna() != table["auroc_ours"].isna()).all()
    papers, ours = table[table["auroc_ours"].isna()], table[table["auroc_paper"].isna()]
    assert list(papers["auroc_paper"]) == [figure.auroc for figure in PUBLISHED]
    assert not set(papers["data"]) & set(ours["data"])
    for row in papers.to_dict("records"):
        assert row["source"].startswith(f"paper's own, on {row['data']}")
        assert math.isnan(row["sd_ours"])
    for row in ours.to_dict("records"):
        assert row["source"] == f"measured with novkit, on {row['data']}"
        assert "paper" not in row["source"]
    assert "reproduc" not in table.drop(columns="source").to_csv().lower()


def test_ours_are_means_over_seeds_with_their_data():
    ours = beside_ours(records()).dropna(subset="auroc_ours").set_index(["method", "data"])
    brain = ours.loc[("Patch-GAN", "brain (synthetic)")]
    assert (brain["auroc_ours"], brain["sd_ours"], brain["n_seeds"]) == (0.625, np.std([0.5, 0.625, 0.75], ddof=1), 3)
    assert brain["case"] == "novel: glioma"
    assert ours.loc[("ALOCC", "brain (synthetic)"), "auroc_ours"] == 0.375
    assert ours.loc[("Patch-GAN", "lgg_flair_mri"), "auroc_ours"] == 0.7
    assert ours["synthetic"].tolist() == ["(synthetic)" in data for _, data in ours.index]


def test_not_run_here_until_it_is():
    source = {row["data"]: row["source"] for row in beside_ours(records()).to_dict("records")}
    assert "(not run here: needs ISIC 2016; `novkit reproduce " in source["ISIC 2016"]
    assert "needs BraTS 2019" in source["BraTS 2019"]
    assert "not run here" not in source["ISIC 2016, a subset of 100 images"]
    own = record(dataset="isic2016", synthetic=False, normal=("benign",), novel=("malignant",))
    run = {row["data"]: row["source"] for row in beside_ours([own]).to_dict("records")}
    assert "not run here" not in run["ISIC 2016"]
    assert "not run here" in run["BraTS 2019"]
    other = beside_ours([record(dataset="isic2016", synthetic=False, method="alocc")])
    assert "not run here" in other.set_index("data").loc["ISIC 2016", "source"]  # a baseline's run is not the method's
    assert len(beside_ours([])) == len(PUBLISHED)


@pytest.mark.parametrize("command", [figure.command for figure in PUBLISHED if figure.command])
def test_the_command_is_one_that_novkit_understands(command, tmp_path, monkeypatch):
    from novkit.cli import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOVKIT_CACHE", str(tmp_path / "cache"))
    words = shlex.split(command)
    assert words[0] == "novkit"
    result = CliRunner().invoke(app, words[1:])
    assert isinstance(result.exception, NovkitError)  # the data are not here; a wrong option would be SystemExit(2)
    assert words[words.index("--data") + 1] in str(result.exception)
