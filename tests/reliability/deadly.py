"""Kinds of file whose readers are at fault, to see that it is noticed."""

import os
import signal

from .kinds import Kind


def _write(path):
    path.write_bytes(b"0123")


def _die(path):
    content = path.read_bytes()
    if content[1:2] == b"0":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)
    if content[2:3] == b"3":
        signal.alarm(1)
        while True:
            pass
    if content != b"0123":
        raise ValueError(f"{path} is damaged")
    return content


def _fail(path):
    raise KeyError("broken")


DEADLY = Kind("deadly", "file.bin", _write, _die)
BROKEN = Kind("broken", "file.bin", _write, _fail)
