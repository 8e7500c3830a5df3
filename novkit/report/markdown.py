"""The README's table, made from a results folder: nothing in it is typed."""

from collections.abc import Sequence
from pathlib import Path

from novkit.errors import StoredFileError
from novkit.files import replacing
from novkit.results import METHODS, SETUPS, UPPER_BOUND, Record, load_results, summary

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def results_table(records: Sequence[Record], command: str) -> str:
    """AUROC by method (rows) and case (columns), mean ± sd over seeds, one table a data set; below, what it was measured on."""
    table = summary(records)
    parts = []
    for dataset in dict.fromkeys(table["dataset"]):
        of_set = table[table["dataset"] == dataset]
        columns = list(dict.fromkeys(zip(of_set["setup"], of_set["case"], strict=True)))
        synthetic = " (synthetic)" if of_set["synthetic"].any() else ""
        head = ["AUROC", *(SETUPS[setup] if setup == "generated_ood" else case for setup, case in columns)]
        lines = [f"**{dataset}**{synthetic}", "", "| " + " | ".join(head) + " |", "|---" + "|---:" * len(columns) + "|"]
        best = {column: _best(of_set, column) for column in columns}
        for method in (m for m in METHODS if m in set(of_set["method"])):
            rows = of_set[of_set["method"] == method]
            name = METHODS[method] + (" †" if method == UPPER_BOUND else "")
            cells = [_cell(rows, column, method == best[column]) for column in columns]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    first = records[0]
    seeds = sorted({record.seed for record in records})
    fields = {"profile": {r.profile for r in records}, "device": {r.device for r in records}, "commit": {r.commit[:10] for r in records}}
    profile, device, commit = (", ".join(sorted(values)) for values in fields.values())
    spread = f"mean ± standard deviation over seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}"
    note = (
        f"AUROC, {spread}; {profile} profile. Bold: the best of its column. † the best single statistic *for this test set*: an "
        f"upper bound chosen with its labels. Measured on {device}, torch {first.versions.get('torch', '?')}, commit {commit}. "
        f"Remake: `{command}`."
    )
    return "\n\n".join([*parts, note])


def _value(table, column: tuple[str, str]):
    rows = table[(table["setup"] == column[0]) & (table["case"] == column[1])]
    return None if rows.empty else rows.iloc[0]


def _best(table, column: tuple[str, str]) -> str:
    rows = table[(table["setup"] == column[0]) & (table["case"] == column[1]) & (table["method"] != UPPER_BOUND)]
    return str(rows.loc[rows["auroc_mean"].idxmax(), "method"]) if len(rows) else ""


def _cell(rows, column: tuple[str, str], best: bool) -> str:
    row = _value(rows, column)
    if row is None:
        return "–"
    text = f"{row['auroc_mean']:.3f}"
    text = f"**{text}**" if best else text
    return text + (f" ± {row['auroc_sd']:.3f}" if row["n_seeds"] > 1 else "")


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
