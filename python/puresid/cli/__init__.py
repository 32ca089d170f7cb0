"""The command line, ``puresid``: one function, or one module beside this one, per command.

Results go to stdout, errors and progress to stderr. Exit codes: 0 done, 2 bad input, 3 more items
than SIDs, 4 codebooks or parameters that are not the catalogue's, 5 a file that is cut short or
damaged, 6 another writer was faster, 130 interrupted. A command imports for itself what
is slow to import.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from puresid.cli.catalog import catalog as _catalog
from puresid.cli.convert import convert, export
from puresid.cli.evaluate import evaluate as _evaluate
from puresid.cli.fit import fit
from puresid.cli.judge import judge as _judge
from puresid.cli.options import (
    CODEBOOK_SUFFIXES,
    COLUMN,
    FILE,
    METHODS,
    SEARCHES,
    THREADS,
    keep_inputs,
    load_codebooks,
    progress,
    read_tiers,
)
from puresid.cli.plan import plan as _plan
from puresid.cli.report import report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from puresid import Codebooks

BAD_INPUT = 2
CAPACITY = 3
INCOMPATIBLE = 4
CORRUPT = 5
RACE = 6
INTERRUPTED = 130


class _Group(click.Group):
    """Turns what the library raises into one line on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        from puresid import CapacityError
        from puresid.catalog.errors import IncompatibleError, PublishRaceError
        from puresid.files import CorruptFileError

        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except CapacityError as error:
            _fail(str(error), CAPACITY)
        except IncompatibleError as error:
            _fail(str(error), INCOMPATIBLE)
        except PublishRaceError as error:
            _fail(str(error), RACE)
        except CorruptFileError as error:
            _fail(str(error), CORRUPT)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has gone: click's business
                raise
            named = error.filename is not None and error.strerror is not None
            _fail(f"{error.filename}: {error.strerror}" if named else str(error), BAD_INPUT)
        except (ValueError, TypeError, ImportError) as error:
            _fail(str(error), BAD_INPUT)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"puresid: error: {' '.join(message.split())}", err=True)
    raise click.exceptions.Exit(code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="puresid", prog_name="puresid")
def main() -> None:
    """Give every item of a catalogue a semantic ID (SID) that no other item has."""


main.add_command(fit)


@main.command()
@click.argument("vectors", type=FILE)
@click.option("--codebooks", type=FILE, required=True, help="Codebooks, .safetensors.")
@click.option(
    "-o", "--output", type=FILE, required=True, help="SIDs to write: .npy, .parquet, .index.json."
)
@click.option("--method", type=click.Choice(METHODS), default="ecm", show_default=True)
@click.option(
    "--tiers",
    callback=read_tiers,
    help='Tokens per level in each widening of the search, such as "1,1,10;5,5,20".',
)
@click.option(
    "--width",
    type=click.IntRange(min=1),
    help="Partial SIDs that --method beam or optimal keeps after each level. [default: beam 64; "
    "optimal 256, or 5 where it searches conflicts only]",
)
@click.option(
    "--search",
    type=click.Choice(SEARCHES),
    help="Whose SIDs --method optimal may change: of all items, or of those in conflict. "
    "[default: all where items times codewords of a level are 2^25 at most, else conflicts]",
)
@click.option(
    "--gap",
    type=float,
    help="How far --method optimal may stay above its lower bound, relatively. [default: 0.001]",
)
@click.option(
    "--weights",
    type=FILE,
    help="What each item's distortion counts for --method optimal, .npy. [default: 1]",
)
@click.option("--taken", type=FILE, help="Published SIDs, which are not given out again.")
@click.option("--priority", type=FILE, help="One number per item, .npy; higher comes first.")
@click.option("--max-distortion", type=float, help="Squared distortion that tiers stay below.")
@click.option("--no-complete", is_flag=True, help="Leave what the tiers leave on a shared SID.")
@THREADS
@COLUMN
def assign(
    vectors: Path,
    codebooks: Path,
    output: Path,
    method: str,
    tiers: tuple[tuple[int, ...], ...] | None,
    width: int | None,
    search: str | None,
    gap: float | None,
    weights: Path | None,
    taken: Path | None,
    priority: Path | None,
    max_distortion: float | None,
    no_complete: bool,
    threads: int | None,
    column: str | None,
) -> None:
    """Give each row of VECTORS (.npy, .parquet, .arrow or .feather) a SID of its own."""
    import puresid
    from puresid.files import check_writable, open_vectors, read_npy, read_sids, write_sids

    keep_inputs(output, vectors, weights, taken, priority)
    books = load_codebooks(codebooks)
    check_writable(output, n_levels=books.n_levels + (method == "suffix"))
    result = puresid.assign(
        open_vectors(vectors, column=column),
        books,
        method,
        tiers=tiers,
        width=width,
        search=search,
        gap=gap,
        weights=None if weights is None else read_npy(weights),
        complete=not no_complete,
        priority=None if priority is None else read_npy(priority),
        taken=None if taken is None else read_sids(taken),
        max_distortion=max_distortion,
        threads=threads,
        progress=progress(),
    )
    write_sids(output, result.sids, stages=result.stages, distortion=result.distortion)
    click.echo(str(result.summary()))
    click.echo(f"wrote {output}")


@main.command()
@click.argument("file", type=FILE)
def inspect(file: Path) -> None:
    """Say what FILE holds: codebooks (.safetensors) or SIDs (.npy, .parquet, .index.json)."""
    from puresid.files import SID_SUFFIXES, read_sids

    name = file.name.lower()
    if name.endswith(CODEBOOK_SUFFIXES):
        lines = _describe_codebooks(load_codebooks(file))
    elif name.endswith(SID_SUFFIXES):
        lines = _describe_sids(read_sids(file))
    else:
        known = ", ".join(CODEBOOK_SUFFIXES + SID_SUFFIXES)
        raise ValueError(f"{file} has an unknown ending; the known ones are {known}")
    click.echo("\n".join([str(file), *lines]))


@main.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("puresid-demo"),
    show_default=True,
    help="Folder for the files that it makes.",
)
@THREADS
def demo(output: Path, threads: int | None) -> None:
    """Index the documentation of Python's standard library and show its SIDs."""
    from puresid.demo import run_demo

    run_demo(output, threads=threads, echo=click.echo, progress=progress())


def _describe_codebooks(codebooks: Codebooks) -> list[str]:
    lines = [
        f"  levels     {codebooks.n_levels}",
        f"  sizes      {' x '.join(map(str, codebooks.sizes))}",
        f"  dimension  {codebooks.dim}",
        f"  capacity   {codebooks.capacity:,}",
        f"  space      {codebooks.space}",
    ]
    if codebooks.metric != "euclidean":
        lines.append(f"  metric     {codebooks.metric}")
    if codebooks.normalize_residuals:
        lines.append("  residuals  of length 1 before each level")
    if codebooks.rotation is not None:
        lines.append(f"  rotation   from {codebooks.rotation.shape[1]} dimensions")
    if codebooks.encoder is not None:
        lines.append(f"  encoder    from {codebooks.encoder.input_dim} dimensions")
    return lines


def _describe_sids(sids: NDArray[Any], most: int = 3) -> list[str]:
    import numpy as np

    items, n_levels = sids.shape
    lines = [f"  items       {items:,}", f"  levels      {n_levels}"]
    if items == 0:
        return lines
    used: list[str] = []
    fullest: list[str] = []
    group: NDArray[np.int64] = np.zeros(items, dtype=np.int64)
    unique = 0
    for level, tokens in enumerate(sids.T):
        # A prefix gets a number below `items`, so that one more token always fits in 64 bits.
        keys = group.astype(np.uint64) << np.uint64(32) | tokens.astype(np.uint64)
        _, first, group, counts = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        unique = len(counts)
        different = np.unique(tokens)
        span = f"from {different[0]} to {different[-1]}"
        used.append(f"    level {level}   {len(different):,}, {span}")
        order = np.argsort(-counts, kind="stable")[: most if level + 1 < n_levels else 0]
        fullest += [_prefix_line(sids[first[place], : level + 1], counts[place]) for place in order]
    lines += [
        f"  unique      {unique:,}",
        f"  duplicates  {items - unique:,}",
        "  tokens used",
        *used,
    ]
    return lines + (["  fullest prefixes", *fullest] if fullest else [])


def _prefix_line(prefix: Sequence[Any] | NDArray[Any], count: int) -> str:
    tokens = " ".join(f"{token:>5}" for token in prefix)
    return f"    {tokens:<20}  {count:,} item{'' if count == 1 else 's'}"


main.add_command(convert)
main.add_command(export)
main.add_command(report)
main.add_command(_plan)
main.add_command(_judge)
main.add_command(_evaluate)
main.add_command(_catalog)
