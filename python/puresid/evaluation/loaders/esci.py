"""ESCI, Amazon's shopping queries: the Parquet files as they are published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from puresid._formats import CorruptFileError, PathLike, import_pyarrow
from puresid.checks import integer
from puresid.evaluation.loaders._pairs import gather, repeated
from puresid.evaluation.loaders._reading import (
    join_sentences,
    lines_of,
    plain_text,
    read_items,
    task_name,
)
from puresid.evaluation.task import Catalogue, Task

__all__ = ["load_esci"]

EXAMPLES = ("example_id", "query", "query_id", "product_id", "product_locale", "esci_label")
PRODUCTS = ("product_id", "product_title", "product_description", "product_locale")
VERSIONS = ("small", "large")
VALIDATION_SHARE = 8  # one training query in 8, as the paper's authors have it


def load_esci(
    examples: PathLike,
    products: PathLike,
    *,
    catalogue: PathLike | None = None,
    locale: str = "us",
    version: str | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Task:
    """Load a product search task from the Shopping Queries Dataset (ESCI).

    A query wants the products that are labelled E (exact) for it and are in the catalogue. The
    published ``split`` says what is tested; of its training queries one in eight, drawn at random,
    are for validation.

    Parameters
    ----------
    examples : str or path
        ``shopping_queries_dataset_examples.parquet``, of whose columns example_id, query, query_id,
        product_id, product_locale, esci_label and split are read, and small_version or
        large_version where `version` asks for it.
    products : str or path
        ``shopping_queries_dataset_products.parquet``: product_id, product_title,
        product_description, product_locale.
    catalogue : str or path, optional
        The domain's products, which are the items, in this order: a JSON object ``{"B00…": text or
        {"title": …, "description": …}, …}``, or a text with one product id a line, whose words then
        come from `products` (none where it lacks them). Default: all `products` of the locale.
    locale : str
        ``"us"``, ``"es"`` or ``"jp"``.
    version : {"small", "large"}, optional
        Only what is in this version of the data. Default: all.
    seed : int
        From 0; decides which queries are for validation.
    name : str, optional
        What reports call the task. Default: the name of the folder of `examples`.

    Returns
    -------
    Task
        Of the kind "search". Queries are named by query_id and in the file's order; those without
        a wanted product in the catalogue are left out, and notes say how many.

    Raises
    ------
    ValueError
        A column is missing, a value is missing or of the wrong kind, the locale or version has no
        rows, or a split is neither train nor test; the error names the file, and the example or
        line.
    CorruptFileError
        A file is damaged. (A `ValueError` too.)
    ImportError
        pyarrow is not installed.
    OSError
        A file cannot be opened.
    """
    if version is not None and version not in VERSIONS:
        raise ValueError(f"version is {version!r}; {' or '.join(VERSIONS)} or None is needed")
    start = integer(seed, "seed", 0)
    items, notes = _catalogue(catalogue, products, locale)
    rows = {key: row for row, key in enumerate(items.keys)}
    wanted, texts, dropped = _wanted(examples, rows, locale, version)
    if dropped:
        notes.append(
            f"{dropped:,} queries have no product labelled E in the catalogue and are left out"
        )
    held = _held_out(list(wanted["train"]), start)
    train = {query: gains for query, gains in wanted["train"].items() if query not in held}
    valid = {query: gains for query, gains in wanted["train"].items() if query in held}
    test, trained = gather(wanted["test"], texts), gather(train, texts)
    return Task(
        name=task_name(examples, name),
        kind="search",
        catalogue=items,
        test=test,
        validation=gather(valid, texts),
        train=trained,
        notes=(*notes, *repeated(test, trained)),
    )


def _held_out(queries: Sequence[str], seed: int) -> set[str]:
    """Return the validation queries, whatever the order in which the file has them."""
    ordered = sorted(queries)
    drawn = np.random.default_rng(seed).permutation(len(ordered))
    return {ordered[place] for place in drawn[: len(ordered) // VALIDATION_SHARE].tolist()}


def _catalogue(
    path: PathLike | None, products: PathLike, locale: str
) -> tuple[Catalogue, list[str]]:
    if path is not None and Path(path).suffix == ".json":
        keys, texts = read_items(path, numbered=False)
        return Catalogue(keys, texts), []
    listed = None if path is None else _listed(path)
    said = _product_texts(products, locale, listed)
    if listed is None:
        return Catalogue(tuple(said), tuple(said.values())), []
    unknown = sum(key not in said for key in listed)
    notes = [f"{unknown:,} of {len(listed):,} items have no text: products lacks them"]
    texts = tuple(said.get(key, "") for key in listed)
    return Catalogue(tuple(listed), texts), notes if unknown else []


def _listed(path: PathLike) -> dict[str, None]:
    listed: dict[str, None] = {}
    for number, line in lines_of(path):
        key = line.strip()
        if key in listed:
            raise ValueError(f"{path}, line {number}: product {key!r} comes twice")
        if key:
            listed[key] = None
    if not listed:
        raise ValueError(f"{path} has no products")
    return listed


def _product_texts(
    path: PathLike, locale: str, listed: Mapping[str, None] | None
) -> dict[str, str]:
    chosen: dict[str, list[Any]] = {"product_locale": [locale]}
    if listed is not None:
        chosen["product_id"] = list(listed)
    table = _rows(path, PRODUCTS, chosen)
    if listed is None and len(table["product_id"]) == 0:
        raise ValueError(f"{path} has no product of the locale {locale!r}")
    texts: dict[str, str] = {}
    columns = (table[name] for name in PRODUCTS[:3])
    for key, title, description in zip(*columns, strict=True):
        if key in texts:
            raise ValueError(f"{path}: product {key!r} of the locale {locale!r} comes twice")
        texts[key] = join_sentences(plain_text(title or ""), plain_text(description or ""))
    return texts


def _wanted(
    path: PathLike, rows: Mapping[str, int], locale: str, version: str | None
) -> tuple[dict[str, dict[str, dict[int, float]]], dict[str, str], int]:
    """Return what each query of each split wants, all queries' words, and how many want nothing."""
    chosen: dict[str, list[Any]] = {"product_locale": [locale]}
    if version is not None:
        chosen[f"{version}_version"] = [1]
    table = _rows(path, (*EXAMPLES, "split"), chosen)
    if len(table["query"]) == 0:
        of = "" if version is None else f" in the {version} version"
        raise ValueError(f"{path} has no example of the locale {locale!r}{of}")
    texts: dict[str, str] = {}
    splits: dict[str, str] = {}
    wanted: dict[str, dict[str, dict[int, float]]] = {"train": {}, "test": {}}
    names = ("example_id", "query_id", "query", "product_id", "esci_label", "split")
    for example, number, words, product, label, split in zip(
        *(table[column] for column in names), strict=True
    ):
        query = str(number)
        place = f"{path}, example {example}"
        if None in (number, words, product, label):
            raise ValueError(f"{place}: a query, product or label is missing (null)")
        if split not in wanted:
            raise ValueError(f"{place}: split is {split!r}; train or test is needed")
        if texts.setdefault(query, words) != words or splits.setdefault(query, split) != split:
            raise ValueError(f"{place}: query {query} has other words or another split before")
        if label == "E" and product in rows:
            wanted[split].setdefault(query, {})[rows[product]] = 1.0
    return wanted, texts, len(texts) - sum(map(len, wanted.values()))


def _rows(
    path: PathLike, columns: Sequence[str], chosen: Mapping[str, Sequence[Any]]
) -> dict[str, list[Any]]:
    """Return the columns of the rows whose values are among those chosen."""
    pa, parquet = import_pyarrow()
    with open(path, "rb"):
        pass  # what cannot be opened is an OSError; what fails after this is the content's fault
    try:
        names = parquet.read_schema(path).names
        for column in (*columns, *chosen):
            if column not in names:
                raise ValueError(
                    f"{path} has no column {column!r}; its columns: {', '.join(names)}"
                )
        filters = [(column, "in", list(values)) for column, values in chosen.items()]
        table = parquet.read_table(path, columns=list(columns), filters=filters)
    except (pa.ArrowException, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CorruptFileError(f"{path} cannot be read as Parquet: {reason}") from error
    return {column: table.column(column).to_pylist() for column in columns}
