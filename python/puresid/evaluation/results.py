"""The results of a run: every query's figures, kept in two files.

``results.json`` is for reading: the header, facts and means; ``queries.npz`` has the figures per
query, from which means, intervals and tests are made. The first has the SHA-256 of the second.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puresid.atomic import atomic_write
from puresid.checks import integer
from puresid.files import CorruptFileError

__all__ = ["ALL", "JSON_NAME", "QUERIES_NAME", "Cell", "Results"]

ALL = "all"
"""The name of the split that holds every query."""

FORMAT = "puresid evaluation"
VERSION = 1
JSON_NAME = "results.json"
QUERIES_NAME = "queries.npz"
_PRIMARY = ("metric", "arm", "against")


@dataclass(frozen=True, eq=False)
class Cell:
    """What one arm did with one seed.

    Attributes
    ----------
    arm : str
    seed : int
    values : dict of str to ndarray, shape (Q,), float32
        The figure of each query, by metric.
    facts : dict
        Numbers and texts about the cell, such as seconds and losses; what JSON takes.
    """

    arm: str
    seed: int
    values: dict[str, NDArray[np.float32]]
    facts: dict[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.arm, str) or not self.arm:
            raise TypeError(f"arm is {self.arm!r}; a name is needed")
        integer(self.seed, "seed", 0)


@dataclass(frozen=True, eq=False)
class Results:
    """All cells of a run.

    Attributes
    ----------
    header : dict
        ``name``; ``primary`` with ``metric``, ``arm`` and ``against``, which were written down
        before the run; ``config``; ``task``; ``arms`` with facts by arm; ``provenance``. What JSON
        takes.
    metrics : tuple of str
        Names of the figures.
    splits : dict of str to ndarray, shape (Q,), bool
        Parts of the queries by name; ``all`` is always there and not among them.
    clusters : ndarray, shape (Q,), int64
        The number of each query's user.
    cells : tuple of Cell
        Each arm and seed once; there may be arms without some of the seeds.

    Raises
    ------
    TypeError
        A part is of the wrong type.
    ValueError
        Shapes that do not fit, values that are not finite, a cell that comes twice, or a primary
        metric that was not measured.
    """

    header: dict[str, Any]
    metrics: tuple[str, ...]
    splits: dict[str, NDArray[np.bool_]]
    clusters: NDArray[np.int64]
    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        clusters = np.asarray(self.clusters)
        if clusters.ndim != 1 or clusters.dtype.kind not in "iu" or clusters.size == 0:
            raise ValueError(
                f"clusters has shape {clusters.shape} and dtype {clusters.dtype}; one integer per "
                "query is needed, for at least one query"
            )
        object.__setattr__(self, "clusters", clusters.astype(np.int64))
        object.__setattr__(self, "metrics", tuple(self.metrics))
        object.__setattr__(self, "cells", tuple(self.cells))
        self._check_header()
        for name, mask in self.splits.items():
            if name == ALL or not isinstance(name, str) or not name:
                raise ValueError(f"a split is called {name!r}; any name but {ALL!r} is possible")
            if np.asarray(mask).dtype != np.bool_ or np.shape(mask) != clusters.shape:
                raise ValueError(
                    f"splits[{name!r}] has shape {np.shape(mask)} and dtype "
                    f"{np.asarray(mask).dtype}; one bool for each of the {len(clusters)} queries "
                    "is needed"
                )
        seen = set()
        for cell in self.cells:
            self._check_cell(cell)
            if (cell.arm, cell.seed) in seen:
                raise ValueError(f"arm {cell.arm!r} with seed {cell.seed} comes twice")
            seen.add((cell.arm, cell.seed))

    def _check_header(self) -> None:
        if not self.metrics or len(set(self.metrics)) != len(self.metrics):
            raise ValueError(f"metrics is {self.metrics!r}; different names are needed")
        if not isinstance(self.header.get("name"), str):
            raise ValueError("header has no name; a string is needed")
        primary = self.header.get("primary")
        if not isinstance(primary, Mapping) or any(
            not isinstance(primary.get(key), str) for key in _PRIMARY
        ):
            raise ValueError(
                f"header['primary'] is {primary!r}; strings for {', '.join(_PRIMARY)} are needed"
            )
        if primary["metric"] not in self.metrics:
            raise ValueError(
                f"the primary metric is {primary['metric']!r}; measured are "
                f"{', '.join(self.metrics)}"
            )

    def _check_cell(self, cell: Cell) -> None:
        where = f"arm {cell.arm!r} with seed {cell.seed}"
        if set(cell.values) != set(self.metrics):
            raise ValueError(
                f"{where} has values for {', '.join(cell.values)}; the metrics are "
                f"{', '.join(self.metrics)}"
            )
        for name, values in cell.values.items():
            if np.shape(values) != self.clusters.shape:
                raise ValueError(
                    f"{where} has {name} of shape {np.shape(values)}; there are "
                    f"{len(self.clusters)} queries"
                )
            wrong = np.flatnonzero(~np.isfinite(values))
            if wrong.size:
                raise ValueError(f"{where} has {name} not finite at query {int(wrong[0])}")

    @property
    def queries(self) -> int:
        """How many queries there are: Q."""
        return len(self.clusters)

    @property
    def users(self) -> int:
        """How many users they come from."""
        return len(np.unique(self.clusters))

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in order of first appearance."""
        return tuple(dict.fromkeys(cell.arm for cell in self.cells))

    def seeds(self, arm: str) -> tuple[int, ...]:
        """Return the seeds of an arm, ascending."""
        return tuple(sorted(cell.seed for cell in self.cells if cell.arm == arm))

    def cell(self, arm: str, seed: int) -> Cell:
        """Return a cell.

        Raises
        ------
        KeyError
            There is none.
        """
        for cell in self.cells:
            if (cell.arm, cell.seed) == (arm, seed):
                return cell
        raise KeyError(f"no cell of arm {arm!r} with seed {seed}")

    def mask(self, split: str) -> NDArray[np.bool_]:
        """Return which queries a split holds, shape (Q,).

        Raises
        ------
        ValueError
            There is no such split.
        """
        if split == ALL:
            return np.ones(self.queries, dtype=bool)
        if split not in self.splits:
            raise ValueError(f"no split {split!r}; there are {', '.join((ALL, *self.splits))}")
        return np.asarray(self.splits[split])

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``queries.npz`` and then ``results.json`` into a folder, which is made if missing.

        Returns
        -------
        Path
            That of ``results.json``.

        Raises
        ------
        OSError
            A file cannot be written.
        TypeError
            The header or facts hold what JSON does not take.
        """
        folder = Path(folder)
        packed = self._pack()
        text = json.dumps(self._describe(packed), indent=1, ensure_ascii=False, allow_nan=False)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / QUERIES_NAME) as handle:
            handle.write(packed)
        with atomic_write(folder / JSON_NAME) as handle:
            handle.write(text.encode() + b"\n")
        return folder / JSON_NAME

    def _pack(self) -> bytes:
        arrays: dict[str, NDArray[Any]] = {"clusters": self.clusters}
        for place, mask in enumerate(self.splits.values()):
            arrays[f"split{place}"] = np.packbits(mask)
        for place, cell in enumerate(self.cells):
            stacked = np.stack([cell.values[name] for name in self.metrics])
            arrays[f"cell{place}"] = stacked.astype(np.float32)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    def _describe(self, packed: bytes) -> dict[str, Any]:
        masks = {name: self.mask(name) for name in (ALL, *self.splits)}
        cells = []
        for cell in self.cells:
            where = f"the facts of arm {cell.arm!r} with seed {cell.seed}"
            means = {split: self._means(cell, mask) for split, mask in masks.items()}
            cells.append(
                {
                    "arm": cell.arm,
                    "seed": int(cell.seed),
                    "facts": to_json(cell.facts, where),
                    "means": means,
                }
            )
        return {
            "format": FORMAT,
            "version": VERSION,
            "header": to_json(self.header, "the header"),
            "queries": self.queries,
            "users": self.users,
            "metrics": list(self.metrics),
            "splits": {name: int(mask.sum()) for name, mask in masks.items() if name != ALL},
            "cells": cells,
            "files": {QUERIES_NAME: {"sha256": hashlib.sha256(packed).hexdigest()}},
        }

    def _means(self, cell: Cell, mask: NDArray[np.bool_]) -> dict[str, float | None]:
        if not mask.any():
            return dict.fromkeys(self.metrics)
        return {
            name: float(np.mean(cell.values[name][mask], dtype=np.float64)) for name in self.metrics
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Results:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path
            The folder, or its ``results.json``.

        Raises
        ------
        OSError
            A file is missing or cannot be read.
        CorruptFileError
            A file is cut short, is no such file, or is not the one that was written with the other.
        ValueError
            A format or version that this puresid does not read, or parts that do not fit.
        """
        path = Path(path)
        path = path / JSON_NAME if path.is_dir() else path
        described = _read_json(path)
        packed = (path.parent / QUERIES_NAME).read_bytes()
        try:
            expected = described["files"][QUERIES_NAME]["sha256"]
            if hashlib.sha256(packed).hexdigest() != expected:
                raise CorruptFileError(
                    f"{path.parent / QUERIES_NAME} is not the file that {path} was written with: "
                    "its SHA-256 is another"
                )
            return _unpack(cls, described, packed)
        except (
            *(KeyError, TypeError, AttributeError, OverflowError, RecursionError),
            zipfile.BadZipFile,
        ) as error:
            raise CorruptFileError(
                f"{path}: damaged or written by hand: {type(error).__name__} {error}"
            ) from error
        except ValueError as error:
            if isinstance(error, CorruptFileError):
                raise
            raise ValueError(f"{path}: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        described = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(f"{path} is no JSON: {error}") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise ValueError(f"{path} holds no results of an evaluation: its format is not {FORMAT!r}")
    if described.get("version") != VERSION:
        raise ValueError(
            f"{path} has version {described.get('version')!r}; this puresid reads {VERSION}"
        )
    return described


def _unpack(cls: type[Results], described: dict[str, Any], packed: bytes) -> Results:
    metrics = tuple(described["metrics"])
    queries = integer(described["queries"], "queries", 1)
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        splits = {}
        for place, (name, count) in enumerate(described["splits"].items()):
            packed_mask = arrays[f"split{place}"]
            if len(packed_mask) != -(-queries // 8):
                raise ValueError(
                    f"split {name!r} has {len(packed_mask)} bytes; {queries} queries, a bit each, "
                    f"need {-(-queries // 8)}"
                )
            mask = np.unpackbits(packed_mask, count=queries).astype(bool)
            if int(mask.sum()) != count:
                raise ValueError(f"split {name!r} has {int(mask.sum())} queries and not {count}")
            splits[name] = mask
        cells = []
        for place, cell in enumerate(described["cells"]):
            block = arrays[f"cell{place}"]
            if block.shape != (len(metrics), queries) or block.dtype != np.float32:
                raise ValueError(
                    f"cell {place} has shape {block.shape} and dtype {block.dtype}; "
                    f"{(len(metrics), queries)} and float32 are needed"
                )
            if not isinstance(cell["facts"], dict):
                raise TypeError(f"the facts of cell {place} are {cell['facts']!r}, no object")
            values = dict(zip(metrics, block, strict=True))
            cells.append(Cell(cell["arm"], cell["seed"], values, cell["facts"]))
        clusters = arrays["clusters"]
    return cls(described["header"], metrics, splits, clusters, tuple(cells))


def to_json(value: Any, where: str) -> Any:
    """Return `value` as what JSON takes: NumPy scalars as numbers, None for what is not finite.

    Raises
    ------
    TypeError
        Anything that is no mapping with string keys, sequence, string, number or None, naming
        the place as `where` and keys.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return to_json(value.tolist(), where)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}; strings are needed")
        return {key: to_json(entry, f"{where}[{key!r}]") for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(entry, f"{where}[{place}]") for place, entry in enumerate(value)]
    raise TypeError(f"{where} is {value!r}, which JSON has no way to write")
