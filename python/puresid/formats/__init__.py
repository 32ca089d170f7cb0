"""Formats of other projects: codebooks in, SIDs out and back in, SIDs as text.

What each format takes along and leaves out is in ``docs/formats.md``.
"""

from puresid.formats.exporting import SID_FORMATS, export
from puresid.formats.importing import import_sids
from puresid.formats.loading import CODEBOOK_FORMATS, load_codebooks
from puresid.formats.rows import ItemSids
from puresid.formats.tokens import TEMPLATES, TokenTemplate, new_tokens, token_strings

__all__ = [
    "CODEBOOK_FORMATS",
    "SID_FORMATS",
    "TEMPLATES",
    "ItemSids",
    "TokenTemplate",
    "export",
    "import_sids",
    "load_codebooks",
    "new_tokens",
    "token_strings",
]
