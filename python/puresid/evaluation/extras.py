"""Modules that are only there where an extra of the package is installed."""

from __future__ import annotations

import importlib
from typing import Any


def extra(name: str) -> Any:
    """Import a module that comes with the extra ``eval``, or ``lora``.

    Raises
    ------
    ImportError
        It is not installed; the message says what installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        group = "lora" if package == "peft" else "eval"
        raise ImportError(
            f"evaluation needs {package}: pip install 'puresid[{group}]' ({error})"
        ) from error
