"""The short form of what is done to catalogues; and that each part of it can fail."""

import random

import numpy as np
import pytest

from puresid.catalog import Catalog, _contents
from puresid.catalog.state import Part, State

from . import catalog_kills, catalog_parts, races
from .__main__ import main
from .catalog_kills import Kills, Moments
from .catalog_kinds import catalog_kinds
from .catalog_model import Model, Refused, Setup
from .catalog_victims import _OLD, COMMAND_IMPORTS, SCRIPTS, Ends, catalog_victims
from .damage import Damage, _verdict, damages, read_damaged
from .harness import Faults
from .histories import Result, run_history
from .history_ledger import Ledger, Wrong
from .races import FRESH, Course, Races, race
from .sweep import NEW, OLD, brief, sweep

VICTIMS = {victim.name: victim for victim in catalog_victims()}
KINDS = {kind.name: kind for kind in catalog_kinds()}


@pytest.fixture(scope="module")
def catalog_faults(shim):
    with Faults(COMMAND_IMPORTS) as server:
        yield server


class TestFaults:
    @pytest.mark.parametrize("name", VICTIMS)
    def test_old_or_new_whatever_fails(self, catalog_faults, name):
        victim = VICTIMS[name]
        found = sweep(
            catalog_faults,
            victim,
            choose=lambda every: brief(every)[len(name) % 5 :: 14],
            run_again=lambda plan: plan.kills,
        )
        assert not found.problems, "\n".join(found.problems)
        assert found.total > 10

    def test_states_that_are_neither(self, tmp_path):
        ends = Ends(_OLD, SCRIPTS["remove"])
        ends.prepare(tmp_path)
        assert ends.publishing(tmp_path) == OLD
        first = tmp_path / "c" / "generations" / "00000001.json"
        content = first.read_bytes()
        first.unlink()
        assert ends.publishing(tmp_path).startswith("neither: ['generations/00000002.json'")
        first.write_bytes(content)
        stray = tmp_path / "c" / "files" / f"items-{'0' * 20}.safetensors"
        stray.write_bytes(b"")
        assert "files that nobody wrote" in ends.publishing(tmp_path)
        stray.unlink()
        catalog = Catalog.open(tmp_path / "c")
        catalog.remove(catalog.items().keys.take([2, 3, 4, 5]))
        assert ends.publishing(tmp_path) == NEW
        assert list(ends.settled(tmp_path)) == []
        catalog.remove(catalog.items().keys.take([0]))
        assert ends.publishing(tmp_path).startswith("with files that nobody wrote")
        assert "the next run ended in other bytes" in list(ends.settled(tmp_path))

    def test_garbage_that_was_needed(self, tmp_path):
        ends = Ends(_OLD, SCRIPTS["collect_garbage"])
        ends.prepare(tmp_path)
        assert ends.collecting(tmp_path) == OLD
        Catalog.open(tmp_path / "c").collect_garbage(keep=2)
        assert ends.collecting(tmp_path) == NEW
        Catalog.open(tmp_path / "c").collect_garbage(keep=1)
        assert ends.collecting(tmp_path) == "without a file that was needed"


class TestKills:
    @pytest.fixture
    def kills(self, shim, tmp_path):
        with Faults(catalog_kills.IMPORTS) as faults, Moments() as moments:
            yield Kills(tmp_path, random.Random(1), faults, moments)

    def test_old_or_new_and_never_torn(self, kills):
        for how in ("call", "moment") * 8:
            kills.once(how)
        assert kills.problems == []
        assert kills.runs["add"] + kills.runs["remove"] > 5
        assert kills.runs["again"] > 0

    def test_items_of_nobody_are_noticed(self, kills, monkeypatch):
        monkeypatch.setattr(kills, "_after", lambda old, job: {"nobody": (0, 0, 0)})
        kills._calls = 10_000  # so that no call is killed
        assert kills.once("call") is False
        assert "generation 1 became 2: with other items" in kills.problems[0]
        assert kills.runs["call, torn"] == 1


class TestHistories:
    @pytest.mark.parametrize("block", range(4))
    def test_equal_to_the_model(self, tmp_path, block):
        results = [run_history(1, 15 * block + n, folder=tmp_path) for n in range(15)]
        assert [result.problem for result in results if result.problem] == []
        assert sum(result.operations for result in results) > 100
        assert list(tmp_path.iterdir()) == []

    def problems(self, folder):
        return " ".join(run_history(1, n, folder=folder).problem for n in range(12))

    def test_a_tombstone_that_is_given_out_again(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Part, "held_rows", lambda self, *arguments: self.live_rows())
        assert "the model has" in self.problems(tmp_path)

    def test_a_look_up_that_finds_what_was_removed(self, tmp_path, monkeypatch):
        places = State.places

        def careless(self, keys, *, threads=None):
            found = places(self, keys, threads=threads)
            for number, part in enumerate(self.parts):
                rows = part.segment.rows_of(keys)
                found.parts[rows >= 0] = number
                found.rows[rows >= 0] = rows[rows >= 0]
            return found

        monkeypatch.setattr(State, "places", careless)
        assert "history" in self.problems(tmp_path)


class TestLedger:
    """By hand: a place is a SID, the vector a text."""

    A, B = (0, 0), (0, 1)

    def ledger(self, recycle_after=None, share=False):
        ledger = Ledger(recycle_after, share)
        ledger.take_down({"a": (self.A, "x")}, 2, set())
        return ledger

    def test_a_sid_that_moves(self):
        with pytest.raises(Wrong, match=r"the SID of 'a' moved from \(0, 0\) to \(0, 1\)"):
            self.ledger().take_down({"a": (self.B, "x")}, 3, set())
        self.ledger().take_down({"a": (self.B, "x")}, 3, {"a"})

    def test_two_owners(self):
        now = {"a": (self.A, "x"), "b": (self.A, "y")}
        with pytest.raises(Wrong, match=r"\(0, 0\) was given to 'b', and 'a' has it"):
            self.ledger().take_down(now, 3, set())
        with pytest.raises(Wrong, match="'a' has it"):
            self.ledger(share=True).take_down(now, 3, set())
        self.ledger(share=True).take_down(now | {"b": (self.A, "x")}, 3, set())

    @pytest.mark.parametrize(("after", "free"), [(None, None), (1, 4), (3, 6)])
    def test_a_tombstone(self, after, free):
        for generation in range(4, 8):
            ledger = self.ledger(after)
            ledger.take_down({}, 3, set())
            now = {"b": (self.A, "x")}
            if free is not None and generation >= free:
                ledger.take_down(now, generation, set())
                assert ledger.recycled == 1
                continue
            with pytest.raises(Wrong, match=f"given to 'b' in {generation}; 'a' left it in 3"):
                ledger.take_down(now, generation, set())

    def test_an_item_that_moves_leaves_a_tombstone(self):
        ledger = self.ledger()
        ledger.take_down({"a": (self.B, "y")}, 3, {"a"})
        with pytest.raises(Wrong, match="'a' left it in 3"):
            ledger.take_down({"a": (self.B, "y"), "b": (self.A, "y")}, 4, set())


class TestModel:
    """What the documentation of `Catalog` shows, and what is refused."""

    BOOKS = (np.array([[0.0], [8.0]]), np.array([[0.0], [1.0]]))

    def add(self, model, *keys, **more):
        hashes = list(range(len(keys)))
        vectors = [(8.0,)] * len(keys)
        return model.add(list(keys), vectors, None, hashes, **more)

    def test_the_example(self):
        model = Model(Setup("residual", self.BOOKS))
        assert [i.place for i in self.add(model, "apple", "pear").items] == [(1, 0), (1, 1)]
        assert model.remove(["apple"]) == ["apple"]
        assert [i.place for i in self.add(model, "plum").items] == [(0, 0)]
        assert model.seen[model.generation].behind((1, 1)) == ["pear"]
        assert model.counts() == (2, 2, 1, [1, 1, 1, 0])

    def test_refusals(self):
        model = Model(Setup("residual", self.BOOKS))
        self.add(model, "a")
        for keys, name in ((["a"], "CatalogError"), (["b", "b"], "CatalogError")):
            with pytest.raises(Refused, match=name):
                self.add(model, *keys)
        with pytest.raises(Refused, match="CapacityError"):
            self.add(model, *"bcde")
        with pytest.raises(Refused, match="CatalogError"):
            model.remove(["b"])
        assert model.generation == 2
        with pytest.raises(Refused, match="CatalogError"):
            self.add(Model(Setup("residual", self.BOOKS, duplicates="error")), "a", "b")


class TestRaces:
    def test_one_wins_and_readers_see_whole_generations(self, tmp_path):
        found = race(tmp_path, writers=2, rounds=12)
        assert found.problems == []
        assert (found.rounds, found.created) == (12, 1)
        assert found.wins.total() == 12
        assert found.lost.total() == 13
        assert found.seen > 0

    def course(self, folder):
        Catalog.create(folder / "catalogue-0", races.LEVELS)
        return Course(folder, 2, 1, 1, None, None, None, None, None)

    @pytest.mark.parametrize("line", [("won", "won"), ("PublishRaceError: x", "PublishRaceError")])
    def test_a_round_with_two_winners_or_none(self, tmp_path, line):
        found = Races()
        told = {0: ["won", line[0]], 1: ["CatalogError: it is a catalogue already", line[1]]}
        races._count(self.course(tmp_path), found, told)
        assert len(found.problems) == 1
        assert "catalogue 0, round 1" in found.problems[0]
        assert found.lost == {"there is a catalogue": 1}
        assert FRESH > 1

    def test_items_that_the_winner_did_not_add(self, tmp_path):
        found = Races()
        told = {0: ["won", "won"], 1: ["there", "PublishRaceError: has been published"]}
        races._count(self.course(tmp_path), found, told)
        assert found.problems == ["catalogue 0: items of nobody, or too few"]

    def test_a_reader_that_sees_half(self, tmp_path):
        catalog = Catalog.create(tmp_path / "c", races.LEVELS)
        races._look(catalog)
        catalog.add(["0/1/0/0", "0/1/0/1"], np.ones((2, 1)))
        with pytest.raises(AssertionError, match="generation 2 holds"):
            races._look(catalog)


class TestDamage:
    @pytest.mark.parametrize("name", KINDS)
    def test_every_damage_is_refused_by_name(self, name):
        kind = KINDS[name]
        size = read_damaged(kind, []).size
        found = read_damaged(kind, damages(size, step=41))
        assert not found.problems(), "\n".join(found.problems())
        assert set(found.verdicts.values()) == {"refused"}
        assert len(found.verdicts) > 6

    def test_a_reader_without_checksums(self, tmp_path, monkeypatch):
        kind = KINDS["catalogue, codebooks"]
        golden = tmp_path / kind.file
        kind.write(golden)
        right = kind.read(golden)
        copy = tmp_path / f"damaged-{kind.file}"
        content = golden.read_bytes()
        copy.write_bytes(Damage(len(content) - 1, 1).apply(content))
        assert _verdict(kind, copy, right)[0] == "refused"
        monkeypatch.setattr(_contents, "_compare", lambda *arguments: None)
        assert _verdict(kind, copy, right)[0] == "different"

    def test_moves_that_verify_does_not_look_at(self, tmp_path, monkeypatch):
        kind = KINDS["catalogue, moves, texts"]
        golden = tmp_path / kind.file
        kind.write(golden)
        right = kind.read(golden)
        monkeypatch.setattr(Catalog, "verify", lambda self: [])
        copy = tmp_path / f"damaged-{kind.file}"
        copy.write_bytes(golden.read_bytes()[:-1])
        verdict, message = _verdict(kind, copy, right)
        assert verdict == "unclear"
        assert "verify says []" in message


class TestTheLongForm:
    def test_histories(self, capsys):
        assert main(["--part", "histories", "--histories", "2", "--first", "60"]) == 0
        assert "2 histories, " in capsys.readouterr().out

    def test_a_problem(self, capsys, monkeypatch):
        def wrong(seed, number):
            return Result({}, 3, 0, f"seed {seed}, history {number}, step 3: Wrong: items")

        monkeypatch.setattr(catalog_parts, "run_history", wrong)
        assert main(["--part", "histories", "--histories", "1"]) == 1
        assert "history 0, step 3: Wrong: items" in capsys.readouterr().out

    def test_the_parts_that_need_processes(self, shim, capsys):
        arguments = ["--part", "kills", "--only", "Catalog.add, kills", "--kills", "1"]
        assert main(arguments) == 0
        assert "1 kills of additions" in capsys.readouterr().out


class TestWhatWasFound:
    """Mistakes that histories have shown, each by itself."""

    def test_a_difference_between_epochs_of_the_same_codebooks(self, tmp_path):
        levels = [np.array([[0.0], [8.0]]), np.array([[0.0], [1.0], [9.0]])]
        catalog = Catalog.create(tmp_path / "c", levels)
        catalog.add(["a", "b"], np.array([[8.0], [8.0]]))
        catalog.remove(["a"])
        catalog.migrate(catalog.codebooks, ["b"], np.array([[8.0]]), align=False)
        catalog.add(["c"], np.array([[0.0]]))
        found = catalog.diff(2)
        assert found.added.keys.tolist() == ["c"]
        assert found.removed.keys.tolist() == ["a"]
        assert found.moved.keys.tolist() == ["b"]
        assert found.moved_from.sids.tolist() == [[1, 1]]
        assert found.moved.sids.tolist() == [[1, 0]]
        assert len(found.updated) == 0
