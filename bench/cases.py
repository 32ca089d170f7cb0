"""What is measured: cases, each a catalogue, its codebooks and the methods to run on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

OURS = ("nearest", "ecm", "rrs", "suffix")
"""puresid itself, as `assign(method=...)` calls them."""

QUICK = ("counter-loop", "counter-numpy", "faiss")
"""Baselines that any size of catalogue can afford."""

LOOPS = ("paper-ecm", "paper-rrs", "lean-ecm", "lean-rrs")
"""The paper's row loops: minutes a run on a large catalogue, so not for every case."""

QUICK_ITEMS = 4_000


@dataclass(frozen=True, kw_only=True)
class Case:
    """One catalogue and what to run on it; every random choice follows from `seed`."""

    name: str
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
    file: str | None = None
    """A real catalogue under `PURESID_DATA`; concentration to decay are then unused."""
    methods: tuple[str, ...] = OURS + QUICK
    """Names in `bench.methods.METHODS`; `nearest` is always among them."""

    @property
    def shape(self) -> str:
        """The case in the table's words: `20,000 x 32, 3 x 256`."""
        same = len(set(self.sizes)) == 1
        books = f"{len(self.sizes)} x {self.sizes[0]}" if same else " x ".join(map(str, self.sizes))
        return f"{self.items:,} x {self.dim}, {books}"

    def quick(self) -> Case:
        """The same case on few items: it shows that everything runs, and measures nothing."""
        return replace(self, items=min(self.items, QUICK_ITEMS))


CASES = (
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


def select(names: list[str] | None) -> tuple[Case, ...]:
    """The cases of these names in the list's order, or all of them."""
    known = {case.name for case in CASES}
    for name in names or ():
        if name not in known:
            raise ValueError(f"no case is called {name!r}; there are {', '.join(sorted(known))}")
    return tuple(case for case in CASES if not names or case.name in names)
