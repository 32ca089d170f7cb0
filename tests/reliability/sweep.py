"""Every fault at every call of a victim, and what must hold after each."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .harness import KILLED, MAY_NEED_ROOM, Call, Faults, Outcome, Plan
from .journal import lost_at_end, lost_at_publishing, published_unsafe

OLD, NEW = "old", "new"


@dataclass(frozen=True)
class Victim:
    """A program that takes a folder from an old state to a new one.

    Parameters
    ----------
    name : str
    imports : str
        Python that runs before it, undisturbed.
    script : str
        The program; it finds `folder`.
    prepare : callable
        Makes the old state in an empty folder.
    state : callable
        Says of a folder ``"old"`` or ``"new"``; anything else is a problem, in words, and so is
        what it raises. It must look at everything that a reader would.
    statuses : tuple of int
        How it may end where a call fails; 0 needs the new state.
    interrupted : int
        How it ends at Ctrl-C, unless it has all but ended.
    leftovers : tuple of str
        Patterns of names that a kill may leave behind; where the victim lives on, it may leave
        them only if its own removal of them failed.
    message : str
        What stderr must hold where it ends with one of `statuses` that is not 0.
    plain : bool
        Whether a traceback on stderr is a problem.
    settled : callable, optional
        Says of a folder, after the next undisturbed run, what is not as it should be.
    published : str
        The start of the names that readers go by; none for a file that stands for itself.
    """

    name: str
    imports: str
    script: str
    prepare: Callable[[Path], None]
    state: Callable[[Path], str]
    statuses: tuple[int, ...] = (0, 1)
    interrupted: int = 1
    leftovers: tuple[str, ...] = (".puresid-*.tmp",)
    message: str = ""
    plain: bool = False
    settled: Callable[[Path], Iterable[str]] | None = None
    published: str = ""


@dataclass
class Sweep:
    """What came of it: how many runs of each kind, and each problem in words."""

    victim: str
    runs: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.runs.values())


def plans(calls: Iterable[Call], *, errors: Iterable[str] = ("ENOSPC", "EIO")) -> Iterator[Plan]:
    """Every fault that makes sense at each of the calls."""
    for call in calls:
        if call.changes:
            yield Plan(call.number, "kill")
            yield Plan(call.number, "interrupt")
        if call.name == "write":
            yield Plan(call.number, "torn")
        if call.name in ("write", "read"):
            yield Plan(call.number, "short")
            yield Plan(call.number, "short", lasting=True)
        for error in errors:
            if error != "ENOSPC" or call.name in MAY_NEED_ROOM:
                yield Plan(call.number, error)
                yield Plan(call.number, error, lasting=True)


def brief(every: list[Plan]) -> list[Plan]:
    """Of all plans, one of each kind at each call: what seconds allow.

    A disk stays full and writes stay short; an error of the disk comes once.
    """
    return [
        plan for plan in every if plan.kills or plan.lasting == (plan.action in ("ENOSPC", "short"))
    ]


def sweep(
    faults: Faults,
    victim: Victim,
    *,
    choose: Callable[[list[Plan]], Iterable[Plan]] = list,
    run_again: Callable[[Plan], bool] = bool,
) -> Sweep:
    """Run a victim with every fault at every call.

    Parameters
    ----------
    faults : Faults
        With the imports that the victim needs.
    victim : Victim
    choose : callable
        Takes all plans and gives those to run; by default all.
    run_again : callable
        Whether an undisturbed run must succeed after a plan's; by default after each.
    """
    found = Sweep(victim.name)
    with tempfile.TemporaryDirectory(prefix="puresid-sweep-") as name:
        work = Path(name).resolve()
        template = work / "template"
        template.mkdir()
        victim.prepare(template)
        outcome = _attempt(faults, victim, template, work / "run", Plan(), found)
        if outcome.status == 0:
            found.problems += _of_power_cuts(victim, outcome, template)
        for plan in choose(list(plans(outcome.calls))):
            _attempt(faults, victim, template, work / "run", plan, found, again=run_again(plan))
    return found


def _of_power_cuts(victim: Victim, outcome: Outcome, template: Path) -> list[str]:
    there = [path.relative_to(template).as_posix() for path in template.rglob("*")]
    losses = lost_at_end(outcome.calls, there=there)
    found = [f"{victim.name}: at the end a power cut may take {loss}" for loss in losses]
    unsafe = published_unsafe(outcome.calls)
    if victim.published:
        unsafe += lost_at_publishing(outcome.calls, victim.published, there=there)
    return found + [f"{victim.name}: {loss}" for loss in unsafe]


def _attempt(
    faults: Faults,
    victim: Victim,
    template: Path,
    folder: Path,
    plan: Plan,
    found: Sweep,
    *,
    again: bool = False,
) -> Outcome:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder, symlinks=True)
    outcome = faults.run(victim.script, folder, plan)
    found.runs[plan.action] += 1
    problems = [*_of_state(victim, outcome, folder), *_of_ending(victim, outcome, folder)]
    if not problems and again:
        problems = list(_of_next_run(faults, victim, folder))
    found.problems += [f"{victim.name}, {problem}\n{outcome}" for problem in problems]
    return outcome


def _state(victim: Victim, folder: Path) -> str:
    try:
        return victim.state(folder)
    except Exception as error:
        return f"neither: {type(error).__name__}: {error}"


def _of_state(victim: Victim, outcome: Outcome, folder: Path) -> Iterator[str]:
    state = _state(victim, folder)
    if state not in (OLD, NEW):
        yield f"the state is {state}"
    elif outcome.status == 0 and state != NEW:
        yield f"it ended well and the state is {state}"


def _of_ending(victim: Victim, outcome: Outcome, folder: Path) -> Iterator[str]:
    plan = outcome.plan
    if plan.call and not outcome.struck and plan.action != "ENOSPC":
        yield "the fault did not happen: the victim's calls differ from run to run"
    if outcome.status not in _allowed(victim, plan):
        yield f"it ended with status {outcome.status}"
    interrupted = plan.action == "interrupt"
    if outcome.status > 0 and not interrupted and victim.message not in outcome.stderr:
        yield f"stderr does not say {victim.message!r}"
    if victim.plain and "Traceback" in outcome.stderr:
        yield "stderr has a traceback"
    # Ctrl-C may come between the making of a file and the line that would remove it.
    kept = any(call.done and call.name in ("unlink", "rmdir") for call in outcome.calls)
    excused = plan.kills or interrupted or kept
    left = [path for pattern in victim.leftovers for path in folder.rglob(pattern)]
    if left and not excused:
        yield f"it left {left[0].name} behind"


def _allowed(victim: Victim, plan: Plan) -> tuple[int, ...]:
    if plan.kills:
        return (KILLED,)
    if plan.action == "interrupt":
        return (0, victim.interrupted)
    return (0,) if plan.action in ("none", "short") else victim.statuses


def _of_next_run(faults: Faults, victim: Victim, folder: Path) -> Iterator[str]:
    """Whatever happened, the next undisturbed run must succeed."""
    again = faults.run(victim.script, folder)
    state = _state(victim, folder)
    if again.status != 0 or state != NEW:
        yield f"the next run ended with status {again.status}, the state is {state}:\n{again}"
    elif victim.settled is not None:
        yield from victim.settled(folder)
