"""Drawing cases for properties: the same ones at every run, few of them or, in the long tests, many."""

import os
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novkit.errors import NovkitError
from tests.campaign import record

NO_NUMPY_WARNING = pytest.mark.filterwarnings(
    "error:.*(overflow|invalid value|divide by zero|empty slice|Degrees of freedom).*:RuntimeWarning"
)
"""What would be a user's first sign of trouble fails the test."""


def counts(few: int, many: int) -> pytest.MarkDecorator:
    """How many cases are drawn: a few always, many in the long tests."""
    return pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.long)])


def for_all(examples: int, **drawn: st.SearchStrategy) -> Callable[[Callable], None]:
    """Run the property below on so many drawn cases, at once, and record how many held under the name of the test."""

    def run(holds: Callable) -> None:
        held = 0

        @wraps(holds)  # and so with its explicit examples
        def counted(**case: Any) -> None:
            nonlocal held
            holds(**case)
            held += 1

        chosen = settings(max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        what, part = _named(os.environ["PYTEST_CURRENT_TEST"])
        try:
            chosen(given(**drawn)(counted))()
        except Exception:
            record("Properties", what, part=part, tried=held + 1, outcome={"held": held, "did not hold": 1})
            raise
        record("Properties", what, part=part, tried=held, outcome={"held": held})

    return run


def _named(test: str) -> tuple[str, str]:
    """What a test is of, in words, and of which method: of "tests/a.py::test_b_c[tend-300] (call)", b c and tend."""
    found = re.search(r"::test_(\w+)(?:\[(.*)\])?", test)
    assert found, test
    return found[1].replace("_", " "), re.sub(r"-?\d+$", "", found[2] or "")


def error_of(call: Callable[[], Any]) -> NovkitError | None:
    """The novkit error that a call raises, None where it raises none; any other error fails the test."""
    try:
        call()
    except NovkitError as error:
        return error
    return None
