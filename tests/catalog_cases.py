"""A small catalogue, as files: what tests of manifests and of the store begin with."""

import numpy as np

from puresid.catalog.manifest import FileEntry, Manifest, epoch_hash, file_name

PARAMETERS = {"method": "ecm", "tiers": ((1, 1, 10), (5, 5, 20)), "capacity": 1, "L": 3}
SHA = "0123456789abcdef" * 4


def entry(kind="items", sha256=SHA, *, rows=3, size=100, generation=1):
    return FileEntry(
        name=file_name(kind, sha256),
        kind=kind,
        rows=rows,
        bytes=size,
        sha256=sha256,
        generation=generation,
    )


def manifest(codebooks=None, files=(), after=None, *, parameters=None, **changed):
    """Return a manifest that follows `after`, with some fields changed."""
    codebooks = entry("codebooks") if codebooks is None else codebooks
    parameters = PARAMETERS if parameters is None else parameters
    fields = {
        "generation": 1 if after is None else after.generation + 1,
        "parent": None if after is None else after.sha256,
        "epoch": 1 if after is None else after.epoch,
        "epoch_hash": epoch_hash(codebooks, parameters),
        "codebooks": codebooks,
        "parameters": parameters,
        "files": tuple(files),
        "counts": {"items": 3 * len(files), "stages": {"0": 3, "-1": 0}},
        "prefix_load": {"edges": [0.0, 0.5, 1.0], "counts": [1, 0]},
        "config": {"name": "Büro 書", "limit": None, "ratio": 0.1, "dry": False},
        "version": "0.1.0",
    }
    return Manifest(**fields | changed)


def items(first=0, rows=3):
    """Return the tensors of a segment, which differ with `first`."""
    return {
        "keys": np.arange(first, first + rows, dtype=np.int64),
        "sids": np.arange(first * 3, (first + rows) * 3, dtype=np.uint16).reshape(rows, 3),
    }


def codebooks():
    return {"codebook_0": np.eye(2, dtype=np.float32), "codebook_1": np.eye(2, dtype=np.float32)}


def first_generation(store):
    """Write and publish generation 1: codebooks and three items."""
    made = manifest(
        store.write_file("codebooks", codebooks(), rows=4, generation=1),
        [store.write_file("items", items(), rows=3, generation=1)],
    )
    store.publish(made, None)
    return made


def next_generation(store, parent, tensors, **changed):
    """Write a file of items and return the manifest that has it too, unpublished."""
    added = store.write_file("items", tensors, rows=3, generation=parent.generation + 1)
    return manifest(parent.codebooks, (*parent.files, added), parent, **changed)


def all_new(store, parent, number):
    """Write a file of items and return the manifest that has no others, unpublished."""
    added = store.write_file("items", items(number), rows=3, generation=parent.generation + 1)
    return manifest(parent.codebooks, [added], parent)
