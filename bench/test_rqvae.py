"""The bench of RQVAE, on a catalogue small enough for a test."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: RQVAE trains with it")

from bench import rqvae


def test_a_run_and_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "office").mkdir()
    vectors = np.random.default_rng(0).standard_normal((1200, 8), dtype=np.float32)
    np.save(tmp_path / "office" / "minilm_384d.npy", vectors)
    monkeypatch.setenv("PURESID_DATA", str(tmp_path))
    path = tmp_path / "record.json"
    options = ["--epochs", "1", "--seeds", "0", "1", "--datasets", "office", "--json", str(path)]
    assert rqvae.main(options) == 0
    printed = capsys.readouterr().out
    record = json.loads(path.read_text())
    assert record["items"] == {"office": 1200}
    assert record["provenance"]["libraries"]["torch"]
    for variant, runs in record["results"]["office"].items():
        assert len(runs) == 2
        for run in runs:
            assert 0 <= run["conflict_rate"] < 1
            assert run["ecm"]["unique"] == run["rrs"]["unique"] == 1200
        assert f"| office, 1,200 | {variant} | " in printed
    assert rqvae.main(["--tables", str(path)]) == 0
    assert capsys.readouterr().out == printed


def test_without_catalogues(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PURESID_DATA", raising=False)
    assert rqvae.main([]) == 2
    assert "PURESID_DATA" in capsys.readouterr().err
