"""Fixtures for every test, and the hypothesis profiles."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A run in CI must not depend on chance; a run by hand may find something new each time.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
settings.register_profile(
    "dev", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real catalogues, which is not part of the repository."""
    folder = os.environ.get("PURESID_DATA")
    if not folder:
        pytest.skip("PURESID_DATA is unset: it names the folder of real catalogues")
    return Path(folder)


@pytest.fixture
def run_python() -> Callable[..., str]:
    """Runs a script in an interpreter of its own and returns what it printed.

    For what a test process cannot show of itself: the order of imports, forks, signals. The time
    limit only turns a hang into a failure.
    """

    def run(script: str, *, limit: float = 120) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=limit
        )
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
