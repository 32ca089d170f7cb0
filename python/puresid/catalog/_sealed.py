"""Sealed JSON: one object in one form only, which ends with the checksum of itself.

The bytes are ``{…,"sha256":"<hex>"}`` and a line feed: UTF-8, keys in order, no spaces. The
checksum is that of the object without this key, in the same form. It is compared before anything is
parsed, so that damage never reaches a parser; then the text must be what this module would write.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from puresid._formats import CorruptFileError

MOST_BYTES = 16 * 2**20  # parsed JSON takes some twenty times its size
_MOST_DEPTH = 32
_SEAL = re.compile(rb',"sha256":"([0-9a-f]{64})"\}\n')
_SEAL_BYTES = len(',"sha256":""}\n') + 64


def plain(value: Any, place: str, *, depth: int = 0) -> Any:
    """Copy a value of JSON: tuples become lists, numbers of NumPy those of Python.

    Parameters
    ----------
    value : None, bool, int, float, str, list, tuple or dict
    place : str
        How errors call it.
    depth : int
        Of how many lists and objects it is inside.

    Returns
    -------
    None, bool, int, float, str, list or dict

    Raises
    ------
    TypeError
        Something else is in it.
    ValueError
        A number is not finite or beyond 64 bits, text is not Unicode, or it is nested too deeply.
    """
    if value is None or isinstance(value, (bool, np.bool_)):
        return value if value is None else bool(value)
    if isinstance(value, (int, np.integer)):
        number = int(value)
        if not -(2**63) <= number < 2**64:
            raise ValueError(f"{place} has {number.bit_length()} bits; whole numbers have up to 64")
        return number
    if isinstance(value, (float, np.floating)):
        if not math.isfinite(value):
            raise ValueError(f"{place} is {float(value)}; a finite number is needed")
        return float(value)
    if isinstance(value, str):
        return _text(value, place)
    if depth == _MOST_DEPTH:
        raise ValueError(f"{place} is nested more than {_MOST_DEPTH} deep")
    if isinstance(value, (list, tuple)):
        return [plain(part, f"{place}[{i}]", depth=depth + 1) for i, part in enumerate(value)]
    if not isinstance(value, dict):
        raise TypeError(
            f"{place} is of type {type(value).__name__}; "
            "JSON has null, booleans, numbers, text, lists and objects"
        )
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{place} has the key {key!r}; keys of JSON are text")
    return {
        _text(key, place): plain(part, f"{place}[{key!r}]", depth=depth + 1)
        for key, part in value.items()
    }


def _text(value: str, place: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{place} has half a surrogate pair at character {error.start}; it is not Unicode"
        ) from None
    return str(value)


def canonical(value: dict[str, Any]) -> bytes:
    """Return the one form of an object that `plain` has made: UTF-8, keys in order, no spaces."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def digest(value: dict[str, Any]) -> str:
    """Return the SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def seal(value: dict[str, Any]) -> bytes:
    """Return a sealed object.

    Parameters
    ----------
    value : dict
        Not empty, from `plain`, without the key ``"sha256"``.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        It would be longer than `MOST_BYTES`.
    """
    body = canonical(value)
    size = len(body) - 1 + _SEAL_BYTES
    if size > MOST_BYTES:
        raise ValueError(f"it takes {size} bytes; the most is {MOST_BYTES}")
    checksum = hashlib.sha256(body).hexdigest().encode()
    return body[:-1] + b',"sha256":"' + checksum + b'"}\n'


def unseal(data: bytes, name: str) -> dict[str, Any]:
    """Return the object of sealed bytes, without its checksum.

    Parameters
    ----------
    data : bytes
    name : str
        How errors call them.

    Returns
    -------
    dict

    Raises
    ------
    CorruptFileError
        They are too long, cut short, damaged, or not in the one form.
    """
    _check_size(len(data), name)
    match = _SEAL.fullmatch(data[-_SEAL_BYTES:])
    if match is None:
        raise CorruptFileError(
            f"{name} is cut short or damaged: it does not end with its checksum ({len(data)} bytes)"
        )
    body = data[:-_SEAL_BYTES] + b"}"
    found, said = hashlib.sha256(body).hexdigest(), match[1].decode()
    if found != said:
        raise CorruptFileError(f"{name} is damaged: its SHA-256 is {found}; it says {said}")
    try:
        value = parse_object(body)
        if canonical(value) != body:
            raise ValueError("the JSON is not in its canonical form")
    except (TypeError, ValueError, RecursionError) as error:
        raise CorruptFileError(f"{name}: {error}") from error
    return value


def parse_object(text: bytes) -> dict[str, Any]:
    """Parse a JSON object strictly.

    Raises
    ------
    TypeError, ValueError, RecursionError
        It is not JSON or no object, has a key twice, or a value that `plain` refuses.
    """
    value = json.loads(
        text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant
    )
    if not isinstance(value, dict):
        raise TypeError(f"a JSON {type(value).__name__} stands where an object is needed")
    checked: dict[str, Any] = plain(value, "the object")
    return checked


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands in it twice")
        found[key] = value
    return found


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a sealed file; its size is checked before memory is asked for.

    Raises
    ------
    CorruptFileError
        As `unseal`.
    OSError
        It cannot be opened or read.
    """
    with open(path, "rb") as handle:
        size = os.fstat(handle.fileno()).st_size
        _check_size(size, str(path))
        data = handle.read(size + 1)
    return unseal(data, str(path))


def _check_size(size: int, name: str) -> None:
    if size > MOST_BYTES:
        raise CorruptFileError(f"{name} has {size} bytes; the most is {MOST_BYTES}")


def check_fields(value: dict[str, Any], needed: tuple[str, ...], name: str) -> None:
    """Refuse an object that has not exactly these keys.

    Raises
    ------
    ValueError
        Naming the first that is missing or unknown.
    """
    for key in needed:
        if key not in value:
            raise ValueError(f"{name} has no {key!r}")
    for key in sorted(value):
        if key not in needed:
            raise ValueError(f"{name} has {key!r}, which is unknown; {', '.join(needed)} are known")
