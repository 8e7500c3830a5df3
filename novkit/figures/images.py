"""Images beside what a method makes of them: contact sheets, reconstructions, maps with the truth outlined.

A sheet is one PNG inside the figure, every pixel kept sharp: small enough for a notebook, and still a plotly figure with captions.
"""

import base64
import io
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image
from plotly.colors import sample_colorscale, unlabel_rgb
from scipy import ndimage

from novkit.errors import DataError
from novkit.figures.style import finish
from novkit.images import check_images

MAP_COLOURS = "Inferno"
OUTLINE = (86, 180, 233)  # sky blue: seen on grey tissue and on every colour of the map
_CELL = 128  # pixels an image is enlarged, or reduced, to about, by a whole factor
_GAP = 6


def gallery(
    images: np.ndarray, captions: Sequence[str], *, title: str = "Images", columns: int = 6, masks: np.ndarray | None = None
) -> go.Figure:
    """A contact sheet of images (n, channels, height, width), each under its caption; masks (n, height, width) are outlined.

    Raises DataError for captions or masks that are not one an image.
    """
    pictures = with_outlines(as_pictures(images), masks)
    columns = min(columns, len(pictures))
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    texts = [list(captions[start : start + columns]) for start in range(0, len(captions), columns)]
    if len(captions) != len(pictures):
        raise DataError(f"{len(pictures)} images but {len(captions)} captions: give one per image.")
    return sheet_figure(rows, texts, ["" for _ in rows], title=title, alt=f"{title}: {', '.join(dict.fromkeys(captions))}.")


def reconstructions(images: np.ndarray, restored: np.ndarray, captions: Sequence[str], *, title: str = "Reconstructions") -> go.Figure:
    """Image, reconstruction and residual |x − x̂| (mean over channels), one column an image. All (n, channels, height, width).

    Raises DataError for shapes that differ.
    """
    x, x_hat = _unit(images), _unit(restored)
    if x.shape != x_hat.shape:
        raise DataError(f"Images of shape {x.shape} but reconstructions of {x_hat.shape}: they must be the same.")
    residual = np.abs(x - x_hat).mean(axis=1)
    coloured, high = in_colours(residual, low=0.0)
    rows = [as_pictures(images), as_pictures(restored), enlarged(coloured)]
    figure = sheet_figure(
        rows, [list(captions)], ["image", "reconstruction", "residual"], title=title, alt=_errors(captions, residual, title)
    )
    return with_colour_bar(figure, 0.0, high, "|x − x̂|<br>(grey level, 0–1)")


def novelty_maps(
    images: np.ndarray, maps: np.ndarray, captions: Sequence[str], *, masks: np.ndarray | None = None, title: str = "Novelty maps"
) -> go.Figure:
    """Image and novelty map, one column an image; masks (n, height, width) outline the truth on both. Maps share one colour scale.

    maps: (n, height, width). Raises DataError for maps of another shape, and for masks that are not one an image.
    """
    if len(maps) != len(images) or np.ndim(maps) != 3:
        raise DataError(f"{len(images)} images but maps of shape {np.shape(maps)}: give (n, height, width).")
    values = np.asarray(maps, dtype=np.float64)
    low, high = np.quantile(values, [0.01, 0.999])
    coloured, _ = in_colours(values, low=low, high=high)
    rows = [with_outlines(as_pictures(images), masks), with_outlines(enlarged(coloured), masks)]
    outline = " The truth is outlined in blue." if masks is not None and np.any(masks) else ""
    alt = f"{title}: images above, maps below, for {', '.join(dict.fromkeys(captions))}.{outline}"
    figure = sheet_figure(rows, [list(captions)], ["image", "novelty map"], title=title, alt=alt)
    return with_colour_bar(figure, float(low), float(high), "novelty<br>(method's own units)")


# ---- pixels ----------------------------------------------------------------------------------------------------------


def _unit(images: np.ndarray) -> np.ndarray:
    array = check_images(images, what="images")
    return array.astype(np.float64) / {"uint8": 255, "uint16": 65535}.get(array.dtype.name, 1)


def as_pictures(images: np.ndarray) -> list[np.ndarray]:
    """(n, channels, height, width) -> n enlarged (height, width, 3) uint8; one channel, or two, is shown as grey."""
    unit = _unit(images)
    colour = unit if unit.shape[1] == 3 else np.repeat(unit[:, :1], 3, axis=1)
    return enlarged(np.rint(colour.transpose(0, 2, 3, 1) * 255).astype(np.uint8))


def enlarged(pictures: np.ndarray) -> list[np.ndarray]:
    """(n, height, width, 3) uint8: small pictures keep sharp pixels, large ones are reduced by averaging."""
    side = max(pictures.shape[1:3])
    factor, reduction = max(1, round(_CELL / side)), max(1, side // _CELL)
    if reduction > 1:
        return [np.asarray(Image.fromarray(picture).reduce(reduction)) for picture in pictures]
    return list(pictures.repeat(factor, axis=1).repeat(factor, axis=2))


def in_colours(values: np.ndarray, *, low: float, high: float | None = None) -> tuple[np.ndarray, float]:
    """(n, height, width) values -> (n, height, width, 3) uint8 on the map's colours, and the value of the brightest."""
    high = float(np.quantile(values, 0.999)) if high is None else high
    table = np.array([unlabel_rgb(c) for c in sample_colorscale(MAP_COLOURS, np.linspace(0, 1, 256).tolist())]).astype(np.uint8)
    index = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * 255
    return table[index.astype(np.uint8)], high


def with_outlines(pictures: list[np.ndarray], masks: np.ndarray | None) -> list[np.ndarray]:
    """Draw each mask's edge, two pixels wide, just outside it: the abnormality itself stays uncovered.

    masks: (n, height, width) bool; None draws nothing. Raises DataError for masks that are not one a picture.
    """
    if masks is None:
        return pictures
    if len(masks) != len(pictures):
        raise DataError(f"{len(pictures)} images but {len(masks)} masks: give one per image.")
    drawn = []
    for picture, mask in zip(pictures, np.asarray(masks, dtype=bool), strict=True):
        size = (picture.shape[1], picture.shape[0])
        large = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)) > 0
        edge = ndimage.binary_dilation(large, iterations=2) & ~large
        drawn.append(np.where(edge[..., None], np.array(OUTLINE, np.uint8), picture))
    return drawn


# ---- the sheet -------------------------------------------------------------------------------------------------------


def sheet_figure(rows: list[list[np.ndarray]], captions: list[list[str]], row_names: list[str], *, title: str, alt: str) -> go.Figure:
    """Pictures on a transparent sheet; captions[r] stands above row r where there is one, row_names to the left."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    head = 22 if len(captions) > 1 else _GAP  # room for captions between rows
    sheet = np.zeros((len(rows) * (height + head), columns * (width + _GAP), 4), np.uint8)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            top, left = corner_of(r, c, (height, width), head)
            sheet[top : top + height, left : left + width] = np.dstack([picture, np.full((height, width), 255, np.uint8)])
    figure = go.Figure(go.Image(source=png_url(sheet), hoverinfo="skip"))
    hidden = {"visible": False, "fixedrange": True}
    figure.update_xaxes(range=[-0.5, sheet.shape[1] - 0.5], constrain="domain", **hidden)
    figure.update_yaxes(range=[sheet.shape[0] - 0.5, -0.5], scaleanchor="x", constrain="domain", constraintoward="top", **hidden)
    at = {"showarrow": False, "xref": "x", "yref": "y", "font": {"size": 11}}
    notes = []
    for r, texts in enumerate(captions):
        for c, text in enumerate(texts):
            top, left = corner_of(r, c, (height, width), head)
            notes.append(at | {"x": left + width / 2, "y": top - 2, "text": plain_text(text), "yanchor": "bottom"})
    for r, text in enumerate(row_names):
        y = r * (height + head) + head + height / 2
        notes.append(at | {"x": 0, "xref": "x domain", "xshift": -4, "y": y, "text": text, "textangle": -90, "xanchor": "right"})
    scale = min(1.0, 760 / sheet.shape[1])  # about the width that a notebook gives a figure
    top = 30 + 14 * max(plain_text(text).count("<br>") + 1 for text in captions[0])  # room for the title and the first row's captions
    figure.update_layout(annotations=notes)  # together, since plotly copies all for each that is added
    finish(figure, title=title, alt=alt, height=round(sheet.shape[0] * scale) + top + 18)
    return figure.update_layout(margin={"l": 34, "r": 10, "t": top, "b": 12}, showlegend=False)


def corner_of(row: int, column: int, size: tuple[int, int], head: int = _GAP) -> tuple[int, int]:
    """Top and left of a picture of `size` (height, width) on the sheet."""
    return row * (size[0] + head) + head, column * (size[1] + _GAP)


def png_url(sheet: np.ndarray) -> str:
    """A picture (height, width, 3 or 4) uint8 as a data: address that a figure can show."""
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def plain_text(text: str) -> str:
    """A caption as plotly shows it: line breaks stay, markup does not."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>")


def with_colour_bar(figure: go.Figure, low: float, high: float, title: str) -> go.Figure:
    """A colour bar for the map: an invisible point carries it, since the sheet holds colours, not values."""
    bar = {"title": {"text": title, "font": {"size": 11}}, "thickness": 10, "len": 0.8, "outlinewidth": 0, "nticks": 4}
    marker = {"color": [low], "cmin": low, "cmax": high, "colorscale": MAP_COLOURS, "showscale": True, "opacity": 0, "colorbar": bar}
    return figure.add_trace(go.Scatter(x=[0], y=[0], mode="markers", marker=marker, hoverinfo="skip"))


def _errors(captions: Sequence[str], residual: np.ndarray, title: str) -> str:
    means = [f"{caption} {value:.3f}" for caption, value in zip(captions, residual.mean(axis=(1, 2)), strict=True)]
    return f"{title}: image, reconstruction and residual. Mean residual: {', '.join(means)}.".replace("\n", " ")
