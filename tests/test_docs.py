"""The offline site: its parts, its link check on small sites with faults, and, once built, every page of it."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from docs import links
from novkit.files import write_json

ROOT = Path(__file__).parent.parent


# ---- the link check --------------------------------------------------------------------------------------------------


def site_of(folder: Path, **pages: str) -> Path:
    """index.html, sub/other.html and style.css; `pages` replaces the text of some."""
    texts = {
        "index": '<h1 id="top">A</h1><a href="sub/other.html#there">b</a><a href="#top">c</a><a href="https://example.org/gone">d</a>',
        "other": '<p id="there"><a href="../index.html">home</a><img src="data:image/png;base64,AAAA"></p>',
        "style": "p { background: url(data:,) }",
    } | pages
    (folder / "sub").mkdir()
    for name, path in {"index": "index.html", "other": "sub/other.html", "style": "style.css"}.items():
        (folder / path).write_text(texts[name], encoding="utf-8")
    return folder


def test_a_sound_site_has_no_problems(tmp_path):
    assert links.problems(site_of(tmp_path)) == []


@pytest.mark.parametrize(
    ("page", "text", "problem"),
    [
        ("other", '<a id="there" href="gone.html">x</a>', "no such file"),
        ("other", '<a id="there" href="../index.html#gone">x</a>', "no place of that name"),
        ("other", '<p id="there"><a href="#gone">x</a>', "no place of that name"),
        ("other", '<p id="there"><a href="../../secret.html">x</a>', "outside of the site"),
        ("other", '<p id="there"><meta http-equiv="refresh" content="0; url=gone.html">', "no such file"),
        ("other", '<p id="elsewhere">', "no place of that name"),
        ("other", '<p id="there"><script src="https://cdn.example/x.js"></script>', "comes from the network"),
        ("other", '<p id="there"><link rel="stylesheet" href="//cdn.example/x.css">', "comes from the network"),
        ("other", '<p id="there"><img src="gone.png">', "no such file"),
        ("other", '<p id="there" style="background: url(https://example.org/x.png)">', "comes from the network"),
        ("other", '<p id="there"><style>@import "https://example.org/x.css";</style>', "comes from the network"),
        ("style", "p { background: url('https://example.org/x.png') }", "comes from the network"),
        ("index", "<p>nothing</p>", "cannot be reached"),
    ],
)
def test_every_kind_of_fault_is_found(tmp_path, page, text, problem):
    (found,) = links.problems(site_of(tmp_path, **{page: text}))
    assert problem in found


# ---- Markdown and notebooks ------------------------------------------------------------------------------------------


def rendered(text: str) -> str:
    from docs.markdown import renderer

    return renderer(lambda link: None if link.startswith("gone") else link.replace(".md", ".html")).render(text)


def test_markdown_of_the_project():
    html = rendered("# A *b* c\n\n[kept](x.md#y) [gone `away`](gone.py)\n\n| a |\n|--:|\n| ~~1~~ |\n\n```python\nimport x\n```\n")
    assert '<h1 id="a-b-c">' in html
    assert '<a href="x.html#y">kept</a>' in html
    assert "<span>gone <code>away</code></span>" in html
    assert "<table>" in html
    assert "<s>1</s>" in html
    assert '<span class="kn">import</span>' in html
    assert "&lt;x&gt;" in rendered("```unheardof\n<x>\n```")


def test_formulas_become_mathml_and_bad_ones_are_named():
    from docs.markdown import SiteError

    html = rendered("With $\\lambda = 0.1$:\n\n$$s = \\frac{1}{2} \\lVert x \\rVert^2$$\n\nand `$HOME` stays.")
    assert html.count("<math") == 2
    assert 'display="block"' in html
    assert "<mfrac>" in html
    assert "$HOME" in html
    with pytest.raises(SiteError, match=r"formula '\\\\unheardof' cannot be shown"):
        rendered("$\\unheardof$")


def test_a_figure_keeps_its_picture_and_cannot_close_its_script():
    from docs.build import figure_html

    alt = 'A "figure" <of> two dots.'
    figure = {"data": [{"text": "</script><b>"}], "layout": {"meta": {"alt": alt}}}
    html = figure_html({"application/vnd.plotly.v1+json": figure, "image/png": "AAAA\n"})
    assert html.count("</script>") == 1
    assert '<img src="data:image/png;base64,AAAA" alt="A &#34;figure&#34; &lt;of&gt; two dots.">' in html


def test_where_links_of_the_project_lead(tmp_path):
    from docs.build import Page, Places

    for path in ("novkit/tend/__init__.py", "novkit/tend/losses.py", "docs/images/a.png", "tests/test_x.py", "LICENSE"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    page = Page("docs/data.md", "docs/data.html", "Data")
    places = Places([page, Page("README.md", "index.html", "novkit")], tmp_path)
    leads = {
        "../novkit/tend/losses.py": "../api/novkit/tend/losses.html",
        "../novkit/tend": "../api/novkit/tend.html",
        "../novkit": "../api/novkit.html",
        "../notebooks": "../index.html#nav-notebooks",
        "../README.md#use": "../index.html#use",
        "images/a.png": "images/a.png",
        "../tests/test_x.py": None,
        "../LICENSE": None,
        "gone.md": "gone.md",  # which the link check then names
        "#here": "#here",
        "https://example.org/x": "https://example.org/x",
    }
    place = places.of(page)
    assert {link: place(link) for link in leads} == leads
    assert places.copied == {"docs/images/a.png"}


# ---- the site itself -------------------------------------------------------------------------------------------------


def empty_api(folder: Path) -> None:
    """A page for each module, without a word in it: rendering the true ones takes most of the time."""
    from docs.build import public_modules

    files = {f"{name.replace('.', '/')}.html" for name in public_modules()}
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    (folder / "novkit.html").write_text("".join(f'<a href="{file}">x</a>' for file in files), encoding="utf-8")


def test_links_of_the_texts_lead_somewhere(tmp_path, monkeypatch):
    """README, docs and notes; the notebooks' and the API's are checked by the slow tests."""
    from docs import build

    monkeypatch.setattr(build, "write_api", empty_api)
    monkeypatch.setattr(build, "notebook_pages", lambda root: [])
    made = build.build(tmp_path / "site")  # broken links raise
    assert made["pages"] == len(build.markdown_pages()) > 4
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert index.count("<h1") == 1
    assert index.count('href="notebooks/assignments/TEACHING.html"') > 1  # in the list of documents, and from the text


def test_a_broken_link_leaves_the_older_site(tmp_path, monkeypatch):
    from docs import build, markdown

    monkeypatch.setattr(build, "write_api", empty_api)
    root = tmp_path / "project"
    (root / "notebooks").mkdir(parents=True)
    (root / "README.md").write_text("# novkit\n\n[the docs](docs/gone.md), [the library](novkit)\n", encoding="utf-8")
    write_json(tmp_path / "site" / "older.json", {})
    with pytest.raises(markdown.SiteError, match=r"(?s)1 links .*index\.html links to 'docs/gone\.md': there is no such file"):
        build.build(tmp_path / "site", root)
    assert [file.name for file in (tmp_path / "site").iterdir()] == ["older.json"]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Built by a process of its own: what describes the API imports all modules, and leaves names in them."""
    folder = tmp_path_factory.mktemp("built") / "site"
    done = subprocess.run([sys.executable, "-m", "docs.build", "--out", folder], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]  # broken links too
    return folder


@pytest.mark.slow
def test_the_site_is_whole(site):
    from docs.build import markdown_pages, notebook_pages

    for page in (*markdown_pages(), *notebook_pages()):
        text = (site / page.address).read_text(encoding="utf-8")
        assert "<h1" in text
        assert "$$" not in re.sub(r"<pre.*?</pre>|<code.*?</code>|<script.*?</script>", "", text, flags=re.DOTALL), page.source
    for notebook in notebook_pages():
        stored = nbformat.read(ROOT / notebook.source, as_version=4)
        figures = sum(
            "application/vnd.plotly.v1+json" in output.get("data", {}) for cell in stored.cells for output in cell.get("outputs", [])
        )
        assert (site / notebook.address).read_text(encoding="utf-8").count('<figure class="plotly"><img') == figures
    for file in (ROOT / "novkit").rglob("*.py"):
        module = file.relative_to(ROOT).as_posix().removesuffix(".py").removesuffix("/__init__")
        assert file.stem == "__main__" or (site / "api" / f"{module}.html").exists()


@pytest.mark.slow
def test_pages_are_read_without_a_network(site, browser):
    """Nothing is asked for but the site's own files; formulas have a size, a figure comes to life, the API can be searched."""
    notebook = next(file for file in sorted((site / "notebooks").glob("*.html")) if "<math" in file.read_text(encoding="utf-8"))
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.set_default_timeout(240_000)
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else said.append(request.url))
    page.goto((site / "index.html").as_uri())
    page.get_by_role("link", name=notebook.stem[:2]).first.click()
    page.locator("figure.plotly").first.scroll_into_view_if_needed()
    page.wait_for_selector("figure.plotly .js-plotly-plot svg.main-svg")
    assert page.evaluate("Math.min(...[...document.querySelectorAll('math')].map((m) => m.getBoundingClientRect().width))") > 2
    page.goto((site / "api/novkit/patchgan/ranking.html").as_uri())
    page.get_by_role("searchbox").fill("rank_weights")
    page.wait_for_selector("text=novkit.patchgan.ranking.rank_weights")
    assert said == []
    context.close()
