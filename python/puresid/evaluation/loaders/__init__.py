"""Loaders: files of the field as a `Task`. Each reads files only and never the network.

>>> from puresid.evaluation.loaders import load_task
>>> task = load_task("interactions", {"interactions": "beauty/interactions.json"})  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from puresid._formats import PathLike
from puresid.evaluation.loaders.beir import load_beir
from puresid.evaluation.loaders.esci import load_esci
from puresid.evaluation.loaders.interactions import load_interactions
from puresid.evaluation.loaders.lmindexer import load_lmindexer
from puresid.evaluation.loaders.minionerec import load_minionerec
from puresid.evaluation.loaders.recbole import load_recbole
from puresid.evaluation.task import Task

__all__ = [
    "LOADERS",
    "LoaderFiles",
    "load_beir",
    "load_esci",
    "load_interactions",
    "load_lmindexer",
    "load_minionerec",
    "load_recbole",
    "load_task",
]


@dataclass(frozen=True)
class LoaderFiles:
    """A loader, and what the files that it takes are called.

    Attributes
    ----------
    load : callable
        Takes the files by name, and ``name``.
    needed, optional : tuple of str
        Names of files.
    has_histories : bool
        Whether it takes ``max_history``.
    """

    load: Callable[..., Task]
    needed: tuple[str, ...]
    optional: tuple[str, ...]
    has_histories: bool


LOADERS: dict[str, LoaderFiles] = {
    "interactions": LoaderFiles(load_interactions, ("interactions",), ("items",), True),
    "recbole": LoaderFiles(load_recbole, ("inter",), ("item",), True),
    "minionerec": LoaderFiles(load_minionerec, ("test", "valid", "items"), ("train",), True),
    "lmindexer": LoaderFiles(load_lmindexer, ("test", "codes"), ("valid", "train", "items"), False),
    "esci": LoaderFiles(load_esci, ("examples", "products"), ("catalogue",), False),
    "beir": LoaderFiles(load_beir, ("corpus", "queries", "test"), ("valid", "train"), False),
}


def load_task(
    loader: str,
    files: Mapping[str, PathLike],
    *,
    name: str | None = None,
    max_history: int | None = None,
) -> Task:
    """Load a task by the name of its loader, all other options at their defaults.

    Parameters
    ----------
    loader : str
        A key of `LOADERS`.
    files : mapping of str to path
        By the names that the loader gives them.
    name : str, optional
        What reports call the task.
    max_history : int, optional
        For recommendation; other tasks have no histories and pass it by.

    Returns
    -------
    Task

    Raises
    ------
    ValueError
        Unknown loader, a file is missing or unknown to it, or as the loader.
    CorruptFileError, ImportError, OSError
        As the loader.
    """
    if loader not in LOADERS:
        raise ValueError(f"loader is {loader!r}; one of {', '.join(LOADERS)} is needed")
    kind = LOADERS[loader]
    known = (*kind.needed, *kind.optional)
    for given in files:
        if given not in known:
            raise ValueError(f"files has {given!r}; the loader {loader} takes {', '.join(known)}")
    for needed in kind.needed:
        if needed not in files:
            raise ValueError(
                f"files has no {needed!r}; the loader {loader} needs {', '.join(kind.needed)}"
            )
    if kind.has_histories:
        return kind.load(**files, name=name, max_history=max_history)
    return kind.load(**files, name=name)
