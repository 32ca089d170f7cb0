"""``puresid judge``: how good SIDs are, without training a language model."""

from __future__ import annotations

import json
from pathlib import Path

import click

from puresid.cli.options import COLUMN, FILE, THREADS, load_codebooks


@click.command()
@click.argument("vectors", type=FILE)
@click.option("--codebooks", type=FILE, required=True, help="Codebooks, .safetensors.")
@click.option("--sids", type=FILE, required=True, help="SIDs: .npy, .parquet or .index.json.")
@click.option(
    "-k",
    "neighbours",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Neighbours.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    help="Items at most whose neighbours are looked up.",
)
@click.option("--random-state", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of a table.")
@THREADS
@COLUMN
def judge(
    vectors: Path,
    codebooks: Path,
    sids: Path,
    neighbours: int,
    sample: int,
    random_state: int,
    as_json: bool,
    threads: int | None,
    column: str | None,
) -> None:
    """Judge the SIDs of VECTORS by what they keep: conflicts, use of tokens, neighbours."""
    import puresid
    from puresid.files import read_sids, read_vectors

    books, given = load_codebooks(codebooks), read_sids(sids)
    if given.shape[1] == books.n_levels + 1:
        click.echo(f"the last column of {sids} is taken for a counter", err=True)
    found = puresid.evaluate_sids(
        read_vectors(vectors, column=column),
        given,
        books,
        k=neighbours,
        sample=sample,
        random_state=random_state,
        threads=threads,
    )
    click.echo(json.dumps(found.to_dict(), indent=2) if as_json else str(found))
