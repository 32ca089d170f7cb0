"""`pytest bench`: what training is measured against makes codebooks, and the table is whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import puresid
from bench.baselines import Unavailable, clusterings
from bench.quantizers import GROUPS, Row, lines

pytest.importorskip("faiss", reason="faiss, of the extra 'bench', is missing")
pytest.importorskip("sklearn", reason="scikit-learn, of the extra 'bench', is missing")

VECTORS = np.random.default_rng(0).standard_normal((900, 8), dtype=np.float32)


@pytest.mark.parametrize("chain", [clusterings.sklearn_chain, clusterings.faiss_chain])
def test_chains_are_residual_k_means(chain: Callable[..., puresid.Codebooks]) -> None:
    found = chain(VECTORS, (16, 8), 25, 0, 1)
    assert found.sizes == (16, 8)
    ours = puresid.RQKMeans(2, (16, 8)).fit(VECTORS).codebooks
    theirs, mine = (puresid.assign(VECTORS, b, "nearest") for b in (found, ours))
    assert theirs.nearest_distortion == pytest.approx(mine.nearest_distortion, rel=0.1)


def test_faiss_opq_is_read_as_it_quantises() -> None:
    found = clusterings.faiss_opq(VECTORS, (16, 16), 25, 0, 1)
    assert (found.space, found.sizes) == ("product", (16, 16))
    ours = puresid.ProductQuantizer(2, 16).fit(VECTORS).codebooks
    theirs, mine = (puresid.assign(VECTORS, b, "nearest") for b in (found, ours))
    assert theirs.nearest_distortion == pytest.approx(mine.nearest_distortion, rel=0.1)
    with pytest.raises(Unavailable, match="one power of two"):
        clusterings.faiss_opq(VECTORS, (16, 8), 25, 0, 1)


def test_the_table_is_beside_the_first_of_each_group() -> None:
    rows: list[Any] = [
        Row("residual", "ours", seconds=[1.0, 3.0], distortion=[2.0, 2.0], conflicts=1234.5),
        Row("residual", "theirs", seconds=[4.0, 4.0], distortion=[3.0, 3.0], unique=False),
        Row("residual", "other", missing="it is not installed"),
        Row("tree", "tree", seconds=[5.0], distortion=[0.0]),
    ]
    assert lines("c", rows) == [
        "| c | ours | 2.00 [1.00..3.00] | 1.00 | 2 | 1.0000 | 1,234 | yes |",
        "| c | theirs | 4.00 [4.00..4.00] | 2.00 | 3 | 1.5000 | 0 | NO |",
        "| c | other | it is not installed | | | | | |",
        "| c | tree | 5.00 [5.00..5.00] | 1.00 | 0 | 0.0000 | 0 | yes |",
    ]


def test_groups_name_methods() -> None:
    from bench.quantizers import _methods

    assert {name for group in GROUPS for name in group.methods} == set(_methods())
