"""The commands ``puresid eval …``."""

from __future__ import annotations

from pathlib import Path

import click

from puresid.cli.options import FILE

TABLE_SUFFIXES = (".md", ".html", ".htm")


@click.group(name="eval")
def evaluate() -> None:
    """Evaluate SIDs with language models that generate them."""


@evaluate.command()
@click.argument("results", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, help="File to write, .md or .html. [default: stdout]")
@click.option(
    "--resamples",
    type=click.IntRange(min=1),
    default=9999,
    show_default=True,
    help="Of the bootstrap and of the tests.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def table(results: tuple[Path, ...], output: Path | None, resamples: int, seed: int) -> None:
    """Make tables and tests from RESULTS: folders of runs, or their results.json."""
    from puresid.atomic import atomic_write
    from puresid.evaluation.results import Results
    from puresid.evaluation.tables import markdown
    from puresid.files import check_writable

    if output is not None:
        check_writable(output, suffixes=TABLE_SUFFIXES)
    loaded = [Results.load(path) for path in results]
    if output is not None and output.suffix.lower() != ".md":
        from puresid.evaluation.page import page

        text = page(loaded, resamples=resamples, seed=seed)
    else:
        text = markdown(loaded, resamples=resamples, seed=seed)
    if output is None:
        click.echo(text, nl=False)
        return
    with atomic_write(output) as handle:
        handle.write(text.encode())
    click.echo(f"wrote {output}")
