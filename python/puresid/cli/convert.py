"""``puresid convert`` and ``puresid export``: from and to the formats of other projects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from puresid.cli.options import CODEBOOK_SUFFIXES, FILE, keep_inputs, load_codebooks, numbers


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=FILE, required=True, help="Codebooks to write, .safetensors.")
@click.option(
    "--format", "format_", default="auto", show_default=True, help="Format, as in docs/formats.md."
)
@click.option("--levels", type=click.IntRange(min=1), help="Where one codebook serves all levels.")
@click.option(
    "--normalize-residuals/--raw-residuals",
    default=None,
    help="Whether residuals are scaled to length 1, where the file does not say.",
)
@click.option("--normalize-codebook", is_flag=True, default=None, help="RQ-VAE-Recommender's own.")
@click.option("--metric", type=click.Choice(("euclidean", "cosine")))
@click.option("--activation", help="The encoder's, where it is not the project's usual one.")
@click.option("--no-encoder", is_flag=True, help="Leave the encoder; vectors are encoded already.")
def convert(
    source: Path,
    output: Path,
    format_: str,
    levels: int | None,
    normalize_residuals: bool | None,
    normalize_codebook: bool | None,
    metric: str | None,
    activation: str | None,
    no_encoder: bool,
) -> None:
    """Turn codebooks of another project's SOURCE into a .safetensors file."""
    import puresid
    from puresid.files import check_writable

    check_writable(output, suffixes=CODEBOOK_SUFFIXES)
    keep_inputs(output, source)
    codebooks = puresid.load_codebooks(
        source,
        format_,
        n_levels=levels,
        normalize_residuals=normalize_residuals,
        normalize_codebook=normalize_codebook,
        metric=metric,
        activation=activation,
        encoder=not no_encoder,
    )
    codebooks.save(output)
    click.echo(repr(codebooks))
    click.echo(f"wrote {output}")


@click.command()
@click.argument("sids", type=FILE)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--format", "format_", required=True, help="Format, as in docs/formats.md.")
@click.option("--keys", type=FILE, help="Items' ids: .npy, or text with one a line.")
@click.option("--titles", type=FILE, help="Text with one title a line.")
@click.option("--sizes", help="Tokens per level, such as 256,256,256.")
@click.option("--codebooks", type=FILE, help="Codebooks that say the sizes, .safetensors.")
@click.option("--template", help='One token\'s text, such as "<{letter}_{token}>".')
@click.option("--first-token", type=click.IntRange(min=0), help="Vocabulary id of the first token.")
def export(
    sids: Path,
    output: Path,
    format_: str,
    keys: Path | None,
    titles: Path | None,
    sizes: str | None,
    codebooks: Path | None,
    template: str | None,
    first_token: int | None,
) -> None:
    """Write SIDS (.npy, .parquet or .index.json) as another project reads them."""
    import puresid
    from puresid._formats import read_lines
    from puresid.files import read_sids

    if sizes is not None and codebooks is not None:
        raise ValueError("--sizes and --codebooks both say how many tokens a level has; give one")
    keep_inputs(output, sids, keys, titles, codebooks)
    known: Any = None if sizes is None else numbers(sizes)
    if codebooks is not None:
        known = load_codebooks(codebooks)
    puresid.export(
        read_sids(sids),
        output,
        format=format_,
        keys=None if keys is None else _read_keys(keys),
        titles=None if titles is None else read_lines(titles),
        sizes=known,
        template=template,
        first_token=first_token,
    )
    click.echo(f"wrote {output}")


def _read_keys(path: Path) -> Any:
    from puresid._formats import read_lines
    from puresid.files import read_npy
    from puresid.formats.rows import read_keys

    return read_npy(path) if path.name.lower().endswith(".npy") else read_keys(read_lines(path))
