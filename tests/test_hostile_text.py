"""Names from files and tables are shown as they are: no figure, page, table or widget takes one for markup, a link or a formula."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from novkit import figures
from novkit.evaluation import Scores
from novkit.figures.charts import cloud, curves, pairs, shares
from novkit.figures.style import finish, harmless
from novkit.records import Record
from novkit.report import write_report
from novkit.report.markdown import TABLES, make_table
from novkit.report.parts import command_text
from novkit.results import load_results
from novkit.widgets.readouts import readout_table
from novkit.widgets.score_figure import scores_figure, scores_spec
from novkit.widgets.score_view import ScoreState, readout_html, selection_csv, shown_runs
from novkit.widgets.stored import Run
from novkit.widgets.thumbnails import Card, cards_html
from tests.campaign import record
from tests.conftest import blobs
from tests.report.test_report import fabricate
from tests.widgets import small

HOSTILE = (
    "<script>alert(1)</script>", '"onmouseover="alert(1)', "'><img src=x onerror=alert(1)>", "</style><b style='color:red'>", "</script>",
    "<a href='https://x.invalid'>tumour</a>", "<a href=\"javascript:alert(1)\">x</a>", "<span style='font-size:900px'>x</span>",
    "$\\href{javascript:alert(1)}{x}$", "[x](javascript:alert(1))", "![x](https://x.invalid/y.png)", "| a | b |",
    "`x` **y** <!-- results:end -->", "a\nb\n# c", "&lt;i&gt; & &amp;", "=cmd|'/c calc'!A0", "@SUM(1)", "%{customdata[0]} %s {0} {x}",
    "\x1b[2J", "\u202egnp.exe", "a" * 300,
)  # fmt: skip
TOGETHER = (" ".join(HOSTILE),)  # all of them in one page or figure: drawing takes longest
HARMLESS_TAG = re.compile(r"<(?:/?(?:b|i|sub|sup|extra)|br)>", re.IGNORECASE)


def scores(name: str, other: str, seed: int = 0) -> Scores:
    draw, y = np.random.default_rng(seed), np.arange(40) % 2
    ids = np.array([f"{name}{i}" for i in range(40)])
    return Scores(ids, ids, y, np.where(y, name, other), draw.normal(size=40) + y)


def table(name: str) -> pd.DataFrame:
    row = {
        "dataset": name,
        "setup": "one_vs_rest",
        "case": f"novel: {name}",
        "method": "tend",
        "variant": name,
        "display_name": f"TEND ({name})",
    }
    return pd.DataFrame([row | {"auroc": 0.8, "low": 0.7, "high": 0.9, "seeds": [0.79, 0.81], "note": name}])


def _dots(name: str) -> pd.DataFrame:
    rows = [{"group": name, "name": each, "auroc_mean": 0.8, "auroc_sd": 0.1, "pixel_average_precision_mean": 0.5,
             "pixel_average_precision_sd": 0.1} for each in ("default", name)]  # fmt: skip
    return pd.DataFrame(rows)


X = blobs(2)
FIGURES: dict[str, Callable[[str], object]] = {
    "distributions": lambda name: figures.score_distributions({name: scores(name, "normal")}, title=name),
    "roc": lambda name: figures.roc_curves({name: scores(name, "normal")}, title=name, n_resamples=5),
    "dots": lambda name: figures.auroc_dots(table(name), title=name),
    "table": lambda name: figures.auroc_table(table(name), title=name),
    "grid": lambda name: figures.distribution_grid(
        [figures.DistributionPanel(dataset=name, method=name, scores=scores(name, name), auroc=0.5, synthetic=True)], title=name
    ),
    "tertiles": lambda name: figures.tertile_dots(pd.DataFrame([{"name": name, "tertile": "small", "mean": 0.7, "sd": 0.1}]), title=name),
    "ablation": lambda name: figures.ablation_dots(_dots(name), title=name),
    "training": lambda name: figures.training_curves([{"epoch": 0, "phase": name, name: 1.0, f"val_{name}": 2.0}] * 3, title=name),
    "gallery": lambda name: figures.gallery(X, [name, name], title=name),
    "reconstructions": lambda name: figures.reconstructions(X, X, [name, name], title=name),
    "maps": lambda name: figures.novelty_maps(X, X[:, 0] / 255.0, [name, name], title=name),
    "story": lambda name: figures.patch_story(
        X, X, X, X[:, 0] / 255.0, np.random.default_rng(0).random((2, 16)), (4, 4, 8), X[:, 0] / 255.0, captions=[name, name], title=name
    ),
    "curves": lambda name: curves({name: {name: ([1, 2], [0.1, 0.2])}}, title=name, x_title=name, y_title=name),
    "cloud": lambda name: cloud([1, 2], [3, 4], [name, name], title=name, x_title=name, y_title=name),
    "shares": lambda name: shares({name: {name: 1.0}}, title=name, x_title=name),
    "pairs": lambda name: pairs({name: {name: 0.5, f"{name} 2": 0.6}}, title=name, x_title=name),
    "explorer": lambda name: scores_figure(*_shown(name)),
}


def _shown(name: str):
    given = scores(name, "normal")
    run = Run(small.record(dataset=name, novel=(name,), method="autoencoder", n_test=40), given)
    state = ScoreState(dataset=name, case=f"novel: {name}", seed=0, methods=(name,), selected_method=name, selected=(0.0, 1.0),
                       selected_classes=(name, "normal"))  # fmt: skip
    return shown_runs({name: run}, state), state


def texts(value: object, key: str = "") -> Iterator[str]:
    """Every text of a figure's JSON that plotly could draw; `meta` holds the alternative text, which pages escape themselves."""
    if isinstance(value, str) and not value.startswith("data:image/png;base64,"):
        yield value
    elif isinstance(value, dict):
        for name, part in value.items():
            if name not in ("meta", "template", "uirevision", "legendgroup"):
                yield from texts(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part, key)


@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure_shows_names_as_they_are(kind):
    for name in TOGETHER:
        for text in texts(json.loads(FIGURES[kind](name).to_json())):  # type: ignore[attr-defined]
            assert "<" not in HARMLESS_TAG.sub("", text), text
            assert "$" not in text, text


def test_a_figure_that_does_not_is_noticed():
    import plotly.graph_objects as go

    raw = go.Figure(go.Scatter(x=[1], y=[1], name=HOSTILE[5]))
    assert any("<" in HARMLESS_TAG.sub("", text) for text in texts(json.loads(raw.to_json())))
    raw.add_annotation(text="s<sub>p</sub><br><b>bold</b>")
    made = finish(raw, title="$5 < $7", alt="<b>")
    assert made.data[0].name == "&lt;a href='https://x.invalid'>tumour&lt;/a>"
    assert made.layout.annotations[0].text == "s<sub>p</sub><br><b>bold</b>"  # what novkit writes stays
    assert made.layout.title.text == "&#36;5 &lt; &#36;7"
    assert made.layout.meta == {"alt": "<b>"}


def test_harmless_leaves_numbers_and_what_is_plain():
    values = {"x": np.arange(3.0), "y": [1, 2.5, True], "text": ["a", "b"], "n": None, "names": np.array(["<u>", "b"])}
    made = harmless(values)
    assert made["x"] is values["x"]
    assert made["y"] is values["y"]
    assert made["text"] == ["a", "b"]
    assert made["names"].tolist() == ["&lt;u>", "b"]
    assert harmless(made)["names"].tolist() == made["names"].tolist()  # twice is once


# ---- HTML ------------------------------------------------------------------------------------------------------------------


class Markup(HTMLParser):
    """The elements of a page with the names of their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(sorted(name for name, _ in attrs))))
        self.links += [str(value) for name, value in attrs if name in ("href", "src", "action", "xlink:href")]


def markup(text: str) -> Markup:
    read = Markup()
    read.feed(text)
    read.close()
    return read


def test_a_report_has_the_same_elements_whatever_things_are_called(tmp_path):
    """Written twice, once with plain names: not one element or attribute more, and no address."""
    pages = {}
    for kind, name in (("plain", "x"), *((f"hostile{k}", name) for k, name in enumerate(TOGETHER))):
        folder = tmp_path / kind
        cases = {name: [("one_vs_rest", [name])]}
        fabricate(folder, skill={"tend": 1.9, "statistic": 0.5}, cases=cases, seeds=1, n=40, normal=f"{name} normal", device=name,
                  commit=name, machine=name, data_fingerprint=name, versions={name: name}, settings={name: name})  # fmt: skip
        pages[kind] = markup(write_report(folder, n_resamples=5, command=name).read_text(encoding="utf-8"))
    plain = pages.pop("plain")
    different = {kind for kind, page in pages.items() if sorted(page.elements) != sorted(plain.elements)}
    outcome = {"shown as they are": len(pages) - len(different), "taken for markup": len(different)}
    record("Untrusted files", "reports of results with hostile names", tried=len(pages), outcome=outcome)
    assert not different
    assert all(link.startswith("#") for page in pages.values() for link in page.links)


def test_widgets_escape(tmp_path):
    plain, names = _widgets("x"), [name for name in HOSTILE if "\n" not in name]
    for name in names:
        assert markup(_widgets(name)).elements == markup(plain).elements, name


def _widgets(name: str) -> str:
    cards = cards_html([Card(blobs(1)[0], name, name, map=np.eye(32), mask=np.eye(32) > 0)], name) + cards_html([], name)
    shown, _ = _shown(name)
    return cards + readout_table(name, [name], {name: [name, 1.0, None]}) + readout_html(shown)


def test_an_explorers_figure_is_harmless(tmp_path):
    explorer = pytest.importorskip("novkit.widgets.explorer")
    for name in TOGETHER:
        spec = explorer._spec(scores_spec(*_shown(name)))
        spec["layout"].pop("template")
        said = list(texts(json.loads(json.dumps(spec, default=lambda value: value.tolist()))))
        assert not any("<" in HARMLESS_TAG.sub("", text) or "$" in text for text in said)


# ---- Markdown, CSV, commands -----------------------------------------------------------------------------------------------


def _rows(folder: Path, name: str) -> list[Record]:
    fabricate(folder, skill={"tend": 1.9, "statistic": 0.5}, cases={name: [("one_vs_rest", [name])]}, seeds=1, n=40, normal=f"{name}n",
              extras=False, device=name, commit=name, versions={"torch": name})  # fmt: skip
    return load_results(folder)


@pytest.mark.parametrize("kind", TABLES)
def test_markdown_tables_keep_their_shape(tmp_path, kind):
    """As a Markdown reader sees them: the same elements, no link, no picture, no HTML, and one line a row."""

    def seen(name: str, number: int) -> tuple[list[str], int]:
        _rows(tmp_path / str(number), name)
        text = make_table(kind, tmp_path / str(number), name)
        tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
        assert "<!--" not in text.replace("\\<", "")
        return [t.type for token in tokens for t in (token, *(token.children or ())) if t.type not in ("text", "text_special")], text.count(
            "\n"
        )

    plain = seen("x", 0)
    for number, name in enumerate(TOGETHER, start=1):
        assert seen(name, number) == plain, name


def test_an_exported_selection_holds_no_formula():
    for name in HOSTILE:
        rows = list(csv.reader(io.StringIO(selection_csv(*_shown(name)))))
        assert len(rows) == 41
        assert not any(cell.lstrip(" ").startswith(("=", "+", "@", "\t", "\r")) for row in rows for cell in row)
        assert all(re.fullmatch(r"-?[\d.e+-]+", cell) for row in rows for cell in row if cell.startswith("-"))


@pytest.mark.parametrize("name", [*HOSTILE, "'; rm -rf ~; '", "$(id)", "`id`", "a'b\"c"])
def test_a_command_to_copy_is_one_command(name):
    import shlex

    words = shlex.split(command_text([small.record(dataset="mine", novel=(name,), normal=("n",))]))
    assert words[words.index("--novel") + 1] == name
