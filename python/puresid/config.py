"""How calls run: threads, instruction set, progress."""

from __future__ import annotations

import contextlib
import operator
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from puresid import _core

Progress = Callable[[str, int, int], object]


def build_config() -> dict[str, Any]:
    """Return how the core was built and what this machine runs.

    Returns
    -------
    dict
        ``version``, ``compiler``, ``build_type``, ``parallel`` (back end), ``simd_available`` (list
        of instruction sets, slowest first), ``simd_default``, ``simd`` (what the next call uses;
        the environment variable ``PURESID_SIMD`` chooses) and ``threads`` (what ``threads=None``
        means here). All instruction sets and thread counts give the same bytes.
    """
    config = _core.build_config()
    config["simd"] = simd() or config["simd_default"]
    config["threads"] = default_threads()
    return config


def cpu_model() -> str:
    """Return the processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def simd() -> str | None:
    """Return the instruction set that ``PURESID_SIMD`` asks for, None for the best.

    Raises
    ------
    ValueError
        If this machine does not run it.
    """
    name = os.environ.get("PURESID_SIMD") or None
    available = _core.build_config()["simd_available"]
    if name is not None and name not in available:
        raise ValueError(f"PURESID_SIMD is {name!r}; this machine runs {', '.join(available)}")
    return name


def _cgroup_quota(root: Path) -> float | None:
    """Return the CPUs that the control group allows, None without a limit."""
    with contextlib.suppress(OSError, ValueError):  # version 2
        quota, period = (root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):  # version 1
        quota_us = int((root / "cpu/cpu.cfs_quota_us").read_text())
        period_us = int((root / "cpu/cpu.cfs_period_us").read_text())
        return quota_us / period_us if quota_us > 0 else None
    return None


def default_threads(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of threads this process may use.

    ``OMP_NUM_THREADS`` where it is set, else the CPUs of the affinity mask, at most the quota of
    the control group.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    cpus = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    quota = _cgroup_quota(cgroup)
    return cpus if quota is None else max(1, min(cpus, int(quota + 0.5)))


def thread_count(threads: int | None) -> int:
    """Return `threads` checked, or the default for None.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is less than 1.
    """
    if threads is None:
        return default_threads()
    try:
        count = operator.index(threads)
    except TypeError:
        raise TypeError(f"threads is {threads!r}; an integer or None is needed") from None
    if not 1 <= count <= 4096:
        raise ValueError(f"threads is {count}; from 1 to 4096 are possible")
    return count


@contextlib.contextmanager
def progress_bar(show: bool, unit: str = "item") -> Iterator[Progress | None]:
    """Yield a callback for the core that draws one bar per stage on stderr, or None."""
    if not show:
        yield None
        return
    from tqdm import tqdm

    bar: Any = None
    shown = ""

    def report(stage: str, done: int, total: int) -> None:
        nonlocal bar, shown
        if bar is None or stage != shown or done < bar.n:
            if bar is not None:
                bar.close()
            bar = tqdm(total=total, desc=stage, unit=unit, unit_scale=True, leave=False)
            shown = stage
        bar.update(done - bar.n)

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()
