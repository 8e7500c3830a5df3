"""The report's section on the papers: their figures beside ours, each marked with the data it was measured on."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go

from novkit.figures import DistributionPanel, distribution_grid
from novkit.published import beside_ours
from novkit.report.page import Page, table_html
from novkit.report.parts import number_cell
from novkit.results import Record, load_scores

FIGURE_3 = ("autoencoder", "alocc", "ocsvm", "patchgan")
"""The methods of Figure 3 in Chen et al. 2025, in its order."""

CASES = {"brain": "novel: glioma", "skin": "novel: atypical"}
"""The embedded data that stand where the figure has BraTS 2019 and ISIC 2016."""


def figure_3(folder: Path, records: Sequence[Record]) -> go.Figure | None:
    """Score distributions of FIGURE_3 on `brain` and `skin`, first seed; None where a method was not run on either."""
    panels = []
    for dataset, case in CASES.items():
        for method in FIGURE_3:
            runs = [r for r in records if (r.dataset, r.case, r.method, r.variant) == (dataset, case, method, "")]
            if not runs:
                continue
            record = min(runs, key=lambda r: r.seed)
            scores = load_scores(folder, record)
            panel = DistributionPanel(dataset=dataset, method=method, scores=scores, auroc=record.auroc, synthetic=record.synthetic)
            panels.append(panel)
    return distribution_grid(panels) if panels else None


def papers_section(page: Page, folder: Path, records: Sequence[Record]) -> str:
    """HTML of the section; nothing where Patch-GAN, whose paper prints figures, was not run."""
    plain = [record for record in records if not record.variant]
    if not any(record.method == "patchgan" for record in plain):
        return ""
    figure = figure_3(folder, plain)
    shown = [r for r in plain if r.method in FIGURE_3 and CASES.get(r.dataset, r.case) == r.case and r.setup != "generated_ood"]
    caption = (
        "The arrangement of Figure 3 in Chen et al. 2025, on other data: the paper shows ISIC 2016 and BraTS 2019, here are this page's "
        "embedded sets, which are synthetic. It is no reproduction of that figure. One seed, the first; each panel has its own scale."
    )
    return (
        '<section id="papers" aria-labelledby="h-papers"><h2 id="h-papers">Beside the papers</h2>'
        "<p>Figures that a paper prints and figures measured here stand in rows of their own, each with its data: they are not the same "
        f"task.</p>{_table(shown)}{page.figure(figure, caption) if figure else ''}</section>"
    )


def _table(records: Sequence[Record]) -> str:
    rows: list[list[str | tuple[str, str]]] = []
    for line in beside_ours(records).to_dict("records"):
        case = f", {line['case']}" if line["case"] else ""
        remark = f'<br><span class="soft">{escape(line["remark"])}</span>' if line["remark"] else ""
        ours = number_cell(line["auroc_ours"], ".3f")
        if line["n_seeds"] > 1:
            ours = (f"{ours[0]} ± {line['sd_ours']:.3f}", ours[1])
        rows.append(
            [
                escape(line["method"]),
                escape(line["data"] + case),
                number_cell(line["auroc_paper"], ".4f"),
                ours,
                escape(line["source"]) + remark,
            ]
        )
    heads = ["Method", "Measured on", "#AUROC printed in the paper", "#AUROC measured here", "Whose figure"]
    return table_html(heads, rows, "The papers' own figures, and ours on the data that are always there. ± sd over seeds.")
