"""The sphere is drawn truly: √R, not R; directions and order of distances kept; every moment under the slider."""

import numpy as np
import pytest

from novkit.errors import DataError
from novkit.figures.margin import Moment, distance_histograms, margin_animation
from novkit.figures.style import describe

CENTRE = np.array([0.4, -0.2])
RADIUS = 150.0


def moments(n: int = 3) -> list[Moment]:
    rng = np.random.default_rng(0)
    return [
        Moment(str(k), {"normal": CENTRE + rng.normal(size=(20, 2)), "T(x)": CENTRE + 9 * k * rng.normal(size=(30, 2))})
        for k in range(1, n + 1)
    ]


class TestAnimation:
    figure = margin_animation(moments(), centre=CENTRE, radius=RADIUS, title="t")

    def test_points_keep_their_direction_and_stand_at_the_log_of_one_plus_their_distance(self):
        for moment, frame in zip(moments(), self.figure.frames, strict=True):
            for (name, z), trace in zip(moment.groups.items(), frame.data[:2], strict=True):
                assert trace.name == name
                at, offset = np.stack([trace.x, trace.y], axis=1), z - CENTRE
                distance = np.linalg.norm(offset, axis=1)
                np.testing.assert_allclose(np.arctan2(*at.T), np.arctan2(*offset.T), atol=0.02)
                np.testing.assert_allclose(np.expm1(np.linalg.norm(at, axis=1)), distance, rtol=0.02, atol=0.01)

    def test_the_edge_is_the_square_root_of_r(self):
        circles = [shape for shape in self.figure.layout.shapes if shape.type == "circle"]
        widest = max(circles, key=lambda shape: shape.line.width)
        assert np.expm1(widest.x1) == pytest.approx(np.sqrt(RADIUS))
        lines = [shape for shape in self.figure.layout.shapes if shape.type == "line"]
        assert [np.expm1(line.x0) for line in lines] == pytest.approx([np.sqrt(RADIUS)])
        assert any(note.text == "√R = 12.2" for note in self.figure.layout.annotations)

    def test_densities_have_area_one_and_count_every_point(self):
        for frame in self.figure.frames:
            for outline in frame.data[2:]:
                assert np.trapezoid(outline.y, outline.x) == pytest.approx(1, abs=2e-3)

    def test_it_opens_with_the_last_moment_and_the_slider_reaches_every_one(self):
        assert self.figure.data[0].x.tolist() == self.figure.frames[-1].data[0].x.tolist()
        (slider,) = self.figure.layout.sliders
        assert slider.active == 2
        assert [step.args[0][0] for step in slider.steps] == [frame.name for frame in self.figure.frames] == ["1", "2", "3"]

    def test_a_point_in_the_centre_is_drawn_there(self):
        figure = margin_animation([Moment("now", {"normal": CENTRE[None]})], centre=CENTRE, radius=RADIUS, title="t")
        assert (figure.data[0].x[0], figure.data[0].y[0]) == (0, 0)

    def test_the_alternative_text_tells_both_ends(self):
        text = describe(self.figure)
        assert "epoch 1: median distances" in text
        assert "epoch 3: median distances" in text

    @pytest.mark.parametrize(
        "wrong",
        [
            [],
            [Moment("now", {"normal": np.zeros((3, 5))})],
            [*moments(1), Moment("later", {"normal": np.zeros((3, 2))})],
            [Moment("now", {str(k): np.zeros((1, 2)) for k in range(7)})],
        ],
    )
    def test_what_is_no_picture_in_the_plane_is_refused(self, wrong):
        with pytest.raises(DataError):
            margin_animation(wrong, centre=CENTRE, radius=RADIUS, title="t")


class TestHistograms:
    def test_squared_distances_are_drawn_as_distances(self):
        figure = distance_histograms({"normal": [4.0] * 5, "novel": [400.0] * 5}, radius=RADIUS, title="t")
        normal, novel = figure.data
        for trace, distance in ((normal, 2.0), (novel, 20.0)):
            x = np.asarray(trace.x)[np.asarray(trace.y) > 0]
            assert np.expm1(x.min()) <= distance <= np.expm1(x.max()) + 1e-2
        assert "novel: median 20, 100% outside" in describe(figure)
        assert "normal: median 2, 0% outside" in describe(figure)

    def test_nothing_is_refused(self):
        with pytest.raises(DataError, match="distances"):
            distance_histograms({}, radius=RADIUS, title="t")
