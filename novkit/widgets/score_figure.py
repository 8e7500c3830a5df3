"""The figure of ScoreExplorer: one histogram a method beside the ROC curves, the threshold in both."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from novkit.figures.images import plain_text
from novkit.figures.style import DASHES, GRID, INK, NORMAL_COLOUR, TEMPLATE, faint, harmless, in_template, method_look
from novkit.widgets.score_view import NORMAL, ScoreState, Shown, bin_edges, class_looks, drawn_classes, heights, shares_of_bins

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star", "x")  # a class's symbol, beside its colour and dash
_ROC_STEPS = 400  # a curve is drawn to this share of the axes
_HEAD, _FOOT, _BETWEEN = 84, 52, 78  # pixels above, below and between the panels
# the selection is shaded by us: plotly's fading of all other points would outlive a change of bins
_UNFADED = {"selected": {"marker": {"opacity": 1}}, "unselected": {"marker": {"opacity": 1}}}

Spec = dict[str, Any]  # plotly's JSON; a Figure made from it at once costs a fifth of the same made step by step


def scores_figure(shown: Mapping[str, Shown], state: ScoreState) -> go.Figure:
    """Histograms of every method below each other, all ROC curves beside them, and where the threshold stands in both.

    A class's trace has one marked point a bin; `picked_bins` turns picked points back into bins.
    """
    return go.Figure(harmless(scores_spec(shown, state)))


def scores_spec(shown: Mapping[str, Shown], state: ScoreState) -> Spec:
    """The same as plotly's JSON: what a slider's move redraws need not be validated whole."""
    rows = max(1, len(shown))
    height = max(480, _HEAD + _FOOT + 200 * rows - _BETWEEN)
    data: list[Spec] = []
    layout: Spec = {
        "template": TEMPLATE,
        "title": {"text": plain_text(f"{state.dataset}, {state.case}, seed {state.seed}")},
        "height": height,
        "meta": {"alt": figure_alt(shown, state)},
        "margin": {"l": 60, "r": 16, "t": _HEAD, "b": _FOOT},
        "dragmode": "select",
        "selectdirection": "h",
        "legend": {"orientation": "h", "x": 0, "xref": "container", "y": 1 - 28 / height, "yref": "container", "yanchor": "top"},
        "legend2": {
            "title": {"text": "AUROC", "font": {"size": 12}},
            "xref": "container",  # a legend placed by the panels would push them aside
            "yref": "container",
            "x": 0.985,
            "y": (_FOOT + 12) / height,
            "xanchor": "right",
            "yanchor": "bottom",
        },
        "uirevision": f"{state.dataset} {state.case} {rows}",
        "shapes": [],
        "annotations": [_heading("ROC curves", "x", "y")],
        **_roc_axes(),
    }
    inner = height - _HEAD - _FOOT
    seen: set[str] = set()
    for row, (name, each) in enumerate(shown.items()):
        panel = (inner - _BETWEEN * (rows - 1)) / rows
        top = 1 - row * (panel + _BETWEEN) / inner
        _add_histogram(data, layout, name, each, state, row, (max(0.0, top - panel / inner), top), seen)
    data += _roc_traces(shown)
    return {"data": data, "layout": layout}


def picked_bins(state: ScoreState, shown: Mapping[str, Shown], points: Mapping[int, list[int]]) -> ScoreState:
    """The state after picking points: {trace number: point numbers} of the histograms. The bins' whole span is selected, in their classes.

    Points of several methods: the first method with any counts. Nothing picked selects nothing.
    """
    number = 0
    for name, each in shown.items():
        classes = _class_names(each)
        of_method = {c: [i - 1 for i in points.get(number + k, []) if 1 <= i <= state.bins] for k, c in enumerate(classes)}
        of_method = {c: bins for c, bins in of_method.items() if bins}
        if of_method:
            edges, _ = bin_edges(each.scores.score, state.bins, state.log_scores)
            together = [index for bins in of_method.values() for index in bins]
            span = shares_of_bins(each.scores.score, edges, min(together), max(together))
            return replace(state, selected_method=name, selected=span, selected_classes=tuple(of_method), shown=())
        number += len(classes)
    return replace(state, selected=(0.0, 0.0), shown=())


def figure_alt(shown: Mapping[str, Shown], state: ScoreState) -> str:
    """What the figure shows, for a reader who cannot see it."""
    if not shown:
        return "No method is chosen."
    parts = []
    for name, each in shown.items():
        p = each.point
        said = f"{name}: AUROC {'undefined' if each.auroc is None else f'{each.auroc:.3f}'}, threshold {p.threshold:.3g}"
        if p.sensitivity is not None:
            said += f", sensitivity {p.sensitivity:.3f}"
        if p.specificity is not None:
            said += f", specificity {p.specificity:.3f}"
        parts.append(said)
    return f"Histograms of novelty scores by class, and ROC curves, on {state.dataset}, {state.case}. {'; '.join(parts)}."


# ---- histograms ------------------------------------------------------------------------------------------------------


def _class_names(each: Shown) -> list[str]:
    names = sorted(set(drawn_classes(each.scores)) - {NORMAL})
    return [NORMAL, *names] if (each.scores.label == 0).any() else names


def _add_histogram(
    data: list[Spec], layout: Spec, name: str, each: Shown, state: ScoreState, row: int, domain: tuple[float, float], seen: set[str]
) -> None:
    scores, drawn = each.scores, drawn_classes(each.scores)
    edges, n_above = bin_edges(scores.score, state.bins, state.log_scores)
    log_x = state.log_scores and edges[0] > 0
    if log_x:
        centres = np.sqrt(edges[1:] * edges[:-1])
        ends = edges[0] ** 2 / centres[0], edges[-1] ** 2 / centres[-1]
    else:
        centres = (edges[1:] + edges[:-1]) / 2
        ends = 2 * edges[0] - centres[0], 2 * edges[-1] - centres[-1]
    empty = np.nan if state.log_heights else 0.0
    looks, most = class_looks(list(drawn)), 0.0
    for index, group in enumerate(_class_names(each)):
        colour, dash = looks.get(group, (NORMAL_COLOUR, "solid"))
        chosen = scores.score[drawn == group]
        high = heights(chosen, edges, state.density)
        most = max(most, float(high.max()))
        trace: Spec = {
            "type": "scatter",
            "x": np.r_[ends[0], centres, ends[1]],  # a point beyond either end brings the outline down to nothing
            "y": np.r_[empty, np.where(high > 0, high, empty), empty],
            "xaxis": f"x{row + 2}",
            "yaxis": f"y{row + 2}",
            "name": group,
            "legendgroup": group,
            "showlegend": group not in seen,
            "mode": "lines+markers",
            "line": {"color": colour, "dash": dash, "width": 1.6, "shape": "hvh"},
            "marker": {"color": colour, "symbol": SYMBOLS[index % len(SYMBOLS)], "size": np.r_[0, np.where(high > 0, 5, 0), 0]},
            **_UNFADED,
            "fill": "none" if state.log_heights else "tozeroy",
            "fillcolor": faint(colour, 0.14),
            "hovertemplate": f"{in_template(group)} ({len(chosen)} images)<br>score %{{x:.3g}}<br>%{{y:.3g}}<extra></extra>",
        }
        data.append(trace)
        seen.add(group)
    tail = f", {n_above} higher ones in the last bin" if n_above else ""
    why_linear = ", linear because not all are positive" if state.log_scores and not log_x else ""
    layout[f"xaxis{row + 2}"] = {
        "anchor": f"y{row + 2}",
        "domain": [0, 0.54],
        "type": "log" if log_x else "linear",
        "title": {"text": f"novelty score (method's own units{tail}{why_linear})"},
    }
    layout[f"yaxis{row + 2}"] = {
        "anchor": f"x{row + 2}",
        "domain": list(domain),
        "type": "log" if state.log_heights else "linear",
        "title": {"text": "density" if state.density else "images"},
        "nticks": 5,
        **({"autorange": True} if state.log_heights else {"range": [0, 1.12 * most or 1]}),
    }
    _add_marks(layout, name, each, state, edges, (f"x{row + 2}", f"y{row + 2}"), log_x)


def _add_marks(layout: Spec, name: str, each: Shown, state: ScoreState, edges: np.ndarray, axes: tuple[str, str], log_x: bool) -> None:
    """The method's name, the threshold as a dashed line with its value, the selected scores as a shaded band."""
    whole = {"xref": axes[0], "yref": f"{axes[1]} domain", "y0": 0, "y1": 1}
    layout["annotations"].append(_heading(name, *axes))
    at = float(np.clip(each.point.threshold, edges[0], edges[-1]))
    layout["shapes"].append({"type": "line", "x0": at, "x1": at, "line": {"color": INK, "dash": "dash", "width": 2}, **whole})
    place = np.log10 if log_x else np.asarray  # plotly places annotations, unlike shapes, by the exponent
    left = place(at) < (place(edges[0]) + place(edges[-1])) / 2
    layout["annotations"].append(
        {
            "x": float(place(at)),
            "y": 1,
            "xref": axes[0],
            "yref": f"{axes[1]} domain",
            "text": f"threshold {each.point.threshold:.4g}",
            "showarrow": False,
            "xanchor": "left" if left else "right",
            "yanchor": "top",
            "font": {"size": 11},
        }
    )
    low, high = state.selected
    if name == state.selected_method and 0 < high - low < 1 and state.selected_classes:
        ordered = np.sort(each.scores.score)
        first, last = min(round(low * len(ordered)), len(ordered) - 1), max(round(high * len(ordered)) - 1, 0)
        x0, x1 = np.clip(ordered[[first, last]], edges[0], edges[-1])
        band = {"type": "rect", "fillcolor": "#8C8C8C", "opacity": 0.22, "line": {"width": 0}, "layer": "below"}
        layout["shapes"].append({**band, "x0": float(x0), "x1": float(x1), **whole})


def _heading(text: str, x: str, y: str) -> Spec:
    return {
        "text": plain_text(text),
        "x": 0,
        "y": 1,
        "xref": f"{x} domain",
        "yref": f"{y} domain",
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 13},
    }


# ---- ROC -------------------------------------------------------------------------------------------------------------


def _roc_axes() -> Spec:
    square = {"range": [-0.02, 1.02], "constrain": "domain", "dtick": 0.2}
    return {
        "xaxis": {**square, "anchor": "y", "domain": [0.63, 1], "title": {"text": "false-positive rate (1 − specificity)"}},
        "yaxis": {**square, "anchor": "x", "domain": [0, 1], "title": {"text": "true-positive rate (sensitivity)"}},
    }


def _roc_traces(shown: Mapping[str, Shown]) -> list[Spec]:
    lines = {"type": "scatter", "mode": "lines"}
    traces: list[Spec] = [
        {**lines, "x": [0, 1], "y": [0, 1], "line": {"color": GRID, "width": 2}, "hoverinfo": "skip", "showlegend": False, "name": "chance"}
    ]
    same: dict[str, int] = {}
    for name, each in shown.items():
        method = each.run.record.method
        colour, symbol, dash = method_look(method)
        variant = same[method] = same.get(method, -1) + 1
        if variant:  # a method's variants share its colour
            dash = DASHES[variant % len(DASHES)]
        hover = "<br>false-positive rate %{x:.3f}<br>true-positive rate %{y:.3f}<extra></extra>"
        x, y = _thinned(*each.curve)
        traces.append(
            {
                **lines,
                "x": x,
                "y": y,
                "name": f"{name}  {'–' if each.auroc is None else f'{each.auroc:.3f}'}",
                "legend": "legend2",
                "line": {"color": colour, "dash": dash, "width": 2.4 if dash == "solid" else 1.8},
                "hovertemplate": f"{in_template(name)}{hover}",
            }
        )
        p = each.point
        drawn = p.sensitivity is not None and p.specificity is not None
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [1 - (p.specificity or 0)] if drawn else [],
                "y": [p.sensitivity] if drawn else [],
                "name": f"{name} at the threshold",
                "showlegend": False,
                "marker": {"color": colour, "symbol": symbol, "size": 13, "line": {"color": INK, "width": 1.5}},
                **_UNFADED,
                "hovertemplate": f"{in_template(name)} at its threshold{hover}",
            }
        )
    return traces


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve without the points that could not be told apart on screen."""
    if not len(x):
        return x, y
    cell = np.rint(x * _ROC_STEPS) * (_ROC_STEPS + 1) + np.rint(y * _ROC_STEPS)
    kept = np.r_[True, np.diff(cell) != 0]
    kept[-1] = True
    return x[kept], y[kept]
