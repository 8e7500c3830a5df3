"""What all explorers share: a figure redrawn in place, controls that change one state, buttons and labels for every reader."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as W
import numpy as np
import plotly.graph_objects as go

from novkit.errors import NovkitError
from novkit.figures.style import INK, NORMAL_COLOUR, harmless
from novkit.widgets.figure_widget import FigureWidget
from novkit.widgets.toolbar import Toolbar

_UNCHANGED = ("uid", "template")
_WIDE = {"width": "auto", "min_width": "330px", "flex": "1 1 330px"}
_WIDE_SLIDER = {"width": "auto", "min_width": "330px", "flex": "1 1 440px"}  # beside a long name it needs the room
_MODEBAR = {"bgcolor": "rgba(0,0,0,0)", "color": INK, "activecolor": NORMAL_COLOUR}  # plotly's own would be a dark bar on light paper
_NAMES = {"description_width": "initial"}
_REST = 0.3  # seconds without a change, after which what takes its time is done


class Canvas:
    """A plotly FigureWidget that is redrawn in place: only what differs from the last drawing travels to the browser.

    A new FigureWidget would send plotly's five megabytes again. What the reader zoomed or hid stays.
    """

    def __init__(self, figure: go.Figure | Mapping[str, Any], *, file_name: str) -> None:
        self._drawn = _spec(figure)
        self.widget = FigureWidget(self._drawn)
        # FigureWidget has no public way to set plotly's config
        self.widget._config = {
            **self.widget._config,
            "displaylogo": False,
            "displayModeBar": True,
            "modeBarButtons": [["toImage"], ["zoom2d", "pan2d", "select2d"], ["resetScale2d"]],  # more would cover the title
            "responsive": True,  # follows the page's width
            "toImageButtonOptions": {"format": "png", "filename": file_name, "scale": 2},
        }
        self.widget.complete = True
        self.widget.open()
        self._pick: Callable[[dict[int, Any]], None] | None = None

    def draw(self, figure: go.Figure | Mapping[str, Any]) -> None:
        """Show `figure`: a Figure, or its {"data": …, "layout": …}."""
        old, self._drawn = self._drawn, _spec(figure)
        new = self._drawn
        same_traces = [t["type"] for t in old["data"]] == [t["type"] for t in new["data"]]
        if not same_traces:
            self.widget.data = []
        if self.widget.layout.selections:
            self.widget.layout.selections = ()  # a box that was drawn would stay where it was, whatever is drawn now
        with self.widget.batch_update():
            _apply(self.widget.layout, old["layout"], new["layout"])
            if same_traces:
                for trace, before, after in zip(self.widget.data, old["data"], new["data"], strict=True):
                    _apply(trace, before, after)
        if not same_traces:
            self.widget.add_traces([dict(trace) for trace in new["data"]])
            self._listen()

    def on_pick(self, callback: Callable[[dict[int, Any]], None]) -> None:
        """Call back when points are clicked or boxed, with {trace number: plotly's Points}, traces without picked points left out."""
        self._pick = callback
        self._listen()

    def _listen(self) -> None:
        if self._pick is None:
            return
        picked: dict[int, Any] = {}

        def gather(trace: Any, points: Any, _: Any) -> None:
            # plotly calls once for every trace, in order, also for those without points: the last call completes the pick
            if points.trace_index == 0:
                picked.clear()
            if points.point_inds:
                picked[points.trace_index] = points
            if points.trace_index == len(self.widget.data) - 1 and self._pick is not None:
                self._pick(dict(picked))

        for trace in self.widget.data:
            trace.on_click(gather)
            trace.on_selection(gather)


def _spec(figure: go.Figure | Mapping[str, Any]) -> dict[str, Any]:
    """Plotly's JSON with arrays as they are (the figure's own to_plotly_json would pack them)."""
    if isinstance(figure, go.Figure):
        figure = {"data": [trace.to_plotly_json() for trace in figure.data], "layout": figure.layout.to_plotly_json()}
    data = [{key: _without_nan(value) for key, value in trace.items()} for trace in figure["data"]]
    return harmless({"data": data, "layout": {**figure["layout"], "modebar": _MODEBAR}})


def _without_nan(value: Any) -> Any:
    """A table with gaps as lists with None: it travels as JSON, which has no NaN. Rows travel as bytes and stay."""
    if isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind == "f" and np.isnan(value).any():
        return [[None if number != number else number for number in row] for row in value.tolist()]
    return value


def _apply(target: Any, old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> None:
    """Set on `target` what differs between two of plotly's JSON tables, leaf by leaf; what is gone becomes None."""
    for key in {**old, **new}:
        if key in _UNCHANGED:
            continue
        before, after, place = old.get(key), new.get(key), f"{path}{key}"
        if isinstance(before, Mapping) and isinstance(after, Mapping) and key != "meta":  # meta is a leaf to plotly
            _apply(target, before, after, f"{place}.")
        elif not _same(before, after):
            target[place] = after


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        x, y = np.asarray(a), np.asarray(b)
        return x.shape == y.shape and x.dtype.kind == y.dtype.kind and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


class Explorer(W.VBox):
    """Base of the explorers: `controls` change `state`, and `show` draws it.

    state: a frozen dataclass. controls: by the name of the state's field; each has a description, which is also its tooltip and its name
    for screen readers. canvas: the figure. Subclasses write `show`, and `change` where one choice limits another.
    Errors a reader can mend are said in the status line; others are said there too, and raised.
    """

    def __init__(self, state: Any, figure: go.Figure | Mapping[str, Any], *, file_name: str, csv: Callable[[], str] | None = None) -> None:
        super().__init__()
        self.state = state
        self.controls: dict[str, Any] = {}
        self.canvas = Canvas(figure, file_name=file_name)
        self.status = W.HTML()
        self.toolbar = Toolbar(file_name=file_name, csv=csv)
        self._deaf = False
        self._planned: asyncio.TimerHandle | None = None
        self.add_class("novkit-explorer")

    def control(self, field: str, widget: Any, help_text: str = "") -> Any:
        """Let a widget set a field of the state; returns it."""
        widget.style = {**_NAMES, **({"handle_color": NORMAL_COLOUR} if isinstance(widget, _SLIDERS) else {})}
        widget.tooltip = f"{widget.description}: {help_text}" if help_text else widget.description
        if widget.layout.width is None:
            widget.layout = W.Layout(**(_WIDE_SLIDER if isinstance(widget, _SLIDERS) else _WIDE))
        self.controls[field] = widget
        widget.observe(lambda change: self._heard(field, change["new"]), "value")
        return widget

    def change(self, **fields: Any) -> None:
        """Set fields of the state, then show it."""
        self.state = replace(self.state, **fields)
        self.show()

    def show(self) -> None:
        """Bring figure, readout and controls to what the state says."""
        raise NotImplementedError

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Controls may be changed inside without the state following."""
        before, self._deaf = self._deaf, True
        try:
            yield
        finally:
            self._deaf = before

    def follow(self, *fields: str) -> None:
        """Bring these controls to the state without being told of it."""
        with self.silent():
            for field in fields:
                if self.controls[field].value != getattr(self.state, field):
                    self.controls[field].value = getattr(self.state, field)

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Say what takes its time while it takes it, beside a spinner."""
        self.say(f"{text} …", spinner=True)
        try:
            yield
        finally:
            self.say("")

    def say(self, text: str, *, spinner: bool = False) -> None:
        """Show a line under the controls, read out by screen readers."""
        turning = '<span class="novkit-spinner" aria-hidden="true"></span>' if spinner else ""
        self.status.value = f'<p role="status" aria-live="polite" style="margin:0;min-height:1.4em">{turning}{escape(text)}</p>'

    def when_at_rest(self, action: Callable[[], None]) -> None:
        """Do what takes its time once the controls have rested for a moment, so that a slider on its way does not wait for it.

        What was planned before and not begun is dropped. Without a running event loop it is done at once.
        """
        self.forget_plan()
        try:
            self._planned = asyncio.get_running_loop().call_later(_REST, lambda: self._told(action))
        except RuntimeError:  # a plain script
            action()

    def forget_plan(self) -> None:
        """Drop what was planned and not begun."""
        if self._planned is not None:
            self._planned.cancel()
        self._planned = None

    def on_pick(self, callback: Callable[[dict[int, Any]], None]) -> None:
        """As Canvas.on_pick, errors said."""
        self.canvas.on_pick(lambda points: self._told(callback, points))

    def _heard(self, field: str, value: Any) -> None:
        if not self._deaf:
            self._told(self.change, **{field: tuple(value) if isinstance(value, list) else value})

    def _told(self, action: Callable[..., None], *arguments: Any, **fields: Any) -> None:
        """Run what a control asks for, and say what goes wrong: a widget's callback has no cell to show a traceback in."""
        if self.status.value:
            self.say("")
        try:
            action(*arguments, **fields)
        except NovkitError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"{type(error).__name__}: {error}")
            raise


_SLIDERS = (W.IntSlider, W.FloatSlider, W.FloatLogSlider, W.FloatRangeSlider)


def side_by_side(*children: Any) -> W.HBox:
    """Controls side by side, wrapped where the page is narrow."""
    return W.HBox(children, layout=W.Layout(flex_flow="row wrap", align_items="flex-start", width="100%"))
