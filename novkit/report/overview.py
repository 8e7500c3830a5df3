"""The report: one HTML page that states what a results folder holds, every number computed from it."""

from collections.abc import Iterable
from html import escape
from pathlib import Path

from tqdm.auto import tqdm

from novkit.errors import StoredFileError
from novkit.files import replacing
from novkit.report.datasets import dataset_section
from novkit.report.findings import find, places
from novkit.report.page import Page, table_html
from novkit.report.papers import papers_section
from novkit.report.parts import (
    READING,
    SHORT_SETUPS,
    command_text,
    interval_html,
    place_text,
    range_text,
    signed_text,
    slug,
    summary_row,
    tag_html,
)
from novkit.results import (
    METHODS,
    PAPERS,
    SETUPS,
    UPPER_BOUND_NOTE,
    Record,
    auroc_intervals,
    load_results,
    summary,
)

_PANEL = 8  # examples of one method


def write_report(
    results_folder: str | Path, output: str | Path | None = None, *, command: str | None = None, n_resamples: int = 2000
) -> Path:
    """Write the report of a results folder as one HTML file that opens anywhere, offline, and prints; returns its path.

    output: the file; None writes `report.html` into the folder. command: what remakes the results, shown at the end; None works it out.
    Raises StoredFileError where the folder holds no usable results, or the page cannot be written.
    """
    folder = Path(results_folder)
    records = load_results(folder)
    if not records:
        raise StoredFileError(f"{folder} holds no run yet: run `novkit reproduce` first.")
    page = _Report(folder if folder.suffix != ".json" else folder.parent, records, n_resamples)
    text = page.render(command or command_text(records))
    target = page.folder / "report.html" if output is None else Path(output)
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target


# ---- the page --------------------------------------------------------------------------------------------------------


class _Report:
    def __init__(self, folder: Path, records: list[Record], n_resamples: int) -> None:
        self.folder, self.records, self.n_resamples = folder, records, n_resamples
        self.page = Page()
        self.places = places(records)
        self.datasets = list(dict.fromkeys(dataset for dataset, _ in self.places))
        self.findings = find(folder, records, n_resamples=n_resamples)

    def render(self, command: str) -> str:
        title = "Novelty detection in medical images"
        papers = papers_section(self.page, self.folder, self.records)
        sections = [("findings", "Findings"), ("run", "What was run"), ("results", "Results")]
        sections += [("papers", "Beside the papers")] if papers else []
        sections += [(slug(name, self.datasets.index(name)), name.capitalize()) for name in self.datasets]
        sections += [("reading", "How to read this"), ("provenance", "Provenance")]
        links = "".join(f'<li><a href="#{name}">{escape(text)}</a></li>' for name, text in sections)
        profiles = " and ".join(sorted({r.profile for r in self.records}))
        body = [
            f'<header id="top"><p class="over">novkit · {escape(profiles)} profile</p><h1>{title}</h1>{self._lede()}{self._synthetic()}',
            f'<nav aria-label="Contents"><ul>{links}</ul></nav></header><main>',
            self._cards(),
            self._what_was_run(),
            self._summary(),
            papers,
            *(self._dataset(name) for name in tqdm(self.datasets, desc="Report", unit="data set", delay=2, leave=False)),
            READING,
            self._provenance(command),
            "</main><footer>Every number and figure on this page is computed from results.json and the scores beside it.</footer>",
        ]
        return self.page.render(f"{title}: {profiles} profile", "\n".join(body))

    # ---- first screen ----

    def _lede(self) -> str:
        if not self.findings:
            n, varied = len(self.records), any(r.method in PAPERS for r in self.records)
            what = (
                "no paper's method has been run as it is, but with changed settings"
                if varied
                else "neither paper's method has been run yet"
            )
            return f'<p class="lede">{n} run{"s" * (n != 1)}{"" if varied else " of baseline methods"}; {what}.</p>'
        first = self.findings[0]
        text = (
            f"On {place_text(first.dataset, first.setup)}, {METHODS[first.method]} reaches AUROC <b>{first.auroc.value:.3f}</b> "
            f"<span class=soft>{interval_html(first.auroc)}</span>"
        )
        if first.baseline and first.baseline_auroc and first.difference:
            text += (
                f"; the best baseline, {METHODS[first.baseline]}, <b>{first.baseline_auroc.value:.3f}</b> "
                f"<span class=soft>{interval_html(first.baseline_auroc)}</span>. "
            )
            text += {
                "better": f"{METHODS[first.method]} is better: ",
                "worse": f"{METHODS[first.method]} is worse: ",
                "no clear difference": "There is no clear difference: ",
            }[first.verdict]
            text += f"<b>{signed_text(first.difference.value)}</b> <span class=soft>{interval_html(first.difference, signed=True)}</span>."
        else:
            text += "."
        return f'<p class="lede">{text}</p>{self._tally()}'

    def _tally(self) -> str:
        sentences = []
        for method in PAPERS:
            verdicts = [f.verdict for f in self.findings if f.method == method and f.difference]
            if len(verdicts) > 1:
                parts = [f"{word} in {verdicts.count(word)}" for word in ("better", "worse") if word in verdicts]
                unclear = verdicts.count("no clear difference")
                parts += [f"not clearly different in {unclear}"] if unclear else []
                sentences.append(f"Of {len(verdicts)} comparisons with the best baseline, {METHODS[method]} is {', '.join(parts)}.")
        return f"<p>{' '.join(sentences)}</p>" if sentences else ""

    def _synthetic(self) -> str:
        made = [name for name in self.datasets if any(r.synthetic for r in self.records if r.dataset == name)]
        if not made:
            return ""
        are = "are synthetic: their images are" if len(made) > 1 else "is synthetic: its images are"
        names = " and ".join(escape(name) for name in made)
        return f'<p class="synthetic" role="note"><strong>Synthetic data.</strong> {names} {are} generated, and show no patient.</p>'

    def _cards(self) -> str:
        cards = []
        for finding in self.findings:
            look = {"better": "better", "worse": "worse"}.get(finding.verdict, "")
            lines = [
                f'<p class="over">{escape(finding.dataset)} {tag_html(finding.synthetic)}</p>'
                f"<h3>{METHODS[finding.method]}, {SHORT_SETUPS[finding.setup].lower().replace('ood', 'OOD')}</h3>",
                f'<p class="big">{finding.auroc.value:.3f} <small>AUROC {interval_html(finding.auroc)}</small></p>',
            ]
            if finding.baseline and finding.baseline_auroc and finding.difference:
                lines.append(
                    f"<p>Best baseline: {METHODS[finding.baseline]}, {finding.baseline_auroc.value:.3f} "
                    f"{interval_html(finding.baseline_auroc)}</p>"
                    f'<p><span class="verdict {look}">{finding.verdict.capitalize()}</span>: '
                    f"{signed_text(finding.difference.value)} {interval_html(finding.difference, signed=True)}</p>"
                )
            else:
                lines.append(f"<p>{finding.verdict.capitalize()}.</p>")
            lines.append(f'<p class="soft">mean of {finding.n_runs} run{"s" * (finding.n_runs != 1)}</p>')
            cards.append(f"<li>{''.join(lines)}</li>")
        inside = f'<ul class="cards">{"".join(cards)}</ul>' if cards else "<p>Neither paper's method has been run yet.</p>"
        return f'<section id="findings" aria-labelledby="h-findings"><h2 id="h-findings">Findings</h2>{inside}</section>'

    # ---- what was run ----

    def _what_was_run(self) -> str:
        rows = []
        for name in self.datasets:
            here = [r for r in self.records if r.dataset == name]
            kinds = [text for kind, text in SETUPS.items() if any(r.setup == kind for r in here)]
            rows.append(
                [
                    escape(name) + " " + (tag_html(True) if any(r.synthetic for r in here) else '<span class="tag real">real</span>'),
                    escape(", ".join(kinds)),
                    escape(", ".join(dict.fromkeys(n for r in here for n in r.normal))),
                    escape(", ".join(dict.fromkeys(n for r in here for n in r.novel))),
                    range_text(r.n_train for r in here),
                    range_text(r.n_test for r in here),
                ]
            )
        methods = [METHODS[m] for m in METHODS if any(r.method == m for r in self.records)]
        seeds = sorted({r.seed for r in self.records})
        facts = {
            "Methods": escape(", ".join(methods)),
            "Seeds": escape(", ".join(map(str, seeds))),
            "Runs": f"{len(self.records)}, each trained on normal images only",
            "Device": escape(", ".join(sorted({r.device for r in self.records}))),
        }
        heads = ["Data", "Set-ups", "Normal", "Novel", "#Training images", "#Test images"]
        return (
            '<section id="run" aria-labelledby="h-run"><h2 id="h-run">What was run</h2>'
            f"<dl>{''.join(f'<dt>{k}</dt><dd>{v}</dd>' for k, v in facts.items() if not v.startswith('–'))}</dl>"
            f"{table_html(heads, rows, 'The data sets, and what counts as novel in each.')}{self._effort()}</section>"
        )

    def _effort(self) -> str:
        """What each method was given: settings compared beforehand, images, steps and time."""
        rows: list[list[str | tuple[str, str]]] = []
        for method in (m for m in METHODS if any(r.method == m for r in self.records)):
            own = [r for r in self.records if r.method == method]
            rows.append(
                [
                    METHODS[method],
                    range_text(r.n_settings_tried for r in own),
                    range_text(r.images_seen for r in own),
                    range_text(r.steps for r in own),
                    range_text(round(r.seconds_fit) for r in own),
                ]
            )
        heads = ["Method", "#Settings tried", "#Images seen in training", "#Steps", "#Seconds to fit"]
        caption = "What each method was given: settings compared on development seeds beforehand, and the effort of a run, least to most."
        return table_html(heads, rows, caption)

    # ---- results ----

    def _summary(self) -> str:
        intervals = auroc_intervals(self.folder, self.records, by_case=False, n_resamples=self.n_resamples)
        means = summary(self.records, by_case=False).groupby(["dataset", "setup", "method", "variant"], sort=False).first().reset_index()
        table = intervals.merge(means.drop(columns=["display_name", "note"]), on=["dataset", "setup", "method", "variant"])
        table["place"] = [self.places.index((d, s)) for d, s in zip(table["dataset"], table["setup"], strict=True)]
        rows, kinds = [], []
        for (_, _), part in table.groupby(["place", "dataset"], sort=True):
            best = part.loc[part["note"] == "", "auroc"].max()
            for line in part.sort_values("auroc", ascending=False).to_dict("records"):
                rows.append(summary_row(line, line["auroc"] == best and not line["note"]))
                kinds.append("bound" if line["note"] else "")
        heads = [
            "Data",
            "Set-up",
            "Method",
            "#AUROC [95 %]",
            "#Interval",
            "#sd",
            "#AP",
            "#FPR95",
            "#Pixel AUROC",
            "#PRO",
            "#Fit (s)",
            "#MB",
        ]
        caption = (
            "Means over seeds and cases. Bold: the best of its set-up. The strip runs from 0.3 to 1, its dotted line is chance (0.5). "
            "sd: over seeds. AP: average precision. FPR95: false-positive rate at 95 % sensitivity. PRO: per-region overlap up to 30 % "
            f"false positives. MB: peak memory. † {UPPER_BOUND_NOTE}, no method. Press a heading to sort."
        )
        inner = table_html(heads, rows, caption, sortable=True, kinds=kinds)
        return f'<section id="results" aria-labelledby="h-results"><h2 id="h-results">Results</h2>{inner}</section>'

    def _dataset(self, name: str) -> str:
        kinds = [setup for dataset, setup in self.places if dataset == name]
        here = [r for r in self.records if r.dataset == name]
        own = slug(name, self.datasets.index(name))
        return dataset_section(self.page, self.folder, here, kinds, own, n_resamples=self.n_resamples)

    # ---- provenance ----

    def _provenance(self, command: str) -> str:
        def listed(values: Iterable[str]) -> str:
            return escape(", ".join(sorted({value for value in values if value}))) or "unknown"

        versions: dict[str, set[str]] = {}
        for record in self.records:
            for package, version in record.versions.items():
                versions.setdefault(str(package), set()).add(str(version))
        fingerprints = {d: listed(r.data_fingerprint for r in self.records if r.dataset == d) for d in self.datasets}
        facts = {
            "Device": listed(r.device for r in self.records),
            "Machine": listed(r.machine for r in self.records),
            "Commit": listed(r.commit for r in self.records),
            "Versions": escape(", ".join(f"{p} {' / '.join(sorted(v))}" for p, v in versions.items())) or "unknown",
            **{f"Data {escape(d)}": f"fingerprint <code>{text}</code>" for d, text in fingerprints.items()},
        }
        return (
            '<section id="provenance" aria-labelledby="h-provenance"><h2 id="h-provenance">Provenance</h2>'
            f"<dl>{''.join(f'<dt>{k}</dt><dd>{v}</dd>' for k, v in facts.items())}</dl>"
            f"<p>The command that makes these results and this page again:</p><pre><code>{escape(command)}</code></pre></section>"
        )
