"""Files of some megabytes, and headers that announce far more than there is.

Only numbers that say how much follows are changed: shapes, offsets, lengths, counts of rows.
"""

from __future__ import annotations

import io
import pickletools
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import thrift
from .loaders import Loader
from .mutations import Pairs, parse, write

HUGE = (2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**36, 2**40, 2**47, 2**53, 2**62, 2**63 - 1)
ROWS = 1 << 17
_SIDS = np.arange(ROWS * 8, dtype=np.uint32).reshape(ROWS, 8) % 97
_VECTORS = np.arange(ROWS * 8, dtype=np.float32).reshape(ROWS, 8) % 1009
_LEVELS = [np.arange(512 * 1024, dtype=np.float32).reshape(512, 1024) % 1009 for _ in range(2)]

# ---- the files


def _codebooks(path: Path) -> None:
    from puresid import Codebooks

    Codebooks(_LEVELS).save(path)


def _trie(path: Path) -> None:
    from puresid.decoding import SidTrie

    sids = np.stack(np.divmod(np.arange(8 * ROWS, dtype=np.uint32), 4096), axis=1)
    SidTrie(sids, sizes=(4096, 4096)).save(path)


def _sids(path: Path) -> None:
    from puresid.files import write_sids

    write_sids(path, _SIDS)


def _vectors(path: Path) -> None:
    np.save(path, _VECTORS)


def _table(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    column = pa.FixedSizeListArray.from_arrays(pa.array(_VECTORS.reshape(-1)), 8)
    table = pa.table({"vector": column})
    if path.suffix == ".parquet":
        parquet.write_table(table, path, compression="none", use_dictionary=False)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)


def _segment(path: Path) -> None:
    from .loaders import _write_segment

    _write_segment(path, np.arange(ROWS), _SIDS)


def _npz(path: Path) -> None:
    np.savez(path, **{f"codebook_{level}": book for level, book in enumerate(_LEVELS)})


def _foreign(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({f"centroids.{level}": book for level, book in enumerate(_LEVELS)}, path)


def _torch(path: Path) -> None:
    import torch

    state = {f"centroids.{level}": torch.tensor(book) for level, book in enumerate(_LEVELS)}
    torch.save({"state_dict": state}, path)


def _static(path: Path) -> None:
    np.save(path, _SIDS.astype(np.int64))


LARGE: dict[str, Callable[[Path], Any]] = {
    "codebooks": _codebooks,
    "trie": _trie,
    "SIDs .npy": _sids,
    "SIDs .parquet": _sids,
    "vectors .npy": _vectors,
    "vectors .parquet": _table,
    "vectors .arrow": _table,
    "segment": _segment,
    "segment, unchecked": _segment,
    "codebooks .npz": _npz,
    "codebooks, foreign": _foreign,
    "codebooks, torch": _torch,
    "SIDs of static": _static,
}
"""By kind: what writes a large file. Kinds that are not here announce no sizes: JSON and text."""

# ---- what they announce


def announcing(loader: Loader, chance: random.Random, whole: bytes) -> bytes:
    """Return the file with one or two of its announcements huge."""
    form = "torch" if loader.name == "codebooks, torch" else loader.form
    return _FORMS[form](chance, whole)


def _safetensors(chance: random.Random, whole: bytes) -> bytes:
    length = int.from_bytes(whole[:8], "little")
    if chance.random() < 0.2:
        return chance.choice(HUGE).to_bytes(8, "little") + whole[8:]
    header = parse(whole[8 : 8 + length])
    entries = [part for name, part in header if name != "__metadata__"]
    fields = dict(chance.choice(entries))
    for name in chance.sample(("shape", "data_offsets"), chance.choice((1, 2))):
        numbers: list[int] = fields[name]
        numbers[chance.randrange(len(numbers))] = chance.choice(HUGE)
    if chance.random() < 0.3:  # the offsets that the shape announces
        size = int(np.prod([int(n) for n in fields["shape"]], dtype=object))
        fields["data_offsets"][1] = fields["data_offsets"][0] + size * 4
    text = write(Pairs(header)).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + whole[8 + length :]


def _npy(chance: random.Random, whole: bytes) -> bytes:
    end = 10 + int.from_bytes(whole[8:10], "little")
    if chance.random() < 0.1:  # version 2 has lengths of 4 bytes
        return whole[:6] + b"\2\0" + b"\xff\xff\xff\x7f" + whole[10:]
    numbers = [chance.choice((*HUGE, 1, 3)) for _ in range(chance.choice((1, 2, 2, 3)))]
    text = re.sub(r"\(\d[^)]*\)", f"({', '.join(map(str, numbers))},)", whole[10:end].decode())
    text = text.strip() + "\n"
    return whole[:8] + len(text).to_bytes(2, "little") + text.encode() + whole[end:]


def _archive(chance: random.Random, whole: bytes) -> bytes:
    if chance.random() < 0.2:  # what the archive's own directory announces
        data = bytearray(whole)
        place = data.rindex(b"PK\x01\x02") + chance.choice((20, 24))
        data[place : place + 4] = chance.choice((2**31, 2**32 - 1, 2**28)).to_bytes(4, "little")
        return bytes(data)
    return _member(chance, whole, ".npy", _npy)


def _torch_archive(chance: random.Random, whole: bytes) -> bytes:
    return _member(chance, whole, "data.pkl", _pickle)


def _member(
    chance: random.Random,
    whole: bytes,
    ending: str,
    change: Callable[[random.Random, bytes], bytes],
) -> bytes:
    with zipfile.ZipFile(io.BytesIO(whole)) as old:
        members = [(info.filename, old.read(info)) for info in old.infolist()]
    places = [place for place, (name, _) in enumerate(members) if name.endswith(ending)]
    place = chance.choice(places)
    members[place] = (members[place][0], change(chance, members[place][1]))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as new:
        for name, content in members:
            new.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


def _pickle(chance: random.Random, content: bytes) -> bytes:
    """Give one of the integers of a pickle another value."""
    steps = list(pickletools.genops(content))
    places = [i for i, (code, _, _) in enumerate(steps) if code.name.startswith("BININT")]
    at = chance.choice(places)
    begin, end = steps[at][2], steps[at + 1][2]
    huge = chance.choice(HUGE).to_bytes(8, "little", signed=True)
    return content[:begin] + b"\x8a\x08" + huge + content[end:]


def _parquet(chance: random.Random, whole: bytes) -> bytes:
    def huge(_: random.Random, near: int) -> int:
        return chance.choice(HUGE)

    length = int.from_bytes(whole[-8:-4], "little")
    body, footer = whole[4 : -8 - length], whole[-8 - length : -8]
    tree, _ = thrift.read(footer, 0)
    if chance.random() < 0.4:
        head, end = thrift.read(body, 0)
        thrift.change_integer(head, chance, huge)
        body = thrift.write(head) + body[end:]
    else:
        thrift.change_integer(tree, chance, huge)
    footer = thrift.write(tree)
    return b"PAR1" + body + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def _words(chance: random.Random, whole: bytes) -> bytes:
    """Of an Arrow file: a number in the metadata at its start or in the footer."""
    data = bytearray(whole)
    size = chance.choice((4, 8))
    near = chance.randrange(0, 1024, 4)
    place = near if chance.random() < 0.5 else max(0, len(data) - 1028 + near)
    data[place : place + size] = (chance.choice(HUGE) % 256**size).to_bytes(size, "little")
    return bytes(data)


_FORMS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "archive": _archive,
    "npy": _npy,
    "parquet": _parquet,
    "safetensors": _safetensors,
    "torch": _torch_archive,
    "words": _words,
}
