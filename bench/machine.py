"""What the machine is, and what else it was doing while the bench ran."""

from __future__ import annotations

import os
import time
from pathlib import Path


def _busy_seconds() -> float | None:
    """CPU seconds that all processes have used since the machine started, where it says."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Others:
    """What other processes take of the machine's CPU time from here on.

    A number from a busy machine says nothing: threads that wait for each other wait much longer, so
    not even ratios hold.
    """

    def __init__(self) -> None:
        self._busy, self._own, self._wall = _busy_seconds(), time.process_time(), time.monotonic()

    def share(self) -> float | None:
        """Between 0 and 1; None where the system does not say."""
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        others = (busy - self._busy) - (time.process_time() - self._own)
        available = (time.monotonic() - self._wall) * (os.cpu_count() or 1)
        return min(1.0, max(0.0, others / available))
