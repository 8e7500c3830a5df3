"""ScoreExplorer: look at scores, move the threshold, and see which images lie where."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as W
import numpy as np

from novkit.data.dataset import ImageDataset
from novkit.notebooks import reference_results
from novkit.widgets.explorer import Explorer, side_by_side
from novkit.widgets.score_figure import picked_bins, scores_spec
from novkit.widgets.score_view import (
    NORMAL,
    ScoreState,
    Shown,
    can_reweight,
    drawn_classes,
    readout_html,
    selected_rows,
    selection_csv,
    shown_runs,
)
from novkit.widgets.stored import StoredResults
from novkit.widgets.thumbnails import Card, cards_html

_MOST_SHOWN = 12  # pictures at once
_MOST_LISTED = 200  # ids in the list; the CSV holds all
_FIRST_METHODS = 2
_FIRST_SELECTED = 12


class ScoreExplorer(Explorer):
    """Score distributions and ROC curves of stored results, with everything that follows from a threshold.

    results: a results folder; None takes the reference results. datasets: the data sets that were tested, by name, for pictures of every
    test image; without them there are pictures of embedded data, which is made again, and of the stored examples.
    Raises StoredFileError where the folder holds no usable results.
    """

    def __init__(self, results: str | Path | None = None, *, datasets: Mapping[str, ImageDataset] | None = None) -> None:
        self.stored = StoredResults(reference_results() if results is None else results, datasets)
        dataset = self.stored.datasets()[0]
        state = self._with_runs(ScoreState(dataset=dataset, case="", seed=0, methods=()))
        self.shown = self._shown(state)
        super().__init__(state, scores_spec(self.shown, state), file_name="scores", csv=self.selection_as_csv)
        self.readout, self.list_text, self.pictures = W.HTML(), W.HTML(), W.HTML()
        self._drawn_selection: Any = None
        self._build()
        self.on_pick(self._picked)
        self.show()

    # ---- what follows from a choice ------------------------------------------------------------------------------

    def change(self, **fields: Any) -> None:
        """Set fields of the state, then show it; another data set, case or seed brings its own runs, another selection its own images."""
        state = replace(self.state, **fields)
        if {"dataset", "case", "seed", "methods"} & fields.keys():
            state = self._with_runs(state)
        if {"selected", "selected_classes", "selected_method"} & fields.keys():
            state = replace(state, shown=())
        self.state = state
        self.show()

    def _with_runs(self, state: ScoreState) -> ScoreState:
        """The state with a case, a seed, methods and a selection that exist."""
        stored = self.stored
        cases = list(stored.cases(state.dataset))
        case = state.case if state.case in cases else cases[0]
        seeds = stored.seeds(state.dataset, case)
        seed = state.seed if state.seed in seeds else seeds[0]
        there = stored.methods(state.dataset, case, seed)
        methods = tuple(m for m in there if m in state.methods)
        weight = state.score_weight
        if not methods and (state.methods or not state.case):  # the first time, or none of them was run here
            methods = tuple(there[:_FIRST_METHODS])
        if not state.case:
            stored_weights = [stored.run(state.dataset, case, seed, m).record.settings.get("score_weight") for m in methods]
            weight = next((w for w in stored_weights if w is not None), weight)
        method = state.selected_method if state.selected_method in methods else next(iter(methods), "")
        state = replace(state, case=case, seed=seed, methods=methods, score_weight=weight, selected_method=method, shown=())
        if not method:
            return replace(state, selected_classes=())
        run = stored.run(state.dataset, case, seed, method)
        classes = _classes(drawn_classes(run.scores))
        if not set(state.selected_classes) <= set(classes) or not state.selected_classes:
            # the most novel ones; but all where only the stored examples, wherever they lie, have pictures
            first = max(0.0, 1 - _FIRST_SELECTED / len(run.scores)) if stored.has_every_picture(run) else 0.0
            state = replace(state, selected_classes=classes, selected=(first, 1.0))
        return state

    def _shown(self, state: ScoreState) -> dict[str, Shown]:
        return shown_runs({m: self.stored.run(state.dataset, state.case, state.seed, m) for m in state.methods}, state)

    # ---- drawing -------------------------------------------------------------------------------------------------

    def show(self) -> None:
        """Draw distributions, ROC curves, what follows from the threshold, and the selection with its images."""
        self.shown = self._shown(self.state)
        spec = scores_spec(self.shown, self.state)
        self.canvas.draw(spec)
        self.readout.value = readout_html(self.shown)
        self.toolbar.alt = spec["layout"]["meta"]["alt"]
        self._follow()
        self._show_selection()

    def _follow(self) -> None:
        """Offer in every control what the others leave."""
        state, stored = self.state, self.stored
        cases = list(stored.cases(state.dataset))
        offered: dict[str, list[Any]] = {
            "case": cases,
            "seed": stored.seeds(state.dataset, state.case),
            "methods": stored.methods(state.dataset, state.case, state.seed),
            "selected_method": list(state.methods),
        }
        first = self.shown.get(state.selected_method)
        offered["selected_classes"] = list(_classes(drawn_classes(first.scores))) if first else []
        with self.silent():
            for field, options in offered.items():
                control = self.controls[field]
                if list(control.options) != options:
                    control.options = options
                value = getattr(state, field)
                wanted = value if value in options or isinstance(value, tuple) else None
                if control.value != wanted:
                    control.value = wanted
        self.follow("threshold", "score_weight")
        selected = self.controls["selected"]
        with self.silent(), selected.hold_sync():  # the page rounds what it is given to whole steps, and sends it back: one step, one image
            if first:
                selected.step = 1 / len(first.scores)
            selected.value = state.selected
        self.controls["score_weight"].disabled = not any(can_reweight(each.scores) for each in self.shown.values())

    def _show_selection(self) -> None:
        state, first = self.state, self.shown.get(self.state.selected_method)
        weight = state.score_weight if any(can_reweight(each.scores) for each in self.shown.values()) else 0
        chosen: tuple[Any, ...] = (state.dataset, state.case, state.seed, state.methods, weight)
        chosen += (state.selected_method, state.selected, state.selected_classes, state.shown)
        if chosen == self._drawn_selection:  # a threshold that moves leaves the selection alone
            return
        self._drawn_selection = chosen
        rows = selected_rows(first.scores, state) if first else np.array([], dtype=int)
        self._list(rows, first)
        self._show_pictures(rows, first)

    def _list(self, rows: np.ndarray, first: Shown | None) -> None:
        listed = rows[:_MOST_LISTED]
        options = []
        if first is not None:
            s = first.scores
            options = [(f"{s.score[row]:.4g}   {s.id[row]}   ({s.condition[row]})", str(s.id[row])) for row in listed]
        with self.silent():
            control = self.controls["shown"]
            if list(control.options) != options:
                control.options = options
            control.value = tuple(i for i in self.state.shown if i in {value for _, value in options})
        n, more = len(rows), len(rows) > _MOST_LISTED
        text = f"{n} image{'s' * (n != 1)} selected, most novel first{f'; the first {_MOST_LISTED} are listed' if more else ''}."
        self.list_text.value = f'<p role="status" aria-live="polite">{text}</p>'

    def _show_pictures(self, rows: np.ndarray, first: Shown | None) -> None:
        """Show the first pictures of the selection; where they must be made or looked at first, once the controls rest."""
        self.forget_plan()
        if first is None or not len(rows):
            self.pictures.value = cards_html([], "No image is selected: box bins of a histogram, or widen the selected scores.")
            return
        picked = set(self.state.shown)
        wanted = [int(row) for row in rows if not picked or str(first.scores.id[row]) in picked]
        if self.stored.has_every_picture(first.run):  # else examples alone have pictures, wherever they lie
            wanted = wanted[:_MOST_SHOWN]
        if not self.stored.takes_time(first.run, wanted):
            self.pictures.value = self._cards(wanted, first)
            return

        def later() -> None:
            with self.busy(f"Getting {len(wanted)} images and their maps"):
                self.pictures.value = self._cards(wanted, first)

        self.when_at_rest(later)

    def _cards(self, rows: list[int], first: Shown) -> str:
        s, found = first.scores, self.stored.pictures(first.run, rows)
        cards = [
            Card(
                found[row].image,
                caption=f"{s.condition[row]}\n{s.score[row]:.4g}\n{s.id[row]}",
                alt=f"{s.condition[row]} image {s.id[row]}, score {s.score[row]:.4g}",
                map=found[row].map,
                mask=found[row].mask,
            )
            for row in [row for row in rows if row in found][:_MOST_SHOWN]
        ]
        return cards_html(cards, self.stored.what_is_missing(first.run))

    def selection_as_csv(self) -> str:
        """The selected images with the score of every method drawn, most novel first."""
        return selection_csv(self.shown, self.state)

    # ---- picking -------------------------------------------------------------------------------------------------

    def _picked(self, points: Mapping[int, Any]) -> None:
        state = picked_bins(self.state, self.shown, {number: each.point_inds for number, each in points.items()})
        self.change(selected_method=state.selected_method, selected=state.selected, selected_classes=state.selected_classes)

    # ---- controls ------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        s, stored = self.state, self.stored
        c = self.control
        cases = list(stored.cases(s.dataset))
        seeds, methods = stored.seeds(s.dataset, s.case), stored.methods(s.dataset, s.case, s.seed)
        live = {"continuous_update": True}
        what = side_by_side(
            c("dataset", W.Dropdown(description="Data set", options=stored.datasets(), value=s.dataset)),
            c("case", W.Dropdown(description="Test", options=cases, value=s.case)),
            c("seed", W.Dropdown(description="Seed", options=seeds, value=s.seed)),
            c(
                "methods",
                W.SelectMultiple(description="Methods", options=methods, value=s.methods, rows=5),
                "hold Ctrl or Shift for several",
            ),
        )
        threshold = W.FloatSlider(
            description="Threshold (share of images below)", min=0, max=1, step=0.005, value=s.threshold, readout_format=".1%", **live
        )
        prevalence = W.FloatLogSlider(description="Prevalence", min=-3, max=0, step=0.05, value=s.prevalence, readout_format=".1%", **live)
        weight = W.FloatSlider(description="λ of TEND (weight of the distance)", min=0, max=1, step=0.01, value=s.score_weight, **live)
        score = side_by_side(
            c("threshold", threshold, "for looking only: a detector's threshold comes from held-out normal images"),
            c("prevalence", prevalence, "share of novel images for which precision is stated"),
            c("score_weight", weight, "(1 − λ) probability + λ distance"),
        )
        drawing = side_by_side(
            c("bins", W.IntSlider(description="Bins", min=5, max=100, value=s.bins, **live)),
            c("density", W.Dropdown(description="Heights", options=[("density", True), ("counts", False)], value=s.density)),
            c("log_scores", W.Checkbox(description="Logarithmic scores", value=s.log_scores, indent=False)),
            c("log_heights", W.Checkbox(description="Logarithmic heights", value=s.log_heights, indent=False)),
        )
        selected = W.FloatRangeSlider(
            description="Selected scores (share of images below)", min=0, max=1, step=0.001, value=s.selected, readout_format=".0%", **live
        )
        classes = list(s.selected_classes)
        selection = side_by_side(
            c("selected_method", W.Dropdown(description="Selected by the score of", options=s.methods, value=s.selected_method or None)),
            c("selected", selected, "the same as boxing bins in the histogram"),
            c("selected_classes", W.SelectMultiple(description="Selected classes", options=classes, value=s.selected_classes, rows=4)),
            c("shown", W.SelectMultiple(description="Images of the selection", options=[], rows=6), "pick some to see these alone"),
        )
        self.children = [
            what,
            score,
            drawing,
            self.status,
            self.canvas.widget,
            self.readout,
            selection,
            self.list_text,
            self.pictures,
            self.toolbar,
        ]


def _classes(drawn: np.ndarray) -> tuple[str, ...]:
    names = sorted(set(drawn.tolist()))
    return tuple(sorted(names, key=lambda name: (name != NORMAL, name)))
