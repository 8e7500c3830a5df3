"""Small pieces of the report: numbers, intervals, tables as HTML. All text from the data is escaped here or by the page."""

import re
from collections.abc import Iterable, Sequence
from html import escape

import pandas as pd

from novkit.evaluation import Interval
from novkit.experiments.ablation import ABLATED
from novkit.experiments.plans import REPRODUCED
from novkit.figures.style import method_look
from novkit.report.findings import EMBEDDED
from novkit.report.page import table_html
from novkit.results import METHODS, SETUPS, UPPER_BOUND_NOTE, Record

SHORT_SETUPS = {**SETUPS, "generated_ood": "Generated OOD"}


def slug(name: str, number: int) -> str:
    """An id for a data set's section; `number` keeps names apart that differ in no letter."""
    return f"data-{number}-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())


def tag_html(synthetic: bool) -> str:
    """The mark of generated images."""
    return '<span class="tag">synthetic</span>' if synthetic else ""


def interval_html(interval: Interval, *, signed: bool = False) -> str:
    """[low, high], never broken across lines."""
    low, high = (signed_text(value) if signed else f"{value:.3f}" for value in (interval.low, interval.high))
    return f'<span class="interval">[{low}, {high}]</span>'


def signed_text(value: float) -> str:
    """With its sign, and a minus that is one."""
    return f"{value:+.3f}".replace("-", "−")


def place_text(dataset: str, setup: str) -> str:
    """Where a finding holds, after the word "On"; escaped."""
    words = {"generated_ood": "generated out-of-distribution {} images", "one_vs_rest": "one-vs-rest on {} images"}
    return words.get(setup, "rest-vs-one on {} images").format(escape(dataset))


def range_text(values: Iterable[float]) -> str:
    """One value, or the smallest and the largest."""
    found = sorted(set(values))
    if not found:
        return "–"
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,}–{found[-1]:,}"


def command_text(records: Sequence[Record]) -> str:
    """The command that measures these runs again, names quoted as a shell takes them.

    records: at least one, all of one profile. FOLDER stands for the path of data that are not embedded.
    """
    profile, datasets = records[0].profile, {r.dataset for r in records}
    seeds, methods = len({r.seed for r in records}), [m for m in METHODS if any(r.method == m for r in records)]
    variants = {r.variant for r in records} - {""}
    if variants and len(methods) == 1 and variants <= {ablation.name for ablation in ABLATED.get(methods[0], ())}:
        made = round(records[0].n_train * 5 / 3)  # healthy slices, three fifths of them for training
        return f"novkit ablate {methods[0]} --seeds {seeds} --images {made}"
    chosen = [] if set(methods) == set(REPRODUCED) else [f"--method {m}" for m in methods]
    words = ["novkit reproduce", f"--profile {profile}", f"--seeds {seeds}", *chosen]
    words += [
        f"--setting {_quoted(change)}" for variant in sorted(variants) for change in _CHANGE.split(variant) if re.match(r"\w+=", change)
    ]
    if not datasets <= set(EMBEDDED):
        notes = {found[1] for name in datasets if (found := re.search(r" \((\w+=.*)\)$", name))}
        words += [f"--option {_quoted(change)}" for note in sorted(notes) for change in _CHANGE.split(note)]
        resting = {r.setup for r in records} - {"generated_ood"} == {"rest_vs_one"}  # every class but the novel one is normal
        normal = dict.fromkeys(name for r in records for name in r.normal if not resting)
        novel = dict.fromkeys(name for r in records for name in r.novel if r.setup != "generated_ood")
        words += ["--data FOLDER", *(f"--normal {_quoted(name)}" for name in normal), *(f"--novel {_quoted(name)}" for name in novel)]
    return " ".join(words)


_CHANGE = re.compile(r", (?=\w+=)")
"""Between changed settings in a variant or a data set's name: "epochs=3, lr=0.01"."""


def _quoted(name: str) -> str:
    """A name as a shell takes it, whatever is in it: the command is there to be copied."""
    return "'" + name.replace("'", "'\"'\"'") + "'"


def strip_svg(low: float, value: float, high: float, colour: str) -> str:
    """A little picture of an interval, AUROC 0.3 to 1; it needs no script, so it is there on any paper."""

    def x(auroc: float) -> float:
        return round(120 * (max(auroc, 0.3) - 0.3) / 0.7, 1)

    return (
        f'<svg class="strip" viewBox="0 0 120 14" role="img" aria-label="interval {low:.3f} to {high:.3f}">'
        f'<line class="track" x1="0" x2="120" y1="7" y2="7"/><line class="half" x1="{x(0.5)}" x2="{x(0.5)}" y1="0" y2="14"/>'
        f'<line x1="{x(low)}" x2="{x(high)}" y1="7" y2="7" stroke="{colour}" stroke-width="3" stroke-linecap="round"/>'
        f'<circle cx="{x(value)}" cy="7" r="4.5" fill="{colour}"/></svg>'
    )


def number_cell(value: float, form: str) -> tuple[str, str]:
    """(shown, sorted by)."""
    return ("–", "") if pd.isna(value) else (format(value, form), f"{value:.9g}")


def summary_row(line: dict, best: bool) -> list[str | tuple[str, str]]:
    """The cells of one row of the summary."""
    colour, _, _ = method_look(line["method"])
    auroc = f"{line['auroc']:.3f} [{line['low']:.3f}, {line['high']:.3f}]"
    name = escape(line["display_name"]) + (f' <abbr title="{line["note"]}">†</abbr>' if line["note"] else "")
    mark = ('<span class="best">', "</span>") if best else ("", "")
    return [
        escape(line["dataset"]) + (" " + tag_html(True) if line["synthetic"] else ""),
        SHORT_SETUPS[line["setup"]],
        f"{mark[0]}{name}{mark[1]}",
        (f"{mark[0]}{auroc}{mark[1]}", f"{line['auroc']:.9g}"),
        (strip_svg(line["low"], line["auroc"], line["high"], colour), f"{line['low']:.9g}"),
        number_cell(line["auroc_sd"], ".3f"),
        number_cell(line["average_precision_mean"], ".3f"),
        number_cell(line["fpr95_mean"], ".3f"),
        number_cell(line["pixel_auroc_mean"], ".3f"),
        number_cell(line["pixel_pro_mean"], ".3f"),
        number_cell(line["seconds_fit_mean"], ".1f"),
        number_cell(line["peak_memory_mb_mean"], ",.0f"),
    ]


def case_table(table: pd.DataFrame) -> str:
    """Methods down, cases across, AUROC with interval; nothing where there is one case, which the summary already shows."""
    cases = list(dict.fromkeys(table["case"]))
    if len(cases) < 2:
        return ""
    rows, kinds = [], []
    best = table[table["note"] == ""].groupby("case")["auroc"].max()
    for name, part in table.groupby("display_name", sort=False):
        row: list[str | tuple[str, str]] = [escape(str(name)) + (" †" if part["note"].iloc[0] else "")]
        for case in cases:
            found = part[part["case"] == case].to_dict("records")
            if not found:
                row.append(("–", ""))
                continue
            line = found[0]
            text = f"{line['auroc']:.3f} <span class=soft>[{line['low']:.3f}, {line['high']:.3f}]</span>"
            bold = line["auroc"] == best.get(case) and not line["note"]
            row.append((f'<span class="best">{text}</span>' if bold else text, f"{line['auroc']:.9g}"))
        rows.append(row)
        kinds.append("bound" if part["note"].iloc[0] else "")
    caption = f"AUROC [95 % interval] by case, mean over seeds. Bold: the best of its column. † {UPPER_BOUND_NOTE}."
    return table_html(["Method", *(f"#{case}" for case in cases)], rows, caption, sortable=True, kinds=kinds)


READING = """<section id="reading" aria-labelledby="h-reading"><h2 id="h-reading">How to read this</h2>
<p><strong>AUROC</strong> is the chance that a novel image scores above a normal one: 0.5 is guessing, 1 is perfect.
<strong>Average precision</strong> depends on how common novel images are in the test. <strong>FPR95</strong> is the share of normal images
called novel by a threshold that finds 95 of 100 novel ones: lower is better. <strong>PRO</strong> is the mean share of each abnormal region
that is found, up to 30 % false-positive pixels.</p>
<p><strong>Intervals</strong> hold the middle 95 % of bootstrap resamples of whole groups (patients, lesions or subjects), stratified by
class. They say how far another choice of test images could move the number; the sd over seeds says how far another seed may: its split, its
training and its test images.</p>
<p><strong>Better</strong> means that the 95 % interval of the mean AUROC difference, on the same resampled groups, lies above 0. The best
baseline is picked on these test images, a choice in the baselines' favour.</p>
<p>Methods are trained, selected and scaled on normal images alone. Two things stand apart: the oracle statistic is chosen on the test
labels, a bound and no method; variants called faithful repeat choices of published code, some of which use the test.</p></section>"""
