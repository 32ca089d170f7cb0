"""Thrift's compact form, which Parquet's footers and page headers have: read, changed, written.

A struct is a list of ``[field id, type, value]``; a list is ``(type of elements, values)``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

STRUCT, LIST, BINARY, DOUBLE, BYTE = 12, 9, 8, 7, 3
INTEGERS = (4, 5, 6)
Struct = list[list[Any]]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def _to_varint(value: int) -> bytes:
    value %= 2**64
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def read(data: bytes, place: int) -> tuple[Struct, int]:
    """Read a struct that begins at `place`; return it and where it ends."""
    fields: Struct = []
    number = 0
    while data[place]:
        kind, step = data[place] & 15, data[place] >> 4
        place += 1
        if step:
            number += step
        else:
            value, place = _varint(data, place)
            number = value >> 1 ^ -(value & 1)
        value, place = _value(data, place, kind)
        fields.append([number, kind, value])
    return fields, place + 1


def _value(data: bytes, place: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, place
    if kind == BYTE:
        return data[place], place + 1
    if kind in INTEGERS:
        value, place = _varint(data, place)
        return value >> 1 ^ -(value & 1), place
    if kind == DOUBLE:
        return data[place : place + 8], place + 8
    if kind == BINARY:
        size, place = _varint(data, place)
        return data[place : place + size], place + size
    if kind == LIST:
        element, size = data[place] & 15, data[place] >> 4
        place += 1
        if size == 15:
            size, place = _varint(data, place)
        values = []
        for _ in range(size):
            value, place = _value(data, place, element)
            values.append(value)
        return (element, values), place
    if kind == STRUCT:
        return read(data, place)
    raise ValueError(f"type {kind} of Thrift is not used by Parquet")


def write(fields: Struct) -> bytes:
    """The other way."""
    found = bytearray()
    before = 0
    for number, kind, value in fields:
        if kind in (1, 2):
            kind = 1 if value else 2
        if 0 < number - before < 16:
            found.append((number - before) << 4 | kind)
        else:
            found.append(kind)
            found += _to_varint(number << 1 ^ number >> 63)
        before = number
        found += _written(kind, value)
    return bytes(found) + b"\0"


def _written(kind: int, value: Any) -> bytes:
    if kind in (1, 2):
        return b""
    if kind == BYTE:
        return bytes([value % 256])
    if kind in INTEGERS:
        return _to_varint(value << 1 ^ value >> 63)
    if kind == DOUBLE:
        return bytes(value)
    if kind == BINARY:
        return _to_varint(len(value)) + value
    if kind == LIST:
        element, values = value
        head = bytes([min(15, len(values)) << 4 | element])
        size = _to_varint(len(values)) if len(values) >= 15 else b""
        return head + size + b"".join(_written(element, one) for one in values)
    return write(value)


def _structs(fields: Struct) -> Iterator[Struct]:
    """All structs, this one first."""
    yield fields
    for _, kind, value in fields:
        inner = value[1] if kind == LIST and value[0] == STRUCT else []
        for below in [value] if kind == STRUCT else inner:
            yield from _structs(below)


def change(
    fields: Struct, chance: random.Random, integer: Callable[[random.Random, int], int]
) -> None:
    """Change one field of one struct: its number, type or value, or drop or double it."""
    struct = chance.choice([one for one in _structs(fields) if one] or [fields])
    if not struct:
        return
    place = chance.randrange(len(struct))
    number, kind, value = struct[place]
    action = chance.randrange(8)
    if action == 0:
        del struct[place]
    elif action == 1:
        struct.insert(place, [number, kind, value])
    elif action == 2:
        struct[place][0] = max(1, number + chance.choice((-1, 1, 5)))
    elif kind in (*INTEGERS, BYTE):
        struct[place][2] = integer(chance, value)
    elif kind == BINARY:
        struct[place][2] = chance.choice((b"", value * 2, value + b"\xff", b"\0" * 9, value[1:]))
    elif kind == LIST:
        element, values = value
        many = (values[1:], values * 2, values * 300, [], values[::-1])
        struct[place][2] = (element, list(chance.choice(many)))
        if values and element in INTEGERS:
            struct[place][2] = (element, [integer(chance, values[0]), *values[1:]])


def change_integer(
    fields: Struct, chance: random.Random, integer: Callable[[random.Random, int], int]
) -> None:
    """Change one integer of one struct."""
    numbers = [
        field for struct in _structs(fields) for field in struct if field[1] in (*INTEGERS, BYTE)
    ]
    field = chance.choice(numbers)
    field[2] = integer(chance, field[2])
