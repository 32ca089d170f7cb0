"""Where results come from: commit, versions, machine, data."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from puresid.config import build_config, cpu_model

PACKAGES = ("puresid", "numpy", "torch", "transformers", "accelerate", "tokenizers", "peft")
MEASURES = ("ir-measures", "pytrec-eval-terrier", "scipy", "statsmodels")


def provenance(files: Iterable[Any], *, device: str) -> dict[str, Any]:
    """Return what is needed to make results again, as JSON takes it.

    Parameters
    ----------
    files : iterable of FilePath
        Files and folders that a run reads.
    device : str
        What the model ran on.

    Returns
    -------
    dict
        ``commit`` of the package's repository (None where it is installed from elsewhere; ending in
        ``+changes`` where files differ from it), ``versions``, ``python``, ``platform``, ``cpu``,
        ``device``, ``simd``, ``started`` (UTC) and ``data``: the SHA-256 of each file by its path
        as the config has it.
    """
    return {
        "commit": commit(),
        "versions": {name: _version(name) for name in (*PACKAGES, *MEASURES)},
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "device": device,
        "simd": build_config()["simd"],
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "data": {file.written: _hash(file.path) for file in files},
    }


def commit() -> str | None:
    """Return the commit of the repository that the package is run from, None outside of one."""
    found = _git("rev-parse", "HEAD")
    if found is None or _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None  # no repository, or somebody else's with an environment in it
    return f"{found}+changes" if _git("status", "--porcelain", "--untracked-files=no") else found


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of the files of a folder with their names."""
    digest = hashlib.sha256()
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(os.fsencode(file.relative_to(path)))
        with open(file, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
