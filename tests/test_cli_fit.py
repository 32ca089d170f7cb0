"""The command ``puresid fit`` with each quantizer."""

import numpy as np
import pytest
from click.testing import CliRunner

import puresid
from puresid import Codebooks, HierarchicalKMeans, ProductQuantizer, RQKMeans, cli


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", np.random.default_rng(0).standard_normal((300, 9)).astype(np.float32))
    return tmp_path


@pytest.fixture
def vectors(folder):
    return np.load("v.npy")


def command(*words: object, code: int = 0) -> str:
    found = CliRunner().invoke(cli.main, [*map(str, words)])
    assert found.exit_code == code, found.output
    return found.output


def run(*words: object, code: int = 0) -> str:
    return command("fit", "v.npy", "-o", "f.safetensors", *words, code=code)


def error(output: str) -> str:
    """Return what the one line of an error says."""
    assert output.startswith("puresid: error: ")
    assert output.count("\n") == 1
    return output.removeprefix("puresid: error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--codebook-size", 8), RQKMeans(3, 8)),
        (("--codebook-size", "8,4", "--balanced"), RQKMeans(2, (8, 4), balanced=True)),
        (
            ("--levels", 2, "--codebook-size", 8, "--batch-size", 64),
            RQKMeans(2, 8, batch_size=64),
        ),
        (("--quantizer", "hierarchical", "--codebook-size", "6,3"), HierarchicalKMeans((6, 3))),
        (("--quantizer", "hierarchical", "--codebook-size", 5), HierarchicalKMeans((5, 5))),
        (("--quantizer", "hierarchical"), HierarchicalKMeans((256, 96))),
        (("--quantizer", "product", "--codebook-size", 8), ProductQuantizer(4, 8)),
        (
            ("--quantizer", "product", "--levels", 3, "--rotation", "none", "--n-iter", 2),
            ProductQuantizer(3, 256, rotation="none", n_iter=2),
        ),
        (
            ("--quantizer", "product", "--codebook-size", "8,4", "--rotation", "opq"),
            ProductQuantizer(2, (8, 4), rotation="opq"),
        ),
    ],
)
def test_is_the_library_s_training(words, expected):
    output = run(*words, "--random-state", 7)
    expected.set_params(random_state=7).fit(np.load("v.npy"))
    found = type(expected).load("f.safetensors")
    assert found.codebooks == expected.codebooks
    assert found.history == expected.history
    assert puresid.Codebooks.load("f.safetensors") == expected.codebooks
    for level, (size, errors) in enumerate(
        zip(expected.codebooks.sizes, expected.history, strict=True)
    ):
        assert f"level {level}: {size} codewords, mean squared distance {errors[-1]:.6g}" in output
    assert output.endswith("wrote f.safetensors\n")


@pytest.mark.parametrize(
    ("words", "options"), [((), {}), (("--balanced",), {"balanced": True}), (("--levels", 2), {})]
)
def test_from_codebooks(vectors, words, options):
    old = RQKMeans(2, (8, 4), n_iter=1).fit(vectors)
    old.save("old.safetensors")
    run("--start", "old.safetensors", "--n-iter", 2, *words)
    expected = RQKMeans(2, (8, 4), n_iter=2, start=old.codebooks, **options).fit(vectors)
    found = RQKMeans.load("f.safetensors")
    assert found.codebooks == expected.codebooks
    assert found.start == old.codebooks
    assert found.codebooks != RQKMeans(2, (8, 4), n_iter=2, **options).fit(vectors).codebooks


def test_codebooks_to_begin_from_that_do_not_fit(vectors):
    old = RQKMeans(2, 8, n_iter=1).fit(vectors)
    old.save("old.safetensors")
    words = ("--start", "old.safetensors")
    message = "start has codebooks of the sizes (8, 8); n_levels and codebook_size ask for (4, 4)"
    assert error(run(*words, "--codebook-size", "4,4", code=2)) == message
    message = "--start is not an option of --quantizer product"
    assert error(run(*words, "--quantizer", "product", code=2)) == message
    words = ("fit", "v.npy", "-o", "old.safetensors", *words)
    assert "old.safetensors is an input" in command(*words, code=2)
    assert Codebooks.load("old.safetensors") == old.codebooks


def test_batches_of_an_arrow_file():
    pa = pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is missing")
    vectors = np.load("v.npy")
    table = pa.table({"v": pa.FixedSizeListArray.from_arrays(vectors.ravel(), 9)})
    with pa.OSFile("v.arrow", "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=77)
    words = ["fit", "v.arrow", "-o", "f.safetensors", "--codebook-size", "8", "--batch-size", "50"]
    found = CliRunner().invoke(cli.main, words)
    assert found.exit_code == 0, found.output
    expected = RQKMeans(3, 8, batch_size=50).fit(vectors)
    assert puresid.Codebooks.load("f.safetensors") == expected.codebooks


@pytest.mark.parametrize(
    ("quantizer", "words", "option"),
    [
        ("hierarchical", ("--balanced",), "balanced"),
        ("hierarchical", ("--rotation", "none"), "rotation"),
        ("product", ("--batch-size", 9), "batch-size"),
        ("rqkmeans", ("--rotation", "opq"), "rotation"),
    ],
)
def test_options_of_another_quantizer(quantizer, words, option):
    message = f"--{option} is not an option of --quantizer {quantizer}"
    assert message in run("--quantizer", quantizer, *words, code=2)


def test_levels_that_contradict_sizes():
    words = ("--quantizer", "product", "--levels", 3, "--codebook-size", "8,4")
    assert "--codebook-size names 2 levels and --levels 3" in run(*words, code=2)


def test_balanced_batches():
    assert "batch_size is 64 and balanced is True" in run(
        "--balanced", "--batch-size", 64, "--codebook-size", 8, code=2
    )


def test_the_input_is_not_written_over():
    np.save("v.npy", np.zeros((4, 2)))
    words = ["fit", "v.npy", "-o", "v.npy"]
    found = CliRunner().invoke(cli.main, words)
    assert found.exit_code == 2
    assert "v.npy is an input" in found.output


def test_options_and_what_it_says(vectors):
    output = command(
        *("fit", "v.npy", "-o", "f.safetensors", "--levels", 2, "--codebook-size", 8),
        *("--n-iter", 3, "--random-state", 7, "--threads", 1),
    )
    trained = puresid.RQKMeans(2, 8, n_iter=3, random_state=7).fit(vectors)
    assert puresid.Codebooks.load("f.safetensors") == trained.codebooks
    assert f"level 1: 8 codewords, mean squared distance {trained.history[1][-1]:.6g}" in output
    assert output.endswith("wrote f.safetensors\n")


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        (("--codebook-size", "8"), (8, 8, 8)),
        (("--codebook-size", "8,4"), (8, 4)),
        (("--codebook-size", "8,4,2,2", "--levels", "4"), (8, 4, 2, 2)),
    ],
)
def test_levels_and_sizes(words, sizes):
    run(*words)
    assert puresid.Codebooks.load("f.safetensors").sizes == sizes


@pytest.mark.parametrize(
    ("text", "message"),
    [("8,x", "'8,x' is not a list of numbers"), ("8,0", "'8,0' has a number below 1")],
)
def test_sizes_that_are_none(text, message):
    words = ("fit", "v.npy", "-o", "f.safetensors", "--codebook-size", text)
    assert message in command(*words, code=2)


def test_another_ending_for_codebooks():
    message = error(command("fit", "v.npy", "-o", "f.npy", code=2))
    assert message == "f.npy has an unknown ending; the known ones are .safetensors"


def test_a_parquet_column(vectors):
    pa = pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is missing")
    import pyarrow.parquet as pq

    table = pa.table({"v": list(vectors), "w": list(vectors * 2)})
    pq.write_table(table, "v.parquet")
    words = ("fit", "v.parquet", "-o", "f.safetensors", "--codebook-size", 8)
    assert "has 2 columns of vectors" in error(command(*words, code=2))
    command(*words, "--column", "w")
    expected = puresid.RQKMeans(3, 8).fit(vectors * 2).codebooks
    assert puresid.Codebooks.load("f.safetensors") == expected
