"""Builds `faults.c` and finds out whether it works here."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("faults.c")
FLAGS = ("-std=gnu11", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra")

_TRY = """
import ctypes, os, sys
shim, folder, log = sys.argv[1:]
status = ctypes.CDLL(shim).reliability_arm(folder.encode(), log.encode(), 0, 0, 0)
open(os.path.join(folder, "seen"), "w").close()
os._exit(-status)
"""


class Unavailable(Exception):
    """Why faults cannot be made on this machine."""


@functools.cache
def shared_object() -> Path:
    """Compile the shim, once per process, and try it.

    Raises
    ------
    Unavailable
        No Linux, no C compiler, or a kernel or container that allows no seccomp filter.
    """
    if sys.platform != "linux":
        raise Unavailable(f"faults at system calls are made on Linux; this is {sys.platform}")
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise Unavailable("there is no C compiler (cc) to build tests/reliability/faults.c with")
    folder = tempfile.TemporaryDirectory(prefix="puresid-faults-")
    _keep.append(folder)  # removed when the process ends
    built = Path(folder.name).resolve() / "faults.so"
    done = subprocess.run(
        [compiler, *FLAGS, "-o", str(built), str(SOURCE)], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise Unavailable(f"{compiler} cannot build faults.c: {done.stderr.strip()}")
    below, log = built.parent / "below", built.parent / "log"
    below.mkdir()
    tried = subprocess.run(
        [sys.executable, "-c", _TRY, str(built), str(below), str(log)], capture_output=True
    )
    if tried.returncode != 0 or "\topen\tseen\t" not in log.read_text():
        raise Unavailable(
            f"no seccomp filter can be set here (status {tried.returncode}); "
            "faults.c gets hold of system calls by one"
        )
    return built


_keep: list[tempfile.TemporaryDirectory[str]] = []


def arm(shim: str, folder: str, log: str, at: int, what: int, lasting: bool) -> None:
    """Start disturbing this very process; see `faults.c`. Raises OSError where it cannot."""
    path, line = os.fsencode(folder), os.fsencode(log)
    status = ctypes.CDLL(shim).reliability_arm(path, line, ctypes.c_long(at), what, int(lasting))
    if status != 0:
        raise OSError(-status, f"cannot set up faults: {os.strerror(-status)}")
