"""The command ``puresid report``."""

from __future__ import annotations

from pathlib import Path

import click

from puresid.cli.options import COLUMN, FILE, METHODS, THREADS, keep_inputs, load_codebooks

PAGE_SUFFIXES = (".html", ".htm")


def read_methods(ctx: click.Context, option: click.Parameter, text: str) -> tuple[str, ...]:
    """Read an option such as ``nearest,ecm``."""
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in METHODS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(METHODS)}")
    return names


@click.command()
@click.argument("vectors", type=FILE)
@click.option("--codebooks", type=FILE, required=True, help="Codebooks, .safetensors.")
@click.option("-o", "--output", type=FILE, required=True, help="Page to write, .html.")
@click.option(
    "--items", type=FILE, help="Keys and texts in row order: .json, .jsonl, .csv or .txt."
)
@click.option("--key", help="Field of the items' keys. [default: key, id, item, item_id or asin]")
@click.option(
    "--text", help="Field of their texts. [default: text, title, name, headline or description]"
)
@click.option(
    "--methods",
    callback=read_methods,
    default="nearest,suffix,ecm,rrs",
    show_default=True,
    help="Methods to compare.",
)
@click.option("--title", help="Heading. [default: the name of the file of VECTORS]")
@click.option("--no-evaluation", is_flag=True, help="Leave out what needs neighbours.")
@click.option("--random-state", type=int, default=0, show_default=True)
@THREADS
@COLUMN
def report(
    vectors: Path,
    codebooks: Path,
    output: Path,
    items: Path | None,
    key: str | None,
    text: str | None,
    methods: tuple[str, ...],
    title: str | None,
    no_evaluation: bool,
    random_state: int,
    threads: int | None,
    column: str | None,
) -> None:
    """Write a page about the SIDs of VECTORS (.npy, .parquet, .arrow or .feather)."""
    from puresid.files import check_writable, open_vectors
    from puresid.report import report as write_report
    from puresid.report.items import read_items

    if items is None and (key, text) != (None, None):
        raise ValueError("--key and --text name fields of the file of --items, which is not given")
    keep_inputs(output, vectors, codebooks, items)
    check_writable(output, suffixes=PAGE_SUFFIXES)
    books = load_codebooks(codebooks)
    keys, texts = (None, None) if items is None else read_items(items, key=key, text=text)
    write_report(
        open_vectors(vectors, column=column),
        books,
        output,
        methods=methods,
        keys=keys,
        texts=texts,
        evaluation=not no_evaluation,
        title=vectors.name if title is None else title,
        random_state=random_state,
        threads=threads,
    )
    click.echo(f"wrote {output} ({output.stat().st_size / 1e6:.2g} MB)")
