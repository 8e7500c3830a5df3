"""Whatever is given to a fitted detector is scored with finite numbers or refused in a sentence; and what is refused changes nothing."""

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from novkit.errors import DataError
from tests.drawn import NO_NUMPY_WARNING, counts, error_of, for_all
from tests.test_properties import SIDE, STRANGE, each_method, fitted

pytestmark = NO_NUMPY_WARNING

FITTING = st.tuples(st.integers(0, 3), st.just(1), st.just(SIDE), st.just(SIDE))  # a batch of none, of one, of a few
ANY_SHAPE = array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
FLOATS = st.one_of(
    st.floats(0, 1, width=32),
    st.sampled_from([0.0, 1.0, 0.5, np.nan, np.inf, -np.inf, 1e300, -1e300, 255.0, -0.0, 1e-45, 1.0000001]),
)


@counts(15, 600)
@each_method
def test_anything_is_scored_or_refused(method, examples):
    detector = fitted(method)

    @for_all(
        examples, data=st.data(), shape=st.one_of(FITTING, FITTING, ANY_SHAPE), dtype=st.sampled_from(["u1", "u2", "f4", "f8", "i8", "b1"])
    )
    def holds(data: st.DataObject, shape: tuple[int, ...], dtype: str) -> None:
        if dtype in ("f4", "f8"):
            X = data.draw(arrays("f8", shape, elements=FLOATS, fill=st.just(0.25)))
            with np.errstate(over="ignore"):
                X = X.astype(dtype)
        else:
            X = data.draw(arrays(dtype, shape))
        before = X.copy()
        said = error_of(lambda: detector.novelty_score(X))
        np.testing.assert_array_equal(X, before)  # what was given stays as it was
        usable = X.ndim == 4 and X.size > 0 and X.shape[1:] == (1, SIDE, SIDE) and dtype in ("u1", "u2", "f4", "f8")
        if usable and dtype in ("f4", "f8"):
            with np.errstate(over="ignore"):
                usable = bool(((X >= 0) & (X.astype(np.float32) <= 1)).all())  # NaN is neither
        assert isinstance(said, DataError) == (not usable)
        if usable:
            assert detector.novelty_score(X).shape == (len(X),)
            assert set(detector.predict(X)) <= {-1, 1}
            np.testing.assert_array_equal(detector.score_samples(X), -detector.novelty_score(X))


@each_method
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 255.0, -0.25])
def test_one_bad_pixel_is_found_wherever_it_is(method, value):
    X = STRANGE[:3] / 255.0
    expected = fitted(method).novelty_score(X)
    for place in ((0, 0, 0, 0), (1, 0, 7, 9), (2, 0, SIDE - 1, SIDE - 1)):
        bad = X.copy()
        bad[place] = value
        with pytest.raises(DataError, match=f"Image {place[0]} of X"):
            fitted(method).novelty_score(bad)
    np.testing.assert_array_equal(fitted(method).novelty_score(X), expected)  # a refusal leaves nothing behind
