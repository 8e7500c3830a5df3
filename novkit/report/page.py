"""The frame of the HTML report: one file, nothing fetched, light and dark, on screen and on paper."""

import json
from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from novkit.figures.style import describe, harmless

# the page may not reach the network, whatever a figure or a text asks for
_POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"

_CSS = """
:root { color-scheme: light dark; --paper: #fbfaf8; --card: #ffffff; --ink: #1d2226; --soft: #5b646b; --line: #e2dfd9; --accent: #b34700;
  --better: #00694d; --worse: #a3341f; --strip: #ece9e3; --mark: #fff3d6; --mark-ink: #6b4800; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --card: #1b1f23; --ink: #e8e6e1; --soft: #a4acb3; --line: #2e343a;
  --accent: #ff9a5c; --better: #4fc9a0; --worse: #ff9280; --strip: #2a3036; --mark: #3a2f14; --mark-ink: #f3d58a; } }
@media print { :root { color-scheme: light; --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #ccc; --accent: #8a3800;
  --better: #00553e; --worse: #8a2a18; --strip: #eee; --mark: #fff; --mark-ink: #000; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main, header, footer { max-width: 70rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 3.5rem; }
h1, h2, h3 { line-height: 1.2; letter-spacing: -0.012em; text-wrap: balance; }
h1 { font-size: 2.1rem; font-weight: 650; margin: 0.2rem 0 1.2rem; }
h2 { font-size: 1.45rem; font-weight: 620; margin: 3.6rem 0 0.8rem; padding-top: 1.2rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.08rem; font-weight: 620; margin: 2.4rem 0 0.5rem; }
p { max-width: 44rem; margin: 0.6rem 0; }
a { color: var(--accent); }
.over { color: var(--soft); font-size: 0.82rem; letter-spacing: 0.06em; text-transform: uppercase; margin: 0; }
.lede { font-size: 1.3rem; line-height: 1.5; max-width: 48rem; text-wrap: pretty; }
.lede b { font-weight: 650; font-variant-numeric: tabular-nums; }
.soft, figcaption, caption { color: var(--soft); font-size: 0.9rem; }
td .soft { font-size: 0.94em; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 0.3rem 1.3rem; padding: 0; margin: 1.6rem 0 0; font-size: 0.92rem; }
.synthetic { background: var(--mark); color: var(--mark-ink); border-left: 4px solid currentColor; padding: 0.6rem 1rem;
  border-radius: 2px;
  max-width: 48rem; }
.tag { display: inline-block; font-size: 0.74rem; font-weight: 600; padding: 0.05rem 0.5rem; border-radius: 99px; background: var(--mark);
  color: var(--mark-ink); white-space: nowrap; vertical-align: 0.08em; letter-spacing: 0; text-transform: none; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(18.5rem, 1fr)); gap: 1rem; margin: 2rem 0 0; padding: 0;
  list-style: none; }
.cards li { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1.1rem 1.2rem; break-inside: avoid; }
.cards h3 { margin: 0.15rem 0 0.6rem; font-size: 1rem; }
.cards p { margin: 0.3rem 0; font-size: 0.92rem; }
.tag.real { background: var(--strip); color: var(--soft); } .interval { white-space: nowrap; }
.big { font-size: 1.9rem !important; font-weight: 650; line-height: 1.1; font-variant-numeric: tabular-nums; letter-spacing: -0.02em; }
.big small { font-size: 0.9rem; font-weight: 400; color: var(--soft); letter-spacing: 0; }
.verdict { font-weight: 600; } .better { color: var(--better); } .worse { color: var(--worse); }
.scroll { overflow-x: auto; margin: 1.2rem 0; }
table { border-collapse: collapse; width: 100%; font-size: 0.84rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 0.8rem; }
caption span { display: block; position: sticky; left: 0; max-width: min(46rem, 86vw); }
abbr { text-decoration: none; }
th, td { text-align: left; padding: 0.36rem 0.42rem; border-bottom: 1px solid var(--line); vertical-align: middle; }
thead th { font-weight: 600; border-bottom: 2px solid var(--line); vertical-align: bottom; line-height: 1.3; }
td.n, th.n { text-align: right; white-space: nowrap; }
tbody tr:hover { background: color-mix(in srgb, var(--strip) 45%, transparent); }
th button { all: unset; cursor: pointer; border-radius: 3px; }
th button:hover { color: var(--accent); }
  th button:focus-visible, a:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; }
th button::after { content: "\\00a0↕"; opacity: 0.35; font-size: 0.8em; }
th[aria-sort=ascending] button::after { content: "\\00a0↑"; opacity: 1; } th[aria-sort=descending] button::after { content: "\\00a0↓";
  opacity: 1; }
.best { font-weight: 680; } .bound td { color: var(--soft); font-style: italic; }
[data-sortable] td { white-space: nowrap; } [data-sortable] th.n { white-space: normal; }
.strip { display: inline-block; vertical-align: middle; width: 4.8rem; height: 14px; overflow: visible; }
.strip .track { stroke: var(--strip); stroke-width: 14; } .strip .half { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 2; }
figure { margin: 1.6rem 0 2.2rem; break-inside: avoid; }
figure .plot { width: 100%; } figure .pan { overflow-x: auto; } figure .wide { min-width: 42rem; } figcaption { max-width: 46rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.35rem 1.6rem; font-size: 0.93rem; } dt { color: var(--soft); }
  dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font: 0.88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 0.8rem 1rem; overflow-x: auto;
  white-space: pre-wrap; }
details { margin: 1rem 0; } summary { cursor: pointer; color: var(--accent); }
footer { padding: 4rem 1.5rem 3rem; color: var(--soft); font-size: 0.85rem; }
@media (max-width: 40rem) { header { padding-top: 2rem; } h1 { font-size: 1.7rem; } .lede { font-size: 1.12rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 0.6rem; } }
@media print { @page { margin: 16mm; } body { font-size: 10pt; } main, header, footer { max-width: none; padding-left: 0;
  padding-right: 0; }
  nav, th button::after { display: none; } h2 { margin-top: 2rem; break-after: avoid; } h3 { break-after: avoid; }
  .scroll { overflow: visible; }
  table { font-size: 7.5pt; } figure .wide { min-width: 0; } [data-sortable] td { white-space: normal; }
  td.n { white-space: nowrap !important; } .tag { font-size: 6.5pt; padding: 0 0.25rem; border: 1px solid var(--line); }
  th, td { padding: 0.2rem 0.25rem; } tr, figure { break-inside: avoid; } .strip { width: 3.2rem; }
  .cards { grid-template-columns: 1fr 1fr; } }
"""

_JS = """
const figures = JSON.parse(document.getElementById("figures").textContent);
const plots = [...document.querySelectorAll(".plot")];
const value = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// figures come in neutral colours; here they take the page's ink
function ink(layout, paper) {
  const soft = value("--soft"), strong = value("--ink");
  const change = {"font.color": soft, "title.font.color": strong, "legend.font.color": strong};
  for (const key of Object.keys(layout)) if (/^[xy]axis/.test(key)) change[key + ".gridcolor"] = value("--line");
  (layout.annotations || []).forEach((_, i) => change[`annotations[${i}].font.color`] = strong);
  return change;
}
const shown = plots.map(async node => {
  const figure = figures[node.dataset.figure];
  await Plotly.newPlot(node, figure.data, figure.layout, {displaylogo: false, responsive: true, displayModeBar: false});
  const narrow = node.clientWidth < 560 && figure.layout.legend?.title;
  const below = {"legend.orientation": "h",
    "legend.title.side": "top", "legend.x": 0, "legend.y": -0.2, "legend.yanchor": "top", "margin.l": 50};
  await Plotly.relayout(node, {...ink(node.layout), ...(narrow ? {...below, height: node.clientWidth + 260} : {})});
});
Promise.all(shown).then(() => document.documentElement.dataset.ready = "yes");
const recolour = () => plots.forEach(node => node.layout && Plotly.relayout(node, ink(node.layout)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
matchMedia("print").addEventListener("change", event => plots.forEach(node => {
  if (!node.layout) return;
  const change = ink(node.layout);
  if (event.matches) { change.width = 640; change.autosize = false; } else { change.width = null; change.autosize = true; }
  Plotly.relayout(node, change);
}));

document.querySelectorAll("table[data-sortable]").forEach(table => {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : head.classList.contains("n");
      table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");  // what is missing stays last
        const order = head.classList.contains("n") ? x - y : x.localeCompare(y, undefined, {numeric: true});
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows);
    });
  });
});
"""


class Page:
    """Collects the figures of a page and writes it as one HTML text."""

    def __init__(self) -> None:
        self._figures: dict[str, dict] = {}

    def figure(self, figure: go.Figure, caption: str) -> str:
        """HTML of a figure with its alternative text; `caption` is plain text. The plot is drawn when the page opens."""
        name = f"figure-{len(self._figures) + 1}"
        self._figures[name] = harmless(json.loads(figure.to_json()))
        layout = self._figures[name]["layout"]
        height, alt = int(layout.get("height") or 420), escape(describe(figure))
        width = layout.pop("width", None)  # the page is fluid: a figure's width is its largest
        style = f"min-height:{height}px" + (f";max-width:{int(width)}px" if width else "")
        kind = "plot wide" if "xaxis2" in layout or self._figures[name]["data"][0]["type"] == "image" else "plot"
        return (
            f'<figure id="{name}"><div class="pan"><div class="{kind}" data-figure="{name}" role="img" aria-label="{alt}" style="{style}">'
            f"</div></div>"
            f"<noscript><p>{alt}</p></noscript><figcaption>{escape(caption)}</figcaption></figure>"
        )

    def render(self, title: str, body: str) -> str:
        """The whole page; plotly.js is in it once, and only if there is a figure."""
        data = json.dumps(self._figures, separators=(",", ":")).replace("<", "\\u003c")  # no text can close the script
        plotly = f"<script>{get_plotlyjs()}</script>" if self._figures else ""
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="generator" content="novkit">'
            f"<style>{_CSS}</style></head>\n<body>\n{body}\n"
            f'<script type="application/json" id="figures">{data}</script>\n{plotly}\n<script>{_JS}</script>\n</body></html>\n'
        )


def table_html(
    heads: Sequence[str],
    rows: Sequence[Sequence[str | tuple[str, str]]],
    caption: str,
    *,
    sortable: bool = False,
    kinds: Sequence[str] | None = None,
) -> str:
    """An HTML table. heads: plain text, "#" before it for a column of numbers. Cells: HTML, or (HTML, what to sort by).

    caption: plain text. kinds: a CSS class for each row. Sortable tables grow buttons in their headings, for mouse and keyboard.
    """
    numeric = [head.startswith("#") for head in heads]
    top = "".join(
        f'<th scope="col"{" class=n" if number else ""}>{escape(head.removeprefix("#"))}</th>'
        for head, number in zip(heads, numeric, strict=True)
    )
    body = []
    for index, row in enumerate(rows):
        cells = []
        for cell, number in zip(row, numeric, strict=True):
            shown, value = cell if isinstance(cell, tuple) else (cell, None)
            data = "" if value is None else f' data-value="{escape(value)}"'
            cells.append(f"<td{' class=n' if number else ''}{data}>{shown}</td>")
        kind = f' class="{kinds[index]}"' if kinds and kinds[index] else ""
        body.append(f"<tr{kind}>{''.join(cells)}</tr>")
    mark = " data-sortable" if sortable else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table{mark}>'
        f"<caption><span>{escape(caption)}</span></caption>"
        f"<thead><tr>{top}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )
