"""The commands ``puresid eval …``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from puresid.cli.options import FILE, THREADS, progress

if TYPE_CHECKING:
    from puresid.evaluation.results import Results

TABLE_SUFFIXES = (".md", ".html", ".htm")


@click.group(name="eval")
def evaluate() -> None:
    """Evaluate SIDs with language models that generate them."""


@evaluate.command()
@click.argument("config", type=FILE, required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the run. [default: runs/NAME, with the name in CONFIG]",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Cells (an arm with a seed) at a time.",
)
@click.option("--cpu", is_flag=True, help="Leave accelerators alone.")
@THREADS
def run(
    config: Path | None, output: Path | None, jobs: int, cpu: bool, threads: int | None
) -> None:
    """Train and evaluate what CONFIG (.toml) says; a run that was stopped goes on.

    Without CONFIG it is the built-in task: from the first sentence of a docstring of Python's
    standard library to what it documents. Writes results.json and queries.npz, from which
    `puresid eval table` makes tables.
    """
    from puresid.evaluation.config import DEMO, load_config
    from puresid.evaluation.runner import run as run_config

    said = load_config(config or DEMO)
    folder = output or Path("runs") / said.name
    results = run_config(
        said,
        folder,
        jobs=jobs,
        threads=threads,
        device="cpu" if cpu else "auto",
        progress=progress(),
        echo=click.echo,
    )
    click.echo(_means(results))
    click.echo(f"wrote {folder}; intervals and tests: puresid eval table {folder}")


def _means(results: Results) -> str:
    """Return the arms' means over seeds and queries, a line each."""
    width = max(map(len, ("arm", *results.arms)))
    lines = [f"{'arm':<{width}}" + "".join(f"{name:>10}" for name in results.metrics)]
    for arm in results.arms:
        cells = [cell for cell in results.cells if cell.arm == arm]
        means = [sum(cell.values[name].mean() for cell in cells) for name in results.metrics]
        lines.append(f"{arm:<{width}}" + "".join(f"{mean / len(cells):>10.4f}" for mean in means))
    return "\n".join(lines)


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
