"""Making detectors by their id: what does not fit is a sentence, for every method and every setting."""

from dataclasses import asdict, fields, is_dataclass

import numpy as np
import pytest

from novkit.errors import SettingsError
from novkit.methods import make_detector, read_settings
from novkit.results import METHODS


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("profile", ["quick", "paper"])
def test_what_a_preset_holds_fits_and_another_type_is_refused_by_name(method, profile):
    usual = make_detector(method, profile).settings
    for field in fields(usual):
        value = getattr(usual, field.name)
        again = make_detector(method, profile, changes={field.name: value}).settings
        read_back = make_detector(method, profile, changes={field.name: asdict(usual)[field.name]}).settings  # as from JSON
        assert again == read_back == usual
        for wrong in ([["x"]], {"x": 1}, 1.5 if isinstance(value, int | str) else "x", float("nan")):
            with pytest.raises(SettingsError) as refused:
                make_detector(method, profile, changes={field.name: wrong})
            said = str(refused.value)
            assert said.startswith(f"{field.name} ")
            assert said.endswith(".")
            assert said.count(": ") >= 1
            assert "unexpected" not in said
            assert "supported" not in said


def test_an_unknown_setting_is_told_with_those_there_are():
    with pytest.raises(SettingsError, match=r"^pixel_zscore has no setting 'nope': choose from floor\.$"):
        make_detector("pixel_zscore", changes={"nope": 1})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 3.5}, "epochs of tend cannot be 3.5: give a whole number, such as 16."),
        ({"epochs": True}, "epochs of tend cannot be True: give a whole number"),
        ({"lr": 10**400}, "give a number, such as 0.001."),
        ({"lr": None}, "lr of tend cannot be None"),
        ({"batch_norm": 1}, "give true or false, such as true."),
        ({"gradient_clip": "a"}, "gradient_clip of tend cannot be 'a': give a number or null."),
        ({"distance": 3}, 'give text, such as "centre".'),
        ({"family": 3}, "give a table of its own settings."),
        ({"family": {"nope": 3}}, "family has no setting 'nope': choose from kinds, strength"),
        ({"family": {"window": [0.3]}}, "window of family cannot be [0.3]: give a list, such as [0.3, 0.7]."),
        ({"faithful": {"select_on_test": "yes"}}, "select_on_test of faithful cannot be 'yes': give true or false, such as false."),
        ({"distance": "x"}, "choose 'centre' or 'margin'"),
    ],
)
def test_what_is_wrong_and_what_would_fit(changes, words):
    with pytest.raises(SettingsError) as refused:
        make_detector("tend", changes=changes)
    assert words in str(refused.value)


def test_numbers_of_other_kinds_lists_and_groups_fit():
    made = make_detector("tend", changes={"lr": 1, "epochs": np.int64(5), "gradient_clip": 2, "family": {"window": [0.3, 0.5]}}).settings
    assert (made.lr, made.epochs, made.gradient_clip, made.family.window) == (1, 5, 2, (0.3, 0.5))
    assert is_dataclass(made.family)
    assert make_detector("patchgan", changes={"boxes": [8, 4], "patch": None}).settings.boxes == (8, 4)


def test_settings_are_read_as_json_where_they_are():
    assert read_settings(["epochs=3", "lr=0.1", "distance=margin"]) == {"epochs": 3, "lr": 0.1, "distance": "margin"}
    with pytest.raises(SettingsError, match="write name=value"):
        read_settings(["epochs"])
