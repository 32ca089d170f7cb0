"""Loaders: files of the field as a `Task`. Each reads files only and never the network."""

from __future__ import annotations

from collections.abc import Callable

from puresid.evaluation.loaders.beir import load_beir
from puresid.evaluation.loaders.esci import load_esci
from puresid.evaluation.loaders.interactions import load_interactions
from puresid.evaluation.loaders.lmindexer import load_lmindexer
from puresid.evaluation.loaders.minionerec import load_minionerec
from puresid.evaluation.loaders.recbole import load_recbole
from puresid.evaluation.task import Task

__all__ = [
    "LOADERS",
    "load_beir",
    "load_esci",
    "load_interactions",
    "load_lmindexer",
    "load_minionerec",
    "load_recbole",
]

LOADERS: dict[str, Callable[..., Task]] = {
    "interactions": load_interactions,
    "recbole": load_recbole,
    "minionerec": load_minionerec,
    "lmindexer": load_lmindexer,
    "esci": load_esci,
    "beir": load_beir,
}
"""By the names that configs have for them."""
