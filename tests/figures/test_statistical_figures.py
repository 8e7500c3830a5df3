"""Curves, histograms, dots and tables show the numbers they were given, and say what they show."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from novkit.errors import DataError
from novkit.evaluation import Scores, mean_auroc
from novkit.figures import auroc_dots, auroc_table, describe, roc_curves, score_distributions, training_curves
from novkit.figures.style import DASHES, NOVEL_COLOURS, condition_looks, method_look
from novkit.records import METHODS


def scores(shift: float = 1.5, seed: int = 0, conditions=("glioma", "infarct"), n: int = 200) -> Scores:
    draw = np.random.default_rng(seed)
    y = np.arange(n) % 2
    condition = np.where(y, np.array(conditions)[np.arange(n) // 2 % len(conditions)], "healthy")
    ids = np.array([f"{seed}/{i}" for i in range(n)])
    return Scores(ids, ids, y, condition, draw.normal(size=n) + shift * y)


def table() -> pd.DataFrame:
    rows = []
    for case in ("novel: glioma", "novel: infarct"):
        for method, value in (("tend", 0.9), ("autoencoder", 0.8), ("statistic_oracle", 0.95)):
            note = "upper bound chosen on the test" if method == "statistic_oracle" else ""
            rows.append(
                {"dataset": "brain", "setup": "one_vs_rest", "case": case, "method": method, "variant": "", "display_name": METHODS[method],
                 "auroc": value, "low": value - 0.04, "high": value + 0.02, "seeds": [value - 0.01, value + 0.01], "note": note}
            )  # fmt: skip
    return pd.DataFrame(rows)


HISTORY = [
    {"epoch": e, "phase": "warm-up" if e < 3 else "margin", "loss": 100.0 * 0.4**e, "val_loss": 110.0 * 0.4**e, "distance": 5.0 - e,
     "seconds": 1.0, "best": e in (1, 2, 6)}
    for e in range(8)
]  # fmt: skip

FIGURES = {
    "roc": lambda: roc_curves({"tend": scores(), "statistic": scores(0.3)}, n_resamples=20),
    "distributions": lambda: score_distributions({"tend": scores(), "vae": scores(0.5)}),
    "dots": lambda: auroc_dots(table()),
    "training": lambda: training_curves(HISTORY),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_title_axes_and_alternative_text(name):
    figure = FIGURES[name]()
    assert figure.layout.title.text
    assert len(describe(figure)) > 40
    assert figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text or name == "dots"
    assert len(figure.to_json()) < 300_000
    assert figure.layout.template.layout.paper_bgcolor == "rgba(0,0,0,0)"


def test_roc_states_what_evaluation_finds():
    runs = {"tend": [scores(seed=s) for s in range(3)], "mine": scores(0.2, seed=9)}
    figure = roc_curves(runs, n_resamples=50)
    _, first, second = figure.data
    found = mean_auroc(runs["tend"], n_resamples=50)
    assert first.name == f"TEND  {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
    assert second.name.startswith("mine  ")
    assert np.trapezoid(first.y, first.x) == pytest.approx(found.value, abs=0.01)
    assert f"{found.value:.3f}" in describe(figure)
    assert (first.x[0], first.y[0], first.x[-1], first.y[-1]) == (0, 0, 1, 1)


def test_histograms_are_densities_over_shared_bins():
    given = scores()
    figure = score_distributions(given)
    assert [trace.name for trace in figure.data] == ["normal", "glioma", "infarct"]
    for trace in figure.data:
        assert np.array_equal(trace.x, figure.data[0].x)
        edges, heights = np.asarray(trace.x)[::2], np.asarray(trace.y)[1:-1:2]
        assert np.sum(np.diff(edges) * heights) == pytest.approx(1)
    assert f"glioma {np.median(given.score[given.condition == 'glioma']):.3g}" in describe(figure)


def test_a_long_tail_is_gathered_and_said():
    given = scores()
    given.score[:1] = 1e6
    figure = score_distributions({"tend": given})
    assert max(figure.data[0].x) < 100
    assert "1 higher ones in the last bin" in figure.layout.xaxis.title.text


def test_a_class_looks_the_same_in_every_panel_and_many_are_one():
    figure = score_distributions({"tend": scores(), "vae": scores(conditions=("infarct",))})
    colours = {(trace.name, trace.line.color) for trace in figure.data}
    assert len(colours) == 3
    assert sum(bool(trace.showlegend) for trace in figure.data) == 3
    many = score_distributions(scores(conditions=tuple("0123456")))
    assert [trace.name for trace in many.data] == ["normal", "novel (7 classes)"]


def test_looks_differ():
    looks = [method_look(method) for method in METHODS]
    assert len({(colour, symbol) for colour, symbol, _ in looks}) == len(METHODS)
    assert len({(colour, symbol, dash) for colour, symbol, dash in looks}) == len(METHODS)
    many = condition_looks([f"class {i}" for i in range(len(NOVEL_COLOURS) * len(DASHES))])
    assert len(set(many.values())) == len(many)
    assert "solid" not in {dash for _, dash in list(many.values())[: len(NOVEL_COLOURS)]}, "solid is the normal class"
    for colour in {colour for colour, _, _ in looks} | set(NOVEL_COLOURS):
        for paper in ("#ffffff", "#14171a"):
            assert contrast(colour, paper) >= 2.2, (colour, paper)


def contrast(first: str, second: str) -> float:
    """WCAG's contrast ratio of two #rrggbb colours."""

    def light(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((light(first), light(second)))
    return (high + 0.05) / (low + 0.05)


def test_dots_stand_where_the_numbers_are():
    figure = auroc_dots(table())
    means = [trace for trace in figure.data if trace.error_x.array is not None]
    assert [trace.x[0] for trace in means] == [0.9, 0.8, 0.95] * 2
    assert means[0].error_x.array[0] == pytest.approx(0.02)
    assert means[0].error_x.arrayminus[0] == pytest.approx(0.04)
    assert "upper bound" in means[2].hovertemplate
    assert {trace.xaxis for trace in means} == {"x", "x2"}


def test_table_marks_the_best_and_the_bound():
    figure = auroc_table(table())
    names, first, _ = figure.data[0].cells["values"]
    assert list(names) == ["TEND", "Autoencoder", "Oracle statistic †"]
    assert first[0] == "<b>0.900 [0.860, 0.920]</b>"
    assert first[2] == "0.950 [0.910, 0.970]"  # a bound is never the best
    assert "upper bound chosen on the test" in figure.layout.annotations[0].text


def test_training_curves():
    figure = training_curves(HISTORY)
    by_name = {(trace.name, trace.xaxis): trace for trace in figure.data}
    assert list(by_name[("training", "x")].y) == [epoch["loss"] for epoch in HISTORY]
    assert list(by_name[("validation", "x")].y) == [epoch["val_loss"] for epoch in HISTORY]
    assert list(by_name[("epoch kept", "x")].x) == [3, 7]  # the last best one of each phase, counted from 1
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.yaxis2.type is None
    assert {"warm-up", "margin"} <= {note.text for note in figure.layout.annotations}
    two_stages = training_curves([{"epoch": e, "phase": "training", "val_loss": 1.0 + e, "best": e == 0} for e in (0, 1, 0, 1)])
    assert list(two_stages.data[1].x) == [1, 3]


def test_nothing_to_draw():
    for call in (
        lambda: roc_curves({}),
        lambda: score_distributions({}),
        lambda: auroc_dots(table()[:0]),
        lambda: auroc_table(table()[:0]),
    ):
        with pytest.raises(DataError, match="There are no"):
            call()
    with pytest.raises(DataError, match="no epochs"):
        training_curves([])
    with pytest.raises(DataError, match="no numbers"):
        training_curves([{"epoch": 0, "phase": "a"}])
    assert isinstance(training_curves([{"epoch": 0, "loss": 1.0, "val_loss": None}]), go.Figure)
