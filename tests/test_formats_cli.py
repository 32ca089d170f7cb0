"""``puresid convert`` and ``puresid export``."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import puresid
from puresid.cli import main

SIDS = np.array([[1, 2], [0, 3], [1, 0]], np.uint16)


def run(*arguments, code=0):
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_convert(tmp_path):
    level = np.eye(4, dtype=np.float32)
    np.savez(tmp_path / "c.npz", codebook_0=level, codebook_1=level / 2)
    said = run("convert", tmp_path / "c.npz", "-o", tmp_path / "c.safetensors")
    assert "Codebooks(sizes=(4, 4), dim=4)" in said
    assert puresid.Codebooks.load(tmp_path / "c.safetensors") == puresid.Codebooks(
        [level, level / 2]
    )


def test_convert_with_options(tmp_path):
    from safetensors.numpy import save_file

    save_file({"_quantizer._embedding.weight": np.eye(4)}, tmp_path / "x.safetensors")
    command = ["convert", tmp_path / "x.safetensors", "-o", tmp_path / "c.safetensors"]
    options = ["--format", "purelysemanticids", "--levels", 3, "--no-encoder", "--metric", "cosine"]
    run(*command, *options, "--normalize-residuals")
    codebooks = puresid.Codebooks.load(tmp_path / "c.safetensors")
    assert (codebooks.sizes, codebooks.metric) == ((4, 4, 4), "cosine")
    assert codebooks.normalize_residuals
    assert "does not say how many" in run(*command, code=2)
    assert "no tensors of the format 'grid'" in run(*command, "--format", "grid", code=2)


def test_convert_keeps_its_input(tmp_path):
    path = tmp_path / "c.safetensors"
    puresid.Codebooks([np.eye(2)]).save(path)
    assert "is an input" in run("convert", path, "-o", path, code=2)
    assert "unknown ending" in run("convert", path, "-o", tmp_path / "c.npz", code=2)


def test_convert_of_a_damaged_file(tmp_path):
    (tmp_path / "c.npz").write_bytes(b"PK\x03\x04 and no more")
    said = run("convert", tmp_path / "c.npz", "-o", tmp_path / "c.safetensors", code=5)
    assert "cut short or damaged" in said


@pytest.mark.parametrize("keys", ["keys.npy", "keys.txt"])
def test_export(tmp_path, keys):
    np.save(tmp_path / "s.npy", SIDS)
    np.save(tmp_path / "keys.npy", [7, 8, 9])
    (tmp_path / "keys.txt").write_text("7\n8\n9\n")
    (tmp_path / "titles.txt").write_text("one\ntwo\nthree\n")
    out = tmp_path / "out.jsonl"
    command = ["export", tmp_path / "s.npy", "-o", out, "--format", "nvidia"]
    files = ["--keys", tmp_path / keys, "--titles", tmp_path / "titles.txt"]
    run(*command, *files, "--sizes", "2,4", "--first-token", 50)
    assert json.loads(out.read_text().splitlines()[1]) == {
        "item_id": 8,
        "token_ids": [50, 55],
        "metadata": {"title": "two"},
    }
    puresid.Codebooks([np.eye(2), np.ones((4, 2))]).save(tmp_path / "c.safetensors")
    sizes = ["--codebooks", tmp_path / "c.safetensors"]
    run(*command, *sizes, "--first-token", 0)
    assert json.loads(out.read_text().splitlines()[1])["token_ids"] == [0, 5]
    assert "give one" in run(*command, *sizes, "--sizes", "2,4", code=2)


def test_export_reads_lines_as_they_were_written(tmp_path):
    np.save(tmp_path / "s.npy", SIDS)
    (tmp_path / "keys.txt").write_bytes("a\u2028b\nc\x0cd\x85\r\ne".encode())
    (tmp_path / "titles.txt").write_bytes("\x0b\n\x1c\nü\n".encode())
    out = tmp_path / "out.jsonl"
    command = ["export", tmp_path / "s.npy", "-o", out, "--format", "nvidia"]
    files = ["--keys", tmp_path / "keys.txt", "--titles", tmp_path / "titles.txt"]
    run(*command, *files)
    items = puresid.import_sids(out, format="nvidia")
    assert items.keys == ["a\u2028b", "c\x0cd\x85", "e"]
    assert items.titles == ["\x0b", "\x1c", "ü"]
    (tmp_path / "keys.txt").write_bytes(b"a\n\xff\n")
    assert "keys.txt is no text in UTF-8" in run(*command, *files, code=5)


def test_export_of_text(tmp_path):
    np.save(tmp_path / "s.npy", SIDS)
    command = ["export", tmp_path / "s.npy", "-o", tmp_path / "out.txt", "--format"]
    run(*command, "text", "--template", "<x{level}_{token}>")
    assert (tmp_path / "out.txt").read_text() == "<x0_1><x1_2>\n<x0_0><x1_3>\n<x0_1><x1_0>\n"
    assert "format is 'csv'" in run(*command, "csv", code=2)
    (tmp_path / "keys.txt").write_text("a\nb\nc\n")
    assert "no place for keys" in run(*command, "text", "--keys", tmp_path / "keys.txt", code=2)
    same = ["export", tmp_path / "s.npy", "-o", tmp_path / "s.npy", "--format", "static"]
    assert "is an input" in run(*same, code=2)
