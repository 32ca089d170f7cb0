"""The command ``puresid fit``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from puresid.cli.options import (
    CODEBOOK_SUFFIXES,
    COLUMN,
    FILE,
    THREADS,
    keep_inputs,
    load_codebooks,
    progress,
    read_sizes,
)

if TYPE_CHECKING:
    from puresid import Codebooks, Quantizer

DEFAULT_SIZES = {
    "rqkmeans": (256, 256, 256),
    "hierarchical": (256, 96),
    "product": (256, 256, 256, 256),
}


@dataclass(frozen=True)
class _Choice:
    """What the options say, beside the quantizer's name."""

    n_iter: int
    random_state: int
    threads: int | None
    balanced: bool
    batch_size: int | None
    rotation: str | None
    start: Codebooks | None

    def build(self, name: str, sizes: tuple[int, ...]) -> Quantizer:
        """Return the quantizer of that name. ValueError for an option that it does not have."""
        own_options = {"rqkmeans": ("balanced", "batch_size", "start"), "product": ("rotation",)}
        own = own_options.get(name, ())
        for option in ("balanced", "batch_size", "rotation", "start"):
            if getattr(self, option) not in (None, False) and option not in own:
                spelt = option.replace("_", "-")
                raise ValueError(f"--{spelt} is not an option of --quantizer {name}")
        return _BUILDERS[name](self, sizes)

    @property
    def common(self) -> dict[str, Any]:
        return {
            "n_iter": self.n_iter,
            "random_state": self.random_state,
            "threads": self.threads,
            "progress": progress(),
        }


def _rqkmeans(choice: _Choice, sizes: tuple[int, ...]) -> Quantizer:
    from puresid import RQKMeans

    return RQKMeans(
        len(sizes),
        sizes,
        balanced=choice.balanced,
        batch_size=choice.batch_size,
        start=choice.start,
        **choice.common,
    )


def _hierarchical(choice: _Choice, sizes: tuple[int, ...]) -> Quantizer:
    from puresid import HierarchicalKMeans

    return HierarchicalKMeans(sizes, **choice.common)


def _product(choice: _Choice, sizes: tuple[int, ...]) -> Quantizer:
    from puresid import ProductQuantizer

    return ProductQuantizer(len(sizes), sizes, rotation=choice.rotation or "opq", **choice.common)


_BUILDERS: dict[str, Callable[[_Choice, tuple[int, ...]], Quantizer]] = {
    "rqkmeans": _rqkmeans,
    "hierarchical": _hierarchical,
    "product": _product,
}


@click.command()
@click.argument("vectors", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="Codebooks to write, .safetensors.")
@click.option(
    "--quantizer",
    type=click.Choice(tuple(_BUILDERS)),
    default="rqkmeans",
    show_default=True,
    help="Residual k-means, a tree of k-means, or k-means in slices of the vectors.",
)
@click.option(
    "--levels",
    type=click.IntRange(min=1),
    help="Tokens per SID. [default: 3; hierarchical 2; product 4]",
)
@click.option(
    "--codebook-size",
    callback=read_sizes,
    help="Codewords per level; 256,256,512 sets each level's own. [default: 256; "
    "hierarchical 256,96]",
)
@click.option("--n-iter", type=click.IntRange(min=1), default=25, show_default=True)
@click.option("--balanced", is_flag=True, help="rqkmeans: clusters of nearly equal size.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="rqkmeans: mini-batches of so many vectors, which need not fit in memory together.",
)
@click.option(
    "--start",
    type=FILE,
    help="rqkmeans: codebooks to begin from, .safetensors, so that most tokens stay. Their sizes "
    "are the default then.",
)
@click.option(
    "--rotation",
    type=click.Choice(("opq", "none")),
    help="product: what vectors are turned by first. [default: opq]",
)
@click.option("--random-state", type=int, default=0, show_default=True)
@THREADS
@COLUMN
def fit(
    vectors: Path,
    output: Path,
    quantizer: str,
    levels: int | None,
    codebook_size: tuple[int, ...] | None,
    n_iter: int,
    balanced: bool,
    batch_size: int | None,
    start: Path | None,
    rotation: str | None,
    random_state: int,
    threads: int | None,
    column: str | None,
) -> None:
    """Train codebooks on VECTORS (.npy or .parquet; with --batch-size .arrow or .feather too)."""
    from puresid.files import check_writable, open_vectors, read_vectors

    keep_inputs(output, vectors, start)
    books = None if start is None else load_codebooks(start)
    default = DEFAULT_SIZES[quantizer] if books is None else books.sizes
    sizes = _sizes(default, levels, codebook_size)
    check_writable(output, suffixes=CODEBOOK_SUFFIXES)
    choice = _Choice(n_iter, random_state, threads, balanced, batch_size, rotation, books)
    trainer = choice.build(quantizer, sizes)
    read = read_vectors if batch_size is None else open_vectors
    trainer.fit(read(vectors, column=column))
    trainer.save(output)
    for level, (size, errors) in enumerate(zip(sizes, trainer.history, strict=True)):
        click.echo(f"level {level}: {size} codewords, mean squared distance {errors[-1]:.6g}")
    click.echo(f"wrote {output}")


def _sizes(
    default: tuple[int, ...], levels: int | None, codebook_size: tuple[int, ...] | None
) -> tuple[int, ...]:
    if codebook_size is None:
        codebook_size = default if levels in (None, len(default)) else (256,)
    sizes = codebook_size
    if len(sizes) == 1:
        sizes *= len(default) if levels is None else levels
    if levels not in (None, len(sizes)):
        raise ValueError(f"--codebook-size names {len(sizes)} levels and --levels {levels}")
    return sizes
