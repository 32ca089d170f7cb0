"""``puresid plan``: what codebooks of each size would do to a catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import click

from puresid.cli.options import COLUMN, FILE, THREADS, numbers, read_sizes


def _read_sample(
    ctx: click.Context, option: click.Parameter, text: str | None
) -> float | int | None:
    """Read 0.2 as a share and 5000 as a number of items."""
    if text is None:
        return None
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a share such as 0.2 nor a number of items"
        ) from None


def _read_levels(ctx: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    return numbers(text)


@click.command()
@click.argument("vectors", type=FILE)
@click.option(
    "--sizes",
    callback=read_sizes,
    default="64,128,256,512,1024",
    show_default=True,
    help="Codewords per level, each a setting.",
)
@click.option(
    "--levels",
    callback=_read_levels,
    default="2,3,4",
    show_default=True,
    help="Tokens per SID, each a setting.",
)
@click.option(
    "--sample",
    callback=_read_sample,
    help="Share (0.2) or number (5000) of the items to read. "
    "[default: a fifth, from 200 to 10000; 1.0 measures on all]",
)
@click.option(
    "--max-conflict-rate",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Share of items in conflict up to which a setting is recommended.",
)
@click.option("--random-state", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of a table.")
@THREADS
@COLUMN
def plan(
    vectors: Path,
    sizes: tuple[int, ...],
    levels: tuple[int, ...],
    sample: float | int | None,
    max_conflict_rate: float,
    random_state: int,
    as_json: bool,
    threads: int | None,
    column: str | None,
) -> None:
    """Predict conflicts, load and distortion of codebooks for VECTORS from a sample of them."""
    import puresid
    from puresid.files import read_vectors

    found = puresid.plan(
        read_vectors(vectors, column=column),
        sizes=sizes,
        levels=levels,
        sample=sample,
        max_conflict_rate=max_conflict_rate,
        random_state=random_state,
        threads=threads,
    )
    click.echo(json.dumps(found.to_dict(), indent=2) if as_json else str(found))
