"""PatchExplorer: how Patch-GAN's patch scores become one score of an image, patch by patch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import ipywidgets as W
import numpy as np
from numpy.typing import ArrayLike

from novkit.errors import DataError
from novkit.images import check_images, chunks
from novkit.patchgan import PatchGan
from novkit.progress import progress_bar
from novkit.widgets.explorer import Explorer, side_by_side
from novkit.widgets.patch_view import PatchScores, PatchState, patch_at, patch_figure, patch_html, ranking

_CHUNK = 16  # images scored between two moves of the progress bar
Runs = Mapping[tuple[int, float], PatchGan | PatchScores]


def score_patches(detector: PatchGan, images: ArrayLike, *, progress: bool = True) -> PatchScores:
    """Every patch score of some images, once: (n, channels, height, width) -> PatchScores. This is the explorer's only inference."""
    X = check_images(images)
    bar = progress_bar(total=len(X), desc="Patch scores", unit="image", disable=not progress)
    with bar:
        parts = []
        for part in chunks(len(X), _CHUNK):
            parts.append(detector.components(X[part])["patch_scores"])
            bar.update(len(parts[-1]))
    return PatchScores(np.concatenate(parts), detector.grid_)


class PatchExplorer(Explorer):
    """An image with its patch grid: patches light up in the order of their scores, and the image score builds up.

    detector: a fitted PatchGan, or precomputed PatchScores, or a mapping {(patch side, mask share): either} of runs with other patches and
    masks: these alone can be chosen, nothing is interpolated between them. images: (n, channels, height, width). masks: (n, height, width)
    bool, the truth. labels: a name for each image.
    Raises DataError for no run, runs on other images, and masks or labels that do not fit the images.
    """

    def __init__(
        self,
        detector: PatchGan | PatchScores | Runs,
        images: ArrayLike,
        masks: ArrayLike | None = None,
        *,
        labels: Sequence[str] | None = None,
        progress: bool = True,
    ) -> None:
        self.images = check_images(images)
        self.masks = None if masks is None else np.asarray(masks, dtype=bool)
        n = len(self.images)
        if self.masks is not None and self.masks.shape != (n, *self.images.shape[2:]):
            raise DataError(f"Images of shape {self.images.shape} but masks of {self.masks.shape}: give (n, height, width).")
        if labels is not None and len(labels) != n:
            raise DataError(f"{n} images but {len(labels)} labels: give one per image.")
        self.names = [f"{i}" if labels is None else f"{i}: {labels[i]}" for i in range(n)]
        given = detector if isinstance(detector, Mapping) else {_key(detector): detector}
        if not given:
            raise DataError("There is no run to look at: give at least one fitted PatchGan.")
        self.runs = {key: _computed(run, self.images, progress) for key, run in sorted(given.items())}
        for key, run in self.runs.items():
            if len(run.scores) != n or run.grid.rows * run.grid.patch != self.images.shape[2]:
                raise DataError(f"The patch scores of run {key} are not of these images: compute them from the same {n} images.")
        patch, share = next(iter(self.runs))
        settings = getattr(detector, "settings_", None)
        start = {"how": settings.aggregate, "tau": settings.tau_score, "top_k": settings.top_k} if settings is not None else {}
        state = PatchState(patch=patch, mask_share=share, **start)
        super().__init__(state, self._figure(state), file_name="patches")
        self.readout = W.HTML()
        self._build()
        self.on_pick(self._picked)
        self.show()

    def change(self, **fields: Any) -> None:
        """Set fields of the state, then show it. run: (patch side, mask share), both at once; what is lit is kept within its patches."""
        if "run" in fields:
            fields["patch"], fields["mask_share"] = fields.pop("run")
        state = replace(self.state, **fields)
        count = self._run(state).grid.count
        self.state = replace(state, lit=min(state.lit, count), top_k=min(state.top_k, count))
        self.show()

    def show(self) -> None:
        """Draw image, ranking and build-up, and let the controls reach as far as there are patches."""
        state = self.state
        run = self._run(state)
        figure = self._figure(state)
        self.canvas.draw(figure)
        self.toolbar.alt = figure.layout.meta["alt"]
        self.readout.value = patch_html(ranking(run.scores[state.image], state), state)
        with self.silent():
            for field in ("lit", "top_k"):
                self.controls[field].max = run.grid.count
            self.play.max = run.grid.count
        self.controls["tau"].disabled, self.controls["top_k"].disabled = state.how != "ranked", state.how != "top_k"
        self.follow("lit", "top_k")

    def _run(self, state: PatchState) -> PatchScores:
        return self.runs[(state.patch, state.mask_share)]

    def _figure(self, state: PatchState) -> Any:
        mask = None if self.masks is None else self.masks[state.image]
        return patch_figure(self.images[state.image], self._run(state), state, mask, caption=self.names[state.image])

    def _picked(self, points: Mapping[int, Any]) -> None:
        """A click on a patch lights all up to it; the same on a bar."""
        run = self._run(self.state)
        for number, each in points.items():
            order = ranking(run.scores[self.state.image], self.state).order
            if number == 1:
                patch = patch_at(run.grid, float(each.xs[0]), float(each.ys[0]))
                self.change(lit=int(np.flatnonzero(order == patch)[0]) + 1)
                return
            if number == 4:
                self.change(lit=int(each.xs[0]))
                return

    def _build(self) -> None:
        state, c = self.state, self.control
        count = self._run(state).grid.count
        lit = c("lit", W.IntSlider(description="Patches lit", min=0, max=count, value=state.lit), "the same as clicking a patch or a bar")
        self.play = W.Play(
            min=0, max=count, interval=250, value=state.lit, description="Light the patches in order", layout=W.Layout(width="auto")
        )
        W.jslink((self.play, "value"), (lit, "value"))
        rules = [("ranked (τ)", "ranked"), ("mean of the top k", "top_k"), ("mean", "mean"), ("maximum", "max")]
        tau = W.FloatLogSlider(description="τ of the ranking", base=10, min=-4, max=2, step=0.05, value=state.tau, readout_format=".3g")
        runs = [(f"patches of {p} pixels" + (f", {share:.3g} hidden" if share else ""), (p, share)) for p, share in self.runs]
        first = side_by_side(
            c("image", W.Dropdown(description="Image", options=[(name, i) for i, name in enumerate(self.names)], value=state.image)),
            c(
                "run",
                W.Dropdown(description="Precomputed run", options=runs, value=(state.patch, state.mask_share)),
                "patch size and mask share",
            ),
            c("how", W.Dropdown(description="Image score", options=rules, value=state.how)),
        )
        second = side_by_side(
            self.play,
            lit,
            c("tau", tau, "small: the worst patch alone; large: the mean"),
            c("top_k", W.IntSlider(description="k of the top k", min=1, max=count, value=state.top_k)),
            c("truth", W.Checkbox(description="Outline the truth", value=state.truth, indent=False, disabled=self.masks is None)),
        )
        self.children = [first, second, self.status, self.canvas.widget, self.readout, self.toolbar]


def _key(detector: PatchGan | PatchScores) -> tuple[int, float]:
    share = detector.settings_.mask_share if isinstance(detector, PatchGan) else 0.0
    return (detector.grid_ if isinstance(detector, PatchGan) else detector.grid).patch, share


def _computed(run: PatchGan | PatchScores, images: np.ndarray, progress: bool) -> PatchScores:
    return run if isinstance(run, PatchScores) else score_patches(run, images, progress=progress)
