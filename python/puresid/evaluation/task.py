"""The data model of an evaluation: a catalogue, and queries that ask for its items.

Sequential recommendation, product search and document retrieval are all a `Task`. Items are rows of
its catalogue everywhere; keys, texts and SIDs are looked up by row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puresid.arrays import check_finite, float_matrix, to_numpy

__all__ = ["KINDS", "Catalogue", "Queries", "Task"]

KINDS = ("recommendation", "search", "retrieval")

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The items that can be asked for, one row each.

    Attributes
    ----------
    keys : tuple of str, N of them
        What the items are called outside; all different.
    texts : tuple of str, N of them, optional
        What the items say.
    vectors : ndarray, shape (N, D), float32, optional
        What the SIDs are made from.

    Raises
    ------
    TypeError
        A key or text is no string, or the vectors are not real numbers.
    ValueError
        There are no items, a key comes twice, or texts or vectors are not one per item.
    """

    keys: tuple[str, ...]
    texts: tuple[str, ...] | None = None
    vectors: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        _set(self, "keys", _strings(self.keys, "keys"))
        if not self.keys:
            raise ValueError("keys is empty; a catalogue has at least one item")
        _check_different(self.keys, "keys")
        if self.texts is not None:
            _set(self, "texts", _strings(self.texts, "texts"))
            _check_length(self.texts, "texts", len(self.keys), "items")
        if self.vectors is not None:
            vectors = float_matrix(self.vectors, "vectors")
            _check_length(vectors, "vectors", len(self.keys), "items")
            check_finite(vectors)
            _set(self, "vectors", vectors)

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, eq=False)
class Queries:
    """What is asked, and the items that are wanted.

    Attributes
    ----------
    ids : tuple of str, Q of them
        All different.
    relevant : tuple of ndarray, each of shape (at least 1,), int64
        Rows of the items that are wanted, each once.
    texts : tuple of str, Q of them, optional
        What is asked in words.
    histories : tuple of ndarray, each of shape (any,), int64, optional
        Rows of what a user had before, oldest first. An item may come again.
    gains : tuple of ndarray, shapes as in `relevant`, float64, optional
        How much each wanted item is worth, above 0. None: 1 each.
    users : tuple of str, Q of them, optional
        Whose query it is; tests of significance take a user's queries together. None: each query
        is by itself.

    Raises
    ------
    TypeError
        An id, text or user is no string, or rows are no integers.
    ValueError
        Lengths differ, an id or a wanted item comes twice, a query wants nothing, a row is
        negative, or a gain is not a number above 0.
    """

    ids: tuple[str, ...]
    relevant: tuple[Rows, ...]
    texts: tuple[str, ...] | None = None
    histories: tuple[Rows, ...] | None = None
    gains: tuple[NDArray[np.float64], ...] | None = None
    users: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _set(self, "ids", _strings(self.ids, "ids"))
        _check_different(self.ids, "ids")
        _set(self, "relevant", rows_of(self.relevant, "relevant"))
        if self.histories is not None:
            _set(self, "histories", rows_of(self.histories, "histories"))
        for name in ("texts", "users"):
            if getattr(self, name) is not None:
                _set(self, name, _strings(getattr(self, name), name))
        for name in ("relevant", "texts", "histories", "gains", "users"):
            if getattr(self, name) is not None:
                _check_length(getattr(self, name), name, len(self.ids), "ids")
        for query, rows in enumerate(self.relevant):
            if len(rows) == 0:
                raise ValueError(
                    f"relevant[{query}] is empty; query {self.ids[query]!r} must want "
                    "at least one item"
                )
            if len(rows) > 1 and len(np.unique(rows)) != len(rows):
                raise ValueError(f"relevant[{query}] has the same row twice")
        if self.gains is not None:
            _set(self, "gains", self._checked_gains(self.gains))

    def _checked_gains(self, gains: Sequence[Any]) -> tuple[NDArray[np.float64], ...]:
        checked = []
        for query, values in enumerate(gains):
            array = np.asarray(values, dtype=np.float64)
            wanted = self.relevant[query].shape
            if array.shape != wanted:
                raise ValueError(
                    f"gains[{query}] has shape {array.shape}; relevant[{query}] has {wanted}"
                )
            if not (np.isfinite(array).all() and (array > 0).all()):
                raise ValueError(
                    f"gains[{query}] is {array.tolist()}; finite numbers above 0 are needed"
                )
            checked.append(array)
        return tuple(checked)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def clusters(self) -> NDArray[np.int64]:
        """The number of each query's user, shape (Q,), in order of first appearance."""
        if self.users is None:
            return np.arange(len(self.ids), dtype=np.int64)
        numbers: dict[str, int] = {}
        found = [numbers.setdefault(user, len(numbers)) for user in self.users]
        return np.array(found, dtype=np.int64)

    def first(self, count: int) -> Queries:
        """Return the first `count` queries, all where there are fewer."""
        return Queries(
            ids=self.ids[:count],
            relevant=self.relevant[:count],
            texts=None if self.texts is None else self.texts[:count],
            histories=None if self.histories is None else self.histories[:count],
            gains=None if self.gains is None else self.gains[:count],
            users=None if self.users is None else self.users[:count],
        )


@dataclass(frozen=True, eq=False)
class Task:
    """A catalogue, the queries that a model is tested with, and what it may learn from.

    Attributes
    ----------
    name : str
        What reports call it.
    kind : {"recommendation", "search", "retrieval"}
        Recommendation reads histories, the others read words.
    catalogue : Catalogue
        The N items.
    test, validation : Queries
        Validation may be empty.
    sequences : tuple of ndarray, each of shape (at least 2,), int64, optional
        Recommendation: what each user had, oldest first, one per user and without what validation
        and test ask for. All but the first item of one are training targets.
    train : Queries, optional
        Search and retrieval: queries to learn from.
    notes : tuple of str
        What a reader of results must know, such as what was left out.

    Raises
    ------
    TypeError
        A part is of the wrong type.
    ValueError
        Unknown kind, no test query, a row that the catalogue does not have, training data of the
        wrong kind, or queries without what the kind reads.
    """

    name: str
    kind: str
    catalogue: Catalogue
    test: Queries
    validation: Queries = field(default_factory=lambda: Queries(ids=(), relevant=()))
    sequences: tuple[Rows, ...] | None = None
    train: Queries | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; one of {', '.join(KINDS)} is needed")
        _set(self, "notes", _strings(self.notes, "notes"))
        if self.sequences is not None:
            _set(self, "sequences", rows_of(self.sequences, "sequences"))
        self._check_kind()
        for name in ("test", "validation", "train"):
            queries = getattr(self, name)
            if queries is not None:
                self._check_queries(name, queries)
        for user, rows in enumerate(self.sequences or ()):
            if len(rows) < 2:
                raise ValueError(
                    f"sequences[{user}] has {len(rows)} items; at least 2 are needed, of which the "
                    "first is no target"
                )
        self._check_rows("sequences", self.sequences)

    def _check_kind(self) -> None:
        if self.kind == "recommendation":
            if self.sequences is None or self.train is not None:
                raise ValueError("a recommendation task has sequences and no train")
        elif self.train is None or self.sequences is not None:
            raise ValueError(f"a {self.kind} task has train and no sequences")
        if len(self.test) == 0:
            raise ValueError(f"task {self.name!r} has no test query")

    def _check_queries(self, name: str, queries: Queries) -> None:
        needed = "histories" if self.kind == "recommendation" else "texts"
        if len(queries) and getattr(queries, needed) is None:
            raise ValueError(f"{name} has no {needed}; a {self.kind} task reads them")
        self._check_rows(f"{name}.relevant", queries.relevant)
        self._check_rows(f"{name}.histories", queries.histories)

    def _check_rows(self, name: str, parts: tuple[Rows, ...] | None) -> None:
        for place, rows in enumerate(parts or ()):
            if len(rows) and int(rows.max()) >= len(self.catalogue):
                raise ValueError(
                    f"{name}[{place}] has row {int(rows.max())}; the catalogue has "
                    f"{len(self.catalogue)} items"
                )

    def target_counts(self) -> NDArray[np.int64]:
        """Count how often each item is a training target.

        Returns
        -------
        ndarray, shape (N,), int64
            Every position of a training sequence counts but its first, and every wanted item of a
            training query. Texts of items that a model learns from besides do not.
        """
        parts = [rows[1:] for rows in self.sequences or ()]
        if self.train is not None:
            parts.extend(self.train.relevant)
        targets = np.concatenate(parts) if parts else np.empty(0, np.int64)
        return np.bincount(targets, minlength=len(self.catalogue)).astype(np.int64)

    def with_vectors(self, vectors: Any) -> Task:
        """Return the task with these item vectors, shape (N, D), in the place of its own.

        Raises
        ------
        TypeError, ValueError
            As `Catalogue`.
        """
        catalogue = dataclasses.replace(self.catalogue, vectors=vectors)
        return dataclasses.replace(self, catalogue=catalogue)


def _set(instance: object, name: str, value: object) -> None:
    object.__setattr__(instance, name, value)  # what a frozen dataclass allows itself


def _strings(values: Iterable[Any], name: str) -> tuple[str, ...]:
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{name} is {values!r}; a sequence of strings is needed")
    strings = tuple(values)
    for place, value in enumerate(strings):
        if not isinstance(value, str):
            raise TypeError(f"{name}[{place}] is {value!r}; a string is needed")
    return strings


def _check_different(values: tuple[str, ...], name: str) -> None:
    if len(set(values)) == len(values):
        return
    seen: dict[str, int] = {}
    for place, value in enumerate(values):
        if seen.setdefault(value, place) != place:
            raise ValueError(f"{name}[{place}] is {value!r}, as is {name}[{seen[value]}]")


def _check_length(values: Any, name: str, count: int, what: str) -> None:
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} entries; there are {count} {what}")


def rows_of(parts: Iterable[Any], name: str) -> tuple[Rows, ...]:
    """Convert each part to a read-only vector of rows, int64.

    Raises
    ------
    TypeError
        Values that are no integers.
    ValueError
        Not one dimension, or a negative value; the error calls the parts by `name`.
    """
    checked = []
    for place, values in enumerate(parts):
        array = np.asarray(to_numpy(values))
        if array.ndim != 1:
            raise ValueError(f"{name}[{place}] has {array.ndim} dimensions; 1 is needed")
        if array.size and array.dtype.kind not in "iu":
            raise TypeError(f"{name}[{place}] has dtype {array.dtype}; integer rows are needed")
        rows = array.astype(np.int64)  # a copy: what a task holds is nobody else's to change
        if rows.size and int(rows.min()) < 0:
            raise ValueError(f"{name}[{place}] has row {int(rows.min())}; rows start at 0")
        rows.flags.writeable = False
        checked.append(rows)
    return tuple(checked)
