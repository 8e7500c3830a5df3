"""MarginExplorer: watch TEND pull normal images into the sphere and push transformed ones out, epoch by epoch."""

from collections.abc import Mapping
from typing import Any

import ipywidgets as W

from novkit.widgets.explorer import Explorer, side_by_side
from novkit.widgets.margin_view import MarginState, image_text, margin_figure, margin_html, rows_drawn
from novkit.widgets.snapshots import GROUPS, Snapshots
from novkit.widgets.thumbnails import Card, cards_html


class MarginExplorer(Explorer):
    """The embedding and its distances through stored snapshots, the margin at √R; a point shows its image.

    snapshots: what `record_snapshots` gives, or `Snapshots.load`.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self.snapshots = snapshots
        state = MarginState(step=0, groups=tuple(g for g in GROUPS if (snapshots.group == g).any()))
        super().__init__(state, margin_figure(snapshots, state), file_name="margin")
        self.readout, self.picture = W.HTML(), W.HTML()
        self._build()
        self.on_pick(self._picked)
        self.show()

    def show(self) -> None:
        """Draw the chosen snapshot, and the image of the chosen point."""
        s, state = self.snapshots, self.state
        figure = margin_figure(s, state)
        self.canvas.draw(figure)
        self.toolbar.alt = figure.layout.meta["alt"]
        self.readout.value = margin_html(s, state)
        text = image_text(s, state)
        cards = [Card(s.images[state.image], caption=text, alt=text)] if text else []
        self.picture.value = cards_html(cards, "Click a point, or choose an image in the list, to see it.")
        self.follow("step", "image")

    def _picked(self, points: Mapping[int, Any]) -> None:
        for number, each in points.items():
            if number < len(GROUPS):
                self.change(image=int(rows_drawn(self.snapshots, self.state, GROUPS[number])[each.point_inds[0]]))
                return

    def _build(self) -> None:
        s, state = self.snapshots, self.state
        last = len(s.epochs) - 1
        step = self.control("step", W.IntSlider(description="Snapshot", min=0, max=last, value=0))
        play = W.Play(min=0, max=last, interval=700, value=0, description="Play the epochs", layout=W.Layout(width="auto"))
        W.jslink((play, "value"), (step, "value"))
        groups = W.SelectMultiple(description="Groups", options=[g for g in GROUPS if (s.group == g).any()], value=state.groups, rows=3)
        names = [f"{i}: {group}, {label}" for i, (group, label) in enumerate(zip(s.group, s.label, strict=True))]
        image = W.Dropdown(description="Image", options=[("none", -1), *((name, i) for i, name in enumerate(names))], value=-1)
        controls = side_by_side(
            play,
            step,
            self.control("groups", groups, "hold Ctrl or Shift for several"),
            self.control("image", image, "the same as clicking its point"),
        )
        self.children = [controls, self.status, self.canvas.widget, self.readout, self.picture, self.toolbar]
