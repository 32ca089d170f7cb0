"""Pairs of a query and an item that it wants, gathered into `Queries`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from puresid.evaluation.task import Queries

__all__ = ["NO_QUERIES", "gather", "repeated"]

NO_QUERIES = Queries(ids=(), relevant=())


def gather(wanted: Mapping[str, Mapping[int, float]], texts: Mapping[str, str]) -> Queries:
    """Make queries of the items that each wants.

    Parameters
    ----------
    wanted : mapping of str to mapping of int to float
        Per query id the rows that are wanted and their gains.
    texts : mapping of str to str
        Each query's words.

    Returns
    -------
    Queries
        In the order of `wanted`; without gains where all are 1.
    """
    plain = all(gain == 1 for gains in wanted.values() for gain in gains.values())
    return Queries(
        ids=tuple(wanted),
        relevant=tuple(np.array(list(gains), dtype=np.int64) for gains in wanted.values()),
        texts=tuple(texts[query] for query in wanted),
        gains=None if plain else tuple(np.array(list(gains.values())) for gains in wanted.values()),
    )


def repeated(test: Queries, train: Queries) -> list[str]:
    """Return a note on the test queries whose words are those of a training query too."""
    known = {text.casefold().strip() for text in train.texts or ()}
    count = sum(text.casefold().strip() in known for text in test.texts or ())
    if not count:
        return []
    return [f"{count:,} of {len(test):,} test queries have the words of a training query"]
