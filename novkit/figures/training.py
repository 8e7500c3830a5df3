"""How training went: every recorded loss over the epochs, phases side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from novkit.errors import DataError
from novkit.figures.style import GRID, NORMAL_COLOUR, NOVEL_COLOURS, finish, legend_on_top
from novkit.records import NOT_DRAWN, is_finite


def training_curves(epochs: Sequence[Mapping[str, Any]], *, title: str = "Training") -> go.Figure:
    """One panel for each recorded value: training solid, validation ("val_" before the name) dashed, the kept epoch starred.

    epochs: what `History.epochs` holds, one mapping an epoch. Phases are shaded in turn and named. Axes are logarithmic where a value stays
    above 0 and spans more than two decades. Raises DataError where there are no epochs, or no numbers in them.
    """
    if not epochs:
        raise DataError("There are no epochs to draw: train first.")
    keys = dict.fromkeys(key for epoch in epochs for key, value in epoch.items() if is_finite(value) and key not in NOT_DRAWN)
    names = list(dict.fromkeys(key.removeprefix("val_") for key in keys))
    if not names:
        raise DataError("The epochs hold no numbers to draw: they need at least a loss.")
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    height = 110 + 230 * rows
    figure = make_subplots(rows, columns, subplot_titles=[_words(n) for n in names], horizontal_spacing=0.08, vertical_spacing=90 / height)
    x = list(range(1, len(epochs) + 1))
    shown: set[str] = set()
    for index, name in enumerate(names):
        row, column = index // columns + 1, index % columns + 1
        drawn: list[float] = []
        for key, label, colour, dash in (
            (name, "training", NORMAL_COLOUR, "solid"),
            (f"val_{name}", "validation", NOVEL_COLOURS[0], "dash"),
        ):
            if key not in keys:
                continue
            y = [float(epoch[key]) if is_finite(epoch.get(key)) else None for epoch in epochs]
            drawn += [value for value in y if value is not None]
            figure.add_trace(
                go.Scatter(
                    x=x,
                    y=y,
                    name=label,
                    legendgroup=label,
                    showlegend=label not in shown,
                    mode="lines" if len(x) > 1 else "markers",
                    line={"color": colour, "dash": dash, "width": 2},
                    hovertemplate=f"{label}, epoch %{{x}}: %{{y:.4g}}<extra></extra>",
                ),
                row,
                column,
            )
            shown.add(label)
            kept = [i for i, epoch in enumerate(epochs) if epoch.get("best") and y[i] is not None]
            if kept and (label == "validation" or f"val_{name}" not in keys):
                _add_kept(figure, [(x[i], y[i]) for i in _last_of_phase(epochs, kept)], "epoch kept" not in shown, row, column)
                shown.add("epoch kept")
        if min(drawn) > 0 and max(drawn) > 100 * min(drawn):
            figure.update_yaxes(type="log", row=row, col=column)
        for number, (start, stop, phase) in enumerate(_phases(epochs)):
            if number % 2:
                figure.add_vrect(start - 0.5, stop + 0.5, fillcolor=GRID, opacity=0.5, line_width=0, row=row, col=column)
            if phase and index == 0:
                figure.add_annotation(
                    x=start - 0.4, y=1, yref="y domain", text=phase, showarrow=False, xanchor="left", yanchor="bottom", font={"size": 11},
                    row=row, col=column, yshift=-14,
                )  # fmt: skip
    figure.update_xaxes(title_text="epoch", tickformat="d")
    figure.update_yaxes(title_text="value (no unit)", col=1)
    legend_on_top(figure, height)
    figure.update_layout(margin_t=100)
    last = ", ".join(f"{_words(key)} {epochs[-1][key]:.4g}" for key in keys if is_finite(epochs[-1].get(key)))
    return finish(figure, title=title, alt=f"Training curves over {len(epochs)} epochs; at the last: {last}.", height=height)


def _add_kept(figure: go.Figure, points: list[tuple[int, Any]], legend: bool, row: int, column: int) -> None:
    figure.add_trace(
        go.Scatter(
            x=[x for x, _ in points],
            y=[y for _, y in points],
            name="epoch kept",
            legendgroup="epoch kept",
            showlegend=legend,
            mode="markers",
            marker={"symbol": "star", "size": 11, "color": NOVEL_COLOURS[1]},
            hovertemplate="kept: epoch %{x}<extra></extra>",
        ),
        row,
        column,
    )


def _words(name: str) -> str:
    return name.replace("_", " ").replace("/", ", ")


def _phases(epochs: Sequence[Mapping[str, Any]]) -> list[tuple[int, int, str]]:
    """(first, last, name), counted from 1, of each run of epochs with one phase; a count that starts again is a new stage."""
    found: list[tuple[int, int, str]] = []
    for index, epoch in enumerate(epochs):
        phase = str(epoch.get("phase", ""))
        again = index > 0 and epoch.get("epoch", index) <= epochs[index - 1].get("epoch", index - 1)
        if found and found[-1][2] == phase and not again:
            found[-1] = (found[-1][0], index + 1, phase)
        else:
            found.append((index + 1, index + 1, phase))
    return found


def _last_of_phase(epochs: Sequence[Mapping[str, Any]], kept: list[int]) -> list[int]:
    """The last improvement of each phase: that is whose weights were kept."""
    within = [[index for index in kept if start <= index + 1 <= stop] for start, stop, _ in _phases(epochs)]
    return [indices[-1] for indices in within if indices]
