"""Properties of every method there is: batches, order, storage, shapes, and what cannot be learnt from."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example
from hypothesis import strategies as st

from novkit.detector import REGISTRY, Detector
from novkit.errors import NovkitError, TrainingError
from novkit.methods import make_detector
from novkit.tend import Faithful
from tests.conftest import blobs
from tests.drawn import NO_NUMPY_WARNING, counts, error_of, for_all

pytestmark = NO_NUMPY_WARNING

SIDE = 16  # pixels: the least that every trained method takes
_NETWORK = {"width": 4, "latent": 8, "epochs": 1, "batch_size": 16, "least_steps": 1}
TINY: dict[str, dict[str, Any]] = {
    "tend": {"width": 4, "embedding": 8, "epochs_autoencoder": 1, "epochs": 2, "warmup": 1, "batch_size": 16, "least_steps": 1},
    "patchgan": {"width": 4, "discriminator_width": 4, "epochs": 1, "batch_size": 16, "boxes": (1, 2), "partitions": 2},
    "autoencoder": _NETWORK,
    "vae": _NETWORK,
    "alocc": {**_NETWORK, "width_discriminator": 4},
    "ocsvm": _NETWORK,
    "deep_svdd": {**_NETWORK, "epochs": 2, "epochs_autoencoder": 1, "warmup": 0},
    "patch_knn": {**_NETWORK, "levels": (1, 0), "bank": 100, "candidates": 400},
}
"""Settings that make a method train in about a second; methods that do not train need none."""

METHODS = sorted(REGISTRY)
each_method = pytest.mark.parametrize("method", METHODS)


def tiny(method: str) -> Detector:
    return make_detector(method, changes=TINY.get(method, {}), device="cpu", progress=False)


@cache
def fitted(method: str) -> Detector:
    """One detector of each method, which the tests only read."""
    return tiny(method).fit(blobs(48, size=SIDE), blobs(12, size=SIDE, seed=1), X_threshold=blobs(12, size=SIDE, seed=2))


def strange_images() -> np.ndarray:
    """(12, 1, 16, 16) uint8: normal ones, and what no camera gives."""
    y, x = np.mgrid[:SIDE, :SIDE]
    dot = np.zeros((SIDE, SIDE))
    dot[3, 11] = 255
    noise = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE))
    made = [0 * x, 0 * x + 255, 0 * x + 128, dot, 255 - dot, 255 * ((x + y) % 2), 17 * x, noise[0], 255 * (noise[1] > 127)]
    return np.concatenate([blobs(3, size=SIDE, seed=3), np.stack(made)[:, None].astype(np.uint8)])


STRANGE = strange_images()


@cache
def alone(method: str) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """What a method says of each strange image in a batch of one."""
    said = [fitted(method).assess(image[None]) for image in STRANGE]
    parts = {name: np.concatenate([components[name] for components, _ in said]) for name in said[0][0]}
    return parts, None if said[0][1] is None else np.concatenate([novelty for _, novelty in said])  # type: ignore[misc]


def assert_close(found: np.ndarray, expected: np.ndarray, what: str = "") -> None:
    """To float tolerance, in units of how much the values differ among themselves."""
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * max(float(np.ptp(expected)), 1e-6), err_msg=what)


# ---- detectors: scores ---------------------------------------------------------------------------------------------------


@counts(6, 300)
@each_method
def test_a_score_depends_neither_on_the_batch_nor_on_the_order(method, examples):
    components, maps = alone(method)

    @for_all(examples, rows=st.lists(st.integers(0, len(STRANGE) - 1), min_size=1, max_size=14), cut=st.integers(1, 14))
    def holds(rows: list[int], cut: int) -> None:
        batches = [rows[start : start + cut] for start in range(0, len(rows), cut)]
        said = [fitted(method).assess(STRANGE[batch]) for batch in batches]
        for name, expected in components.items():
            assert_close(np.concatenate([found[name] for found, _ in said]), expected[rows], name)
        if maps is not None:
            assert_close(np.concatenate([novelty for _, novelty in said]), maps[rows], "map")


@pytest.mark.long
@each_method
def test_nor_does_it_where_batches_are_cut(method):
    """More images than any method scores at once."""
    components, maps = fitted(method).assess(np.tile(STRANGE, (45, 1, 1, 1)))
    for name, expected in alone(method)[0].items():
        assert_close(components[name], np.tile(expected, (45, *[1] * (expected.ndim - 1))), name)
    expected_maps = alone(method)[1]
    assert (maps is None) == (expected_maps is None)
    if maps is not None and expected_maps is not None:
        assert_close(maps, np.tile(expected_maps, (45, 1, 1)), "map")


def test_a_score_that_does_depend_on_its_batch_is_noticed():
    """The published code scales distances over the images scored together; the property above sees it."""
    leaking = copy.copy(fitted("tend"))
    leaking.settings_ = replace(leaking.settings_, faithful=Faithful(scale_on_test=True))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_close(leaking.novelty_score(STRANGE[:4]), leaking.novelty_score(STRANGE)[:4])


@each_method
def test_every_image_gets_a_finite_score_and_a_verdict_that_fits_it(method):
    components, maps = alone(method)
    for name, values in components.items():
        assert values.dtype == np.float64, name
        assert np.isfinite(values).all(), name
    score, detector = components["score"], fitted(method)
    assert score.shape == (len(STRANGE),)
    together = detector.novelty_score(STRANGE)
    np.testing.assert_array_equal(detector.predict(STRANGE), np.where(together > detector.threshold_, -1, 1))
    if maps is not None:
        assert maps.shape == (len(STRANGE), SIDE, SIDE)
        assert np.isfinite(maps).all()


def _reversed_strides(X: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(X[::-1, :, ::-1])[::-1, :, ::-1]


def _read_only(X: np.ndarray) -> np.ndarray:
    X = X.copy()
    X.flags.writeable = False
    return X


STORED: dict[str, Callable[[np.ndarray], Any]] = {
    "uint16": lambda X: X.astype(np.uint16) * 257,
    "float16": lambda X: (X / 255).astype(np.float16),
    "float32": lambda X: (X / 255).astype(np.float32),
    "float64": lambda X: X / 255,
    "tensor": lambda X: torch.from_numpy(X),
    "tensor of float64": lambda X: torch.from_numpy(X / 255),
    "tensor of bfloat16": lambda X: torch.from_numpy(X / 255).to(torch.bfloat16),
    "nested lists": lambda X: (X / 255).tolist(),
    "columns first": np.asfortranarray,
    "strides": _reversed_strides,
    "read-only": _read_only,
    "every second of more": lambda X: np.repeat(X, 2, axis=0)[::2],
}
COARSE = {"float16": 2e-3, "tensor of bfloat16": 2e-2}  # of the range of scores: as coarse as their grey levels


@each_method
@pytest.mark.parametrize("how", STORED)
def test_a_score_does_not_depend_on_how_the_image_is_stored(method, how):
    X = STRANGE[:3]
    expected, found = fitted(method).novelty_score(X), fitted(method).novelty_score(STORED[how](X))
    reach = float(np.ptp(alone(method)[0]["score"]))
    np.testing.assert_allclose(found, expected, atol=COARSE.get(how, 2e-4) * reach, rtol=1e-3 if how in COARSE else 1e-4)


# ---- detectors: fitting --------------------------------------------------------------------------------------------------

SIDES = st.sampled_from([1, 2, 3, 5, 7, 8, 12, 15, 16, 17, 20, 24, 28, 31, 32, 40])


def why_not_fitted(detector: Detector, *images: Any) -> NovkitError | None:
    """None where the detector is fitted; else the one sentence that says why not, and it is not fitted."""
    said = error_of(lambda: detector.fit(*images))
    if said is None:
        assert math.isfinite(detector.threshold_)
        return None
    assert str(said).strip()
    assert "\n" not in str(said)
    assert not hasattr(detector, "image_shape_")
    return said


NETWORKLESS = {"ocsvm", *METHODS} - (set(TINY) - {"ocsvm"})  # those that train nothing, and one that has no network by default


def must_be_learnt(method: str, height: int, width: int) -> bool:
    """Shapes that no method may refuse: networks halve sides, and ask for multiples of four from sixteen; others take whatever differs."""
    if method in NETWORKLESS:
        return height * width >= 16
    return all(side % 4 == 0 and side >= 16 for side in (height, width))


@counts(5, 60)
@each_method
def test_images_of_any_shape_are_learnt_or_refused_in_a_sentence(method, examples):
    learnt, collapsed = [], []

    @for_all(examples, channels=st.integers(1, 4), height=SIDES, width=SIDES, seed=st.integers(0, 9))
    @example(channels=3, height=20, width=24, seed=0)
    @example(channels=1, height=16, width=16, seed=0)  # the least that every method takes
    @example(channels=2, height=5, width=7, seed=0)
    def holds(channels: int, height: int, width: int, seed: int) -> None:
        X = np.random.default_rng(seed).integers(0, 256, (24, channels, height, width), dtype=np.uint8)
        detector = tiny(method)
        said = why_not_fitted(detector, X)
        if said is None:
            learnt.append((channels, height, width))
            score = detector.novelty_score(X[:2])
            assert np.isfinite(score).all()
            assert_close(score, np.concatenate([detector.novelty_score(image[None]) for image in X[:2]]), "score")
            if detector.has_map:
                maps = detector.novelty_map(X[:2])
                assert maps.shape == (2, height, width)
                assert_close(maps, np.concatenate([detector.novelty_map(image[None]) for image in X[:2]]), "map")
        elif must_be_learnt(method, height, width):
            assert isinstance(said, TrainingError), said  # a training may collapse: seldom
            collapsed.append((channels, height, width))

    assert len(collapsed) <= len(learnt)
    assert {(3, 20, 24), (1, 16, 16)} <= set(learnt)
    assert ((2, 5, 7) in learnt) == (method in NETWORKLESS)


def spoiled(value: float) -> np.ndarray:
    X = blobs(20, size=SIDE).astype(np.float64) / 255
    X[7, 0, 3, 4] = value
    return X


CONTENT: dict[str, Callable[[], tuple[Any, ...]]] = {
    "nothing": lambda: (blobs(20, size=SIDE)[:0],),
    "no pixels": lambda: (np.zeros((20, 1, 0, SIDE), np.uint8),),
    "no channels": lambda: (np.zeros((20, 0, SIDE, SIDE), np.uint8),),
    "one image": lambda: (blobs(1, size=SIDE),),
    "nine images": lambda: (blobs(9, size=SIDE),),
    "all black": lambda: (np.zeros((20, 1, SIDE, SIDE), np.uint8),),
    "one black": lambda: (np.concatenate([blobs(19, size=SIDE), np.zeros((1, 1, SIDE, SIDE), np.uint8)]),),
    "NaN": lambda: (spoiled(np.nan),),
    "infinity": lambda: (spoiled(np.inf),),
    "beyond float32": lambda: (spoiled(1e300),),
    "grey levels as floats": lambda: (blobs(20, size=SIDE).astype(np.float32),),
    "negative": lambda: (spoiled(-0.25),),
    "whole numbers of 64 bits": lambda: (blobs(20, size=SIDE).astype(np.int64),),
    "one image without its batch": lambda: (blobs(1, size=SIDE)[0],),
    "sizes that differ": lambda: ([blobs(1, size=SIDE)[0], blobs(1, size=20)[0]],),
    "nothing held out": lambda: (blobs(20, size=SIDE), blobs(1, size=SIDE)[:0]),
    "one held out": lambda: (blobs(20, size=SIDE), blobs(1, size=SIDE)),
    "held out of another size": lambda: (blobs(20, size=SIDE), blobs(4, size=32)),
}


@each_method
@pytest.mark.parametrize("what", CONTENT)
def test_what_cannot_be_learnt_from_is_refused_in_a_sentence(method, what):
    assert why_not_fitted(tiny(method), *CONTENT[what]()) is not None


LEAN: dict[str, Callable[[], tuple[Any, ...]]] = {
    "one picture, again and again": lambda: (np.repeat(blobs(1, size=SIDE), 20, axis=0),),
    "one grey level": lambda: (np.repeat(STRANGE[5:6], 20, axis=0),),
    "two pictures": lambda: (np.tile(blobs(2, size=SIDE), (12, 1, 1, 1)),),
    "one to learn from": lambda: (blobs(1, size=SIDE), blobs(8, size=SIDE, seed=1)),
    "two to learn from": lambda: (blobs(2, size=SIDE), blobs(8, size=SIDE, seed=1)),
    "one dot each": lambda: (np.eye(SIDE * SIDE, dtype=np.uint8)[:24].reshape(24, 1, SIDE, SIDE) * 255,),
    "black and white": lambda: ((np.random.default_rng(0).random((24, 1, SIDE, SIDE)) > 0.5).astype(np.uint8) * 255,),
    "16 bits that differ in the last": lambda: (np.random.default_rng(0).integers(40_000, 40_002, (24, 1, SIDE, SIDE)).astype(np.uint16),),
}


ENDS = {"one picture, again and again": False, "one grey level": False,  # all held-out images have one score
        "two to learn from": True, "one dot each": True, "black and white": True}  # fmt: skip
"""What must be learnt, and what cannot be; where it depends on the method and its settings, neither is asked for."""
ALIKE = {(method, what) for method in ("statistic", "statistic_oracle") for what in ("one dot each", "black and white")}
"""Images that differ, though not in the statistic."""
OURS = {*TINY, "pixel_zscore", "statistic", "statistic_oracle"}
"""A method that is added may need more."""


@each_method
@pytest.mark.parametrize("what", LEAN)
def test_little_to_learn_from_ends_in_a_detector_or_in_a_sentence(method, what):
    detector = tiny(method)
    learnt = why_not_fitted(detector, *LEAN[what]()) is None
    if learnt:
        assert np.isfinite(detector.novelty_score(STRANGE)).all()
    if what in ENDS and (method in OURS or not ENDS[what]):
        assert learnt == (ENDS[what] and (method, what) not in ALIKE)
