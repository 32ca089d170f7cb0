"""Configs of runs: what they become, and what is refused, with its place."""

from pathlib import Path

import pytest

from puresid.evaluation.config import (
    ConfigError,
    FilePath,
    ModelConfig,
    RunConfig,
    TaskConfig,
    load_config,
)

CONFIGS = Path(__file__).parents[1] / "configs"
SMALL = 'name = "small"\ntask.loader = "demo"\nmodel.kind = "t5"\n'


@pytest.fixture
def written(tmp_path):
    def write(text: str, name: str = "run.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_what_is_left_out_has_its_default(written):
    config = load_config(written(SMALL))
    assert config.name == "small"
    assert config.task == TaskConfig(loader="demo")
    assert config.model == ModelConfig(kind="t5")
    assert (config.primary.metric, config.primary.arm, config.primary.against) == (
        "R@10",
        "ecm",
        "suffix",
    )
    assert config.training.seeds == (0, 1, 2, 3)
    assert config.training.learning_rate == 1e-3
    assert config.decoding.beams == 20
    assert config.quantizer.size == 256


def test_what_is_given_is_kept(written):
    config = load_config(
        written(
            SMALL
            + """
            quantizer = { kind = "rqvae", levels = 2, size = [16, 32], options = { epochs = 3 } }
            training = { seeds = [7], epochs = 0, steps = 20, learning_rate = 1 }
            decoding = { exact = true, normalize = "children" }
            arms.names = ["suffix", "ecm", "deeper"]
            """
        )
    )
    assert config.quantizer.size == (16, 32)
    assert config.quantizer.options == {"epochs": 3}
    assert config.training.seeds == (7,)
    assert config.training.learning_rate == 1.0
    assert isinstance(config.training.learning_rate, float)
    assert config.decoding.exact is True
    assert config.arms.names == ("suffix", "ecm", "deeper")


def test_paths_are_those_of_the_folder_and_of_the_environment(written, tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_DATA", "/data")
    config = load_config(
        written(
            'name = "x"\nmodel.kind = "t5"\n[task]\nloader = "interactions"\n'
            'vectors = "${SOME_DATA}/v.npy"\n'
            'files = { interactions = "$SOME_DATA/a.json", items = "../c.json" }\n'
            '[quantizer]\nkind = "file"\ncodebooks = "books.safetensors"\n'
        )
    )
    assert config.task.files["interactions"] == FilePath("$SOME_DATA/a.json", Path("/data/a.json"))
    assert config.task.files["items"].path == tmp_path.parent / "c.json"
    assert str(config.task.vectors) == "/data/v.npy"
    assert config.quantizer.codebooks.path == tmp_path / "books.safetensors"
    assert Path(config.task.vectors) == Path("/data/v.npy")  # opens like any path
    assert str(tmp_path) not in repr(config.to_dict())
    assert config.to_dict()["task"]["vectors"] == "${SOME_DATA}/v.npy"


def test_a_models_path_is_a_folder_or_a_name(written, tmp_path):
    (tmp_path / "mine").mkdir()
    for text, path in {
        "mine": FilePath("mine", tmp_path / "mine"),
        "./absent": FilePath("./absent", tmp_path / "absent"),
        "a/b/c": FilePath("a/b/c", tmp_path / "a/b/c"),
        "google-t5/t5-base": "google-t5/t5-base",
    }.items():
        made = load_config(
            written(
                f'name = "x"\ntask.loader = "demo"\nmodel = {{ kind = "causal", path = "{text}" }}'
            )
        )
        assert made.model.path == path


def test_to_dict_makes_the_same_config(written, tmp_path):
    path = written(
        'name = "x"\n[task]\nloader = "beir"\nfiles = { corpus = "c", queries = "q" }\n'
        '[model]\nkind = "seq2seq"\npath = "."\nrandom_weights = true\n'
        "override = { num_layers = 2 }\n"
        "[quantizer]\nlevels = 3\nsize = [4, 5, 6]\n"
    )
    config = load_config(path)
    values = config.to_dict()
    assert RunConfig.from_values(values, tmp_path) == config
    assert values["model"]["override"] == {"num_layers": 2}
    assert values["quantizer"]["size"] == [4, 5, 6]
    assert values["task"]["files"] == {"corpus": "c", "queries": "q"}
    assert "vectors" not in values["task"]


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_config_of_the_repository_can_be(path, monkeypatch):
    monkeypatch.setenv("PURESID_DATA", "/data")
    config = load_config(path)
    assert config.name == path.stem
    assert path.read_text(encoding="utf-8").startswith("# ")


REFUSED = {
    # the file
    r"run.toml: not a TOML file: .*line 4": "name =",
    r"run.toml: the config: has the unknown key 'modle'; possible: name, primary": "modle.x = 1",
    r"\[training\] is 3; a table is needed": "training = 3",
    # keys
    r"\[training\] has the unknown key 'epoch'; possible: seeds, epochs": "training.epoch = 3",
    r"run.toml: \[training\] epochs is 1.5; an integer is needed": "training.epochs = 1.5",
    r"\[training\] epochs is True; an integer": "training.epochs = true",
    r"\[training\] epochs is -1; at least 0 is needed": "training.epochs = -1",
    r"\[training\] epochs and steps are both 0": "training.epochs = 0",
    r"\[training\] seeds is \[\]; a list that is not empty": "training.seeds = []",
    r"\[training\] seeds is 4; a list": "training.seeds = 4",
    r"\[training\] seeds\[1\] is 3, which the list has already": "training.seeds = [3, 3]",
    r"\[training\] seeds\[0\] is 4294967296; from 0 to 4294967295": "training.seeds = [4294967296]",
    r"\[training\] learning_rate is 0; it must be above 0": "training.learning_rate = 0",
    r"\[training\] learning_rate is nan; it must be": "training.learning_rate = nan",
    r"\[training\] learning_rate is inf; it must be": "training.learning_rate = inf",
    r"\[training\] learning_rate is '1'; a number": "training.learning_rate = '1'",
    r"\[training\] warmup is 1; it must be at least 0 and below 1": "training.warmup = 1",
    r"\[training\] schedule is 'cos'; it must be one of linear": "training.schedule = 'cos'",
    r"\[decoding\] exact is 1; true or false is needed": "decoding.exact = 1",
    r"\[decoding\] beams is 0; at least 1": "decoding.beams = 0",
    r"\[quantizer\] size is empty": "quantizer.size = []",
    r"\[quantizer\] size\[1\] is 0; at least 1": "quantizer.size = [2, 0]",
    r"\[quantizer\] size has 3 sizes; levels is 2": "quantizer.size = [2, 2, 2]",
    r"\[quantizer\] codebooks is needed for kind 'file'": "quantizer.kind = 'file'",
    r"\[quantizer\] codebooks is needed for .* no other": "quantizer.codebooks = 'x'",
    r"\[quantizer\] options has the unknown key 'threads'; possible: n_iter": (
        "quantizer.options = { threads = 2 }"
    ),
    r"\[quantizer\] options has the unknown key 'n_iter'; possible: nothing": (
        "quantizer = { kind = 'file', codebooks = 'x', options = { n_iter = 2 } }"
    ),
    r"\[quantizer\] options is 2; a table": "quantizer.options = 2",
    r"\[quantizer\] options n_iter is \{\}; numbers, texts": "quantizer.options.n_iter = {}",
    r"\[arms\] names\[0\] is 'best'; it must be one of ecm": "arms.names = ['best']",
    r"\[primary\] against is 'suffix', which is not in \[arms\] names: ecm": "arms.names = ['ecm']",
    r"\[primary\] arm and against are both 'suffix'": "primary.arm = 'suffix'",
    r"\[primary\] metric is 'Recall@10'; it must be one of R@1": "primary.metric = 'Recall@10'",
    # the task and the model
    r"\[task\] files are given; the loader 'demo' reads none": "task.files.a = 'x'",
    r"\[task\] files is 3; a table of names and paths": "task.files = 3",
    r"\[task\] files a is \[\]; a text that is not empty": "task.files.a = []",
    r"\[task\] vectors is 3; a text that is not empty": "task.vectors = 3",
    r"\[task\] vectors is ' '; a text that is not empty": "task.vectors = ' '",
    r"\[task\] vectors is '\$NOT_THERE/x'; the environment variable NOT_THERE is unset": (
        "task.vectors = '$NOT_THERE/x'"
    ),
    r"\[model\] path, lora_rank and random_weights are for .* kind is 't5'": "model.lora_rank = 2",
    r"\[model\] dim is 64; heads is 5, not a divisor": "model.heads = 5",
    r"\[model\] vocabulary is 20; at least 300": "model.vocabulary = 20",
    r"\[model\] dropout is 1; it must be at least 0 and below 1": "model.dropout = 1",
}


@pytest.mark.parametrize(("message", "line"), REFUSED.items(), ids=list(REFUSED.values()))
def test_configs_that_cannot_be_are_refused(message, line, written, monkeypatch):
    monkeypatch.delenv("NOT_THERE", raising=False)
    with pytest.raises(ConfigError, match=message):
        load_config(written(SMALL + line + "\n"))


WHOLE = {
    r"the config: has no name, which it needs": "task.loader = 'demo'\nmodel.kind = 't5'",
    r"the config: has no task, which it needs": "name = 'x'\nmodel.kind = 't5'",
    r"\[task\] has no loader": "name = 'x'\ntask.dim = 3\nmodel.kind = 't5'",
    r"\[model\] has no kind": "name = 'x'\ntask.loader = 'demo'\nmodel.dim = 4",
    r"name is ''; a text that is not empty": "name = ''\ntask.loader = 'demo'\nmodel.kind = 't5'",
    r"\[task\] files is empty; the loader 'beir' needs some": (
        "name = 'x'\ntask.loader = 'beir'\nmodel.kind = 't5'"
    ),
    r"\[model\] path is empty; the kind 'causal' needs a folder": (
        "name = 'x'\ntask.loader = 'demo'\nmodel.kind = 'causal'"
    ),
    r"\[model\] override is given; it needs random_weights": (
        "name = 'x'\ntask.loader = 'demo'\n"
        "model = { kind = 'causal', path = '.', override = { num_layers = 2 } }"
    ),
    r"\[model\] dim / heads is 5; rotary positions need it even": (
        "name = 'x'\ntask.loader = 'demo'\nmodel = { kind = 'decoder', dim = 20, heads = 4 }"
    ),
}


@pytest.mark.parametrize(("message", "text"), WHOLE.items())
def test_configs_that_lack_something_are_refused(message, text, written):
    with pytest.raises(ConfigError, match=message):
        load_config(written(text))


def test_heads_of_t5_may_have_any_width():
    assert ModelConfig(kind="t5", dim=20, heads=3, d_kv=8).d_kv == 8


def test_options_made_in_python_are_checked_too():
    with pytest.raises(ConfigError, match=r"\[model\] layers is 0; at least 1"):
        ModelConfig(kind="t5", layers=0)
    with pytest.raises(ConfigError, match=r"\[task\] files is 3; a table"):
        TaskConfig(loader="beir", files=3)


def test_files_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "run.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match=r"run\.toml: not a TOML file: .*can't decode byte 0xff"):
        load_config(tmp_path / "run.toml")
    with pytest.raises(FileNotFoundError, match=r"absent\.toml"):
        load_config(tmp_path / "absent.toml")


def test_without_a_reader_of_toml_the_error_says_what_to_install(written, monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr("puresid.settings.importlib.import_module", absent)
    with pytest.raises(ImportError, match="needs tomli: pip install tomli"):
        load_config(written(SMALL))


def test_reading_a_config_imports_nothing_large(run_python, tmp_path):
    (tmp_path / "run.toml").write_text(SMALL, encoding="utf-8")
    script = f"""
import sys
from puresid.evaluation import config, models, tokenizer
config.load_config({str(tmp_path / "run.toml")!r})
print(*[name for name in ("torch", "transformers", "tokenizers", "peft") if name in sys.modules])
"""
    assert run_python(script).split() == []
