"""What all cells of a run share: the task, the codebooks and the SIDs of every arm."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid import _docs
from puresid.codebooks import Codebooks
from puresid.evaluation._local import local_folder
from puresid.evaluation.arms import Arm, make_arm, nearest
from puresid.evaluation.config import FilePath, QuantizerConfig, RunConfig, TaskConfig
from puresid.evaluation.loaders import LOADERS
from puresid.evaluation.splits import split_masks
from puresid.evaluation.task import Task
from puresid.files import read_vectors, write_sids


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


def prepare(
    config: RunConfig,
    task: Task,
    folder: Path,
    *,
    threads: int | None = None,
    device: str = "auto",
) -> Setup:
    """Train the quantizer and give every item its SID, arm by arm.

    Parameters
    ----------
    config : RunConfig
    task : Task
        See `load_task`.
    folder : Path
        Where codebooks are kept, and each arm's SIDs to be looked at. Codebooks that are there are
        taken: training them again may give others on another machine.
    threads : int, optional
        As for `puresid.assign`. SIDs do not depend on it.
    device : {"auto", "cpu"}
        Where an RQ-VAE trains.

    Raises
    ------
    ValueError
        If a quantizer that is read from a file is asked to be deeper.
    CapacityError
        If there are more items than SIDs.
    """
    vectors = task.catalogue.vectors
    levels = config.quantizer.levels
    how = {"threads": threads, "device": device}
    folder.mkdir(parents=True, exist_ok=True)
    books = _kept_codebooks(config.quantizer, vectors, levels, folder, how)
    deeper = None
    if "deeper" in config.arms.names:
        deeper = _kept_codebooks(config.quantizer, vectors, levels + 1, folder, how)
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
    for name, arm in arms.items():
        write_sids(folder / f"{name}.npy", arm.sids)
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

    Returns
    -------
    Task
        With vectors. Its test queries are those that are asked: maybe of the validation, maybe
        only the first.

    Raises
    ------
    ValueError
        If `files` or `options` have other names than the loader, vectors are missing or not one
        per item, or there is nothing to train on.
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
    if task.train is not None and len(task.train) == 0 and not config.text_task:
        raise ValueError(
            f"{task.name} has no training queries; name a file of them in [task] files, or set "
            "text_task"
        )
    if config.ask == "validation":
        if len(task.validation) == 0:
            raise ValueError(f"[task] ask is 'validation'; {task.name} has no such queries")
        task = replace(task, test=task.validation, notes=(*task.notes, "asked: the validation"))
    if 0 < config.limit_queries < len(task.test):
        note = f"only the first {config.limit_queries:,} of {len(task.test):,} queries"
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


def _kept_codebooks(
    config: QuantizerConfig, vectors: Any, levels: int, folder: Path, how: Mapping[str, Any]
) -> Codebooks:
    path = folder / f"codebooks-{levels}.safetensors"
    if path.exists():
        return Codebooks.load(path)
    books = make_codebooks(config, vectors, levels, **how)
    books.save(path)
    return books


def make_codebooks(
    config: QuantizerConfig,
    vectors: Any,
    levels: int,
    *,
    threads: int | None = None,
    device: str = "auto",
) -> Codebooks:
    """Train or read codebooks.

    Parameters
    ----------
    config : QuantizerConfig
    vectors : ndarray, shape (N, D), float32
    levels : int
        May be one more than the config's, with the last size once more.
    threads : int, optional
    device : {"auto", "cpu"}
        Where an RQ-VAE trains.

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
    options = {"random_state": config.random_state, "threads": threads, **config.options}
    if config.kind == "rqvae":
        options["device"] = device
    made = (
        trainer(sizes, **options)
        if config.kind == "hierarchical"
        else trainer(levels, sizes, **options)
    )
    fitted: Codebooks = made.fit(vectors).codebooks
    return fitted


def files_of(config: RunConfig) -> Iterator[FilePath]:
    """Yield the files and folders that a run reads."""
    for value in config.task.files.values():
        yield from value if isinstance(value, tuple) else (value,)
    for named in (config.task.vectors, config.quantizer.codebooks, config.model.path):
        if isinstance(named, FilePath):
            yield named
    if isinstance(config.model.path, str) and config.model.path:  # a name
        yield FilePath(config.model.path, local_folder(config.model.path))


def digest(task: Task) -> str:
    """Return the SHA-256 of what a run makes of a task: rows, queries, texts and vectors."""
    found = hashlib.sha256()

    def add(values: Any) -> None:
        if isinstance(values, np.ndarray):
            found.update(f"{values.dtype.str}{values.shape}".encode())
            found.update(np.ascontiguousarray(values).data)
        elif isinstance(values, tuple):
            found.update(f"({len(values)}".encode())
            for value in values:
                add(value)
        elif is_dataclass(values):
            for each in fields(values):
                add(getattr(values, each.name))
        else:
            found.update(repr(values).encode())

    add(task)
    return found.hexdigest()
