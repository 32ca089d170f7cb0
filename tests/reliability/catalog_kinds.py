"""The files of a small catalogue: each of them damaged, in a catalogue that is whole otherwise.

A copy counts as refused where opening the catalogue, or what reads that file later, raises an error
that names the file by the name that it has in the catalogue; and where `verify` names it too, if
the catalogue can be opened at all.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .kinds import Kind, digest

Chosen = Callable[[Any, Path], Path]  # of a catalogue and its folder, the file to damage


def _make(folder: Path, *, texts: bool) -> Any:
    """Three generations of an epoch, two of the one before: every kind of file there is."""
    from puresid.catalog import Catalog, PrefixLoadWarning

    def vectors(first: int, count: int) -> Any:
        values = np.arange(2 * first, 2 * (first + count), dtype=np.float32)
        return values.reshape(-1, 2) * 5 % 13

    def keys(first: int, count: int) -> Any:
        numbers = range(first, first + count)
        return [f"item {n} 書" for n in numbers] if texts else [n * 2**40 - 3 for n in numbers]

    levels = [np.arange(10, dtype=np.float32).reshape(5, 2) * scale % 13 for scale in (4, 3, 1)]
    catalog = Catalog.create(folder, levels, capacity=1 if texts else 2, config={"name": "Büro"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrefixLoadWarning)
        catalog.add(keys(0, 6), vectors(0, 6))
        catalog.migrate([level + 1 for level in levels], keys(0, 6), vectors(1, 6), align=False)
        catalog.add(keys(6, 3), vectors(6, 3))
    catalog.update(keys(4, 3), vectors(20, 3))
    catalog.remove(keys(2, 2))
    return catalog


def _of_kind(kind: str, place: int = -1) -> Chosen:
    def chosen(catalog: Any, folder: Path) -> Path:
        entries = [entry for entry in catalog.manifest.entries if entry.kind == kind]
        return folder / "files" / entries[place].name

    return chosen


def _kind(name: str, chosen: Chosen, *, texts: bool = True) -> Kind:
    """Make a kind of the file that is chosen; the catalogue lies beside the golden copy."""

    def write(path: Path) -> None:
        folder = path.parent / "catalogue"
        target = chosen(_make(folder, texts=texts), folder)
        shutil.copy(target, path)
        path.with_name("target").write_text(str(target))

    def read(path: Path) -> bytes:
        target = Path(path.with_name("target").read_text())
        # In the place of the file, not into it: a damaged one before may still be mapped.
        fresh = path.with_name("fresh")
        shutil.copy(path, fresh)
        os.replace(fresh, target)
        return _read(path.parent / "catalogue", target.name, path.name)

    return Kind(f"catalogue, {name}", name.replace(" ", "-").replace(",", ""), write, read, True)


def _read(folder: Path, target: str, copy: str) -> bytes:
    """Read all that a catalogue holds, twice; errors name the copy where they name the target."""
    from puresid.catalog import Catalog

    found: list[bytes | str] = []
    for mmap in (False, True):
        problems = []
        opened = False
        try:
            catalog = Catalog.open(folder, mmap=mmap)
            opened = True
            problems = catalog.verify()
            found.append(digest(_all_of(catalog), problems))
        except ValueError as error:
            if target not in str(error):
                raise RuntimeError(f"it does not name {target}: {error}") from error
            found.append(str(error))
        if opened and isinstance(found[-1], str) != any(target in text for text in problems):
            raise RuntimeError(f"verify says {problems}; {found[-1]!r}")
    if isinstance(found[0], str) and isinstance(found[1], str):
        raise ValueError(f"{copy}: {found[0]}")
    return digest(*found)


def _all_of(catalog: Any) -> bytes:
    items, moves = catalog.items(), catalog.moves()
    books = catalog.codebooks
    return digest(
        catalog.generation,
        catalog.epoch,
        catalog.parameters,
        catalog.summary(),
        items.keys.tolist(),
        items.sids,
        items.slots,
        catalog.lookup(items.keys),
        catalog.resolve(items.sids),
        moves.keys.tolist(),
        moves.old_sids,
        moves.new_sids,
        books.space,
        *books.levels,
    )


_KINDS = (
    _kind("catalog.json", lambda catalog, folder: folder / "catalog.json"),
    _kind("manifest", lambda catalog, folder: folder / "generations" / "00000006.json"),
    _kind("codebooks", _of_kind("codebooks")),
    _kind("items, texts", _of_kind("items")),
    _kind("items, integers and slots", _of_kind("items"), texts=False),
    _kind("removals", _of_kind("removals")),
    _kind("updates", _of_kind("updates")),
    _kind("moves, texts", _of_kind("moves")),
    _kind("moves, integers", _of_kind("moves"), texts=False),
)


def catalog_kinds() -> tuple[Kind, ...]:
    """All of them."""
    return _KINDS
