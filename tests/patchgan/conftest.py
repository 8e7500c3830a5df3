"""One fitted detector for all of these tests: they only read it."""

import pytest

from novkit.patchgan import PatchGan
from tests.patchgan.small import fitted


@pytest.fixture(scope="session")
def detector() -> PatchGan:
    return fitted()
