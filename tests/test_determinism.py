"""The same bytes whatever computed them: one hash over threads, SIMD levels and memory layouts."""

import hashlib

import numpy as np
import pytest

import puresid

# Of `golden_instance`, computed by oracles.py. All whole numbers: any platform gives these.
GOLDEN = {
    "ecm": "008053d927eb0a3024a29af80a8dd23979ea0a9703f4619269a6ad186143b0be",
    "rrs": "8a02e913fefe112fb9ee0d243940c7a5ff48cb9a364af065d2434f51899d0f76",
}


def digest(result: puresid.Assignment) -> str:
    """Little-endian, so that it can be compared across platforms."""
    sha = hashlib.sha256()
    sha.update(result.sids.astype("<u4").tobytes())
    sha.update(result.stages.tobytes())
    sha.update(result.distortion.astype("<f4").tobytes())
    return sha.hexdigest()


def simd_levels() -> list[str]:
    return list(puresid.build_config()["simd_available"])


@pytest.fixture(scope="module")
def catalogue() -> tuple[np.ndarray, puresid.Codebooks]:
    """200,000 x 32, clustered, with runs of equal vectors inside, and 3 x 256 codewords."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((20_000, 32), dtype=np.float32)
    rows = rng.choice(len(centres), 200_000, p=_zipf(len(centres), 0.5))
    vectors = centres[rows] + 0.3 * rng.standard_normal((len(rows), 32), dtype=np.float32)
    copies = rng.permutation(len(rows))[:10_000]
    vectors[copies] = vectors[copies[rng.integers(0, 50, len(copies))]]
    books, rest = [], vectors[:50_000]
    for _ in range(3):
        books.append(rest[rng.permutation(len(rest))[:256]])
        nearest = puresid.assign(rest, [books[-1]], "nearest").sids[:, 0]
        rest = rest - books[-1][nearest]
    return vectors, puresid.Codebooks(books)


def _zipf(n: int, exponent: float) -> np.ndarray:
    weight = 1 / np.arange(1, n + 1) ** exponent
    return weight / weight.sum()


@pytest.fixture(scope="module")
def reference(catalogue) -> dict[str, str]:
    vectors, codebooks = catalogue
    hashes = {}
    for method in ("ecm", "rrs"):
        result = puresid.assign(vectors, codebooks, method, threads=2)
        assert len(np.unique(result.sids, axis=0)) == len(vectors)
        # Every stage must be in it for the hash to say anything of that stage.
        assert set(result.stages.tolist()) == {0, 1, 2, 3}
        hashes[method] = digest(result)
    return hashes


@pytest.mark.parametrize("method", ["ecm", "rrs"])
@pytest.mark.parametrize("threads", [1, 3, 8, None])
def test_threads(catalogue, reference, method, threads):
    assert digest(puresid.assign(*catalogue, method, threads=threads)) == reference[method]


@pytest.mark.parametrize("method", ["ecm", "rrs"])
def test_simd_levels(catalogue, reference, method, monkeypatch):
    levels = simd_levels()
    assert "scalar" in levels
    hashes = {}
    for level in levels:
        monkeypatch.setenv("PURESID_SIMD", level)
        hashes[level] = digest(puresid.assign(*catalogue, method, threads=2))
    assert hashes == dict.fromkeys(levels, reference[method])


def test_an_unknown_simd_level_is_refused(monkeypatch):
    monkeypatch.setenv("PURESID_SIMD", "mmx")
    with pytest.raises(ValueError, match=r"'mmx'.*scalar"):
        puresid.assign(np.zeros((1, 1), np.float32), [np.zeros((1, 1), np.float32)])


@pytest.mark.parametrize(
    "layout", ["fortran", "every other row", "every other column", "backwards"]
)
def test_layouts(catalogue, reference, layout):
    vectors, codebooks = catalogue
    n, dim = vectors.shape
    if layout == "fortran":
        laid_out = np.asfortranarray(vectors)
    elif layout == "every other row":
        laid_out = np.repeat(vectors, 2, axis=0)[::2]
    elif layout == "every other column":
        laid_out = np.repeat(vectors, 2, axis=1)[:, ::2]
    else:
        laid_out = np.ascontiguousarray(vectors[::-1, ::-1])[::-1, ::-1]
    assert laid_out.shape == (n, dim)
    assert not laid_out.flags.c_contiguous
    assert digest(puresid.assign(laid_out, codebooks, "ecm")) == reference["ecm"]


def test_nearest_does_not_depend_on_the_neighbours(catalogue):
    """One row alone, a few, or all at once: the same bits, which a BLAS product cannot promise."""
    vectors, codebooks = catalogue
    whole = puresid.assign(vectors, codebooks, "nearest")
    for start, stop in ((0, 1), (1, 8), (8, 25), (25, 1000), (1000, 70_001), (70_001, 200_000)):
        part = puresid.assign(vectors[start:stop], codebooks, "nearest")
        np.testing.assert_array_equal(part.sids, whole.sids[start:stop])
        np.testing.assert_array_equal(part.distortion, whole.distortion[start:stop])


def test_twice_the_same(catalogue, reference):
    for _ in range(3):
        assert digest(puresid.assign(*catalogue, "ecm", threads=3)) == reference["ecm"]


def golden_instance() -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """A lattice from a formula, so that no generator has to be the same everywhere."""

    def numbers(count: int, salt: int) -> np.ndarray:
        state = np.arange(count, dtype=np.uint64) + np.uint64(salt << 32)
        for factor, shift in ((0xBF58476D1CE4E5B9, 30), (0x94D049BB133111EB, 27)):
            state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
        return (state ^ (state >> np.uint64(31))).astype(np.uint64)

    def whole(shape: tuple[int, int], reach: int, salt: int) -> np.ndarray:
        drawn = numbers(shape[0] * shape[1], salt) % np.uint64(2 * reach + 1)
        return (drawn.astype(np.int64) - reach).astype(np.float32).reshape(shape)

    vectors = whole((3000, 6), 5, 1)
    vectors[1000:1500] = vectors[7]
    books = [whole((16, 6), 5, 2), whole((15, 6), 3, 3), whole((17, 6), 2, 4)]
    return vectors, books, (numbers(3000, 5) % np.uint64(11)).astype(np.int64)


@pytest.mark.parametrize("method", ["ecm", "rrs"])
@pytest.mark.parametrize("level", simd_levels())
def test_the_golden_hash(method, level, monkeypatch):
    monkeypatch.setenv("PURESID_SIMD", level)
    vectors, books, priority = golden_instance()
    result = puresid.assign(vectors, books, method, priority=priority)
    assert set(result.stages.tolist()) == {0, 1, 2, 3}
    assert digest(result) == GOLDEN[method]


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_kmeans_threads(catalogue, threads):
    vectors = catalogue[0][:20_000]
    once = puresid.RQKMeans(2, 64, n_iter=5, threads=2).fit(vectors).codebooks
    again = puresid.RQKMeans(2, 64, n_iter=5, threads=threads).fit(vectors).codebooks
    for a, b in zip(once.levels, again.levels, strict=True):
        np.testing.assert_array_equal(a, b)


def test_kmeans_simd_levels(catalogue, monkeypatch):
    vectors = catalogue[0][:5_000]
    hashes = set()
    for level in simd_levels():
        monkeypatch.setenv("PURESID_SIMD", level)
        books = puresid.RQKMeans(2, 64, n_iter=5).fit(vectors).codebooks.levels
        hashes.add(hashlib.sha256(b"".join(book.tobytes() for book in books)).hexdigest())
    assert len(hashes) == 1
