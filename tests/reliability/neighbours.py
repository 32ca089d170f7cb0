"""The tests' own modules, which the long form finds beside this folder."""

from __future__ import annotations

import sys
from pathlib import Path

_TESTS = str(Path(__file__).resolve().parents[1])
if _TESTS not in sys.path:  # pytest puts it there, `python -m` does not
    sys.path.insert(0, _TESTS)

import oracles  # noqa: E402
import process_cases  # noqa: E402
import strategies  # noqa: E402

__all__ = ["oracles", "process_cases", "strategies"]
