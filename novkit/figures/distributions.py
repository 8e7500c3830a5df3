"""Where each class's scores lie: the picture behind an AUROC."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from novkit.errors import DataError
from novkit.evaluation import Scores
from novkit.figures.style import (
    DASHES,
    NORMAL_COLOUR,
    NOVEL_COLOURS,
    condition_looks,
    faint,
    finish,
    in_template,
    legend_on_top,
    method_name,
)

_MOST_CLASSES = 6  # more outlines than this cannot be told apart


def score_distributions(
    panels: Mapping[str, Scores] | Scores, *, title: str = "Novelty scores by class", bins: int = 40, threshold: float | None = None
) -> go.Figure:
    """Histograms of the scores, as densities over shared bins, normal against each novel class.

    panels: scores under a method id or any name, one panel each, side by side; or one run's scores.
    bins: equal bins over a panel's scores, fewer where a class has few images. A long upper tail (above the 99.5th percentile) is gathered
    in the last bin; the axis says so. More than six novel classes are drawn as one.
    threshold: marked where given (for a single panel). Raises DataError where there is no run.
    """
    named = {"": panels} if isinstance(panels, Scores) else dict(panels)
    if not named:
        raise DataError("There are no scores to draw: pass at least one run.")
    looks = condition_looks([name for scores in named.values() for name in scores.condition[scores.label == 1]])
    if len(looks) > _MOST_CLASSES:
        one = f"novel ({len(looks)} classes)"
        named = {key: replace(scores, condition=np.where(scores.label == 1, one, scores.condition)) for key, scores in named.items()}
        looks = {one: (NOVEL_COLOURS[0], DASHES[1])}
    columns = min(len(named), 3)
    rows = -(-len(named) // columns)
    height = 120 + 240 * rows
    figure = make_subplots(
        rows, columns, subplot_titles=[method_name(name) for name in named], horizontal_spacing=0.05, vertical_spacing=90 / height
    )
    seen: set[str] = set()
    for index, scores in enumerate(named.values()):
        row, column = index // columns + 1, index % columns + 1
        smallest = min((np.sum((scores.label == 1) & (scores.condition == name)) or len(scores) for name in looks), default=len(scores))
        edges, n_above = _edges(scores.score, int(np.clip(3 * np.sqrt(smallest), 8, max(8, bins))))
        classes = [("normal", scores.label == 0, NORMAL_COLOUR, "solid")]
        classes += [(str(name), (scores.label == 1) & (scores.condition == name), *look) for name, look in looks.items()]
        for name, chosen, colour, dash in classes:
            if not chosen.any():
                continue
            density, _ = np.histogram(np.minimum(scores.score[chosen], edges[-1]), bins=edges, density=True)
            trace = go.Scatter(
                x=np.repeat(edges, 2),
                y=np.r_[0, np.repeat(density, 2), 0],
                name=name,
                legendgroup=name,
                showlegend=name not in seen,
                mode="lines",
                line={"color": colour, "dash": dash, "width": 1.6},
                fill="tozeroy",
                fillcolor=faint(colour, 0.16),
                hovertemplate=f"{in_template(name)} ({int(chosen.sum())} images)<br>score %{{x:.3g}}<br>density %{{y:.3g}}<extra></extra>",
            )
            figure.add_trace(trace, row, column)
            seen.add(name)
        tail = f", {n_above} higher ones in the last bin" if n_above else ""
        figure.update_xaxes(title_text=f"novelty score (method's own units{tail})", row=row, col=column)
    figure.update_yaxes(title_text="density (per unit of score)", col=1)
    figure.update_yaxes(showticklabels=False, rangemode="tozero")
    if threshold is not None and len(named) == 1:
        figure.add_vline(threshold, line={"dash": "dash", "width": 1.5, "color": "#8C8C8C"}, annotation_text="threshold")
    legend_on_top(figure, height)
    figure.update_layout(margin_t=96)
    return finish(figure, title=title, alt=_alt(named), height=height)


def _edges(score: np.ndarray, bins: int) -> tuple[np.ndarray, int]:
    low, high = float(score.min()), float(score.max())
    usual = float(np.quantile(score, 0.995, method="lower"))
    if high - low > 1.5 * (usual - low) > 0:
        return np.linspace(low, usual, bins + 1), int((score > usual).sum())
    return np.linspace(low, high if high > low else low + 1, bins + 1), 0


def _alt(named: Mapping[str, Scores]) -> str:
    parts = []
    for name, scores in named.items():
        medians = [f"normal {np.median(scores.score[scores.label == 0]):.3g}" if (scores.label == 0).any() else ""]
        for condition in sorted(set(scores.condition[scores.label == 1])):
            medians.append(f"{condition} {np.median(scores.score[(scores.label == 1) & (scores.condition == condition)]):.3g}")
        parts.append(f"{method_name(name) or 'scores'}: median {', '.join(filter(None, medians))}")
    return "Histograms of novelty scores by class. " + "; ".join(parts) + "."
