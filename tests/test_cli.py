"""The command line: what it writes, what it says, and the exit code of each failure."""

import errno
import os
import re
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
from click.testing import CliRunner

import puresid
from puresid import cli
from puresid.encoder import Linear
from puresid.files import read_sids, write_sids

SIZES = (8, 4, 8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Change to a folder with vectors and codebooks in it."""
    monkeypatch.chdir(tmp_path)
    vectors = np.random.default_rng(0).integers(-2, 3, (200, 4)).astype(np.float32)
    np.save("v.npy", vectors)
    puresid.RQKMeans(3, SIZES).fit(vectors).codebooks.save("c.safetensors")
    return tmp_path


@pytest.fixture
def vectors(folder):
    return np.load("v.npy")


@pytest.fixture
def codebooks(folder):
    return puresid.Codebooks.load("c.safetensors")


def run(*words, code=0):
    """Run a command and return what it printed on both streams."""
    result = CliRunner().invoke(cli.main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def process(*words):
    """Run a command in a process of its own."""
    script = "from puresid.cli import main; main(prog_name='puresid')"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *words], capture_output=True, text=True
    )


def assign(*words, code=0):
    return run("assign", "v.npy", "--codebooks", "c.safetensors", *words, code=code)


def error(output):
    """Return the message of an output that must be one line of error and nothing else."""
    start, newline = "puresid: error: ", output.index("\n")
    assert output.startswith(start)
    assert newline == len(output) - 1
    return output[len(start) : newline]


class TestProgram:
    def test_the_entry_point_is_installed(self):
        (entry,) = metadata.entry_points(group="console_scripts", name="puresid")
        assert entry.value == "puresid.cli:main"
        assert entry.load() is cli.main

    def test_version(self):
        assert run("--version") == f"puresid, version {puresid.__version__}\n"

    @pytest.mark.parametrize("flag", ["-h", "--help"])
    def test_help_names_the_commands(self, flag):
        output = run(flag)
        for command in ("fit", "assign", "inspect", "demo", "report"):
            assert f"\n  {command} " in output
            assert run(command, flag).startswith(f"Usage: main {command}")

    def test_a_missing_option_is_bad_input(self, folder):
        assert "Missing option '--codebooks'" in run("assign", "v.npy", "-o", "s.npy", code=2)

    def test_results_go_to_stdout_and_errors_to_stderr(self, folder):
        good = process("inspect", "c.safetensors")
        assert (good.returncode, good.stderr) == (0, "")
        assert "capacity" in good.stdout
        bad = process("inspect", "absent.npy")
        assert (bad.returncode, bad.stdout) == (2, "")
        assert error(bad.stderr) == "absent.npy: No such file or directory"

    def test_starting_imports_nothing_heavy(self):
        heavy = {"torch", "pyarrow", "tqdm", "safetensors", "puresid.demo", "puresid.files"}
        script = f"import sys, puresid.cli; print({heavy!r} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.stdout == "set()\n"


class TestAssign:
    @pytest.mark.parametrize("name", ["s.npy", "s.parquet", "s.index.json"])
    def test_is_the_library_s_assignment(self, folder, vectors, codebooks, name):
        if name == "s.parquet":
            pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is missing")
        output = assign("-o", name)
        result = puresid.assign(vectors, codebooks)
        np.testing.assert_array_equal(read_sids(name), result.sids)
        assert output == f"{result.summary()}\nwrote {name}\n"

    def test_parquet_has_stages_and_distortion(self, folder, vectors, codebooks):
        pytest.importorskip("pyarrow", reason="pyarrow, the extra 'parquet', is missing")
        import pyarrow.parquet as pq

        assign("-o", "s.parquet")
        table, result = pq.read_table("s.parquet"), puresid.assign(vectors, codebooks)
        assert table["stage"].to_pylist() == result.stages.tolist()
        assert table["distortion"].to_pylist() == result.distortion.tolist()

    @pytest.mark.parametrize(
        ("words", "options"),
        [
            (("--method", "rrs"), {"method": "rrs"}),
            (("--method", "beam", "--width", "3"), {"method": "beam", "width": 3}),
            (("--method", "optimal"), {"method": "optimal"}),
            (
                ("--method", "optimal", "--search", "conflicts", "--gap", "0.5", "--width", "2"),
                {"method": "optimal", "search": "conflicts", "gap": 0.5, "width": 2},
            ),
            (
                ("--method", "optimal", "--weights", "weights.npy"),
                {"method": "optimal", "weights": "weights.npy"},
            ),
            (("--method", "nearest"), {"method": "nearest"}),
            (("--method", "suffix"), {"method": "suffix"}),
            (("--tiers", "1,1,2;2,2,4"), {"tiers": ((1, 1, 2), (2, 2, 4))}),
            (("--tiers", "", "--threads", "1"), {"tiers": ()}),
            (("--tiers", "1,1,1", "--no-complete"), {"tiers": ((1, 1, 1),), "complete": False}),
            (("--max-distortion", "0.5"), {"max_distortion": 0.5}),
            (("--taken", "taken.npy"), {"taken": "taken.npy"}),
            (("--priority", "priority.npy"), {"priority": "priority.npy"}),
        ],
    )
    def test_options_reach_the_library(self, folder, vectors, codebooks, words, options):
        np.save("taken.npy", puresid.assign(vectors[:40], codebooks).sids)
        np.save("priority.npy", np.arange(len(vectors)))
        np.save("weights.npy", 1.0 + np.arange(len(vectors)))
        assign("-o", "s.npy", *words)
        given = {
            name: np.load(value) if str(value).endswith(".npy") else value
            for name, value in options.items()
        }
        expected = puresid.assign(vectors, codebooks, **given).sids
        np.testing.assert_array_equal(read_sids("s.npy"), expected)
        plain = puresid.assign(vectors, codebooks).sids
        assert expected.shape != plain.shape or (expected != plain).any()

    def test_the_best_assignment_says_its_lower_bound(self, folder, vectors, codebooks):
        result = puresid.assign(vectors, codebooks, "optimal")
        assert result.bound_over == "all"
        bound = result.lower_bound / len(vectors)
        output = assign("-o", "s.npy", "--method", "optimal")
        assert re.search(rf"^lower bound +{re.escape(f'{bound:.6g}')} over all SIDs$", output, re.M)
        assert re.search(r"^not on nearest +[1-9]", output, re.M)
        assert "lower bound" not in assign("-o", "s.npy")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--gap", "0.1"), "gap is 0.1; only method 'optimal' has one, not 'ecm'"),
            (("--method", "optimal", "--gap", "1"), "gap is 1.0; it must be from 0 to less than 1"),
            (("--method", "beam", "--search", "all"), "search is 'all'; only method 'optimal' has"),
            (("--weights", "v.npy"), "weights were given; only method 'optimal' has them"),
            (("--method", "optimal", "--weights", "v.npy"), "weights has shape (200, 4)"),
            (("--width", "9"), "width is 9; only methods 'beam' and 'optimal' have one, not 'ecm'"),
            (("--method", "optimal", "--tiers", "1,1,1"), "method 'optimal' has a width instead"),
        ],
    )
    def test_options_of_other_methods(self, folder, words, message):
        assert message in error(assign("-o", "s.npy", *words, code=2))
        assert not os.path.exists("s.npy")

    def test_a_search_that_there_is_not(self, folder):
        words = ("--method", "optimal", "--search", "some")
        assert "'some' is not one of 'all', 'conflicts'" in assign("-o", "s.npy", *words, code=2)

    def test_too_many_items(self, folder):
        np.save("v.npy", np.zeros((8 * 4 * 8 + 1, 4), np.float32))
        assert "257" in error(assign("-o", "s.npy", code=3))
        assert not os.path.exists("s.npy")

    @pytest.mark.parametrize("name", ["v.npy", "c.safetensors", "taken.npy"])
    def test_a_damaged_input(self, folder, codebooks, name):
        np.save("taken.npy", np.zeros((1, 3), np.uint16))
        with open(name, "r+b") as handle:
            handle.truncate(os.path.getsize(name) - 1)
        message = error(assign("-o", "s.npy", "--taken", "taken.npy", code=5))
        assert name in message
        assert not os.path.exists("s.npy")

    @pytest.mark.parametrize("length", [0, 4, 8, 40])
    def test_codebooks_cut_short(self, folder, length):
        with open("c.safetensors", "r+b") as handle:
            handle.truncate(length)
        assert "c.safetensors" in error(assign("-o", "s.npy", code=5))

    def test_codebooks_of_other_tensors_are_bad_input(self, folder):
        from safetensors.numpy import save_file

        save_file({"weight": np.zeros((2, 2), np.float32)}, "c.safetensors")
        assert "c.safetensors" in error(assign("-o", "s.npy", code=2))

    def test_a_value_that_is_not_finite(self, folder, vectors):
        vectors[17, 2] = np.nan
        np.save("v.npy", vectors)
        assert "vectors[17]" in error(assign("-o", "s.npy", code=2))

    def test_a_missing_file(self, folder):
        message = error(assign("-o", "s.npy", "--priority", "absent.npy", code=2))
        assert message == "absent.npy: No such file or directory"

    def test_an_output_that_cannot_be_written_is_found_first(self, folder):
        os.truncate("v.npy", 0)
        message = error(assign("-o", "absent/s.npy", code=2))
        assert message.startswith("cannot write absent/s.npy: there is no folder")

    def test_more_levels_than_json_has_letters_are_found_first(self, folder):
        puresid.Codebooks([np.zeros((1, 4), np.float32)] * 26).save("c.safetensors")
        os.truncate("v.npy", 0)
        message = error(assign("-o", "s.index.json", "--method", "suffix", code=2))
        assert message.endswith("these SIDs have 27 levels")

    @pytest.mark.parametrize(
        "words", [(), ("--taken", "x.npy"), ("--priority", "x.npy"), ("--weights", "x.npy")]
    )
    def test_an_input_is_not_overwritten(self, folder, words):
        name = words[1] if words else "v.npy"
        message = error(assign("-o", folder / name, *words, code=2))
        assert message.endswith(f"{name} is an input; writing the output there would destroy it")

    def test_tiers_that_are_none(self, folder):
        assert "'1,x' is not a list of numbers" in assign("-o", "s.npy", "--tiers", "1,x", code=2)

    def test_without_pyarrow_the_extra_is_named(self, folder, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        message = error(assign("-o", "s.parquet", code=2))
        assert message == "Parquet files need pyarrow: pip install 'puresid[parquet]'"

    @pytest.mark.parametrize("terminal", [True, False])
    def test_progress_is_for_terminals(self, folder, monkeypatch, terminal):
        asked = []
        real = puresid.assign

        def note(*args, progress, **options):
            asked.append(progress)
            return real(*args, **options)

        monkeypatch.setattr(puresid, "assign", note)
        monkeypatch.setattr(cli.options.sys, "stderr", Terminal(terminal))
        cli.main(
            ["assign", "v.npy", "--codebooks", "c.safetensors", "-o", "s.npy"],
            standalone_mode=False,
        )
        assert asked == [terminal]


class Terminal:
    """A stream that says whether it is one."""

    def __init__(self, terminal):
        self.isatty = lambda: terminal
        self.write = self.flush = lambda *_: None


class TestFailures:
    @pytest.fixture
    def failing(self, folder, monkeypatch):
        """Return a function that makes `assign` raise and gives its output back."""

        def fail(problem, code):
            def assign_nothing(*_, **__):
                raise problem

            monkeypatch.setattr(puresid, "assign", assign_nothing)
            return assign("-o", "s.npy", code=code)

        return fail

    def test_ctrl_c_is_quiet(self, failing):
        assert failing(KeyboardInterrupt(), 130).strip() == ""

    def test_a_reader_that_has_gone_is_no_bad_input(self, failing):
        assert failing(BrokenPipeError(errno.EPIPE, "gone"), 1) == ""

    def test_an_error_of_several_lines_becomes_one(self, failing):
        assert error(failing(TypeError("first\n  second"), 2)) == "first second"

    def test_a_mistake_of_ours_is_not_hidden(self, failing):
        with pytest.raises(RuntimeError, match="ours"):
            failing(RuntimeError("ours"), 1)


class TestInspect:
    def test_codebooks(self, folder):
        lines = run("inspect", "c.safetensors").splitlines()
        assert lines[0] == "c.safetensors"
        assert [line.split(maxsplit=1) for line in lines[1:]] == [
            ["levels", "3"],
            ["sizes", "8 x 4 x 8"],
            ["dimension", "4"],
            ["capacity", "256"],
            ["space", "residual"],
        ]

    def test_codebooks_that_begin_with_an_encoder_and_a_rotation(self, folder):
        encoder = puresid.Encoder([Linear(np.ones((3, 5)))])
        levels = [np.eye(2, dtype="f4")] * 2
        puresid.Codebooks(levels, metric="cosine", rotation=np.eye(2, 3), encoder=encoder).save(
            "e.safetensors"
        )
        lines = [line.split(maxsplit=1) for line in run("inspect", "e.safetensors").splitlines()]
        assert lines[5:] == [
            ["space", "residual"],
            ["metric", "cosine"],
            ["rotation", "from 3 dimensions"],
            ["encoder", "from 5 dimensions"],
        ]
        puresid.Codebooks(levels, normalize_residuals=True).save("n.safetensors")
        assert "of length 1 before each level" in run("inspect", "n.safetensors")

    @pytest.mark.parametrize("name", ["s.npy", "s.index.json"])
    def test_sids(self, folder, name):
        rows = [[5, 1, 2], [5, 1, 2], [5, 1, 3], [5, 7, 0], [900, 7, 0]]
        write_sids(name, np.array(rows, np.uint16))
        lines = [line.split() for line in run("inspect", name).splitlines()[1:]]
        assert lines == [
            ["items", "5"],
            ["levels", "3"],
            ["unique", "4"],
            ["duplicates", "1"],
            ["tokens", "used"],
            ["level", "0", "2,", "from", "5", "to", "900"],
            ["level", "1", "2,", "from", "1", "to", "7"],
            ["level", "2", "3,", "from", "0", "to", "3"],
            ["fullest", "prefixes"],
            ["5", "4", "items"],
            ["900", "1", "item"],
            ["5", "1", "3", "items"],
            ["5", "7", "1", "item"],
            ["900", "7", "1", "item"],
        ]

    def test_sids_of_more_than_64_bits(self, folder):
        rows = np.full((4, 5), 2**32 - 1, np.uint32)
        rows[1, 0] = rows[2, 4] = 0
        write_sids("s.npy", rows)
        output = run("inspect", "s.npy")
        assert "unique      3\n  duplicates  1\n" in output

    def test_one_level(self, folder):
        write_sids("s.npy", np.array([[3], [4]], np.uint16))
        output = run("inspect", "s.npy")
        assert "level 0   2, from 3 to 4\n" in output
        assert "prefixes" not in output

    def test_no_items(self, folder):
        np.save("s.npy", np.zeros((0, 3), np.uint16))
        assert run("inspect", "s.npy").split() == ["s.npy", "items", "0", "levels", "3"]

    def test_vectors_are_no_sids(self, folder):
        assert "SIDs are a matrix of integers" in error(run("inspect", "v.npy", code=2))

    def test_another_ending(self, folder):
        message = error(run("inspect", "s.csv", code=2))
        assert message.endswith("the known ones are .safetensors, .npy, .parquet, .index.json")

    def test_a_damaged_file(self, folder):
        (folder / "s.index.json").write_text('{"0": ["<a_1>"')
        assert "is not a JSON index of SIDs" in error(run("inspect", "s.index.json", code=5))


class TestDemo:
    def test_options_reach_the_demo(self, folder, monkeypatch):
        asked = []
        monkeypatch.setattr(
            "puresid.demo.run_demo", lambda where, **options: asked.append((str(where), options))
        )
        run("demo")
        run("demo", "--output", "elsewhere", "--threads", 2)
        (first, one), (second, two) = asked
        assert (first, one["threads"], one["progress"]) == ("puresid-demo", None, False)
        assert (second, two["threads"]) == ("elsewhere", 2)
