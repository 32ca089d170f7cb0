"""The commands ``puresid catalog …``: a job that keeps a catalogue."""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from puresid.cli.options import FILE, THREADS, keep_inputs, load_codebooks, progress, read_tiers

if TYPE_CHECKING:
    from puresid.catalog import Added, Catalog
    from puresid.catalog.job import JobConfig, JsonLines

FOLDER = click.Path(file_okay=False, path_type=Path)
Command = TypeVar("Command", bound=Callable[..., Any])

_CONFIG = click.option("--config", type=FILE, help="Config of the job, .toml or .yaml.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Find out everything, write nothing.")
_LOG = click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="File for a log of JSON lines, which is appended to; - for stderr.",
)
_KEY_COLUMN = click.option(
    "--key-column", help="Column of the keys. [default: key, else item_id or id]"
)


@click.group()
def catalog() -> None:
    """Keep a catalogue of SIDs: a folder of generations.

    Exit codes beside those of all commands: 4 codebooks or parameters are not those of the
    catalogue, 5 a file is damaged, 6 another writer was faster.
    """


@catalog.command()
@click.argument("folder", type=FOLDER)
@click.option("--codebooks", type=FILE, help="Codebooks, .safetensors.")
@_CONFIG
@click.option("--method", type=click.Choice(("ecm", "rrs")))
@click.option("--tiers", callback=read_tiers, help='As for assign, such as "1,1,10;5,5,20".')
@click.option("--capacity", type=click.IntRange(1, 256), help="Items per SID.")
@click.option("--duplicates", type=click.Choice(("unique", "share", "error")))
@click.option("--order", type=click.Choice(("rows", "keys")))
@click.option("--recycle-after", type=click.IntRange(min=1), help="Generations.")
@click.option("--max-distortion", type=float)
@_DRY_RUN
@_LOG
def create(
    folder: Path, codebooks: Path | None, config: Path | None, dry_run: bool, log: Path | None,
    method: str | None, tiers: Any, capacity: int | None, duplicates: str | None,
    order: str | None, recycle_after: int | None, max_distortion: float | None,
) -> None:  # fmt: skip
    """Make the catalogue FOLDER; one that is there already with the same settings is left as it is.

    Settings come from the options, else from the config, else they are the defaults.
    """
    import dataclasses

    from puresid.catalog import Catalog
    from puresid.catalog.publishing import hash_of_epoch

    given = {
        "method": method, "tiers": tiers, "capacity": capacity, "duplicates": duplicates,
        "order": order, "recycle_after": recycle_after, "max_distortion": max_distortion,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    with _logged(log, "create", folder, config) as (lines, job):
        parameters = dataclasses.replace(job.made_parameters(), **given)
        source = codebooks or job.codebooks
        if source is None:
            raise ValueError("codebooks are needed: --codebooks, or codebooks in the config")
        books = load_codebooks(source)
        parameters = parameters.for_codebooks(books)
        if (folder / "catalog.json").exists() and (there := _catalog_at(folder)) is not None:
            there.require(books, parameters)
            click.echo(f"{folder} is there: generation {there.generation}, {len(there):,} items")
            return
        if dry_run:
            click.echo(f"would make {folder}, epoch hash {hash_of_epoch(books, parameters)}")
            return
        made = Catalog.create(
            folder,
            books,
            **dataclasses.asdict(parameters),
            config={"command": "create", "config": job.written, "codebooks": str(source)},
        )
        lines.write("published", _published(made))
        click.echo(f"made {folder}: generation {made.generation}, epoch {made.epoch}")


def _catalog_at(folder: Path) -> Catalog | None:
    """Open a catalogue; None where a crashed call left it without a generation."""
    from puresid.catalog import Catalog
    from puresid.catalog.store import Store

    return Catalog.open(folder) if Store.open(folder).generations() else None


@catalog.command()
@click.argument("folder", type=FOLDER)
@click.argument("batches", type=FILE, nargs=-1, required=True)
@_CONFIG
@click.option("--keys", type=FILE, help="Keys of a .npy batch: .npy, .txt or .parquet.")
@click.option("--column", help="Column of the vectors. [default: the only suitable one]")
@_KEY_COLUMN
@click.option("--priority", type=FILE, help="Priorities of a .npy batch: .npy, higher first.")
@click.option("--priority-column", help="Column of the priorities. [default: none]")
@click.option(
    "--existing",
    type=click.Choice(("error", "same", "skip")),
    help="Keys that are there: refused, left out if their vectors are the same, left out. "
    "[default: same]",
)
@_DRY_RUN
@_LOG
@THREADS
def add(
    folder: Path, batches: tuple[Path, ...], config: Path | None, keys: Path | None,
    column: str | None, key_column: str | None, priority: Path | None,
    priority_column: str | None, existing: str | None, dry_run: bool, log: Path | None,
    threads: int | None,
) -> None:  # fmt: skip
    """Give the items of BATCHES SIDs: a generation for each batch, in this order.

    A batch is a table (.parquet, .arrow, .feather) of keys and vectors, or a .npy of vectors with
    --keys. An interrupted call may be run again: batches that are there already are left out, and
    the catalogue ends in the same bytes.
    """
    from puresid.catalog import Catalog
    from puresid.catalog.inputs import open_items

    if keys is not None and len(batches) > 1:
        raise ValueError(f"--keys names the keys of one batch; there are {len(batches)}")
    if dry_run and len(batches) > 1:
        raise ValueError("--dry-run takes one batch: the next would build on what this publishes")
    with _logged(log, "add", folder, config) as (lines, job):
        there = Catalog.open(folder)
        if job.codebooks is not None or job.parameters:
            books = there.codebooks if job.codebooks is None else load_codebooks(job.codebooks)
            there.require(books, job.made_parameters(there.parameters))
        how = existing or job.input.get("existing", "same")
        for batch in batches:
            items = open_items(
                batch,
                keys=keys,
                column=column or job.input.get("column"),
                key_column=key_column or job.input.get("key_column"),
                priority=priority,
                priority_column=priority_column or job.input.get("priority_column"),
            )
            with _warned(lines):
                added = there.add(
                    items.keys,
                    items.vectors,
                    items.priority,
                    existing=how,
                    dry_run=dry_run,
                    config={"command": "add", "config": job.written, "batch": items.source},
                    threads=threads,
                    progress=progress(),
                )
            lines.write("added", {"batch": str(batch)} | _added(added))
            if len(added) and not dry_run:
                lines.write("published", _published(there))
            click.echo(f"{batch}: {_said(added, dry_run)}")


@catalog.command()
@click.argument("folder", type=FOLDER)
@click.argument("keys", type=FILE)
@_CONFIG
@_KEY_COLUMN
@click.option(
    "--missing",
    type=click.Choice(("error", "skip")),
    default="error",
    show_default=True,
    help="Keys that are not there: refused, or left out.",
)
@_DRY_RUN
@_LOG
def remove(
    folder: Path, keys: Path, config: Path | None, key_column: str | None, missing: str,
    dry_run: bool, log: Path | None,
) -> None:  # fmt: skip
    """Remove the items of KEYS (.txt with one a line, .npy, .parquet): the next generation."""
    from puresid.catalog import Catalog
    from puresid.catalog.inputs import open_keys

    with _logged(log, "remove", folder, config) as (lines, job):
        there = Catalog.open(folder)
        removed = there.remove(
            open_keys(keys, key_column=key_column or job.input.get("key_column")),
            missing=missing,
            dry_run=dry_run,
            config={"command": "remove", "config": job.written, "keys": str(keys)},
        )
        lines.write("removed", {"items": len(removed), "missing": removed.missing})
        if len(removed) and not dry_run:
            lines.write("published", _published(there))
        would = "would remove" if dry_run else "removed"
        click.echo(f"{would} {len(removed):,} items; {removed.missing:,} were not there")


@catalog.command()
@click.argument("folder", type=FOLDER)
@_LOG
def verify(folder: Path, log: Path | None) -> None:
    """Read every file of FOLDER and look at every item; exit code 5 if something is wrong."""
    from puresid.catalog import Catalog, CorruptFileError

    with _logged(log, "verify", folder, None) as (lines, _):
        there = Catalog.open(folder)
        problems = there.verify()
        for problem in problems:
            lines.write("problem", {"message": problem})
            click.echo(problem, err=True)
        if problems:
            raise CorruptFileError(f"{folder} has {len(problems)} problems")
        click.echo(f"{folder} is whole: generation {there.generation}, {len(there):,} items")


@catalog.command()
@click.argument("folder", type=FOLDER)
@click.argument("since", type=click.IntRange(min=1))
@click.option("-o", "--output", type=FILE, help="File for all changes, as lines of JSON (.jsonl).")
def diff(folder: Path, since: int, output: Path | None) -> None:
    """Say what has changed since generation SINCE."""
    from puresid.catalog import Catalog
    from puresid.catalog.exporting import write_diff
    from puresid.files import check_writable

    if output is not None:
        check_writable(output, suffixes=(".jsonl",))
    found = Catalog.open(folder).diff(since)
    click.echo(str(found))
    if output is not None:
        write_diff(output, found)
        click.echo(f"wrote {output}")


@catalog.command()
@click.argument("folder", type=FOLDER)
def show(folder: Path) -> None:
    """Count what FOLDER holds."""
    from puresid.catalog import Catalog

    click.echo(str(Catalog.open(folder).summary()))


@catalog.command()
@click.argument("folder", type=FOLDER)
@click.option("-o", "--output", type=FILE, required=True, help="File: .parquet, .jsonl, or any.")
@click.option("--format", "format_", help="Another project's format, as in docs/formats.md.")
@click.option("--generation", type=click.IntRange(min=1), help="[default: the newest]")
def export(folder: Path, output: Path, format_: str | None, generation: int | None) -> None:
    """Write all keys and SIDs of FOLDER: .parquet, .jsonl, or as another project reads them."""
    import puresid
    from puresid.catalog import Catalog
    from puresid.catalog.exporting import ITEM_SUFFIXES, write_items
    from puresid.files import check_writable

    if format_ is None:
        check_writable(output, suffixes=ITEM_SUFFIXES)
    keep_inputs(output, folder / "catalog.json")
    there = Catalog.open(folder, generation=generation)
    items = there.items()
    if format_ is None:
        write_items(output, items)
    else:
        if items.slots is not None:
            raise ValueError(f"SIDs of {folder} have several items; {format_!r} has one per SID")
        puresid.export(
            items.sids, output, format=format_, keys=items.keys.tolist(), sizes=there.codebooks
        )
    click.echo(f"wrote {output}: {len(items):,} items of generation {there.generation}")


@catalog.command()
@click.argument("folder", type=FOLDER)
@click.option("--keep", type=click.IntRange(min=1), default=2, show_default=True)
@_DRY_RUN
@_LOG
def gc(folder: Path, keep: int, dry_run: bool, log: Path | None) -> None:
    """Remove old generations of FOLDER but the newest ones, and what crashed writers left."""
    from puresid.catalog import Catalog

    with _logged(log, "gc", folder, None) as (lines, _):
        found = Catalog.open(folder).collect_garbage(keep=keep, dry_run=dry_run)
        lines.write(
            "collected",
            {"generations": found.generations, "files": found.files, "bytes": found.bytes},
        )
        click.echo(
            f"{'would remove' if dry_run else 'removed'} {len(found.generations)} generations and "
            f"{len(found.files)} files ({found.bytes:,} bytes)"
        )


@contextlib.contextmanager
def _logged(
    log: Path | None, command: str, folder: Path, config: Path | None
) -> Iterator[tuple[JsonLines, JobConfig]]:
    """Open the log, read the config, and log how the command begins and ends."""
    from puresid import __version__
    from puresid.catalog.job import JobConfig, JsonLines, load_job_config

    with contextlib.ExitStack() as stack:
        handle = None
        if log is not None:
            dash = str(log) == "-"
            handle = sys.stderr if dash else stack.enter_context(log.open("a", encoding="utf-8"))
        lines = JsonLines(handle)
        with lines.errors():
            job = JobConfig.empty() if config is None else load_job_config(config)
            lines.write(
                "begin",
                {"command": command, "folder": str(folder), "version": __version__}
                | {"config": job.written},
            )
            yield lines, job
        lines.write("end", {"command": command})


@contextlib.contextmanager
def _warned(lines: JsonLines) -> Iterator[None]:
    """Say warnings in one line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        lines.write("warning", {"message": str(warning.message)})
        click.echo(f"puresid: warning: {warning.message}", err=True)


def _published(there: Catalog) -> dict[str, Any]:
    return {
        "generation": there.generation,
        "epoch": there.epoch,
        "manifest": there.manifest.sha256,
        "counts": there.manifest.counts,
    }


def _added(added: Added) -> dict[str, Any]:
    import numpy as np

    known = added.distortion[~np.isnan(added.distortion)]  # not of those that share a SID
    return {
        "items": len(added),
        "skipped": added.skipped,
        "stages": np.bincount(added.stages, minlength=1).tolist(),
        "distortion": _number(float(known.mean())) if len(known) else None,
        "nearest_distortion": _number(added.nearest_distortion),
        "duplicates": [
            {"key": key, "same_as": first}
            for key, first in zip(
                added.duplicates.keys.tolist(), added.duplicates.same_as.tolist(), strict=True
            )
        ],
    }


def _number(value: float) -> float | None:
    """Return a number as JSON has it: none that is not finite."""
    return value if math.isfinite(value) else None


def _said(added: Added, dry_run: bool) -> str:
    import numpy as np

    counts = np.bincount(added.stages, minlength=1).tolist()
    parts = [
        f"{'would add' if dry_run else 'added'} {len(added):,} items",
        f"{counts[0]:,} on their nearest SID",
    ]
    if added.skipped:
        parts.append(f"{added.skipped:,} were there")
    if len(added.duplicates):
        parts.append(f"{len(added.duplicates):,} with the vector of another")
    return ", ".join(parts) + f"; generation {added.generation}"
