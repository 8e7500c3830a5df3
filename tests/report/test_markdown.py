"""The README's numbers are those of the stored records."""

import os
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from novkit.errors import SettingsError, StoredFileError
from novkit.experiments.ablation import ablation_jobs
from novkit.published import PUBLISHED
from novkit.report.markdown import (
    between_markers,
    detailed_table,
    make_table,
    overview_table,
    papers_table,
    results_table,
    update_page,
    variants_table,
)
from novkit.report.parts import command_text
from novkit.results import load_results, load_scores

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference"


def test_text_goes_between_the_markers_and_nowhere_else():
    page = "a\n<!-- results:begin -->\nold\n<!-- results:end -->\nb\n"
    new = between_markers(page, "new", "page")
    assert new == "a\n<!-- results:begin -->\nnew\n<!-- results:end -->\nb\n"
    assert between_markers(new, "new", "page") == new
    for broken in ("", "<!-- results:begin -->", "<!-- results:end --><!-- results:begin -->"):
        with pytest.raises(StoredFileError, match="lacks the lines"):
            between_markers(broken, "x", "page")


def test_the_readme_shows_the_reference_results():
    records = load_results(REFERENCE)
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert between_markers(page, results_table(records, command_text(records)), "README.md") == page


@pytest.mark.parametrize("quick", [True, pytest.param(False, marks=pytest.mark.long)])  # intervals take a minute
def test_the_pages_show_the_results_on_real_images(quick):
    plans = runpy.run_path(str(ROOT / "results" / "real_images.py"))
    for plan, name, table, block in plans["BLOCKS"]:
        if quick is (table != "intervals"):
            page = (ROOT / name).read_text(encoding="utf-8")
            made = make_table(table, ROOT / "results" / plans["FOLDERS"][plan], plans["command"](plan))
            assert between_markers(page, made, name, block) == page


def test_the_page_shows_the_order_of_the_chest_x_rays():
    order = runpy.run_path(str(ROOT / "results" / "real_images.py"))["class_order"]()
    page = (ROOT / "docs" / "real_images.md").read_text(encoding="utf-8")
    assert between_markers(page, order, "page", "order") == page
    assert order.count("\n") > 10


@pytest.mark.skipif("NOVKIT_REAL_DATA" not in os.environ, reason="NOVKIT_REAL_DATA names no folder of real images")
def test_the_page_shows_what_the_place_of_a_slice_gives_away():
    folder = Path(os.environ["NOVKIT_REAL_DATA"])
    printed = runpy.run_path(str(ROOT / "results" / "real_images.py"))["traps"](folder)
    assert "\n".join(printed) in (ROOT / "docs" / "real_images.md").read_text(encoding="utf-8")
    table = pd.read_csv(folder / "lgg_flair_mri" / "labels.csv")
    place = (table["slice"] - 0.5) / table["n_slices"]
    expected = roc_auc_score(table["label"] == "tumor", place), roc_auc_score(table["label"] == "tumor", -((place - 0.5) ** 2))
    assert [float(word) for word in printed[1].split()[-2:]] == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("folder", ["reference", "real", "real_faithful", "real_classes"])
def test_the_records_follow_from_their_scores(folder):
    for record in load_results(ROOT / "results" / folder):
        scores = load_scores(ROOT / "results" / folder, record)
        assert record.auroc == pytest.approx(roc_auc_score(scores.label, scores.score), abs=1e-12)
        assert "modified" not in record.commit


def test_a_cell_is_mean_and_sd_over_seeds():
    records = [r for r in load_results(REFERENCE) if r.setup == "generated_ood" and r.dataset == "brain" and r.method == "tend"]
    values = [record.auroc for record in records]
    text = results_table(records, "x")
    assert f"**{np.mean(values):.3f}**" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "") in text


def cells(table: str) -> list[list[str]]:
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")]


def test_the_best_false_positive_rate_is_the_lowest():
    records = [r for r in load_results(REFERENCE) if r.dataset == "skin" and r.seed == 100 and r.method != "statistic_oracle"]
    table = next(part for part in detailed_table(records, "x").split("\n\n") if part.startswith("| False positive"))
    for column in range(1, len(cells(table)[0])):
        values = {row[column]: f"**{row[column]}**" in table for row in cells(table)[2:]}
        assert values[min(values)]


def test_the_overview_has_a_column_for_each_data_set():
    records = [r for r in load_results(REFERENCE) if r.case in ("novel: glioma", "novel: atypical") or r.setup == "generated_ood"]
    own, generated, note = overview_table(records, "the command").split("\n\n")
    assert cells(own)[0][1:] == cells(generated)[0][1:] == ["brain", "skin"]
    tend = next(row for row in cells(generated) if row[0] == "TEND")
    values = [r.auroc for r in records if (r.method, r.dataset, r.setup) == ("tend", "skin", "generated_ood")]
    assert tend[2].startswith(f"{np.mean(values):.3f}")
    assert "the command" in note


def test_variants_stand_in_the_order_they_were_run_with_the_method_as_it_is_first():
    plain = [r for r in load_results(REFERENCE) if r.method == "tend" and r.dataset == "digits" and r.setup == "one_vs_rest"]
    plain = [r for r in plain if r.normal == ("0",)]
    records = plain + [replace(r, variant=name, auroc=0.25) for name in ("zebra", "ant") for r in plain]
    rows = cells(variants_table(records, "x").split("\n\n")[0])
    assert [row[0] for row in rows[2:]] == ["as it is", "zebra", "ant"]
    assert rows[3][1].startswith("0.250")


def test_an_ablation_s_table_names_the_command_that_makes_it():
    folder = ROOT / "results" / "ablation"
    records = load_results(folder)
    table, note = make_table("variants", folder, command_text(records)).split("\n\n")
    assert cells(table)[2][0] == "as it is"
    assert len(cells(table)) == 2 + len({record.variant for record in records})
    assert note.endswith("Remake: `novkit ablate patchgan --seeds 3 --images 1600`.")
    assert ablation_jobs()[0].options["n_healthy"] == 1600
    assert make_table("variants", folder, "my own").endswith("Remake: `my own`.")
    assert command_text(load_results(ROOT / "results" / "real_faithful")).startswith("novkit reproduce")


def test_printed_figures_stand_with_their_data_and_what_would_run_them():
    rows = cells(papers_table(load_results(REFERENCE), "x"))[2:]
    assert [float(row[1]) for row in rows] == [figure.auroc for figure in PUBLISHED]
    isic = next(row for row in rows if row[0].endswith("on ISIC 2016"))
    assert "not run here: needs ISIC 2016; `novkit reproduce" in isic[2]
    assert "cannot be the same task" in isic[3]


def test_a_table_goes_into_its_own_block(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- a:begin -->\n<!-- a:end -->\n<!-- b:begin -->\n<!-- b:end -->\n", encoding="utf-8")
    update_page(REFERENCE, page, "x", table="overview", block="b")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!-- a:begin -->\n<!-- a:end -->\n<!-- b:begin -->\n| AUROC, novel classes")
    with pytest.raises(SettingsError, match="no table 'all'"):
        update_page(REFERENCE, page, "x", table="all")
    assert page.read_text(encoding="utf-8") == text
