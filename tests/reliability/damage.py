"""Files cut short and with changed bytes: what reading them comes to.

A worker process reads one damaged copy after the other (`python -m ….damage`), and says of each:

- ``refused``: a ValueError that names the file, or a place that the kind says;
- ``equal``: the same result as from the intact file;
- ``different``: another result, taken for good. Without a checksum there must be some;
- ``unclear``: another exception, or a message without the file's name; running out of memory
  belongs here: the worker may ask for `MEMORY` more than it had after reading the intact file.

If the worker dies, that copy is a ``crash`` (or a ``hang``, if by the alarm), and another worker
goes on after it.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .catalog_kinds import catalog_kinds
from .deadly import BROKEN, DEADLY
from .harness import with_package
from .kinds import Kind, kinds

VERDICTS = ("refused", "equal", "different", "unclear", "crash", "hang")
MEMORY = 1 << 30
LIMIT = 60  # seconds for one copy; only turns a hang into a failure


@dataclass(frozen=True)
class Damage:
    """One change: the file cut to `place` bytes, or its byte at `place` changed by `mask`."""

    place: int
    mask: int = 0

    def apply(self, whole: bytes) -> bytes:
        if self.mask == 0:
            return whole[: self.place]
        return b"".join(
            (whole[: self.place], bytes([whole[self.place] ^ self.mask]), whole[self.place + 1 :])
        )

    def __str__(self) -> str:
        if self.mask == 0:
            return f"cut to {self.place} bytes"
        return f"byte {self.place} changed by {self.mask:#04x}"


@dataclass
class Readings:
    """What came of a kind's damaged copies."""

    kind: Kind
    size: int
    verdicts: dict[Damage, str] = field(default_factory=dict)
    messages: dict[Damage, str] = field(default_factory=dict)

    def count(self, *, cuts: bool) -> Counter[str]:
        """Copies per verdict, of those cut or of those flipped."""
        return Counter(v for damage, v in self.verdicts.items() if (damage.mask == 0) == cuts)

    def those(self, *verdicts: str) -> list[Damage]:
        return [damage for damage, verdict in self.verdicts.items() if verdict in verdicts]

    def problems(self) -> list[str]:
        """What must not be: crashes, hangs, unclear errors; any acceptance with a checksum."""
        bad = {"unclear", "crash", "hang"} | ({"equal", "different"} & _accepted(self.kind))
        return [
            f"{self.kind.name}, {damage}: {verdict}: {self.messages.get(damage, '')}"
            for damage, verdict in self.verdicts.items()
            # A cut file is never right, whatever the format.
            if verdict in bad or (damage.mask == 0 and verdict == "different")
        ]

    def undetected(self) -> str:
        """Where changed bytes went unseen, as ranges."""
        return _ranges(sorted({d.place for d in self.those("different") if d.mask}))


def _accepted(kind: Kind) -> set[str]:
    return {"equal", "different"} if kind.checksummed else set()


def _ranges(places: list[int]) -> str:
    parts: list[list[int]] = []
    for place in places:
        if parts and place == parts[-1][1] + 1:
            parts[-1][1] = place
        else:
            parts.append([place, place])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def damages(size: int, *, masks: int = 1, step: int = 1) -> list[Damage]:
    """Every cut and, at every place, changes: 1 (a bit that moves on), 8 (each bit) or 255 (all).

    With a `step`, only every so many of them.
    """
    cuts = [Damage(length) for length in range(size)]
    if masks == 1:
        flips = [Damage(place, 1 << (place * 5 % 8)) for place in range(size)]
    else:
        values = [1 << bit for bit in range(8)] if masks == 8 else range(1, masks + 1)
        flips = [Damage(place, mask) for place in range(size) for mask in values]
    return (cuts + flips)[::step]


def read_damaged(kind: Kind, todo: list[Damage] | None = None, *, masks: int = 1) -> Readings:
    """Read damaged copies of a kind's golden file; by default all cuts and one change a byte."""
    with tempfile.TemporaryDirectory(prefix="puresid-damage-") as name:
        folder = Path(name)
        golden = folder / kind.file
        kind.write(golden)
        size = golden.stat().st_size
        todo = damages(size, masks=masks) if todo is None else todo
        orders = "".join(f"{damage.place} {damage.mask}\n" for damage in todo)
        folder.joinpath("orders").write_text(orders)
        found = Readings(kind, size)
        while len(found.verdicts) < len(todo):
            _work(kind, golden, todo, found)
    return found


def _work(kind: Kind, golden: Path, todo: list[Damage], found: Readings) -> None:
    """Let a worker read the copies that are left; the one that it dies of, too, has a verdict."""
    results = golden.with_name("results")
    results.write_bytes(b"")
    first = len(found.verdicts)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", __name__, kind.name, str(golden), str(first)],
        env=with_package(),
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = results.read_text().splitlines()
    for damage, line in zip(todo[first:], lines, strict=False):
        found.verdicts[damage], found.messages[damage] = line.split("\t", 1)
    if done.returncode > 0:
        raise RuntimeError(f"a worker failed of itself: {done.stderr}")
    if done.returncode < 0:
        damage = todo[first + len(lines)]
        found.verdicts[damage] = "hang" if -done.returncode == signal.SIGALRM else "crash"
        found.messages[damage] = f"signal {-done.returncode}: {done.stderr[-2000:]}"


# ---- the worker


def _verdict(kind: Kind, path: Path, right: bytes) -> tuple[str, str]:
    try:
        found = kind.read(path)
    except ValueError as error:
        named = any(place in str(error) for place in (path.name, *kind.places))
        return ("refused" if named else "unclear"), repr(error)
    except BaseException as error:  # a panic of a Rust library derives from it alone
        return "unclear", repr(error)
    return ("equal" if found == right else "different"), ""


def main(name: str, golden_path: str, first: str) -> None:
    """Read the copies from number `first` on; a line per copy goes to the file ``results``."""
    every = (*kinds(parquet=True), *catalog_kinds(), DEADLY, BROKEN)
    kind = next(kind for kind in every if kind.name == name)
    golden = Path(golden_path)
    whole = golden.read_bytes()
    right = kind.read(golden)
    orders = golden.with_name("orders").read_text().splitlines()[int(first) :]
    results = os.open(golden.with_name("results"), os.O_WRONLY | os.O_APPEND)
    copy = golden.with_name(f"damaged-{golden.name}")
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    if pages:
        most = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for order in orders:
        place, mask = map(int, order.split())
        # A new file each time: an old one may still be mapped.
        copy.unlink(missing_ok=True)
        copy.write_bytes(Damage(place, mask).apply(whole))
        signal.alarm(LIMIT)
        verdict, message = _verdict(kind, copy, right)
        signal.alarm(0)
        message = " ".join(message.split())
        os.write(results, f"{verdict}\t{message}\n".encode(errors="backslashreplace"))


if __name__ == "__main__":
    main(*sys.argv[1:])
