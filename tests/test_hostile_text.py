"""Names from files and tables are shown as they are: no figure, page, table or widget takes one for markup, a link or a formula."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

import novkit
from novkit import figures
from novkit.evaluation import Scores
from novkit.experiments.ablation import ABLATED, Ablation
from novkit.figures.charts import cloud, curves, pairs, shares
from novkit.figures.margin import Moment, distance_histograms, margin_animation
from novkit.figures.style import finish, harmless, in_template
from novkit.records import Record
from novkit.report import write_report
from novkit.report.ablation import ablation_markdown, write_ablation
from novkit.report.markdown import TABLES, make_table, markdown_text
from novkit.report.parts import command_text
from novkit.results import load_results
from novkit.teaching.board import Entry, rank, write_board
from novkit.teaching.budget import Budget
from novkit.widgets.margin_view import MarginState, image_text, margin_figure, margin_html
from novkit.widgets.patch_view import PatchState, patch_figure
from novkit.widgets.reader_study import reader_rates, readers_on_roc
from novkit.widgets.readouts import readout_table
from novkit.widgets.score_figure import scores_figure, scores_spec
from novkit.widgets.score_view import ScoreState, readout_html, shown_runs
from novkit.widgets.stored import Run
from novkit.widgets.thumbnails import Card, cards_html
from tests.campaign import record
from tests.conftest import blobs
from tests.report.test_report import fabricate
from tests.spreadsheets import FORMULAS, no_formulas
from tests.widgets import small
from tests.widgets.test_patch_view import patch_scores

LIBRARY = Path(novkit.__file__).parent
HOSTILE = (
    "<script>alert(1)</script>", '"onmouseover="alert(1)', "'><img src=x onerror=alert(1)>", "</style><b style='color:red'>", "</script>",
    "<a href='https://x.invalid'>tumour</a>", "<a href=\"javascript:alert(1)\">x</a>", "<span style='font-size:900px'>x</span>",
    "$\\href{javascript:alert(1)}{x}$", "[x](javascript:alert(1))", "![x](https://x.invalid/y.png)", "| a | b |",
    "`x` **y** <!-- results:end -->", "a\nb\n# c", "&lt;i&gt; & &amp;", "=cmd|'/c calc'!A0", "@SUM(1)", "%{customdata[0]} %s {0} {x}",
    "\x1b[2J", "\u202egnp.exe", "a" * 300, "_novel_ __x__ a_b", "&copy; &#60;", "https://x.invalid/y WWW.x.invalid a@b.invalid",
)  # fmt: skip
TOGETHER = (" ".join(HOSTILE),)  # all of them in one page or figure: drawing takes longest
# where a name is cut, only its beginning is tried: the long run draws each by itself
together_or_each = pytest.mark.parametrize("names", [TOGETHER, pytest.param(HOSTILE, marks=pytest.mark.long)], ids=["together", "each"])
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


X, Y = blobs(2), np.array([0, 1, 0, 1])
PATCHES = np.random.default_rng(0).random((4, 9))
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
    "margin explorer": lambda name: margin_figure(_snapshots(name), MarginState(image=2)),
    "patch explorer": lambda name: patch_figure(blobs(1)[0], patch_scores(), PatchState(lit=3), caption=name),
    "animation": lambda name: margin_animation(_moments(name), centre=(0.0, 0.0), radius=4.0, title=name, step=name),
    "distances": lambda name: distance_histograms({name: [1.0, 4.0], f"{name} 2": [9.0, 1.0]}, radius=4.0, title=name),
    "readers": lambda name: readers_on_roc({name: (Y, Y + 0.5)}, {name: reader_rates(Y, Y[::-1])}, title=name),
    "patch scores": lambda name: figures.patch_score_histogram(PATCHES, Y, title=name),
    "build-up": lambda name: figures.score_build_up(PATCHES, 0.5, captions=[name, *"bcd"], title=name),
    "ranks": lambda name: figures.rank_weight_curve(9, title=name),
}
OTHERS = {"finish", "sheet_figure", "with_colour_bar", "figure_3", "distortion_figure"}  # parts of those above, or without names
# drawn one by one in the long run only
DEAR = ("story", "grid", "tertiles", "training", "gallery", "animation", "ablation", "dots", "distributions")


def _shown(name: str):
    given = scores(name, "normal")
    run = Run(small.record(dataset=name, novel=(name,), method="autoencoder", n_test=40), given)
    state = ScoreState(dataset=name, case=f"novel: {name}", seed=0, methods=(name,), selected_method=name, selected=(0.0, 1.0),
                       selected_classes=(name, "normal"))  # fmt: skip
    return shown_runs({name: run}, state), state


def _snapshots(name: str):
    given = small.snapshots()
    return replace(given, label=np.full(len(given.label), name, dtype=object))


def _moments(name: str) -> list[Moment]:
    draw = np.random.default_rng(0)
    return [Moment(f"{name} {k}", {name: draw.normal(size=(3, 2)), f"{name} 2": draw.normal(size=(3, 2))}) for k in range(2)]


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


@pytest.mark.parametrize(
    ("kind", "names"),
    [pytest.param(kind, TOGETHER, id=f"{kind}-together") for kind in FIGURES]
    + [pytest.param(kind, HOSTILE, id=f"{kind}-each", marks=pytest.mark.long if kind in DEAR else ()) for kind in FIGURES],
)
def test_a_figure_shows_names_as_they_are(kind, names):
    for name in names:
        for text in texts(json.loads(FIGURES[kind](name).to_json())):  # type: ignore[attr-defined]
            assert "<" not in HARMLESS_TAG.sub("", text), text
            assert "$" not in text, text


def templates(value: object) -> Iterator[str]:
    """The hovertemplates of a figure's JSON."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key == "hovertemplate":
                yield from [part] if isinstance(part, str) else part
            elif key != "template":
                yield from templates(part)
    elif isinstance(value, list):
        for part in value:
            yield from templates(part)


@pytest.mark.parametrize("kind", FIGURES)
def test_no_name_takes_a_value_into_what_is_said_on_hovering(kind):
    """In a hovertemplate plotly puts a value in the place of %{x}: as many such places whatever things are called."""

    def places(name: str) -> list[list[str]]:
        made = templates(json.loads(FIGURES[kind](name).to_json()))  # type: ignore[attr-defined]
        return [re.findall(r"%\{[^}]*\}?", text) for text in made]

    assert places("%{x} 100 %{customdata[0]}") == places("x")


def test_a_name_that_does_is_noticed():
    import plotly.graph_objects as go

    raw = go.Figure(go.Scatter(x=[1], y=[1], hovertemplate="%{x}: %{y}"))
    assert list(templates(json.loads(finish(raw, title="", alt="").to_json()))) == ["%{x}: %{y}"]
    assert in_template("%{x} 5 %") == "&#37;{x} 5 %"


def test_every_function_that_draws_is_among_them():
    drawing = set()
    for file in LIBRARY.rglob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.returns is not None and ast.unparse(node.returns).startswith("go.Figure"):
                drawing |= {node.name} - {f"_{node.name.lstrip('_')}"}
    called = {name for draw in FIGURES.values() for name in draw.__code__.co_names}
    assert drawing - called == OTHERS


def test_a_slider_still_calls_the_frames_by_their_names():
    for name in HOSTILE:
        figure = FIGURES["animation"](name)
        called = [step.args[0][0] for slider in figure.layout.sliders for step in slider.steps]  # type: ignore[attr-defined]
        assert called == [frame.name for frame in figure.frames]  # type: ignore[attr-defined]
        assert len(set(called)) == 2


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


@together_or_each
def test_a_report_has_the_same_elements_whatever_things_are_called(tmp_path, names):
    """Written twice, once with plain names: not one element or attribute more, and no address."""
    pages = {}
    for kind, name in (("plain", "x"), *((f"hostile{k}", name) for k, name in enumerate(names))):
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


@together_or_each
def test_so_has_the_page_of_an_ablation(tmp_path, monkeypatch, names):
    """The ablations' own names stand in the code; were they a reader's, nothing would change."""

    def made(name: str, folder: Path) -> tuple[Markup, list[str]]:
        monkeypatch.setitem(ABLATED, "patchgan", (Ablation(name, f"{name} 2", {"aggregate": "mean"}),))
        for variant in ("", f"{name} 2"):
            fabricate(folder, skill={"patchgan": 1.5}, cases={name: [("one_vs_rest", [name])]}, seeds=1, n=40, normal=f"{name} normal",
                      extras=False, variant=variant, device=name, machine=name, commit=name)  # fmt: skip
        page = markup(write_ablation(folder, name).read_text(encoding="utf-8"))
        return page, markdown_elements(ablation_markdown(folder))

    plain, plain_table = made("x", tmp_path / "plain")
    for number, name in enumerate(names):
        page, table = made(name, tmp_path / str(number))
        assert page.elements == plain.elements, name
        assert page.links == plain.links
        assert table == plain_table, name


@pytest.mark.parametrize("name", [*HOSTILE, *TOGETHER, *FORMULAS], ids=lambda name: ascii(name[:30]))
def test_so_has_the_leaderboard(tmp_path, name):
    pages = []
    for called in ("x", name):
        best = Entry(called, auroc=0.7, auroc_low=0.6, auroc_high=0.8, average_precision=0.5, images_seen=1, parameters=2, seconds=3.0,
                     beats=[called])  # fmt: skip
        entries = rank([best, Entry(called, auroc=0.6, trouble=called), Entry(called, trouble=called)])
        write_board(entries, {called: 0.6}, Budget(10, 20, 30), tmp_path)
        pages.append(markup((tmp_path / "leaderboard.html").read_text(encoding="utf-8")))
    plain, page = pages
    assert page.elements == plain.elements
    assert page.links == plain.links == []
    no_formulas((tmp_path / "leaderboard.csv").read_text(encoding="utf-8"), 4)


def test_widgets_escape(tmp_path):
    plain, names = _widgets("x"), [name for name in HOSTILE if "\n" not in name]
    for name in names:
        assert markup(_widgets(name)).elements == markup(plain).elements, name


def _widgets(name: str) -> str:
    cards = cards_html([Card(blobs(1)[0], name, name, map=np.eye(32), mask=np.eye(32) > 0)], name) + cards_html([], name)
    shown, _ = _shown(name)
    snapshots, state = _snapshots(name), MarginState(image=2)
    cards += cards_html([Card(snapshots.images[2], text := image_text(snapshots, state), text)], name) + margin_html(snapshots, state)
    return cards + readout_table(name, [name], {name: [name, 1.0, None]}) + readout_html(shown)


def test_an_explorers_figure_is_harmless(tmp_path):
    explorer = pytest.importorskip("novkit.widgets.explorer")
    for name in (*TOGETHER, *HOSTILE):
        spec = explorer._spec(scores_spec(*_shown(name)))
        spec["layout"].pop("template")
        said = list(texts(json.loads(json.dumps(spec, default=lambda value: value.tolist()))))
        assert not any("<" in HARMLESS_TAG.sub("", text) or "$" in text for text in said)


# ---- Markdown, commands ----------------------------------------------------------------------------------------------------


def _rows(folder: Path, name: str) -> list[Record]:
    fabricate(folder, skill={"tend": 1.9, "statistic": 0.5}, cases={name: [("one_vs_rest", [name])]}, seeds=1, n=40, normal=f"{name}n",
              extras=False, device=name, commit=name, versions={"torch": name})  # fmt: skip
    return load_results(folder)


def markdown_elements(text: str) -> list[str]:
    """As a Markdown reader sees them; and how many lines there are."""
    assert "<!--" not in text.replace("\\<", "")
    assert not re.search(r"\w://|www\.", re.sub(r"`[^`]*`", "", text), re.IGNORECASE)  # which code hosts link
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    seen = [t.type for token in tokens for t in (token, *(token.children or ())) if t.type not in ("text", "text_special")]
    return [*seen, f"{text.count(chr(10))} lines"]


@together_or_each
@pytest.mark.parametrize("kind", TABLES)
def test_markdown_tables_keep_their_shape(tmp_path, kind, names):
    """The same elements, no link, no picture, no HTML, and one line a row."""

    def seen(name: str, number: int) -> list[str]:
        _rows(tmp_path / str(number), name)
        return markdown_elements(make_table(kind, tmp_path / str(number), name))

    plain = seen("x", 0)
    for number, name in enumerate(names, start=1):
        assert seen(name, number) == plain, name


@pytest.mark.parametrize("name", [*HOSTILE, *TOGETHER, "a_b", "_", "__init__", "a _b_ c", "ä_ö"], ids=lambda name: ascii(name[:30]))
def test_a_cell_shows_a_name_letter_by_letter(name):
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(f"| {markdown_text(name)} | x |\n|---|---|\n")
    cells = [token.children for token in tokens if token.type == "inline"]
    assert len(cells) == 2
    assert {part.type for part in cells[0]} <= {"text", "text_special"}
    assert "".join(part.content for part in cells[0]) == " ".join(name.split())


def test_a_word_keeps_its_underscores():
    assert markdown_text("isic_dermoscopy") == "isic_dermoscopy"


@pytest.mark.parametrize("name", [*HOSTILE, "'; rm -rf ~; '", "$(id)", "`id`", "a'b\"c"])
def test_a_command_to_copy_is_one_command(name):
    import shlex

    words = shlex.split(command_text([small.record(dataset="mine", novel=(name,), normal=("n",))]))
    assert words[words.index("--novel") + 1] == name


# ---- notebooks -------------------------------------------------------------------------------------------------------------

SHOWING = {"HTML", "Markdown", "Latex", "Math", "SVG", "Javascript", "IFrame", "Styler", "HTMLMath", "display_html", "style",
           "to_html", "clear_output", "set_option", "option_context"}  # fmt: skip
"""What shows a text as markup; pandas' options too: one of them ends its escaping."""
ALLOWED = {
    ("novkit/notebooks.py", "Markdown"),  # the source of a function of novkit, as code
    ("novkit/widgets/explorer.py", "HTML"),  # the explorers' readouts: made by the functions above, which escape
    ("novkit/widgets/explorer.py", "style"),  # of an ipywidget: colours
    ("novkit/widgets/score_explorer.py", "HTML"),
    ("novkit/widgets/margin_explorer.py", "HTML"),
    ("novkit/widgets/patch_explorer.py", "HTML"),
    ("novkit/widgets/distortion_explorer.py", "HTML"),
}
SHOWN_BY = sorted([*(LIBRARY.parent / "notebooks").rglob("scripts/*.py"), *LIBRARY.rglob("*.py")])


def shown_as_markup(text: str) -> set[str]:
    """The uses of SHOWING in a module, IPython's cells of another language, and classes that say how they are shown."""
    found = {"%" + magic for magic in re.findall(r"^#? ?%%(html|javascript|js|latex|markdown|svg)\b", text, re.MULTILINE)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name) and node.id != "style":  # a variable
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {name.name.split(".")[-1] for name in node.names}
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("_repr_"):
            found.add(node.name)
    return {name for name in found if name in SHOWING or name.startswith(("%", "_repr_"))}


def test_nothing_in_a_notebook_shows_a_text_as_markup():
    """Tables are pandas' own, which escapes, and figures go through `finish`; the notebooks' scripts need nothing else."""
    assert len(SHOWN_BY) > 100
    used = {(file.relative_to(LIBRARY.parent).as_posix(), name) for file in SHOWN_BY for name in shown_as_markup(file.read_text("utf-8"))}
    assert used == ALLOWED


@pytest.mark.parametrize(
    "line",
    ["HTML(name)", "from IPython.display import HTML as show", "IPython.display.Markdown(name)", "table.style.format('{:.1f}')",
     "W.HTML(x)", "table.to_html(escape=False)", "pd.set_option('display.html.escape', False)", "def _repr_html_(self): ...", "# %%html"],
)  # fmt: skip
def test_such_lines_are_found(line):
    assert shown_as_markup(f"{line}\n")
