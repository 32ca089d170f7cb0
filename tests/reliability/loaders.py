"""Everything that reads a file, with the form of the file: what `fuzz` and `memory` work on.

The kinds of `kinds.py`, and more: parts of catalogues, other projects' files, results, tables of
items. Reading goes as far as a user's first look at what was read.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .kinds import SIDS, Kind, digest, has_pyarrow, kinds

KEYS = [f"item-{number}-é" for number in range(len(SIDS))]
_FORMS = {".safetensors": "safetensors", ".npy": "npy", ".json": "json", ".parquet": "parquet"}


@dataclass(frozen=True)
class Loader:
    """A kind of file and its form.

    Parameters
    ----------
    kind : Kind
    form : str
        One of `mutations.FORMS`.
    errors : tuple of type
        What reading may raise beside a ValueError that names the file and an OSError.
    """

    kind: Kind
    form: str
    errors: tuple[type[BaseException], ...] = ()

    @property
    def name(self) -> str:
        return self.kind.name


def _loader(
    name: str,
    file: str,
    write: Callable[[Path], object],
    read: Callable[[Path], bytes],
    form: str = "safetensors",
) -> Loader:
    return Loader(Kind(name, file, write, read), form)


# ---- parts of catalogues


def _segment(path: Path, **options: bool) -> Any:
    from puresid.catalog._tensors import parse
    from puresid.catalog.segment import Segment

    tensors, _ = parse(np.fromfile(path, dtype=np.uint8), str(path))
    return Segment.from_tensors(tensors, where=str(path), **options)


def _write_segment(path: Path, keys: Any = KEYS, sids: Any = SIDS, slots: Any = None) -> None:
    from puresid.catalog._tensors import lay_out
    from puresid.catalog.keys import Keys
    from puresid.catalog.segment import Segment, vector_digests

    count = len(sids)
    vectors = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    stages = np.zeros(count, np.int8)
    digests = vector_digests(vectors)
    made = Segment.of(Keys.of(keys), sids, digests=digests, stages=stages, slots=slots)
    with open(path, "wb") as handle:
        handle.writelines(lay_out(made.to_tensors(), {"rows": count}).parts)


def _write_wide(path: Path) -> None:
    """More than 64 bits a SID, and two items to most."""
    sids = np.repeat(np.arange(12).reshape(4, 3) * 300_000_007 % 2**32, 2, axis=0)
    sids = sids.astype(np.uint32)
    _write_segment(path, np.arange(8) * 10**17, sids, np.arange(8, dtype=np.uint8) % 2)


def _look_up(segment: Any) -> bytes:
    """Ask for everything that a segment answers: of one that nobody has checked, too."""
    from puresid.catalog.keys import Keys

    known = Keys.of([*KEYS, ""]) if segment.keys.kind == "string" else Keys.of([0, 10**17, -1])
    width = segment.n_levels
    asked = np.concatenate([np.asarray(segment.sids[:9]), np.zeros((2, width), np.uint32)])
    return digest(
        len(segment),
        segment.rows_of(known, threads=1),
        *segment.rows_of_sids(asked, threads=1),
        segment.prefix([]),
        segment.prefix([0]),
        segment.repeated_sids(),
        segment.keys.tolist(),
    )


def _read_segment(path: Path) -> bytes:
    return _look_up(_segment(path))


def _read_unchecked(path: Path) -> bytes:
    return _look_up(_segment(path, check=False))


def _write_manifest(path: Path) -> None:
    from puresid.catalog.manifest import FileEntry, Manifest, epoch_hash, file_name

    sha = "0123456789abcdef" * 4
    first = {"rows": 3, "bytes": 100, "sha256": sha, "generation": 1}
    books = FileEntry(name=file_name("codebooks", sha), kind="codebooks", **first)
    items = FileEntry(name=file_name("items", sha), kind="items", **first)
    parameters = {"method": "ecm", "tiers": [[1, 1, 10], [5, 5, 20]], "capacity": 1}
    made = Manifest(
        generation=2,
        parent=sha,
        epoch=1,
        epoch_hash=epoch_hash(books, parameters),
        codebooks=books,
        parameters=parameters,
        files=(items, dataclasses.replace(items, generation=2)),
        counts={"items": 6, "stages": {"0": 3, "-1": 0}},
        prefix_load={"edges": [0.0, 0.5, 1.0], "counts": [1, 0]},
        config={"name": "Büro", "limit": None, "ratio": 0.1, "dry": False},
        version="0.1.0",
    )
    path.write_bytes(made.to_bytes())


def _read_manifest(path: Path) -> bytes:
    from puresid.catalog._sealed import read_sealed
    from puresid.catalog.manifest import Manifest

    made = Manifest.from_object(read_sealed(path), name=str(path))
    return digest(made.to_bytes(), made.sha256, made.entries)


def _write_catalog(path: Path) -> None:
    from puresid.catalog._sealed import seal

    path.write_bytes(seal({"format": "puresid.catalog", "format_version": 1, "id": "0f" * 16}))


def _read_catalog(path: Path) -> bytes:
    from puresid.catalog.store import Store

    return digest(Store.open(path.parent).identity)


# ---- other projects' files


def _write_imported(format: str, **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        from puresid.formats import export

        export(SIDS, path, format=format, **options)

    return write


def _read_imported(format: str) -> Callable[[Path], bytes]:
    def read(path: Path) -> bytes:
        from puresid.formats import import_sids

        items = import_sids(path, format=format)
        return digest(items.sids, list(items.keys), items.titles, items.sizes)

    return read


def _imported(format: str, file: str, form: str, **options: Any) -> Loader:
    write = _write_imported(format, **options)
    return Loader(Kind(f"SIDs of {format}", file, write, _read_imported(format)), form)


_LEVELS = [np.arange(12, dtype=np.float32).reshape(4, 3) / (1 + level) for level in range(2)]


def _write_npz(path: Path) -> None:
    np.savez(path, **{f"codebook_{level}": book for level, book in enumerate(_LEVELS)})


def _write_foreign(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({f"centroids.{level}": book for level, book in enumerate(_LEVELS)}, path)


def _write_torch(path: Path) -> None:
    import torch

    state = {f"centroids.{level}": torch.tensor(book) for level, book in enumerate(_LEVELS)}
    torch.save({"state_dict": state, "epoch": 3, "name": "x"}, path)


def _read_foreign(path: Path) -> bytes:
    from puresid.formats import load_codebooks

    return digest(*load_codebooks(path, metric="euclidean", normalize_residuals=False).levels)


def _read_npz(path: Path) -> bytes:
    from puresid.formats import load_codebooks

    return digest(*load_codebooks(path).levels)


# ---- results and tables


def _write_encoder(path: Path) -> None:
    from puresid import Codebooks
    from puresid.encoder import Activation, Encoder, LayerNorm, Linear, Normalize

    weight = np.arange(12, dtype=np.float32).reshape(3, 4)
    norm = LayerNorm(np.ones(3, np.float32), np.zeros(3, np.float32))
    layers = [Linear(weight, np.zeros(3)), Activation("gelu"), norm, Normalize()]
    Codebooks(_LEVELS, encoder=Encoder(layers)).save(path)


def _read_encoder(path: Path) -> bytes:
    from puresid import Codebooks

    books = Codebooks.load(path)
    if books.encoder is None:
        return digest(*books.levels)
    return digest(*books.levels, books.encoder(np.ones((2, books.encoder.input_dim))))


def _results(seed: int = 0) -> Any:
    from puresid.evaluation.results import Cell, Results

    queries = 12
    values = {"recall@10": np.linspace(0, 1, queries, dtype=np.float32)}
    cells = tuple(Cell(arm, seed, values, {"seconds": 1.5}) for arm in ("unique", "suffix"))
    splits = {"head": np.arange(queries) < 5}
    primary = {"metric": "recall@10", "arm": "unique", "against": "suffix"}
    header = {"name": "made up", "primary": primary}
    return Results(header, ("recall@10",), splits, np.arange(queries), cells)


def _write_results(path: Path) -> None:
    _results().save(path.parent)


def _read_results(path: Path) -> bytes:
    from puresid.evaluation.results import Results

    found = Results.load(path)
    cells = [(cell.arm, cell.seed, sorted(cell.facts)) for cell in found.cells]
    arrays = [values for cell in found.cells for values in cell.values.values()]
    return digest(found.metrics, found.header, cells, *arrays, *found.splits.values())


def _items(file: str, content: str, form: str) -> Loader:
    def read(path: Path) -> bytes:
        from puresid.report.items import read_items

        return digest(read_items(path, key=None, text=None))

    def write(path: Path) -> None:
        path.write_text(content, encoding="utf-8")

    return Loader(Kind(f"items {Path(file).suffix}", file, write, read), form)


def _record_lines(path: Path) -> bytes:
    from puresid.evaluation.loaders._reading import read_json_lines

    return digest(list(read_json_lines(path)))


def _write_lines(path: Path) -> None:
    path.write_text('{"_id": "1", "text": "a"}\n{"_id": "2", "text": "é"}\n', encoding="utf-8")


def _plain() -> list[Loader]:
    records = '[{"id": "a", "title": "x"}, {"id": "b", "title": "y"}]'
    return [
        _loader("codebooks, encoder", "c.safetensors", _write_encoder, _read_encoder),
        _loader("manifest", "00000002.json", _write_manifest, _read_manifest, "sealed"),
        _loader("catalog.json", "catalog.json", _write_catalog, _read_catalog, "sealed"),
        _loader("segment", "s.safetensors", _write_segment, _read_segment),
        _loader("segment, wide", "s.safetensors", _write_wide, _read_segment),
        Loader(
            Kind("segment, unchecked", "s.safetensors", _write_segment, _read_unchecked),
            "safetensors",
            (IndexError, UnicodeDecodeError),  # of what is wrong where it is looked at
        ),
        _loader("codebooks .npz", "c.npz", _write_npz, _read_npz, "archive"),
        _loader("codebooks, foreign", "f.safetensors", _write_foreign, _read_foreign),
        _imported("purelysemanticids", "noconflict-code-x.json", "json"),
        _imported("nvidia", "s.jsonl", "lines", keys=KEYS, titles=KEYS),
        _imported("xllm", "s.bin", "words"),
        _imported("static", "s.npy", "npy"),
        _imported("rpg", "s.json", "json", keys=KEYS),
        _imported("text", "s.txt", "lines"),
        _imported("minionerec", "s.tsv", "lines", titles=KEYS),
        _loader("results", "results.json", _write_results, _read_results, "json"),
        _items("i.json", records, "json"),
        _items("i.jsonl", '{"id": 1, "title": "x"}\n{"id": 2, "title": "y"}\n', "lines"),
        _items("i.csv", 'id,title\n1,"a, b"\n2,"c"\n', "lines"),
        _loader("records .jsonl", "r.jsonl", _write_lines, _record_lines, "lines"),
    ]


def loaders(*, parquet: bool | None = None, torch: bool | None = None) -> list[Loader]:
    """All of them; those that need pyarrow or torch where they are there, or as said."""
    parquet = has_pyarrow() if parquet is None else parquet
    torch = importlib.util.find_spec("torch") is not None if torch is None else torch
    found = []
    for kind in kinds(parquet=parquet):
        form = _FORMS.get(Path(kind.file).suffix, "words")
        found.append(Loader(kind, form))
    found += _plain()
    if parquet:
        found.append(_imported("torcheasyrec", "s.parquet", "parquet"))
    if torch:
        found.append(_loader("codebooks, torch", "f.pt", _write_torch, _read_foreign, "archive"))
    return found
