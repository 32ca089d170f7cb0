"""Calls of a `Catalog`, and commands, as victims: the old or the new generation, whatever fails.

Each script may be run again after it was killed: it does nothing where its work is done. What it
ends in is told by bytes: those of every file that has its name for good, but for ``catalog.json``,
which holds a number by chance.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from .sweep import NEW, OLD, Victim

Files = dict[str, bytes]

# What scripts begin with: it runs before the victim, undisturbed.
IMPORTS = """
import numpy as np
from puresid.catalog import Catalog, CatalogError

LEVELS = [np.arange(-3, 4, dtype=np.float32).reshape(7, 1) * scale for scale in (9, 3, 1)]
OTHER = [level[::-1] + 1 for level in LEVELS]

def vectors(first, count, shift=0.0):
    return (np.arange(first, first + count) * 7 % 40 - 20 + shift).astype(np.float32).reshape(-1, 1)

def names(first, count):
    return [f"item {number}" for number in range(first, first + count)]
"""
_OLD = """
c = Catalog.create("c", LEVELS, capacity=2, recycle_after=1, config={"name": "nightly"})
c.add(names(0, 12), vectors(0, 12))
c.remove(names(2, 3))
c.update(names(0, 1), vectors(9, 1))
"""
SCRIPTS = {
    "create": """
try:
    Catalog.open("c")
except CatalogError:
    Catalog.create("c", LEVELS, capacity=2)
""",
    "add": 'Catalog.open("c").add(names(20, 9), vectors(0, 9), existing="skip")',
    "remove": 'Catalog.open("c").remove(names(5, 4), missing="skip")',
    "update": 'Catalog.open("c").update(names(5, 4), vectors(5, 4, 0.25))',
    "update, reassign": (
        'Catalog.open("c").update(names(5, 4), vectors(5, 4, 0.25), reassign=True)'
    ),
    "migrate": """
c = Catalog.open("c")
if c.epoch == 1:
    c.migrate(OTHER, c.items().keys.tolist(), vectors(0, len(c)), align=False)
""",
    "collect_garbage": 'Catalog.open("c").collect_garbage(keep=2)',
}
# The same by the command line; batches and keys lie beside the catalogue.
COMMANDS = {
    "create": ("create", "c", "--codebooks", "levels.safetensors", "--capacity", "2"),
    "add": ("add", "c", "new.npy", "--keys", "new.txt", "--threads", "1"),
    "remove": ("remove", "c", "gone.txt", "--missing", "skip"),
    "gc": ("gc", "c", "--keep", "2"),
}
COMMAND_IMPORTS = f"""{IMPORTS}
import puresid, puresid.cli
try:
    import puresid.catalog.inputs
except ImportError:  # commands came later than calls
    pass
"""
_INPUTS = """
np.save("new.npy", vectors(0, 9))
for file, keys in (("new.txt", names(20, 9)), ("gone.txt", names(5, 4))):
    with open(file, "w") as handle:
        handle.write("\\n".join(keys) + "\\n")
puresid.Codebooks(LEVELS).save("levels.safetensors")
"""
_FOR_GOOD = re.compile(r"generations/\d{8}\.json|files/[a-z]+-[0-9a-f]{20}\.safetensors")


def catalog_victims() -> list[Victim]:
    """All of them; those by the command line where it has the commands."""
    found = [_call(name, script) for name, script in SCRIPTS.items()]
    if importlib.util.find_spec("puresid.cli.catalog") is not None:
        found += [_command(name, arguments) for name, arguments in COMMANDS.items()]
    return found


def _call(name: str, script: str) -> Victim:
    ends = Ends("" if name == "create" else _OLD, script)
    return Victim(
        f"Catalog.{name}",
        IMPORTS,
        script,
        ends.prepare,
        ends.collecting if name == "collect_garbage" else ends.publishing,
        message="Error",
        settled=ends.settled,
        published="c/generations/",
    )


def _command(name: str, arguments: tuple[str, ...]) -> Victim:
    script = f"puresid.cli.main({['catalog', *arguments]!r}, prog_name='puresid')"
    ends = Ends(_INPUTS + ("" if name == "create" else _OLD), script)
    return Victim(
        f"puresid catalog {name}",
        COMMAND_IMPORTS,
        script,
        ends.prepare,
        ends.collecting if name == "gc" else ends.publishing,
        statuses=(0, 2, 5),
        interrupted=130,
        message="puresid: error: ",
        plain=True,
        settled=ends.settled,
        published="c/generations/",
    )


def _run(script: str, folder: Path) -> None:
    """Run a script here, undisturbed, in this folder."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(f"{COMMAND_IMPORTS if 'puresid.' in script else IMPORTS}\n{script}", {})
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{script} ended with status {end.code}") from end
    finally:
        os.chdir(here)


def files_for_good(catalogue: Path) -> Files:
    """The bytes of each file that has its name for good."""
    paths = {path.relative_to(catalogue).as_posix(): path for path in catalogue.rglob("*")}
    return {name: path.read_bytes() for name, path in paths.items() if _FOR_GOOD.fullmatch(name)}


def manifests(files: Files) -> Files:
    return {name: content for name, content in files.items() if name.startswith("generations/")}


class Ends:
    """The old state and the new one of a script, as undisturbed runs here make them."""

    def __init__(self, old: str, script: str) -> None:
        self._old, self._script = old, script

    @cached_property
    def _ends(self) -> tuple[tuple[Files, object], tuple[Files, object]]:
        with tempfile.TemporaryDirectory(prefix="puresid-catalog-") as name:
            folder = Path(name)
            self.prepare(folder)
            old = files_for_good(folder / "c"), _items(folder / "c")
            _run(self._script, folder)
            return old, (files_for_good(folder / "c"), _items(folder / "c"))

    def prepare(self, folder: Path) -> None:
        if self._old:
            _run(self._old, folder)

    def publishing(self, folder: Path) -> str:
        """Say which of the two a folder is in, to whoever opens it."""
        (old, old_items), (new, new_items) = self._ends
        found, items = files_for_good(folder / "c"), _items(folder / "c")
        if not found.items() <= (old | new).items():
            return f"with files that nobody wrote: {sorted(found.keys() - (old | new).keys())}"
        if manifests(found) == manifests(new):
            return NEW if found == new and items == new_items else "new, but not all of it"
        if manifests(found) == manifests(old):
            return OLD if old.items() <= found.items() and items == old_items else "not all old"
        return f"neither: {sorted(manifests(found))}"

    def collecting(self, folder: Path) -> str:
        """Say whether garbage is left; whatever was needed must be there."""
        (old, items), (new, _) = self._ends
        found = files_for_good(folder / "c")
        if not new.items() <= found.items() <= old.items() or _items(folder / "c") != items:
            return "without a file that was needed"
        return NEW if found == new else OLD

    def settled(self, folder: Path) -> Iterator[str]:
        """Say what is not as an undisturbed run leaves it."""
        from puresid.catalog import Catalog

        new, _ = self._ends[1]
        if files_for_good(folder / "c") != new:
            yield "the next run ended in other bytes"
        catalog = Catalog.open(folder / "c")
        catalog.collect_garbage(keep=99)
        left = [path.name for path in folder.rglob(".puresid-*")]
        if left or files_for_good(folder / "c") != new:
            yield f"the garbage collection left {left}, or took too much"


def _items(catalogue: Path) -> object:
    """What a reader finds: all items, their order and places; None where there is no generation."""
    from puresid.catalog import Catalog, CatalogError

    try:
        catalog = Catalog.open(catalogue)
    except CatalogError:
        return None
    problems = catalog.verify()
    if problems:
        raise ValueError(f"verify: {problems}")
    items = catalog.items()
    slots = None if items.slots is None else items.slots.tolist()
    return catalog.generation, catalog.epoch, items.keys.tolist(), items.sids.tolist(), slots
