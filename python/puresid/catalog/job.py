"""A job that keeps a catalogue: what its config may say, and its log."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from puresid.catalog._sealed import plain
from puresid.catalog.parameters import Parameters
from puresid.settings import read_settings

__all__ = ["INPUT", "JobConfig", "JsonLines", "load_job_config"]

INPUT = ("column", "key_column", "priority_column", "existing")
_PARAMETERS = tuple(field.name for field in dataclasses.fields(Parameters))


@dataclass(frozen=True)
class JobConfig:
    """What the config of a job says; `load_job_config` reads it.

    Attributes
    ----------
    codebooks : Path or None
        Of the epoch.
    parameters : dict
        Some of those of `Parameters`.
    input : dict
        Some of ``column``, ``key_column``, ``priority_column``, ``existing``.
    written : dict
        All of it as it was written, which manifests echo.
    """

    codebooks: Path | None
    parameters: dict[str, Any]
    input: dict[str, str]
    written: dict[str, Any]

    @classmethod
    def empty(cls) -> JobConfig:
        """Return one that says nothing."""
        return cls(None, {}, {}, {})

    def made_parameters(self, base: Parameters | None = None) -> Parameters:
        """Return parameters: what the config says, and for the rest `base` or the defaults.

        Raises
        ------
        TypeError, ValueError
            As `Parameters`.
        """
        return dataclasses.replace(base or Parameters(), **self.parameters)


def load_job_config(path: str | os.PathLike[str]) -> JobConfig:
    """Read a config, such as this one.

    .. code-block:: toml

        codebooks = "codebooks.safetensors"  # relative to the config; what a new catalogue begins
                                             # with, and what an addition must find
        [parameters]                         # as `Parameters` says
        method = "ecm"
        order = "keys"

        [input]
        column = "vector"
        key_column = "key"
        priority_column = "popularity"
        existing = "same"

    Parameters
    ----------
    path : str or path
        ``.toml``, ``.yaml`` or ``.yml``.

    Returns
    -------
    JobConfig

    Raises
    ------
    ValueError
        Something in it cannot be; the message names file, table and key.
    ImportError, OSError
        As `read_settings`.
    """
    written = read_settings(path)
    _check_names(written, ("codebooks", "parameters", "input"), str(path))
    tables = {}
    for name, known in (("parameters", _PARAMETERS), ("input", INPUT)):
        table = written.get(name, {})
        if not isinstance(table, dict):
            raise ValueError(f"{path}: {name} is {table!r}; a table is needed")
        _check_names(table, known, f"{path}: [{name}]")
        tables[name] = table
    codebooks = written.get("codebooks")
    texts = {f"[input] {name}": value for name, value in tables["input"].items()}
    for place, value in {"codebooks": codebooks, **texts}.items():
        if value is not None and (not isinstance(value, str) or not value):
            raise ValueError(f"{path}: {place} is {value!r}; text is needed")
    try:
        Parameters(**tables["parameters"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: [parameters]: {error}") from error
    try:
        written = plain(written, str(path))  # what manifests and logs can echo
    except (TypeError, ValueError) as error:
        raise ValueError(str(error)) from error
    return JobConfig(
        codebooks=None if codebooks is None else Path(path).parent / codebooks,
        parameters=tables["parameters"],
        input=tables["input"],
        written=written,
    )


def _check_names(values: dict[str, Any], known: tuple[str, ...], place: str) -> None:
    for name in values:
        if name not in known:
            raise ValueError(f"{place} has the key {name!r}; known are {', '.join(known)}")


@dataclass(frozen=True)
class JsonLines:
    """A log of one JSON object per line: ``time`` (UTC), ``event``, and what the event has.

    Attributes
    ----------
    handle : text file or None
        None for no log.
    """

    handle: IO[str] | None

    def write(self, event: str, values: dict[str, Any]) -> None:
        """Write a line, and see that it is out.

        Raises
        ------
        TypeError, ValueError
            Something else than values of JSON is in it.
        """
        if self.handle is None:
            return
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        line = {"time": now, "event": event} | values
        self.handle.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        self.handle.flush()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Write a line for what ends the block with an error, and let it go on."""
        try:
            yield
        except BaseException as error:
            self.write("error", {"type": type(error).__name__, "message": str(error)})
            raise
