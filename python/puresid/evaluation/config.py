"""The config of a run: one TOML file, read into frozen dataclasses, each key of it checked.

Every table but ``[task]`` and ``[model]`` may be left out. What a key means stands at the class of
its table; the folder ``configs/`` of the repository has examples.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from puresid.evaluation._rules import ConfigError, FilePath, text
from puresid.evaluation._tables import (
    ArmsConfig,
    DecodingConfig,
    ModelConfig,
    Primary,
    QuantizerConfig,
    Table,
    TaskConfig,
    TrainingConfig,
    key,
)
from puresid.settings import read_settings

__all__ = [
    "DEMO",
    "ArmsConfig",
    "ConfigError",
    "DecodingConfig",
    "FilePath",
    "ModelConfig",
    "Primary",
    "QuantizerConfig",
    "RunConfig",
    "TaskConfig",
    "TrainingConfig",
    "load_config",
]

DEMO = Path(__file__).with_name("demo.toml")
"""The config of the built-in task."""

_TABLES: dict[str, type[Table]] = {
    "primary": Primary,
    "task": TaskConfig,
    "quantizer": QuantizerConfig,
    "arms": ArmsConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
    "decoding": DecodingConfig,
}


@dataclass(frozen=True, kw_only=True)
class RunConfig(Table):
    """All of a run; see `load_config`."""

    name: str = key(text)
    primary: Primary = field(default_factory=Primary)
    task: TaskConfig
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)
    arms: ArmsConfig = field(default_factory=ArmsConfig)
    model: ModelConfig
    training: TrainingConfig = field(default_factory=TrainingConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)

    def _check(self) -> None:
        for role in ("arm", "against"):
            arm = getattr(self.primary, role)
            if arm not in self.arms.names:
                raise ConfigError(
                    f"[primary] {role} is {arm!r}, which is not in [arms] names: "
                    f"{', '.join(self.arms.names)}"
                )

    @classmethod
    def _place(cls) -> str:
        return "the config:"

    @classmethod
    def _located(cls, values: dict[str, Any], folder: Path) -> dict[str, Any]:
        for name, table in _TABLES.items():
            if name in values:
                values[name] = table.from_values(values[name], folder)
        return values

    def to_dict(self) -> dict[str, Any]:
        """Return all keys, defaults too, as a file could have them; paths as they were written.

        `RunConfig.from_values` with the folder of the file makes the same config of it.
        """
        return {each.name: _written(getattr(self, each.name)) for each in fields(self)}


def _written(value: Any) -> Any:
    if isinstance(value, FilePath):
        return value.written
    if isinstance(value, Table):
        parts = {each.name: getattr(value, each.name) for each in fields(value)}
        return {name: _written(part) for name, part in parts.items() if part is not None}
    if isinstance(value, Mapping):
        return {name: _written(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_written(part) for part in value]
    return value


def load_config(path: str | os.PathLike[str]) -> RunConfig:
    """Read the config of a run.

    Paths in it may have ``$VAR`` and ``${VAR}``; what is relative is relative to the folder of the
    file.

    Parameters
    ----------
    path : str or path
        A TOML file.

    Returns
    -------
    RunConfig

    Raises
    ------
    OSError
        The file cannot be read.
    ConfigError
        It is no TOML, or something in it cannot be; the message names file, table and key.
    ImportError
        Below Python 3.11, without the package tomli.
    """
    path = Path(path)
    try:
        values = read_settings(path)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    try:
        return RunConfig.from_values(values, path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
