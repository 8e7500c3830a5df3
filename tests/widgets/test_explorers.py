"""Each explorer builds, follows its controls and its clicks, and keeps what it sends small."""

import subprocess
import sys

import ipywidgets as W
import numpy as np
import pytest

from novkit.errors import DataError, NovkitError
from novkit.patchgan.masking import PatchGrid
from novkit.widgets import DistortionExplorer, MarginExplorer, PatchExplorer, PatchScores, ScoreExplorer, score_patches
from novkit.widgets.explorer import Canvas
from novkit.widgets.score_view import selected_rows
from tests.conftest import blobs
from tests.widgets.small import dataset, results_folder, run_on, snapshots

GRID = PatchGrid(8, 4, 4)


@pytest.fixture
def scores(tmp_path) -> ScoreExplorer:
    return ScoreExplorer(results_folder(tmp_path))


def patches(**options) -> PatchExplorer:
    draw = np.random.default_rng(0)
    masks = np.zeros((3, 32, 32), bool)
    masks[1, 4:12, 4:12] = True
    runs = {(8, 0.25): PatchScores(draw.normal(size=(3, 16)), GRID), (4, 0.5): PatchScores(draw.normal(size=(3, 64)), PatchGrid(4, 8, 8))}
    return PatchExplorer(runs, blobs(3), masks, **options)


EXPLORERS = {
    "margin": lambda: MarginExplorer(snapshots()),
    "patches": patches,
    "distortions": lambda: DistortionExplorer(dataset(8)),
}


def drawn(explorer, number: int = 0, name: str = "y") -> np.ndarray:
    return np.array(explorer.canvas.widget.data[number][name], dtype=float)


def pick(explorer, event: str, points: list[tuple[int, int, float, float]]) -> None:
    """What the browser sends when points (trace, number, x, y) are clicked or boxed."""
    columns = list(zip(*points, strict=True)) or [(), (), (), ()]
    names = ("trace_indexes", "point_indexes", "xs", "ys")
    message = {
        "event_type": event,
        "points": {n: list(v) for n, v in zip(names, columns, strict=True)},
        "device_state": None,
        "selector": None,
    }
    explorer.canvas.widget._js2py_pointsCallback = message


def asked_for_csv(explorer) -> str:
    """What the toolbar sends when its button is pressed."""
    sent = []
    explorer.toolbar.send = sent.append
    explorer.toolbar._handle_custom_msg({"ask": "csv"}, [])
    (answer,) = sent
    return answer["csv"]


# ---- all -------------------------------------------------------------------------------------------------------------


def every(tmp_path):
    yield ScoreExplorer(results_folder(tmp_path))
    for build in EXPLORERS.values():
        yield build()


def test_every_control_is_labelled_and_every_figure_has_words(tmp_path):
    for explorer in every(tmp_path):
        labels = [control.description for control in explorer.controls.values()]
        assert all(labels)
        assert len(set(labels)) == len(labels)
        assert all(control.tooltip.startswith(control.description) for control in explorer.controls.values())
        assert len(explorer.toolbar.alt) > 40
        assert explorer.canvas.widget in explorer.children
        shown = {id(c) for box in explorer.children for c in (box, *getattr(box, "children", ()))}
        assert all(id(control) in shown for control in explorer.controls.values())


def test_plain_functions_need_no_ipywidgets():
    views = "score_view, score_figure, margin_view, patch_view, distortion_view, snapshots, stored, thumbnails"
    code = f"import sys; from novkit.widgets import {views}; sys.exit(bool({{'ipywidgets', 'anywidget'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_missing_ipywidgets_is_said(monkeypatch):
    import novkit.widgets

    def fail(name: str):
        raise ModuleNotFoundError("No module named 'ipywidgets'", name="ipywidgets")

    monkeypatch.setattr(novkit.widgets.importlib, "import_module", fail)
    with pytest.raises(NovkitError, match=r"pip install 'novkit\[notebooks\]'"):
        _ = novkit.widgets.PatchExplorer
    with pytest.raises(AttributeError):
        _ = novkit.widgets.Nothing


def test_errors_are_said_in_the_status_line(monkeypatch):
    explorer = EXPLORERS["margin"]()

    def fail(error):
        def show():
            raise error

        return show

    monkeypatch.setattr(explorer, "show", fail(NovkitError("A sentence & a mend.")))
    explorer.controls["step"].value = 1
    assert "A sentence" in explorer.status.value
    monkeypatch.setattr(explorer, "show", fail(ValueError("odd")))
    with pytest.raises(ValueError, match="odd"):
        explorer.controls["step"].value = 2
    assert "ValueError: odd" in explorer.status.value


# ---- the canvas ------------------------------------------------------------------------------------------------------


def test_only_what_differs_is_sent(scores, monkeypatch):
    sent = []
    widget = scores.canvas.widget
    monkeypatch.setattr(widget, "_send_update_msg", lambda restyle_data, relayout_data, **k: sent.append((restyle_data, relayout_data)))
    scores.controls["threshold"].value = 0.4
    (restyle, relayout) = sent[-1]
    assert {key.split(".")[0] for key in relayout} <= {"shapes", "annotations", "meta"}
    assert set(restyle) <= {"x", "y"}
    n_before = len(sent)
    scores.controls["prevalence"].value = 0.5  # changes the table alone
    assert not any(any(part) for part in sent[n_before:])


def test_a_figure_meets_the_browser_complete(monkeypatch):
    """What is sent after the connection is opened may be lost by a browser that is still loading plotly."""
    met, open_ = [], W.Widget.open

    def opened(widget) -> None:
        if hasattr(widget, "_widget_data"):
            met.append((len(widget._widget_data), widget._widget_layout["title"]["text"], widget._config["displaylogo"]))
        open_(widget)

    monkeypatch.setattr(W.Widget, "open", opened)
    canvas = Canvas({"data": [{"type": "scatter", "y": [1, 2]}], "layout": {"title": {"text": "whole"}}}, file_name="x")
    assert met == [(1, "whole", False)]
    assert canvas.widget.comm is not None


def test_redrawing_adds_and_removes_traces_in_place():
    first = {"data": [{"type": "scatter", "y": [1, 2]}], "layout": {"title": {"text": "a"}, "xaxis": {"type": "log"}}}
    second = {"data": [{"type": "bar", "y": [3]}, {"type": "scatter", "y": [4]}], "layout": {"title": {"text": "b"}}}
    canvas = Canvas(first, file_name="x")
    widget, picked = canvas.widget, []
    canvas.on_pick(picked.append)
    canvas.draw(second)
    assert canvas.widget is widget
    assert [trace.type for trace in widget.data] == ["bar", "scatter"]
    assert (widget.layout.title.text, widget.layout.xaxis.type) == ("b", None)
    canvas.draw(first)
    assert list(widget.data[0].y) == [1, 2]
    points = {"trace_indexes": [0], "point_indexes": [1], "xs": [1], "ys": [2]}
    widget._js2py_pointsCallback = {"event_type": "plotly_click", "points": points, "device_state": None, "selector": None}
    assert [list(each) for each in picked] == [[0]]
    assert picked[0][0].point_inds == [1]


# ---- ScoreExplorer ---------------------------------------------------------------------------------------------------


def test_score_explorer_follows_its_controls(scores):
    before = scores.canvas.widget.layout.shapes[0].x0
    scores.controls["threshold"].value = 0.3
    assert scores.canvas.widget.layout.shapes[0].x0 < before
    table = scores.readout.value
    scores.controls["prevalence"].value = 0.6
    assert scores.readout.value != table
    first = drawn(scores)
    scores.controls["score_weight"].value = 0.9
    assert not np.array_equal(first, drawn(scores))
    scores.controls["bins"].value = 12
    assert len(drawn(scores)) == 14
    scores.controls["density"].value = False
    assert np.nansum(drawn(scores)) == 60  # the normal images, counted
    scores.controls["log_heights"].value = True
    assert scores.canvas.widget.layout.yaxis3.type == "log"


def test_score_explorer_starts_from_the_stored_weight_and_what_there_is(scores):
    assert scores.state.score_weight == 0.25
    assert scores.state.methods == ("TEND", "Autoencoder")
    scores.controls["dataset"].value = "others"
    assert scores.state.methods == ("Fixed statistic",)
    scores.controls["methods"].value = ()
    assert "at least one method" in scores.readout.value
    scores.controls["methods"].value = ("Fixed statistic",)
    assert scores.state.selected_classes == ("normal", "novel (9 classes)")
    assert scores.controls["score_weight"].disabled
    scores.controls["dataset"].value = "blobs"
    scores.controls["methods"].value = ("TEND",)
    scores.controls["seed"].value = 1
    assert scores.shown["TEND"].run.record.seed == 1
    assert not scores.controls["score_weight"].disabled


def test_score_explorer_selects_by_slider_box_and_list(scores):
    scores.controls["selected"].value = (0.0, 1.0)
    assert "120 images selected" in scores.list_text.value
    assert asked_for_csv(scores).count("\n") == 121
    assert scores.pictures.value.count("<img") == 8  # four stored examples with maps
    shown = scores.controls["shown"]
    value = next(v for _, v in shown.options if v in scores.shown["TEND"].scores.id[:2])
    shown.value = (value,)
    assert scores.pictures.value.count("<img") == 2
    scores.controls["selected_classes"].value = ()
    assert "0 images selected" in scores.list_text.value
    assert asked_for_csv(scores).count("\n") == 1
    pick(scores, "plotly_selected", [(3, 10, 0.0, 0.0), (3, 11, 0.0, 0.0)])
    assert scores.state.selected_method == "Autoencoder"
    assert scores.controls["selected"].value == scores.state.selected
    rows = selected_rows(scores.shown["Autoencoder"].scores, scores.state)
    assert f"{len(rows)} image" in scores.list_text.value
    pick(scores, "plotly_selected", [])
    assert "0 images selected" in scores.list_text.value


def test_score_explorer_shows_every_image_of_a_given_data_set(tmp_path):
    data = dataset()
    run_on(data, tmp_path)
    explorer = ScoreExplorer(tmp_path, datasets={"blobs": data})
    explorer.controls["selected"].value = (0.5, 1.0)
    assert explorer.pictures.value.count("<img") == 12  # as many as are shown at once
    wrong = ScoreExplorer(tmp_path)
    assert "pass datasets=" in wrong.pictures.value
    assert wrong.state.selected == (0.0, 1.0)  # whatever has a picture is seen at once


# ---- the others ------------------------------------------------------------------------------------------------------


def test_margin_explorer_follows_its_slider_and_a_click():
    explorer = EXPLORERS["margin"]()
    before = drawn(explorer)
    explorer.controls["step"].value = 3
    assert not np.array_equal(before, drawn(explorer))
    assert "<img" not in explorer.picture.value
    pick(explorer, "plotly_click", [(2, 1, 0.0, 0.0)])
    assert explorer.state.image == np.flatnonzero(explorer.snapshots.group == "novel")[1]
    assert explorer.controls["image"].value == explorer.state.image
    assert "<img" in explorer.picture.value
    explorer.controls["groups"].value = ("ID",)
    assert len(drawn(explorer, 2)) == 0
    play = next(c for c in explorer.children[0].children if isinstance(c, W.Play))
    assert play.max == 3


def test_patch_explorer_lights_and_weighs():
    explorer = patches(labels=["a", "b", "c"])
    lit = lambda: int(np.isfinite(drawn(explorer, 1, "z")).sum())  # noqa: E731
    explorer.controls["lit"].value = 9
    assert lit() == 9
    explorer.controls["how"].value = "mean"
    end = drawn(explorer, 6)[-1]
    explorer.controls["how"].value = "max"
    assert drawn(explorer, 6)[-1] > end
    assert explorer.controls["tau"].disabled
    explorer.controls["run"].value = (8, 0.25)
    assert drawn(explorer, 1, "z").shape == (4, 4)
    assert explorer.controls["lit"].max == 16
    explorer.controls["image"].value = 1
    order = np.argsort(-explorer.runs[(8, 0.25)].scores[1], kind="stable")
    patch = int(order[3])
    pick(explorer, "plotly_click", [(1, 0, patch % 4 * 8 + 4.0, patch // 4 * 8 + 4.0)])
    assert explorer.controls["lit"].value == 4
    assert len(drawn(explorer, 3, "x")) > 0
    explorer.controls["truth"].value = False
    assert len(drawn(explorer, 3, "x")) == 0


def test_patch_explorer_keeps_lit_patches_within_a_coarser_grid():
    explorer = patches()
    explorer.controls["run"].value = (4, 0.5)
    explorer.controls["lit"].value = 60
    explorer.controls["run"].value = (8, 0.25)
    assert explorer.controls["lit"].value == explorer.state.lit == 16


def test_patch_explorer_scores_a_detector_once():
    class Counting:
        grid_ = GRID
        calls = 0

        def components(self, X):
            self.calls += len(X)
            return {"patch_scores": np.arange(len(X) * 16, dtype=float).reshape(len(X), 16)}

    detector = Counting()
    found = score_patches(detector, blobs(40), progress=False)
    assert found.scores.shape == (40, 16)
    explorer = PatchExplorer(found, blobs(40))
    explorer.controls["tau"].value = 1.0
    explorer.controls["lit"].value = 2
    assert detector.calls == 40


@pytest.mark.parametrize("wrong", ["masks", "labels", "images", "none"])
def test_patch_explorer_refuses_what_does_not_fit(wrong):
    given = PatchScores(np.zeros((3, 16)), GRID)
    with pytest.raises(DataError):
        if wrong == "masks":
            PatchExplorer(given, blobs(3), np.zeros((2, 32, 32)))
        elif wrong == "labels":
            PatchExplorer(given, blobs(3), labels=["a"])
        elif wrong == "images":
            PatchExplorer(given, blobs(4))
        else:
            PatchExplorer({}, blobs(3))


def test_distortion_explorer_follows_its_controls():
    explorer = EXPLORERS["distortions"]()
    seen = {explorer.canvas.widget.data[0].source}
    for field, value in (
        ("strength", 2.0), ("window", 0.5), ("draw", 5), ("kind", "polar"), ("image", 3), ("zoom", 0.8), ("equal_detail", False),
        ("family", "unseen"), ("severity", 0.3), ("kind", "inversion"), ("family", "published"), ("kind", "arc"),
    ):  # fmt: skip
        explorer.controls[field].value = value
        source = explorer.canvas.widget.data[0].source
        assert source not in seen, (field, value)
        seen.add(source)
    assert explorer.controls["strength"].layout.display == "none"
    explorer.controls["family"].value = "training"
    assert explorer.controls["strength"].layout.display is None
    assert explorer.state.kind == "barrel"
