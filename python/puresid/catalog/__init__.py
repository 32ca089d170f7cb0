"""A catalogue that lives: items come and go, and a published SID never moves."""

from puresid._formats import CorruptFileError
from puresid.catalog.aligning import Alignment, TokensKept, align, tokens_kept
from puresid.catalog.catalog import Catalog
from puresid.catalog.changes import Moves
from puresid.catalog.errors import CatalogError, IncompatibleError, PublishRaceError
from puresid.catalog.garbage import Collected
from puresid.catalog.keys import Keys
from puresid.catalog.loads import PrefixLoad, PrefixLoadWarning
from puresid.catalog.manifest import FileEntry, Manifest
from puresid.catalog.parameters import Parameters
from puresid.catalog.results import (
    Added,
    CatalogSummary,
    Diff,
    Duplicates,
    Items,
    Migrated,
    Removed,
    Updated,
)

__all__ = [
    "Added",
    "Alignment",
    "Catalog",
    "CatalogError",
    "CatalogSummary",
    "Collected",
    "CorruptFileError",
    "Diff",
    "Duplicates",
    "FileEntry",
    "IncompatibleError",
    "Items",
    "Keys",
    "Manifest",
    "Migrated",
    "Moves",
    "Parameters",
    "PrefixLoad",
    "PrefixLoadWarning",
    "PublishRaceError",
    "Removed",
    "TokensKept",
    "Updated",
    "align",
    "tokens_kept",
]
