"""A reader study in small: slices are marked normal or novel, and the reader becomes a dot beside the detectors' ROC curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anywidget
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import traitlets
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from novkit.errors import DataError
from novkit.evaluation import Interval, auroc, roc
from novkit.figures.style import GRID, INK, finish, in_template, method_look, method_name
from novkit.seeding import numpy_generator
from novkit.widgets.thumbnails import png_of

LETTERS = {"n": False, "v": True}
"""How marks are written down: n for normal, v for novel."""


# ---- the study -------------------------------------------------------------------------------------------------------


def draw_cases(table: pd.DataFrame, normal: str, *, n_normal: int = 10, n_novel: int = 10, seed: int = 0) -> np.ndarray:
    """Rows for a reader study, in random order: one image a subject, the novel classes in equal turns.

    table: `label` and `group` of every image. Raises DataError where there are too few subjects.
    """
    generator = numpy_generator(seed, "reader study")
    one_each = table.reset_index(drop=True).iloc[generator.permutation(len(table))].drop_duplicates("group")
    chosen = []
    for rows, n, what in (
        (one_each[one_each["label"] == normal], n_normal, normal),
        (one_each[one_each["label"] != normal], n_novel, "novel"),
    ):
        if len(rows) < n:
            raise DataError(f"There are {len(rows)} subjects of class {what}: choose at most so many, or load more.")
        turn = rows.groupby("label").cumcount()
        chosen.append(rows.index[np.lexsort((rows["label"], turn))[:n]].to_numpy())
    return generator.permutation(np.concatenate(chosen))


@dataclass
class ReaderStudy:
    """What a reader has marked so far, of `n` images shown one after another. marks: True for novel, in the order shown."""

    n: int
    marks: list[bool] = field(default_factory=list)

    @property
    def current(self) -> int | None:
        """The image to be marked next; None when all are."""
        return len(self.marks) if len(self.marks) < self.n else None

    @property
    def finished(self) -> bool:
        """Whether all images are marked."""
        return self.current is None

    def mark(self, novel: bool) -> None:
        """Mark the current image and go on; nothing happens when all are marked."""
        if not self.finished:
            self.marks.append(bool(novel))

    def take_back(self) -> None:
        """Go back to the last marked image; nothing happens at the first."""
        del self.marks[-1:]

    @property
    def letters(self) -> str:
        """The marks as text: n for normal, v for novel."""
        return "".join("v" if novel else "n" for novel in self.marks)


def marks_from(letters: str, n: int) -> list[bool]:
    """Marks written down as n and v (spaces and case do not matter); DataError for other letters or another number than n."""
    found = [LETTERS.get(letter) for letter in letters.lower().replace(" ", "")]
    if len(found) != n or None in found:
        raise DataError(f"{letters!r} is no reading of {n} images: write n (normal) or v (novel) for each, {n} letters.")
    return [bool(mark) for mark in found]


def guessing_reader(n: int, *, seed: int = 0) -> list[bool]:
    """Marks of a reader who tosses a coin without looking."""
    return [bool(mark) for mark in numpy_generator(seed, "guessing reader").random(n) < 0.5]


@dataclass(frozen=True)
class ReaderRates:
    """Sensitivity: the share of novel images marked novel; specificity: of normal ones marked normal. With 95 % Wilson intervals."""

    sensitivity: Interval
    specificity: Interval


def reader_rates(y: ArrayLike, marks: Sequence[bool]) -> ReaderRates:
    """The rates of a reader. y: (n,) 0 normal, 1 novel. Raises DataError for lengths that differ or a missing class."""
    truth, marked = np.asarray(y), np.asarray(marks, dtype=bool)
    if truth.shape != marked.shape:
        raise DataError(f"{truth.size} images but {marked.size} marks: mark every image.")
    if not ((truth == 0).any() and (truth == 1).any()):
        raise DataError("A reader's rates need normal and novel images: draw both.")
    return ReaderRates(_share(marked[truth == 1]), _share(~marked[truth == 0]))


def _share(right: np.ndarray) -> Interval:
    test = binomtest(int(right.sum()), len(right))
    interval = test.proportion_ci(0.95, method="wilson")
    return Interval(float(right.mean()), float(interval.low), float(interval.high))


# ---- the figure ------------------------------------------------------------------------------------------------------

_READERS = (("#CC79A7", "star"), (INK, "x"), ("#E69F00", "hexagon"))


def readers_on_roc(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    readers: Mapping[str, ReaderRates],
    *,
    title: str = "Readers beside ROC curves",
) -> go.Figure:
    """ROC curves with a dot for each reader, and for each dot the 95 % intervals of both rates.

    curves: (y, score), (n,) each, y 0 normal, 1 novel, under a method id or any name; the AUROC stands in the legend. readers: rates under
    a name. Raises as `novkit.evaluation.auroc`.
    """
    figure = go.Figure()
    figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": GRID, "width": 2}, hoverinfo="skip", showlegend=False))
    said = []
    for name, (y, score) in curves.items():
        colour, _, dash = method_look(name)
        false_positive, true_positive = roc(y, score)
        area = auroc(y, score)
        figure.add_trace(
            go.Scatter(
                x=false_positive.round(4),
                y=true_positive.round(4),
                name=f"{method_name(name)}, AUROC {area:.2f}",
                mode="lines",
                line={"color": colour, "dash": dash, "width": 2.2, "shape": "hv"},
            )
        )
        said.append(f"{method_name(name)} has AUROC {area:.2f}")
    for number, (name, rates) in enumerate(readers.items()):
        colour, symbol = _READERS[number % len(_READERS)]
        sensitivity, specificity = rates.sensitivity, rates.specificity
        figure.add_trace(
            go.Scatter(
                x=[1 - specificity.value],
                y=[sensitivity.value],
                name=name,
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 13, "line": {"color": INK, "width": 1}},
                error_x=_bar(1 - specificity.value, 1 - specificity.high, 1 - specificity.low, colour),
                error_y=_bar(sensitivity.value, sensitivity.low, sensitivity.high, colour),
                hovertemplate=f"{in_template(name)}<br>sensitivity %{{y:.2f}}<br>specificity {specificity.value:.2f}<extra></extra>",
            )
        )
        said.append(f"{name}: sensitivity {sensitivity.value:.2f}, specificity {specificity.value:.2f}")
    square = {"range": [-0.02, 1.02], "constrain": "domain", "dtick": 0.2}
    figure.update_xaxes(title_text="1 − specificity (share of normal images called novel)", **square)
    figure.update_yaxes(title_text="sensitivity (share of novel images found)", scaleanchor="x", **square)
    figure.update_layout(legend={"y": 0.5, "yanchor": "middle"})
    return finish(figure, title=title, alt=f"ROC curves and readers. {'; '.join(said)}.", height=480, width=800)


def _bar(value: float, low: float, high: float, colour: str) -> dict[str, Any]:
    return {"type": "data", "symmetric": False, "array": [high - value], "arrayminus": [value - low], "color": colour, "thickness": 1.2}


def reading_captions(
    conditions: Sequence[str], y: ArrayLike, marks: Sequence[bool], called: Sequence[bool], *, reader: str = "you"
) -> list[str]:
    """Three lines an image: what it is, and whether reader and detector saw it: ✓ or ✗."""
    captions = []
    for condition, truth, *said in zip(conditions, np.asarray(y), marks, called, strict=True):
        lines = [f"{who} {'✓' if mark == truth else '✗'}" for who, mark in zip((reader, "detector"), said, strict=True)]
        captions.append("\n".join([str(condition), *lines]))
    return captions


# ---- buttons and keys ------------------------------------------------------------------------------------------------

_SCRIPT = """
function render({ model, el }) {
  const make = (tag, text, parent) => {
    const node = document.createElement(tag);
    node.textContent = text;
    parent.appendChild(node);
    return node;
  };
  const box = make("div", "", el);
  box.className = "novkit-reader";
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Reader study: arrow left for normal, arrow right for novel, backspace to go back");
  box.setAttribute("data-lm-suppress-shortcuts", "true");  // or JupyterLab takes the keys for its own
  box.style.cssText = "display: inline-block; padding: 8px; border-radius: 6px; border: 1px solid rgba(128, 128, 128, 0.5)";
  const picture = make("img", "", box);
  picture.style.cssText = "width: 288px; height: 288px; image-rendering: pixelated; background: black";
  const status = make("p", "", box);
  status.setAttribute("role", "status");
  status.setAttribute("aria-live", "polite");
  status.style.cssText = "margin: 8px 0; width: 288px; min-height: 3.2em";
  const row = make("div", "", box);
  const act = (action) => { model.send({ action }); box.focus({ preventScroll: true }); };
  const button = (text, action) => {
    const node = make("button", text, row);
    node.type = "button";
    node.className = "jupyter-button";
    node.style.cssText = "margin-right: 6px; padding: 0 12px; cursor: pointer";
    node.addEventListener("click", () => act(action));
    return node;
  };
  const normal = button("← Normal", "normal"), novel = button("Novel →", "novel"), back = button("Back", "back");
  const keys = { ArrowLeft: "normal", ArrowRight: "novel", n: "normal", v: "novel", Backspace: "back" };
  box.addEventListener("keydown", (event) => {
    const action = keys[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act(action);
  });
  const show = () => {
    const source = model.get("picture");
    picture.style.display = source ? "block" : "none";
    if (source) picture.src = source;
    picture.alt = source ? model.get("status") : "";
    status.textContent = model.get("status");
    normal.disabled = novel.disabled = !source;
    back.disabled = !model.get("can_go_back");
  };
  for (const name of ["picture", "status", "can_go_back"]) model.on(`change:${name}`, show);
  show();
}
export default { render };
"""


class ReaderPanel(anywidget.AnyWidget):
    """Shows the images of a study one by one, with buttons and keys.

    Arrow left or n says normal, arrow right or v novel, backspace goes back. images: (study.n, channels, height, width).
    Nothing of the truth reaches the browser. then: what to do when all are marked. Raises DataError for another number of images.
    """

    _esm = _SCRIPT
    picture = traitlets.Unicode("").tag(sync=True)
    status = traitlets.Unicode("").tag(sync=True)
    can_go_back = traitlets.Bool(False).tag(sync=True)

    def __init__(self, study: ReaderStudy, images: np.ndarray, *, then: str = "Run the cells below.") -> None:
        super().__init__()
        if len(images) != study.n:
            raise DataError(f"A study of {study.n} images but {len(images)} were given: give them all.")
        self.study, self._images, self._then = study, images, then
        self.on_msg(lambda _, content, __: self.act(content.get("action", "")))
        self.show()

    def act(self, action: str) -> None:
        """What a button or key does: "normal", "novel" or "back"; anything else does nothing."""
        if action in ("normal", "novel"):
            self.study.mark(action == "novel")
        elif action == "back":
            self.study.take_back()
        self.show()

    def show(self) -> None:
        """Bring the panel to where the study is."""
        current = self.study.current
        with self.hold_sync():
            self.can_go_back = bool(self.study.marks)
            self.picture = "" if current is None else png_of(self._images[current])
            self.status = (
                f"All {self.study.n} are marked. {self._then}"
                if current is None
                else f"Slice {current + 1} of {self.study.n}: normal or novel?"
            )
