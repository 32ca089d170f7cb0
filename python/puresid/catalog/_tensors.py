"""Safetensors files in one form only: the same bytes for the same content, read as views.

A file is 8 bytes with the length of a header, the header (JSON), and the tensors one after the
other. The header's ``__metadata__`` has one entry, ``description``, with a JSON object. The library
for this format copies each tensor and chooses its own order; here the bytes of a content are fixed
for good, since a file's name is its checksum, and reading asks for no more memory than the file has
bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from puresid._formats import CorruptFileError
from puresid.catalog._sealed import canonical, check_fields, parse_object, plain

Tensors: TypeAlias = "dict[str, npt.NDArray[Any]]"

_TYPES = {
    "U8": "<u1", "I8": "<i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in _TYPES.items()}
_MOST_HEADER = 2**20
_MOST_DIMENSIONS = 8
_MOST_ROWS = 2**40  # of one dimension: what a tensor without elements may announce


@dataclass(frozen=True)
class Layout:
    """A file to be: its parts, in order, and what they come to.

    Attributes
    ----------
    parts : tuple of bytes and memoryview
    size : int
        Bytes.
    sha256 : str
    """

    parts: tuple[bytes | memoryview, ...]
    size: int
    sha256: str


def lay_out(tensors: Tensors, description: dict[str, Any]) -> Layout:
    """Say what the file of these tensors is; arrays in C order are not copied.

    Parameters
    ----------
    tensors : dict of str to ndarray
        Integers or floats.
    description : dict
        Values of JSON.

    Returns
    -------
    Layout

    Raises
    ------
    TypeError
        A tensor is of another type, or the description holds what JSON does not.
    ValueError
        The header would take more than 1 MiB.
    """
    arrays = {name: _little_endian(name, array) for name, array in tensors.items()}
    # The widest first, so that each tensor is aligned.
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    text = canonical(plain(description, "description")).decode()
    header: dict[str, Any] = {"__metadata__": {"description": text}}
    end = 0
    for name in order:
        array, start = arrays[name], end
        end += array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    # The order of the file, not that of the names; readers of the format want it like this.
    head = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    head += b" " * (-len(head) % 8)
    if len(head) > _MOST_HEADER:
        raise ValueError(f"the header takes {len(head)} bytes; the most is {_MOST_HEADER}")
    content = [arrays[name].reshape(-1).view(np.uint8).data for name in order]
    parts: tuple[bytes | memoryview, ...] = (len(head).to_bytes(8, "little"), head, *content)
    checksum = hashlib.sha256()
    for part in parts:
        checksum.update(part)
    return Layout(parts, 8 + len(head) + end, checksum.hexdigest())


def _little_endian(name: str, array: Any) -> npt.NDArray[Any]:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"tensors[{name!r}] is of type {type(array).__name__}; an array is needed")
    array = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    if array.dtype not in _NAMES:
        raise TypeError(
            f"tensors[{name!r}] is of type {array.dtype}; integers and floats of up to 64 bits "
            "are needed"
        )
    if name == "__metadata__" or array.ndim > _MOST_DIMENSIONS:
        raise ValueError(
            f"tensors[{name!r}] has {array.ndim} dimensions; up to {_MOST_DIMENSIONS} are "
            "possible, and any name but '__metadata__'"
        )
    found: npt.NDArray[Any] = array
    return found


def parse(data: npt.NDArray[np.uint8], name: str) -> tuple[Tensors, dict[str, Any]]:
    """Return the tensors of a file, as views of its bytes, and its description.

    Parameters
    ----------
    data : ndarray of uint8
        The whole file.
    name : str
        How errors call it.

    Returns
    -------
    tensors : dict of str to ndarray
    description : dict

    Raises
    ------
    CorruptFileError
        It is not what `lay_out` makes.
    """
    try:
        header, start = _header(data)
        metadata = header.pop("__metadata__", None)
        if not isinstance(metadata, dict):
            raise ValueError("the header has no __metadata__")
        check_fields(metadata, ("description",), "__metadata__")
        if not isinstance(metadata["description"], str):
            raise TypeError("the description is no text")
        description = parse_object(metadata["description"].encode("utf-8"))
        return dict(_views(header, data[start:], start)), description
    except (TypeError, ValueError, RecursionError) as error:
        raise CorruptFileError(f"{name}: {error}") from error


def _header(data: npt.NDArray[np.uint8]) -> tuple[dict[str, Any], int]:
    if len(data) < 8:
        raise ValueError(f"{len(data)} bytes are too few for a safetensors file")
    length = int.from_bytes(data[:8].tobytes(), "little")
    if length > min(len(data) - 8, _MOST_HEADER):
        raise ValueError(
            f"its header announces {length} bytes; the file has {len(data)}, "
            f"and the most is {_MOST_HEADER}"
        )
    return parse_object(data[8 : 8 + length].tobytes()), 8 + length


def _views(
    header: dict[str, Any], data: npt.NDArray[np.uint8], start: int
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    place = 0
    for name, entry in header.items():
        if not isinstance(entry, dict):
            raise TypeError(f"tensor {name!r} is no object")
        check_fields(entry, ("dtype", "shape", "data_offsets"), f"tensor {name!r}")
        code = _TYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
        if code is None:
            raise ValueError(f"tensor {name!r} has the type {entry['dtype']!r}, which is unknown")
        dtype = np.dtype(code)
        shape = _integers(entry["shape"], f"the shape of tensor {name!r}")
        if len(shape) > _MOST_DIMENSIONS:
            raise ValueError(f"tensor {name!r} has {len(shape)} dimensions")
        offsets = _integers(entry["data_offsets"], f"data_offsets of tensor {name!r}")
        end = place + math.prod(shape) * dtype.itemsize
        if offsets != [place, end]:
            raise ValueError(
                f"tensor {name!r} has data_offsets {offsets}; "
                f"shape {shape} of {entry['dtype']} after byte {place} makes them {[place, end]}"
            )
        if end > len(data):
            raise ValueError(f"tensor {name!r} ends at byte {end} of {len(data)}")
        if (start + place) % dtype.itemsize:
            raise ValueError(f"tensor {name!r} is not aligned: it starts at byte {start + place}")
        yield name, data[place:end].view(dtype).reshape(shape)
        place = end
    if place != len(data):
        raise ValueError(f"its tensors end at byte {place} of {len(data)}")


def _integers(values: Any, place: str) -> list[int]:
    if not isinstance(values, list) or any(type(value) is not int for value in values):
        raise TypeError(f"{place} is {str(values)[:100]}; a list of integers is needed")
    if any(not 0 <= value <= _MOST_ROWS for value in values):
        raise ValueError(f"{place} is {values}; integers from 0 to {_MOST_ROWS} are needed")
    found: list[int] = values
    return found
