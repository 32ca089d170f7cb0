"""The commands ``puresid catalog …``."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import puresid
from puresid import Catalog, cli

ITEMS, DIM = 90, 4


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Codebooks, three batches of 30 items, and a config."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((ITEMS, DIM)).astype(np.float32)
    vectors[20] = vectors[10]
    np.save("vectors.npy", vectors)
    for name, seed in (("books", 0), ("other", 1)):
        levels = np.random.default_rng(seed).standard_normal((2, 32, DIM))
        puresid.Codebooks(levels).save(f"{name}.safetensors")
    for number in range(3):
        rows = slice(30 * number, 30 * number + 30)
        columns = {
            "key": [f"p{row}" for row in range(rows.start, rows.stop)],
            "vector": pa.FixedSizeListArray.from_arrays(vectors[rows].reshape(-1), DIM),
            "sold": rng.permutation(30),
        }
        pq.write_table(pa.table(columns), f"b{number}.parquet")
    Path("job.toml").write_text(
        'codebooks = "books.safetensors"\n'
        '[parameters]\norder = "keys"\n[input]\npriority_column = "sold"\n'
    )
    return tmp_path


def run(*words: object, code: int = 0) -> str:
    found = CliRunner().invoke(cli.main, ["catalog", *map(str, words)])
    assert found.exit_code == code, found.output
    return found.output


def error(output: str) -> str:
    assert output.startswith("puresid: error: ")
    assert output.count("\n") == 1
    return output.removeprefix("puresid: error: ").rstrip("\n")


def create(*words: object) -> str:
    return run("create", "c", "--codebooks", "books.safetensors", *words)


def content(name: str = "c") -> dict[str, bytes]:
    """Return all files that are the same for the same input."""
    files = (path for path in Path(name).rglob("*") if path.is_file())
    return {
        path.relative_to(name).as_posix(): path.read_bytes()
        for path in files
        if path.name not in ("catalog.json", "lock")
    }


def test_is_the_library_s_catalogue():
    assert create("--method", "rrs", "--tiers", "1,4;8,8", "--recycle-after", 3) == (
        "made c: generation 1, epoch 1\n"
    )
    assert run("add", "c", "b0.parquet") == (
        f"b0.parquet: added 30 items, {_nearest('c')} on their nearest SID, "
        "1 with the vector of another; generation 2\n"
    )
    books = puresid.Codebooks.load("books.safetensors")
    same = Catalog.create("d", books, method="rrs", tiers=((1, 4), (8, 8)), recycle_after=3)
    added = same.add([f"p{row}" for row in range(30)], np.load("vectors.npy")[:30])
    found = Catalog.open("c")
    assert found.parameters == same.parameters
    assert found.items().keys.tolist() == [f"p{row}" for row in range(30)]
    np.testing.assert_array_equal(found.items().sids, added.items.sids)


def _nearest(name: str) -> int:
    return Catalog.open(name).summary().stages[0]


def test_a_config_says_what_options_do_not():
    run("create", "c", "--config", "job.toml", "--capacity", 2)
    run("add", "c", "b1.parquet", "--config", "job.toml")
    found = Catalog.open("c")
    assert (found.parameters.order, found.parameters.capacity) == ("keys", 2)
    table = pq.read_table("b1.parquet")
    books = puresid.Codebooks.load("books.safetensors")
    same = Catalog.create("d", books, order="keys", capacity=2)
    vectors = np.load("vectors.npy")[30:60]
    same.add(table["key"].to_pylist(), vectors, table["sold"].to_numpy())
    np.testing.assert_array_equal(found.items().sids, same.items().sids)
    echoed = found.manifest.config
    assert echoed["command"] == "add"
    assert echoed["config"] == {
        "codebooks": "books.safetensors",
        "parameters": {"order": "keys"},
        "input": {"priority_column": "sold"},
    }
    assert echoed["batch"]["vectors"] == "b1.parquet"


def test_yaml_says_the_same_as_toml():
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    Path("job.yaml").write_text(
        "codebooks: books.safetensors\nparameters: {order: keys}\ninput: {priority_column: sold}\n"
    )
    for name, config in (("c", "job.toml"), ("d", "job.yaml")):
        run("create", name, "--config", config)
        run("add", name, "b0.parquet", "--config", config)
    assert content("c").keys() == content("d").keys()
    assert Catalog.open("c").manifest.config == Catalog.open("d").manifest.config


def test_an_interrupted_job_goes_on_and_ends_in_the_same_bytes(monkeypatch):
    batches = ("b0.parquet", "b1.parquet", "b2.parquet")
    run("create", "whole", "--config", "job.toml")
    run("add", "whole", *batches, "--config", "job.toml")
    for stop in range(3):
        run("create", "c", "--config", "job.toml")
        with monkeypatch.context() as patch:
            patch.setattr(Catalog, "add", _interrupted_after(stop))
            run("add", "c", *batches, "--config", "job.toml", code=130)
        assert Catalog.open("c").generation == 1 + stop
        run("create", "c", "--config", "job.toml")
        output = run("add", "c", *batches, "--config", "job.toml")
        assert output.count("30 were there") == stop
        assert content("c") == content("whole")
        shutil.rmtree("c")


def _interrupted_after(calls: int):
    add = Catalog.add

    def interrupted(self, *words, **options):
        if self.generation > calls:
            raise KeyboardInterrupt
        return add(self, *words, **options)

    return interrupted


def test_keys_beside_npy():
    create()
    np.save("keys.npy", np.arange(1000, 1000 + ITEMS))
    np.save("sold.npy", np.arange(ITEMS))
    run("add", "c", "vectors.npy", "--keys", "keys.npy", "--priority", "sold.npy")
    same = Catalog.create("d", puresid.Codebooks.load("books.safetensors"))
    same.add(np.arange(1000, 1000 + ITEMS), np.load("vectors.npy"), np.arange(ITEMS))
    np.testing.assert_array_equal(Catalog.open("c").items().sids, same.items().sids)
    message = error(run("add", "c", "vectors.npy", "b0.parquet", "--keys", "keys.npy", code=2))
    assert message == "--keys names the keys of one batch; there are 2"


def test_existing_keys():
    create()
    run("add", "c", "b0.parquet")
    assert "added 0 items" in run("add", "c", "b0.parquet")
    assert "the key 'p0', 'p1', 'p2' and 27 more already" in error(
        run("add", "c", "b0.parquet", "--existing", "error", code=2)
    )
    table = pq.read_table("b0.parquet").set_column(
        0, "key", pa.array([f"p{row}" for row in range(1, 31)])
    )
    pq.write_table(table, "shifted.parquet")
    assert "already, with another vector" in error(run("add", "c", "shifted.parquet", code=2))
    # p20 has the vector of p10, and the row of p10 is p11's now.
    assert "added 1 items" in run("add", "c", "shifted.parquet", "--existing", "skip")
    assert Catalog.open("c").generation == 3


def test_a_dry_run_tells_and_leaves():
    assert "would make c, epoch hash " in create("--dry-run")
    assert not Path("c").exists()
    create()
    before = content()
    said = run("add", "c", "b0.parquet", "--dry-run")
    assert said.startswith("b0.parquet: would add 30 items, ")
    assert said.endswith("; generation 1\n")
    message = error(run("add", "c", "b0.parquet", "b1.parquet", "--dry-run", code=2))
    assert message.startswith("--dry-run takes one batch")
    assert content() == before
    run("add", "c", "b0.parquet")
    Path("gone.txt").write_text("p3\np4\n")
    before = content()
    assert run("remove", "c", "gone.txt", "--dry-run") == (
        "would remove 2 items; 0 were not there\n"
    )
    assert "would remove 1 generations" in run("gc", "c", "--keep", 1, "--dry-run")
    assert content() == before


def test_remove():
    create()
    run("add", "c", "b0.parquet")
    Path("gone.txt").write_text("p3\np4\nx\n")
    assert "no item with the key 'x'" in error(run("remove", "c", "gone.txt", code=2))
    assert run("remove", "c", "gone.txt", "--missing", "skip") == (
        "removed 2 items; 1 were not there\n"
    )
    assert Catalog.open("c").contains(["p2", "p3", "p4"]).tolist() == [True, False, False]
    pq.write_table(pa.table({"item_id": ["p5"]}), "gone.parquet")
    run("remove", "c", "gone.parquet")
    assert len(Catalog.open("c")) == 27


def test_diff_and_export():
    create()
    run("add", "c", "b0.parquet")
    Path("gone.txt").write_text("p3\n")
    run("remove", "c", "gone.txt")
    run("add", "c", "b1.parquet")
    assert run("diff", "c", 2, "-o", "d.jsonl") == (
        "generation 2 to 4: 30 added, 1 removed, 0 moved, 0 updated\nwrote d.jsonl\n"
    )
    lines = [json.loads(line) for line in Path("d.jsonl").read_text().splitlines()]
    there = Catalog.open("c")
    added = {line["key"]: line["sid"] for line in lines if line["change"] == "added"}
    assert added == {f"p{row}": there.lookup([f"p{row}"])[0].tolist() for row in range(30, 60)}
    assert [line["key"] for line in lines if line["change"] == "removed"] == ["p3"]
    items = there.items()
    run("export", "c", "-o", "x.parquet")
    table = pq.read_table("x.parquet")
    assert table["key"].to_pylist() == items.keys.tolist()
    assert table["sid"].to_pylist() == items.sids.tolist()
    run("export", "c", "-o", "x.jsonl")
    lines = [json.loads(line) for line in Path("x.jsonl").read_text().splitlines()]
    assert [(line["key"], line["sid"]) for line in lines] == list(
        zip(items.keys.tolist(), items.sids.tolist(), strict=True)
    )
    run("export", "c", "-o", "x.json", "--format", "torcheasyrec", "--generation", 2)
    assert pq.read_table("x.json")["item_id"].to_pylist() == [f"p{row}" for row in range(30)]
    assert "unknown ending" in error(run("export", "c", "-o", "x.csv", code=2))


def test_export_of_slots():
    create("--capacity", 3)
    run("add", "c", "b0.parquet")
    run("export", "c", "-o", "x.parquet")
    items = Catalog.open("c").items()
    assert pq.read_table("x.parquet")["slot"].to_pylist() == items.slots.tolist()
    message = error(run("export", "c", "-o", "x.json", "--format", "torcheasyrec", code=2))
    assert message == "SIDs of c have several items; 'torcheasyrec' has one per SID"


def test_show_and_gc():
    create()
    run("add", "c", "b0.parquet", "b1.parquet")
    assert run("show", "c") == f"{Catalog.open('c').summary()}\n"
    assert run("gc", "c", "--keep", 1).startswith("removed 2 generations and 0 files")
    assert Catalog.open("c").verify() == []


def test_the_log_is_lines_of_json():
    create("--log", "log.jsonl")
    run("add", "c", "b0.parquet", "b1.parquet", "--log", "log.jsonl")
    Path("gone.txt").write_text("x\n")
    run("remove", "c", "gone.txt", "--log", "log.jsonl", code=2)
    lines = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == [
        "begin", "published", "end",
        "begin", "added", "published", "added", "published", "end",
        "begin", "error",
    ]  # fmt: skip
    assert all(line["time"].endswith("+00:00") for line in lines)
    assert lines[4]["duplicates"] == [{"key": "p20", "same_as": "p10"}]
    assert lines[7]["manifest"] == Catalog.open("c").manifest.sha256
    assert lines[-1]["type"] == "CatalogError"


def test_the_log_has_no_distortion_of_items_that_share_a_sid():
    create("--duplicates", "share")
    np.save("v.npy", np.zeros((1, DIM)))
    for key, shares in (("a", False), ("b", True)):
        Path("k.txt").write_text(f"{key}\n")
        run("add", "c", "v.npy", "--keys", "k.txt", "--log", "log.jsonl")
        added = json.loads(Path("log.jsonl").read_text().splitlines()[-3])
        assert (added["event"], added["items"]) == ("added", 1)
        assert added["distortion"] == added["nearest_distortion"]
        assert (added["distortion"] is None) == shares


def test_a_warning_is_a_line(tmp_path):
    puresid.Codebooks([np.eye(2), np.eye(2) / 2]).save("small.safetensors")
    run("create", "s", "--codebooks", "small.safetensors")
    np.save("v.npy", np.eye(2))
    Path("k.txt").write_text("a\nb\n")
    assert "warning" not in run("add", "s", "v.npy", "--keys", "k.txt", "--log", "log.jsonl")
    np.save("v.npy", np.eye(2)[:1])
    Path("k.txt").write_text("c\n")
    output = run("add", "s", "v.npy", "--keys", "k.txt", "--log", "log.jsonl")
    assert "puresid: warning: 1 of 2 prefixes of 1 token" in output
    assert '"event": "warning"' in Path("log.jsonl").read_text()


class TestExitCodes:
    def test_2_bad_input(self):
        assert "codebooks are needed" in error(run("create", "c", code=2))
        assert "c is no catalogue" in error(run("show", "c", code=2))
        Path("bad.toml").write_text("codebook = 'x'\n")
        message = error(run("create", "c", "--config", "bad.toml", code=2))
        assert message.startswith("bad.toml has the key 'codebook'; known are codebooks")

    def test_3_capacity(self):
        puresid.Codebooks([np.eye(2), np.eye(2)]).save("small.safetensors")
        run("create", "s", "--codebooks", "small.safetensors")
        np.save("v.npy", np.random.default_rng(0).standard_normal((5, 2)))
        Path("k.txt").write_text("a\nb\nc\nd\ne\n")
        message = error(run("add", "s", "v.npy", "--keys", "k.txt", code=3))
        assert message.startswith("5 items")
        assert Catalog.open("s").generation == 1

    def test_4_another_epoch(self):
        create()
        for words in (("--codebooks", "other.safetensors"), ("--method", "rrs")):
            given = ("--codebooks", "books.safetensors", *words)
            message = error(run("create", "c", *given, code=4))
            assert Catalog.open("c").manifest.epoch_hash in message
        message = error(run("add", "c", "b0.parquet", "--config", "job.toml", code=4))
        assert Catalog.open("c").manifest.epoch_hash in message

    def test_5_damage(self):
        create()
        run("add", "c", "b0.parquet")
        assert run("verify", "c") == "c is whole: generation 2, 30 items\n"
        (file,) = Path("c/files").glob("items-*")
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(bytes(data))
        for words in (("verify", "c"), ("add", "c", "b1.parquet"), ("show", "c")):
            assert file.name in error(run(*words, code=5))

    def test_5_what_only_verify_sees(self, monkeypatch):
        create()
        monkeypatch.setattr(Catalog, "verify", lambda self: ["c/x is odd", "c/y too"])
        assert run("verify", "c", code=5) == (
            "c/x is odd\nc/y too\npuresid: error: c has 2 problems\n"
        )

    def test_6_another_writer(self):
        create()
        with Catalog.open("c")._loader.store.locked():
            message = error(run("add", "c", "b0.parquet", code=6))
        assert message.startswith("another writer is at work")
