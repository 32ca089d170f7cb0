"""The long form: ``python -m tests.reliability``, from the repository's root.

Prints tables in Markdown and every problem; the exit status is 1 if there is one.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

from . import catalog_parts
from .catalog_kinds import catalog_kinds
from .catalog_victims import catalog_victims
from .damage import VERDICTS, damages, read_damaged
from .determinism import determinism
from .fuzz import fuzz
from .harness import Faults, Plan
from .hostile import hostile
from .kinds import has_pyarrow, kinds
from .memory import memory
from .oracle import oracle
from .processes import processes
from .running import Run
from .shim import Unavailable
from .sweep import Sweep, Victim, sweep
from .victims import victims

COUNTED = ("kill", "torn", "short", "interrupt", "ENOSPC", "EIO")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="What to run; may be repeated. [all]"
    )
    parser.add_argument("--only", help="Only victims and kinds with this in their names.")
    parser.add_argument("--seed", type=int, default=1, help="Of all that goes by chance. [1]")
    parser.add_argument(
        "--kills", type=int, default=1000, help="Random kills in all, and of Catalog.add. [1000]"
    )
    catalog_parts.add_options(parser)
    parser.add_argument(
        "--masks",
        type=int,
        choices=(1, 8, 255),
        default=8,
        help="Changes of each byte: one bit, each bit, or all values. [8]",
    )
    parser.add_argument(
        "--minutes", type=float, help="Start nothing new after so long; cut short is no problem."
    )
    _add_counts(parser)
    parser.add_argument(
        "--build", help="Where to build C++, to be used again. [a folder that goes]"
    )
    return parser.parse_args(arguments)


def _add_counts(parser: argparse.ArgumentParser) -> None:
    for name, default, text in (
        ("announcements", 300, "Headers of each kind that announce too much."),
        ("tiny", 1_000_000, "Tiny instances that the core's twin has an answer for."),
        ("medium", 10_000, "Medium ones."),
        ("slow-instances", 3000, "Instances for the oracle in Python."),
        ("rows", 20_000, "Items whose answers are hashed."),
        ("cases", 40_000, "Hostile calls, and as many hostile keys and segments."),
        ("repeats", 5, "Runs of each program that forks, is interrupted or has torch."),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} [{default}]")
    parser.add_argument(
        "--fuzz-minutes", type=float, default=8, help="Fuzzing, the core and files alike. [8]"
    )


def main(arguments: list[str]) -> int:
    run = Run(_options(arguments))
    chosen = run.options.part or tuple(PARTS)
    for part in (name for name in PARTS if name in chosen):
        try:
            PARTS[part](run)
        except Unavailable as reason:
            run.problems.append(f"{part}: not run: {reason}")
    print(f"\n{len(run.problems)} problems, {time.monotonic() - run.started:.0f} s")
    for problem in run.problems:
        print(f"\n{problem}")
    return 1 if run.problems else 0


def _by_imports(run: Run) -> Iterator[tuple[Faults, list[Victim]]]:
    """Servers, each with the victims that share its imports."""
    every = [*victims(parquet=has_pyarrow()), *catalog_victims()]
    chosen = [victim for victim in every if run.chosen(victim.name)]
    for imports in dict.fromkeys(victim.imports for victim in chosen):
        with Faults(imports) as server:
            yield server, [victim for victim in chosen if victim.imports == imports]


def _faults(run: Run) -> None:
    run.head("Every fault at every call", "victim", *COUNTED, "problems")
    total: Counter[str] = Counter()
    for server, group in _by_imports(run):
        for victim in group:
            if run.over:
                break
            found = sweep(server, victim)
            total += found.runs
            run.problems += found.problems
            run.say(victim.name, *(found.runs[action] for action in COUNTED), len(found.problems))
    run.say("all", *(total[action] for action in COUNTED), len(run.problems))


def _kills(run: Run) -> None:
    run.head(f"Random kills, seed {run.options.seed}", "victim", "kills", "torn writes", "problems")
    chance = random.Random(run.options.seed)
    every = [*victims(parquet=has_pyarrow()), *catalog_victims()]
    count = sum(run.chosen(victim.name) for victim in every)
    for server, group in _by_imports(run):
        for victim in group:
            each = -(-run.options.kills // count)
            found = _random_kills(run, server, victim, chance, each)
            run.problems += found.problems
            run.say(victim.name, found.runs["kill"], found.runs["torn"], len(found.problems))
    catalog_parts.kills(run)


def _random_kills(
    run: Run, server: Faults, victim: Victim, chance: random.Random, count: int
) -> Sweep:
    def choose(every: list[Plan]) -> Iterator[Plan]:
        kills = [plan for plan in every if plan.kills]
        for _ in range(count):
            if not run.over:
                yield chance.choice(kills)

    return sweep(server, victim, choose=choose)


def _damage(run: Run) -> None:
    titles = ("cuts", *(f"flips {verdict}" for verdict in VERDICTS), "accepted otherwise at bytes")
    run.head("Damaged files", "kind", "bytes", *titles)
    for kind in (*kinds(parquet=has_pyarrow()), *catalog_kinds()):
        if run.over or not run.chosen(kind.name):
            continue
        size = read_damaged(kind, []).size
        found = read_damaged(kind, damages(size, masks=run.options.masks))
        cuts, flips = found.count(cuts=True), found.count(cuts=False)
        shown = ", ".join(f"{cuts[verdict]} {verdict}" for verdict in VERDICTS if cuts[verdict])
        counts = (flips[verdict] for verdict in VERDICTS)
        run.say(kind.name, found.size, shown, *counts, found.undetected() or "none")
        run.problems += found.problems()


PARTS: dict[str, Callable[[Run], None]] = {
    "faults": _faults,
    "kills": _kills,
    "damage": _damage,
    "fuzz": fuzz,
    "memory": memory,
    "oracle": oracle,
    "determinism": determinism,
    "hostile": hostile,
    "process": processes,
    **catalog_parts.PARTS,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
