"""The README's table, made from a results folder: nothing in it is typed."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from novkit.errors import StoredFileError
from novkit.files import replacing
from novkit.results import METHODS, SETUPS, UPPER_BOUND, Record, load_results, summary

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def results_table(records: Sequence[Record], command: str) -> str:
    """AUROC by method (rows) and case (columns), mean ± sd over seeds, one table a data set; below, what it was measured on."""
    table = summary([record for record in records if not record.variant])
    parts = []
    for dataset in dict.fromkeys(table["dataset"]):
        of_set = table[table["dataset"] == dataset]
        name = f"**{dataset}**" + (" (synthetic)" if of_set["synthetic"].any() else "")
        parts += [name, _table(of_set, "auroc", "AUROC")]
        located = of_set[of_set["pixel_average_precision_mean"].notna()]
        if not located.empty:
            parts.append(_table(located, "pixel_average_precision", "Pixel average precision"))
    first = records[0]
    seeds = sorted({record.seed for record in records})
    fields = {"profile": {r.profile for r in records}, "device": {r.device for r in records}, "commit": {r.commit[:10] for r in records}}
    profile, device, commit = (", ".join(sorted(values)) for values in fields.values())
    spread = f"mean ± standard deviation over seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}"
    note = (
        f"{spread[0].upper()}{spread[1:]}; {profile} profile. Bold: the best of its column. † the best single statistic *for this test "
        "set*: an upper bound chosen with its labels. Where statistics have a map, it is the raw grey level. "
        f"Measured on {device}, torch {first.versions.get('torch', '?')}, commit {commit}. Remake: `{command}`."
    )
    return "\n\n".join([*parts, note])


def _table(table: pd.DataFrame, metric: str, heading: str) -> str:
    """Methods down, cases across, the best of each column bold."""
    columns = list(dict.fromkeys(zip(table["setup"], table["case"], strict=True)))
    head = [heading, *(SETUPS[setup] if setup == "generated_ood" else case for setup, case in columns)]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * len(columns) + "|"]
    cells = {(row["method"], row["setup"], row["case"]): row for row in table.to_dict("records")}
    fair = table[table["method"] != UPPER_BOUND]
    best = fair.groupby(["setup", "case"])[f"{metric}_mean"].max()
    for method in (m for m in METHODS if m in set(table["method"])):
        words = []
        for setup, case in columns:
            row = cells.get((method, setup, case))
            words.append("–" if row is None else _cell(row, metric, method != UPPER_BOUND and row[f"{metric}_mean"] == best[setup, case]))
        lines.append(f"| {METHODS[method]}{' †' if method == UPPER_BOUND else ''} | " + " | ".join(words) + " |")
    return "\n".join(lines)


def _cell(row: dict, metric: str, best: bool) -> str:
    text = f"{row[f'{metric}_mean']:.3f}"
    text = f"**{text}**" if best else text
    return text + (f" ± {row[f'{metric}_sd']:.3f}" if row["n_seeds"] > 1 else "")


def between_markers(page: str, text: str, where: str) -> str:
    """`page` with `text` between the two markers; StoredFileError where they are missing."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise StoredFileError(f"{where} lacks the lines {BEGIN} and {END}: write them where the table shall stand.")
    return page[: page.index(BEGIN) + len(BEGIN)] + "\n" + text + "\n" + page[page.index(END) :]


def update_page(folder: str | Path, page: str | Path, command: str) -> Path:
    """Put the table of a results folder between the markers of a Markdown page."""
    page = Path(page)
    text = between_markers(page.read_text(encoding="utf-8"), results_table(load_results(folder), command), str(page))
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page
