"""Files of settings: TOML and YAML, as a dict of what JSON has."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

__all__ = ["SETTINGS_SUFFIXES", "read_settings"]

SETTINGS_SUFFIXES = (".toml", ".yaml", ".yml")


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a file of settings.

    Parameters
    ----------
    path : str or path
        ``.toml``, ``.yaml`` or ``.yml``, in UTF-8.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        The ending is another, or the file is not what it says (naming the file).
    ImportError
        TOML below Python 3.11 without tomli, or YAML without PyYAML.
    OSError
        The file cannot be read.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix not in SETTINGS_SUFFIXES:
        raise ValueError(f"{path} has an unknown ending; known are {', '.join(SETTINGS_SUFFIXES)}")
    data = file.read_bytes()
    kind, read = ("TOML", _toml) if suffix == ".toml" else ("YAML", _yaml)
    reader = read()
    try:
        values = reader(data.decode("utf-8"))
    except ValueError as error:  # that of the encoding, too
        raise ValueError(f"{path}: not a {kind} file: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: it holds a {type(values).__name__}; names and values are needed")
    return values


def _toml() -> Any:
    for name in ("tomllib", "tomli"):  # the first from Python 3.11 on
        try:
            return importlib.import_module(name).loads
        except ModuleNotFoundError:
            continue
    raise ImportError("TOML below Python 3.11 needs tomli: pip install tomli")


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise ImportError("YAML files need PyYAML: pip install 'puresid[catalog]'") from error

    def read(text: str) -> Any:
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error

    return read
