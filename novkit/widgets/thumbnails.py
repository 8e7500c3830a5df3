"""Single pictures for the explorers, as PNG inside HTML: each with its caption and an alternative text."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape

import numpy as np

from novkit.figures.images import as_pictures, enlarged, in_colours, png_url, with_outlines


@dataclass(frozen=True)
class Card:
    """One image and, where there is one, its novelty map side by side; `alt` says what the image is."""

    image: np.ndarray  # (channels, height, width)
    caption: str
    alt: str
    map: np.ndarray | None = None  # (height, width)
    mask: np.ndarray | None = None  # (height, width) bool


def png_of(image: np.ndarray, mask: np.ndarray | None = None) -> str:
    """(channels, height, width) -> a PNG as data URI, enlarged with sharp pixels, the mask outlined."""
    return _encoded(_Pixels.of(image), None if mask is None else _Pixels.of(np.asarray(mask, dtype=bool)))


@dataclass(frozen=True)
class _Pixels:
    """An array that can be looked up."""

    content: bytes
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, array: np.ndarray) -> "_Pixels":
        return cls(array.tobytes(), array.shape, array.dtype.str)

    @property
    def array(self) -> np.ndarray:
        return np.frombuffer(self.content, self.dtype).reshape(self.shape)


@lru_cache(maxsize=64)  # pictures stay while a slider moves their scores, and PNG takes longer than all the rest
def _encoded(image: _Pixels, mask: _Pixels | None) -> str:
    return png_url(with_outlines(as_pictures(image.array[None]), None if mask is None else mask.array[None])[0])


def picture_of(image: np.ndarray) -> tuple[str, float]:
    """(channels, height, width) -> a PNG as data URI, and how many of its pixels one pixel of the image takes."""
    picture = as_pictures(image[None])[0]
    return png_url(picture), picture.shape[0] / image.shape[1]


def map_png_of(values: np.ndarray, low: float, high: float, mask: np.ndarray | None = None) -> str:
    """(height, width) -> a PNG as data URI on the colours of novelty maps, from `low` (dark) to `high` (bright)."""
    return _encoded_map(_Pixels.of(values), low, high, None if mask is None else _Pixels.of(np.asarray(mask, dtype=bool)))


@lru_cache(maxsize=64)
def _encoded_map(values: _Pixels, low: float, high: float, mask: _Pixels | None) -> str:
    coloured, _ = in_colours(values.array.astype(np.float64)[None], low=low, high=high)
    return png_url(with_outlines(enlarged(coloured), None if mask is None else mask.array[None])[0])


def cards_html(cards: Sequence[Card], empty: str) -> str:
    """A list of pictures under their captions; `empty` is said where there are none. Maps share one colour scale."""
    if not cards:
        return f"<p>{escape(empty)}</p>"
    maps = [card.map for card in cards if card.map is not None]
    low, high = np.quantile(np.stack(maps).astype(np.float64), [0.01, 0.999]).tolist() if maps else (0.0, 1.0)
    items = []
    for card in cards:
        pictures = _img(png_of(card.image, card.mask), card.alt)
        if card.map is not None:
            pictures += _img(map_png_of(card.map, low, high, card.mask), f"Novelty map of {card.alt}")
        items.append(f'<li style="list-style:none"><figure style="margin:0">{pictures}{_caption(card.caption)}</figure></li>')
    return f'<ul style="display:flex;flex-wrap:wrap;gap:12px;padding:0;margin:4px 0">{"".join(items)}</ul>'


def _img(source: str, alt: str) -> str:
    return f'<img src="{source}" alt="{escape(alt, quote=True)}" style="height:104px;image-rendering:pixelated;margin-right:2px">'


def _caption(text: str) -> str:
    return f'<figcaption style="font-size:12px;line-height:1.3">{escape(text).replace(chr(10), "<br>")}</figcaption>'
