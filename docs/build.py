"""Build the site: README, docs, notebooks and the API as pages that link to each other and need no network.

    python -m docs.build [--out FOLDER]      # into build/site (`make docs`)

Pages come from Markdown (docs/markdown.py) and from the stored outputs of the notebooks (nbconvert), the API from the docstrings (pdoc).
A plotly figure is a picture until its script has run, then it can be moved. Where a link is broken, nothing is written.
"""

import argparse
import json
import pkgutil
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path, PurePosixPath
from posixpath import normpath
from urllib.parse import urlsplit

import jinja2
import nbformat
import pdoc.doc
import pdoc.render
import plotly.offline
from markdown_it import MarkdownIt
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

import novkit
from docs.links import problems
from docs.markdown import SiteError, renderer
from novkit.errors import NovkitError
from novkit.files import replacing_folder

ROOT = Path(__file__).parent.parent
TEMPLATES = Path(__file__).parent / "templates"
PLOTLY = "application/vnd.plotly.v1+json"
FOLDERS = {"docs": "index.html#nav-docs", "notebooks": "index.html#nav-notebooks", "novkit": "api/novkit.html"}
"""Where links to these folders of the project lead."""


@dataclass(frozen=True)
class Page:
    """A page made of a Markdown file or a notebook: its path in the project, its address on the site, its title."""

    source: str
    address: str
    title: str


# ---- what there is ---------------------------------------------------------------------------------------------------


def markdown_pages(root: Path = ROOT) -> list[Page]:
    """README first, then the docs, then what else is written in Markdown."""
    files = [
        root / "README.md",
        *sorted((root / "docs").glob("*.md")),
        *sorted(root.glob("*.md")),
        *sorted((root / "results").glob("*.md")),
        *sorted((root / "notebooks" / "assignments").glob("*.md")),
    ]
    found = {}
    for file in files:
        source = file.relative_to(root).as_posix()
        address = "index.html" if source == "README.md" else source.removesuffix(".md") + ".html"
        found[source] = Page(source, address, _title(file.read_text(encoding="utf-8"), file))
    return list(found.values())


def notebook_pages(root: Path = ROOT) -> list[Page]:
    """The notebooks in reading order."""
    found = []
    for file in sorted((root / "notebooks").glob("[0-9]*.ipynb")):
        first = nbformat.read(file, as_version=4).cells[0].source
        found.append(Page(f"notebooks/{file.name}", f"notebooks/{file.stem}.html", f"{file.stem[:2]} {_title(first, file)}"))
    return found


def _title(text: str, file: Path) -> str:
    line = next((line for line in text.splitlines() if line.startswith("# ")), None)
    if line is None:
        raise SiteError(f"{file} has no title: begin it with a line '# …'.")
    return line.removeprefix("# ").strip()


class Places:
    """Where links lead: from a path in the project to an address on the site. `copied`: files that are shown as they are."""

    def __init__(self, pages: list[Page], root: Path = ROOT) -> None:
        self.root = root
        self.addresses = {page.source: page.address for page in pages} | FOLDERS
        self.copied: set[str] = set()

    def of(self, page: Page) -> Callable[[str], str | None]:
        """For the links of one page: their new target, or None where the site has none."""

        def place(link: str) -> str | None:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not parts.path:
                return link
            wanted = normpath(str(PurePosixPath(page.source).parent / parts.path))
            address = self._address(wanted)
            if address is None:
                return None
            own, _, fragment = address.partition("#")
            place = parts.fragment or fragment
            return relpath(own, PurePosixPath(page.address).parent) + (f"#{place}" if place else "")

        return place

    def _address(self, path: str) -> str | None:
        if path in self.addresses:
            return self.addresses[path]
        file = self.root / path
        if not file.exists():
            return path  # broken, and reported as such
        if path.startswith("novkit/") and (file.suffix == ".py" or (file / "__init__.py").exists()):
            module = path.removesuffix(".py").removesuffix("/__init__")
            return f"api/{module}.html"
        if file.suffix in (".png", ".svg", ".jpg", ".gif"):
            self.copied.add(path)
            return path
        return None


# ---- notebooks -------------------------------------------------------------------------------------------------------


def notebook_html(notebook: NotebookNode, markdown: MarkdownIt) -> str:
    """The cells and their stored outputs; figures as pictures, with what the script needs to bring them to life."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if PLOTLY in output.get("data", {}):
                output.data = {"text/html": figure_html(output.data)}
    exporter = HTMLExporter(template_name="basic")
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    exporter.register_filter("markdown2html", markdown.render)
    return exporter.from_notebook_node(notebook)[0]


def figure_html(data: dict) -> str:
    """A plotly output as its stored picture with its alternative text, and its JSON."""
    figure = data[PLOTLY]
    alt = jinja2.filters.escape(((figure.get("layout") or {}).get("meta") or {}).get("alt", ""))
    content = json.dumps({name: figure.get(name, []) for name in ("data", "layout", "frames")}).replace("<", "\\u003c")
    picture = f'<img src="data:image/png;base64,{data["image/png"].strip()}" alt="{alt}">' if "image/png" in data else ""
    return f'<figure class="plotly">{picture}<script type="application/json">{content}</script></figure>'


# ---- the site --------------------------------------------------------------------------------------------------------


def build(site: Path, root: Path = ROOT) -> dict[str, int]:
    """Write the site and return how many pages it has of each kind. SiteError names broken links; then nothing is changed."""
    texts, notebooks = markdown_pages(root), notebook_pages(root)
    places = Places([*texts, *notebooks], root)
    template = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True).get_template("page.html.jinja2")
    with replacing_folder(site) as temporary:
        for page in [*texts, *notebooks]:
            markdown = renderer(places.of(page))
            try:
                if page in notebooks:
                    body = notebook_html(nbformat.read(root / page.source, as_version=4), markdown)
                else:
                    body = markdown.render((root / page.source).read_text(encoding="utf-8"))
            except SiteError as error:
                raise SiteError(f"{page.source}: {error}") from error
            file = temporary / page.address
            file.parent.mkdir(parents=True, exist_ok=True)
            up = "../" * page.address.count("/")
            written = template.render(page=page, body=body, texts=texts, notebooks=notebooks, up=up, version=novkit.__version__)
            file.write_text(written, encoding="utf-8")
        for path in places.copied:
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / path, temporary / path)
        write_assets(temporary / "assets")
        write_api(temporary / "api")
        if wrong := problems(temporary):
            raise SiteError(f"{len(wrong)} links of the site are broken, so it is not written:\n  " + "\n  ".join(wrong))
        modules = len(list((temporary / "api").rglob("*.html")))
    return {"pages": len(texts), "notebooks": len(notebooks), "modules": modules}


def write_assets(folder: Path) -> None:
    """Style and scripts, once for all pages."""
    folder.mkdir()
    colours = HtmlFormatter(style="default").get_style_defs([".highlight", "pre > code"])
    (folder / "style.css").write_text((TEMPLATES / "style.css").read_text(encoding="utf-8") + colours, encoding="utf-8")
    shutil.copy(TEMPLATES / "figures.js", folder)
    (folder / "plotly.min.js").write_text(plotly.offline.get_plotlyjs(), encoding="utf-8")


def write_api(folder: Path) -> None:
    """Every public module's page and the search, by pdoc."""
    footer = f"novkit {novkit.__version__}"
    pdoc.render.configure(docformat="markdown", template_directory=TEMPLATES / "api", footer_text=footer)
    modules = {name: pdoc.doc.Module.from_name(name) for name in public_modules()}
    for name, module in modules.items():
        for member in getattr(module.obj, "__all__", ()):  # also what is only imported when it is asked for
            vars(module.obj).setdefault(member, getattr(module.obj, member))
        file = folder / f"{name.replace('.', '/')}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(pdoc.render.html_module(module, modules), encoding="utf-8")
    (folder / "search.js").write_text(pdoc.render.search_index(modules), encoding="utf-8")


def public_modules() -> list[str]:
    """The names of novkit's modules, itself first."""
    found = (module.name for module in pkgutil.walk_packages(novkit.__path__, "novkit."))
    return ["novkit", *sorted(name for name in found if "._" not in name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site", help="folder of the site, replaced whole")
    site = parser.parse_args().out
    try:
        made = build(site)
    except NovkitError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"{site / 'index.html'}: {', '.join(f'{count} {what}' for what, count in made.items())}")


if __name__ == "__main__":
    main()
