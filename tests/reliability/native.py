"""Builds programs of the core from this repository: fuzz targets and the oracle."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from .shim import Unavailable

ROOT = Path(__file__).resolve().parents[2]
JOBS = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


@contextlib.contextmanager
def build_folder(named: str | None) -> Iterator[Path]:
    """Give a folder to build in: the one that is named, which stays, or one that does not."""
    if named is not None:
        Path(named).mkdir(parents=True, exist_ok=True)
        yield Path(named).resolve()
        return
    with tempfile.TemporaryDirectory(prefix="puresid-build-") as name:
        yield Path(name).resolve()


def build(preset: str, folder: Path, targets: Sequence[str]) -> Path:
    """Build targets of a preset of CMakePresets.json; return the folder `cpp` of the build.

    Raises
    ------
    Unavailable
        There is no repository, CMake or compiler, or it does not build (with what was said).
    """
    if not (ROOT / "CMakePresets.json").exists():
        raise Unavailable(f"{ROOT} is no checkout of the repository")
    if shutil.which("cmake") is None:
        raise Unavailable("there is no cmake")
    if preset == "fuzz" and shutil.which("clang++") is None:
        raise Unavailable("there is no clang++, which libFuzzer comes with")
    where = folder / preset
    named = [part for target in targets for part in ("--target", target)]
    for command in (
        ["cmake", "--preset", preset, "-S", str(ROOT), "-B", str(where)],
        ["cmake", "--build", str(where), "--parallel", str(JOBS), *named],
    ):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
            raise Unavailable(f"{' '.join(command)} failed:\n{said}")
    return where / "cpp"
