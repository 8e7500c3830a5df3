"""Tables for Markdown pages, made from a results folder: nothing in them is typed."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from novkit.errors import SettingsError, StoredFileError
from novkit.experiments.ablation import DEFAULT
from novkit.files import replacing
from novkit.published import beside_ours
from novkit.results import METHODS, SETUPS, UPPER_BOUND, Record, auroc_intervals, load_results, summary

METRICS = {
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "fpr95": "False positive rate at 95 % sensitivity (lower is better)",
    "pixel_auroc": "Pixel AUROC",
    "pixel_average_precision": "Pixel average precision",
    "pixel_dice": "Pixel Dice, best",
    "pixel_pro": "Pixel PRO up to 30 % false positives",
}
BRIEF = ("auroc", "pixel_average_precision")

Place = tuple[str, str, str]  # data set, set-up, case


def results_table(records: Sequence[Record], command: str, metrics: Sequence[str] = BRIEF) -> str:
    """Each metric by method (rows) and case (columns), mean ± sd over seeds, one table a data set; below, what it was measured on."""
    table = summary([record for record in records if not record.variant])
    parts = []
    for dataset in dict.fromkeys(table["dataset"]):
        of_set = table[table["dataset"] == dataset]
        parts.append(f"**{markdown_text(dataset)}**" + (" (synthetic)" if of_set["synthetic"].any() else ""))
        for metric in metrics:
            measured = of_set[of_set[f"{metric}_mean"].notna()]
            if not measured.empty:
                parts.append(_table(measured, metric, METRICS[metric], _case))
    return "\n\n".join([*parts, _note(records, command)])


def detailed_table(records: Sequence[Record], command: str) -> str:
    """`results_table` with every metric that was measured."""
    return results_table(records, command, tuple(METRICS))


def novel_table(records: Sequence[Record], command: str) -> str:
    """AUROC by method (rows) and data set (columns), on the sets' own novel classes."""
    return overview_table([record for record in records if record.setup != "generated_ood"], command)


def overview_table(records: Sequence[Record], command: str) -> str:
    """`novel_table`, and another one for generated novelties."""
    table = summary([record for record in records if not record.variant])
    parts = []
    for generated, heading in ((False, "AUROC, novel classes"), (True, f"AUROC, {SETUPS['generated_ood'].lower()}")):
        here = table[(table["setup"] == "generated_ood") == generated]
        if not here.empty:
            parts.append(_table(here, "auroc", heading, lambda place: _spaced(place[0])))
    return "\n\n".join([*parts, _note(records, command)])


def intervals_table(records: Sequence[Record], folder: str | Path) -> str:
    """Mean AUROC and its 95 % interval over the test groups of all seeds, by method (rows) and data set (columns), on novel classes."""
    found = auroc_intervals(folder, [r for r in records if not r.variant and r.setup != "generated_ood"])
    columns = list(dict.fromkeys(found["dataset"]))
    lines = [_row("AUROC [95 % interval], novel classes", *(markdown_text(_spaced(name)) for name in columns)), _rule(len(columns))]
    for method in dict.fromkeys(found["method"]):
        of_method = found[found["method"] == method].set_index("dataset")
        cells = [f"{row['auroc']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" for _, row in of_method.reindex(columns).iterrows()]
        lines.append(_row(_name(method), *cells))
    seeds = ", ".join(str(seed) for seed in sorted({record.seed for record in records}))
    return "\n\n".join(["\n".join(lines), f"Mean over seeds {seeds}, and the middle 95 % of 2000 resamples of the test groups."])


def variants_table(records: Sequence[Record], command: str) -> str:
    """AUROC of each variant of a method (rows) and data set (columns), the method as it is first."""
    table = summary(records)
    columns = list(dict.fromkeys(table["dataset"]))
    lines = [_row("AUROC", *(markdown_text(_spaced(name)) for name in columns)), _rule(len(columns))]
    names = list(dict.fromkeys(record.variant for record in records))
    for variant in sorted(names, key=bool):
        row = {line["dataset"]: _cell(line, "auroc", False) for line in table[table["variant"] == variant].to_dict("records")}
        lines.append(_row(markdown_text(variant or DEFAULT), *(row.get(name, "–") for name in columns)))
    return "\n\n".join(["\n".join(lines), _note(records, command, best=False)])


def papers_table(records: Sequence[Record], command: str) -> str:
    """The papers' own figures, each with the data it was measured on and, where that is not here, the command that would run it."""
    found = beside_ours(record for record in records if not record.variant)
    lines = [_row("Printed figure", "AUROC", "source", "remark"), "|---|---:|---|---|"]
    for row in found[found["auroc_paper"].notna()].to_dict("records"):
        source = row["source"].replace("|", "/")  # our own text: it may hold a command between backticks
        lines.append(_row(f"{row['method']} on {row['data']}", f"{row['auroc_paper']:.4g}", source, row["remark"]))
    return "\n".join(lines)


TABLES: dict[str, Callable[..., str]] = {
    "results": results_table,
    "details": detailed_table,
    "overview": overview_table,
    "novel": novel_table,
    "intervals": intervals_table,
    "variants": variants_table,
    "papers": papers_table,
}
"""The tables that `novkit report --markdown` can write."""


def make_table(table: str, folder: str | Path, command: str) -> str:
    """One of TABLES as Markdown, from a results folder. command: what makes the results again, stated below most tables.

    Raises SettingsError for another table, StoredFileError where the folder holds no usable results.
    """
    if table not in TABLES:
        raise SettingsError(f"There is no table {table!r}: choose one of {', '.join(TABLES)}.")
    records = load_results(folder)
    return intervals_table(records, folder) if table == "intervals" else TABLES[table](records, command)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(columns: int) -> str:
    return "|---" + "|---:" * columns + "|"


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _name(method: str) -> str:
    return METHODS[method] + (" †" if method == UPPER_BOUND else "")


# what would be markup, or what code hosts link by themselves; an underscore within a word is neither
_MARKUP = re.compile(r"[\\`*&\[\]|<>$~@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)


def markdown_text(text: str) -> str:
    """Text from the data as a Markdown page shows it: none of it is markup or becomes a link, and it stays in its cell."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def _case(place: Place) -> str:
    return SETUPS[place[1]] if place[1] == "generated_ood" else place[2]


def _note(records: Sequence[Record], command: str, *, best: bool = True) -> str:
    first = records[0]
    seeds = sorted({record.seed for record in records})
    fields = {"profile": {r.profile for r in records}, "device": {r.device for r in records}, "commit": {r.commit[:10] for r in records}}
    profile, device, commit = (markdown_text(", ".join(sorted(values))) for values in fields.values())
    spread = f"mean ± standard deviation over seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}"
    legend = (
        "Bold: the best of its column. † the best single statistic *for this test set*: an upper bound chosen with its labels. The map of "
        "the two statistics is the raw grey level. "
    )
    command = " ".join(command.replace("`", " ").replace("<!--", "").split())  # between backticks nothing else is markup
    return (
        f"{spread[0].upper()}{spread[1:]}; {profile} profile. {legend if best else ''}"
        f"Measured on {device}, torch {markdown_text(first.versions.get('torch', '?'))}, commit {commit}. Remake: `{command}`."
    )


def _table(table: pd.DataFrame, metric: str, heading: str, title: Callable[[Place], str]) -> str:
    """Methods down, places across, the best of each column bold."""
    keys = ["dataset", "setup", "case"]
    columns: list[Place] = list(dict.fromkeys(table[keys].itertuples(index=False, name=None)))
    lines = [_row(heading, *(markdown_text(title(place)) for place in columns)), _rule(len(columns))]
    cells = {(row["method"], *(row[key] for key in keys)): row for row in table.to_dict("records")}
    fair = table[table["method"] != UPPER_BOUND].groupby(keys)[f"{metric}_mean"]
    best = fair.min() if metric == "fpr95" else fair.max()
    for method in (m for m in METHODS if m in set(table["method"])):
        words = []
        for place in columns:
            row = cells.get((method, *place))
            words.append("–" if row is None else _cell(row, metric, method != UPPER_BOUND and row[f"{metric}_mean"] == best[place]))
        lines.append(_row(_name(method), *words))
    return "\n".join(lines)


def _cell(row: dict, metric: str, best: bool) -> str:
    text = f"{row[f'{metric}_mean']:.3f}"
    text = f"**{text}**" if best else text
    return text + (f" ± {row[f'{metric}_sd']:.3f}" if row["n_seeds"] > 1 else "")


def between_markers(page: str, text: str, where: str, block: str = "results") -> str:
    """`page` with `text` between the two markers of a block; StoredFileError where they are missing."""
    begin, end = f"<!-- {block}:begin -->", f"<!-- {block}:end -->"
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise StoredFileError(f"{where} lacks the lines {begin} and {end}: write them where the table shall stand.")
    return page[: page.index(begin) + len(begin)] + "\n" + text + "\n" + page[page.index(end) :]


def update_page(folder: str | Path, page: str | Path, command: str, *, table: str = "results", block: str = "results") -> Path:
    """Put a table (a name of TABLES) of a results folder between the markers of a block of a Markdown page."""
    made, page = make_table(table, folder, command), Path(page)
    text = between_markers(page.read_text(encoding="utf-8"), made, str(page), block)
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page
