"""Every transformation over the range of its parameters: the library's own, drawn alike every time."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from novkit.distortions.published import PUBLISHED, published
from novkit.distortions.unseen import UNSEEN
from novkit.errors import SettingsError
from novkit.figures import describe
from novkit.images import to_tensor
from novkit.seeding import torch_generator
from novkit.widgets.distortion_view import (
    FAMILIES,
    LIMITS,
    PARAMETERS,
    DistortionState,
    about,
    distorted,
    distortion_figure,
    distortion_html,
    distortion_readout,
)
from tests.conftest import blobs

IMAGE = blobs(1)[0]
ALL = [(family, kind) for family, kinds in FAMILIES.items() for kind in kinds]


@pytest.mark.parametrize(("family", "kind"), ALL)
def test_every_transformation_over_its_whole_range(family, kind):
    names = [name for name in PARAMETERS[family] if name in LIMITS]
    for values in product(*(LIMITS[name] for name in names)):
        state = DistortionState(family=family, kind=kind, draw=3, **dict(zip(names, values, strict=True)))
        found = distorted(IMAGE, state)
        assert found.shape == IMAGE.shape
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        assert 0 <= found.min() <= found.max() <= 1
        np.testing.assert_array_equal(found, distorted(IMAGE, state))
    assert not np.allclose(distorted(IMAGE, DistortionState(family=family, kind=kind)), IMAGE / 255, atol=0.02)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_published_ones_are_the_library_s_whatever_the_parameters(kind):
    expected = published(to_tensor(IMAGE[None]), kind).clamp(0, 1)[0].numpy()
    for draw, strength in ((0, 0.0), (7, 2.0)):
        state = DistortionState(family="published", kind=kind, draw=draw, strength=strength)
        np.testing.assert_array_equal(distorted(IMAGE, state), expected)


@pytest.mark.parametrize("kind", UNSEEN)
def test_unseen_ones_are_those_of_the_test_images(kind):
    generator = torch_generator(5, "distortion explorer", kind)
    expected = UNSEEN[kind](to_tensor(IMAGE[None]), generator).clamp(0, 1)[0].numpy()
    np.testing.assert_array_equal(distorted(IMAGE, DistortionState(family="unseen", kind=kind, draw=5)), expected)


@pytest.mark.parametrize("kind", FAMILIES["training"])
def test_parameters_do_what_they_say(kind):
    state = DistortionState(kind=kind, draw=1)
    still = distorted(IMAGE, replace(state, strength=0.0))
    assert np.abs(still - IMAGE / 255).mean() < 0.03  # a sub-pixel warp
    changed = np.abs(distorted(IMAGE, replace(state, window=0.4)) - distorted(IMAGE, replace(state, window=0.4, strength=0.0)))[0]
    rows, columns = np.nonzero(changed > 1e-6)
    assert len(rows) > 0
    assert max(np.ptp(rows), np.ptp(columns)) <= 2 * 0.4 * 16 + 2  # nothing changes outside the window
    assert not np.array_equal(distorted(IMAGE, state), distorted(IMAGE, replace(state, draw=2)))


def test_colour_and_sixteen_bit_images():
    for image in (blobs(1, channels=3)[0], IMAGE.astype(np.uint16) * 257, (IMAGE / 255).astype(np.float32)):
        found = distorted(image, DistortionState())
        assert found.shape == image.shape
    eight, sixteen = (distorted(image, DistortionState()) for image in (IMAGE, IMAGE.astype(np.uint16) * 257))
    np.testing.assert_allclose(eight, sixteen, atol=1e-6)


def test_readout_by_hand():
    x = np.full((1, 16, 16), 51, np.uint8)
    x[0, :, 8:] = 255
    after = np.full((1, 16, 16), 0.5, np.float32)
    found = distortion_readout(x, after)
    assert found["mean brightness"] == pytest.approx((0.6, 0.5))
    assert found["standard deviation"] == pytest.approx((0.4, 0.0))
    assert found["share of the commonest grey level"] == pytest.approx((0.5, 1.0))
    assert found["mean gradient"] == pytest.approx((0.8 / 15, 0.0))


@pytest.mark.parametrize(("family", "kind"), ALL)
def test_figure_and_words(family, kind):
    state = DistortionState(family=family, kind=kind)
    figure = distortion_figure(IMAGE, state)
    assert [a.text for a in figure.layout.annotations if a.text][:3] == ["image", kind.replace("_", " "), "absolute difference"]
    assert about(state) in describe(figure)
    assert "<table" in distortion_html(IMAGE, state, distorted(IMAGE, state))
    other = distortion_figure(IMAGE, state, np.zeros(IMAGE.shape, np.float32))
    assert other.data[0].source != figure.data[0].source


@pytest.mark.parametrize(
    "wrong", [{"family": "other"}, {"kind": "swirl"}, {"strength": 2.1}, {"window": -0.1}, {"severity": 1.5}, {"zoom": 1.1}]
)
def test_impossible_choices_are_refused(wrong):
    with pytest.raises(SettingsError):
        DistortionState(**wrong)


def test_no_global_random_state():
    before = torch.get_rng_state()
    for family, kind in ALL:
        distorted(IMAGE, DistortionState(family=family, kind=kind))
    assert torch.equal(before, torch.get_rng_state())
