"""BEIR's layout: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/*.tsv``."""

from __future__ import annotations

import math
from collections.abc import Mapping

from puresid._formats import PathLike
from puresid.evaluation.loaders._pairs import NO_QUERIES, gather, repeated
from puresid.evaluation.loaders._reading import (
    field_text,
    join_sentences,
    plain_text,
    read_json_lines,
    read_tabs,
    task_name,
)
from puresid.evaluation.task import Catalogue, Queries, Task

__all__ = ["load_beir"]

HEADER = ["query-id", "corpus-id", "score"]


def load_beir(
    corpus: PathLike,
    queries: PathLike,
    test: PathLike,
    *,
    valid: PathLike | None = None,
    train: PathLike | None = None,
    kind: str = "retrieval",
    name: str | None = None,
) -> Task:
    """Load a task in the layout of the BEIR benchmark.

    Parameters
    ----------
    corpus : str or path
        JSON Lines ``{"_id": …, "title": …, "text": …}``: the items, in this order. The title may be
        missing or empty.
    queries : str or path
        JSON Lines ``{"_id": …, "text": …}``.
    test, valid, train : str or path
        Judgements, ``qrels/test.tsv`` and the like: under the header ``query-id  corpus-id  score``
        values between tabs. What has a score of 0 or less is not wanted; other scores are gains.
        Only `test` is needed.
    kind : {"retrieval", "search"}
        What the task is called.
    name : str, optional
        What reports call the task. Default: the name of the folder of `corpus`.

    Returns
    -------
    Task
        Queries are in the order of the judgements. Judgements of items that the corpus lacks, and
        queries that want none then, are left out; notes say how many.

    Raises
    ------
    ValueError
        What is in a file is not as above, an id or judgement comes twice, or a judged query is
        missing; the error names the file and the line.
    CorruptFileError
        A line is no JSON, or has more or fewer values than the header. (A `ValueError` too.)
    OSError
        A file cannot be opened.
    """
    catalogue = _read_corpus(corpus)
    words = _read_queries(queries)
    rows = {key: row for row, key in enumerate(catalogue.keys)}
    notes: list[str] = []
    found = {
        what: NO_QUERIES if path is None else _judged(path, words, rows, notes, what)
        for what, path in (("test", test), ("valid", valid), ("train", train))
    }
    if train is None:
        notes.append("there are no training queries")
    return Task(
        name=task_name(corpus, name),
        kind=kind,
        catalogue=catalogue,
        test=found["test"],
        validation=found["valid"],
        train=found["train"],
        notes=(*notes, *repeated(found["test"], found["train"])),
    )


def _read_corpus(path: PathLike) -> Catalogue:
    texts: dict[str, str] = {}
    for line, record in read_json_lines(path):
        place = f"{path}, line {line}"
        key = field_text(record, "_id", place)
        if key in texts:
            raise ValueError(f"{place}: the _id {key!r} comes twice")
        title = field_text(record, "title", place) if record.get("title") else ""
        texts[key] = join_sentences(
            plain_text(title), plain_text(field_text(record, "text", place))
        )
    if not texts:
        raise ValueError(f"{path} has no items")
    return Catalogue(tuple(texts), tuple(texts.values()))


def _read_queries(path: PathLike) -> dict[str, str]:
    texts: dict[str, str] = {}
    for line, record in read_json_lines(path):
        place = f"{path}, line {line}"
        key = field_text(record, "_id", place)
        if key in texts:
            raise ValueError(f"{place}: the _id {key!r} comes twice")
        texts[key] = field_text(record, "text", place)
    return texts


def _judged(
    path: PathLike,
    words: Mapping[str, str],
    rows: Mapping[str, int],
    notes: list[str],
    what: str,
) -> Queries:
    lines = read_tabs(path)
    header = next(lines, (1, []))[1]
    if header != HEADER:
        raise ValueError(f"{path}, line 1: the header is {header}; {HEADER} is needed")
    wanted: dict[str, dict[int, float]] = {}
    unknown = 0
    for line, (query, item, score) in lines:
        place = f"{path}, line {line}"
        if query not in words:
            raise ValueError(f"{place}: query {query!r} is not among the {len(words)} queries")
        gain = _score(score, place)
        of_query = wanted.setdefault(query, {})
        if gain <= 0:
            continue
        if item not in rows:
            unknown += 1
            continue
        if rows[item] in of_query:
            raise ValueError(f"{place}: query {query!r} and item {item!r} are judged twice")
        of_query[rows[item]] = gain
    kept = {query: gains for query, gains in wanted.items() if gains}
    if unknown:
        notes.append(f"{what}: {unknown:,} judgements of items that the corpus lacks are left out")
    if len(kept) < len(wanted):
        notes.append(
            f"{what}: {len(wanted) - len(kept):,} of {len(wanted):,} queries want no item of the "
            "corpus and are left out"
        )
    return gather(kept, words)


def _score(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{place}: score is {text!r}; a number is needed")
    return value
