"""The reader study: what is shown, what is counted, and where the dot lies."""

import math

import numpy as np
import pandas as pd
import pytest

from novkit.errors import DataError
from novkit.figures import describe
from novkit.widgets.reader_study import (
    ReaderPanel,
    ReaderStudy,
    draw_cases,
    guessing_reader,
    marks_from,
    reader_rates,
    readers_on_roc,
    reading_captions,
)
from tests.conftest import blobs


def table(healthy=12, ill=6) -> pd.DataFrame:
    """Two images a subject; the ill are of three conditions."""
    rows = [("healthy", f"h{i // 2}") for i in range(2 * healthy)]
    rows += [(condition, f"{condition}{i // 2}") for condition in ("glioma", "infarct", "ms") for i in range(2 * ill)]
    return pd.DataFrame(rows, columns=["label", "group"]).assign(id=range(len(rows)))


@pytest.mark.parametrize("seed", range(20))
def test_cases_are_of_as_many_subjects_and_conditions_take_turns(seed):
    cases = table().iloc[draw_cases(table(), "healthy", n_normal=10, n_novel=7, seed=seed)]
    assert cases["group"].is_unique
    counts = cases["label"].value_counts()
    assert counts["healthy"] == 10
    assert sorted(counts[["glioma", "infarct", "ms"]]) == [2, 2, 3]


def test_cases_follow_from_the_seed_and_come_mixed():
    orders = [tuple(draw_cases(table(), "healthy", seed=seed)) for seed in range(20)]
    assert orders == [tuple(draw_cases(table(), "healthy", seed=seed)) for seed in range(20)]
    assert len(set(orders)) == 20
    novel_at_place = np.array([table()["label"].to_numpy()[list(order)] != "healthy" for order in orders])
    assert novel_at_place.mean(axis=0).min() > 0
    assert novel_at_place.mean(axis=0).max() < 1


def test_too_few_subjects_are_named():
    with pytest.raises(DataError, match="12 subjects of class healthy"):
        draw_cases(table(), "healthy", n_normal=13)
    with pytest.raises(DataError, match="18 subjects of class novel"):
        draw_cases(table(), "healthy", n_novel=19)


def test_marks_can_be_given_and_taken_back_over_the_whole_range():
    study = ReaderStudy(3)
    study.take_back()
    assert study.current == 0
    for place, novel in enumerate((True, False, True)):
        assert (study.current, study.finished) == (place, False)
        study.mark(novel)
    assert study.finished
    study.mark(False)
    assert study.letters == "vnv"
    study.take_back()
    assert (study.current, study.letters) == (2, "vn")
    assert marks_from("V nv", 3) == [True, False, True]


@pytest.mark.parametrize("letters", ["", "vn", "vnvn", "vxn", "10 1"])
def test_a_reading_that_is_none_is_refused(letters):
    with pytest.raises(DataError, match="n \\(normal\\) or v \\(novel\\)"):
        marks_from(letters, 3)


def test_the_guesser_guesses():
    marks = np.array([guessing_reader(20, seed=seed) for seed in range(200)])
    assert abs(marks.mean() - 0.5) < 0.03
    assert guessing_reader(20, seed=1) == guessing_reader(20, seed=1)


@pytest.mark.parametrize(("right_novel", "right_normal"), [(0, 0), (3, 7), (10, 10), (10, 0), (7, 10)])
def test_rates_and_their_wilson_intervals(right_novel, right_normal):
    y = np.repeat([1, 0], 10)
    marks = [i < right_novel for i in range(10)] + [i >= right_normal for i in range(10)]
    rates = reader_rates(y, marks)
    for rate, right in ((rates.sensitivity, right_novel), (rates.specificity, right_normal)):
        p, z, n = right / 10, 1.959963984540054, 10
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        assert rate.value == p
        assert rate.low == pytest.approx(max(0, middle - half), abs=1e-9)
        assert rate.high == pytest.approx(min(1, middle + half), abs=1e-9)


def test_rates_need_every_mark_and_both_classes():
    with pytest.raises(DataError, match="3 images but 2 marks"):
        reader_rates([0, 1, 1], [True, False])
    with pytest.raises(DataError, match="both"):
        reader_rates([1, 1], [True, False])


def test_a_reader_lies_at_their_false_positive_rate_and_sensitivity():
    y = np.repeat([1, 0], 10)
    rates = reader_rates(y, [i < 8 for i in range(10)] + [i >= 7 for i in range(10)])
    figure = readers_on_roc({"tend": (y, y + 0.1 * np.arange(20))}, {"you": rates})
    dot = next(trace for trace in figure.data if trace.name == "you")
    assert (dot.x[0], dot.y[0]) == (pytest.approx(0.3), pytest.approx(0.8))
    assert dot.x[0] - dot.error_x.arrayminus[0] == pytest.approx(1 - rates.specificity.high)
    assert dot.x[0] + dot.error_x.array[0] == pytest.approx(1 - rates.specificity.low)
    assert dot.y[0] + dot.error_y.array[0] == pytest.approx(rates.sensitivity.high)
    assert "you: sensitivity 0.80, specificity 0.70" in describe(figure)
    assert "TEND" in describe(figure)


def test_captions_say_who_was_right():
    found = reading_captions(["healthy", "glioma"], [0, 1], [False, False], [True, True])
    assert found == ["healthy\nyou ✓\ndetector ✗", "glioma\nyou ✗\ndetector ✓"]


def test_the_panel_follows_buttons_and_keys_and_ends():
    study = ReaderStudy(3)
    panel = ReaderPanel(study, blobs(3), then="Go on.")
    seen = [panel.picture]
    assert panel.status.startswith("Slice 1 of 3")
    assert not panel.can_go_back
    for action in ("novel", "nonsense", "back", "back", "normal", "novel"):
        panel.act(action)
        seen.append(panel.picture)
    assert study.letters == "nv"
    assert panel.status.startswith("Slice 3 of 3")
    assert len(set(seen)) == 3, "each image has its own picture, and the same one each time"
    panel.act("normal")
    assert (panel.picture, panel.status) == ("", "All 3 are marked. Go on.")
    assert panel.can_go_back
    panel.act("back")
    assert study.current == 2
    assert panel.picture == seen[-1]


def test_the_panel_answers_the_browsers_messages_and_sends_no_truth():
    study = ReaderStudy(2)
    panel = ReaderPanel(study, blobs(2))
    panel._handle_custom_msg({"action": "novel"}, [])
    assert study.letters == "v"
    sent = {name for name in panel.keys if not name.startswith("_")} - {"layout", "tabbable", "tooltip"}
    assert sent == {"picture", "status", "can_go_back"}


def test_a_panel_needs_all_images():
    with pytest.raises(DataError, match="study of 3 images but 2"):
        ReaderPanel(ReaderStudy(3), blobs(2))
