"""torch, where it is installed: nothing here imports it before it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def import_torch(needed_by: str) -> Any:
    """Import torch.

    Parameters
    ----------
    needed_by : str
        What the message begins with.

    Raises
    ------
    ImportError
        It is not installed; the message names the extra.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"{needed_by} needs torch: pip install 'puresid[torch]'") from error
    return torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Hold torch, which knows threads only as a setting of the process, to `count` meanwhile."""
    torch = import_torch("this")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
