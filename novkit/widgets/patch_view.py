"""What PatchExplorer shows, as plain functions: patch scores and choices in, weights, numbers and figures out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch

from novkit.errors import DataError, SettingsError
from novkit.figures.images import MAP_COLOURS, plain_text
from novkit.figures.style import INK, NORMAL_COLOUR, NOVEL_COLOURS, TEMPLATE, harmless
from novkit.images import check_images
from novkit.patchgan.masking import PatchGrid
from novkit.patchgan.ranking import AGGREGATES, rank_weights
from novkit.widgets.readouts import readout_table
from novkit.widgets.thumbnails import picture_of

_HEIGHT = 560
_TRUTH = "#56B4E9"
_LIT, _DARK = NOVEL_COLOURS[0], "#8C8C8C"


@dataclass(frozen=True)
class PatchScores:
    """What one fitted Patch-GAN says of every patch of some images: all that the explorer needs, computed once.

    scores: (n, P) float64, patches row by row. grid: its PatchGrid. Raises DataError where the two do not fit.
    """

    scores: np.ndarray
    grid: PatchGrid

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or self.scores.shape[1] != self.grid.count or not np.isfinite(self.scores).all():
            raise DataError(
                f"Patch scores of shape {self.scores.shape} on a grid of {self.grid.rows}×{self.grid.columns} patches: "
                f"give finite numbers (n, {self.grid.count})."
            )


@dataclass(frozen=True, kw_only=True)
class PatchState:
    """image: which, from 0. patch, mask_share: which precomputed run (patch side in pixels, hidden share).

    how: "ranked", "top_k", "mean" or "max". tau: τ of "ranked". top_k: k of "top_k". lit: patches of the ranking that are lit, from 0.
    truth: outline the truth. Raises SettingsError for another `how`, τ ≤ 0, k < 1, and a negative image or lit.
    """

    image: int = 0
    patch: int = 4
    mask_share: float = 0.25
    how: str = "ranked"
    tau: float = 0.01
    top_k: int = 3
    lit: int = 5
    truth: bool = True

    def __post_init__(self) -> None:
        if self.how not in AGGREGATES:
            raise SettingsError(f"how is {self.how!r}: choose one of {', '.join(AGGREGATES)}.")
        if not self.tau > 0:
            raise SettingsError(f"tau is {self.tau}: τ must be positive.")
        if self.top_k < 1 or self.lit < 0 or self.image < 0:
            raise SettingsError(f"top_k is {self.top_k}, lit {self.lit}, image {self.image}: k from 1 on, the others from 0.")


@dataclass(frozen=True)
class Ranking:
    """One image's patches, most abnormal first; ties keep the patches' order. order, scores, weights, build_up: (P,).

    weights sum to 1 along the ranking; build_up[i] = Σ_{j ≤ i} w_j s_(j), so that the last is the image score A(x).
    """

    order: np.ndarray
    scores: np.ndarray
    weights: np.ndarray

    @property
    def build_up(self) -> np.ndarray:
        """(P,) float64: what the first patches of the ranking add up to."""
        return np.cumsum(self.weights * self.scores)

    @property
    def image_score(self) -> float:
        """A(x), where the build-up ends."""
        return float(self.build_up[-1])


def ranking(patch_scores: np.ndarray, state: PatchState) -> Ranking:
    """(P,) -> the ranking with the weights of `state.how`: every rule is a weight for each rank."""
    values = np.asarray(patch_scores, dtype=np.float64)
    count = len(values)
    order = np.argsort(-values, kind="stable")
    rank = np.arange(count)
    if state.how == "ranked":
        descending = -torch.arange(count, dtype=torch.float64)[None]
        weights = rank_weights(descending, state.tau)[0].numpy() / count
    else:
        kept = {"mean": count, "max": 1, "top_k": min(state.top_k, count)}[state.how]
        weights = np.where(rank < kept, 1 / kept, 0.0)
    return Ranking(order, values[order], weights)


def patch_readout(found: Ranking, state: PatchState) -> dict[str, float | int | str]:
    """What is lit, what it contributes, and what the image score is."""
    lit = min(state.lit, len(found.order))
    half = int(np.searchsorted(np.cumsum(found.weights), 0.5 - 1e-12)) + 1
    rule = {"ranked": f"ranked, τ = {state.tau:.3g}", "top_k": f"mean of the top k = {state.top_k}", "mean": "mean", "max": "maximum"}[
        state.how
    ]
    return {
        "rule": rule,
        "patches lit": lit,
        "their share of the weight": float(found.weights[:lit].sum()),
        "score built up": float(found.build_up[lit - 1]) if lit else 0.0,
        "image score": found.image_score,
        "patches that hold half the weight": half,
    }


def patch_html(found: Ranking, state: PatchState) -> str:
    """The readout as a table, and the lit patches as a list for readers who cannot see them."""
    lit = found.order[: state.lit]
    first = ", ".join(f"{patch} ({score:.2f})" for patch, score in zip(lit[:10], found.scores, strict=False))
    more = f" and {len(lit) - 10} more" if len(lit) > 10 else ""
    said = f"Patches in order, counted row by row from 0, with their scores: {first}{more}." if len(lit) else "No patch is lit."
    values = {name: [value] for name, value in patch_readout(found, state).items()}
    return readout_table("What the image score is made of", [], values) + f'<p style="font-size:13px">{said}</p>'


def patch_figure(image: np.ndarray, scores: PatchScores, state: PatchState, mask: np.ndarray | None = None, caption: str = "") -> go.Figure:
    """The image with its grid, the lit patches and the truth; the ranked scores with their weights; and how the image score builds up.

    image: (channels, height, width). mask: (height, width) bool, the truth. The second trace is the lit patches, for clicks.
    Raises DataError for an image that the scores are not of.
    """
    check_images(image[None])
    if state.image >= len(scores.scores):
        raise DataError(f"There is no image {state.image}: {len(scores.scores)} images have patch scores.")
    height, width = image.shape[1:]
    if (scores.grid.rows * scores.grid.patch, scores.grid.columns * scores.grid.patch) != (height, width):
        raise DataError(f"Images of {height}×{width} on a grid of {scores.grid}: give the images that were scored.")
    found = ranking(scores.scores[state.image], state)
    data = [
        *_image_traces(image, scores, state, found, mask),
        *_rank_traces(found, state),
        *_build_up_traces(found, state),
    ]
    title = "Patches in the order of their scores" + (f": {caption}" if caption else "")
    return go.Figure({"data": data, "layout": _layout((height, width), found, state, title)})


# ---- the image -------------------------------------------------------------------------------------------------------


def _image_traces(
    image: np.ndarray, scores: PatchScores, state: PatchState, found: Ranking, mask: np.ndarray | None
) -> list[dict[str, Any]]:
    source, factor = picture_of(image)
    # pixel i of the image spans [i, i + 1]
    picture = {
        "type": "image",
        "source": source,
        "x0": 0.5 / factor,
        "y0": 0.5 / factor,
        "dx": 1 / factor,
        "dy": 1 / factor,
        "hoverinfo": "skip",
    }
    line = {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}
    gx, gy = _grid_lines(scores.grid)
    tx, ty = outline(mask) if mask is not None and state.truth else (np.array([]), np.array([]))
    return [
        picture,
        _lit_patches(scores, state, found),
        {**line, "x": gx, "y": gy, "line": {"color": "rgba(160, 160, 160, 0.45)", "width": 0.6}, "showlegend": False, "name": "grid"},
        {**line, "x": tx, "y": ty, "line": {"color": _TRUTH, "width": 3}, "name": "truth", "showlegend": bool(len(tx))},
    ]


def _lit_patches(scores: PatchScores, state: PatchState, found: Ranking) -> dict[str, Any]:
    grid = scores.grid
    rank = np.full(grid.count, np.nan)
    rank[found.order] = np.arange(1, grid.count + 1)
    z = np.where(rank <= state.lit, scores.scores[state.image], np.nan).reshape(grid.rows, grid.columns)
    told = np.stack([rank, scores.scores[state.image], np.arange(grid.count)], axis=1).reshape(grid.rows, grid.columns, 3)
    low, high = np.quantile(scores.scores, [0.02, 0.999])
    return {
        "type": "heatmap",
        "z": z,
        "x0": grid.patch / 2,
        "dx": grid.patch,
        "y0": grid.patch / 2,
        "dy": grid.patch,
        "zmin": float(low),
        "zmax": float(max(high, low + 1e-9)),
        "colorscale": MAP_COLOURS,
        "opacity": 0.62,
        "customdata": told,
        "hoverongaps": True,
        "hovertemplate": "patch %{customdata[2]}<br>rank %{customdata[0]}<br>score %{customdata[1]:.3g}<extra></extra>",
        "colorbar": {
            "title": {"text": "patch<br>score", "font": {"size": 11}},
            "x": 0.475,
            "len": 0.6,
            "thickness": 10,
            "outlinewidth": 0,
            "nticks": 4,
        },
    }


def _grid_lines(grid: PatchGrid) -> tuple[np.ndarray, np.ndarray]:
    """All lines of the grid as one trace, parted by NaN."""
    height, width = grid.rows * grid.patch, grid.columns * grid.patch
    across, down = np.arange(grid.rows + 1) * grid.patch, np.arange(grid.columns + 1) * grid.patch
    x = np.concatenate([np.tile([0, width, np.nan], len(across)), np.repeat(down, 3)]).astype(float)
    y = np.concatenate([np.repeat(across, 3), np.tile([0, height, np.nan], len(down))]).astype(float)
    x[np.isnan(y)] = y[np.isnan(x)] = np.nan
    return x, y


def outline(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(height, width) bool -> x and y of the mask's border along the pixels' edges, pieces parted by NaN; empty for an empty mask."""
    inside = np.pad(np.asarray(mask, dtype=bool), 1)
    row, column = np.nonzero(inside[1:] != inside[:-1])  # an edge between a pixel and the one below it
    across = np.stack([column - 1, column, np.full(len(row), np.nan)], axis=1), np.stack([row, row, np.full(len(row), np.nan)], axis=1)
    row, column = np.nonzero(inside[:, 1:] != inside[:, :-1])
    down = np.stack([column, column, np.full(len(row), np.nan)], axis=1), np.stack([row - 1, row, np.full(len(row), np.nan)], axis=1)
    return tuple(np.concatenate([a.ravel(), b.ravel()]) for a, b in zip(across, down, strict=True))  # type: ignore[return-value]


# ---- the ranking -----------------------------------------------------------------------------------------------------


def _rank_traces(found: Ranking, state: PatchState) -> list[dict[str, Any]]:
    """Scores as bars, lit ones coloured; the weights as a line on an axis of their own."""
    places = np.arange(1, len(found.order) + 1)
    lit = places <= state.lit
    bars = {
        "type": "bar",
        "x": places,
        "y": found.scores,
        "xaxis": "x2",
        "yaxis": "y2",
        "marker": {"color": np.where(lit, _LIT, _DARK), "line": {"width": 0}},
        "customdata": found.order,
        "hovertemplate": "rank %{x}: patch %{customdata}<br>score %{y:.3g}<extra></extra>",
        "name": "patch score",
        "showlegend": False,
    }
    weights = {
        "type": "scatter",
        "mode": "lines",
        "x": places,
        "y": found.weights,
        "xaxis": "x2",
        "yaxis": "y4",
        "line": {"color": NORMAL_COLOUR, "dash": "dash", "width": 2},
        "hovertemplate": "rank %{x}<br>weight %{y:.3g}<extra></extra>",
        "name": "weight (right)",
    }
    return [bars, weights]


def _build_up_traces(found: Ranking, state: PatchState) -> list[dict[str, Any]]:
    places = np.arange(len(found.order) + 1)
    built = np.r_[0.0, found.build_up]
    lit = min(state.lit, len(found.order))
    common = {"type": "scatter", "xaxis": "x3", "yaxis": "y3", "showlegend": False}
    line = {"mode": "lines", "x": places, "y": built, "line": {"color": INK, "width": 2}, "name": "score built up"}
    point = {
        "mode": "markers",
        "x": [lit],
        "y": [built[lit]],
        "marker": {"color": _LIT, "size": 12, "symbol": "circle"},
        "name": "lit so far",
    }
    hover = "first %{x} patches<br>Σ w s = %{y:.4g}<extra></extra>"
    return [{**common, **line, "hovertemplate": hover}, {**common, **point, "hovertemplate": hover}]


def _layout(size: tuple[int, int], found: Ranking, state: PatchState, title: str) -> dict[str, Any]:
    height, width = size
    count = len(found.order)
    hidden = {"visible": False, "constrain": "domain"}
    right = [0.62, 0.94]
    note = {"showarrow": False, "font": {"size": 11}, "xref": "x3 domain", "yref": "y3", "x": 1, "xanchor": "right", "yanchor": "bottom"}
    said = patch_readout(found, state)
    return {
        "template": TEMPLATE,
        "title": {"text": harmless(plain_text(title))},
        "height": _HEIGHT,
        "margin": {"l": 20, "r": 30, "t": 84, "b": 52},
        "legend": {"orientation": "h", "x": 0, "xref": "container", "y": 1 - 28 / _HEIGHT, "yref": "container", "yanchor": "top"},
        "meta": {
            "alt": f"{title}. {said['patches lit']} of {count} patches are lit and hold {said['their share of the weight']:.3f} of "
            f"the weight; image score {said['image score']:.4g} ({said['rule']})."
        },
        "xaxis": {**hidden, "domain": [0, 0.47], "range": [0, width], "anchor": "y"},
        "yaxis": {**hidden, "domain": [0, 1], "range": [height, 0], "anchor": "x", "scaleanchor": "x"},
        "xaxis2": {"domain": right, "anchor": "y2", "range": [0.4, count + 0.6], "title": {"text": "rank"}},
        "yaxis2": {"domain": [0.6, 1], "anchor": "x2", "title": {"text": "patch score"}},
        "yaxis4": {
            "overlaying": "y2",
            "side": "right",
            "anchor": "x2",
            "rangemode": "tozero",
            "showgrid": False,
            "tickmode": "auto",
            "nticks": 4,
            "title": {"text": "weight"},
        },
        "xaxis3": {
            "domain": right,
            "anchor": "y3",
            "range": [-0.5, count + 0.6],
            "title": {"text": "patches counted, most abnormal first"},
        },
        "yaxis3": {"domain": [0, 0.4], "anchor": "x3", "title": {"text": "score built up"}},
        "annotations": [{**note, "y": found.image_score, "text": f"A(x) = {found.image_score:.4g}"}],
        "shapes": [
            {
                "type": "line",
                "xref": "x3 domain",
                "yref": "y3",
                "x0": 0,
                "x1": 1,
                "y0": found.image_score,
                "y1": found.image_score,
                "line": {"color": INK, "dash": "dot", "width": 1},
            }
        ],
        "bargap": 0,
        "uirevision": "patches",
    }


def patch_at(grid: PatchGrid, x: float, y: float) -> int:
    """The number of the patch under a point in pixels."""
    column, row = int(np.clip(x // grid.patch, 0, grid.columns - 1)), int(np.clip(y // grid.patch, 0, grid.rows - 1))
    return row * grid.columns + column
