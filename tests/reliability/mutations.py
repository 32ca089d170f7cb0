"""Damage that keeps a file's form: what a parser lets through and the checks behind it must see.

Flipped bytes mostly die at the first check. So a file is taken apart by its form, a length, an
offset, a type, a value or a name in it becomes another, and it is put together again with the
lengths and checksums that make it look whole. One time in six plain bytes change all the same.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable
from typing import Any

from . import thrift

INTEGERS = (
    *(0, 1, 2, 3, 5, 7, 8, 255, 256, 65_535, 65_536),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1),
    *(2**64, 10**30, -1, -2, -(2**31), -(2**63)),
)
_VALUES = (
    *("null", "true", "false", "[]", "{}", '""', "0.5", "-0.0", "1e308", "1e999", "-1e999", "NaN"),
    *('"\\u0000"', '"\\ud800"', '"é"', '"<a_1>"', '"' + "x" * 300 + '"', "[" * 40 + "]" * 40),
    *("[" * 5000, '{"a":' * 3000, "9" * 5000, "[[1,2],[3]]", '{"a":1,"a":2}', "[null]", '"F64"'),
)


class Raw(str):
    """Text that goes into JSON as it stands."""


class Pairs(list[Any]):
    """An object of JSON whose keys may come twice."""


def mutate(form: str, chance: random.Random, whole: bytes) -> bytes:
    """Return a file of this form with something wrong in it, or nothing, by chance.

    Parameters
    ----------
    form : str
        One of `FORMS`.
    chance : random.Random
    whole : bytes
        The intact file.
    """
    if form == "bytes" or chance.random() < 1 / 6:
        return any_bytes(chance, whole)
    return FORMS[form](chance, whole)


def some(chance: random.Random) -> int:
    """How many changes: mostly one."""
    return chance.choice((1, 1, 1, 2, 3))


def integer(chance: random.Random, near: int = 0) -> int:
    """A number that breaks things, or one beside a right one."""
    if chance.random() < 0.4:
        return near + chance.choice((-8, -2, -1, 1, 2, 8))
    return chance.choice(INTEGERS)


def any_bytes(chance: random.Random, whole: bytes) -> bytes:
    """Cut, fill, double, drop, swap or overwrite some bytes."""
    data = bytearray(whole)
    for _ in range(some(chance)):
        if not data:
            return chance.randbytes(chance.randrange(40))
        a, b = sorted(chance.choices(range(len(data) + 1), k=2))
        b = min(b, a + chance.choice((1, 2, 4, 8, 64, len(data))))
        kind = chance.randrange(6)
        if kind == 0:
            del data[a:]
        elif kind == 1:
            del data[a:b]
        elif kind == 2:
            data[a:b] = data[a:b] * 2
        elif kind == 3:
            data[a:b] = chance.randbytes(b - a)
        elif kind == 4:
            data[a:a] = chance.choice((b"\0", b"\xff" * 8, data[a:b], b"{", b"\n", b'"'))
        else:
            _put_word(chance, data, min(a, len(data) - 1))
    return bytes(data)


def _put_word(chance: random.Random, data: bytearray, place: int) -> None:
    size = chance.choice((1, 2, 4, 8))
    value = integer(chance, int.from_bytes(data[place : place + size], "little"))
    data[place : place + size] = (value % 256**size).to_bytes(size, "little")


def words(chance: random.Random, whole: bytes) -> bytes:
    """Overwrite aligned numbers of 4 or 8 bytes: what binary forms keep lengths and offsets in."""
    data = bytearray(whole)
    for _ in range(some(chance)):
        size = chance.choice((4, 8))
        place = chance.randrange(max(1, len(data) // 4)) * 4
        value = integer(chance, int.from_bytes(data[place : place + size], "little"))
        data[place : place + size] = (value % 256**size).to_bytes(size, "little")
    return bytes(data)


# ---- JSON


def parse(text: bytes | str) -> Any:
    """Parse JSON, objects as `Pairs`."""
    return json.loads(text, object_pairs_hook=Pairs)


def write(value: Any) -> str:
    """The other way, and `Raw` as it stands."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(key)}:{write(part)}" for key, part in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def change(chance: random.Random, value: Any) -> Any:
    """Return JSON's `value` with one thing in it changed."""
    if isinstance(value, str) and value[:1] == "{" and chance.random() < 0.8:
        return write(change(chance, parse(value)))  # JSON in JSON: the descriptions of safetensors
    inside = isinstance(value, list) and value and chance.random() < 0.9
    if not inside:
        if isinstance(value, int) and chance.random() < 0.7:
            return integer(chance, value)
        return Raw(chance.choice(_VALUES))
    place = chance.randrange(len(value))
    kind = chance.choice(("below", "below", "below", "drop", "twice", "swap", "many", "name"))
    if kind == "drop":
        del value[place]
    elif kind == "twice":
        value.insert(chance.randrange(len(value) + 1), value[place])
    elif kind == "swap":
        other = chance.randrange(len(value))
        value[place], value[other] = value[other], value[place]
    elif kind == "many" and not isinstance(value, Pairs):
        value *= min(chance.choice((2, 30, 1000)), max(1, 20_000 // len(write(value))))
    elif isinstance(value, Pairs):
        key, part = value[place]
        if kind == "name":
            key = chance.choice((key + "x", "", key[:-1], "\0", "rotation", "__metadata__"))
        else:
            part = change(chance, part)
        value[place] = (key, part)
    else:
        value[place] = change(chance, value[place])
    return value


def changed(chance: random.Random, text: bytes | str) -> Any:
    """Parse JSON and change some of it."""
    value = parse(text)
    for _ in range(some(chance)):
        value = change(chance, value)
    return value


def as_json(chance: random.Random, whole: bytes) -> bytes:
    """A file that is JSON."""
    return write(changed(chance, whole)).encode("utf-8", "surrogatepass")


def sealed(chance: random.Random, whole: bytes) -> bytes:
    """JSON that ends with the checksum of itself: it is made right again."""
    value = changed(chance, whole[: whole.rindex(b',"sha256":"')] + b"}")
    text = write(value).encode("utf-8", "surrogatepass")
    try:
        plain = json.loads(text)
        form = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": False}
        text = json.dumps(plain, **form).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        pass
    return text[:-1] + b',"sha256":"' + hashlib.sha256(text).hexdigest().encode() + b'"}\n'


def lines(chance: random.Random, whole: bytes) -> bytes:
    """A file of lines, each JSON, or fields between tabs, commas or spaces."""
    rows = whole.split(b"\n")
    for _ in range(some(chance)):
        place = chance.randrange(len(rows))
        kind = chance.randrange(5)
        if kind == 0:
            del rows[place : place + chance.choice((1, 1, 100))]
        elif kind == 1:
            rows.insert(place, rows[chance.randrange(len(rows))])
        else:
            rows[place] = _line(chance, rows[place])
        rows = rows or [b""]
    return b"\n".join(rows)


def _line(chance: random.Random, row: bytes) -> bytes:
    if row[:1] in (b"{", b"["):
        try:
            return as_json(chance, row)
        except ValueError:
            pass
    between = chance.choice((b"\t", b",", b" ", b"_", b"|"))
    fields = row.split(between)
    place = chance.randrange(len(fields))
    options = (b"", b"-1", b"\xff", b"\0", b'"', "é".encode(), b"\x85", b"<a_1>", b"9" * 5000)
    fields[place] = chance.choice((*options, fields[place] * 2, str(integer(chance)).encode()))
    return between.join(fields)


# ---- forms with a header


def safetensors(chance: random.Random, whole: bytes) -> bytes:
    """A length, a header that is JSON, and numbers."""
    length = int.from_bytes(whole[:8], "little")
    header, data = parse(whole[8 : 8 + length]), bytearray(whole[8 + length :])
    for _ in range(some(chance)):
        kind = chance.randrange(4)
        if kind == 0:
            header = change(chance, header)
        elif kind == 1 and isinstance(header, Pairs):
            _reshape(chance, header)
        elif kind == 2 and data:
            values = (0x7FC00000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 1, 0x80000000, 0x60000000)
            place = chance.randrange(max(1, len(data) // 4)) * 4
            data[place : place + 4] = struct.pack("<I", chance.choice(values))
        else:
            data = bytearray(words(chance, bytes(data)))
    text = write(header).encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 8 if chance.random() < 0.8 else chance.randrange(9))
    said = len(text) if chance.random() < 0.9 else integer(chance, len(text)) % 2**64
    return said.to_bytes(8, "little") + text + bytes(data)


def _reshape(chance: random.Random, header: Pairs) -> None:
    """Give a tensor another type or shape that its bytes allow, so that it can be read."""
    tensors = [part for name, part in header if name != "__metadata__" and isinstance(part, Pairs)]
    entry = chance.choice(tensors) if tensors else Pairs()
    fields = dict(entry)
    offsets = fields.get("data_offsets")
    if not isinstance(offsets, list) or [type(part) for part in offsets] != [int, int]:
        return
    size = offsets[1] - offsets[0]
    types = {"U8": 1, "I8": 1, "BOOL": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4}
    types |= {"U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8, "F8_E5M2": 1, "F8_E4M3": 1}
    name = chance.choice([name for name, width in types.items() if size % width == 0] or ["U8"])
    count = size // types[name]
    first = chance.choice([n for n in range(1, 30) if count % n == 0] or [1])
    shapes = ([count], [first, count // first], [1, 1, count], [count, 1], [], [0, 2**62], [0])
    values = {"dtype": name, "shape": chance.choice(shapes), "data_offsets": offsets}
    entry[:] = Pairs((key, values[key]) for key in values)


def npy(chance: random.Random, whole: bytes) -> bytes:
    """NumPy's: a magic string, a version, a length, a header that is Python, and numbers."""
    end = 10 + int.from_bytes(whole[8:10], "little")
    header, data = whole[10:end].decode("latin-1").strip(), whole[end:]
    found = re.search(r"\(.*?\)", header), re.search(r"'descr': *([^,]*)", header)
    shape, descr = found[0][0] if found[0] else "{", found[1][1] if found[1] else "{"
    numbers = ", ".join(str(integer(chance, 3)) for _ in range(chance.randrange(5)))
    replaced = (
        (shape, f"({numbers},)"),
        (shape, chance.choice(("()", "(0, 4611686018427387904)", "(True, 3)", "8", "(8L, 3L)"))),
        (shape, "(" * 150 + ")" * 150),
        (descr, chance.choice(("'<f8'", "'>f4'", "'|O'", "'|V4'", "'<U99999999'", "'<M8[s]'"))),
        (descr, chance.choice(("'|S0'", "'<f2'", "'<i4'", "'|b1'", "[('a', '<f4')]", "'<c8'"))),
        (descr, chance.choice(("None", "{'a': 1}", "'\\0'", "('<f4', (2,))", "'<f4,<f4'", "[]"))),
        ("False", chance.choice(("True", "None", "2", "[]"))),
        ("'shape'", chance.choice(("'size'", "b'shape'", "1"))),
        ("{", chance.choice(("{'x': 1, ", "{{", "", "-" * 3000 + "{"))),
    )
    for _ in range(some(chance)):
        header = header.replace(*chance.choice(replaced), 1)
    text = header.encode("latin-1", "replace") + b" " * chance.choice((0, 3, 60)) + b"\n"
    said = len(text) if chance.random() < 0.9 else chance.randrange(2**16)
    version = whole[6:8] if chance.random() < 0.9 else bytes(chance.choices(range(4), k=2))
    size = struct.pack("<H" if version[:1] < b"\2" else "<I", said % 2**16)
    return whole[:6] + version + size + text + data


def archive(chance: random.Random, whole: bytes) -> bytes:
    """A zip archive, with the checksums of what its members have become."""
    with zipfile.ZipFile(io.BytesIO(whole)) as old:
        members = [(info.filename, old.read(info)) for info in old.infolist()]
    for _ in range(some(chance)):
        if not members:
            break
        place = chance.randrange(len(members))
        name, content = members[place]
        kind = chance.randrange(8)
        if kind == 0:
            del members[place]
        elif kind == 1:
            members[place] = (name + chance.choice(("x", "/", ".npy", "\\")), content)
        elif name.endswith(".npy") and content[:6] == b"\x93NUMPY":
            members[place] = (name, mutate("npy", chance, content))
        else:
            members[place] = (name, chance.choice((any_bytes, words))(chance, content))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", chance.choice((zipfile.ZIP_STORED, 8))) as new:
        for name, content in members:
            new.writestr(zipfile.ZipInfo(name), content)
    return any_bytes(chance, made.getvalue()) if chance.random() < 0.1 else made.getvalue()


def parquet(chance: random.Random, whole: bytes) -> bytes:
    """Parquet: pages of numbers, and a footer in Thrift's compact form."""
    length = int.from_bytes(whole[-8:-4], "little")
    body, footer = whole[4 : -8 - length], whole[-8 - length : -8]
    if chance.random() < 0.3:  # the header of the first page
        head, end = thrift.read(body, 0)
        thrift.change(head, chance, integer)
        body = thrift.write(head) + body[end:]
    else:
        tree, _ = thrift.read(footer, 0)
        for _ in range(some(chance)):
            thrift.change(tree, chance, integer)
        footer = thrift.write(tree)
    if chance.random() < 0.1:
        body = any_bytes(chance, body)
    said = len(footer) if chance.random() < 0.9 else integer(chance, len(footer)) % 2**32
    return b"PAR1" + body + footer + said.to_bytes(4, "little") + b"PAR1"


FORMS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "archive": archive,
    "bytes": any_bytes,
    "json": as_json,
    "lines": lines,
    "npy": npy,
    "parquet": parquet,
    "safetensors": safetensors,
    "sealed": sealed,
    "words": words,
}
