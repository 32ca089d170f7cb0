"""`method="optimal"`: what it promises beside the least total, and what it refuses."""

import hashlib
from typing import Any

import numpy as np
import pytest

import puresid
from puresid import sources
from strategies import every_sid, lattice_books, random_instance

SEARCHES = pytest.mark.parametrize("search", ["all", "conflicts"])
# Greedily 1.6 goes to 0 + 0, which is (0, 2); 3.5 - 2, which is (1, 1), is nearer, then 3.5 - 1.
BOOKS = [np.array([[0.0], [3.5]]), np.array([[-1.0], [-2.0], [0.0]])]
THREE = np.full((3, 1), 1.6)


def digest(result: puresid.Assignment) -> str:
    sha = hashlib.sha256(repr((result.lower_bound, result.bound_over)).encode())
    for array, kind in ((result.sids, "<u4"), (result.stages, "i1"), (result.distortion, "<f4")):
        sha.update(array.astype(kind).tobytes())
    return sha.hexdigest()


def distinct(sids: np.ndarray) -> int:
    return len(np.unique(sids, axis=0))


def total(result: puresid.Assignment) -> float:
    return float(result.distortion.sum(dtype=np.float64))


def clustered(n: int, dim: int, codewords: int) -> tuple[np.ndarray, puresid.Codebooks]:
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((n // 12, dim))
    noise = 0.3 * rng.standard_normal((n, dim))
    vectors = (centres[rng.integers(0, len(centres), n)] + noise).astype(np.float32)
    vectors[-n // 20 :] = vectors[rng.integers(0, 30, n - (n - n // 20))]
    return vectors, puresid.RQKMeans(3, codewords, n_iter=5).fit(vectors).codebooks


@pytest.fixture(scope="module")
def catalogue() -> tuple[np.ndarray, puresid.Codebooks]:
    """Vectors, many of them equal: three quarters of them share their nearest SID."""
    return clustered(6000, 24, 24)


# --- the same bytes -------------------------------------------------------------------------------


@SEARCHES
def test_the_same_bytes_at_any_threads_and_simd_level(catalogue, monkeypatch, search):
    vectors, codebooks = catalogue
    options: dict[str, Any] = {
        "search": search,
        "weights": np.random.default_rng(5).random(len(vectors)) + 0.1,
        "taken": puresid.assign(vectors, codebooks, "nearest").sids[:700],
    }
    first = puresid.assign(vectors, codebooks, "optimal", threads=1, **options)
    digests = {
        digest(puresid.assign(vectors, codebooks, "optimal", threads=t, **options))
        for t in (2, 3, 8)
    }
    for level in puresid.build_config()["simd_available"]:
        monkeypatch.setenv("PURESID_SIMD", level)
        digests.add(digest(puresid.assign(vectors, codebooks, "optimal", threads=2, **options)))
    assert digests == {digest(first)}


@SEARCHES
@pytest.mark.parametrize("in_file", [False, True])
def test_the_same_bytes_in_pieces(catalogue, monkeypatch, search, in_file):
    if in_file:  # what is read again
        monkeypatch.setattr(sources, "KEPT_IN_MEMORY", 100)
    vectors, codebooks = catalogue
    options: dict[str, Any] = {"search": search, "priority": np.arange(len(vectors)) % 5}
    whole = digest(puresid.assign(vectors, codebooks, "optimal", **options))
    for parts in (1, 7):
        pieces = puresid.Batches(lambda n=parts: np.array_split(vectors, n), vectors.shape)
        assert digest(puresid.assign(pieces, codebooks, "optimal", **options)) == whole


@SEARCHES
def test_the_same_bytes_from_half_precision_and_a_memory_map(catalogue, tmp_path, search):
    vectors, codebooks = catalogue
    half = vectors.astype(np.float16)
    expected = digest(puresid.assign(half.astype(np.float32), codebooks, "optimal", search=search))
    np.save(tmp_path / "half.npy", half)
    np.save(tmp_path / "single.npy", half.astype(np.float32))
    for name in ("half.npy", "single.npy"):
        mapped = np.load(tmp_path / name, mmap_mode="r")
        assert digest(puresid.assign(mapped, codebooks, "optimal", search=search)) == expected
    assert digest(puresid.assign(half, codebooks, "optimal", search=search)) == expected


def test_torch_is_not_loaded(run_python):
    script = """
import sys
import numpy as np
import puresid
puresid.assign(np.zeros((3, 1)), [np.zeros((4, 1))], "optimal")
print({"torch", "scipy"} & set(sys.modules))
"""
    assert run_python(script) == "set()\n"


# --- searches -------------------------------------------------------------------------------------


def test_who_is_not_in_conflict_keeps_the_nearest_sid_where_only_conflicts_are_searched(catalogue):
    vectors, codebooks = catalogue
    nearest = puresid.assign(vectors, codebooks, "nearest")
    result = puresid.assign(vectors, codebooks, "optimal", search="conflicts")
    assert distinct(result.sids) == len(vectors)
    own = (result.sids == nearest.sids).all(axis=1)
    np.testing.assert_array_equal(result.stages == 0, own)
    _, group, counts = np.unique(nearest.sids, axis=0, return_inverse=True, return_counts=True)
    alone = counts[group.reshape(-1)] == 1
    assert own[alone].mean() > 0.3
    # Whoever moves without company: another item has the SID now, or a nearer one was found.
    held = set(map(tuple, result.sids.tolist()))
    for row in np.flatnonzero(alone & ~own):
        if tuple(nearest.sids[row].tolist()) not in held:
            assert result.distortion[row] < nearest.distortion[row]
    assert total(result) * (1 - 1e-3) <= result.lower_bound * (1 + 1e-6)
    assert total(result) >= result.lower_bound * (1 - 1e-6)
    assert result.bound_over == "listed"
    everywhere = puresid.assign(vectors, codebooks, "optimal", search="all")
    assert everywhere.bound_over == "all"
    assert total(everywhere) < total(result) < total(puresid.assign(vectors, codebooks, "beam"))


def test_without_conflicts_all_keep_their_nearest_sids_unless_all_are_searched():
    rng = np.random.default_rng(0)
    books = [rng.standard_normal((16, 4)) / (1 + level) for level in range(3)]
    vectors = rng.standard_normal((80, 4)).astype(np.float32)
    nearest = puresid.assign(vectors, books, "nearest")
    vectors = vectors[nearest.stages == 0]
    nearest = puresid.assign(vectors, books, "nearest")
    result = puresid.assign(vectors, books, "optimal", search="conflicts")
    np.testing.assert_array_equal(result.sids, nearest.sids)
    assert set(result.stages.tolist()) == {0}
    assert result.lower_bound == pytest.approx(total(nearest), rel=1e-6)
    closest = puresid.assign(vectors, books, "optimal")
    assert total(closest) < total(nearest)


def test_the_default_is_to_search_for_all_of_a_small_catalogue(catalogue):
    vectors, codebooks = catalogue
    assert digest(puresid.assign(vectors, codebooks, "optimal")) == digest(
        puresid.assign(vectors, codebooks, "optimal", search="all", width=256, gap=1e-3)
    )


def test_the_default_is_to_search_conflicts_of_a_large_catalogue(monkeypatch, catalogue):
    monkeypatch.setattr("puresid._assign_options.MOST_SEARCHED", 5999)
    vectors, codebooks = catalogue
    assert digest(puresid.assign(vectors, codebooks, "optimal")) == digest(
        puresid.assign(vectors, codebooks, "optimal", search="conflicts", width=5)
    )


@pytest.mark.parametrize(
    ("options", "tiers"),
    [
        ({}, (4, 20, 180)),
        ({"search": "conflicts"}, (4, 5, 5)),
        ({"search": "conflicts", "width": 30}, (4, 20, 30)),
        ({"width": 7}, (4, 7, 7)),
    ],
)
def test_the_result_says_how_many_were_kept(options, tiers):
    books = [np.zeros((4, 2)), np.zeros((5, 2)), np.zeros((9, 2))]
    result = puresid.assign(np.zeros((3, 2)), books, "optimal", **options)
    assert result.tiers == (tiers,)
    assert result.summary().stage_counts == {0: 1, 1: 2}


def test_a_narrow_search_is_unique_and_its_bound_holds(catalogue):
    vectors, codebooks = catalogue
    best = puresid.assign(vectors, codebooks, "optimal", gap=0)
    for width in (1, 3):
        result = puresid.assign(vectors, codebooks, "optimal", width=width)
        assert distinct(result.sids) == len(vectors)
        assert total(result) >= total(best) * (1 - 1e-6)
        if result.bound_over == "all":
            assert result.lower_bound <= total(best) * (1 + 1e-6)
        assert result.lower_bound <= total(result) * (1 + 1e-6)


# --- options --------------------------------------------------------------------------------------


def test_priority_changes_no_total():
    rng = np.random.default_rng(7)
    moved = 0
    for number in range(60):
        plain = random_instance(rng, max_levels=3)
        options: dict[str, Any] = {}
        if "taken" in plain.options:
            options["taken"] = plain.options["taken"]
        first = puresid.assign(plain.vectors, plain.books, "optimal", **options)
        options["priority"] = rng.permutation(len(plain.vectors))
        second = puresid.assign(plain.vectors, plain.books, "optimal", **options)
        assert total(second) == total(first), f"instance {number}"
        moved += bool((second.sids != first.sids).any())
    assert moved > 10


def test_weights_decide_who_gets_the_nearer_sid():
    vectors = np.array([[1.5], [1.7], [1.6]])
    for heavy in range(3):
        weights = [1000 if row == heavy else 1 for row in range(3)]
        result = puresid.assign(vectors, BOOKS, "optimal", weights=weights)
        assert result.sids[heavy].tolist() == [1, 1]
        assert result.bound_over == "all"
        weighted = float(np.dot(weights, result.distortion.astype(np.float64)))
        assert result.lower_bound == pytest.approx(weighted, rel=1e-3)


def test_equal_weights_are_no_weights(catalogue):
    vectors, codebooks = catalogue
    plain = puresid.assign(vectors, codebooks, "optimal")
    result = puresid.assign(vectors, codebooks, "optimal", weights=np.full(len(vectors), 4))
    np.testing.assert_array_equal(result.sids, plain.sids)
    assert result.lower_bound == pytest.approx(4 * plain.lower_bound)


@pytest.mark.parametrize(
    ("options", "sids", "stages"),
    [
        ({}, [[1, 1], [1, 0], [0, 2]], [1, 1, 0]),
        ({"priority": [0, 1, 2]}, [[0, 2], [1, 0], [1, 1]], [0, 1, 1]),
        ({"taken": [[1, 1]]}, [[1, 0], [0, 2], [1, 2]], [1, 0, 1]),
        ({"max_distortion": 1.0}, [[1, 1], [1, 0], [0, 2]], [1, 1, 2]),
        (
            {"max_distortion": 1.0, "complete": False},
            [[1, 1], [1, 0], [0, 2]],
            [1, 1, -1],
        ),
        (
            {"max_distortion": 1.0, "complete": False, "taken": [[1, 1]]},
            [[1, 0], [0, 2], [0, 2]],
            [1, -1, -1],
        ),
        (
            {"max_distortion": 1.0, "taken": [[1, 1]]},
            [[1, 0], [0, 2], [0, 0]],
            [1, 2, 2],
        ),
    ],
)
@SEARCHES
def test_taken_limit_and_completion(options, sids, stages, search):
    result = puresid.assign(THREE, BOOKS, "optimal", search=search, **options)
    assert result.sids.tolist() == sids
    assert result.stages.tolist() == stages
    least = 0.8 if "taken" in options else 0.01
    assert least < result.lower_bound <= total(result) * (1 + 1e-6)


def test_a_limit_holds_for_tiers_and_not_for_completion(catalogue):
    vectors, codebooks = catalogue
    free = puresid.assign(vectors, codebooks, "optimal")
    limit = float(np.quantile(free.distortion, 0.7))
    result = puresid.assign(vectors, codebooks, "optimal", max_distortion=limit, complete=False)
    served = result.stages >= 0
    assert 0.4 < served.mean() < 1
    assert (result.distortion[served] <= limit).all()
    assert distinct(result.sids[served]) == served.sum()
    nearest = puresid.assign(vectors, codebooks, "nearest")
    np.testing.assert_array_equal(result.sids[~served], nearest.sids[~served])
    completed = puresid.assign(vectors, codebooks, "optimal", max_distortion=limit)
    assert distinct(completed.sids) == len(vectors)
    np.testing.assert_array_equal(completed.stages == 2, ~served)
    np.testing.assert_array_equal(completed.sids[served], result.sids[served])


# --- sizes ----------------------------------------------------------------------------------------


@SEARCHES
def test_no_item(search):
    result = puresid.assign(np.empty((0, 1)), BOOKS, "optimal", search=search)
    assert result.sids.shape == (0, 2)
    assert result.lower_bound == 0
    assert "lower bound" not in str(result.summary())


def test_one_item():
    result = puresid.assign(THREE[:1], BOOKS, "optimal")
    assert result.sids.tolist() == [[1, 1]]
    assert result.lower_bound == pytest.approx(0.01, rel=1e-4)
    summary = result.summary()
    assert (summary.lower_bound, summary.bound_over) == (result.lower_bound, "all")


@SEARCHES
def test_as_many_items_as_sids(search):
    rng = np.random.default_rng(1)
    books = lattice_books(rng, [6, 7, 5], 3, 6)
    vectors = rng.integers(-6, 7, (210, 3)).astype(np.float32)
    result = puresid.assign(vectors, books, "optimal", search=search)
    sids = sorted(map(tuple, result.sids.tolist()))
    assert sids == sorted(map(tuple, every_sid([6, 7, 5]).tolist()))


def test_one_sid_of_many_is_free():
    rng = np.random.default_rng(2)
    books = lattice_books(rng, [8, 8], 2, 6)
    taken = np.delete(every_sid([8, 8]), 37, axis=0)
    result = puresid.assign(np.zeros((1, 2)), books, "optimal", taken=taken)
    assert result.sids.tolist() == [[4, 5]]


def test_more_items_than_sids():
    with pytest.raises(puresid.CapacityError, match="7"):
        puresid.assign(np.zeros((7, 1)), BOOKS, "optimal")
    with pytest.raises(puresid.CapacityError):
        puresid.assign(np.zeros((6, 1)), BOOKS, "optimal", taken=[[0, 0]])


# --- what is refused ------------------------------------------------------------------------------

OTHERS = ("ecm", "rrs", "beam", "nearest", "suffix")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"width": 0}, ValueError, "width is 0; it must be from 1 to 1024"),
        ({"width": 1025}, ValueError, "width is 1025; it must be from 1 to 1024"),
        ({"width": "9"}, TypeError, "width is '9'; an integer is needed"),
        ({"tiers": ((5,),)}, ValueError, r"tiers is \(\(5,\),\); method 'optimal' has a width"),
        ({"gap": -0.1}, ValueError, r"gap is -0\.1; it must be from 0 to less than 1"),
        ({"gap": 1}, ValueError, "gap is 1; it must be from 0 to less than 1"),
        ({"gap": np.nan}, ValueError, "gap is nan; it must be from 0 to less than 1"),
        ({"gap": "0.1"}, TypeError, r"gap is '0\.1'; a number is needed"),
        ({"search": "some"}, ValueError, "search is 'some'; it must be 'all' or 'conflicts'"),
        ({"search": True}, ValueError, "search is True; it must be 'all' or 'conflicts'"),
        ({"weights": [1, 2]}, ValueError, r"weights has shape \(2,\); vectors has 3 rows"),
        ({"weights": 2.0}, ValueError, r"weights has shape \(\); vectors has 3 rows"),
        ({"weights": ["a", "b", "c"]}, TypeError, "weights has dtype <U1; real numbers are"),
        ({"weights": [True] * 3}, TypeError, "weights has dtype bool; real numbers are needed"),
        ({"weights": [1j] * 3}, TypeError, "weights has dtype complex128; real numbers are"),
        ({"weights": [1, 0, 1]}, ValueError, r"weights\[1\] is 0.*; it must be positive and fin"),
        ({"weights": [1, 1, -2]}, ValueError, r"weights\[2\] is -2.*; it must be positive and"),
        ({"weights": [np.nan, 1, 1]}, ValueError, r"weights\[0\] is nan; it must be positive"),
        ({"weights": [1, np.inf, 1]}, ValueError, r"weights\[1\] is inf; it must be positive"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        puresid.assign(THREE, BOOKS, "optimal", **options)


@pytest.mark.parametrize("method", OTHERS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gap": 0.1}, r"gap is 0\.1; only method 'optimal' has one, not '{}'"),
        ({"search": "all"}, "search is 'all'; only method 'optimal' has one, not '{}'"),
        ({"weights": [1, 1, 1]}, "weights were given; only method 'optimal' has them, not '{}'"),
    ],
)
def test_options_of_other_methods_are_refused(method, options, message):
    with pytest.raises(ValueError, match=message.format(method)):
        puresid.assign(THREE, BOOKS, method, **options)


@pytest.mark.parametrize(
    ("kind", "said"),
    [({"metric": "cosine"}, "cosine"), ({"normalize_residuals": True}, "normalised residuals")],
)
def test_scaled_residuals_are_refused(kind, said):
    codebooks = puresid.Codebooks([np.eye(2), np.eye(2)], **kind)
    with pytest.raises(ValueError, match=rf"at length 1 \({said}\).*'optimal'.*not for these"):
        puresid.assign(np.ones((2, 2)), codebooks, "optimal")


# --- real catalogues ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["beauty/s3rec_64d.npy", "office/minilm_384d.npy"])
def test_real_catalogues_cost_about_half_of_what_they_cost_with_ecm(data_folder, name):
    vectors = np.load(data_folder / name)
    codebooks = puresid.RQKMeans(3, 64, n_iter=10).fit(vectors).codebooks
    nearest = puresid.assign(vectors, codebooks, "nearest")
    extra = {}
    for method in ("ecm", "optimal"):
        result = puresid.assign(vectors, codebooks, method)
        assert distinct(result.sids) == len(vectors)
        extra[method] = total(result) - total(nearest)
    assert extra["ecm"] > 0
    assert extra["optimal"] <= 0.55 * extra["ecm"]
    assert result.bound_over == "all"
    assert total(result) * (1 - 1e-3) <= result.lower_bound <= total(result) * (1 + 1e-6)
