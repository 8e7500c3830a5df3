"""The page of an ablation: what each choice of a method is worth."""

import math
from html import escape
from pathlib import Path

import pandas as pd

from novkit.errors import StoredFileError
from novkit.experiments.ablation import DEFAULT, ablation_table
from novkit.figures import ablation_dots
from novkit.files import replacing
from novkit.report.markdown import markdown_text
from novkit.report.page import Page, table_html
from novkit.report.parts import number_cell, signed_text
from novkit.results import METHODS, load_results


def write_ablation(folder: str | Path, command: str) -> Path:
    """Write ablation.html, figure and table, into a results folder of `novkit ablate`; returns its path.

    command: what made the results, to be shown. Raises StoredFileError where the folder holds no usable results, or none of the default.
    """
    folder = Path(folder)
    records = load_results(folder)
    if not any(record.variant == "" for record in records):
        raise StoredFileError(f"{folder} holds no run of the settings as they are: run `{command}` to its end.")
    table = ablation_table(folder, records)
    first = records[0]
    title = f"What each part of {METHODS[first.method]} brings"
    page = Page()
    seeds = ", ".join(map(str, sorted({record.seed for record in records})))
    made = " The images are synthetic." if first.synthetic else ""
    body = (
        f'<header><p class="over">novkit · ablation</p><h1>{escape(title)}</h1>'
        f'<p class="lede">{escape(first.dataset)}, {escape(first.case)}, {first.n_train} training images, seeds {seeds}.{made}</p></header>'
        f"<main>{page.figure(ablation_dots(table, default=DEFAULT, title=title), 'Mean and standard deviation over seeds.')}{_html(table)}"
        f"<p>Device: {escape(first.device)}; {escape(first.machine)}; commit {escape(first.commit[:10])}. "
        f"Remake: <code>{escape(command)}</code></p></main>"
    )
    target = folder / "ablation.html"
    with replacing(target) as temporary:
        temporary.write_text(page.render(title, body), encoding="utf-8")
    return target


def _html(table: pd.DataFrame) -> str:
    rows: list[list[str | tuple[str, str]]] = []
    for row in table.to_dict("records"):
        against = "–" if math.isnan(row["difference"]) else f"{signed_text(row['difference'])} [{row['low']:+.3f}, {row['high']:+.3f}]"
        cells: list[str | tuple[str, str]] = [escape(row["group"]), escape(row["name"])]
        for metric in ("auroc", "pixel_average_precision", "pixel_dice"):
            cells += [number_cell(row[f"{metric}_mean"], ".3f"), number_cell(row[f"{metric}_sd"], ".3f")]
        rows.append([*cells, (against, f"{row['difference']:.9g}")])
    heads = ["Choice", "Changed to", "#AUROC", "#sd", "#Pixel AP", "#sd", "#Dice", "#sd", "#AUROC difference [95 %]"]
    caption = "One choice changed at a time. Means and sd over seeds; the difference is paired over test images. Press a heading to sort."
    return table_html(heads, rows, caption, sortable=True)


def ablation_markdown(folder: str | Path) -> str:
    """The same table for a Markdown page: AUROC, its difference to the default with 95 % interval, pixel AP and Dice, a row each choice.

    folder: a results folder of `novkit ablate` that holds the default's run. Raises as `load_results`.
    """
    records = load_results(folder)
    lines = ["| choice | changed to | AUROC | difference [95 %] | pixel AP | Dice |", "|---|---|---:|---:|---:|---:|"]
    for row in ablation_table(folder, records).to_dict("records"):
        cells = [markdown_text(row["group"]), markdown_text(row["name"])]
        for metric in ("auroc", "pixel_average_precision", "pixel_dice"):
            cells.append("–" if math.isnan(row[f"{metric}_mean"]) else f"{row[f'{metric}_mean']:.3f} ± {row[f'{metric}_sd']:.3f}")
        against = "" if math.isnan(row["difference"]) else f"{signed_text(row['difference'])} [{row['low']:+.3f}, {row['high']:+.3f}]"
        lines.append("| " + " | ".join([*cells[:3], against, *cells[3:]]) + " |")
    return "\n".join(lines)
