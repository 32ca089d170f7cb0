"""Hostile input to `assign`: a defined error, or exactly the oracle's answer.

An instance of whole numbers, full of ties, is made hostile in one to three ways by chance. Each way
says whether it must be refused; if none must, the answer is held to `oracles.assign` on the plain
instance, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .neighbours import oracles, strategies
from .running import Tried

Chance = np.random.Generator
EXACT_TYPES = ("int8", "int16", "int32", "int64", "float16", "float64", ">f4", ">f8", ">i4", ">f2")
NO_NUMBERS = ("bool", "complex64", "U3", "O", "M8[s]", "S2", "V4")


@dataclass
class Given:
    """A call: what is handed over, what it plainly is, and whether it must be refused."""

    vectors: Any
    books: list[Any]
    options: dict[str, Any]
    plain_vectors: np.ndarray
    plain_books: list[np.ndarray]
    refused: bool = False

    def set_plain(self, vectors: np.ndarray) -> None:
        self.plain_vectors = vectors
        self.vectors = vectors.copy()

    def set_book(self, level: int, book: np.ndarray) -> None:
        self.plain_books[level] = book
        self.books[level] = book.copy()

    @property
    def capacity(self) -> int:
        return int(np.prod([len(book) for book in self.plain_books], dtype=object))


Way = Callable[[Chance, Given], None]


def base(chance: Chance) -> Given:
    """An instance as catalogues have them."""
    case = strategies.random_instance(chance, max_levels=3, max_size=6, max_items=30)
    return Given(
        case.vectors.copy(),
        [book.copy() for book in case.books],
        dict(case.options),
        case.vectors,
        list(case.books),
    )


# ---- loads: they come first, and make the instance


def loaded(share: float) -> Way:
    """All SIDs but a share: 0.99, 1 or more than 1 of the capacity."""

    def make(chance: Chance, given: Given) -> None:
        sizes = [
            int(size)
            for size in chance.permutation(((10, 10), (4, 25), (2, 50))[chance.integers(3)])
        ]
        n = round(share * int(np.prod(sizes)))
        dim = int(chance.integers(1, 4))
        given.plain_books = strategies.lattice_books(chance, sizes, dim, 4)
        given.books = [book.copy() for book in given.plain_books]
        given.set_plain(chance.integers(-4, 5, (n, dim)).astype(np.float32))
        given.options = {"priority": chance.integers(0, 3, n)} if chance.random() < 0.5 else {}
        given.refused |= share > 1

    return make


def load_with_taken(chance: Chance, given: Given) -> None:
    """Published SIDs leave exactly as much room as there are items, or one too little."""
    n, capacity = len(given.plain_vectors), given.capacity
    short = int(chance.random() < 0.5 and capacity > n)
    count = capacity - n + short
    places = chance.permutation(capacity)[:count]
    given.options["taken"] = strategies.every_sid([len(book) for book in given.plain_books])[places]
    if count == 0:
        del given.options["taken"]
    given.options.pop("complete", None)
    given.refused |= bool(short)


# ---- vectors


def number(value: float) -> Way:
    """One value that is no finite number, or whose square is none."""

    def put(chance: Chance, given: Given) -> None:
        vectors = np.array(given.plain_vectors, chance.choice(["float32", "float64"]))
        vectors[chance.integers(len(vectors)), chance.integers(vectors.shape[1])] = value
        given.vectors = vectors
        given.refused = True

    return put


def all_zero(chance: Chance, given: Given) -> None:
    given.set_plain(np.zeros_like(given.plain_vectors))


def all_identical(chance: Chance, given: Given) -> None:
    row = chance.integers(len(given.plain_vectors))
    given.set_plain(np.repeat(given.plain_vectors[row : row + 1], len(given.plain_vectors), axis=0))


def repeated(chance: Chance, given: Given) -> None:
    n = len(given.plain_vectors)
    given.set_plain(given.plain_vectors[chance.integers(0, max(1, n // 3), n)])


def other_type(chance: Chance, given: Given) -> None:
    if np.array_equal(given.vectors, given.plain_vectors):
        given.vectors = given.plain_vectors.astype(chance.choice(EXACT_TYPES))


def no_numbers(chance: Chance, given: Given) -> None:
    given.vectors = np.zeros(given.plain_vectors.shape, chance.choice(NO_NUMBERS))
    given.refused = True


def laid_out(array: np.ndarray, chance: Chance) -> Any:
    """The same numbers in another layout."""
    n, dim = array.shape
    kind = chance.integers(8)
    if kind == 0:
        return np.asfortranarray(array)
    if kind == 1:
        return np.repeat(array, 2, axis=0)[::2]
    if kind == 2:
        return np.repeat(array, 3, axis=1)[:, ::3]
    if kind == 3:
        return np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    if kind == 4:
        raw = np.frombuffer(b"x" + array.tobytes(), np.uint8)[1:]
        return raw.view(array.dtype).reshape(n, dim)
    if kind == 5:
        frozen = array.copy()
        frozen.setflags(write=False)
        return frozen
    if kind == 6:
        return [list(row) for row in array]
    return np.moveaxis(np.stack([array, array + 1]), 0, 2)[..., 0]


def strided(chance: Chance, given: Given) -> None:
    if given.vectors.dtype.kind in "fiu":
        given.vectors = laid_out(given.vectors, chance)


def broadcast(chance: Chance, given: Given) -> None:
    """All rows are one, by a stride of 0."""
    all_identical(chance, given)
    given.vectors = np.broadcast_to(given.plain_vectors[0], given.plain_vectors.shape)


def other_shape(chance: Chance, given: Given) -> None:
    n, dim = given.plain_vectors.shape
    shapes = [(n * dim,), (n, dim, 1), (1, n, dim), (n, dim + 1), (n, 0), ()]
    given.vectors = np.zeros(shapes[chance.integers(len(shapes))], np.float32)
    given.refused = True


def in_batches(chance: Chance, given: Given) -> None:
    """A source of pieces, some of them empty, of other types and layouts."""
    import puresid

    vectors = np.asarray(given.vectors)
    if vectors.ndim != 2:
        return
    cuts = np.sort(chance.integers(0, len(vectors) + 1, 4))
    pieces = np.split(vectors, cuts)
    given.vectors = puresid.Batches(lambda: pieces, shape=(len(vectors), vectors.shape[1]))


def wrong_batches(chance: Chance, given: Given) -> None:
    """A source that yields a row too many or too few, or of another dimension."""
    import puresid

    plain = given.plain_vectors
    n, dim = plain.shape
    pieces = ([plain, plain[:1]], [plain[1:]], [plain, np.zeros((1, dim + 1))], [plain[:, 0]])[
        chance.integers(4)
    ]
    given.vectors = puresid.Batches(lambda: pieces, shape=(n, dim))
    given.refused = True


# ---- codebooks


def book_number(value: float) -> Way:
    def put(chance: Chance, given: Given) -> None:
        level = chance.integers(len(given.books))
        book = np.array(given.plain_books[level])
        book[chance.integers(len(book)), chance.integers(book.shape[1])] = value
        given.books[level] = book
        given.refused = True

    return put


def same_codewords(chance: Chance, given: Given) -> None:
    level = int(chance.integers(len(given.books)))
    book = given.plain_books[level]
    given.set_book(level, book[chance.integers(0, len(book), len(book))])


def zero_codewords(chance: Chance, given: Given) -> None:
    level = int(chance.integers(len(given.books)))
    given.set_book(level, np.zeros_like(given.plain_books[level]))


def book_type(chance: Chance, given: Given) -> None:
    level = int(chance.integers(len(given.books)))
    if np.array_equal(given.books[level], given.plain_books[level]):
        given.books[level] = given.plain_books[level].astype(chance.choice(EXACT_TYPES))


def book_strides(chance: Chance, given: Given) -> None:
    level = int(chance.integers(len(given.books)))
    given.books[level] = laid_out(np.asarray(given.books[level]), chance)


def book_shape(chance: Chance, given: Given) -> None:
    level = int(chance.integers(len(given.books)))
    K, dim = given.plain_books[level].shape
    shapes = [(0, dim), (K, 0), (K * dim,), (1, K, dim), (K, dim + 1)]
    given.books[level] = np.zeros(shapes[chance.integers(len(shapes))], np.float32)
    given.refused = True


# ---- options


def priority_type(chance: Chance, given: Given) -> None:
    n = len(given.plain_vectors)
    types = ("int8", "uint8", "int64", "uint64", "float16", "float32", ">i8", ">f8")
    given.options["priority"] = chance.integers(0, 3, n).astype(chance.choice(types))


def priority_huge(chance: Chance, given: Given) -> None:
    n = len(given.plain_vectors)
    given.options["priority"] = chance.choice([2**53, 2**53 + 1, 2**63 - 1, 0, -(2**63)], n)


def priority_infinite(chance: Chance, given: Given) -> None:
    n = len(given.plain_vectors)
    given.options["priority"] = chance.choice([np.inf, -np.inf, 0.0, -0.0, 1e-320], n)


def priority_wrong(chance: Chance, given: Given) -> None:
    n = len(given.plain_vectors)
    nan = np.zeros(n)
    nan[chance.integers(n)] = np.nan
    wrong = (nan, np.zeros(n + 1), np.zeros((n, 1)), np.zeros(n, "U3"), np.zeros(n, complex))
    given.options["priority"] = wrong[chance.integers(len(wrong))]
    given.refused = True


def taken_twice(chance: Chance, given: Given) -> None:
    taken = given.options.get("taken")
    if taken is not None:
        given.options["taken"] = np.repeat(taken, 2, axis=0).astype(chance.choice(["u2", ">i8"]))


def taken_wrong(chance: Chance, given: Given) -> None:
    sizes = np.array([len(book) for book in given.plain_books])
    wrong = (sizes[None], -np.ones((1, len(sizes)), int), np.zeros((1, len(sizes) + 1), int))
    odd = (*wrong, np.zeros((1, len(sizes))), np.full((1, len(sizes)), 2**40), sizes)
    given.options["taken"] = odd[chance.integers(len(odd))]
    given.refused = True


LOADS: dict[str, Way] = {
    "load 0.99": loaded(0.99),
    "load 1": loaded(1.0),
    "load 1.01": loaded(1.01),
    "load 1 by taken, or one more": load_with_taken,
}
# In the order in which they are applied: what an instance is, values, types, layouts, shapes.
WAYS: dict[str, Way] = {
    "all vectors zero": all_zero,
    "all vectors identical": all_identical,
    "few different vectors": repeated,
    "stride 0": broadcast,
    "codebooks: equal codewords": same_codewords,
    "codebooks: zero codewords": zero_codewords,
    "NaN": number(np.nan),
    "infinity": number(np.inf),
    "minus infinity": number(-np.inf),
    "squares beyond float32": number(1e30),
    "codebooks: NaN": book_number(np.nan),
    "codebooks: infinity": book_number(np.inf),
    "codebooks: squares beyond float32": book_number(-1e30),
    "another type or byte order": other_type,
    "codebooks: another type": book_type,
    "no real numbers": no_numbers,
    "strides, views, lists": strided,
    "codebooks: strides, lists": book_strides,
    "in pieces": in_batches,
    "another shape": other_shape,
    "pieces that do not fit": wrong_batches,
    "codebooks: another shape": book_shape,
    "priority: another type": priority_type,
    "priority: beyond float64": priority_huge,
    "priority: infinite": priority_infinite,
    "priority: wrong": priority_wrong,
    "taken: twice": taken_twice,
    "taken: wrong": taken_wrong,
}


def outcome_of(given: Given, method: str, threads: int) -> str:
    """Return ``"refused"``, ``"exact"``, or what is wrong."""
    import puresid

    try:
        actual = puresid.assign(
            given.vectors, given.books, method, threads=threads, **given.options
        )
    except (TypeError, ValueError) as error:  # CapacityError and CorruptFileError are the latter
        if not str(error):
            return f"{type(error).__name__} without a word"
        return "refused" if given.refused else f"refused without a reason: {error!r}"
    except BaseException as error:
        return f"no defined error: {error!r}"
    if given.refused:
        return "taken, where it must be refused"
    expected = oracles.assign(given.plain_vectors, given.plain_books, method, **given.options)
    return "exact" if oracles.same(expected, actual) else "not the oracle's answer"


def try_one(seed: int, case: int, found: Tried) -> None:
    """Make a case hostile, a function of its number, and note what came of it."""
    chance = np.random.default_rng([seed, case])
    given = base(chance)
    # Every way comes by turns, the others by chance.
    every = [*LOADS, *WAYS]
    ways = [every[case % len(every)]]
    ways += [str(way) for way in chance.choice(list(WAYS), int(chance.integers(0, 3)))]
    ways = sorted(set(ways), key=every.index)
    for way in ways:
        (LOADS | WAYS)[way](chance, given)
    method = ("ecm", "rrs", "nearest")[chance.integers(3)]
    if method == "nearest" and set(ways) & LOADS.keys():
        method = "ecm"  # the others look at no load
    outcome = outcome_of(given, method, 1 + case % 3)
    found.note(ways, outcome, f"hostile, seed {seed}, case {case}, {method}")
