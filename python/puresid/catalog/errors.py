"""What goes wrong with a catalogue. A damaged file is `puresid.files.CorruptFileError`."""

from __future__ import annotations


class CatalogError(ValueError):
    """A catalogue cannot do what was asked, or there is none."""


class IncompatibleError(CatalogError):
    """Codebooks or parameters are not those of the catalogue's epoch; the message has both hashes.

    The command line ends with exit code 4.
    """


class PublishRaceError(CatalogError):
    """Another writer was faster, or is at work; nothing of this generation is visible.

    The command line ends with exit code 6. Open the catalogue again and start from its newest
    generation.
    """
