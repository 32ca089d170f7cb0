"""What all quantizers promise: fit, encode, decode, files, parameters, the same bytes."""

import hashlib
import json

import numpy as np
import pytest

import puresid
from puresid import Codebooks, HierarchicalKMeans, ProductQuantizer, RQKMeans

START = 3 * np.random.default_rng(2).standard_normal((2, 16, 7), dtype=np.float32)


def quantizers(**options) -> list:
    return [
        RQKMeans(3, 16, n_iter=5, **options),
        RQKMeans(2, (16, 8), n_iter=5, balanced=True, **options),
        RQKMeans(2, 16, n_iter=3, batch_size=300, **options),
        RQKMeans(2, 16, n_iter=3, batch_size=300, start=START, **options),
        HierarchicalKMeans((8, 6), n_iter=5, **options),
        ProductQuantizer(3, 16, n_iter=5, rotation_iter=4, **options),
        ProductQuantizer(2, 8, n_iter=5, rotation="none", **options),
        ProductQuantizer(2, 8, n_iter=5, rotation=np.eye(7)[::-1], **options),
    ]


NAMES = ["rqkmeans", "balanced", "mini-batch", "from a start", "tree", "opq", "pq", "turned"]
every_kind = pytest.mark.parametrize("kind", range(len(NAMES)), ids=NAMES)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = 3 * rng.standard_normal((40, 7), dtype=np.float32)
    noise = rng.standard_normal((1100, 7), dtype=np.float32)
    return centres[rng.integers(0, 40, 1100)] + noise


@pytest.fixture(scope="module")
def trained(vectors) -> list:
    return [quantizer.fit(vectors) for quantizer in quantizers()]


def digest(quantizer) -> str:
    sha = hashlib.sha256()
    for level in quantizer.codebooks:
        sha.update(level.astype("<f4").tobytes())
    if quantizer.codebooks.rotation is not None:
        sha.update(quantizer.codebooks.rotation.astype("<f4").tobytes())
    sha.update(json.dumps(quantizer.history).encode())
    return sha.hexdigest()


@every_kind
def test_fit_returns_itself_and_can_be_repeated(vectors, trained, kind):
    quantizer = quantizers()[kind]
    assert quantizer.fit(vectors[:500]) is quantizer
    assert quantizer.fit(vectors).codebooks == trained[kind].codebooks
    assert quantizer.history == trained[kind].history


@every_kind
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_bytes_at_any_number_of_threads(vectors, trained, kind, threads):
    assert digest(quantizers(threads=threads)[kind].fit(vectors)) == digest(trained[kind])


@every_kind
def test_the_same_bytes_with_any_instruction_set(vectors, trained, kind, monkeypatch):
    hashes = set()
    for name in puresid.build_config()["simd_available"]:
        monkeypatch.setenv("PURESID_SIMD", name)
        hashes.add(digest(quantizers()[kind].fit(vectors)))
    assert hashes == {digest(trained[kind])}


@every_kind
def test_another_seed_is_another_answer(vectors, trained, kind):
    assert digest(quantizers(random_state=1)[kind].fit(vectors)) != digest(trained[kind])


@every_kind
def test_layout_and_type_do_not_matter(vectors, trained, kind):
    for given in (np.asfortranarray(vectors), vectors.astype(np.float64), vectors.tolist()):
        assert digest(quantizers()[kind].fit(given)) == digest(trained[kind])


@every_kind
def test_histories_fall(trained, kind):
    history = trained[kind].history
    assert len(history) == trained[kind].codebooks.n_levels
    for level in history:
        assert np.isfinite(level).all()
        assert (np.diff(level) <= 1e-6 * level[0]).all()
        assert level[-1] < level[0] or len(level) == 1


@every_kind
def test_encode_is_nearest_assignment_and_decode_what_codebooks_say(vectors, trained, kind):
    quantizer = trained[kind]
    sids = quantizer.encode(vectors)
    nearest = puresid.assign(vectors, quantizer.codebooks, "nearest")
    np.testing.assert_array_equal(sids, nearest.sids)
    decoded = quantizer.decode(sids)
    assert decoded.shape == vectors.shape
    np.testing.assert_array_equal(decoded, quantizer.codebooks.decode(sids))
    distance = np.square(vectors - decoded.astype(np.float64)).sum(1)
    np.testing.assert_allclose(distance, nearest.distortion, rtol=1e-3, atol=1e-4)
    spread = np.square(vectors - vectors.mean(0)).sum(1).mean()
    assert distance.mean() < 0.5 * spread


@every_kind
def test_every_item_gets_a_sid_of_its_own(vectors, kind):
    quantizer = quantizers()[kind].fit(vectors)
    room = min(len(vectors), quantizer.codebooks.capacity)
    sids = puresid.assign(vectors[:room], quantizer.codebooks).sids
    assert len(np.unique(sids, axis=0)) == room


@every_kind
def test_a_file_holds_all_of_it(vectors, trained, kind, tmp_path):
    quantizer = trained[kind]
    quantizer.save(tmp_path / "q.safetensors")
    read = type(quantizer).load(tmp_path / "q.safetensors")
    assert read.codebooks == quantizer.codebooks
    assert read.history == quantizer.history
    for name, value in quantizer.get_params().items():
        np.testing.assert_array_equal(getattr(read, name), value)
    np.testing.assert_array_equal(read.encode(vectors), quantizer.encode(vectors))
    assert digest(read.fit(vectors)) == digest(quantizer)


@every_kind
def test_its_file_is_one_of_codebooks(trained, kind, tmp_path):
    trained[kind].save(tmp_path / "q.safetensors")
    assert Codebooks.load(tmp_path / "q.safetensors") == trained[kind].codebooks


@every_kind
def test_parameters_by_name(vectors, trained, kind):
    quantizer = quantizers()[kind]
    copy = type(quantizer)(**quantizer.get_params())
    for name, value in quantizer.get_params(deep=False).items():
        assert getattr(copy, name) is value
    other = trained[kind].__class__(**trained[kind].get_params()).fit(vectors)
    assert other.set_params(n_iter=7) is other
    assert other.n_iter == 7
    with pytest.raises(AttributeError, match=r"has no codebooks yet; call fit"):
        _ = other.codebooks
    assert f"n_iter={quantizer.n_iter}" in repr(quantizer)
    assert "\n" not in repr(quantizer)


def test_repr_leaves_out_what_is_the_default():
    assert repr(RQKMeans()) == "RQKMeans()"
    assert repr(RQKMeans(2, (8, 4), balanced=True)) == (
        "RQKMeans(n_levels=2, codebook_size=(8, 4), balanced=True)"
    )
    assert repr(ProductQuantizer(rotation=np.eye(2))) == (
        "ProductQuantizer(rotation=<array of shape (2, 2)>)"
    )


def test_scikit_learn_can_clone_them(vectors):
    base = pytest.importorskip("sklearn.base", reason="scikit-learn is missing")
    for quantizer in quantizers():
        copy = base.clone(quantizer)
        assert copy is not quantizer
        assert copy.get_params().keys() == quantizer.get_params().keys()


@every_kind
def test_progress_is_shown_and_changes_nothing(vectors, trained, kind, capsys):
    assert digest(quantizers(progress=True)[kind].fit(vectors)) == digest(trained[kind])
    assert capsys.readouterr().err
    quantizers()[kind].fit(vectors)
    assert not capsys.readouterr().err


# --- errors -------------------------------------------------------------------------------------


@every_kind
def test_nothing_before_fit(kind, tmp_path):
    quantizer = quantizers()[kind]
    name = type(quantizer).__name__
    for use in (
        lambda: quantizer.codebooks,
        lambda: quantizer.encode([[0.0] * 7]),
        lambda: quantizer.decode([[0, 0, 0]]),
        lambda: quantizer.save(tmp_path / "q.safetensors"),
    ):
        with pytest.raises(AttributeError, match=rf"this {name} has no codebooks yet; call fit"):
            use()
    with pytest.raises(AttributeError, match=rf"this {name} has no history yet; call fit"):
        _ = quantizer.history


@every_kind
def test_a_fit_that_fails_leaves_nothing(vectors, kind):
    quantizer = quantizers()[kind].fit(vectors)
    with pytest.raises(ValueError, match="rows"):
        quantizer.fit(vectors[:0])
    with pytest.raises(AttributeError, match="fit"):
        _ = quantizer.codebooks


@every_kind
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (-np.inf, "an infinity")])
def test_values_that_are_not_finite(vectors, kind, value, word):
    broken = vectors.copy()
    broken[1017, 2] = value
    with pytest.raises(ValueError, match=rf"vectors\[1017\] has {word}.* in column 2"):
        quantizers()[kind].fit(broken)


@every_kind
def test_values_that_overflow(vectors, kind):
    broken = vectors.copy()
    broken[1017, 2] = 1e19
    with pytest.raises(ValueError, match=r"vectors\[1017\] has a value beyond .* scale vectors"):
        quantizers()[kind].fit(broken)


@every_kind
@pytest.mark.parametrize("name", ["n_iter", "random_state"])
def test_numbers_that_are_none(vectors, kind, name):
    with pytest.raises(TypeError, match=rf"{name} is 1\.5; an integer is needed"):
        quantizers()[kind].set_params(**{name: 1.5})
    with pytest.raises(ValueError, match=rf"{name} is -1; at least"):
        quantizers()[kind].set_params(**{name: -1})
    with pytest.raises(ValueError, match=r"threads is 0"):
        quantizers(threads=0)[kind].fit(vectors)


@every_kind
def test_a_seed_of_more_than_64_bits(kind):
    with pytest.raises(ValueError, match=r"random_state is 18446744073709551616; it must be below"):
        quantizers()[kind].set_params(random_state=2**64)


@every_kind
def test_a_parameter_that_there_is_not(kind):
    with pytest.raises(ValueError, match=r"has no parameter 'n_clusters'; it has .*n_iter"):
        quantizers()[kind].set_params(n_clusters=3)


@every_kind
def test_sources_are_for_mini_batches(vectors, trained, kind):
    source = puresid.Batches(lambda: np.array_split(vectors, 3), shape=vectors.shape)
    quantizer = quantizers()[kind]
    if NAMES[kind] in ("mini-batch", "from a start"):
        assert digest(quantizer.fit(source)) == digest(trained[kind])
        return
    with pytest.raises(TypeError, match="all rows are needed at once"):
        quantizer.fit(source)


def test_files_of_something_else(trained, tmp_path):
    path = tmp_path / "q.safetensors"
    trained[0].save(path)
    message = r"q\.safetensors: it holds a RQKMeans; a ProductQuantizer is needed"
    with pytest.raises(ValueError, match=message):
        ProductQuantizer.load(path)
    trained[0].codebooks.save(path)
    message = r"q\.safetensors: it holds codebooks alone; a RQKMeans is needed"
    with pytest.raises(ValueError, match=message):
        RQKMeans.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"q\.safetensors is not an intact safetensors file"):
        RQKMeans.load(path)


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"class": "RQKMeans"}', '{"class": "RQKMeans", "parameters": {"x": 1}}']
)
def test_a_damaged_description(trained, tmp_path, text):
    from puresid._codebook_files import write_codebooks

    path = tmp_path / "q.safetensors"
    write_codebooks(trained[0].codebooks, path, more={"quantizer": text})
    with pytest.raises(ValueError, match=r"q\.safetensors: "):
        RQKMeans.load(path)
