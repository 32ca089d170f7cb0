"""What several commands have in common: options, and how they read and say things."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from puresid import Codebooks

CODEBOOK_SUFFIXES = (".safetensors",)
METHODS = ("ecm", "rrs", "beam", "optimal", "nearest", "suffix")
SEARCHES = ("all", "conflicts")

FILE = click.Path(dir_okay=False, path_type=Path)
THREADS = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads to use. [default: what the process may use]",
)
COLUMN = click.option(
    "--column", help="Parquet column with the vectors. [default: the only suitable one]"
)


def numbers(text: str) -> tuple[int, ...]:
    """Read "5,5,20"."""
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of numbers such as 5,5,20") from None
    if min(found) < 1:
        raise click.BadParameter(f"{text!r} has a number below 1")
    return found


def read_sizes(
    ctx: click.Context, option: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """Read an option such as ``256,256,512``."""
    return None if text is None else numbers(text)


def read_tiers(
    ctx: click.Context, option: click.Parameter, text: str | None
) -> tuple[tuple[int, ...], ...] | None:
    """Read an option such as ``1,1,10;5,5,20``."""
    if text is None:
        return None
    return tuple(numbers(part) for part in text.split(";")) if text.strip() else ()


def progress() -> bool:
    """Whether somebody is there to look at progress bars."""
    return sys.stderr.isatty()


def keep_inputs(output: Path, *inputs: Path | None) -> None:
    """Refuse to write over an input."""
    if output.resolve() in [path.resolve() for path in inputs if path is not None]:
        raise ValueError(f"{output} is an input; writing the output there would destroy it")


def load_codebooks(path: Path) -> Codebooks:
    """Read codebooks; a file that is no intact safetensors is a CorruptFileError."""
    from safetensors import SafetensorError

    from puresid import Codebooks
    from puresid.files import CorruptFileError

    try:
        return Codebooks.load(path)
    except SafetensorError as error:
        raise CorruptFileError(f"{path}: {error}") from error
    except ValueError as error:
        if isinstance(error.__cause__, SafetensorError):
            raise CorruptFileError(str(error)) from error
        raise
