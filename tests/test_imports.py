"""Importing puresid costs numpy and nothing else, and there is one version number."""

import re
from importlib import metadata
from pathlib import Path

import puresid

HEAVY = (
    "torch",
    "transformers",
    "pyarrow",
    "click",
    "tqdm",
    "safetensors",
    "pandas",
    "sklearn",
    "scipy",
    "statsmodels",
    "matplotlib",
    "ir_measures",
)


def test_an_import_is_light(run_python):
    script = f"""
import sys
import puresid
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""
    assert run_python(script).split() == []


def test_assign_without_torch_does_not_import_it(run_python):
    script = f"""
import sys
import numpy as np
import puresid
puresid.assign(np.zeros((2, 2)), [np.eye(2)])
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""
    assert run_python(script).split() == []


def test_evaluation_imports_its_extras_when_it_uses_them(run_python):
    light = ("click", "tqdm", "safetensors")
    script = f"""
import sys
import puresid.decoding, puresid.evaluation
print(*[name for name in {HEAVY!r} if name in sys.modules and name not in {light!r}])
"""
    assert run_python(script).split() == []


def test_one_version_number():
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    assert version
    assert puresid.__version__ == version[1] == metadata.version("puresid")
    assert puresid.build_config()["version"] == version[1]


def test_public_names_are_there():
    for name in puresid.__all__:
        assert getattr(puresid, name) is not None
    assert {"Assignment", "CapacityError", "Codebooks", "RQKMeans", "assign"} <= set(
        puresid.__all__
    )


def test_build_config_says_what_runs():
    config = puresid.build_config()
    assert "scalar" in config["simd_available"]
    assert config["compiler"]
