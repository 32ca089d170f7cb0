"""Unique, purely semantic IDs for every item of a catalogue.

`assign` gives each item vector a semantic ID (SID), a short tuple of codebook tokens that no other
item has. `RQKMeans` trains codebooks; `Codebooks` keeps them.
"""

import os as _os

from puresid._core import CapacityError, __version__
from puresid.assignment import Assignment, AssignmentSummary, assign
from puresid.codebooks import Codebooks
from puresid.columns import ArrowVectors, ParquetVectors
from puresid.config import build_config
from puresid.encoder import Encoder
from puresid.quantizers import HierarchicalKMeans, ProductQuantizer, Quantizer, RQKMeans
from puresid.sources import Batches, VectorSource

__all__ = [
    "ArrowVectors",
    "Assignment",
    "AssignmentSummary",
    "Batches",
    "CapacityError",
    "Codebooks",
    "Encoder",
    "HierarchicalKMeans",
    "ParquetVectors",
    "ProductQuantizer",
    "Quantizer",
    "RQKMeans",
    "VectorSource",
    "__version__",
    "assign",
    "build_config",
]

if hasattr(_os, "register_at_fork"):
    # libgomp's idle threads do not survive a fork, and a child that counts on them would hang.
    from puresid._core import release_threads as _release_threads

    _os.register_at_fork(before=_release_threads)
