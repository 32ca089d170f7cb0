"""The kinds of file that puresid reads: how to make a small one, and how to read it."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Parameters
    ----------
    name : str
    file : str
        The file's name, which says its format.
    write : callable
        Writes the golden file to a path.
    read : callable
        Reads a path and returns bytes that say all that a user gets from it.
    checksummed : bool
        Whether any change of any byte must be refused. Without a checksum a change of the data
        itself cannot be told.
    places : tuple of str
        What errors may name instead of the file.
    """

    name: str
    file: str
    write: Callable[[Path], object]
    read: Callable[[Path], bytes]
    checksummed: bool = False
    places: tuple[str, ...] = ()


def digest(*values: Any) -> bytes:
    """Bytes that differ where arrays differ in type, shape or any bit, or other values do."""
    found = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            found.update(repr((value.dtype.str, value.shape)).encode())
            found.update(np.ascontiguousarray(value).tobytes())
        else:
            found.update(repr(value).encode())
    return found.digest()


SIDS = np.arange(24, dtype=np.uint16).reshape(8, 3) * 5 % 97
VECTORS = np.linspace(-2, 2, 24, dtype=np.float32).reshape(8, 3)


def _read_codebooks(path: Path) -> bytes:
    from puresid import Codebooks

    books = Codebooks.load(path)
    how = (books.space, books.metric, books.normalize_residuals)
    encoder = books.encoder.to_tensors() if books.encoder else ({}, {})
    layers = [part for name in sorted(encoder[1]) for part in (name, encoder[1][name])]
    return digest(how, *books.levels, books.rotation, sorted(encoder[0].items()), *layers)


def _write_codebooks(path: Path) -> None:
    from puresid import Codebooks

    levels = [np.arange(K * 3, dtype=np.float32).reshape(K, 3) for K in (3, 2)]
    Codebooks(levels, rotation=np.eye(3)[[1, 2, 0]]).save(path)


def _write_tree(path: Path) -> None:
    from puresid import Codebooks

    levels = [np.arange(n, dtype=np.float32) for n in (4, 12)]
    Codebooks([levels[0].reshape(2, 2), levels[1].reshape(2, 3, 2)], space="tree").save(path)


def _write_trie(path: Path) -> None:
    from puresid.decoding import SidTrie

    SidTrie(SIDS, sizes=(97, 97, 97)).save(path)


def _read_trie(path: Path) -> bytes:
    from puresid.decoding import SidTrie

    trie = SidTrie.load(path)
    return digest(trie.sids, trie.sizes)


def _write_sids(path: Path) -> None:
    from puresid.files import write_sids

    write_sids(path, SIDS)


def _read_sids(path: Path) -> bytes:
    from puresid.files import read_sids

    return digest(read_sids(path))


def _write_vectors(path: Path) -> None:
    np.save(path, VECTORS)


def _write_vector_table(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    column = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.reshape(-1)), 3)
    table = pa.table({"vector": column})
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)


def _read_vectors(path: Path) -> bytes:
    from puresid.files import open_vectors
    from puresid.sources import VectorSource

    vectors = open_vectors(path)
    if isinstance(vectors, np.ndarray):
        return digest(vectors)
    assert isinstance(vectors, VectorSource)
    return digest(vectors.shape, *(np.array(batch) for batch in vectors.batches()))


def _write_items(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    texts = pa.array([f"é{row % 4}" for row in range(8)])
    columns = {"vector": pa.array([row.tobytes() for row in VECTORS], pa.binary(12))}
    table = pa.table({"key": texts.dictionary_encode(), "n": range(8), **columns})
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)


def _read_items(path: Path) -> bytes:
    from puresid.catalog.inputs import open_items

    found = open_items(path, priority_column="n")
    assert not isinstance(found.vectors, np.ndarray)
    vectors = [np.array(batch) for batch in found.vectors.batches()]
    return digest(found.keys.kind, found.keys.tolist(), found.priority, *vectors)


def _write_keys(path: Path) -> None:
    np.save(path, np.array([f"é{row}" for row in range(8)]))


def _read_keys(path: Path) -> bytes:
    from puresid.catalog.inputs import open_items

    vectors = path.with_name("beside.npy")
    np.save(vectors, VECTORS)
    return digest(open_items(vectors, keys=path).keys.tolist())


_PLAIN = (
    Kind("codebooks", "c.safetensors", _write_codebooks, _read_codebooks),
    Kind("codebooks, tree", "c.safetensors", _write_tree, _read_codebooks),
    Kind("trie", "t.safetensors", _write_trie, _read_trie),
    Kind("SIDs .npy", "s.npy", _write_sids, _read_sids),
    Kind("SIDs .index.json", "s.index.json", _write_sids, _read_sids),
    Kind("vectors .npy", "v.npy", _write_vectors, _read_vectors),
    Kind("keys .npy", "k.npy", _write_keys, _read_keys),
)
_WITH_PYARROW = (
    Kind("SIDs .parquet", "s.parquet", _write_sids, _read_sids),
    Kind("vectors .parquet", "v.parquet", _write_vector_table, _read_vectors),
    Kind(
        "vectors .arrow",
        "v.arrow",
        _write_vector_table,
        _read_vectors,
        places=("column 'vector', row", "the table has no column"),
    ),
    Kind("items .parquet", "i.parquet", _write_items, _read_items),
    Kind(
        "items .arrow",
        "i.arrow",
        _write_items,
        _read_items,
        places=("column 'vector', row", "the table has no column"),
    ),
)


def has_pyarrow() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


def kinds(*, parquet: bool) -> tuple[Kind, ...]:
    """All of them; those that need pyarrow only where it is there."""
    return _PLAIN + (_WITH_PYARROW if parquet else ())
