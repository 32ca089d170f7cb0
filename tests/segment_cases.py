"""SIDs to test catalogues with."""

import numpy as np

WIDE = 2**32 - 1


def random_sids(rng: np.random.Generator, count: int) -> np.ndarray:
    """Of 1 to 6 levels, with few or many tokens; at times more than 64 bits a SID."""
    levels = int(rng.integers(1, 7))
    tops = rng.choice([1, 2, 3, 300, 65536], levels)
    dtype = np.uint16
    if rng.random() < 0.4:
        tops, dtype = rng.choice([1, 3, WIDE + 1], levels), np.uint32
    sids = np.stack([rng.integers(0, top, count) for top in tops], axis=1).astype(dtype)
    if count and rng.random() < 0.5:  # many share their first tokens
        first = int(rng.integers(1, levels + 1))
        sids[:, :first] = sids[rng.integers(0, count, 1), :first]
    return sids
