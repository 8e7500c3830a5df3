"""Drawing cases for properties: the same ones at every run, few of them or, in the long tests, many."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novkit.errors import NovkitError

NO_NUMPY_WARNING = pytest.mark.filterwarnings(
    "error:.*(overflow|invalid value|divide by zero|empty slice|Degrees of freedom).*:RuntimeWarning"
)
"""What would be a user's first sign of trouble fails the test."""


def counts(few: int, many: int) -> pytest.MarkDecorator:
    """How many cases are drawn: a few always, many in the long tests."""
    return pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.long)])


def for_all(examples: int, **drawn: st.SearchStrategy) -> Callable[[Callable], None]:
    """Run the property below on so many drawn cases, at once."""

    def run(holds: Callable) -> None:
        chosen = settings(max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        chosen(given(**drawn)(holds))()

    return run


def error_of(call: Callable[[], Any]) -> NovkitError | None:
    """The novkit error that a call raises, None where it raises none; any other error fails the test."""
    try:
        call()
    except NovkitError as error:
        return error
    return None
