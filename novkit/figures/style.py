"""One look for all figures: colours safe for colour-blind eyes, a symbol and a dash for each method, legible on light and dark paper."""

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from novkit.records import METHODS

INK = "#767676"  # contrast above 4.5 with white and above 4 with JupyterLab's dark: a figure without a theme is read on either
GRID = "rgba(128, 128, 128, 0.22)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

# Okabe and Ito's palette; its yellow is darkened and its black left out, so that every colour is seen on white and on black
_LOOKS: dict[str, tuple[str, str, str]] = {
    "tend": ("#D55E00", "circle", "solid"),
    "patchgan": ("#0078BE", "square", "solid"),
    "autoencoder": ("#009E73", "diamond", "dash"),
    "vae": ("#56B4E9", "triangle-up", "dash"),
    "alocc": ("#CC79A7", "triangle-down", "dash"),
    "ocsvm": ("#E69F00", "cross", "dashdot"),
    "deep_svdd": ("#8A78C8", "x", "dashdot"),
    "patch_knn": ("#A3961A", "star", "longdash"),
    "pixel_zscore": ("#8C8C8C", "hexagon", "longdash"),
    "statistic": ("#8C8C8C", "triangle-right", "dot"),
    "statistic_oracle": ("#8C8C8C", "circle-open", "dot"),
}
NORMAL_COLOUR = "#0078BE"
NOVEL_COLOURS = ("#D55E00", "#E69F00", "#CC79A7", "#009E73", "#A3961A", "#8A78C8", "#56B4E9")
DASHES = ("solid", "dash", "dot", "dashdot")


def method_look(method: str) -> tuple[str, str, str]:
    """(colour, marker symbol, line dash) of a method id; grey for a name of the caller's own."""
    return _LOOKS.get(method, ("#8C8C8C", "pentagon", "dash"))


def method_name(method: str) -> str:
    """A method id's display name; a name of the caller's own stays as it is."""
    return METHODS.get(method, method)


def condition_looks(conditions: list[str]) -> dict[str, tuple[str, str]]:
    """(colour, dash) of each novel class, by alphabet, so that a class looks the same in every panel of a data set.

    The first seven have broken lines: a solid one is the normal class's.
    """
    n = len(NOVEL_COLOURS)
    broken = [1 + i % n % 3 + i // n for i in range(len(set(conditions)))]
    return {name: (NOVEL_COLOURS[i % n], DASHES[broken[i] % len(DASHES)]) for i, name in enumerate(sorted(set(conditions)))}


def faint(colour: str, opacity: float) -> str:
    """A #rrggbb colour made transparent."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def _template() -> go.layout.Template:
    axis = {
        "showgrid": True,
        "gridcolor": GRID,
        "gridwidth": 1,
        "zeroline": False,
        "showline": False,
        "ticks": "",
        "automargin": True,
        "title": {"standoff": 10, "font": {"size": 12}},
        "exponentformat": "power",
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": INK},
            "title": {
                "font": {"size": 16},
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "yref": "container",
                "y": 1,
                "yanchor": "top",
                "pad": {"t": 6},
            },
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"bgcolor": "rgba(0,0,0,0)", "tracegroupgap": 4},
            "margin": {"l": 60, "r": 20, "t": 60, "b": 55},
            "hoverlabel": {"font": {"family": FONT}},
            "colorway": [NORMAL_COLOUR, *NOVEL_COLOURS],
        }
    )


TEMPLATE = _template()
"""Template of every figure: transparent paper, grey ink, thin grid."""


# what novkit itself writes into texts; plotly would also take links and styles, and MathJax, where a page has it, what stands between $
_FOREIGN = re.compile(r"<(?!(/?(b|i|sub|sup|extra)|br)>)", re.IGNORECASE)


def harmless(value: Any) -> Any:
    """A figure's JSON whose texts show what is in them: labels and file names can hold no link, no style and no formula."""
    if isinstance(value, str):
        return _FOREIGN.sub("&lt;", value).replace("$", "&#36;") if "<" in value or "$" in value else value
    if isinstance(value, Mapping):
        return {key: harmless(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return np.array([harmless(part) for part in value.tolist()], dtype=object) if value.dtype.kind in "OU" else value
    if isinstance(value, list | tuple) and not all(isinstance(part, int | float) for part in value):
        return [harmless(part) for part in value]
    return value


def in_template(text: str) -> str:
    """A name as part of a hovertemplate, where plotly would put a value in the place of %{x}."""
    return text.replace("%{", "&#37;{")


def finish(figure: go.Figure, *, title: str, alt: str, height: int = 420, width: int | None = None) -> go.Figure:
    """Give a figure its template, title, size and alternative text, and make the texts in it `harmless`."""
    figure.update_layout(template=TEMPLATE, title_text=title, height=height, width=width)
    played = [part for frame in figure.frames for part in (*(frame.data or ()), frame.layout)]
    for part in (*figure.data, figure.layout, *played):
        found = {key: value for key, value in part.to_plotly_json().items() if key not in ("type", "source", "template")}
        part.update({key: made for key, value in found.items() if _differs(made := harmless(value), value)}, overwrite=True)
    for frame in figure.frames:
        frame.name = harmless(frame.name)  # sliders and buttons call it by what the layout now says
    return figure.update_layout(meta={"alt": alt})


def _differs(made: Any, value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return made is not value
    return json.dumps(made, default=str) != json.dumps(value, default=str)


def legend_on_top(figure: go.Figure, height: int) -> None:
    """Put the legend in one line under the title, whatever the figure's height."""
    figure.update_layout(
        legend={"orientation": "h", "x": 0, "xref": "container", "y": 1 - 34 / height, "yref": "container", "yanchor": "top"}
    )


def describe(figure: go.Figure) -> str:
    """The figure's alternative text: what it shows, for a reader who cannot see it."""
    return (figure.layout.meta or {}).get("alt", "")
