"""Crashes, races, readers beside the garbage collection, and what is found afterwards."""

from pathlib import Path

import pytest

from puresid.catalog.store import Store

# What each of the scripts below begins with: it runs in an interpreter of its own.
START = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from catalog_cases import *
from puresid.catalog.errors import PublishRaceError
from puresid.catalog.store import Store
folder = sys.argv[1] if len(sys.argv) > 1 else {{folder!r}}
"""

# Ends a forked child before or after its n-th call that changes the disk, for every n.
CRASHES = """
NAMES = ("fsync", "replace", "link", "unlink", "mkdir", "open")

def dying(place, after):
    left = [place]
    def wrap(call):
        def counted(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0 and not after:
                os._exit(9)
            value = call(*args, **kwargs)
            if left[0] == 0:
                os._exit(9)
            return value
        return counted
    for name in NAMES:
        setattr(os, name, wrap(getattr(os, name)))

def every_crash(job):
    for place in range(1, 1000):
        for after in (False, True):
            child = os.fork()
            if child == 0:
                dying(place, after)
                try:
                    job()
                except BaseException as error:
                    print(repr(error), flush=True)
                    os._exit(1)
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert status in (0, 9), status
            if status == 0:  # there is no such call: the job is done
                return
            yield place, after
"""


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "catalogue")


class TestCrashes:
    def test_while_publishing(self, run_python, tmp_path):
        """The old generation or the new one; the same job run again goes on and ends."""
        script = (
            START.format(folder=str(tmp_path / "c"))
            + CRASHES
            + """
store = Store.create(folder)
first_generation(store)
crashes = states = 0

def job():
    parent = store.read()
    with store.locked():
        store.publish(next_generation(store, parent, items(parent.generation)), parent)

before = 1
for place, after in every_crash(job):
    crashes += 1
    found = Store.open(folder).read(check_parents=True)
    assert found.generation in (before, before + 1), (place, after)
    states += found.generation > before
    before = found.generation
    assert store.verify() == [], (place, after)
    with store.locked(wait=False):
        pass
left = [name for _, _, all in os.walk(folder) for name in all if name.endswith(".tmp")]
print(crashes, states, len(left))
assert store.collect_garbage(keep=99).files
left = [name for _, _, all in os.walk(folder) for name in all if name.endswith(".tmp")]
assert left == [] and store.verify() == []
"""
        )
        crashes, states, left = map(int, run_python(script).split())
        assert crashes >= 16
        assert 2 <= states < crashes
        assert left >= 2

    def test_while_collecting_garbage(self, run_python, tmp_path):
        script = (
            START.format(folder=str(tmp_path / "c"))
            + CRASHES
            + """
store = Store.create(folder)
parent = first_generation(store)

def more(parent):
    for _ in range(3):
        made = all_new(store, parent, parent.generation)
        store.publish(made, parent)
        parent = made
    return parent

newest = more(parent)
crashes = 0
for place, after in every_crash(lambda: store.collect_garbage(keep=1)):
    crashes += 1
    assert store.verify() == [], (place, after)
    assert store.read(check_parents=True) == newest
    store.collect_garbage(keep=1)
    assert store.generations() == [newest.generation]
    assert len(os.listdir(folder + "/files")) == 2
    newest = more(newest)
print(crashes)
"""
        )
        assert int(run_python(script)) >= 10

    def test_while_creating(self, run_python, tmp_path):
        script = (
            START.format(folder=str(tmp_path))
            + CRASHES
            + """
crashes = made = 0
for number, _ in enumerate(every_crash(lambda: Store.create(f"{folder}/{crashes}"))):
    name = f"{folder}/{crashes}"
    crashes += 1
    if os.path.exists(name + "/catalog.json"):
        made += 1
        store = Store.open(name)
    else:
        store = Store.create(name)
    first_generation(store)
    assert store.verify() == []
    assert store.collect_garbage().generations == ()
    assert sorted(os.listdir(name)) == ["catalog.json", "files", "generations", "lock"]
print(crashes, made)
"""
        )
        crashes, made = map(int, run_python(script).split())
        assert crashes >= 12
        assert 2 <= made < crashes

    def test_a_killed_writer_leaves_no_lock(self, run_python, store):
        script = (
            START.format(folder=str(store.folder))
            + """
store = Store.open(folder)
if os.fork() == 0:
    store.locked().__enter__()
    os.kill(os.getpid(), 9)
os.wait()
with store.locked(wait=False):
    print("free")
"""
        )
        assert run_python(script).strip() == "free"


RACE = """
import multiprocessing

ROUNDS = {rounds}

def without_lock(store):
    # Neither the lock nor the look at the newest generation: the link alone decides.
    from contextlib import nullcontext
    store.locked = lambda wait=True: nullcontext()
    store._generations.check_newest = lambda parent: None

def race(folder, who, barrier, answers):
    os.fsync = lambda descriptor: None  # what is durable is tested elsewhere
    store = Store.open(folder)
    if {bare}:
        without_lock(store)
    for number in range(ROUNDS):
        parent = store.read()
        made = next_generation(store, parent, items(2 * number + who))
        barrier.wait(60)
        try:
            store.publish(made, parent)
            answers.put((number, who, made.sha256))
        except PublishRaceError:
            answers.put((number, who, None))
        barrier.wait(60)

os.fsync = lambda descriptor: None
store = Store.create(folder)
first_generation(store)
context = multiprocessing.get_context("fork")
barrier, answers = context.Barrier(2), context.Queue()
writers = [context.Process(target=race, args=(folder, w, barrier, answers)) for w in (0, 1)]
for writer in writers:
    writer.start()
found = [answers.get(timeout=60) for _ in range(2 * ROUNDS)]
for writer in writers:
    writer.join()
    assert writer.exitcode == 0
for number in range(ROUNDS):
    won = [sha for n, _, sha in found if n == number and sha]
    assert won == [store.read(number + 2).sha256], (number, won)
assert store.read(check_parents=True).generation == ROUNDS + 1
assert store.verify() == []
winners = [who for _, who, sha in found if sha]
print(len(winners), len([name for name in os.listdir(folder + "/generations")]))
"""


class TestRaces:
    @pytest.mark.parametrize("bare", [False, True])
    def test_one_of_two_writers_wins(self, run_python, tmp_path, bare):
        rounds = 60
        script = START.format(folder=str(tmp_path / "c")) + RACE.format(rounds=rounds, bare=bare)
        assert run_python(script).split() == [str(rounds), str(rounds + 1)]

    def test_writers_who_hold_the_lock_never_lose(self, run_python, tmp_path):
        script = (
            START.format(folder=str(tmp_path / "c"))
            + """
os.fsync = lambda descriptor: None
store = Store.create(folder)
first_generation(store)
children = []
for who in range(3):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            mine = Store.open(folder)
            for number in range(20):
                with mine.locked():
                    if number % 5 == who:
                        mine.collect_garbage(keep=2)
                    parent = mine.read()
                    made = next_generation(mine, parent, items(who + 3 * number))
                    mine.publish(made, parent)
            status = 0
        finally:
            os._exit(status)
    children.append(child)
print(*[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
print(store.read(check_parents=True).generation, len(store.verify()))
"""
        )
        assert run_python(script).split() == ["0", "0", "0", "61", "0"]

    def test_readers_beside_a_writer_and_the_garbage_collection(self, run_python, tmp_path):
        script = (
            START.format(folder=str(tmp_path / "c"))
            + """
os.fsync = lambda descriptor: None
store = Store.create(folder)
parent = first_generation(store)
ROUNDS = 150
reader_ends, writer_ends = os.pipe()

def load(manifest):
    loaded = [store.load_file(entry, mmap=True) for entry in manifest.entries]
    return manifest, loaded[1:]

def read():
    seen, kept = set(), []
    while ROUNDS + 1 not in seen:
        manifest, (tensors,) = store.read_current(load)
        number = manifest.generation
        first = 0 if number == 1 else number - 1
        assert tensors["keys"].tolist() == [first, first + 1, first + 2], number
        if number not in seen:
            kept.append((first, tensors))
        seen.add(number)
        assert store.verify() in ([],), store.verify()
    for first, tensors in kept:  # mapped files outlive their names
        assert tensors["keys"].tolist() == [first, first + 1, first + 2]
    return len(seen)

child = os.fork()
if child == 0:
    status = 1
    try:
        os.write(writer_ends, b"%d\\n" % read())
        status = 0
    finally:
        os._exit(status)
os.close(writer_ends)  # so that a reader who fails is not waited for
for _ in range(ROUNDS):
    made = all_new(store, parent, parent.generation)
    store.publish(made, parent)
    store.collect_garbage(keep=1)
    parent = made
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), os.read(reader_ends, 20).decode())
"""
        )
        status, seen = run_python(script).split()
        assert status == "0"
        assert int(seen) >= 1
