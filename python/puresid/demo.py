"""The demo: SIDs for the documentation of Python's standard library, by every method.

It is meant to be read: one table of what each method does to the same catalogue, then SIDs beside
what their items say.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from puresid._docs import Entry, standard_library, text_vectors
from puresid._formats import write_npy
from puresid.atomic import atomic_write
from puresid.files import check_writable, write_sids

if TYPE_CHECKING:
    from puresid import Assignment, Codebooks

N_LEVELS = 3
CODEBOOK_SIZE = 64  # small, so that a prefix of two tokens has several items under it
DIM = 64
METHODS = ("nearest", "suffix", "ecm", "rrs")
SHOWN = "ecm"

# Items whose neighbours are easy to judge by eye. The first few that this Python has are shown, if
# more than two items share their prefix.
_ANCHORS = ("math.sin", "os.rename", "asyncio.Queue.get", "time.gmtime", "logging.warning")
_NEIGHBOURHOODS = 3
_WIDTH = 100


def run_demo(
    folder: str | os.PathLike[str],
    *,
    threads: int | None = None,
    echo: Callable[[str], object] = print,
    progress: bool = False,
) -> Path:
    """Index the standard library's documentation and show the SIDs.

    Parameters
    ----------
    folder : str or path
        Where to write ``vectors.npy``, ``items.json``, ``codebooks.safetensors``, ``sids.npy``,
        ``sids.index.json`` and ``report.html``. Made if need be; files of these names in it are
        replaced.
    threads : int, optional
        As for `puresid.assign`.
    echo : callable
        Takes each line of the report.
    progress : bool
        Whether to show progress bars on stderr.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OSError
        The folder cannot be made or written to.
    """
    from puresid import RQKMeans, assign, report

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    check_writable(folder / "sids.npy")

    start = time.perf_counter()
    entries = standard_library()
    vectors = text_vectors((entry.text for entry in entries), DIM)
    _introduce(entries, time.perf_counter() - start, echo)

    start = time.perf_counter()
    trainer = RQKMeans(N_LEVELS, CODEBOOK_SIZE, threads=threads, progress=progress)
    codebooks = trainer.fit(vectors).codebooks
    echo(
        f"Codebooks: {N_LEVELS} levels of {CODEBOOK_SIZE} codewords by residual k-means, so "
        f"{codebooks.capacity:,} possible SIDs ({time.perf_counter() - start:.1f} s)."
    )

    results, times = {}, {}
    for method in METHODS:
        start = time.perf_counter()
        results[method] = assign(vectors, codebooks, method, threads=threads, progress=progress)
        times[method] = time.perf_counter() - start
    _show_table(results, times, echo)
    _show_neighbours(entries, results[SHOWN], echo)
    _show_conflict(entries, results["nearest"], results[SHOWN], echo)
    _write(folder, entries, vectors, codebooks, results[SHOWN])
    report(
        vectors,
        codebooks,
        folder / "report.html",
        methods=METHODS,
        keys=[entry.key for entry in entries],
        texts=[entry.headline for entry in entries],
        title=f"The documentation of Python {platform.python_version()}",
        threads=threads,
    )
    _say_what_is_there(folder, echo)
    return folder


def _introduce(entries: Sequence[Entry], seconds: float, echo: Callable[[str], object]) -> None:
    copies = Counter(entry.text for entry in entries)
    text, most = copies.most_common(1)[0]
    echo(
        f"{len(entries):,} items: the functions, classes and methods that the standard library of "
        f"Python {platform.python_version()}"
    )
    echo(
        f"documents, with {len(copies):,} different docstrings. The same one on {most} items: "
        f'"{_cut(" ".join(text.split()), 26)}"'
    )
    echo(f"Vectors: TF-IDF of words and word pairs, reduced to {DIM} dimensions ({seconds:.1f} s).")


def _show_table(
    results: dict[str, Assignment], times: dict[str, float], echo: Callable[[str], object]
) -> None:
    items = len(results["nearest"].sids)
    conflicts = items - len(np.unique(results["nearest"].sids, axis=0))
    echo("")
    echo(f"{conflicts:,} of the {items:,} items have a nearest SID that another item owns:")
    echo("")
    echo("  method    tokens   unique SIDs   items sharing   items moved   distortion   seconds")
    for method, result in results.items():
        _, group, sizes = np.unique(result.sids, axis=0, return_inverse=True, return_counts=True)
        sharing = int((sizes[group.reshape(-1)] > 1).sum())
        moved = int((result.stages > 0).sum())
        ratio = float(result.distortion.mean(dtype=np.float64)) / result.nearest_distortion
        tokens = f"{N_LEVELS} + 1" if method == "suffix" else str(N_LEVELS)
        echo(
            f"  {method:<10}{tokens:<6}{len(sizes):>14,}{sharing:>16,}{moved:>14,}"
            f"{ratio:>13.3f}{times[method]:>10.2f}"
        )
    echo("")
    echo("  suffix appends a counter, which means nothing; ecm and rrs move an item to a free SID")
    echo("  near it. Distortion is the mean squared one, divided by that of the nearest SIDs.")


def _show_neighbours(
    entries: Sequence[Entry], result: Assignment, echo: Callable[[str], object]
) -> None:
    rows = {entry.key: row for row, entry in enumerate(entries)}
    order = np.lexsort(result.sids.T[::-1])
    shown: set[tuple[int, ...]] = set()
    echo("")
    echo(f"Neighbours share prefixes. SIDs ({SHOWN}) in order, beside what their items say:")
    for anchor in [rows[key] for key in _ANCHORS if key in rows]:
        prefix = tuple(result.sids[anchor, :-1].tolist())
        members = order[(result.sids[order, :-1] == prefix).all(axis=1)]
        if prefix not in shown and len(members) > 2 and len(shown) < _NEIGHBOURHOODS:
            shown.add(prefix)
            _show_group(entries, result, members, anchor, echo)


def _show_group(
    entries: Sequence[Entry],
    result: Assignment,
    members: NDArray[np.int64],
    anchor: int,
    echo: Callable[[str], object],
    most: int = 6,
) -> None:
    """Print a window of the members, in order of their SIDs, that has the anchor in it."""
    place = int(np.flatnonzero(members == anchor)[0])
    first = max(0, min(place - most // 2, len(members) - most))
    rows = members[first : first + most].tolist()
    keys = [_cut(entries[row].key, 40) for row in rows]
    width = max(map(len, keys))
    echo("")
    for row, key in zip(rows, keys, strict=True):
        line = f"  {_sid(result, row)}   {key:<{width}}   {entries[row].headline}"
        echo(_cut(line, _WIDTH).rstrip())
    if len(members) > most:
        prefix = " ".join(map(str, result.sids[anchor, :-1].tolist()))
        echo(f"  … and {len(members) - most} more under {prefix}")


def _show_conflict(
    entries: Sequence[Entry],
    nearest: Assignment,
    result: Assignment,
    echo: Callable[[str], object],
) -> None:
    """Print one docstring that several items have, and the SIDs that they got."""
    groups: dict[str, list[int]] = {}
    for row, entry in enumerate(entries):
        groups.setdefault(entry.text, []).append(row)
    sizes = range(4, 8)  # small enough to print, large enough to see the stages
    fitting = [rows for rows in groups.values() if len(rows) in sizes]
    if not fitting:
        return

    def variety(rows: list[int]) -> tuple[int, int]:
        modules = {entries[row].key.split(".")[0] for row in rows}
        return len(modules), len(entries[rows[0]].headline)

    rows = max(fitting, key=variety)
    sid = " ".join(map(str, nearest.sids[rows[0]].tolist()))
    echo("")
    echo(f"{len(rows)} items say the same, so their nearest SID is the same, {sid}. Now ({SHOWN}):")
    echo(f'  "{_cut(entries[rows[0]].headline, 90)}"')
    names = {0: "nearest", len(result.tiers) + 1: "completion"}
    stages = result.stages[rows].tolist()
    for row, stage in zip(rows, stages, strict=True):
        how = names.get(stage, f"tier {stage}")
        echo(f"  {_sid(result, row)}   {how:<10}   {_cut(entries[row].key, 60)}")


def _write(
    folder: Path,
    entries: Sequence[Entry],
    vectors: NDArray[np.float32],
    codebooks: Codebooks,
    result: Assignment,
) -> None:
    with atomic_write(folder / "vectors.npy") as handle:
        write_npy(handle, vectors)
    items = [{"item": entry.key, "headline": entry.headline} for entry in entries]
    with atomic_write(folder / "items.json") as handle:
        handle.write(json.dumps(items, indent=0, ensure_ascii=False).encode())
    codebooks.save(folder / "codebooks.safetensors")
    write_sids(folder / "sids.npy", result.sids)
    write_sids(folder / "sids.index.json", result.sids)


def _say_what_is_there(folder: Path, echo: Callable[[str], object]) -> None:
    echo("")
    echo(f"Written to {folder}:")
    echo("  vectors.npy  items.json  codebooks.safetensors  sids.npy  sids.index.json  report.html")
    echo("Next:")
    echo("  open report.html in a browser: figures, plots and all SIDs as a tree")
    echo(f"  puresid inspect {folder / 'sids.npy'}")


def _sid(result: Assignment, row: int) -> str:
    return " ".join(f"{token:>3}" for token in result.sids[row].tolist())


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
