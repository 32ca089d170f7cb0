"""A process that reads one mutant of a file after the other: ``python -m ….fuzz_worker``.

Mutant number `n` of a kind and seed is always the same, so that what was found can be made again:
``python -m tests.reliability.fuzz_worker KIND SEED N --write FILE``. Of each mutant a line goes to
the results: the verdict, as in `damage`, and what was said. A line that is missing at the end is
that of the mutant that the process died of.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

from .loaders import Loader, loaders
from .mutations import mutate

MEMORY = 1 << 30  # beyond what the process had after the intact file
LIMIT = 20  # seconds for one mutant; only turns a hang into a finding


def mutant(loader: Loader, seed: int, number: int, whole: bytes) -> bytes:
    """Make a mutant, a function of the kind, the seed and the number."""
    chance = random.Random(f"{loader.name}/{seed}/{number}")
    try:
        return mutate(loader.form, chance, whole)
    except (LookupError, RecursionError, ValueError):  # changed twice, it may have lost its form
        return mutate("bytes", chance, whole)


def verdict(loader: Loader, path: Path, right: bytes) -> tuple[str, str]:
    """Read a file; what must not be is ``unclear``."""
    kind = loader.kind
    try:
        found = kind.read(path)
    except loader.errors as error:
        return "refused", repr(error)
    except (ValueError, OSError) as error:
        named = any(place in str(error) for place in (path.name, *kind.places))
        return ("refused" if named else "unclear"), repr(error)
    except BaseException as error:
        return "unclear", repr(error)
    return ("equal" if found == right else "different"), ""


def _limit_memory() -> None:
    if sys.platform != "linux":
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def work(loader: Loader, seed: int, numbers: range, until: float, folder: Path) -> None:
    """Read mutants until they or the time are at an end."""
    golden = folder / loader.kind.file
    loader.kind.write(golden)
    whole = golden.read_bytes()
    right = loader.kind.read(golden)
    _limit_memory()
    results = os.open(folder / "results", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in numbers:
        if time.monotonic() > until:
            break
        content = mutant(loader, seed, number, whole)
        golden.unlink()  # an old one may still be mapped
        golden.write_bytes(content)
        signal.alarm(LIMIT)
        said, message = verdict(loader, golden, right)
        signal.alarm(0)
        message = " ".join(message.split())[:500] if said == "unclear" else ""
        os.write(results, f"{said}\t{message}\n".encode(errors="backslashreplace"))


def main(arguments: list[str]) -> None:
    """``KIND SEED FIRST LAST UNTIL FOLDER``, or ``KIND SEED NUMBER --write FILE``."""
    loader = next(one for one in loaders() if one.name == arguments[0])
    seed, first = int(arguments[1]), int(arguments[2])
    if arguments[3] == "--write":
        path = Path(arguments[4])
        loader.kind.write(path.with_name(loader.kind.file))
        whole = path.with_name(loader.kind.file).read_bytes()
        path.write_bytes(mutant(loader, seed, first, whole))
        return
    numbers = range(first, int(arguments[3]))
    work(loader, seed, numbers, float(arguments[4]), Path(arguments[5]))


if __name__ == "__main__":
    main(sys.argv[1:])
