"""Checks a built site without a network: every link leads somewhere, nothing is loaded from elsewhere, every page can be reached."""

import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {("link", "href"), ("object", "data"), ("video", "poster")}
_COLOURS = re.compile(r'<span class="[\w -]*">|</span>')  # of highlighted code: most of a page's tags, and they name nothing
_STYLE = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


@dataclass
class Page:
    """What one HTML file names and asks for."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)  # followed by the reader
    loads: list[str] = field(default_factory=list)  # fetched by the browser


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page, self._style = Page(), False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._style = tag == "style"
        for name, value in attrs:
            value = value or ""
            if name == "id" or (name == "name" and tag == "a"):
                self.page.ids.add(value)
            elif name == "href" and tag in ("a", "area"):
                self.page.links.append(value)
            elif name == "content" and "url=" in value and dict(attrs).get("http-equiv") == "refresh":
                self.page.links.append(value.split("url=", 1)[1])
            elif name == "src" or (tag, name) in _LOADED:
                self.page.loads.append(value)
            elif name == "style":
                self.page.loads += _loaded_by(value)

    def handle_data(self, data: str) -> None:
        if self._style:
            self.page.loads += _loaded_by(data)

    def handle_endtag(self, tag: str) -> None:
        self._style = False


def _loaded_by(style: str) -> list[str]:
    return [first or second for first, second in _STYLE.findall(style)]


@cache
def read(file: Path, _changed: int) -> Page:
    """The names, links and loads of an HTML file; `_changed`: when it was written."""
    reader = _Reader()
    reader.feed(_COLOURS.sub("", file.read_text(encoding="utf-8")))
    return reader.page


def page_of(file: Path) -> Page:
    return read(file, file.stat().st_mtime_ns)


def problems(site: Path) -> list[str]:
    """What is wrong with the links of a site, one line each; links to other sites are not followed."""
    site = site.resolve()
    found = []
    for file in sorted(site.rglob("*.html")):
        page, name = page_of(file), file.relative_to(site).as_posix()
        for link in page.loads:
            found += [f"{name} loads {link[:80]!r}: {wrong}" for wrong in _wrong(site, file, link, loaded=True)]
        for link in page.links:
            found += [f"{name} links to {link[:80]!r}: {wrong}" for wrong in _wrong(site, file, link, loaded=False)]
    for file in sorted(site.rglob("*.css")):
        for link in _loaded_by(file.read_text(encoding="utf-8")):
            found += [f"{file.name} loads {link[:80]!r}: {wrong}" for wrong in _wrong(site, file, link, loaded=True)]
    return found + [f"{name} cannot be reached from index.html" for name in sorted(unreachable(site))]


def _wrong(site: Path, file: Path, link: str, *, loaded: bool) -> list[str]:
    if link.startswith("data:"):
        return []
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return ["it comes from the network"] if loaded else []
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if not target.is_relative_to(site):
        return ["it lies outside of the site"]
    if not target.is_file():
        return ["there is no such file"]
    if parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in page_of(target).ids:
        return [f"{target.name} has no place of that name"]
    return []


def unreachable(site: Path) -> set[str]:
    """The HTML files that no chain of links from index.html leads to."""
    site = site.resolve()
    known, waiting = set(), [site / "index.html"]
    while waiting:
        file = waiting.pop()
        if file in known or not file.is_file() or file.suffix != ".html":
            continue
        known.add(file)
        paths = (urlsplit(link) for link in page_of(file).links)
        waiting += [(file.parent / unquote(parts.path)).resolve() for parts in paths if parts.path and not (parts.scheme or parts.netloc)]
    return {file.relative_to(site).as_posix() for file in site.rglob("*.html") if file not in known}
