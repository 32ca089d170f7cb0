"""Programs to disturb: what puresid writes today, as a library and as a command.

Each takes the place of an old file, and `either` compares bytes: it is the old one or the new one,
whole. Add a victim here and both forms of the suite run it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from .sweep import NEW, OLD, Victim

IMPORTS = """
import numpy as np
import puresid, puresid.cli, puresid.summary, safetensors.numpy
from puresid import Codebooks
from puresid.decoding import SidTrie
from puresid.atomic import atomic_write
from puresid.files import open_vectors, read_sids, write_sids
try:
    puresid._formats.sid_table(np.zeros((1, 1), np.uint16), None, None)  # imports what it needs
except ImportError:
    pass
sids = np.arange(36, dtype=np.uint16).reshape(12, 3)
"""
_OLD_BYTES = b"old" * 100
_COMMAND = "puresid.cli.main({arguments!r}, prog_name='puresid')"

_new_bytes: dict[str, bytes] = {}


def either(name: str, key: str) -> Callable[[Path], str]:
    """A state by one file's bytes: those that `prepare` wrote, or those of the first new run."""

    def state(folder: Path) -> str:
        content = (folder / name).read_bytes()
        if content == _OLD_BYTES:
            return OLD
        # The first run is undisturbed, so its bytes are what every other run is held to.
        return NEW if content == _new_bytes.setdefault(key, content) else "torn"

    return state


def _old(name: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / name).write_bytes(_OLD_BYTES)

    return prepare


def _library(key: str, name: str, script: str) -> Victim:
    return Victim(key, IMPORTS, script, _old(name), either(name, key), message="Error")


def _inputs(folder: Path) -> None:
    from puresid import Codebooks

    rng = np.random.default_rng(1)
    np.save(folder / "vectors.npy", rng.normal(size=(20, 4)).astype(np.float32))
    Codebooks([rng.normal(size=(4, 4)) for _ in range(3)]).save(folder / "codebooks.safetensors")
    from puresid.files import write_sids

    write_sids(folder / "made.npy", np.arange(36, dtype=np.uint16).reshape(12, 3))


def _command(key: str, name: str, *arguments: str) -> Victim:
    def prepare(folder: Path) -> None:
        _inputs(folder)
        _old(name)(folder)

    return Victim(
        key,
        IMPORTS,
        _COMMAND.format(arguments=list(arguments)),
        prepare,
        either(name, key),
        statuses=(0, 2, 5),
        interrupted=130,
        message="puresid: error: ",
        plain=True,
    )


def victims(*, parquet: bool) -> list[Victim]:
    """All of them; those with Parquet only where pyarrow is there."""
    found = [
        _library(
            "atomic_write in pieces",
            "file",
            "with atomic_write('file') as handle:\n"
            "    for piece in range(3): handle.write(b'piece' * 30); handle.flush()",
        ),
        _library("write_sids npy", "sids.npy", "write_sids('sids.npy', sids)"),
        _library("write_sids json", "s.index.json", "write_sids('s.index.json', sids)"),
        _library(
            "Codebooks.save",
            "c.safetensors",
            "Codebooks([np.eye(4), np.ones((3, 4))]).save('c.safetensors')",
        ),
        _library("SidTrie.save", "t.safetensors", "SidTrie(sids).save('t.safetensors')"),
        _command(
            "puresid assign",
            "out.npy",
            *("assign", "vectors.npy", "--codebooks", "codebooks.safetensors"),
            *("-o", "out.npy", "--threads", "1"),
        ),
        _command(
            "puresid export",
            "out.index.json",
            *("export", "made.npy", "-o", "out.index.json", "--format", "index.json"),
        ),
    ]
    if parquet:
        script = "write_sids('sids.parquet', sids)"
        found.append(_library("write_sids parquet", "sids.parquet", script))
    return found
