"""What MarginExplorer shows, as plain functions: snapshots and choices in, numbers and figures out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from novkit.errors import NovkitError, SettingsError
from novkit.evaluation import auroc
from novkit.figures.style import INK, NORMAL_COLOUR, NOVEL_COLOURS, TEMPLATE, faint, harmless
from novkit.widgets.readouts import readout_table
from novkit.widgets.snapshots import GROUPS, ID, NOVEL, TRANSFORMED, Snapshots

LOOKS = {
    ID: (NORMAL_COLOUR, "circle", "solid"),
    TRANSFORMED: (NOVEL_COLOURS[1], "triangle-up", "dash"),
    NOVEL: (NOVEL_COLOURS[0], "diamond", "dot"),
}
"""(colour, symbol, dash) of each group."""
_HEIGHT = 520


@dataclass(frozen=True, kw_only=True)
class MarginState:
    """step: which snapshot, from 0. groups: those drawn. image: the row whose picture is shown, −1 for none.

    Raises SettingsError for a negative step and for groups that are not in GROUPS.
    """

    step: int = 0
    groups: tuple[str, ...] = GROUPS
    image: int = -1

    def __post_init__(self) -> None:
        if self.step < 0:
            raise SettingsError(f"step is {self.step}: choose a snapshot from 0 on.")
        if not set(self.groups) <= set(GROUPS):
            raise SettingsError(f"groups is {self.groups}: choose from {', '.join(GROUPS)}.")


def positions(snapshots: Snapshots, step: int) -> np.ndarray:
    """(n, 2): at the true distance from the centre, in the direction of the fixed plane."""
    distance, angle = snapshots.distance[step], snapshots.angle[step]
    return np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)


def frame(snapshots: Snapshots) -> float:
    """How far the picture reaches, in all epochs alike: the margin, and all but the furthest 2 % of the points."""
    return 1.08 * max(snapshots.margin, float(np.quantile(snapshots.distance, 0.98)))


def margin_readout(snapshots: Snapshots, state: MarginState) -> dict[str, dict[str, float | int | None]]:
    """For each drawn group with images: n, median and largest distance, share inside the margin, AUROC of its distance against ID.

    The AUROC is None for ID itself, where no ID image is there, and where all distances are the same.
    """
    distance = snapshots.distance[state.step]
    inside = snapshots.squared_distance[state.step] < snapshots.radius
    normal = snapshots.group == ID
    found: dict[str, dict[str, float | int | None]] = {}
    for name in GROUPS:
        chosen = snapshots.group == name
        if name not in state.groups or not chosen.any():
            continue
        found[name] = {
            "images": int(chosen.sum()),
            "median distance": float(np.median(distance[chosen])),
            "largest distance": float(distance[chosen].max()),
            "inside the margin": float(inside[chosen].mean()),
            "AUROC of the distance against ID": None if name == ID else _auroc(distance[normal], distance[chosen]),
        }
    return found


def _auroc(normal: np.ndarray, other: np.ndarray) -> float | None:
    try:
        return auroc(np.r_[np.zeros(len(normal)), np.ones(len(other))], np.r_[normal, other])
    except NovkitError:
        return None


def margin_html(snapshots: Snapshots, state: MarginState) -> str:
    """The readout as a table."""
    found = margin_readout(snapshots, state)
    if not found:
        return "<p>Choose at least one group.</p>"
    caption = f"After {snapshots.epochs[state.step]} epochs of margin learning; the margin is √R = {snapshots.margin:.3g}"
    return readout_table(caption, list(next(iter(found.values()))), {name: list(values.values()) for name, values in found.items()})


def image_text(snapshots: Snapshots, state: MarginState) -> str:
    """The chosen image in words; empty where none is chosen."""
    if not 0 <= state.image < len(snapshots.group):
        return ""
    d2 = float(snapshots.squared_distance[state.step, state.image])
    side = "inside" if d2 < snapshots.radius else "outside"
    group, label = str(snapshots.group[state.image]), str(snapshots.label[state.image])
    name = group if label in (group, "normal") else f"{group} ({label})"
    return f"image {state.image}, {name}: distance {np.sqrt(d2):.3g}, {side} the margin (√R = {snapshots.margin:.3g})"


def rows_drawn(snapshots: Snapshots, state: MarginState, name: str) -> np.ndarray:
    """The images behind a group's points, in their order; none where the group is not drawn."""
    return np.flatnonzero((snapshots.group == name) & (name in state.groups))


def margin_figure(snapshots: Snapshots, state: MarginState) -> go.Figure:
    """The embedding with the margin at √R; beside it, distances through the epochs (median and the middle 80 %).

    The first three traces are the points of ID, transformed and novel images, `rows_drawn` says which.
    """
    reach = frame(snapshots)
    data = [_points(snapshots, state, name) for name in GROUPS]
    data.append(_ring(snapshots, state))
    for name in GROUPS:
        data += _course(snapshots, name, name in state.groups)
    margin, epoch = snapshots.margin, float(snapshots.epochs[state.step])
    line = {"color": INK, "width": 2, "dash": "dash"}
    axis = {"range": [-reach, reach], "constrain": "domain"}
    direction = "true direction" if snapshots.exact else "direction: one fixed plane of many"
    layout: dict[str, Any] = {
        "template": TEMPLATE,
        "title": {"text": f"TEND's embedding after {epoch:g} epochs of margin learning"},
        "height": _HEIGHT,
        "meta": {"alt": _alt(snapshots, state)},
        "margin": {"l": 60, "r": 16, "t": 84, "b": 52},
        "legend": {"orientation": "h", "x": 0, "xref": "container", "y": 1 - 28 / _HEIGHT, "yref": "container", "yanchor": "top"},
        "xaxis": {**axis, "anchor": "y", "domain": [0, 0.52], "title": {"text": f"distance from the centre ({direction})"}},
        "yaxis": {**axis, "anchor": "x", "domain": [0, 1], "scaleanchor": "x"},
        "xaxis2": {"anchor": "y2", "domain": [0.62, 1], "title": {"text": "epochs of margin learning"}, "tickformat": "d"},
        "yaxis2": {"anchor": "x2", "domain": [0, 1], "title": {"text": "distance from the centre"}, "range": [0, reach]},
        "shapes": [
            {"type": "circle", "xref": "x", "yref": "y", "x0": -margin, "y0": -margin, "x1": margin, "y1": margin, "line": line},
            {"type": "line", "xref": "x2 domain", "yref": "y2", "x0": 0, "x1": 1, "y0": margin, "y1": margin, "line": line},
            {
                "type": "line",
                "xref": "x2",
                "yref": "y2 domain",
                "x0": epoch,
                "x1": epoch,
                "y0": 0,
                "y1": 1,
                "line": {"color": INK, "width": 1},
            },
        ],
        "annotations": [
            _note(f"√R = {margin:.3g}", {"x": 0, "y": margin, "xref": "x", "yref": "y"}),
            _note(f"margin √R = {margin:.3g}", {"x": 1, "y": margin, "xref": "x2 domain", "yref": "y2", "xanchor": "right"}),
        ],
        "uirevision": "margin",
    }
    return go.Figure(harmless({"data": data, "layout": layout}))


def _note(text: str, place: dict[str, Any]) -> dict[str, Any]:
    return {"text": text, "showarrow": False, "yanchor": "bottom", "font": {"size": 11}, **place}


def _points(snapshots: Snapshots, state: MarginState, name: str) -> dict[str, Any]:
    colour, symbol, _ = LOOKS[name]
    rows = rows_drawn(snapshots, state, name)
    at, distance = positions(snapshots, state.step)[rows], snapshots.distance[state.step][rows]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": at[:, 0],
        "y": at[:, 1],
        "name": name,
        "legendgroup": name,
        "marker": {"color": colour, "symbol": symbol, "size": 7, "opacity": 0.75},
        "selected": {"marker": {"opacity": 0.75}},
        "unselected": {"marker": {"opacity": 0.75}},
        "customdata": np.stack([rows.astype(float), distance], axis=1),
        "text": snapshots.label[rows].astype(str).tolist(),
        "hovertemplate": f"{name} (%{{text}})<br>image %{{customdata[0]}}<br>distance %{{customdata[1]:.3g}}<extra></extra>",
    }


def _ring(snapshots: Snapshots, state: MarginState) -> dict[str, Any]:
    """A ring around the point whose picture is shown."""
    shown = 0 <= state.image < len(snapshots.group)
    at = positions(snapshots, state.step)[[state.image]] if shown else np.empty((0, 2))
    marker = {"symbol": "circle-open", "size": 18, "color": INK, "line": {"width": 3}}
    ring = {"type": "scatter", "mode": "markers", "x": at[:, 0], "y": at[:, 1], "marker": marker, "showlegend": False}
    return {**ring, "hoverinfo": "skip", "name": "image shown"}


def _course(snapshots: Snapshots, name: str, drawn: bool) -> list[dict[str, Any]]:
    """Median distance through the epochs, and a band from the 10th to the 90th percentile."""
    colour, _, dash = LOOKS[name]
    chosen = snapshots.distance[:, snapshots.group == name]
    x = snapshots.epochs.astype(float)
    there = drawn and chosen.shape[1] > 0
    low, middle, high = np.quantile(chosen, [0.1, 0.5, 0.9], axis=1) if there else np.empty((3, 0))
    both = np.r_[x, x[::-1]] if there else x[:0]
    common = {"type": "scatter", "xaxis": "x2", "yaxis": "y2", "legendgroup": name, "showlegend": False}
    band = {
        "mode": "lines",
        "x": both,
        "y": np.r_[high, low[::-1]],
        "fill": "toself",
        "fillcolor": faint(colour, 0.16),
        "line": {"width": 0},
    }
    line = {"mode": "lines", "x": x if there else x[:0], "y": middle, "line": {"color": colour, "dash": dash, "width": 2}}
    hover = f"{name}, epoch %{{x}}<br>median distance %{{y:.3g}}<extra></extra>"
    return [
        {**common, **band, "hoverinfo": "skip", "name": f"{name}, middle 80 %"},
        {**common, **line, "hovertemplate": hover, "name": f"{name}, median"},
    ]


def _alt(snapshots: Snapshots, state: MarginState) -> str:
    parts = [
        f"{name}: median distance {values['median distance']:.3g}, {100 * (values['inside the margin'] or 0):.0f} % inside"
        for name, values in margin_readout(snapshots, state).items()
    ]
    said = "; ".join(parts) or "no group is drawn"
    return f"Embedding after {snapshots.epochs[state.step]} epochs of margin learning, the margin at √R = {snapshots.margin:.3g}. {said}."
