"""DistortionExplorer: any image through every transformation, its parameters live."""

from dataclasses import replace
from typing import Any

import ipywidgets as W
import numpy as np
from numpy.typing import ArrayLike

from novkit.data.dataset import ImageDataset
from novkit.images import check_images
from novkit.widgets.distortion_view import (
    FAMILIES,
    FAMILY_NAMES,
    LIMITS,
    PARAMETERS,
    DistortionState,
    distorted,
    distortion_figure,
    distortion_html,
)
from novkit.widgets.explorer import Explorer, side_by_side

_MOST_IMAGES = 200


class DistortionExplorer(Explorer):
    """An image beside itself transformed: by the default training family, the published eight, and the generated novelties of the test.

    images: an ImageDataset, or (n, channels, height, width); the first 200 can be chosen.
    """

    def __init__(self, images: ImageDataset | ArrayLike) -> None:
        if isinstance(images, ImageDataset):
            self.images = check_images(np.asarray(images.images[:_MOST_IMAGES]))
            self.names = [f"{i}: {label}" for i, label in enumerate(images.labels[:_MOST_IMAGES])]
        else:
            self.images = check_images(np.asarray(images)[:_MOST_IMAGES])
            self.names = [f"{i}" for i in range(len(self.images))]
        state = DistortionState()
        super().__init__(state, distortion_figure(self.images[0], state), file_name="distortion")
        self.readout = W.HTML()
        self._build()
        self.show()

    def change(self, **fields: Any) -> None:
        """Set fields of the state, then show it; another family begins with its first kind."""
        if "family" in fields:
            fields["kind"] = FAMILIES[fields["family"]][0]
        self.state = replace(self.state, **fields)
        self.show()

    def show(self) -> None:
        """Draw the image beside itself transformed, and show the controls that the family has."""
        state, image = self.state, self.images[self.state.image]
        changed = distorted(image, state)
        figure = distortion_figure(image, state, changed)
        self.canvas.draw(figure)
        self.toolbar.alt = figure.layout.meta["alt"]
        self.readout.value = distortion_html(image, state, changed)
        with self.silent():
            kinds = _kinds(state.family)
            if list(self.controls["kind"].options) != kinds:
                self.controls["kind"].options = kinds
        self.follow("image", "family", "kind", *PARAMETERS["training"], *PARAMETERS["unseen"])
        for parameter in {*PARAMETERS["training"], *PARAMETERS["unseen"]}:
            self.controls[parameter].layout.display = None if parameter in PARAMETERS[state.family] else "none"

    def _build(self) -> None:
        state, c = self.state, self.control
        choices = side_by_side(
            c("image", W.Dropdown(description="Image", options=[(name, i) for i, name in enumerate(self.names)], value=0)),
            c("family", W.Dropdown(description="Family", options=[(FAMILY_NAMES[f], f) for f in FAMILIES], value=state.family)),
            c("kind", W.Dropdown(description="Transformation", options=_kinds(state.family), value=state.kind)),
        )
        parameters = side_by_side(
            c("strength", _slider("strength", "Strength", state), "1 is the strongest of training"),
            c("zoom", _slider("zoom", "Zoom", state), "images are also magnified or shrunk by up to exp(±zoom)"),
            c("window", _slider("window", "Window radius (0: whole image)", state), "in half image sides"),
            c("severity", _slider("severity", "Severity", state), "1 is what test images have"),
            c(
                "draw",
                W.IntSlider(description="Random draw", min=0, max=99, value=state.draw),
                "direction, centre and shape are drawn anew",
            ),
            c(
                "equal_detail",
                W.Checkbox(description="Equal detail", value=state.equal_detail, indent=False),
                "keeps the mean squared gradient",
            ),
        )
        self.children = [choices, parameters, self.status, self.canvas.widget, self.readout, self.toolbar]


def _kinds(family: str) -> list[tuple[str, str]]:
    return [(kind.replace("_", " "), kind) for kind in FAMILIES[family]]


def _slider(field: str, description: str, state: DistortionState) -> W.FloatSlider:
    low, high = LIMITS[field]
    return W.FloatSlider(description=description, min=low, max=high, step=0.02, value=getattr(state, field))
