"""Trees and product spaces, scaled residuals, rotations and encoders, through the front door."""

import copy
import hashlib
import json
import pickle
import sys

import numpy as np
import pytest

import oracles
import puresid
from puresid.encoder import Activation, LayerNorm, Linear, Normalize
from space_rules import PRODUCT, TREE, lattice_levels
from strategies import random_instance

RULES = {"residual": oracles.RESIDUAL, "tree": TREE, "product": PRODUCT}


def count_differences(space: str, instances: int, seed: int) -> tuple[int, set[int]]:
    """Compare with the naive twin on random lattices; also which stages were reached."""
    rng = np.random.default_rng(seed)
    differing, reached = 0, set()
    for number in range(instances):
        plain = random_instance(rng, max_levels=3, max_size=6, max_items=40)
        books = plain.books
        vectors = plain.vectors
        if space != "residual":
            dim = int(rng.integers(1, 5))
            books = lattice_levels(rng, space, plain.sizes, dim, 4)
            columns = sum(book.shape[1] for book in books) if space == "product" else dim
            vectors = rng.integers(-4, 5, (len(vectors), columns)).astype(np.float32)
        method = ("ecm", "rrs")[number % 2]
        expected = oracles.assign(vectors, books, method, rules=RULES[space], **plain.options)
        codebooks = puresid.Codebooks(books, space=space)
        got = puresid.assign(vectors, codebooks, method, threads=1 + number % 3, **plain.options)
        differing += not oracles.same(got, expected)
        reached.update(got.stages.tolist())
    return differing, reached


@pytest.mark.parametrize("space", RULES)
def test_every_space_equals_the_naive_twin(space):
    differing, reached = count_differences(space, 250, seed=1)
    assert differing == 0
    assert reached >= {-1, 0, 1, 2, 3}


def clustered(n: int, dim: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((40, dim))
    return (centres[rng.integers(0, 40, n)] + 0.3 * rng.standard_normal((n, dim))).astype("f4")


def every_kind(dim: int = 24) -> dict[str, puresid.Codebooks]:
    """Codebooks of each space and option, for vectors of dimension `dim`."""
    rng = np.random.default_rng(5)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype("f4")

    def unit(*shape: int) -> np.ndarray:
        values = normal(*shape)
        return values / np.linalg.norm(values, axis=-1, keepdims=True)

    rotation = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    half = dim // 2
    encoder = puresid.Encoder([Linear(normal(10, dim), normal(10)), Activation("relu")])
    return {
        "tree": puresid.Codebooks([normal(12, dim), normal(12, 20, dim)], space="tree"),
        "product": puresid.Codebooks([normal(16, half), normal(20, dim - half)], space="product"),
        "opq": puresid.Codebooks(
            [normal(16, half), normal(20, dim - half)], space="product", rotation=rotation
        ),
        "cosine": puresid.Codebooks([unit(16, dim), unit(20, dim)], metric="cosine"),
        "normalised": puresid.Codebooks(
            [unit(16, dim), 0.5 * unit(20, dim)], normalize_residuals=True
        ),
        "encoded": puresid.Codebooks([normal(16, 10), normal(20, 10)], encoder=encoder),
    }


@pytest.mark.parametrize("name", every_kind())
@pytest.mark.parametrize("method", ["ecm", "rrs"])
def test_unique_and_the_same_bytes_at_any_threads_and_pieces(name, method):
    books = every_kind()[name]
    vectors = clustered(230, 24)

    def digest(given: object, threads: int) -> str:
        result = puresid.assign(given, books, method, threads=threads)
        assert len(np.unique(result.sids, axis=0)) == len(vectors)
        whole = result.sids.tobytes() + result.stages.tobytes() + result.distortion.tobytes()
        return hashlib.sha256(whole).hexdigest()

    parts = puresid.Batches(lambda: np.array_split(vectors, 7), vectors.shape)
    digests = {digest(vectors, threads) for threads in (1, 2, 3)} | {digest(parts, 2)}
    digests.add(digest(vectors.astype("f8"), 1))
    assert len(digests) == 1


@pytest.mark.parametrize("name", every_kind())
def test_reported_distortion_is_that_of_decode(name):
    books = every_kind()[name]
    vectors = clustered(200, 24)
    result = puresid.assign(vectors, books)
    if books.normalize_residuals:
        with pytest.raises(ValueError, match="does not say how long residuals were"):
            books.decode(result.sids)
        return
    against = books.transform(vectors) if books.encoder is not None else vectors
    squared = ((against - books.decode(result.sids)).astype("f8") ** 2).sum(axis=1)
    assert result.distortion == pytest.approx(squared, rel=1e-4)


def test_normalised_residuals_are_quantised_like_grid():
    """Scaled to length 1 before each level; what is reported is scaled back."""
    books = every_kind()["normalised"]
    vectors = 10 * clustered(100, 24)
    result = puresid.assign(vectors, books, "nearest")
    rest, scale = vectors.astype("f8"), np.ones(len(vectors))
    for level, book in enumerate(books):
        lengths = np.linalg.norm(rest, axis=1, keepdims=True)
        rest, scale = rest / lengths, scale * lengths[:, 0]
        tokens = ((rest[:, None] - book) ** 2).sum(axis=2).argmin(axis=1)
        assert tokens.tolist() == result.sids[:, level].tolist()
        rest = rest - book[tokens]
    assert result.distortion == pytest.approx((rest**2).sum(axis=1) * scale**2, rel=1e-4)


def test_cosine_takes_the_codeword_of_the_least_angle():
    books = every_kind()["cosine"]
    vectors = 10 * clustered(100, 24)
    result = puresid.assign(vectors, books, "nearest")
    rest = vectors.astype("f8")
    for level, book in enumerate(books):
        tokens = (rest @ book.T).argmax(axis=1)
        assert tokens.tolist() == result.sids[:, level].tolist()
        rest = rest - book[tokens]


def test_a_rotation_is_the_same_as_rotating_before():
    books = every_kind()["opq"]
    vectors = clustered(200, 24)
    rotated = puresid.assign(books.transform(vectors), books.latent)
    assert np.array_equal(puresid.assign(vectors, books).sids, rotated.sids)
    turned = vectors.astype("f8") @ books.rotation.T.astype("f8")
    assert books.transform(vectors) == pytest.approx(turned, abs=1e-5)


def test_transform_does_not_depend_on_the_rows_beside():
    rng = np.random.default_rng(3)
    width = 33
    layers = [
        Linear(rng.standard_normal((width, 50)), rng.standard_normal(width)),
        LayerNorm(rng.standard_normal(width), rng.standard_normal(width)),
        *(Activation(name) for name in ("silu", "gelu", "tanh", "sigmoid", "leaky_relu")),
        Normalize(),
        Linear(rng.standard_normal((50, width))),
    ]
    for skip in (False, True):
        encoder = puresid.Encoder(layers, skip=skip)
        rows = rng.standard_normal((301, 50)).astype("f4")
        whole = encoder(rows, threads=2)
        alone = np.concatenate([encoder(rows[i : i + 1], threads=1) for i in range(len(rows))])
        assert whole.tobytes() == alone.tobytes()


def test_codebooks_of_every_kind_survive_a_file(tmp_path):
    for name, books in every_kind().items():
        path = tmp_path / f"{name}.safetensors"
        books.save(path)
        again = puresid.Codebooks.load(path)
        assert again == books
        assert repr(again) == repr(books)
        others = [other for key, other in every_kind().items() if key != name]
        assert all(again != other for other in others)


def squashed() -> puresid.Codebooks:
    """Behind an encoder that makes anything finite."""
    encoder = puresid.Encoder([Linear([[1.0, 0.0]]), Activation("tanh")])
    return puresid.Codebooks([[[0.0], [1.0], [2.0]]] * 2, encoder=encoder)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 1e39])
def test_vectors_are_checked_before_the_encoder(bad):
    vectors = np.zeros((5, 2))
    vectors[3, 1] = bad
    parts = puresid.Batches(lambda: np.array_split(vectors, 2), vectors.shape)
    for given in (vectors, parts):
        with pytest.raises(ValueError, match=r"vectors\[3\] has (NaN|an infinity .*) in column 1;"):
            puresid.assign(given, squashed())
    with pytest.raises(ValueError, match=r"vectors\[3\] has .* in column 1;"):
        puresid.evaluate_sids(vectors, np.zeros((5, 2), int), squashed(), k=2)


def test_an_encoder_that_overflows_is_named():
    steep = puresid.Encoder([Linear([[3e38]]), Linear([[3e38]])])
    books = puresid.Codebooks([[[0.0], [1.0]]], encoder=steep)
    message = r"vectors\[1\] has an infinity \(in float32\) in column 0 after the encoder"
    with pytest.raises(ValueError, match=message):
        puresid.assign([[0.0], [1.0]], books)
    with pytest.raises(ValueError, match=message):
        puresid.evaluate_sids([[0.0], [1.0]], [[0], [1]], books, k=1)


def test_codewords_so_long_that_scaled_distortions_overflow_are_refused():
    long = [[1e7, 0.0], [0.0, 1e7]]
    assert np.isfinite(puresid.assign([[1.0, 2.0]], [long] * 3).distortion).all()
    with pytest.raises(ValueError, match=r"codebooks\[2\] has codewords so long"):
        puresid.Codebooks([long] * 3, normalize_residuals=True)
    books = puresid.Codebooks([long] * 2, normalize_residuals=True)
    assert np.isfinite(puresid.assign([[1.0, 2.0]], books).distortion).all()
    with pytest.raises(ValueError, match=r"vectors\[0\] has a value beyond"):
        puresid.assign([[1e6, 2.0]], books)


def test_what_codebooks_hold_is_nobody_elses():
    weight = np.eye(3, dtype=np.float32)
    layer = Linear(weight)
    weight[0, 0] = 9
    assert layer.weight[0, 0] == 1
    books = every_kind()["opq"]
    for again in (pickle.loads(pickle.dumps(books)), copy.deepcopy(books)):
        assert again == books
        for array in (*again.levels, again.rotation):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0


REFUSED = {
    "space is 'flat'; it must be one of": {"space": "flat"},
    "metric is 'dot'; it must be one of": {"metric": "dot"},
    "are for residual codebooks; space is 'product'": {"space": "product", "metric": "cosine"},
    "are for residual codebooks; space is 'tree'": {"space": "tree", "normalize_residuals": True},
    r"codebooks\[0\] has length 1.414 in codeword 0; metric='cosine' needs": {"metric": "cosine"},
    r"rotation has shape \(3, 3\); \(2, at least 2\) is needed": {"rotation": np.eye(3)},
    "rotation is off by 3: its rows must have length 1": {"rotation": 2 * np.eye(2)},
    "normalize_residuals is 'no'; True or False is needed": {"normalize_residuals": "no"},
    "rotation has a value that is not finite": {"rotation": [[np.inf, 0.0], [0.0, 1.0]]},
    "encoder is 'mlp'; an Encoder is needed": {"encoder": "mlp"},
    "the encoder gives vectors of dimension 1; the codebooks take 2": {
        "encoder": puresid.Encoder([Linear([[1.0, 1.0]])])
    },
}


@pytest.mark.parametrize(("message", "options"), REFUSED.items())
def test_what_does_not_go_together_is_refused(message, options):
    level = np.array([[1.0, 1.0], [0.0, 1.0]])
    levels = [level, np.stack([level, level])] if options.get("space") == "tree" else [level, level]
    with pytest.raises((ValueError, TypeError), match=message):
        puresid.Codebooks(levels, **options)


def test_a_tree_needs_children_below_every_token():
    with pytest.raises(
        ValueError, match=r"codebooks\[1\] has 2 dimensions; a tree's level needs 3"
    ):
        puresid.Codebooks([np.ones((2, 3)), np.ones((4, 3))], space="tree")
    with pytest.raises(ValueError, match=r"shape \(3, 4, 3\); it must begin with \(2,\)"):
        puresid.Codebooks([np.ones((2, 3)), np.ones((3, 4, 3))], space="tree")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tree", r"codebooks\[0\] has 12 codewords of dimension 24; vectors have dimension 23"),
        ("product", "vectors have dimension 23; the codebooks quantise 24 columns in all"),
        ("opq", "vectors have dimension 23; the codebooks' encoder takes 24"),
        ("encoded", "vectors have dimension 23; the codebooks' encoder takes 24"),
    ],
)
def test_vectors_of_another_dimension_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        puresid.assign(np.zeros((4, 23)), every_kind()[name])
    if name in ("opq", "encoded"):
        with pytest.raises(ValueError, match="vectors have dimension 23; the codebooks take 24"):
            every_kind()[name].transform(np.zeros((4, 23)))


def test_a_file_that_was_changed_by_hand_is_refused(tmp_path):
    from safetensors.numpy import save_file

    def message(description: object, **more: np.ndarray) -> str:
        if isinstance(description, dict):
            description = {"format": "puresid.codebooks"} | description
        tensors = {"codebook_0": np.ones((2, 2), np.float32)} | more
        metadata = {"description": json.dumps(description)}
        save_file(tensors, tmp_path / "f.safetensors", metadata=metadata)
        with pytest.raises(ValueError, match="safetensors") as caught:
            puresid.Codebooks.load(tmp_path / "f.safetensors")
        return str(caught.value)

    assert "an object is needed" in message([1])
    assert "has the format 'other'; 'puresid.codebooks' is needed" in message({"format": "other"})
    assert "space is 'flat'" in message({"space": "flat"})
    assert "the encoder's description is incomplete" in message({"encoder": {"layers": [{}]}})
    conv = {"encoder": {"layers": [{"kind": "conv"}], "skip": False}}
    assert "of the kind 'conv'" in message(conv)
    assert "nothing else are needed" in message({}, encoder_0_weight=np.ones((2, 2), np.float32))


def test_a_file_has_the_same_bytes_each_time(tmp_path):
    for number in range(8):
        every_kind()["encoded"].save(tmp_path / f"{number}.safetensors")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


ENCODERS = {
    "an encoder needs at least one Linear layer": lambda: puresid.Encoder([Activation("relu")]),
    "layer 1 takes 3 values; the one before gives 2": lambda: puresid.Encoder(
        [Linear(np.ones((2, 2))), Linear(np.ones((2, 3)))]
    ),
    "skip adds 3 values to 2": lambda: puresid.Encoder([Linear(np.ones((2, 3)))], skip=True),
    "layer 0 is 'relu'; Linear, Activation": lambda: puresid.Encoder(["relu"]),
    "activation is 'elu'; it must be one of": lambda: Activation("elu"),
    r"bias has shape \(3,\); \(2,\) is needed": lambda: Linear(np.ones((2, 2)), np.ones(3)),
    "weight has a value that is not finite": lambda: Linear([[np.nan]]),
    "bias has a value that is not finite": lambda: LayerNorm([1.0], [np.inf]),
    "bias has a value that is not finite$": lambda: Linear([[1.0]], [1e300]),
    "epsilon is nan; a number above 0": lambda: Normalize(float("nan")),
    "epsilon is 'x'; a number above 0": lambda: LayerNorm([1.0], [1.0], "x"),
    "vectors have dimension 3; the encoder takes 2": lambda: puresid.Encoder(
        [Linear(np.ones((2, 2)))]
    )(np.ones((1, 3))),
}


@pytest.mark.parametrize(("message", "make"), ENCODERS.items())
def test_encoders_refuse_what_does_not_fit(message, make):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


if __name__ == "__main__":  # how many instances of each space to compare
    for each in RULES:
        n_differing, _ = count_differences(each, int(sys.argv[1]), seed=7)
        print(f"{each}: {sys.argv[1]} instances, {n_differing} differences")
