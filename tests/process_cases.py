"""Programs that show what a process cannot show of itself: forks, signals, the order of imports."""

# Interrupts a call `delay` seconds after it began, from a thread of the same process.
INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np, puresid

# A job in the background inherits that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
kind, method, delay = {kind!r}, {method!r}, {delay}
rng = np.random.default_rng(0)
books = [rng.standard_normal((256, 32), dtype=np.float32) / (1 + l) for l in range(3)]
block = rng.standard_normal((50_000, 32), dtype=np.float32)
if kind == "spread":
    vectors = np.tile(block, (100, 1))
    vectors[:, 0] += np.arange(len(vectors), dtype=np.float32) * np.float32(1e-7)
else:
    vectors = np.zeros((5_000_000, 32), np.float32)
sent = []

def send():
    time.sleep(delay)
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
    arrived.set()

arrived = threading.Event()
sender = threading.Thread(target=send, daemon=True)
sender.start()
try:
    puresid.assign(vectors, books, method, threads=2)
except KeyboardInterrupt:
    print("interrupted", time.perf_counter() - sent[0])
else:
    # No more than a signal that came too late.
    print("returned", int(arrived.is_set()))
    try:
        sender.join()
        time.sleep(1)
    except KeyboardInterrupt:
        pass
result = puresid.assign(vectors[:1000], books, method)
assert len(np.unique(result.sids, axis=0)) == 1000
"""

# A job for a process of its own: parallel, with conflicts, small enough to repeat.
JOB = """
import numpy as np, puresid, hashlib

def job():
    rng = np.random.default_rng(0)
    books = [rng.standard_normal((64, 16), dtype=np.float32) / (1 + l) for l in range(3)]
    vectors = rng.standard_normal((20_000, 16), dtype=np.float32)
    vectors[:2000] = vectors[0]
    result = puresid.assign(vectors, books, threads=2)
    return hashlib.sha256(result.sids.tobytes()).hexdigest()
"""

FORK = """
import os, signal, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: the point here
parent = job()
for _ in range(3):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a hang must end, and must not look like success
        os.write(writer, job().encode())
        os._exit(0)
    os.close(writer)
    answer = os.read(reader, 100).decode()
    os.close(reader)
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"the child ended with status {status}"
    assert answer == parent
    assert job() == parent
print("same")
"""

# The calling thread's team belongs to it; the child has only the thread that forked.
FORK_FROM_THREAD = f"""{JOB}
FORK = {FORK!r}
import threading

job()
worker = threading.Thread(target=exec, args=(compile(FORK, "fork", "exec"), globals()))
worker.start()
worker.join()
job()
"""

# The child must not inherit a lock that a call in another thread held.
FORK_DURING_CALL = f"""{JOB}
FORK = {FORK!r}
import threading

stop = threading.Event()

def many():
    while not stop.is_set():
        job()

worker = threading.Thread(target=many)
worker.start()
try:
    exec(FORK)
finally:
    stop.set()
    worker.join()
"""

POOL = f"""{JOB}
import multiprocessing, warnings
warnings.simplefilter("ignore", DeprecationWarning)
parent = job()

def child(_):
    return job()

with multiprocessing.get_context("fork").Pool(2) as pool:
    answers = pool.map_async(child, range(4)).get(timeout=60)
assert answers == [parent] * 4
print("same")
"""

TORCH_WORK = """
def torch_work():
    torch.manual_seed(0)
    a = torch.randn(600, 600)
    return float((a @ a).exp().clamp(max=2).sum())
"""

_JOB_AND_TORCH = JOB + TORCH_WORK
TORCH_ORDERS = {
    "torch first": f"import torch\n{_JOB_AND_TORCH}torch_work(); print(job()); torch_work()",
    "torch last": f"{JOB}import torch\n{TORCH_WORK}torch_work(); print(job()); torch_work()",
    "torch between": f"{JOB}first = job()\nimport torch\n{TORCH_WORK}"
    "torch_work(); print(job()); assert job() == first",
    "both busy": f"""import torch, threading
{_JOB_AND_TORCH}
def many():
    for _ in range(5):
        torch_work()
worker = threading.Thread(target=many)
worker.start()
answers = {{job() for _ in range(5)}}
worker.join()
print(*answers)
""",
}
FORK_BESIDE_TORCH = f"import torch\n{_JOB_AND_TORCH}torch_work()\n{FORK}"
