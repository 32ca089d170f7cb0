"""`puresid eval run`: from a config file to results, and what it says when that cannot be."""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from puresid import cli
from puresid.evaluation.config import DEMO, load_config

CONFIG = """
name = "walk"
[task]
loader = "interactions"
files = { interactions = "interactions.json" }
vectors = "vectors.npy"
[quantizer]
levels = 2
size = 4
[arms]
names = ["suffix", "ecm"]
[model]
kind = "decoder"
dim = 8
layers = 1
heads = 2
ff = 8
[training]
seeds = [0]
steps = 3
[decoding]
beams = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a config and the data that it names."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    histories = {f"u{user}": rng.integers(12, size=5).tolist() for user in range(20)}
    histories["u0"][0] = 11
    Path("interactions.json").write_text(json.dumps(histories))
    np.save("vectors.npy", rng.normal(size=(12, 3)).astype(np.float32))
    Path("walk.toml").write_text(CONFIG)
    return tmp_path


def run(*words, code=0):
    result = CliRunner().invoke(cli.main, ["eval", "run", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def needs_everything():
    for name in ("torch", "transformers", "accelerate", "ir_measures"):
        pytest.importorskip(name, reason=f"{name} is not installed")


def test_a_run_says_what_it_did_and_goes_on(folder):
    needs_everything()
    said = run("walk.toml", "--cpu", "--threads", 1)
    assert "[1/2] suffix seed 0: R@10" in said
    assert "wrote runs/walk; intervals and tests: puresid eval table runs/walk" in said
    assert [line.split()[0] for line in said.splitlines()[2:5]] == ["arm", "suffix", "ecm"]
    again = run("walk.toml", "--cpu", "--threads", 1)
    assert again.startswith("2 of 2 cells are there from before")
    assert again.splitlines()[1:] == said.splitlines()[2:]

    header = json.loads((folder / "runs/walk/results.json").read_text())["header"]
    origin = header["provenance"]
    assert origin["versions"]["torch"] == version("torch")
    assert len(origin["data"]["vectors.npy"]) == 64
    assert header["config"]["training"]["steps"] == 3
    assert header["primary"] == {"metric": "R@10", "arm": "ecm", "against": "suffix"}


def test_a_run_touches_no_network(folder, run_python):
    needs_everything()
    script = f"""
import os, socket
def refused(*arguments, **named):
    raise SystemExit(f"network: {{arguments}}")
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refused)
socket.getaddrinfo = socket.create_connection = refused
os.chdir({str(folder)!r})
from puresid.cli import main
main(["eval", "run", "walk.toml", "--cpu"], standalone_mode=False)
print("done")
"""
    assert run_python(script).endswith("done\n")


def test_what_a_run_refuses(folder, monkeypatch):
    assert "absent.toml: No such file or directory" in run("absent.toml", code=2)
    text = Path("walk.toml").read_text()
    Path("typo.toml").write_text(text.replace("beams = 3", "beam = 3"))
    assert "typo.toml: [decoding] has the unknown key 'beam'" in run("typo.toml", code=2)
    monkeypatch.delenv("NO_SUCH", raising=False)
    Path("unset.toml").write_text(text.replace('"vectors.npy"', '"$NO_SUCH/vectors.npy"'))
    assert "the environment variable NO_SUCH is unset" in run("unset.toml", code=2)
    needs_everything()
    Path("gone.toml").write_text(text.replace('"vectors.npy"', '"gone.npy"'))
    assert "gone.npy: No such file or directory" in run("gone.toml", code=2)
    np.save("few.npy", np.zeros((11, 3), dtype=np.float32))
    Path("few.toml").write_text(text.replace('"vectors.npy"', '"few.npy"'))
    assert "11" in run("few.toml", "-o", "few", code=2)
    Path("full.toml").write_text(text.replace("size = 4", "size = 2"))
    assert "12 items" in run("full.toml", "-o", "full", code=3)
    old = 'kind = "decoder"\ndim = 8\nlayers = 1\nheads = 2\nff = 8'
    Path("model.toml").write_text(text.replace(old, 'kind = "seq2seq"\npath = "nobody/t5"'))
    said = run("model.toml", "-o", "model", code=2)
    assert "Nothing is downloaded: pass the path of a folder that has the model" in said


def test_the_built_in_config_is_the_demos():
    assert load_config(DEMO).task.loader == "demo"
