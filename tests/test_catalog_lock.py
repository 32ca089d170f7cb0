"""The lock of the writers, and files that appear only where there is none."""

import os
import threading

import pytest

from puresid.atomic import atomic_create
from puresid.catalog.errors import PublishRaceError
from puresid.catalog.store import Store


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "catalogue")


class TestLock:
    def test_one_at_a_time(self, store):
        other = Store.open(store.folder)
        with store.locked():
            with store.locked(wait=False):  # the same thread may
                pass
            with pytest.raises(PublishRaceError, match="another writer is at work: it holds the l"):
                other.locked(wait=False).__enter__()
        with other.locked(wait=False):
            pass

    def test_threads_of_one_process(self, store):
        found = []

        def attempt():
            try:
                with store.locked(wait=False):
                    found.append("held")
            except PublishRaceError:
                found.append("refused")

        with store.locked():
            thread = threading.Thread(target=attempt)
            thread.start()
            thread.join()
        attempt()
        assert found == ["refused", "held"]

    def test_an_error_inside_gives_it_back(self, store):
        with pytest.raises(ZeroDivisionError), store.locked():
            raise ZeroDivisionError
        with Store.open(store.folder).locked(wait=False):
            pass

    def test_a_lock_that_cannot_be_opened(self, store):
        (store.folder / "lock").unlink()
        (store.folder / "lock").mkdir()
        with pytest.raises(IsADirectoryError), store.locked():
            pass

    def test_a_forked_child_does_not_have_it(self, run_python, store):
        script = f"""
import os
from puresid.catalog.errors import PublishRaceError
from puresid.catalog.store import Store
store = Store.open({str(store.folder)!r})

def state():
    try:
        with store.locked(wait=False):
            return 1
    except PublishRaceError:
        return 0

with store.locked():
    child = os.fork()
    if child == 0:
        os._exit(state())
    inside = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        # The child has left this block, and has not taken the lock away.
        print(inside, Store.open(store.folder).locked(wait=False).__class__.__name__)
        other = Store.open(store.folder)
        try:
            other.locked(wait=False).__enter__()
        except PublishRaceError:
            print("still held")
if child:
    print(state())
"""
        assert run_python(script).split("\n")[:3] == [
            "0 _GeneratorContextManager",
            "still held",
            "1",
        ]


class TestAtomicCreate:
    def test_it_never_takes_the_place_of_another(self, tmp_path):
        path = tmp_path / "a"
        with atomic_create(path) as handle:
            handle.write(b"first")
            assert not path.exists()
        with pytest.raises(FileExistsError), atomic_create(path) as handle:
            handle.write(b"second")
        assert path.read_bytes() == b"first"
        assert os.listdir(tmp_path) == ["a"]

    def test_an_error_leaves_nothing(self, tmp_path):
        with pytest.raises(ZeroDivisionError), atomic_create(tmp_path / "a"):
            raise ZeroDivisionError
        assert os.listdir(tmp_path) == []
