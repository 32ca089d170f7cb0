"""What all cells of a run share: the task, the codebooks and the SIDs of every arm."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid import _docs
from puresid.codebooks import Codebooks
from puresid.evaluation.arms import Arm, make_arm, nearest
from puresid.evaluation.config import FilePath, QuantizerConfig, RunConfig, TaskConfig
from puresid.evaluation.loaders import LOADERS
from puresid.evaluation.splits import split_masks
from puresid.evaluation.task import Task
from puresid.files import read_vectors


@dataclass(frozen=True, eq=False)
class Setup:
    """A run before its first training.

    Attributes
    ----------
    task : Task
        With vectors, and with as many test queries as the config asks for.
    codebooks : Codebooks
    arms : dict of str to Arm
    splits : dict of str to ndarray, shape (Q,), bool
        Of the test queries; see `split_masks`.
    facts : dict
        What results say of task and arms.
    """

    task: Task
    codebooks: Codebooks
    arms: dict[str, Arm]
    splits: dict[str, npt.NDArray[np.bool_]]
    facts: dict[str, Any]


def prepare(config: RunConfig, *, threads: int | None = None) -> Setup:
    """Load the task, train the quantizer and give every item its SID, arm by arm.

    Parameters
    ----------
    config : RunConfig
    threads : int, optional
        As for `puresid.assign`. The result does not depend on it.

    Raises
    ------
    ValueError
        If the data are not what the config says, such as another number of vectors than items.
    CapacityError
        If there are more items than SIDs.
    """
    task = load_task(config.task)
    vectors = task.catalogue.vectors
    books = make_codebooks(config.quantizer, vectors, config.quantizer.levels, threads=threads)
    deeper = None
    if "deeper" in config.arms.names:
        levels = config.quantizer.levels + 1
        deeper = make_codebooks(config.quantizer, vectors, levels, threads=threads)
    start = nearest(vectors, books, threads=threads)
    arms = {
        name: make_arm(
            name,
            vectors,
            books,
            deeper=deeper,
            random_state=config.quantizer.random_state,
            threads=threads,
        )
        for name in config.arms.names
    }
    splits = split_masks(task, start.sids, moved=start.moved)
    facts = {
        "task": {
            "name": task.name,
            "kind": task.kind,
            "items": len(task.catalogue),
            "moved_items": int(start.moved.sum()),
            "test_queries": len(task.test),
            "test_users": len(np.unique(task.test.clusters)),
            "training_targets": int(task.target_counts().sum()),
            "conflict_rate": start.conflict_rate,
            "notes": list(task.notes),
        },
        "quantizer": {"sizes": list(books.sizes), "distortion": start.distortion},
        "arms": {name: arm.facts() for name, arm in arms.items()},
    }
    return Setup(task, books, arms, splits, facts)


def load_task(config: TaskConfig) -> Task:
    """Load what a config names.

    Raises
    ------
    ValueError
        If `files` or `options` have other names than the loader, vectors are missing or not one
        per item.
    """
    if config.loader == "demo":
        from puresid.evaluation.demo_task import demo_task

        task = _called(demo_task, config.options, "demo")
    else:
        arguments = {**config.files, **config.options}
        task = _called(LOADERS[config.loader], arguments, config.loader)
    if config.vectors == "tfidf":
        if task.catalogue.texts is None:
            raise ValueError(f"[task] vectors is 'tfidf'; the items of {task.name} have no texts")
        task = task.with_vectors(_docs.text_vectors(task.catalogue.texts, config.dim))
    elif config.vectors is not None:
        task = task.with_vectors(read_vectors(Path(config.vectors)))
    if task.catalogue.vectors is None:
        raise ValueError(
            f"the items of {task.name} have no vectors; [task] vectors must name a file of them"
        )
    if 0 < config.limit_queries < len(task.test):
        note = f"only the first {config.limit_queries:,} of {len(task.test):,} test queries"
        first = task.test.first(config.limit_queries)
        task = replace(task, test=first, notes=(*task.notes, note))
    return task


def _called(load: Any, arguments: Mapping[str, Any], loader: str) -> Task:
    try:
        inspect.signature(load).bind(**arguments)
    except TypeError as error:
        known = ", ".join(inspect.signature(load).parameters)
        raise ValueError(f"[task] for the loader {loader!r}: {error}; it takes {known}") from None
    task: Task = load(**arguments)
    return task


def make_codebooks(
    config: QuantizerConfig, vectors: Any, levels: int, *, threads: int | None = None
) -> Codebooks:
    """Train or read codebooks.

    Parameters
    ----------
    config : QuantizerConfig
    vectors : ndarray, shape (N, D), float32
    levels : int
        May be one more than the config's, with the last size once more.
    threads : int, optional

    Raises
    ------
    ValueError
        If a file's codebooks are asked to be deeper than they are.
    """
    if config.codebooks is not None:
        books = Codebooks.load(config.codebooks.path)
        if levels != config.levels:
            raise ValueError(
                "the arm 'deeper' needs a quantizer that is trained: [quantizer] kind is 'file'"
            )
        return books
    size = config.size
    sizes = (size,) * levels if isinstance(size, int) else (*size, size[-1])[:levels]
    trainer = config.trainer()
    options = dict(config.options)
    if config.kind == "hierarchical":
        made = trainer(sizes, random_state=config.random_state, threads=threads, **options)
    elif config.kind == "rqvae":
        made = trainer(levels, sizes, random_state=config.random_state, **options)
    else:
        made = trainer(levels, sizes, random_state=config.random_state, threads=threads, **options)
    fitted: Codebooks = made.fit(vectors).codebooks
    return fitted


def files_of(config: RunConfig) -> Iterator[FilePath]:
    """Yield the files and folders that a run reads."""
    for value in config.task.files.values():
        yield from value if isinstance(value, tuple) else (value,)
    for named in (config.task.vectors, config.quantizer.codebooks, config.model.path):
        if isinstance(named, FilePath):
            yield named


def save_arms(setup: Setup, folder: Path) -> None:
    """Write the codebooks and each arm's SIDs, so that a run's IDs can be looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    setup.codebooks.save(folder / "codebooks.safetensors")
    for name, arm in setup.arms.items():
        np.save(folder / f"{name}.npy", arm.sids.astype(np.uint32))
