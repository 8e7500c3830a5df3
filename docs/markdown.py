"""Markdown as the site shows it: tables, headings one can link to, highlighted code, and mathematics as MathML, which needs no script."""

from collections.abc import Callable
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from math_core import LatexError, LatexToMathML
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from novkit.errors import NovkitError


class SiteError(NovkitError):
    """The site cannot be built."""


def renderer(place: Callable[[str], str | None]) -> MarkdownIt:
    """A Markdown renderer; `place` says where a link or a picture leads on the site, None takes the link away and leaves its text."""
    markdown = MarkdownIt("commonmark", {"html": True, "highlight": highlighted}).enable(["table", "strikethrough"])
    markdown.use(dollarmath_plugin, allow_labels=False, double_inline=True, renderer=mathml)
    markdown.use(anchors_plugin, max_level=4)
    markdown.core.ruler.push("links", lambda state: _relink(state, place))
    return markdown


def mathml(latex: str, options: dict[str, Any]) -> str:
    """LaTeX as MathML; SiteError names a formula that cannot be converted."""
    try:
        return LatexToMathML(fancy_error=False).convert_with_local_state(latex.strip(), displaystyle=options["display_mode"])
    except LatexError as error:
        raise SiteError(f"The formula {latex.strip()!r} cannot be shown ({error}): write it with other commands.") from error


def highlighted(code: str, language: str, _attributes: str) -> str:
    """A block of code in colours; nothing where the language is not known, so that it is shown plain."""
    try:
        lexer = get_lexer_by_name({"console": "bash", "": "text"}.get(language, language))
    except ClassNotFound:
        return ""
    return highlight(code, lexer, HtmlFormatter(nowrap=True))


def _relink(state: StateCore, place: Callable[[str], str | None]) -> None:
    for block in state.tokens:
        unlinked = 0
        for token in block.children or []:
            if token.type == "image":
                token.attrs["src"] = place(str(token.attrs["src"])) or ""
            elif token.type == "link_open":
                target = place(str(token.attrs["href"]))
                if target is None:
                    unlinked += 1
                    token.tag, token.attrs = "span", {}
                else:
                    token.attrs["href"] = target
            elif token.type == "link_close" and unlinked:
                unlinked -= 1  # links do not nest
                token.tag = "span"
