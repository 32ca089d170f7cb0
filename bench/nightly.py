"""`python -m bench.nightly`: a catalogue through 30 nights, beside rebuilding it each night.

Each day 2 % of the items are new and 1 % go. Needs the real catalogues that PURESID_DATA names.
Three ways to the SIDs of the same items: `Catalog` (remove, then add), `assign` for all live items
with the codebooks of day 0, and `assign` with codebooks fitted anew. Items come in an order drawn
by chance: their vectors do not drift, as those of a real catalogue may.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import puresid
from puresid.catalog import PrefixLoadWarning

DAYS = 30
NEW, GONE = 0.02, 0.01
FIRST = 0.58  # share of the items that are there on day 0: the rest lasts for 30 days
BEAUTY = "beauty/s3rec_64d.npy"


@dataclass(frozen=True)
class Day:
    """One night. Distortions are means of squared distances.

    "moved" counts published SIDs that differ from what they were when the item came;
    "moved_rebuilt" and "moved_refitted" are shares of the items of day 0 that are still there.
    "appended" are the live items that came after day 0.
    """

    day: int
    items: int
    tombstones: int
    load: float
    moved: int
    moved_rebuilt: float
    moved_refitted: float
    distortion: float
    distortion_rebuilt: float
    distortion_refitted: float
    appended: float | None
    appended_rebuilt: float | None
    appended_nearest: float | None


@dataclass(frozen=True)
class Epoch:
    """A new epoch: shares of tokens, by level, and of SIDs that stay; mean squared distance."""

    name: str
    tokens: tuple[float, ...]
    sids: float
    distortion: float


class Nights:
    """The catalogue and what it is compared with."""

    def __init__(self, vectors: np.ndarray, sizes: tuple[int, ...], folder: Path) -> None:
        rng = np.random.default_rng(0)
        self.vectors = vectors
        self.sizes = sizes
        self.waiting = rng.permutation(len(vectors)).tolist()
        self.rng = rng
        first = [self.waiting.pop() for _ in range(round(FIRST * len(vectors)))]
        self.codebooks = self._fit(first)
        self.catalog = puresid.Catalog.create(folder / "catalogue", self.codebooks)
        self.catalog.add(first, vectors[first])
        self.first = set(first)
        self.known: dict[int, tuple[int, ...]] = {}  # every SID that was ever published, by key
        self.rebuilt: dict[int, bytes] = {}
        self.refitted: dict[int, bytes] = {}

    def _fit(
        self, rows: list[int], start: puresid.Codebooks | None = None, seed: int = 0
    ) -> puresid.Codebooks:
        quantizer = puresid.RQKMeans(len(self.sizes), self.sizes, start=start, random_state=seed)
        return quantizer.fit(self.vectors[sorted(rows)]).codebooks

    def epochs(self) -> list[Epoch]:
        """New epochs that could begin now, each tried in a copy of the catalogue."""
        rows: Any = self.catalog.items().keys.tolist()
        fresh = self._fit(rows, seed=1)
        from_old = self._fit(rows, start=self.codebooks)
        found = []
        for name, codebooks, align in (
            ("fitted from scratch, as they come", fresh, False),
            ("fitted from scratch, renumbered", fresh, True),
            ("fitted from the old codewords", from_old, True),
        ):
            with tempfile.TemporaryDirectory() as folder:
                shutil.copytree(self.catalog.folder, folder, dirs_exist_ok=True)
                copy = puresid.Catalog.open(folder)
                moved = copy.migrate(codebooks, rows, self.vectors[rows], align=align)
                decoded = copy.codebooks.decode(moved.items.sids)
            if moved.kept is None:
                raise RuntimeError("the levels of both epochs are as many")
            distortion = np.square(self.vectors[rows] - decoded).sum(axis=1).mean()
            found.append(Epoch(name, moved.kept.tokens, moved.kept.sids, float(distortion)))
        return found

    def night(self, day: int) -> Day:
        if day:
            live: Any = self.catalog.items().keys.tolist()
            self.catalog.remove(self.rng.choice(live, round(GONE * len(live)), replace=False))
            new = [self.waiting.pop() for _ in range(round(NEW * len(live)))]
            self.catalog.add(new, self.vectors[new])
        items = self.catalog.items()
        rows: Any = items.keys.tolist()
        sids = [tuple(sid) for sid in items.sids.tolist()]
        moved = sum(
            self.known.setdefault(key, sid) != sid for key, sid in zip(rows, sids, strict=True)
        )
        vectors = self.vectors[rows]
        distortion = np.square(vectors - self.codebooks.decode(items.sids)).sum(axis=1)
        rebuilt = puresid.assign(vectors, self.codebooks)
        nearest = puresid.assign(vectors, self.codebooks, "nearest").distortion
        refitted = puresid.assign(vectors, self._fit(rows))
        came = np.array([row not in self.first for row in rows])
        summary = self.catalog.summary()
        found = Day(
            day=day,
            items=len(rows),
            tombstones=summary.tombstones,
            load=summary.load,
            moved=moved,
            moved_rebuilt=_moved(self.rebuilt, rows, rebuilt.sids),
            moved_refitted=_moved(self.refitted, rows, refitted.sids),
            distortion=float(distortion.mean()),
            distortion_rebuilt=float(rebuilt.distortion.mean()),
            distortion_refitted=float(refitted.distortion.mean()),
            appended=float(distortion[came].mean()) if came.any() else None,
            appended_rebuilt=float(rebuilt.distortion[came].mean()) if came.any() else None,
            appended_nearest=float(nearest[came].mean()) if came.any() else None,
        )
        if problems := self.catalog.verify():
            raise RuntimeError(f"day {day}: {problems}")
        return found


def _moved(first: dict[int, bytes], rows: list[int], sids: np.ndarray) -> float:
    """Share of the items of day 0 that are there and whose SID is another now."""
    now = {row: sid.tobytes() for row, sid in zip(rows, sids, strict=True)}
    if not first:
        first.update(now)
    both = first.keys() & now.keys()
    moved = int(sum(first[row] != now[row] for row in both))
    return moved / len(both)


BLUE, ORANGE, GREEN, GREY = "#0072b2", "#c2570c", "#00805f", "#57606a"


def draw(days: list[Day], title: str) -> str:
    """The plot as SVG."""
    import io

    import matplotlib
    from matplotlib.figure import Figure

    after = [day for day in days if day.appended is not None]
    with matplotlib.rc_context({"svg.hashsalt": "puresid", "font.size": 9.0}):
        figure = Figure(figsize=(9.0, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_distortion(left, after)
        _draw_moved(right, after)
        for axes in (left, right):
            axes.set_xlabel("day")
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", color="#d3d8de", lw=0.7)
            axes.legend(frameon=False, fontsize=8)
        figure.suptitle(title, x=0.01, ha="left")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _draw_distortion(axes: Any, days: list[Day]) -> None:
    x = [day.day for day in days]
    for name, style, color, label in (
        ("appended", "o-", BLUE, "appended by Catalog"),
        ("appended_rebuilt", "s-", ORANGE, "the same items, all rebuilt"),
        ("appended_nearest", "--", GREY, "the same items, nearest (not unique)"),
    ):
        axes.plot(x, [getattr(day, name) for day in days], style, ms=3, color=color, label=label)
    axes.set_title("distortion of the items that came after day 0")
    axes.set_ylabel("mean squared distance; does not begin at 0")


def _draw_moved(axes: Any, days: list[Day]) -> None:
    x, last = [day.day for day in days], days[-1]
    for values, end, offset, style, color, label in (
        (
            [100 * day.moved_refitted for day in days],
            f"{last.moved_refitted:.1%}", 3, "^-", GREEN, "codebooks fitted anew, rebuilt",
        ),
        (
            [100 * day.moved_rebuilt for day in days],
            f"{last.moved_rebuilt:.1%}", 3, "s-", ORANGE, "same codebooks, rebuilt",
        ),
        ([day.moved for day in days], f"{last.moved}", -6, "o-", BLUE, "Catalog"),
    ):  # fmt: skip
        axes.plot(x, values, style, ms=3, color=color, label=label)
        axes.annotate(end, (last.day, values[-1] + offset), ha="right", fontsize=8)
    axes.set_title("items of day 0 whose SID is another by now, %")
    axes.set_ylim(-8, 108)


def tables(days: list[Day], epochs: list[Epoch]) -> str:
    """The tables of docs/catalog.md."""
    lines = [
        "| day | items | tombstones | load | SIDs moved | moved, rebuilt | moved, refitted | "
        "distortion | rebuilt | refitted | of appended | rebuilt | nearest |",
        "| --: " * 13 + "|",
    ]
    for day in days:
        if day.day % 5 and day.day != 1:
            continue
        cells = [
            f"{day.day}",
            f"{day.items:,}",
            f"{day.tombstones:,}",
            f"{day.load:.1%}",
            f"{day.moved}",
            f"{day.moved_rebuilt:.1%}",
            f"{day.moved_refitted:.1%}",
        ]
        distortions = (
            day.distortion,
            day.distortion_rebuilt,
            day.distortion_refitted,
            day.appended,
            day.appended_rebuilt,
            day.appended_nearest,
        )
        cells += ["" if value is None else f"{value:.4f}" for value in distortions]
        lines.append("| " + " | ".join(cells) + " |")
    moved = sum(day.moved for day in days)
    lines += [
        f"\nSIDs moved by Catalog in {DAYS} nights: {moved}",
        "\n| codebooks of a new epoch on the last day | tokens kept | SIDs kept | distortion |",
        "| :-- | --: | --: | --: |",
    ]
    for epoch in epochs:
        tokens = ", ".join(f"{share:.1%}" for share in epoch.tokens)
        lines.append(f"| {epoch.name} | {tokens} | {epoch.sids:.1%} | {epoch.distortion:.4f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.nightly", description=__doc__)
    parser.add_argument("--sizes", default="256,256", help="Codewords per level. [256,256]")
    parser.add_argument("--json", type=Path, help="File for the days.")
    parser.add_argument("--plot", type=Path, help="File for the plot, .svg.")
    options = parser.parse_args()
    data = os.environ.get("PURESID_DATA")
    if not data:
        print("PURESID_DATA is unset: it names the folder of real catalogues", file=sys.stderr)
        return 2
    sizes = tuple(map(int, options.sizes.split(",")))
    vectors = np.load(Path(data) / BEAUTY)
    warnings.simplefilter("ignore", PrefixLoadWarning)  # some prefixes of two levels are full
    with tempfile.TemporaryDirectory() as folder:
        nights = Nights(vectors, sizes, Path(folder))
        days = [nights.night(day) for day in range(DAYS + 1)]
        epochs = nights.epochs()
    print(tables(days, epochs))
    if options.json:
        record = {"vectors": BEAUTY, "sizes": sizes, "version": puresid.__version__}
        options.json.write_text(
            json.dumps(
                record | {"days": [asdict(d) for d in days], "epochs": [asdict(e) for e in epochs]},
                indent=1,
            )
        )
    if options.plot:
        title = f"Beauty, S3-Rec 64d, {' x '.join(map(str, sizes))}, 2 % new and 1 % gone a day"
        options.plot.write_text(draw(days, title))
    return 1 if any(day.moved for day in days) else 0


if __name__ == "__main__":
    sys.exit(main())
