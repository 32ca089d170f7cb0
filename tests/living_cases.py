"""Small catalogues that live: what tests of `Catalog` begin with."""

import dataclasses
import os
from pathlib import Path

import numpy as np

from puresid import Catalog, Codebooks
from puresid.catalog.digests import vector_digests
from puresid.catalog.keys import Keys
from puresid.catalog.loading import Loader
from puresid.catalog.publishing import publish, write_rows
from puresid.catalog.segment import Segment
from puresid.encoder import Encoder, Linear

SIZES = (4, 5, 6)
DIM = 3


def levels(seed=0, sizes=SIZES, dim=DIM):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((size, dim)).astype(np.float32) for size in sizes]


def books(seed=0, sizes=SIZES, dim=DIM, **options):
    return Codebooks(levels(seed, sizes, dim), **options)


def tree(seed=0, sizes=SIZES, dim=DIM):
    rng = np.random.default_rng(seed)
    shapes = [(*sizes[: level + 1], dim) for level in range(len(sizes))]
    return Codebooks([rng.standard_normal(shape) for shape in shapes], space="tree")


def rotation():
    return np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]


def unit(seed=0):
    found = [np.asarray(level) for level in books(seed).levels]
    return [level / np.linalg.norm(level, axis=1, keepdims=True) for level in found]


def product():
    rng = np.random.default_rng(2)
    return Codebooks([rng.standard_normal((5, 2)), rng.standard_normal((20, 1))], space="product")


SPACES = {
    "residual": books,
    "tree": tree,
    "product": product,
    "cosine": lambda: Codebooks(unit(), metric="cosine"),
    "normalized": lambda: books(normalize_residuals=True),
    "rotation": lambda: books(rotation=rotation()),
    "encoder": lambda: books(encoder=Encoder([Linear(np.ones((3, 3)) + np.eye(3))])),
}


def vectors(count, seed=1, dim=DIM, spread=1.0):
    """Return vectors; a small spread makes conflicts."""
    return (spread * np.random.default_rng(seed).standard_normal((count, dim))).astype(np.float32)


def names(count, first=0):
    return [f"item {number}" for number in range(first, first + count)]


def made(tmp_path, codebooks=None, **options) -> Catalog:
    """Return a catalogue without items, in a folder of its own."""
    folder = tmp_path / f"catalogue {len(os.listdir(tmp_path))}"
    return Catalog.create(folder, books() if codebooks is None else codebooks, **options)


def state_of(catalog: Catalog):
    """What a model of a catalogue is compared with: key to SID, and slot where there is one."""
    items = catalog.items()
    sids = map(tuple, items.sids.tolist())
    if items.slots is None:
        return dict(zip(items.keys.tolist(), sids, strict=True))
    with_slots = zip(sids, items.slots.tolist(), strict=True)
    return dict(zip(items.keys.tolist(), with_slots, strict=True))


def contents(catalog: Catalog) -> dict[str, bytes]:
    """Return all files of a catalogue but the one that says which it is, and the lock."""
    folder = Path(catalog.folder)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("catalog.json", "lock")
    }


def segment(keys, sids, *, slots=None, stages=0, seed=9):
    """Return a segment of whatever is said, sound or not."""
    count = len(keys)
    return Segment.of(
        Keys.of(keys),
        np.array(sids, dtype=np.uint16).reshape(count, -1),
        digests=vector_digests(vectors(count, seed)),
        stages=np.full(count, stages, dtype=np.int8),
        slots=None if slots is None else np.array(slots, dtype=np.uint8),
    )


def published(catalog: Catalog, *contents, **changed) -> Catalog:
    """Publish segments, removals or updates as they are, sealed as the library does it.

    The names of `changed` are fields of the manifest, which get other values.
    """
    loader = Loader(catalog._loader.store, True, {})
    parent = catalog.manifest
    new = tuple(write_rows(loader, content, parent.generation + 1) for content in contents)
    store = loader.store
    publish_as = store.publish
    if changed:

        def publish_changed(manifest, before):
            publish_as(dataclasses.replace(manifest, **changed), before)

        store.publish = publish_changed
    try:
        publish(
            loader,
            parent,
            codebooks=parent.codebooks,
            parameters=catalog.parameters,
            files=(*parent.files, *new),
            epoch=parent.epoch,
            config={},
        )
    finally:
        if changed:
            del store.publish
    return Catalog.open(catalog.folder)
