"""TEND's sphere, drawn truly: two-dimensional embeddings over training, and distances to the centre whatever the dimension.

R bounds the squared distance, so the sphere has radius √R. Normal images end within one unit of the centre and pushed-out ones at dozens,
so distances are drawn on the scale log(1 + distance); directions are true.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from novkit.errors import DataError
from novkit.figures.style import GRID, NORMAL_COLOUR, NOVEL_COLOURS, faint, finish, in_template, legend_on_top

_LOOKS = (
    (NORMAL_COLOUR, "circle", "solid"),
    (NOVEL_COLOURS[1], "triangle-up", "dash"),
    (NOVEL_COLOURS[0], "diamond", "dot"),
    (NOVEL_COLOURS[2], "square", "longdash"),
    (NOVEL_COLOURS[5], "x", "dashdot"),
    (NOVEL_COLOURS[4], "cross", "longdashdot"),
)
_EDGE = NOVEL_COLOURS[3]
_RINGS = (1, 10, 100)
_BINS = 32


@dataclass(frozen=True)
class Moment:
    """Embeddings at one moment of training: groups maps a name to (n, 2). label: its mark on the slider, such as "3"."""

    label: str
    groups: Mapping[str, np.ndarray]


def margin_animation(
    moments: Sequence[Moment], *, centre: ArrayLike, radius: float, title: str, step: str = "epoch", height: int = 520
) -> go.Figure:
    """A two-dimensional embedding over training: left the plane around the centre, right how far each group is from it.

    centre: (2,), the origin of the picture at every moment, also before it was set. radius: R, the margin of the *squared* distance;
    the circle is √R. step: what the moments' labels count. The figure shows the last moment; a slider and a play button show the others.
    Raises DataError for no moments, moments of different groups, embeddings that are not (n, 2), and more groups than can be told apart.
    """
    if not moments:
        raise DataError("There are no moments to draw: record at least one epoch.")
    names = list(moments[0].groups)
    for moment in moments:
        if list(moment.groups) != names or any(np.ndim(z) != 2 or np.shape(z)[1] != 2 for z in moment.groups.values()):
            raise DataError(f"{moment.label!r} does not hold the groups {', '.join(names)} as (n, 2): a picture in the plane needs both.")
    if len(names) > len(_LOOKS):
        raise DataError(f"{len(names)} groups are too many to tell apart: draw at most {len(_LOOKS)}.")
    middle = np.asarray(centre, dtype=np.float64)
    farthest = max(float(_distance(z, middle).max()) for moment in moments for z in moment.groups.values())
    edges = np.linspace(0, np.log1p(max(farthest, np.sqrt(radius))), _BINS + 1)
    highest = max(float(_density(z, middle, edges).max()) for moment in moments for z in moment.groups.values())
    figure = make_subplots(1, 2, column_widths=[0.58, 0.42], horizontal_spacing=0.1)
    for trace, column in zip(_traces(moments[-1], middle, edges), [1] * len(names) + [2] * len(names), strict=True):
        figure.add_trace(trace, 1, column)
    figure.frames = [
        go.Frame(name=moment.label, data=_traces(moment, middle, edges), traces=list(range(2 * len(names)))) for moment in moments
    ]
    _rings(figure, radius, edges[-1])
    _controls(figure, [moment.label for moment in moments], step)
    _distance_axis(figure, edges, radius, column=2)
    figure.update_yaxes(title_text="density", range=[0, highest * 1.05], showticklabels=False, row=1, col=2)
    legend_on_top(figure, height)
    figure.update_layout(margin={"t": 92, "b": 110})
    return finish(figure, title=title, alt=_alt(moments, middle, radius, step), height=height)


def distance_histograms(squared: Mapping[str, ArrayLike], *, radius: float, title: str, height: int = 380) -> go.Figure:
    """How far each group of images is from the centre, whatever the embedding's dimension: densities of √d, and the edge at √R.

    squared: name -> squared distances d (n,). radius: R. Raises DataError for no groups and for more than can be told apart.
    """
    if not squared or len(squared) > len(_LOOKS):
        raise DataError(f"{len(squared)} groups of distances: give between 1 and {len(_LOOKS)}.")
    distances = {name: np.sqrt(np.asarray(d, dtype=np.float64)) for name, d in squared.items()}
    farthest = max(float(d.max()) for d in distances.values())
    edges = np.linspace(0, np.log1p(max(farthest, np.sqrt(radius))), _BINS + 1)
    figure = go.Figure()
    for (name, d), look in zip(distances.items(), _LOOKS, strict=False):
        figure.add_trace(_outline(np.histogram(np.log1p(d), edges, density=True)[0], edges, name, look, legend=True))
    _distance_axis(figure, edges, radius)
    figure.update_yaxes(title_text="density", rangemode="tozero", showticklabels=False)
    legend_on_top(figure, height)
    figure.update_layout(margin_t=92)
    told = "; ".join(f"{name}: median {np.median(d):.3g}, {np.mean(d > np.sqrt(radius)):.0%} outside" for name, d in distances.items())
    return finish(
        figure, title=title, alt=f"Densities of the distance to the centre, edge at {np.sqrt(radius):.3g}. {told}.", height=height
    )


def _distance(z: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.asarray(z, dtype=np.float64) - centre, axis=1)


def _density(z: np.ndarray, centre: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.histogram(np.log1p(_distance(z, centre)), edges, density=True)[0]


def _in_plane(z: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """(n, 2): the true direction from the centre, at log(1 + the true distance)."""
    distance = _distance(z, centre)
    return (np.asarray(z, dtype=np.float64) - centre) * (np.log1p(distance) / np.maximum(distance, 1e-12))[:, None]


def _traces(moment: Moment, centre: np.ndarray, edges: np.ndarray) -> list[go.Scatter]:
    points, outlines = [], []
    for (name, z), look in zip(moment.groups.items(), _LOOKS, strict=False):
        at = _in_plane(z, centre).round(3)
        marker = {"color": look[0], "symbol": look[1], "size": 6, "opacity": 0.7}
        text = "distance %{customdata:.2f}<extra>" + in_template(name) + "</extra>"
        points.append(
            go.Scatter(x=at[:, 0], y=at[:, 1], mode="markers", name=name, legendgroup=name, marker=marker,
                       customdata=_distance(z, centre).round(2), hovertemplate=text)
        )  # fmt: skip
        outlines.append(_outline(_density(z, centre, edges), edges, name, look, legend=False))
    return points + outlines


def _outline(density: np.ndarray, edges: np.ndarray, name: str, look: tuple[str, str, str], *, legend: bool) -> go.Scatter:
    return go.Scatter(
        x=np.repeat(edges, 2).round(4),
        y=np.r_[0, np.repeat(density, 2), 0].round(4),
        mode="lines",
        name=name,
        legendgroup=name,
        showlegend=legend,
        line={"color": look[0], "dash": look[2], "width": 1.8},
        fill="tozeroy",
        fillcolor=faint(look[0], 0.14),
        hoverinfo="skip",
    )


def _rings(figure: go.Figure, radius: float, reach: float) -> None:
    """Circles of equal distance around the centre, the sphere's edge among them."""
    for distance in (*_RINGS, float(np.sqrt(radius))):
        r = float(np.log1p(distance))
        edge = distance == float(np.sqrt(radius))
        if r > reach * 1.02:
            continue
        line = {"color": _EDGE, "width": 2.5} if edge else {"color": GRID, "width": 1}
        figure.add_shape(type="circle", x0=-r, x1=r, y0=-r, y1=r, line=line, layer="below" if not edge else "above", row=1, col=1)
        text = f"√R = {distance:.3g}" if edge else f"{distance}"
        below = {"x": 0, "y": -r, "yshift": 7} if not edge else {"x": 0, "y": r, "yshift": 8}
        font = {"size": 11, "color": _EDGE} if edge else {"size": 10}
        figure.add_annotation(**below, text=text, showarrow=False, font=font, row=1, col=1)
    hidden = {"showticklabels": False, "showgrid": False, "range": [-reach * 1.03, reach * 1.03]}
    figure.update_xaxes(**hidden, constrain="domain", title_text="true directions; distance as log(1 + distance)", row=1, col=1)
    figure.update_yaxes(**hidden, scaleanchor="x", row=1, col=1)


def _distance_axis(figure: go.Figure, edges: np.ndarray, radius: float, column: int | None = None) -> None:
    ticks = [t for t in (0, 1, 3, 10, 30, 100, 300) if np.log1p(t) <= edges[-1]]
    where = {"row": 1, "col": column} if column else {}
    figure.update_xaxes(
        tickvals=np.log1p(ticks),
        ticktext=[str(t) for t in ticks],
        title_text="distance from the centre, ‖z − c‖" + ("" if column else " (on the scale of log(1 + distance))"),
        range=[0, edges[-1]],
        **where,
    )
    edge = float(np.log1p(np.sqrt(radius)))
    figure.add_vline(edge, line={"color": _EDGE, "width": 2.5}, annotation_text="√R", annotation_font={"color": _EDGE}, **where)


def _controls(figure: go.Figure, labels: list[str], counted: str) -> None:
    now = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}, "transition": {"duration": 0}}
    steps = [{"label": label, "method": "animate", "args": [[label], now]} for label in labels]
    playing = {"fromcurrent": False, "frame": {"duration": 500, "redraw": False}, "transition": {"duration": 250}}
    buttons = [
        {"label": "▶", "method": "animate", "args": [None, playing]},
        {"label": "❚❚", "method": "animate", "args": [[None], now]},
    ]
    slider = {"active": len(labels) - 1, "steps": steps, "x": 0.12, "len": 0.88, "y": -0.14, "currentvalue": {"prefix": f"{counted} "}}
    menu = {"type": "buttons", "direction": "left", "showactive": False, "buttons": buttons, "x": 0, "xanchor": "left"}
    figure.update_layout(sliders=[slider | {"pad": {"t": 8}, "font": {"size": 10}}], updatemenus=[menu | {"y": -0.2, "yanchor": "top"}])


def _alt(moments: Sequence[Moment], centre: np.ndarray, radius: float, step: str) -> str:
    told = []
    for moment in (moments[0], moments[-1]):
        medians = [f"{name} {np.median(_distance(z, centre)):.3g}" for name, z in moment.groups.items()]
        told.append(f"{step} {moment.label}: median distances {', '.join(medians)}")
    return f"Embedding in the plane around the centre over {len(moments)} moments, circle at √R = {np.sqrt(radius):.3g}. {'; '.join(told)}."
