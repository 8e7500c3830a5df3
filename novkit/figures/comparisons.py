"""Methods, ways of scoring and ablations beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from novkit.errors import DataError
from novkit.evaluation import Scores
from novkit.figures.distributions import score_distributions
from novkit.figures.style import finish, legend_on_top, method_name
from novkit.figures.tables import _add_dot

TERTILES = ("small", "medium", "large")
METRICS = {"auroc": "AUROC", "pixel_average_precision": "pixel average precision"}


def tertile_dots(table: pd.DataFrame, *, title: str = "AUROC by size of the abnormality") -> go.Figure:
    """One panel each for the small, medium and large third of abnormalities; a dot for each way of scoring.

    table: one row for each name and tertile; columns name (drawn in order of first appearance), tertile (small, medium, large), mean, and
    sd (over seeds; NaN for one), or low and high. Optional: method (an id, for the colour), seeds (each seed's AUROC), area_low and
    area_high (shares of the image). Raises DataError for no rows, a missing column or another tertile.
    """
    _check_columns(table, ["name", "tertile", "mean"], "sd" if "low" not in table else "high")
    unknown = set(table["tertile"]) - set(TERTILES)
    if unknown:
        raise DataError(f"{min(unknown)!r} is no tertile: use {', '.join(TERTILES)}.")
    names = list(dict.fromkeys(table["name"]))
    height = 110 + 70 + 28 * len(names)
    figure = make_subplots(1, 3, subplot_titles=[_tertile_title(table, t) for t in TERTILES], shared_yaxes=True, horizontal_spacing=0.04)
    lows, said = [0.5], []
    for column, tertile in enumerate(TERTILES, start=1):
        for row in table[table["tertile"] == tertile].to_dict("records"):
            low, high, note = (row["low"], row["high"], "interval") if "low" in row else _spread(row["mean"], row["sd"])
            seeds = _seeds(row.get("seeds"))
            _add_dot(figure, _line(row["name"], row.get("method", "patchgan"), row["mean"], low, high, seeds, note), 1, column)
            lows += [low, *seeds]
            said.append(f"{tertile}, {row['name']} {row['mean']:.3f}")
        figure.add_vline(0.5, line={"color": "#8C8C8C", "width": 1.2, "dash": "dot"}, row=1, col=column)
    figure.update_xaxes(title_text="AUROC (0.5 is chance)", range=[np.floor(20 * (np.nanmin(lows) - 0.02)) / 20, 1.01])
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], range=[-0.6, len(names) - 0.4], showgrid=False)
    figure.update_layout(showlegend=False, margin_t=90)
    return finish(figure, title=title, alt=f"AUROC by size of the abnormality: {'; '.join(said)}.", height=height)


def _tertile_title(table: pd.DataFrame, tertile: str) -> str:
    part = table[table["tertile"] == tertile]
    if part.empty or not {"area_low", "area_high"} <= set(part):
        return tertile
    return f"{tertile}<br><sup>{part['area_low'].mean():.1%} to {part['area_high'].mean():.1%} of the image</sup>"


def ablation_dots(table: pd.DataFrame, *, default: str = "default", title: str = "What each part brings") -> go.Figure:
    """One row an ablation, AUROC and pixel average precision as two panels; the default's means are the vertical lines.

    table: columns group, name (each once), and for each metric auroc and pixel_average_precision `<metric>_mean`, `<metric>_sd` (over
    seeds) and optionally `<metric>_seeds` (each seed's value); NaN where there is no map. default: the name of the row to compare with.
    Raises DataError for no rows, a missing column, a name that stands twice or no default.
    """
    _check_columns(table, ["group", "name", *(f"{metric}_{part}" for metric in METRICS for part in ("mean", "sd"))])
    if table["name"].duplicated().any():
        raise DataError(f"The ablation {table['name'][table['name'].duplicated()].iloc[0]!r} stands twice: give each row its own name.")
    if default not in set(table["name"]):
        raise DataError(f"No row is called {default!r}: name the row that the ablations are compared with.")
    order: list[str] = []
    for group, part in table.groupby("group", sort=False):
        order += [*([] if list(part["name"]) == [default] else [f"<b>{group}</b>"]), *part["name"]]
    figure = make_subplots(1, 2, subplot_titles=list(METRICS.values()), shared_yaxes=True, horizontal_spacing=0.04)
    said = []
    for column, (metric, words) in enumerate(METRICS.items(), start=1):
        for row in table.to_dict("records"):
            mean = row[f"{metric}_mean"]
            if pd.isna(mean):
                continue
            low, high, note = _spread(mean, row[f"{metric}_sd"])
            method = "patchgan" if row["name"] == default else "ablation"
            seeds = _seeds(row.get(f"{metric}_seeds"))
            _add_dot(figure, _line(row["name"], method, mean, low, high, seeds, note), 1, column)
            said.append(f"{words}, {row['name']} {mean:.3f}")
        chosen = table.loc[table["name"] == default, f"{metric}_mean"].iloc[0]
        if not pd.isna(chosen):
            figure.add_vline(chosen, line={"color": "#0078BE", "width": 1.4, "dash": "dash"}, row=1, col=column)
        figure.update_xaxes(title_text=f"{words}, mean ± sd over seeds", row=1, col=column)
    figure.update_yaxes(categoryorder="array", categoryarray=order[::-1], tickvals=order, range=[-0.6, len(order) - 0.4], showgrid=False)
    figure.update_layout(showlegend=False, margin_t=80)
    alt = f"Ablations; the dashed lines are the means of {default}. {'; '.join(said)}."
    return finish(figure, title=title, alt=alt, height=150 + 24 * len(order))


def _check_columns(table: pd.DataFrame, names: Sequence[str], *more: str) -> None:
    if table.empty:
        raise DataError("There are no results to draw: pass at least one row.")
    missing = [name for name in [*names, *more] if name not in table]
    if missing:
        raise DataError(f"The table lacks the column {missing[0]!r}: its columns are {', '.join(map(str, table))}.")


def _line(name: str, method: str, mean: float, low: float, high: float, seeds: list[float], note: str) -> SimpleNamespace:
    return SimpleNamespace(display_name=name, method=method, auroc=mean, low=low, high=high, seeds=seeds, note=note)


def _spread(mean: float, sd: float) -> tuple[float, float, str]:
    return (mean, mean, "one seed") if pd.isna(sd) else (mean - sd, mean + sd, "mean ± sd over seeds")


def _seeds(values: object) -> list[float]:
    return [float(value) for value in values] if isinstance(values, list | tuple | np.ndarray) else []


@dataclass(frozen=True, kw_only=True)
class DistributionPanel:
    """One method's test scores on one data set, with what was measured on them. auroc in [0, 1]; synthetic: the images are generated."""

    dataset: str
    method: str
    scores: Scores
    auroc: float
    synthetic: bool


def distribution_grid(panels: Sequence[DistributionPanel], *, title: str = "Scores of normal and novel images") -> go.Figure:
    """Score distributions, one row a data set, one column a method, normal against novel; the arrangement of Figure 3 in Chen et al. 2025.

    Rows and columns follow the panels' order; a pair that is not given stays empty. Every panel names its data, and says where they are
    synthetic; its AUROC is the one passed in. Raises DataError for no panels, or two of the same method on the same data.
    """
    if not panels:
        raise DataError("There are no scores to draw: pass at least one panel.")
    datasets, methods = (list(dict.fromkeys(getattr(panel, name) for panel in panels)) for name in ("dataset", "method"))
    given = {(panel.dataset, panel.method): panel for panel in panels}
    if len(given) < len(panels):
        raise DataError("Two panels show the same method on the same data: merge their scores first.")
    cells = [given.get((dataset, method)) for dataset in datasets for method in methods]
    height = 110 + 270 * len(datasets)
    figure = make_subplots(
        len(datasets),
        len(methods),
        subplot_titles=[_panel_title(panel) if panel else "" for panel in cells],
        horizontal_spacing=0.03,
        vertical_spacing=120 / height if len(datasets) > 1 else 0,
    )
    seen: set[str] = set()
    for index, panel in enumerate(cells):
        row, column = index // len(methods) + 1, index % len(methods) + 1
        if panel is None:
            figure.update_xaxes(visible=False, row=row, col=column)
            figure.update_yaxes(visible=False, row=row, col=column)
            continue
        one = score_distributions(replace(panel.scores, condition=np.where(panel.scores.label == 1, "novel", panel.scores.condition)))
        for trace in one.data:
            figure.add_trace(trace.update(showlegend=trace.name not in seen), row, column)
            seen.add(trace.name)
        tail = one.layout.xaxis.title.text.partition(", ")[2].rstrip(")")
        figure.update_xaxes(title_text="novelty score" + (f"<br>({tail})" if tail else ""), row=row, col=column)
    figure.update_yaxes(showticklabels=False, rangemode="tozero")
    figure.update_yaxes(title_text="density", col=1)
    figure.update_annotations(font_size=12)
    legend_on_top(figure, height)
    figure.update_layout(margin_t=110)
    said = "; ".join(_panel_title(panel).replace("<br>", ", ") for panel in panels)
    return finish(figure, title=title, alt=f"Histograms of novelty scores, normal against novel. {said}.", height=height)


def _panel_title(panel: DistributionPanel) -> str:
    return f"{method_name(panel.method)}<br>{panel.dataset}{' (synthetic)' if panel.synthetic else ''}<br>AUROC {panel.auroc:.3f}"
