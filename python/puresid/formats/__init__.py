"""Formats of other projects: codebooks in, SIDs out."""

from puresid.formats.loading import CODEBOOK_FORMATS, load_codebooks

__all__ = ["CODEBOOK_FORMATS", "load_codebooks"]
