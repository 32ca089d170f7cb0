"""`fuzz_worker` with a reader that is at fault, to see that it is noticed."""

import os
import signal
import sys

from . import fuzz_worker
from .kinds import Kind
from .loaders import Loader


def _read(path):
    content = path.read_bytes()
    kind = sum(content) % 8
    if kind == 1:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == 2 and len(content) % 3 == 0:
        signal.alarm(1)
        while True:
            pass
    if kind == 3:
        raise KeyError("broken")
    return content


def _write(path):
    path.write_bytes(bytes(range(64)))


if __name__ == "__main__":
    _LOADER = Loader(Kind("deadly", "file.bin", _write, _read), "bytes")
    fuzz_worker.loaders = lambda: [_LOADER]
    fuzz_worker.main(sys.argv[1:])
