"""The plain charts: every value is drawn where it belongs, told in the alternative text, and unfit input is refused."""

import numpy as np
import plotly.graph_objects as go
import pytest

from novkit.errors import DataError
from novkit.figures.charts import cloud, curves, pairs, shares
from novkit.figures.style import NORMAL_COLOUR, describe, method_look


def by_name(figure: go.Figure, name: str) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.name == name]


class TestCurves:
    panels = {  # noqa: RUF012
        "left": {"tend": ([1, 2, 4], [0.5, 0.6, 0.75]), "mine": ([1, 2], [0.4, 0.3])},
        "right": {"mine": ([1, 8], [0.2, 0.1])},
    }

    def test_a_curve_keeps_its_values_and_looks_the_same_in_every_panel(self):
        figure = curves(self.panels, title="t", x_title="amount", y_title="AUROC")
        first, second = by_name(figure, "mine")
        assert first.y.tolist() == [0.4, 0.3]
        assert second.x.tolist() == [1, 8]
        assert (first.line.color, first.marker.symbol, first.line.dash) == (second.line.color, second.marker.symbol, second.line.dash)
        assert [first.showlegend, second.showlegend] == [True, False]
        assert (first.xaxis, second.xaxis) == ("x", "x2")

    def test_methods_look_as_in_all_figures(self):
        (trace,) = by_name(curves(self.panels, title="t", x_title="x", y_title="y"), "TEND")
        assert (trace.line.color, trace.marker.symbol, trace.line.dash) == method_look("tend")

    def test_the_reference_is_drawn_in_every_panel_and_log_axes_are_ticked_at_the_points(self):
        figure = curves(self.panels, title="t", x_title="x", y_title="y", reference=0.5, log_x=True)
        assert [shape.y0 for shape in figure.layout.shapes] == [0.5, 0.5]
        assert figure.layout.xaxis.type == "log"
        assert list(figure.layout.xaxis.tickvals) == [1, 2, 4, 8]

    def test_the_alternative_text_tells_both_ends(self):
        text = describe(curves(self.panels, title="t", x_title="amount", y_title="y"))
        assert "left TEND: from 0.5 to 0.75" in text

    @pytest.mark.parametrize("panels", [{}, {"": {}}])
    def test_nothing_to_draw_is_refused(self, panels):
        with pytest.raises(DataError, match="no curves"):
            curves(panels, title="t", x_title="x", y_title="y")


class TestCloud:
    def test_every_point_stands_in_its_class(self):
        x, y, labels = np.arange(6.0), np.arange(6.0) ** 2, ["healthy", "glioma"] * 3
        figure = cloud(x, y, labels, title="t", x_title="x", y_title="y")
        healthy, glioma = by_name(figure, "healthy")[0], by_name(figure, "glioma")[0]
        assert healthy.y.tolist() == [0, 4, 16]
        assert glioma.x.tolist() == [1, 3, 5]
        assert healthy.marker.color == NORMAL_COLOUR
        assert healthy.marker.symbol != glioma.marker.symbol
        assert "healthy: 3 points, medians 2 and 4" in describe(figure)

    def test_lengths_must_agree(self):
        with pytest.raises(DataError, match="one of each"):
            cloud([1, 2], [1, 2], ["a"], title="t", x_title="x", y_title="y")


class TestShares:
    def test_a_missing_part_has_no_length(self):
        figure = shares(
            {"healthy": {"brain": 0.4, "skull": 0.6}, "glioma": {"lesion": 0.1, "brain": 0.3, "skull": 0.6}}, title="t", x_title="x"
        )
        assert {trace.name: list(trace.x) for trace in figure.data} == {"brain": [0.4, 0.3], "skull": [0.6, 0.6], "lesion": [0.0, 0.1]}
        assert len({trace.marker.color for trace in figure.data}) == 3
        assert "glioma: lesion 10%" in describe(figure)

    def test_what_does_not_sum_to_one_is_refused(self):
        with pytest.raises(DataError, match="sum to 1"):
            shares({"healthy": {"brain": 0.4, "skull": 0.5}}, title="t", x_title="x")

    def test_each_part_has_a_colour_of_its_own_and_more_than_there_are_is_refused(self):
        row = {f"part {number}": 1 / 9 for number in range(9)}
        assert len({trace.marker.color for trace in shares({"all": row}, title="t", x_title="x").data}) == 9
        with pytest.raises(DataError, match=r"10 parts .* at most 9"):
            shares({"all": row, "one more": {"another": 1.0}}, title="t", x_title="x")

    def test_methods_keep_their_looks_and_leave_them_to_nobody_else(self):
        figure = cloud([1, 2, 3, 4], [1, 2, 3, 4], ["others", "patchgan", "TEND", "mine"], title="t", x_title="x", y_title="y")
        looks = {trace.name: (trace.marker.color, trace.marker.symbol) for trace in figure.data}
        assert looks["TEND"] == method_look("tend")[:2]
        assert looks["Patch-GAN"] == method_look("patchgan")[:2]
        assert len({colour for colour, _ in looks.values()}) == 4


class TestPairs:
    rows = {"swirl": {"tend": 0.9, "autoencoder": 0.6}, "blur": {"autoencoder": 0.7}}  # noqa: RUF012

    def test_values_stand_on_their_rows_and_the_first_row_is_on_top(self):
        figure = pairs(self.rows, title="t", x_title="AUROC")
        (trace,) = by_name(figure, "Autoencoder")
        assert (list(trace.x), list(trace.y)) == ([0.6, 0.7], ["swirl", "blur"])
        assert list(figure.layout.yaxis.categoryarray) == ["blur", "swirl"]
        assert "swirl: TEND 0.90, Autoencoder 0.60; blur: Autoencoder 0.70" in describe(figure)

    def test_nothing_is_refused(self):
        with pytest.raises(DataError, match="no values"):
            pairs({}, title="t", x_title="x")
