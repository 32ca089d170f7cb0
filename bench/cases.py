"""What is measured: cases, each a catalogue, its codebooks and the methods to run on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

OURS = ("nearest", "ecm", "rrs", "suffix")
"""puresid itself, as `assign(method=...)` calls them."""

QUICK = ("counter-loop", "counter-numpy", "faiss")
"""Baselines that catalogues up to a million items can afford."""

LAST_TOKEN = ("first-fit", "draws", "sinkhorn")
"""Baselines that change the last token alone; items may stay on a shared SID."""

LOOPS = ("paper-ecm", "paper-rrs", "lean-ecm", "lean-rrs")
"""The paper's row loops: minutes a run on a large catalogue, so not for every case."""

QUICK_ITEMS = 4_000
QUICK_SIZE = 1_024

MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Case:
    """One catalogue and what to run on it; every random choice follows from `seed`."""

    name: str
    group: str = "readme"
    items: int
    dim: int
    sizes: tuple[int, ...]
    """Codewords per level."""
    concentration: float = 0.0
    """0 spreads the items evenly over the clusters; more piles them up in the first ones."""
    clusters: int = 100_000
    noise: float = 0.35
    """Spread of the items about their cluster's centre; the centres themselves spread by 1."""
    decay: float = 0.0
    """Dimension j (from 1) is scaled by j^-decay: 0.46 fits the spectrum of MiniLM on texts."""
    seed: int = 0
    iterations: int = 25
    """Of k-means, per level at most."""
    file: str | None = None
    """A real catalogue under `PURESID_DATA`; concentration to decay are then unused."""
    mapped: bool = False
    """The vectors stay in their file, mapped: for catalogues that memory need not hold."""
    methods: tuple[str, ...] = OURS + QUICK
    """Names in `bench.methods.METHODS`; `nearest` is always among them."""

    @property
    def shape(self) -> str:
        """The case in the table's words: `20,000 x 32, 3 x 256`."""
        same = len(set(self.sizes)) == 1
        books = (
            f"{len(self.sizes)} x {self.sizes[0]:,}"
            if same
            else " x ".join(f"{size:,}" for size in self.sizes)
        )
        return f"{self.items:,} x {self.dim}, {books}"

    def quick(self) -> Case:
        """The same case on few items: it shows that everything runs, and measures nothing."""
        sizes = tuple(min(size, QUICK_SIZE) for size in self.sizes)
        items = min(self.items, QUICK_ITEMS, math.prod(sizes) // 2)
        return replace(self, items=items, sizes=sizes)


README = (
    Case(
        name="headline",
        items=20_000,
        dim=32,
        sizes=(256, 256, 256),
        # A third of the items in conflict, as in real catalogues of this size.
        concentration=0.6,
        clusters=5_000,
        methods=OURS + QUICK + LOOPS,
    ),
    Case(name="500k-32", items=500_000, dim=32, sizes=(256, 256, 256), concentration=0.6),
    Case(
        name="100k-768",
        items=100_000,
        dim=768,
        sizes=(256, 256, 256),
        concentration=0.6,
        # With 768 equal dimensions nothing is near anything: k-means gives most items one codeword.
        decay=0.46,
        # A third in conflict again; 100,000 clusters leave 30 % of the items to completion.
        clusters=20_000,
    ),
    # The same without structure: most items are in conflict and many are left to completion.
    Case(
        name="100k-768-hard",
        items=100_000,
        dim=768,
        sizes=(256, 256, 256),
        concentration=0.6,
        methods=OURS,
    ),
    Case(
        name="beauty-sasrec-64",
        items=12_101,
        dim=32,
        sizes=(64, 64, 64),
        file="beauty/sasrec_32d.npy",
        methods=OURS + QUICK + LOOPS,
    ),
    Case(
        name="beauty-sasrec-256",
        items=12_101,
        dim=32,
        sizes=(256, 256, 256),
        file="beauty/sasrec_32d.npy",
        methods=OURS + QUICK + LOOPS,
    ),
    Case(
        name="beauty-s3rec-256",
        items=12_101,
        dim=64,
        sizes=(256, 256),
        file="beauty/s3rec_64d.npy",
        methods=OURS + QUICK + LOOPS,
    ),
    Case(
        name="office-32",
        items=3_459,
        dim=384,
        sizes=(32, 32, 32),
        file="office/minilm_384d.npy",
        methods=OURS + QUICK + LOOPS,
    ),
)

SIZES = tuple(
    Case(
        name=f"sizes-{label}",
        group="sizes",
        items=items,
        dim=32,
        sizes=(256, 256, 256),
        concentration=0.6,
        mapped=items > MILLION,
        # Python lists of ten million SIDs would take more memory than everything else here.
        methods=OURS + (QUICK if items <= MILLION else ("faiss",)),
    )
    for label, items in (("100k", 100_000), ("1m", MILLION), ("10m", 10 * MILLION))
)

# Minutes a method: a group of its own, so that `sizes` can be run at several numbers of threads.
MAPPED = (
    Case(
        name="mapped-10m-128",
        group="mapped",
        items=10 * MILLION,
        dim=128,
        # A fourth level: three would leave no more than two SIDs for each item.
        sizes=(256, 256, 256, 256),
        concentration=0.6,
        mapped=True,
        methods=("nearest", "ecm", "rrs"),
    ),
)

DIMS = tuple(
    Case(
        name=f"dims-{dim}",
        group="dims",
        items=100_000,
        dim=dim,
        sizes=(256, 256, 256),
        concentration=0.6,
        # As in 100k-768, at every dimension, so that it alone varies.
        decay=0.46,
        clusters=20_000,
    )
    for dim in (32, 128, 384, 768, 1536)
)

BOOKS = (
    *(
        Case(
            name=f"books-{levels}x{size}",
            group="books",
            items=100_000,
            dim=64,
            sizes=(size,) * levels,
            concentration=0.6,
            # Large codebooks converge slowly, and it is not their training that is measured.
            iterations=25 if size <= 1_024 else 5,
            methods=(*OURS, "faiss"),
        )
        for levels, size in ((3, 256), (3, 1_024), (3, 8_192), (2, 1_024), (8, 256), (16, 16))
    ),
    # One level has few SIDs, so few items; three of four SIDs are given out.
    Case(
        name="books-1x8192",
        group="books",
        items=6_000,
        dim=64,
        sizes=(8_192,),
        concentration=0.6,
        iterations=5,
        methods=(*OURS, "faiss"),
    ),
)

SKEW = tuple(
    Case(
        name=f"skew-{concentration}",
        group="skew",
        items=MILLION,
        dim=32,
        sizes=(256, 256, 256),
        concentration=concentration,
        methods=(*OURS, "faiss"),
    )
    for concentration in (0.0, 0.6, 1.1)
)

EVERYTHING = OURS + QUICK + LAST_TOKEN + LOOPS

BASELINES = (
    Case(
        name="baselines-100k",
        group="baselines",
        items=100_000,
        dim=32,
        sizes=(256, 256, 256),
        concentration=0.6,
        methods=EVERYTHING,
    ),
    *(
        Case(
            name=f"baselines-{name}",
            group="baselines",
            items=100_000,
            dim=32,
            sizes=sizes,
            concentration=concentration,
            methods=OURS + LOOPS,
        )
        # Where three quarters of the SIDs are given out; where items crowd.
        for name, sizes, concentration in (
            ("tight", (64, 64, 32), 0.6),
            ("skewed", (256, 256, 256), 1.1),
        )
    ),
    Case(
        name="baselines-beauty",
        group="baselines",
        items=12_101,
        dim=64,
        sizes=(256, 256),
        file="beauty/s3rec_64d.npy",
        methods=EVERYTHING,
    ),
    Case(
        name="baselines-office",
        group="baselines",
        items=3_459,
        dim=384,
        sizes=(32, 32, 32),
        file="office/minilm_384d.npy",
        methods=EVERYTHING,
    ),
)

CASES = README + SIZES + MAPPED + DIMS + BOOKS + SKEW + BASELINES
GROUPS = tuple(dict.fromkeys(case.group for case in CASES))


def select(names: list[str] | None = None, groups: list[str] | None = None) -> tuple[Case, ...]:
    """The cases of these names and groups, in the list's order; by default the README's."""
    known = {case.name for case in CASES}
    for name in names or ():
        if name not in known:
            raise ValueError(f"no case is called {name!r}; there are {', '.join(sorted(known))}")
    for group in groups or ():
        if group not in GROUPS:
            raise ValueError(f"no group is called {group!r}; there are {', '.join(GROUPS)}")
    if not names and not groups:
        return README
    return tuple(
        case for case in CASES if case.name in (names or ()) or case.group in (groups or ())
    )
