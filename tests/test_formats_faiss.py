"""faiss's quantizers: the codes that faiss gives, from objects and from files."""

import warnings

import numpy as np
import pytest

import puresid
from puresid.files import CorruptFileError
from puresid.formats import load_codebooks

DIM = 12


@pytest.fixture(scope="module")
def faiss():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SWIG's own, about Python 3.12 and later
        module = pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra 'peers')")
    module.omp_set_num_threads(1)
    return module


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(3)
    return (rng.standard_normal((800, DIM)) @ rng.standard_normal((DIM, DIM))).astype(np.float32)


def unpacked(faiss, codes, nbits):
    return faiss.unpack_bitstrings(codes, np.array(nbits, np.int32))


def nearest(vectors, codebooks):
    return puresid.assign(vectors, codebooks, method="nearest").sids


def through_file(faiss, index, folder):
    faiss.write_index(index, str(folder / "index.faiss"))
    return load_codebooks(folder / "index.faiss")


@pytest.mark.parametrize("nbits", [(4, 4, 4), (4, 3, 2)])
def test_residual_quantizer(faiss, vectors, tmp_path, nbits):
    sizes = faiss.UInt64Vector()
    for bits in nbits:
        sizes.push_back(bits)
    index = faiss.IndexResidualQuantizer(DIM, sizes)
    index.train(vectors)
    codebooks = load_codebooks(index)
    assert codebooks.space == "residual"
    assert codebooks.sizes == tuple(2**bits for bits in nbits)
    assert through_file(faiss, index, tmp_path) == codebooks
    assert load_codebooks(index.rq) == codebooks
    index.rq.max_beam_size = 1
    expected = unpacked(faiss, index.rq.compute_codes(vectors), nbits)
    np.testing.assert_array_equal(nearest(vectors, codebooks), expected)
    np.testing.assert_allclose(
        codebooks.decode(expected), index.rq.decode(index.rq.compute_codes(vectors)), atol=1e-4
    )


def test_its_own_beam_finds_other_codes(faiss, vectors):
    quantizer = faiss.ResidualQuantizer(DIM, 3, 4)
    quantizer.train(vectors)
    assert quantizer.max_beam_size > 1
    codes = unpacked(faiss, quantizer.compute_codes(vectors), (4, 4, 4))
    differing = (nearest(vectors, load_codebooks(quantizer)) != codes).any(axis=1).mean()
    assert differing > 0.1  # what docs/formats.md warns of


def test_product_quantizer(faiss, vectors, tmp_path):
    index = faiss.IndexPQ(DIM, 3, 4)
    index.train(vectors)
    codebooks = load_codebooks(index)
    assert (codebooks.space, codebooks.sizes, codebooks.dim) == ("product", (16, 16, 16), DIM)
    assert through_file(faiss, index, tmp_path) == codebooks
    assert load_codebooks(index.pq) == codebooks
    expected = unpacked(faiss, index.pq.compute_codes(vectors), (4, 4, 4))
    np.testing.assert_array_equal(nearest(vectors, codebooks), expected)


@pytest.mark.parametrize("factory", ["OPQ3,PQ3x4", "OPQ3_9,PQ3x4", "RR8,PQ2x4", "OPQ3,RQ2x4"])
def test_rotations(faiss, vectors, tmp_path, factory):
    index = faiss.index_factory(DIM, factory)
    index.train(vectors)
    codebooks = through_file(faiss, index, tmp_path)
    assert codebooks == load_codebooks(index)
    assert codebooks.rotation is not None
    assert codebooks.encoder is None
    inner = faiss.downcast_index(index.index)
    turned = index.chain.at(0).apply(vectors)
    np.testing.assert_allclose(codebooks.transform(vectors), turned, rtol=1e-4, atol=1e-4)
    if codebooks.space == "product":
        codes = unpacked(faiss, inner.pq.compute_codes(turned), [4] * codebooks.n_levels)
    else:
        inner.rq.max_beam_size = 1
        codes = unpacked(faiss, inner.rq.compute_codes(turned), [4] * codebooks.n_levels)
    differing = (nearest(vectors, codebooks) != codes).any(axis=1).sum()
    assert differing <= 2  # the rotation is rounded otherwise than faiss's BLAS does


@pytest.mark.parametrize(
    "factory", ["PCA8,RQ2x4", "L2norm,RQ2x4", "PCAW6,PQ3x4", "L2norm,OPQ3,PQ3x4"]
)
def test_other_transforms_become_an_encoder(faiss, vectors, factory):
    index = faiss.index_factory(DIM, factory)
    index.train(vectors)
    codebooks = load_codebooks(index)
    assert codebooks.encoder is not None
    assert (codebooks.rotation is not None) == ("OPQ" in factory)
    expected = vectors
    for number in range(index.chain.size()):
        expected = index.chain.at(number).apply(expected)
    np.testing.assert_allclose(codebooks.transform(vectors), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("Flat", "is a IndexFlat.*; a ResidualQuantizer, a ProductQuantizer"),
        ("IVF4,PQ3x4", "is a IndexIVFPQ; a Res"),
        ("LSQ2x4", "is a IndexLocalSearchQuantizer; a Res"),
        ("ITQ8,PQ2x4", "begins with a ITQTransform, which is not known"),
    ],
)
def test_other_kinds_are_refused(faiss, vectors, factory, message):
    index = faiss.index_factory(DIM, factory)
    index.train(vectors)
    with pytest.raises(ValueError, match=message):
        load_codebooks(index)


def test_what_is_not_trained_is_refused(faiss):
    for untrained in (
        faiss.IndexResidualQuantizer(DIM, 2, 4),
        faiss.ResidualQuantizer(DIM, 2, 4),
        faiss.ProductQuantizer(DIM, 2, 4),
    ):
        with pytest.raises(ValueError, match="the faiss object is not trained"):
            load_codebooks(untrained)


def test_formats_and_options_that_mean_nothing(faiss, vectors, tmp_path):
    index = faiss.IndexPQ(DIM, 2, 4)
    index.train(vectors)
    faiss.write_index(index, str(tmp_path / "index.faiss"))
    for source in (index, tmp_path / "index.faiss"):
        assert load_codebooks(source, "faiss") == load_codebooks(index)
        with pytest.raises(ValueError, match="the format is 'faiss', not 'grid'"):
            load_codebooks(source, "grid")
        with pytest.raises(ValueError, match="options mean nothing for the format 'faiss'"):
            load_codebooks(source, encoder=False)


def test_a_damaged_file(faiss, vectors, tmp_path):
    index = faiss.IndexPQ(DIM, 2, 4)
    index.train(vectors)
    faiss.write_index(index, str(tmp_path / "index.faiss"))
    content = (tmp_path / "index.faiss").read_bytes()
    (tmp_path / "cut.faiss").write_bytes(content[:90])
    with pytest.raises(CorruptFileError, match=r"cut\.faiss cannot be read as a faiss index"):
        load_codebooks(tmp_path / "cut.faiss")


def test_without_faiss(tmp_path, run_python):
    (tmp_path / "index.faiss").write_bytes(b"IxPq" + bytes(90))
    script = f"""
import sys
sys.modules["faiss"] = None
import puresid
try:
    puresid.load_codebooks({str(tmp_path / "index.faiss")!r})
except ImportError as error:
    print(error)
"""
    assert "needs faiss to be read: pip install faiss-cpu" in run_python(script)
