"""The config of a job, files of settings, and the log."""

import datetime
import io
import json
import re

import pytest

from puresid.catalog.job import JobConfig, JsonLines, load_job_config
from puresid.catalog.parameters import Parameters
from puresid.settings import read_settings


def test_what_a_config_says(tmp_path):
    (tmp_path / "job.toml").write_text(
        'codebooks = "a/b.safetensors"\n[parameters]\ncapacity = 2\ntiers = [[1, 2], [3, 4]]\n'
        '[input]\nkey_column = "id"\n'
    )
    found = load_job_config(tmp_path / "job.toml")
    assert found.codebooks == tmp_path / "a" / "b.safetensors"
    assert found.input == {"key_column": "id"}
    assert found.made_parameters() == Parameters(capacity=2, tiers=((1, 2), (3, 4)))
    base = Parameters(order="keys", capacity=3)
    assert found.made_parameters(base) == Parameters(
        order="keys", capacity=2, tiers=((1, 2), (3, 4))
    )
    assert found.written["codebooks"] == "a/b.safetensors"


def test_nothing_said(tmp_path):
    (tmp_path / "job.toml").write_text("")
    assert load_job_config(tmp_path / "job.toml") == JobConfig.empty()
    assert JobConfig.empty().made_parameters() == Parameters()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "has the key 'x'; known are codebooks, parameters, input"),
        ("[parameters]\nK = 1", "[parameters] has the key 'K'; known are method, tiers"),
        ("[input]\nvectors = 'x'", "[input] has the key 'vectors'; known are column, key_column"),
        ("parameters = 1", "parameters is 1; a table is needed"),
        ("codebooks = 1", "codebooks is 1; text is needed"),
        ("[input]\ncolumn = ''", "column is ''; text is needed"),
        ("[parameters]\ncapacity = 0", "[parameters]: capacity is 0; at least 1 is needed"),
        ("[parameters]\nmethod = 'best'", "[parameters]: method is 'best'; it must be one of"),
        ("x =", "not a TOML file"),
        # TOML has dates and times, which JSON has not.
        ("codebooks = 2024-01-31", "codebooks is datetime.date(2024, 1, 31); text is needed"),
        ("[input]\ncolumn = 07:32:00", "[input] column is datetime.time(7, 32); text is needed"),
        ("[input]\n2024-01-31 = 'x'", "[input] has the key '2024-01-31'; known are"),
        (
            "[parameters]\nrecycle_after = 2024-01-31",
            "[parameters]: recycle_after is datetime.date(2024, 1, 31); an integer is needed",
        ),
        (
            "[parameters]\nmax_distortion = 2024-01-31T07:32:00",
            "[parameters]: max_distortion is datetime.datetime(2024, 1, 31, 7, 32); a number",
        ),
        (
            "[parameters]\ntiers = [[1, 2024-01-31]]",
            "[parameters]: tiers[0][1] is datetime.date(2024, 1, 31); an integer is needed",
        ),
        # What parameters take and manifests could not echo.
        (
            f"[parameters]\nmax_distortion = {2**64}",
            "['parameters']['max_distortion'] has 65 bits; whole numbers have up to 64",
        ),
    ],
)
def test_what_a_config_may_not_say(tmp_path, text, message):
    (tmp_path / "job.toml").write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load_job_config(tmp_path / "job.toml")
    assert str(caught.value).startswith(str(tmp_path / "job.toml"))


def test_settings_that_are_none(tmp_path):
    (tmp_path / "job.ini").write_text("")
    with pytest.raises(ValueError, match=r"unknown ending; known are \.toml, \.yaml, \.yml"):
        read_settings(tmp_path / "job.ini")
    with pytest.raises(FileNotFoundError, match=r"absent\.toml"):
        read_settings(tmp_path / "absent.toml")


def test_yaml(tmp_path):
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    (tmp_path / "job.yml").write_text("a: [1, x]\nb: {c: true}\n")
    assert read_settings(tmp_path / "job.yml") == {"a": [1, "x"], "b": {"c": True}}
    (tmp_path / "job.yml").write_text("a: [1\n")
    with pytest.raises(ValueError, match=r"job\.yml: not a YAML file: .*line 2"):
        read_settings(tmp_path / "job.yml")
    (tmp_path / "job.yml").write_text("- 1\n")
    with pytest.raises(ValueError, match="it holds a list; names and values are needed"):
        read_settings(tmp_path / "job.yml")
    # What YAML could make beside plain values is not made.
    (tmp_path / "job.yml").write_text("a: !!python/object/apply:os.getpid []\n")
    with pytest.raises(ValueError, match="not a YAML file: could not determine a constructor"):
        read_settings(tmp_path / "job.yml")


def test_yaml_without_its_library(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    (tmp_path / "job.yaml").write_text("a: 1\n")
    with pytest.raises(ImportError, match=re.escape("pip install 'puresid[catalog]'")):
        read_settings(tmp_path / "job.yaml")


def test_lines():
    handle = io.StringIO()
    lines = JsonLines(handle)
    lines.write("one", {"a": "ü"})
    with pytest.raises(KeyError), lines.errors():
        raise KeyError("x")
    one, two = (json.loads(line) for line in handle.getvalue().splitlines())
    assert (one["event"], one["a"]) == ("one", "ü")
    assert (two["event"], two["type"], two["message"]) == ("error", "KeyError", "'x'")
    JsonLines(None).write("one", {})


def test_what_is_no_json_is_not_written_as_text():
    lines = JsonLines(io.StringIO())
    with pytest.raises(TypeError, match="date is not JSON serializable"):
        lines.write("one", {"day": datetime.date(2024, 1, 31)})
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        lines.write("one", {"distortion": float("nan")})
    assert lines.handle.getvalue() == ""
