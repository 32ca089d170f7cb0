"""Unique, purely semantic IDs for every item of a catalogue.

`assign` gives each item vector a semantic ID (SID), a short tuple of codebook tokens that no other
item has. `RQKMeans` and `RQVAE` train codebooks; `Codebooks` keeps them. `Catalog` keeps the SIDs
of items that come and go.
"""

import os as _os

from puresid._core import CapacityError, __version__
from puresid.assignment import Assignment, AssignmentSummary, assign
from puresid.catalog import Catalog
from puresid.codebooks import Codebooks
from puresid.columns import ArrowVectors, ParquetVectors
from puresid.config import build_config
from puresid.encoder import Encoder
from puresid.formats import export, import_sids, load_codebooks, new_tokens, token_strings
from puresid.judging import (
    Interval,
    LevelEvaluation,
    NeighbourAgreement,
    Plan,
    PlannedSetting,
    SidEvaluation,
    evaluate_sids,
    plan,
)
from puresid.quantizers import RQVAE, HierarchicalKMeans, ProductQuantizer, Quantizer, RQKMeans
from puresid.report import report
from puresid.sources import Batches, VectorSource

__all__ = [
    "RQVAE",
    "ArrowVectors",
    "Assignment",
    "AssignmentSummary",
    "Batches",
    "CapacityError",
    "Catalog",
    "Codebooks",
    "Encoder",
    "HierarchicalKMeans",
    "Interval",
    "LevelEvaluation",
    "NeighbourAgreement",
    "ParquetVectors",
    "Plan",
    "PlannedSetting",
    "ProductQuantizer",
    "Quantizer",
    "RQKMeans",
    "SidEvaluation",
    "VectorSource",
    "__version__",
    "assign",
    "build_config",
    "evaluate_sids",
    "export",
    "import_sids",
    "load_codebooks",
    "new_tokens",
    "plan",
    "report",
    "token_strings",
]

if hasattr(_os, "register_at_fork"):
    # libgomp's idle threads do not survive a fork, and a child that counts on them would hang.
    from puresid._core import release_threads as _release_threads

    _os.register_at_fork(before=_release_threads)
