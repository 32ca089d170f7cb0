"""`method="beam"`: candidates by distortion, against the twins and what it promises."""

import hashlib
from typing import Any

import numpy as np
import pytest

import oracles
import puresid
from space_rules import PRODUCT, TREE, lattice_levels
from strategies import Instance, lattice_books, random_instance

RULES = {"residual": oracles.RESIDUAL, "tree": TREE, "product": PRODUCT}
# Of `golden_instance`, computed by oracles.py. All whole numbers: any platform gives these.
GOLDEN = "9a5ddb51f67a5bc8efdefca0bc6bd81e754a26d9d64b9eeab6657238116c52fc"


def beam_instance(rng: np.random.Generator, **limits: int) -> Instance:
    """A lattice instance with a width in the place of tiers."""
    plain = random_instance(rng, **limits)
    options = {name: value for name, value in plain.options.items() if name != "tiers"}
    if rng.random() < 0.7:
        options["width"] = int(rng.integers(1, 9))
    return Instance(plain.vectors, plain.books, options)


def digest(result: puresid.Assignment) -> str:
    sha = hashlib.sha256()
    for array, kind in ((result.sids, "<u4"), (result.stages, "i1"), (result.distortion, "<f4")):
        sha.update(array.astype(kind).tobytes())
    return sha.hexdigest()


# --- against the twins ----------------------------------------------------------------------------


def wide_instances(seed: int, count: int) -> list[Instance]:
    """So small that a beam of the default width loses nothing."""
    rng = np.random.default_rng(seed)
    plain = [random_instance(rng, max_levels=3, max_size=4, max_items=6) for _ in range(count)]
    for instance in plain:
        instance.options.pop("tiers", None)
    return plain


def test_the_naive_twin_breaks_no_rule():
    for instance in wide_instances(1, 200):
        answer = oracles.assign(instance.vectors, instance.books, "beam", **instance.options)
        assert not oracles.violations(
            instance.vectors, instance.books, "beam", answer.sids, answer.stages, **instance.options
        )


def test_tiny_instances_by_brute_force():
    for number, instance in enumerate(wide_instances(4, 200)):
        got = puresid.assign(
            instance.vectors, instance.books, "beam", threads=1 + number % 3, **instance.options
        )
        found = oracles.violations(
            instance.vectors, instance.books, "beam", got.sids, got.stages, **instance.options
        )
        assert not found, f"instance {number} {sorted(instance.options)}: {found}"


@pytest.mark.parametrize("space", RULES)
def test_small_instances_of_every_space(space):
    rng = np.random.default_rng(2)
    reached: set[int] = set()
    for number in range(120):
        instance = beam_instance(rng, max_levels=4 if space == "residual" else 3)
        vectors, books = instance.vectors, instance.books
        if space != "residual":
            dim = int(rng.integers(1, 5))
            books = lattice_levels(rng, space, instance.sizes, dim, 4)
            columns = sum(book.shape[1] for book in books) if space == "product" else dim
            vectors = rng.integers(-4, 5, (len(vectors), columns)).astype(np.float32)
        expected = oracles.assign(vectors, books, "beam", rules=RULES[space], **instance.options)
        codebooks = puresid.Codebooks(books, space=space)
        threads = 1 + number % 3
        got = puresid.assign(vectors, codebooks, "beam", threads=threads, **instance.options)
        assert oracles.same(got, expected), f"instance {number} {sorted(instance.options)}"
        reached.update(got.stages.tolist())
    assert reached == {-1, 0, 1, 2}


@pytest.mark.parametrize(
    ("sizes", "n", "dim", "width"),
    [
        ((300,), 300, 5, 64),
        ((40, 30), 500, 6, 64),
        ((16, 16, 16), 600, 8, 9),
        ((33, 17, 9), 200, 67, 100),
        ((2,) * 10, 300, 4, 3),
    ],
)
def test_medium_instances(sizes, n, dim, width):
    """Sizes and dimensions that fill whole SIMD registers and leave a rest."""
    rng = np.random.default_rng([n, dim])
    books = lattice_books(rng, list(sizes), dim, 6)
    vectors = rng.integers(-6, 7, (n, dim)).astype(np.float32)
    vectors[::3] = vectors[rng.integers(0, 20, len(vectors[::3]))]
    options: dict[str, Any] = {"width": width, "priority": rng.random(n)}
    expected = oracles.assign(vectors, books, "beam", **options)
    assert oracles.same(puresid.assign(vectors, books, "beam", threads=2, **options), expected)


# --- what it promises -----------------------------------------------------------------------------


def clustered(n: int, dim: int, codewords: int) -> tuple[np.ndarray, puresid.Codebooks]:
    """Vectors, many of them equal, and codebooks that leave a third of them in conflict."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((n // 12, dim))
    noise = 0.3 * rng.standard_normal((n, dim))
    vectors = (centres[rng.integers(0, len(centres), n)] + noise).astype(np.float32)
    vectors[-n // 20 :] = vectors[rng.integers(0, 30, n - (n - n // 20))]
    return vectors, puresid.RQKMeans(3, codewords, n_iter=5).fit(vectors).codebooks


@pytest.fixture(scope="module")
def catalogue() -> tuple[np.ndarray, puresid.Codebooks]:
    return clustered(12_000, 24, 32)


def test_the_same_bytes_at_any_threads_and_simd_level(catalogue, monkeypatch):
    first = puresid.assign(*catalogue, "beam", width=2, threads=1)
    assert set(first.stages.tolist()) == {0, 1, 2}
    digests = {digest(puresid.assign(*catalogue, "beam", width=2, threads=t)) for t in (2, 3, 8)}
    for level in puresid.build_config()["simd_available"]:
        monkeypatch.setenv("PURESID_SIMD", level)
        digests.add(digest(puresid.assign(*catalogue, "beam", width=2, threads=2)))
    assert digests == {digest(first)}


def test_the_same_bytes_in_pieces(catalogue):
    vectors, codebooks = catalogue
    pieces = puresid.Batches(lambda: np.array_split(vectors, 7), vectors.shape)
    whole = puresid.assign(vectors, codebooks, "beam")
    assert digest(puresid.assign(pieces, codebooks, "beam")) == digest(whole)


def golden_instance() -> Instance:
    """Whole numbers from a formula of their own: no generator can change them."""

    def whole(rows: int, reach: int, seed: int) -> np.ndarray:
        at = np.arange(rows * 5, dtype=np.int64) + 1000 * seed
        values = (at * at * 1103515245 + 12345) // 65536 % (2 * reach + 1) - reach
        return values.reshape(rows, 5).astype(np.float32)

    vectors = whole(900, 9, 0)
    vectors[600:] = vectors[:300]
    vectors[500:560] = vectors[0]
    return Instance(vectors, [whole(size, 8 >> n, 9 + n) for n, size in enumerate((12, 11, 10))])


def test_the_golden_answer():
    instance = golden_instance()
    result = puresid.assign(instance.vectors, instance.books, "beam", width=3)
    assert set(result.stages.tolist()) == {0, 1, 2}
    assert digest(result) == GOLDEN


def test_stage_0_is_that_of_nearest_and_the_rest_costs_less_than_with_ecm_and_rrs(catalogue):
    vectors, codebooks = catalogue
    nearest = puresid.assign(vectors, codebooks, "nearest")
    result = puresid.assign(vectors, codebooks, "beam")
    owners = nearest.stages == 0
    np.testing.assert_array_equal(result.stages == 0, owners)
    np.testing.assert_array_equal(result.sids[owners], nearest.sids[owners])
    assert len(np.unique(result.sids, axis=0)) == len(vectors)
    for other in ("ecm", "rrs"):
        paper = puresid.assign(vectors, codebooks, other)
        extra = paper.summary().distortion_ratio - 1
        assert result.summary().distortion_ratio - 1 < 0.85 * extra


def test_items_get_a_nearer_sid_than_nearest_where_there_is_one():
    """Greedily 1.6 goes to 0 + 0; 3.5 - 2 is nearer. The second item gets it."""
    books = [np.array([[0.0], [3.5]]), np.array([[-1.0], [-2.0], [0.0]])]
    result = puresid.assign(np.full((3, 1), 1.6), books, "beam")
    assert result.sids.tolist() == [[0, 2], [1, 1], [1, 0]]
    assert result.distortion[1] < result.distortion[2] < result.distortion[0]


def test_taken_and_limit():
    books = [np.array([[0.0], [3.5]]), np.array([[-1.0], [-2.0], [0.0]])]
    options: dict[str, Any] = {"taken": [[1, 1]], "max_distortion": 1.0, "complete": False}
    result = puresid.assign(np.full((3, 1), 1.6), books, "beam", **options)
    assert result.sids.tolist() == [[0, 2], [1, 0], [0, 2]]
    assert result.stages.tolist() == [0, 1, -1]


@pytest.mark.parametrize(
    ("width", "tiers"), [(None, (4, 20, 64)), (7, (4, 7, 7)), (1024, (4, 20, 60))]
)
def test_the_result_says_how_many_were_kept(width, tiers):
    books = [np.zeros((4, 2)), np.zeros((5, 2)), np.zeros((3 if width == 1024 else 9, 2))]
    result = puresid.assign(np.zeros((3, 2)), books, "beam", width=width)
    assert result.tiers == (tiers,)
    assert result.summary().stage_counts == {0: 1, 1: 2}


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"width": 0}, ValueError, "width is 0; it must be from 1 to 1024"),
        ({"width": 1025}, ValueError, "width is 1025; it must be from 1 to 1024"),
        ({"width": 2.5}, TypeError, r"width is 2\.5; an integer is needed"),
        ({"width": "64"}, TypeError, "width is '64'; an integer is needed"),
        ({"tiers": ((5,),)}, ValueError, r"tiers is \(\(5,\),\); method 'beam' has a width"),
        ({"method": "ecm", "width": 9}, ValueError, "width is 9; only methods 'beam' and"),
    ],
)
def test_widths_and_tiers_that_do_not_fit_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        puresid.assign(np.zeros((1, 1)), [np.zeros((2, 1))], **{"method": "beam", **options})


@pytest.mark.parametrize(
    ("kind", "said"),
    [({"metric": "cosine"}, "cosine"), ({"normalize_residuals": True}, "normalised residuals")],
)
def test_scaled_residuals_are_refused(kind, said):
    codebooks = puresid.Codebooks([np.eye(2), np.eye(2)], **kind)
    with pytest.raises(ValueError, match=rf"at length 1 \({said}\).*not for these"):
        puresid.assign(np.ones((2, 2)), codebooks, "beam")


# --- real catalogues ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "levels", "size"),
    [("beauty/s3rec_64d.npy", 2, 256), ("beauty/s3rec_64d.npy", 3, 64)]
    + [("office/minilm_384d.npy", 3, size) for size in (32, 64)],
)
def test_real_catalogues_cost_less_than_with_ecm(data_folder, name, levels, size):
    vectors = np.load(data_folder / name)
    codebooks = puresid.RQKMeans(levels, size, n_iter=10).fit(vectors).codebooks
    extra = {}
    for method in ("ecm", "beam"):
        result = puresid.assign(vectors, codebooks, method)
        assert len(np.unique(result.sids, axis=0)) == len(vectors)
        extra[method] = result.summary().distortion_ratio - 1
    assert 0 < extra["beam"] <= 0.85 * extra["ecm"]
