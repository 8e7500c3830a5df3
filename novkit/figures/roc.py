"""ROC curves, with what they amount to in the legend."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from novkit.errors import DataError
from novkit.evaluation import Scores, mean_auroc, mean_roc
from novkit.figures.style import GRID, finish, in_template, method_look, method_name


def roc_curves(
    methods: Mapping[str, Scores | Sequence[Scores]], *, title: str = "ROC curves", n_resamples: int = 2000, seed: int = 0
) -> go.Figure:
    """One curve a method, best first; its AUROC and 95 % interval stand in the legend.

    methods: scores under a method id or any name; several runs (seeds) of one method are averaged at equal false-positive rates.
    Raises DataError for no methods, and as `mean_auroc`.
    """
    if not methods:
        raise DataError("There are no scores to draw: pass at least one method.")
    runs = {name: [value] if isinstance(value, Scores) else list(value) for name, value in methods.items()}
    found = {name: mean_auroc(value, n_resamples=n_resamples, seed=seed) for name, value in runs.items()}
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": GRID, "width": 2}, hoverinfo="skip", showlegend=False, name="chance")
    )
    for name in sorted(runs, key=lambda name: -found[name].value):
        colour, _, dash = method_look(name)
        x, y = mean_roc(runs[name])
        interval, shown = found[name], in_template(method_name(name))
        figure.add_trace(
            go.Scatter(
                x=x.round(4),
                y=y.round(4),
                name=f"{method_name(name)}  {interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]",
                mode="lines",
                line={"color": colour, "dash": dash, "width": 2.6 if dash == "solid" else 1.8},
                hovertemplate=f"{shown}<br>false-positive rate %{{x:.3f}}<br>true-positive rate %{{y:.3f}}<extra></extra>",
            )
        )
    square = {"range": [-0.01, 1.01], "constrain": "domain", "dtick": 0.2}
    figure.update_xaxes(title_text="false-positive rate (share of normal images)", **square)
    figure.update_yaxes(title_text="true-positive rate (share of novel images)", scaleanchor="x", **square)
    figure.update_layout(legend={"title": {"text": "AUROC [95 % interval]", "font": {"size": 12}}, "y": 0.5, "yanchor": "middle"})
    ranked = "; ".join(
        f"{method_name(name)} AUROC {found[name].value:.3f}, interval {found[name].low:.3f} to {found[name].high:.3f}"
        for name in sorted(runs, key=lambda name: -found[name].value)
    )
    return finish(figure, title=title, alt=f"ROC curves, best first. {ranked}.", height=500, width=840)
