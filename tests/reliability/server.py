"""A process that has imported what victims need, and forks one per order.

Started by `harness.Faults`: ``python -m reliability.server SHIM``. A line of JSON comes in per
victim, one goes out when it has ended. Forking spares each victim the imports.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Any

from .shim import arm


def main() -> None:
    shim = sys.argv[1]
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(json.loads(sys.stdin.readline())["imports"], names)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"status": _run(shim, json.loads(line), names)}), flush=True)


def _run(shim: str, order: dict[str, Any], names: dict[str, Any]) -> int:
    child = os.fork()
    if child == 0:
        _be_victim(shim, order, names)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _be_victim(shim: str, order: dict[str, Any], names: dict[str, Any]) -> None:
    """Run the script as an interpreter would, and leave without the server's own clean-up."""
    code = 1
    try:
        # Only turns a hang into a failure; SIGALRM's default ends even a loop in C.
        signal.alarm(order["limit"])
        # A shell may have told its background jobs to ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _to_file(0, os.devnull)
        _to_file(1, order["stdout"])
        _to_file(2, order["stderr"])
        os.chdir(order["folder"])
        names["folder"] = order["folder"]
        code = _armed(shim, order, names)
    finally:
        os._exit(code)


def _armed(shim: str, order: dict[str, Any], names: dict[str, Any]) -> int:
    try:
        program = compile(order["script"], "<victim>", "exec")
        arm(shim, order["folder"], order["log"], order["at"], order["what"], order["lasting"])
        exec(program, names)
        code = 0
    except SystemExit as end:
        code = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _to_file(descriptor: int, path: str) -> None:
    opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(opened, descriptor)
    os.close(opened)


if __name__ == "__main__":
    main()
