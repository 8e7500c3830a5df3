"""What DistortionExplorer shows, as plain functions: an image and choices in, the transformed image and figures out."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from novkit.distortions.published import PUBLISHED, published
from novkit.distortions.training import KINDS, TrainingFamily, distort
from novkit.distortions.unseen import UNSEEN
from novkit.errors import SettingsError
from novkit.figures.images import as_pictures, enlarged, in_colours, sheet_figure, with_colour_bar
from novkit.images import to_tensor
from novkit.seeding import torch_generator
from novkit.widgets.readouts import readout_table

FAMILIES: dict[str, tuple[str, ...]] = {"training": KINDS, "published": tuple(PUBLISHED), "unseen": tuple(UNSEEN)}
"""Every transformation: of the default training family, of the published code, and of the test's generated novelties."""

FAMILY_NAMES = {
    "training": "Training family",
    "published": "Published eight",
    "unseen": "Generated novelties (never trained on)",
}
PARAMETERS: dict[str, tuple[str, ...]] = {
    "training": ("strength", "zoom", "equal_detail", "window", "draw"),
    "published": (),
    "unseen": ("severity", "draw"),
}
"""The parameters that each family's transformations have; the published ones are fixed."""

LIMITS: dict[str, tuple[float, float]] = {"strength": (0.0, 2.0), "zoom": (0.0, 1.0), "window": (0.0, 2.0), "severity": (0.0, 1.4)}
"""Ranges. window 0 is the whole image. Swapped patches would overlap above severity 1.4."""

_BRIGHTEST = 0.5  # difference of the brightest colour, the same for all so that they compare
_HEIGHT = 380


@dataclass(frozen=True, kw_only=True)
class DistortionState:
    """image: which, from 0. family, kind: as in FAMILIES. draw: number of the random draw, from 0.

    strength, zoom, equal_detail: as in TrainingFamily, with every image at the full strength. window: radius of the round window that the
    map acts in, in half image sides; 0: the whole image. severity: of the unseen families, 1 as tested.
    Raises SettingsError for an unknown family or kind, and for a value outside LIMITS.
    """

    image: int = 0
    family: str = "training"
    kind: str = KINDS[0]
    strength: float = 1.0
    zoom: float = 0.0
    equal_detail: bool = True
    window: float = 0.0
    severity: float = 1.0
    draw: int = 0

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise SettingsError(f"family is {self.family!r}: choose one of {', '.join(FAMILIES)}.")
        if self.kind not in FAMILIES[self.family]:
            raise SettingsError(f"The family {self.family} has no {self.kind!r}: choose one of {', '.join(FAMILIES[self.family])}.")
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise SettingsError(f"{name} is {getattr(self, name)}: choose a value from {low:g} to {high:g}.")


def distorted(image: np.ndarray, state: DistortionState) -> np.ndarray:
    """(channels, height, width) as loaded -> the transformed image, float32 in [0, 1]: a function of image and state alone."""
    x = to_tensor(np.asarray(image)[None])
    if state.family == "published":
        return published(x, state.kind).clamp(0, 1)[0].numpy()
    generator = torch_generator(state.draw, "distortion explorer", state.kind)
    if state.family == "unseen":
        return UNSEEN[state.kind](x, generator, severity=state.severity).clamp(0, 1)[0].numpy()  # type: ignore[call-arg]
    local = state.window > 0
    family = TrainingFamily(
        kinds=(state.kind,),
        strength=state.strength,
        weakest=1.0,
        zoom=state.zoom,
        equal_detail=state.equal_detail,
        local=float(local),
        window=(state.window, state.window) if local else (0.3, 0.7),
    )
    return distort(x, generator, family)[0].clamp(0, 1)[0].numpy()


def distortion_readout(image: np.ndarray, changed: np.ndarray) -> dict[str, tuple[float, float]]:
    """(before, after) of what could give a transformation away: mean, standard deviation, gradient, share of the commonest grey level.

    image: as loaded; changed: float32 in [0, 1]; all values are on that scale.
    """
    x = to_tensor(np.asarray(image)[None])[0].numpy()
    return {name: (measure(x), measure(changed)) for name, measure in _MEASURES.items()}


def _commonest(x: np.ndarray) -> float:
    grey = np.rint(x.mean(axis=0) * 255).astype(np.int64).ravel()
    return float(np.bincount(grey).max() / grey.size)


def _slope(x: np.ndarray) -> float:
    return float(np.abs(np.diff(x, axis=1)).mean() + np.abs(np.diff(x, axis=2)).mean())


_MEASURES = {
    "mean brightness": lambda x: float(x.mean()),
    "standard deviation": lambda x: float(x.std()),
    "mean gradient": _slope,
    "share of the commonest grey level": _commonest,
}


def distortion_html(image: np.ndarray, state: DistortionState, changed: np.ndarray) -> str:
    """The readout as a table, with a sentence on what is shown."""
    rows = {name: [before, after] for name, (before, after) in distortion_readout(image, changed).items()}
    return readout_table(about(state), ["image", "transformed"], rows)


def about(state: DistortionState) -> str:
    """One sentence on the transformation."""
    if state.family == "published":
        method, arguments, border = PUBLISHED[state.kind].imagemagick
        return f"ImageMagick's -distort {method} '{arguments}' with virtual pixels '{border}', as published: fixed, without parameters."
    if state.family == "unseen":
        words = (UNSEEN[state.kind].__doc__ or "").strip().splitlines()[0]
        return f"{words} Severity 1 is what the test images have."
    where = "the whole image" if state.window == 0 else f"a window of radius {state.window:g} half sides"
    return f"The kind {state.kind} on {where}; strength 0 leaves only the sub-pixel warp, 1 is the strongest of training."


def distortion_figure(image: np.ndarray, state: DistortionState, changed: np.ndarray | None = None) -> go.Figure:
    """The image, the transformed one, and how much each pixel changed. changed: where it has been computed already."""
    changed = distorted(image, state) if changed is None else changed
    x = to_tensor(np.asarray(image)[None])[0].numpy()
    difference = np.abs(changed - x).mean(axis=0)
    name = state.kind.replace("_", " ")
    coloured, _ = in_colours(difference[None].astype(np.float64), low=0.0, high=_BRIGHTEST)
    row = [*as_pictures(np.stack([x, changed]).astype(np.float32)), *enlarged(coloured)]
    alt = f"An image, the same after {name}, and their absolute difference, {difference.mean():.3f} on average. {about(state)}"
    title = f"{FAMILY_NAMES[state.family]}: {name}"
    figure = sheet_figure([row], [["image", name, "absolute difference"]], [""], title=title, alt=alt)
    return with_colour_bar(figure, 0.0, _BRIGHTEST, "difference<br>(grey level, 0–1)").update_layout(height=_HEIGHT)
