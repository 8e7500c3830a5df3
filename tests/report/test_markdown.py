"""The README's numbers are those of the stored records."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from novkit.errors import StoredFileError
from novkit.report.markdown import between_markers, results_table
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


def test_the_reference_records_follow_from_their_scores():
    for record in load_results(REFERENCE):
        scores = load_scores(REFERENCE, record)
        assert record.auroc == pytest.approx(roc_auc_score(scores.label, scores.score), abs=1e-12)
        assert "modified" not in record.commit


def test_a_cell_is_mean_and_sd_over_seeds():
    records = [r for r in load_results(REFERENCE) if r.setup == "generated_ood" and r.dataset == "brain" and r.method == "tend"]
    values = [record.auroc for record in records]
    text = results_table(records, "x")
    assert f"**{np.mean(values):.3f}**" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "") in text
