"""Fixtures of the reliability suite."""

import pytest

from .harness import Faults
from .shim import Unavailable, shared_object
from .victims import IMPORTS


@pytest.fixture(scope="session")
def shim():
    try:
        return shared_object()
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def faults(shim):
    """A server that has imported puresid, for victims to be forked from."""
    with Faults(IMPORTS) as server:
        yield server
