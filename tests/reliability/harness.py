"""Runs victims with a fault at one of their system calls."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from .shim import shared_object

# As in faults.c; what is not here is an errno.
_NUMBERS = {"none": 0, "kill": -1, "torn": -2, "short": -3, "interrupt": -4}
KILLED = -int(signal.SIGKILL)
NAMING = frozenset(["rename", "link", "symlink", "unlink", "mkdir", "rmdir"])
CHANGES = NAMING | {"open", "write", "truncate", "fallocate", "fsync", "close"}
MAY_NEED_ROOM = CHANGES - {"unlink", "rmdir"}


@dataclass(frozen=True)
class Plan:
    """What happens at which call.

    Parameters
    ----------
    call : int
        The call's number, from 1; 0 for an undisturbed run.
    action : str
        ``"kill"`` (before the call), ``"torn"`` (half of a write, then kill), ``"short"`` (half of
        a write or a read), ``"interrupt"`` (SIGINT, as Ctrl-C sends it), or the name of an errno,
        such as ``"ENOSPC"``.
    lasting : bool
        Whether it happens at the later calls that fit, too: a disk stays full.
    """

    call: int = 0
    action: str = "none"
    lasting: bool = False

    @property
    def kills(self) -> bool:
        return self.action in ("kill", "torn")

    @property
    def number(self) -> int:
        return _NUMBERS[self.action] if self.action in _NUMBERS else getattr(errno, self.action)

    def __str__(self) -> str:
        if self.call == 0:
            return "no fault"
        return f"{self.action} at call {self.call}{' and after' if self.lasting else ''}"


@dataclass(frozen=True)
class Call:
    """One line of the shim's log.

    Paths are relative to the folder. `done` is empty where the call was left alone, else
    ``"failed"``, ``"short"``, ``"interrupted"`` or ``"killed"``. `result` is as the kernel gives
    it, a negative errno where the call failed.
    """

    number: int
    name: str
    path: str
    other: str
    bytes: int
    done: str
    result: int

    @property
    def changes(self) -> bool:
        """Whether it may change what a later reader finds, or how safely."""
        return self.name in CHANGES

    @property
    def target(self) -> str:
        return self.other or self.path


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `status` is the exit status, or minus the signal that ended it."""

    plan: Plan
    status: int
    calls: tuple[Call, ...]
    stdout: str
    stderr: str

    @property
    def struck(self) -> bool:
        """Whether the fault happened."""
        return any(call.done for call in self.calls)

    def __str__(self) -> str:
        shown = "\n".join(f"  {call}" for call in self.calls)
        return f"{self.plan}: status {self.status}\n{self.stderr}{shown}"


@dataclass
class Faults:
    """Starts victims; a context manager.

    Parameters
    ----------
    imports : str
        Python that runs once, before all victims; they see its names. It is not disturbed.
    limit : int
        Seconds after which a victim is ended by SIGALRM. Only to turn a hang into a failure.

    Raises
    ------
    shim.Unavailable
        When entered, where this machine cannot do it.
    """

    imports: str = ""
    limit: int = 60
    _server: subprocess.Popen[str] | None = field(default=None, init=False)
    _work: tempfile.TemporaryDirectory[str] | None = field(default=None, init=False)

    def __enter__(self) -> Faults:
        shim = shared_object()
        self._work = tempfile.TemporaryDirectory(prefix="puresid-faults-")
        # The package is `reliability` to pytest and `tests.reliability` to `python -m`.
        self._server = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.server", str(shim)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=with_package(),
        )
        self._ask({"imports": self.imports})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.communicate()
        if self._work is not None:
            self._work.cleanup()

    def run(self, script: str, folder: Path, plan: Plan | None = None) -> Outcome:
        """Run a script that finds `folder` as a name and as its working folder."""
        plan = Plan() if plan is None else plan
        assert self._work is not None, "Faults is a context manager"
        work = Path(self._work.name)
        for name in ("log", "stdout", "stderr"):
            work.joinpath(name).write_bytes(b"")
        answer = self._ask(
            {
                "script": script,
                "folder": os.path.realpath(folder),
                "at": plan.call,
                "what": plan.number,
                "lasting": plan.lasting,
                "limit": self.limit,
            }
            | {name: str(work / name) for name in ("log", "stdout", "stderr")}
        )
        calls = read_log(work / "log")
        texts = (work.joinpath(name).read_text(errors="replace") for name in ("stdout", "stderr"))
        return Outcome(plan, answer["status"], calls, *texts)

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._server is not None
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        if not answer:
            raise RuntimeError(f"the server ended with status {self._server.wait()}")
        found: dict[str, Any] = json.loads(answer)
        return found


def run_process(arguments: list[str], folder: Path, plan: Plan, *, log: Path) -> Outcome:
    """Run a whole program with the shim preloaded: its start, imports and end included.

    Parameters
    ----------
    arguments : list of str
        The program and its arguments; it must start no other program.
    folder : Path
        Where faults happen, and the working folder.
    plan : Plan
    log : Path
        A file outside the folder.
    """
    environment = with_package() | {
        "LD_PRELOAD": str(shared_object()),
        "RELIABILITY_FOLDER": os.path.realpath(folder),
        "RELIABILITY_LOG": str(log),
        "RELIABILITY_AT": str(plan.call),
        "RELIABILITY_FAULT": str(plan.number),
        "RELIABILITY_LASTING": str(int(plan.lasting)),
    }
    done = subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    return Outcome(plan, done.returncode, read_log(log), done.stdout, done.stderr)


def with_package() -> dict[str, str]:
    """The environment in which this package can be imported by the name it has here."""
    root = Path(__file__).resolve().parents[len(__package__.split("."))]
    paths = [str(root), os.environ.get("PYTHONPATH", "")]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return os.environ | threads | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def read_log(path: Path) -> tuple[Call, ...]:
    """Parse what the shim wrote."""
    calls = []
    for line in path.read_text().splitlines():
        number, name, one, other, size, done, result = line.split("\t")
        calls.append(Call(int(number), name, one, other, int(size), done, int(result)))
    return tuple(sorted(calls, key=lambda call: call.number))
