"""Ctrl-C, other Python threads, forks, and a process shared with torch.

Times are printed, and measured against bounds far beyond what is promised: they tell a call that
stops from one that does not, and decide nothing else.
"""

import os
import threading
import time

import numpy as np
import pytest

import puresid
from process_cases import (
    FORK,
    FORK_BESIDE_TORCH,
    FORK_DURING_CALL,
    FORK_FROM_THREAD,
    INTERRUPTED,
    JOB,
    POOL,
    TORCH_ORDERS,
)


@pytest.mark.parametrize("kind", ["spread", "equal"])
@pytest.mark.parametrize(("method", "delay"), [("ecm", 0.2), ("rrs", 0.2), ("ecm", 2.0)])
def test_ctrl_c_stops_a_long_call(run_python, record_property, kind, method, delay):
    script = INTERRUPTED.format(kind=kind, method=method, delay=delay)
    what, number = run_python(script).split()
    if what == "interrupted":
        record_property("seconds from signal to KeyboardInterrupt", number)
        print(f"{kind}, {method}, after {delay} s: KeyboardInterrupt {float(number):.3f} s later")
        assert float(number) < 5
    else:
        # Allowed only for the late signal, where the call may be over before it.
        assert number == "0", "the call swallowed the signal"
        assert delay > 1


def test_ctrl_c_stops_training(run_python, record_property):
    """Seeding is thousands of short steps, none of which lasts long enough to be worth a look."""
    script = """
import os, signal, threading, time
import numpy as np, puresid
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
vectors = np.random.default_rng(0).standard_normal((200_000, 64), dtype=np.float32)
sent = []

def send():
    time.sleep(0.2)
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=send, daemon=True).start()
try:
    puresid.RQKMeans(8, 4096, n_iter=1000).fit(vectors)
except KeyboardInterrupt:
    print(time.perf_counter() - sent[0])
"""
    seconds = float(run_python(script))
    record_property("seconds from signal to KeyboardInterrupt", seconds)
    print(f"training: KeyboardInterrupt {seconds:.3f} s later")
    assert seconds < 5


@pytest.fixture(scope="module")
def job() -> tuple[np.ndarray, puresid.Codebooks]:
    rng = np.random.default_rng(0)
    books = [rng.standard_normal((256, 32), dtype=np.float32) / (1 + level) for level in range(3)]
    vectors = rng.standard_normal((200_000, 32), dtype=np.float32)
    vectors[:20_000] = vectors[0]
    return vectors, puresid.Codebooks(books)


def test_another_python_thread_runs_meanwhile(job):
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.001):
            ticks.append(time.perf_counter())

    ticker = threading.Thread(target=tick)
    ticker.start()
    begin = time.perf_counter()
    try:
        puresid.assign(*job, threads=1)
    finally:
        end = time.perf_counter()
        stop.set()
        ticker.join()
    # In the middle half of the call: a call that holds the interpreter lets nothing run there.
    quarter = (end - begin) / 4
    assert [t for t in ticks if begin + quarter < t < end - quarter]


def test_two_python_threads_at_once(job):
    vectors, codebooks = job
    parts = {
        (method, half): vectors[:100_000] if half == 0 else vectors[100_000:]
        for method in ("ecm", "rrs")
        for half in (0, 1)
    }
    alone = {key: puresid.assign(part, codebooks, key[0], threads=2) for key, part in parts.items()}
    together: dict[tuple[str, int], puresid.Assignment] = {}

    def work(key: tuple[str, int]) -> None:
        together[key] = puresid.assign(parts[key], codebooks, key[0], threads=2)

    workers = [threading.Thread(target=work, args=(key,)) for key in parts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert together.keys() == alone.keys()
    for key, result in together.items():
        np.testing.assert_array_equal(result.sids, alone[key].sids)
        np.testing.assert_array_equal(result.stages, alone[key].stages)


def test_an_error_in_one_call_leaves_the_next_alone(job):
    vectors, codebooks = job
    broken = vectors.copy()
    broken[150_000, 3] = np.nan
    before = puresid.assign(vectors, codebooks)
    for _ in range(3):
        with pytest.raises(ValueError, match=r"vectors\[150,?000\]"):
            puresid.assign(broken, codebooks)
    np.testing.assert_array_equal(puresid.assign(vectors, codebooks).sids, before.sids)


NO_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")


@NO_FORK
def test_a_forked_child_works(run_python):
    assert run_python(JOB + FORK) == "same\n"


@NO_FORK
def test_a_child_forked_from_another_thread_works(run_python):
    assert run_python(FORK_FROM_THREAD) == "same\n"


@NO_FORK
def test_a_child_forked_during_a_call_works(run_python):
    assert run_python(FORK_DURING_CALL) == "same\n"


@NO_FORK
def test_a_pool_of_forked_workers(run_python):
    assert run_python(POOL) == "same\n"


@pytest.mark.parametrize("order", TORCH_ORDERS)
def test_torch_in_the_same_process(run_python, order):
    pytest.importorskip("torch", reason="torch is not installed")
    assert run_python(TORCH_ORDERS[order]) == run_python(JOB + "print(job())")


@NO_FORK
def test_a_forked_child_works_beside_torch(run_python):
    pytest.importorskip("torch", reason="torch is not installed")
    assert run_python(FORK_BESIDE_TORCH) == "same\n"
