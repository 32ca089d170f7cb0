"""Aligning: what is refused, what is counted and said, what is imported."""

import sys

import numpy as np
import pytest

import puresid
from puresid.catalog.aligning import align, tokens_kept

pytest.importorskip("scipy.optimize", reason="SciPy is missing")

REFUSED = {
    "the new codebooks have 1 levels; the old have 2": {"new": [[[0.0]]]},
    "the new codebooks have space 'product'; the old have 'residual'": {
        "new": puresid.Codebooks([[[0.0]], [[0.0]]], space="product")
    },
    "sids_old is given alone; sids_new or vectors must go with it": {"sids_old": [[0, 0]]},
    "sids_new is given alone; sids_old or vectors must go with it": {"sids_new": [[0, 0]]},
    "sids_new has 2 rows; sids_old has 1: both are per item": {
        "sids_old": [[0, 0]],
        "sids_new": [[0, 0]] * 2,
    },
    "vectors has 3 rows; sids_old has 1: both are per item": {
        "sids_old": [[0, 0]],
        "vectors": np.zeros((3, 1)),
    },
    r"sids_old\[1\] has token 2 at level 0; codebooks\[0\] has 2": {
        "sids_old": [[0, 0], [2, 0]],
        "vectors": np.zeros((2, 1)),
    },
    r"sids_new has shape \(1, 3\); \(rows, 2\) is needed": {
        "sids_new": [[0, 0, 0]],
        "vectors": np.zeros((1, 1)),
    },
}


@pytest.mark.parametrize(("message", "options"), REFUSED.items())
def test_what_does_not_fit_is_refused(message, options):
    books = [[[0.0], [1.0]]] * 2
    with pytest.raises(ValueError, match=message):
        align(books, **{"new": books, **options})


def test_tokens_kept():
    found = tokens_kept([[0, 1, 2], [0, 1, 2]], [[0, 1, 2], [0, 2, 2]])
    assert (found.items, found.tokens, found.prefixes) == (2, (1, 0.5, 1), (1, 0.5, 0.5))
    assert found.sids == 0.5
    assert np.isnan(tokens_kept(np.empty((0, 2), int), np.empty((0, 2), int)).sids)
    with pytest.raises(ValueError, match=r"sids_old has shape \(2,\); \(rows, levels\) is needed"):
        tokens_kept([0, 1], [[0], [1]])
    with pytest.raises(ValueError, match="sids_new has 1 rows; sids_old has 2"):
        tokens_kept([[0], [1]], [[0]])
    with pytest.raises(ValueError, match=r"sids_new has shape \(1, 2\); \(rows, 1\) is needed"):
        tokens_kept([[0]], [[0, 1]])
    with pytest.raises(TypeError, match="sids_new has dtype float64; integer tokens are needed"):
        tokens_kept([[0]], [[0.5]])


def test_renumber_checks_what_it_is_given():
    found = align([[[0.0], [1.0]]], [[[1.0], [0.0]]])
    assert found.renumber([[0], [1], [0]]).tolist() == [[1], [0], [1]]
    assert found.renumber(np.empty((0, 1), int)).shape == (0, 1)
    with pytest.raises(ValueError, match=r"sids\[0\] has token 2 at level 0"):
        found.renumber([[2]])
    with pytest.raises(ValueError, match="read-only"):
        found.permutations[0][0] = 1


def test_its_text_says_what_was_kept():
    found = align([[[0.0], [1.0]]], [[[1.5], [0.0]]], vectors=[[0.0], [1.4], [0.6], [0.9]])
    assert str(found).splitlines() == [
        "level  tokens kept  prefixes kept  distance  before",
        "    0        75.0%          75.0%     0.125   1.625",
        "matched by items; whole SIDs kept 75.0% of 4",
    ]
    assert str(align([[[0.0]]], [[[1.0]]])).endswith("matched by codewords")


def test_without_scipy_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ImportError, match=r"needs SciPy: pip install 'puresid\[catalog\]'"):
        align([[[0.0]]], [[[0.0]]])


def test_scipy_is_imported_when_it_is_used(run_python):
    script = """
import sys
import puresid.catalog.aligning
print(*[name for name in ("scipy", "pyarrow", "safetensors", "torch") if name in sys.modules])
"""
    assert run_python(script).split() == []
