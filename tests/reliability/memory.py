"""How much memory reading asks for before it has seen that a header announces too much.

A process is preloaded with `asked.c`, which counts what malloc and anonymous maps are asked for,
touched or not, granted or not: what the kernel hands out on credit shows, and so does what it
refuses. Python's own allocator and Arrow's are told to go by malloc. Each file has some megabytes,
so that what any call costs does not count; each mutant announces more than there is, and is either
refused, and then what was asked for until then counts, or is taken for what it is (a number that
nobody goes by was changed), which is no lie and does not count. Where reading the intact file
itself takes more than 1.1 times its size, a file that is refused late may have taken as much.

``python -m ….memory KIND SEED COUNT FOLDER`` is the process.
"""

from __future__ import annotations

import ctypes
import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .announce import LARGE, announcing
from .fuzz_worker import LIMIT, _limit_memory, verdict
from .harness import with_package
from .loaders import loaders
from .running import Run
from .shim import Unavailable

SOURCE = Path(__file__).with_name("asked.c")
MOST = 1.1
KNOWN = {
    "vectors .parquet": "Arrow asks for what the header of a page announces",
}
"""Kinds whose library asks for more, and why: their problems are told and do not count."""

SLACK = 256 * 1024  # bytes: messages, parsed headers, buffers of streams


@functools.cache
def shared_object() -> Path:
    """Compile `asked.c`, once per process.

    Raises
    ------
    Unavailable
        No Linux with glibc, or no C compiler.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if sys.platform != "linux" or compiler is None:
        raise Unavailable("tests/reliability/asked.c needs Linux and a C compiler")
    folder = tempfile.TemporaryDirectory(prefix="puresid-asked-")
    _keep.append(folder)  # removed when the process ends
    built = Path(folder.name).resolve() / "asked.so"
    flags = ["-std=gnu11", "-O1", "-fPIC", "-shared", "-fvisibility=hidden"]
    done = subprocess.run(
        [compiler, *flags, "-o", str(built), str(SOURCE)], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise Unavailable(f"{compiler} cannot build asked.c: {done.stderr.strip()}")
    return built


_keep: list[tempfile.TemporaryDirectory[str]] = []


@dataclass
class Asked:
    """What a kind's mutants asked for: bytes of those refused, and those that were not.

    `intact` is what the intact file asked for.
    """

    name: str
    size: int
    intact: int
    refused: list[int] = field(default_factory=list)
    harmless: int = 0
    unclear: list[str] = field(default_factory=list)

    @property
    def worst(self) -> float:
        """The largest ratio to the file's size, without `SLACK`."""
        return max(0, max(self.refused, default=0) - SLACK) / self.size

    def problems(self) -> list[str]:
        most = max(MOST * self.size, self.intact) + SLACK
        over = sum(asked > most for asked in self.refused)
        found = [f"{self.name}: {message}" for message in self.unclear[:3]]
        if over:
            found.append(
                f"{self.name}: {over} of {len(self.refused)} headers that announce too much had "
                f"more asked for than {MOST} times the file's size and than the intact file, at "
                f"worst {self.worst:.2f} times the size"
            )
        return found


def measure(name: str, *, seed: int, count: int) -> Asked:
    """Let a process read mutants of a kind, and say what it asked for."""
    preload = {
        "LD_PRELOAD": str(shared_object()),
        "PYTHONMALLOC": "malloc",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }
    with tempfile.TemporaryDirectory(prefix="puresid-memory-") as folder:
        done = subprocess.run(
            [
                *(sys.executable, "-W", "ignore", "-m", __name__),
                *(name, str(seed), str(count), folder),
            ],
            env=with_package() | preload,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0 and done.returncode != -signal.SIGALRM:
            raise RuntimeError(f"the process of {name!r}: {done.returncode}: {done.stderr[-2000:]}")
        sizes, *lines = done.stdout.splitlines()
    found = Asked(name, *map(int, sizes.split()))
    if done.returncode:
        found.unclear.append(f"mutant {len(lines)} took more than {LIMIT} s")
    for number, line in enumerate(lines):
        said, asked, message = line.split("\t", 2)
        if said == "refused":
            found.refused.append(int(asked))
        elif said in ("equal", "different"):
            found.harmless += 1
        else:
            found.unclear.append(f"mutant {number}: {message}")
    return found


def memory(run: Run) -> None:
    """Measure every kind that announces sizes."""
    title = f"Memory asked for before validation, by {SOURCE.name}"
    ratios = ("worst ratio to the size", "that of the intact file")
    run.head(title, "kind", "bytes", "refused", "harmless", *ratios, "problems")
    for name in (name for name in LARGE if name in {one.name for one in loaders()}):
        if run.over or not run.chosen(name):
            continue
        found = measure(name, seed=run.options.seed, count=run.options.announcements)
        problems = found.problems()
        run.problems += [] if name in KNOWN else problems
        worst, intact = f"{found.worst:.3f}", f"{found.intact / found.size:.3f}"
        counts = (len(found.refused), found.harmless)
        told = f"known: {KNOWN[name]}" if problems and name in KNOWN else len(problems)
        run.say(name, f"{found.size:,}", *counts, worst, intact, told)


# ---- the process


def _lines(name: str, seed: int, count: int, folder: Path) -> Iterator[str]:
    asked = ctypes.CDLL(os.environ["LD_PRELOAD"])
    asked.asked_peak.restype = ctypes.c_int64
    loader = next(one for one in loaders() if one.name == name)
    path = folder / loader.kind.file
    LARGE[name](path)
    whole = path.read_bytes()
    right = loader.kind.read(path)  # imports what it needs
    asked.asked_reset()
    loader.kind.read(path)
    yield f"{len(whole)} {asked.asked_peak()}"
    _limit_memory()
    for number in range(count):
        content = announcing(loader, random.Random(f"{name}/{seed}/{number}"), whole)
        path.unlink()
        path.write_bytes(content)
        del content
        signal.alarm(LIMIT)
        asked.asked_reset()
        said, message = verdict(loader, path, right)
        peak = asked.asked_peak()
        signal.alarm(0)
        yield f"{said}\t{peak}\t{' '.join(message.split())[:300]}"


if __name__ == "__main__":
    for line in _lines(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])):
        print(line, flush=True)
