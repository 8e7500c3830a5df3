"""Patches and their ranking: what an image goes through, what each rank weighs, and how patch scores become one score."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import torch
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from novkit.errors import DataError
from novkit.figures.images import as_pictures, corner_of, enlarged, in_colours, plain_text, sheet_figure, with_colour_bar, with_outlines
from novkit.figures.style import DASHES, NORMAL_COLOUR, NOVEL_COLOURS, finish, in_template
from novkit.patchgan.ranking import rank_weights

PATCH_OUTLINE = (240, 200, 60)  # seen on dimmed grey, and unlike the truth's blue
_DIMMED = 0.45
_NUMBER = 14  # pixels of the sheet that a rank's number needs
_SEARCHED = 64  # pixels around a patch in which its number may stand


# ---- one image's way -------------------------------------------------------------------------------------------------


def patch_story(
    image: np.ndarray,
    masked: np.ndarray,
    restored: np.ndarray,
    residual: ArrayLike,
    patch_scores: ArrayLike,
    grid: tuple[int, int, int],
    novelty_map: ArrayLike,
    truth: ArrayLike | None = None,
    *,
    top_k: int = 5,
    captions: Sequence[str] | None = None,
    title: str = "From hidden patches to a novelty map",
) -> go.Figure:
    """One row an image: image, masked input, restoration, residual, ranked patches, novelty map and, where given, the truth outlined.

    image, masked, restored: (n, channels, height, width), a few images. residual, novelty_map: (n, height, width). truth: bool, the same.
    patch_scores: (n, P), patches row by row; grid: (rows, columns, patch side in pixels), P = rows × columns.
    The top_k highest patches are outlined in the dimmed image and numbered by rank, 1 = most abnormal; ties keep the patches' order.
    Residuals share one colour scale, maps another; the captions state the values of their darkest and brightest colours.
    Raises DataError for shapes that do not fit each other, and for captions that are not one an image.
    """
    scores = np.asarray(patch_scores, dtype=np.float64)
    errors, maps = np.asarray(residual, dtype=np.float64), np.asarray(novelty_map, dtype=np.float64)
    masks = None if truth is None else np.asarray(truth, dtype=bool)
    _check_story(image, {"masked": masked, "restored": restored}, {"residual": errors, "novelty_map": maps, "truth": masks}, scores, grid)
    if captions is not None and len(captions) != len(image):
        raise DataError(f"{len(image)} images but {len(captions)} captions: give one per image.")
    top = np.argsort(-scores, axis=1, kind="stable")[:, : max(1, top_k)]
    low, high = np.quantile(maps, [0.01, 0.999])
    residuals, most = in_colours(errors, low=0.0)
    pictures = as_pictures(image)
    ranked_column = f"ranked patches\nthe top {top.shape[1]} of {scores.shape[1]}"
    columns = {
        "image": pictures,
        "masked input": as_pictures(masked),
        "restoration": as_pictures(restored),
        f"residual\n0 to {most:.2g}": enlarged(residuals),
        ranked_column: [_ranked(picture, of_image, grid) for picture, of_image in zip(pictures, top, strict=True)],
        f"novelty map\n{low:.2g} to {high:.2g}".replace("-", "−"): enlarged(in_colours(maps, low=low, high=high)[0]),
    }
    if masks is not None:
        columns["truth"] = with_outlines(pictures, masks)
    names = [plain_text(caption) for caption in captions or [""] * len(image)]
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    figure = sheet_figure(rows, [list(columns)], names, title=title, alt=_story_alt(title, top, captions, masks))
    height, width = pictures[0].shape[:2]
    for row, of_image in enumerate(top):
        corner = corner_of(row, list(columns).index(ranked_column), (height, width))
        _add_numbers(figure, _boxes(of_image, grid, height), corner, (height, width))
    figure.update_layout(margin_t=84, height=figure.layout.height + 12)
    with_colour_bar(figure, 0.0, 1.0, "residual,<br>novelty")
    ends = {"tickvals": [0.03, 0.97], "ticktext": ["low", "high"], "tickfont": {"size": 11}}
    return figure.update_traces(marker_colorbar=ends, selector={"type": "scatter"})


def _check_story(image: np.ndarray, like_image: dict, like_map: dict, scores: np.ndarray, grid: tuple[int, int, int]) -> None:
    shape = np.shape(image)
    if len(shape) != 4:
        raise DataError(f"image has shape {shape}: images must come as (n, channels, height, width).")
    for name, value in like_image.items():
        if np.shape(value) != shape:
            raise DataError(f"Images of shape {shape} but {name} of {np.shape(value)}: they must be the same.")
    for name, value in like_map.items():
        if value is not None and value.shape != (shape[0], *shape[2:]):
            raise DataError(f"Images of shape {shape} but {name} of {value.shape}: give (n, height, width).")
    rows, columns, side = grid
    if (rows * side, columns * side) != shape[2:] or scores.shape != (shape[0], rows * columns):
        raise DataError(
            f"A grid of {rows}×{columns} patches of side {side} with scores of shape {scores.shape} does not cut images of shape {shape}: "
            "give (rows, columns, patch side) and one score a patch."
        )


def _boxes(patches: np.ndarray, grid: tuple[int, int, int], height: int) -> np.ndarray:
    """(k,) patch numbers -> (k, 4) top, left, bottom, right in a picture of that height."""
    rows, columns, _ = grid
    side = height / rows
    row, column = np.divmod(patches, columns)
    return np.rint(np.stack([row, column, row + 1, column + 1], axis=1) * side).astype(int)


def _ranked(picture: np.ndarray, patches: np.ndarray, grid: tuple[int, int, int]) -> np.ndarray:
    """The picture dimmed, but for the chosen patches, which are outlined just inside."""
    drawn = np.rint(picture * _DIMMED).astype(np.uint8)
    boxes = _boxes(patches, grid, len(picture))
    for top, left, bottom, right in boxes:
        drawn[top:bottom, left:right] = picture[top:bottom, left:right]
    sheet = Image.fromarray(drawn)
    for top, left, bottom, right in boxes[::-1].tolist():
        ImageDraw.Draw(sheet).rectangle((left, top, right - 1, bottom - 1), outline=PATCH_OUTLINE)
    return np.asarray(sheet)


def _add_numbers(figure: go.Figure, boxes: np.ndarray, corner: tuple[int, int], size: tuple[int, int]) -> None:
    centres = (boxes[:, :2] + boxes[:, 2:] - 1) / 2
    side = int(boxes[0, 2] - boxes[0, 0])
    places = centres if side >= _NUMBER else _free_places(centres, side, size)
    look = {"font": {"size": 10, "color": "#ffffff"}, "bgcolor": "rgba(0, 0, 0, 0.65)", "borderpad": 0}
    arrow = {"showarrow": True, "arrowhead": 0, "arrowwidth": 1, "arrowcolor": f"rgb{PATCH_OUTLINE}", "standoff": side / 2}
    axes = {"xref": "x", "yref": "y", "axref": "x", "ayref": "y"}
    notes = []
    for rank, (centre, place) in enumerate(zip(centres, places, strict=True), start=1):
        y, x = centre + corner
        beside_y, beside_x = place + corner
        notes.append({"x": x, "y": y, "ax": beside_x, "ay": beside_y, "text": str(rank)} | axes | look | arrow)
    figure.update_layout(annotations=[*figure.layout.annotations, *notes])


def _free_places(centres: np.ndarray, side: int, size: tuple[int, int]) -> np.ndarray:
    """Where numbers stand that do not fit in their patch: the nearest place that covers no patch and no other number."""
    steps = np.arange(-_SEARCHED, _SEARCHED + 1, 2)
    offsets = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    offsets = offsets[np.argsort(np.hypot(*offsets.T), kind="stable")]
    places: list[np.ndarray] = []
    for centre in centres:
        tried = centre + offsets
        free = ((tried >= _NUMBER / 2) & (tried <= np.array(size) - _NUMBER / 2)).all(axis=1)
        for other, least in [(c, (side + _NUMBER) / 2 + 1) for c in centres] + [(place, _NUMBER) for place in places]:
            free &= np.abs(tried - other).max(axis=1) >= least
        places.append(tried[free.argmax()])  # the patch itself where nothing is free
    return np.stack(places)


def _story_alt(title: str, top: np.ndarray, captions: Sequence[str] | None, masks: np.ndarray | None) -> str:
    names = captions or [f"image {number}" for number in range(1, len(top) + 1)]
    ranked = "; ".join(f"{name}: {', '.join(map(str, patches))}" for name, patches in zip(names, top, strict=True))
    shown = ["image", "masked input", "restoration", "residual", "ranked patches", "novelty map", *(["truth"] if masks is not None else [])]
    return f"{title}: {', '.join(shown)}. Highest patches, counted row by row from 0: {ranked}."


# ---- ranks and scores ------------------------------------------------------------------------------------------------


def rank_weight_curve(
    n_patches: int, taus: Sequence[float] = (1e-4, 0.01, 0.1, 0.5, 100.0), *, title: str = "What each rank weighs"
) -> go.Figure:
    """The weight of every rank for several τ, both axes logarithmic: one patch alone where τ is near 0, all alike where it is large.

    Weights are those of `novkit.patchgan.ranking.rank_weights`, mean 1 over the n_patches patches of an image.
    Raises DataError unless n_patches ≥ 1 and all τ, at least one, are positive.
    """
    if n_patches < 1 or not len(taus) or min(taus) <= 0:
        raise DataError(f"{n_patches} patches and τ of {tuple(taus)}: give at least one patch and positive τ.")
    descending = -torch.arange(n_patches, dtype=torch.float64)[None]
    figure, said = go.Figure(), []
    for number, tau in enumerate(taus):
        weights = rank_weights(descending, tau)[0].numpy()
        half = int(np.searchsorted(np.cumsum(weights), n_patches / 2 * (1 - 1e-9))) + 1
        text = f"τ = {tau:g}: half the weight on {half} patch{'es' if half > 1 else ''}"
        if weights[0] > 0.99 * n_patches > 0.99:
            text = f"τ = {tau:g}: all on one patch, the maximum"
        elif weights.max() < 1.01:
            text = f"τ = {tau:g}: all alike, the mean"
        said.append(text)
        figure.add_trace(
            go.Scatter(
                x=np.arange(1, n_patches + 1),
                y=weights,
                name=text,
                mode="lines+markers",
                line={"color": [NORMAL_COLOUR, *NOVEL_COLOURS][number % 8], "dash": DASHES[number % len(DASHES)], "width": 2},
                marker={"size": 5, "maxdisplayed": 8},
                hovertemplate=f"τ = {tau:g}<br>rank %{{x}}<br>weight %{{y:.4g}}<extra></extra>",
            )
        )
    _count_axis(figure, n_patches, f"place in the ranking (1 = most abnormal of P = {n_patches} patches; rank = place − 1)")
    bounds = [-2.2, np.log10(2 * n_patches)]
    figure.update_yaxes(title_text="weight w ∝ exp(−rank / (τ P)), mean 1", type="log", range=bounds, dtick=1, exponentformat="none")
    figure.update_layout(legend={"x": 1, "xanchor": "right", "y": 1, "yanchor": "top"})
    alt = f"Weight of each rank of {n_patches} patches, falling from the most abnormal on. {'; '.join(said)}."
    return finish(figure, title=title, alt=alt)


def _count_axis(figure: go.Figure, n_patches: int, title: str) -> None:
    ticks = [factor * 10**power for power in range(len(str(n_patches))) for factor in (1, 2, 5) if factor * 10**power <= n_patches]
    figure.update_xaxes(title_text=title, type="log", tickvals=ticks, ticktext=[str(tick) for tick in ticks])


def patch_score_histogram(
    patch_scores: ArrayLike, labels: ArrayLike, truth: ArrayLike | None = None, *, bins: int = 60, title: str = "Scores of single patches"
) -> go.Figure:
    """Densities of all patch scores, normal images against novel ones, on a logarithmic axis: few patches of an ill image are ill.

    patch_scores: (n, P). labels: (n,) 0 normal, 1 novel. truth: (n, P) bool, patches that touch the abnormality; parts the novel images'
    patches into those inside and outside. Each group's density integrates to 1 over bins that all share.
    Raises DataError for shapes that do not fit each other.
    """
    scores, label = np.asarray(patch_scores, dtype=np.float64), np.asarray(labels)
    if scores.ndim != 2 or label.shape != scores.shape[:1]:
        raise DataError(f"Patch scores of shape {scores.shape} but labels of {label.shape}: give (n, patches) and one label an image.")
    novel = np.broadcast_to((label == 1)[:, None], scores.shape)
    groups = {"normal images": (~novel, NORMAL_COLOUR, "solid")}
    if truth is None:
        groups["novel images"] = (novel, NOVEL_COLOURS[0], "dot")
    else:
        inside = np.asarray(truth, dtype=bool)
        if inside.shape != scores.shape:
            raise DataError(f"Patch scores of shape {scores.shape} but truth of {inside.shape}: say of each patch whether it is abnormal.")
        groups["novel images, outside the abnormality"] = (novel & ~inside, NOVEL_COLOURS[2], "dash")
        groups["novel images, inside the abnormality"] = (novel & inside, NOVEL_COLOURS[0], "dot")
    edges = np.histogram_bin_edges(scores, bins)
    figure, said = go.Figure(), []
    for name, (chosen, colour, dash) in groups.items():
        if not chosen.any():
            continue
        density, _ = np.histogram(scores[chosen], bins=edges, density=True)
        steps = np.repeat(np.where(density > 0, density, np.nan), 2)  # an empty bin has no place on a logarithmic axis
        figure.add_trace(
            go.Scatter(
                x=np.repeat(edges, 2)[1:-1],
                y=steps,
                name=f"{name} ({int(chosen.sum()):,} patches)",
                mode="lines",
                line={"color": colour, "dash": dash, "width": 1.8},
                hovertemplate=f"{name}<br>patch score %{{x:.3g}}<br>density %{{y:.3g}}<extra></extra>",
            )
        )
        said.append(f"{name}: median {np.median(scores[chosen]):.3g}, highest {scores[chosen].max():.3g}")
    figure.update_xaxes(title_text="patch score s<sub>p</sub> (method's own units)")
    figure.update_yaxes(title_text="density (per unit of score)", type="log", dtick=1)
    figure.update_layout(legend={"x": 1, "xanchor": "right", "y": 1, "yanchor": "top"})
    return finish(figure, title=title, alt=f"Histograms of patch scores on a logarithmic axis. {'; '.join(said)}.")


def score_build_up(
    patch_scores: ArrayLike,
    tau: float,
    *,
    captions: Sequence[str] | None = None,
    labels: Sequence[int] | None = None,
    title: str = "How the image score builds up",
) -> go.Figure:
    """The share of the ranking's first k patches in the image score, Σ_{i≤k} w_i s_(i) / P, against k; the final score is marked.

    patch_scores: (n, P), a few images. captions: their names. labels: 0 normal, 1 novel, for the colours.
    The last point is the image score A(x) = Σ_i w_i s_(i) / P of `novkit.patchgan.ranking.image_score`.
    Raises DataError for no scores, scores of another shape, τ ≤ 0, and captions or labels that are not one an image.
    """
    scores = np.asarray(patch_scores, dtype=np.float64)
    if scores.ndim != 2 or not scores.size or not tau > 0:
        raise DataError(f"Patch scores of shape {scores.shape} and τ = {tau}: give (n, patches) and a positive τ.")
    names = captions or [f"image {number}" for number in range(1, len(scores) + 1)]
    if len(names) != len(scores) or (labels is not None and len(labels) != len(scores)):
        raise DataError(f"{len(scores)} rows of patch scores: give one caption and one label an image.")
    weighted = rank_weights(torch.from_numpy(scores), tau).numpy() * scores / scores.shape[1]
    ranked = np.take_along_axis(weighted, np.argsort(-scores, axis=1, kind="stable"), axis=1)
    places = np.arange(1, scores.shape[1] + 1)
    figure, said = go.Figure(), []
    for number, (name, parts) in enumerate(zip(names, ranked, strict=True)):
        colour = (NORMAL_COLOUR, *NOVEL_COLOURS)[number % 8]
        if labels is not None:
            colour = NOVEL_COLOURS[number % len(NOVEL_COLOURS)] if labels[number] else NORMAL_COLOUR
        y = np.cumsum(parts)
        line = {"color": colour, "dash": DASHES[number % len(DASHES)], "width": 2}
        hover = f"{in_template(plain_text(name))}<br>first %{{x}} patches: %{{y:.4g}}<extra></extra>"
        figure.add_trace(
            go.Scatter(
                x=places,
                y=y,
                name=f"{plain_text(name)}: A(x) = {y[-1]:#.3g}",
                mode="lines+markers",
                line=line,
                marker={"color": colour, "symbol": "diamond", "opacity": 1, "size": [*[0] * (len(y) - 1), 10]},
                hovertemplate=hover,
            )
        )
        said.append(f"{name} {y[-1]:.3g}, of it {y[0]:.3g} from the first patch")
    _count_axis(figure, scores.shape[1], f"k, patches counted from the most abnormal (of P = {scores.shape[1]})")
    figure.update_yaxes(title_text="Σ<sub>i≤k</sub> w<sub>i</sub> s<sub>(i)</sub> / P (method's own units)")
    alt = f"Running sum of weighted patch scores at τ = {tau:g}, ending in the image score: {'; '.join(said)}."
    return finish(figure, title=f"{title} (τ = {tau:g})", alt=alt)
