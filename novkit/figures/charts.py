"""Plain charts for what the notebooks measure: curves, clouds of points, shares and pairs of values, in the house's look."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from novkit.errors import DataError
from novkit.figures.style import DASHES, GRID, NORMAL_COLOUR, NOVEL_COLOURS, finish, in_template, legend_on_top, method_look, method_name
from novkit.records import METHODS

COLOURS = (NORMAL_COLOUR, *NOVEL_COLOURS)
SYMBOLS = ("circle", "x", "diamond", "square", "triangle-up", "cross", "star", "triangle-down")
_GREY = "#8C8C8C"

Curve = tuple[ArrayLike, ArrayLike]


def curves(
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    title: str,
    x_title: str,
    y_title: str,
    reference: float | None = None,
    log_x: bool = False,
    same_y: bool = True,
    y_range: tuple[float, float] | None = None,
    height: int = 400,
) -> go.Figure:
    """Lines with markers, panels side by side; a curve looks the same in every panel.

    panels: title of a panel -> name of a curve -> its x and y. reference: a dotted horizontal line, such as 0.5 for chance.
    same_y: one axis for all panels. Raises DataError for no panel, or one without a curve.
    """
    if not panels or not all(panels.values()):
        raise DataError("There are no curves to draw: give at least one panel with one curve.")
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    looks = _looks(names)
    figure = make_subplots(1, len(panels), subplot_titles=list(panels), horizontal_spacing=0.06 if same_y else 0.1, shared_yaxes=same_y)
    told = []
    for column, (panel, of_panel) in enumerate(panels.items(), start=1):
        for name, (x, y) in of_panel.items():
            colour, symbol, dash = looks[name]
            figure.add_trace(
                go.Scatter(
                    x=np.asarray(x),
                    y=np.asarray(y, dtype=np.float64).round(5),
                    name=method_name(name),
                    legendgroup=name,
                    showlegend=all(name not in list(panels.values())[before] for before in range(column - 1)),
                    mode="lines+markers",
                    line={"color": colour, "dash": dash, "width": 2.2},
                    marker={"symbol": symbol, "size": 8},
                ),
                1,
                column,
            )
            told.append(f"{panel} {method_name(name)}: from {float(np.asarray(y)[0]):.3g} to {float(np.asarray(y)[-1]):.3g}".strip())
    if reference is not None:
        figure.add_hline(reference, line={"color": _GREY, "width": 1.2, "dash": "dot"})
    figure.update_xaxes(title_text=x_title)
    if log_x:
        ticks = np.unique(np.concatenate([np.asarray(x, dtype=np.float64) for panel in panels.values() for x, _ in panel.values()]))
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    figure.update_yaxes(range=y_range)
    figure.update_yaxes(title_text=y_title, col=1)
    legend_on_top(figure, height)
    figure.update_layout(margin_t=110 if any(panels) else 90)
    return finish(figure, title=title, alt=f"Curves over {x_title}. {'; '.join(told)}.", height=height)


def cloud(
    x: ArrayLike, y: ArrayLike, labels: Sequence[str] | np.ndarray, *, title: str, x_title: str, y_title: str, height: int = 420
) -> go.Figure:
    """One point an image, classes in the order in which they first occur (the first one in the colour of normal; methods as everywhere).

    x, y: (n,). labels: (n,) class names. Raises DataError for shapes that differ and for no points.
    """
    across, up, names = np.asarray(x), np.asarray(y), np.asarray(labels).astype(str)
    if not across.shape == up.shape == names.shape or not len(names):
        raise DataError(f"x of shape {across.shape}, y of {up.shape}, labels of {names.shape}: give one of each an image.")
    figure, told = go.Figure(), []
    for name, (colour, symbol, _) in _looks(list(dict.fromkeys(names))).items():
        chosen = names == name
        marker = {"color": colour, "symbol": symbol, "size": 5, "opacity": 0.65}
        figure.add_scatter(x=across[chosen], y=up[chosen], mode="markers", name=method_name(str(name)), marker=marker)
        told.append(f"{name}: {int(chosen.sum())} points, medians {np.median(across[chosen]):.3g} and {np.median(up[chosen]):.3g}")
    figure.update_xaxes(title_text=x_title)
    figure.update_yaxes(title_text=y_title)
    figure.update_layout(legend_itemsizing="constant")
    return finish(figure, title=title, alt=f"Scatter of {y_title} against {x_title}. {'; '.join(told)}.", height=height)


def shares(rows: Mapping[str, Mapping[str, float]], *, title: str, x_title: str) -> go.Figure:
    """Stacked bars, one a row, of parts that sum to 1, each part in its own colour; a part may be missing in a row.

    rows: name of a row -> part -> its share. Raises DataError for a row that does not sum to 1, and for more than nine parts, as many as
    there are colours.
    """
    parts = list(dict.fromkeys(part for row in rows.values() for part in row))
    if not parts or any(abs(sum(row.values()) - 1) > 1e-3 for row in rows.values()):
        raise DataError("The shares of a row must sum to 1: divide them by their sum.")
    colours = (NORMAL_COLOUR, _GREY, *NOVEL_COLOURS)
    if len(parts) > len(colours):
        raise DataError(f"{len(parts)} parts are too many to tell apart: draw at most {len(colours)}, the smallest ones as one.")
    figure = go.Figure()
    for index, part in enumerate(parts):
        values = [row.get(part, 0.0) for row in rows.values()]
        figure.add_bar(
            x=values,
            y=list(rows),
            name=part,
            orientation="h",
            text=[f"{value:.0%}" if value > 0.03 else "" for value in values],
            textposition="inside",
            insidetextanchor="middle",
            insidetextfont={"color": "white"},
            marker={"color": colours[index], "line": {"width": 0}},
            hovertemplate=f"%{{y}}, {in_template(part)}: %{{x:.1%}}<extra></extra>",
        )
    height = 150 + 45 * len(rows)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(tickformat=".0%", title_text=x_title, range=[0, 1])
    legend_on_top(figure, height)
    figure.update_layout(barmode="stack", margin_t=86, legend_traceorder="normal")
    told = "; ".join(f"{name}: " + ", ".join(f"{part} {value:.0%}" for part, value in row.items()) for name, row in rows.items())
    return finish(figure, title=title, alt=f"Stacked bars. {told}.", height=height)


def pairs(
    rows: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    x_title: str,
    reference: float | None = 0.5,
    x_range: tuple[float, float] | None = None,
) -> go.Figure:
    """A few values a row as dots on one line, such as two methods' AUROC on each kind of novelty; row -> name -> value.

    reference: a dotted vertical line, such as 0.5 for chance. Raises DataError where there is no value.
    """
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    if not names:
        raise DataError("There are no values to draw: give at least one row with one value.")
    figure = go.Figure()
    for label, row in rows.items():
        figure.add_scatter(x=[min(row.values()), max(row.values())], y=[label] * 2, mode="lines", line={"color": GRID, "width": 5},
                           showlegend=False, hoverinfo="skip")  # fmt: skip
    for name, (colour, symbol, _) in _looks(names).items():
        having = [label for label in rows if name in rows[label]]
        figure.add_scatter(
            x=[rows[label][name] for label in having],
            y=having,
            mode="markers",
            name=method_name(name),
            marker={"color": colour, "symbol": symbol, "size": 11},
            hovertemplate=f"%{{y}}, {in_template(method_name(name))}: %{{x:.3f}}<extra></extra>",
        )
    if reference is not None:
        figure.add_vline(reference, line={"color": _GREY, "width": 1.2, "dash": "dot"})
    height = 150 + 26 * len(rows)
    figure.update_yaxes(categoryorder="array", categoryarray=list(rows)[::-1], showgrid=False)
    figure.update_xaxes(title_text=x_title, range=x_range)
    legend_on_top(figure, height)
    figure.update_layout(margin_t=80)
    told = "; ".join(f"{label}: " + ", ".join(f"{method_name(n)} {v:.2f}" for n, v in row.items()) for label, row in rows.items())
    return finish(figure, title=title, alt=f"Dots on a line for each row. {told}.", height=height)


def _looks(names: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """(colour, symbol, dash) of each name, in order: methods, by id or name, as everywhere; others take what is left, in turn."""
    ids = {shown: method for method, shown in METHODS.items()} | {method: method for method in METHODS}
    taken = {colour for name in names if name in ids for colour in method_look(ids[name])[:1]}
    left = [colour for colour in COLOURS if colour not in taken] or list(COLOURS)
    others = [name for name in names if name not in ids]
    looks = {name: (left[i % len(left)], SYMBOLS[i % len(SYMBOLS)], DASHES[i % len(DASHES)]) for i, name in enumerate(others)}
    return {name: method_look(ids[name]) if name in ids else looks[name] for name in names}
