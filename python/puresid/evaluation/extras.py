"""Modules that are only there where an extra of the package is installed."""

from __future__ import annotations

import importlib
from types import ModuleType


def eval_module(name: str) -> ModuleType:
    """Import a module that comes with the extra ``eval``.

    Raises
    ------
    ImportError
        It is not installed; the message says what installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(
            f"{package} is needed here: pip install 'puresid[eval]' ({error})"
        ) from error
