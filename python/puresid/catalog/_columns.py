"""Checks of a segment's arrays, as users give them and as they come from files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._formats import CorruptFileError

__all__ = ["COLUMNS", "checked", "read_only", "stored"]

MOST_LEVELS = 1024

COLUMNS: dict[str, tuple[tuple[str, ...], tuple[int, int] | None]] = {
    "keys": (("int64",), None),
    "key_bytes": (("uint8",), None),
    "key_offsets": (("int64",), None),
    "sids": (("uint16", "uint32"), (1, MOST_LEVELS)),
    "digests": (("uint64",), (2, 2)),
    "stages": (("int8",), None),
    "slots": (("uint8",), None),
    "values": (("uint64",), None),
    "order": (("uint32",), None),
    "files": (("uint32",), None),
    "rows": (("uint32",), None),
    "old_sids": (("uint16", "uint32"), (1, MOST_LEVELS)),
    "new_sids": (("uint16", "uint32"), (1, MOST_LEVELS)),
}
"""By name: the types that are possible, and the fewest and most columns of a matrix."""


def read_only(array: Any) -> npt.NDArray[Any]:
    """Return a view that nobody writes to, laid out as the core needs it."""
    view: npt.NDArray[Any] = np.require(array, requirements=["C", "A"]).view()
    view.flags.writeable = False
    return view


def checked(
    name: str,
    array: Any,
    rows: int | None,
    *,
    called: str | None = None,
    error: type[ValueError] = ValueError,
) -> npt.NDArray[Any]:
    """Return an array read-only.

    Parameters
    ----------
    name : str
        One of `COLUMNS`.
    array : ndarray
    rows : int, optional
        How many it must have.
    called : str, optional
        What errors call it, if not by its name.
    error : type
        What is raised where it is of another shape or type.
    """
    types, widths = COLUMNS[name]
    count = "n" if rows is None else str(rows)
    width = "" if widths is None else " 2" if widths[0] == 2 else " L"
    found = f"the type {type(array).__name__}"
    if isinstance(array, np.ndarray):
        found = f"shape {array.shape} and type {array.dtype}"
        if (
            array.dtype.name in types
            and array.dtype.isnative
            and array.ndim == (1 if widths is None else 2)
            and rows in (None, len(array))
            and (widths is None or widths[0] <= array.shape[1] <= widths[1])
        ):
            return read_only(array)
    raise error(
        f"{called or name} has {found}; shape ({count},{width}) "
        f"and type {' or '.join(types)} are needed"
    )


def stored(
    tensors: Mapping[str, Any], name: str, rows: int | None, *, prefix: str = "", where: str
) -> npt.NDArray[Any]:
    """Return an array of a file, as `checked`.

    Raises
    ------
    CorruptFileError
        It is missing, or another.
    """
    if prefix + name not in tensors:
        raise CorruptFileError(f"{where}: {prefix}{name} is missing")
    called = f"{where}: {prefix}{name}"
    return checked(name, tensors[prefix + name], rows, called=called, error=CorruptFileError)
