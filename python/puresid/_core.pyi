from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__version__: str

class CapacityError(ValueError): ...

def build_config() -> dict[str, Any]: ...
def release_threads() -> None: ...
def default_tiers(levels: int) -> list[list[int]]: ...
def check_codebooks(
    codebooks: Sequence[npt.NDArray[np.float32]], *, space: str, scaling: str
) -> None: ...
def linear(
    vectors: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32] | None,
    *,
    threads: int,
    simd: str | None,
) -> npt.NDArray[np.float32]: ...

class Assigner:
    def __init__(
        self,
        rows: int,
        codebooks: Sequence[npt.NDArray[np.float32]],
        *,
        space: str,
        scaling: str,
        method: str,
        tiers: Sequence[Sequence[int]] | None,
        width: int,
        gap: float,
        search_all: bool,
        complete: bool,
        priority: npt.NDArray[np.float64] | None,
        weights: npt.NDArray[np.float64] | None,
        taken: npt.NDArray[np.uint32] | None,
        max_distortion: float,
        threads: int,
        simd: str | None,
        progress: Callable[[str, int, int], object] | None,
    ) -> None: ...
    def add(self, vectors: npt.NDArray[np.float32] | npt.NDArray[np.float16]) -> None: ...
    def resolve(
        self, vectors: npt.NDArray[np.float32] | npt.NDArray[np.float16], conflicts: bool
    ) -> tuple[
        npt.NDArray[np.uint16] | npt.NDArray[np.uint32],
        npt.NDArray[np.int8],
        npt.NDArray[np.float32],
        npt.NDArray[np.uint32],
        float,
        float,
        float,
    ]: ...
    @property
    def n_taken(self) -> int: ...
    @property
    def stages(self) -> npt.NDArray[np.int8]: ...

def train_residual_kmeans(
    vectors: npt.NDArray[np.float32],
    *,
    sizes: Sequence[int],
    n_iter: int,
    seed: int,
    balanced: bool = False,
    start: Sequence[npt.NDArray[np.float32]] | None = None,
    threads: int,
    simd: str | None,
    progress: Callable[[str, int, int], object] | None,
) -> list[tuple[npt.NDArray[np.float32], list[float], npt.NDArray[np.uint32]]]: ...

class LeafSet:
    def __init__(self, members: npt.NDArray[np.uint8]) -> None: ...

class SidTrie:
    def __init__(self, sizes: Sequence[int], sids: npt.NDArray[np.uint32]) -> None: ...
    def __len__(self) -> int: ...
    def sids(self) -> npt.NDArray[np.uint32]: ...
    def add(self, sids: npt.NDArray[np.uint32]) -> int: ...
    def remove(self, sids: npt.NDArray[np.uint32]) -> int: ...
    def find(self, prefixes: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]: ...
    def mask(
        self, prefixes: npt.NDArray[np.uint32], live: LeafSet | None
    ) -> npt.NDArray[np.bool_]: ...
    def lists(
        self, prefixes: npt.NDArray[np.uint32], live: LeafSet | None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]: ...
    def tokens(self, depth: int) -> npt.NDArray[np.uint32]: ...
    def first_child(self, depth: int) -> npt.NDArray[np.uint32]: ...
    def first_leaf(self, depth: int) -> npt.NDArray[np.uint32]: ...

def hash_integers(values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]: ...
def hash_texts(
    bytes: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], *, threads: int
) -> npt.NDArray[np.uint64]: ...
def equal_texts(
    bytes: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    other_bytes: npt.NDArray[np.uint8],
    other_offsets: npt.NDArray[np.int64],
    other_rows: npt.NDArray[np.int64],
    *,
    threads: int,
) -> npt.NDArray[np.bool_]: ...
def take_texts(
    bytes: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    *,
    threads: int,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]: ...
def vector_digests(vectors: npt.NDArray[np.float32], *, threads: int) -> npt.NDArray[np.uint64]: ...
def find_intervals(
    values: npt.NDArray[np.uint64],
    low: npt.NDArray[np.uint64],
    high: npt.NDArray[np.uint64],
    *,
    threads: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...
