"""Manifests: what a generation is made of, in one JSON file that is written last.

A manifest holds no time and no host: the same input gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from puresid._formats import CorruptFileError
from puresid.catalog._sealed import check_fields, digest, plain, seal, unseal
from puresid.catalog.errors import CatalogError, IncompatibleError
from puresid.checks import integer

__all__ = ["KINDS", "MOST_GENERATIONS", "FileEntry", "Manifest", "epoch_hash"]

FORMAT = "puresid.manifest"
FORMAT_VERSION = 1
KINDS = ("codebooks", "items", "removals", "updates", "moves")
MOST_GENERATIONS = 99_999_999  # eight digits, in the names of the manifests
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A file of the folder ``files/``, which is never changed.

    Parameters
    ----------
    name : str
        ``<kind>-<first 20 digits of sha256>.safetensors``.
    kind : {"codebooks", "items", "removals", "updates", "moves"}
        ``"moves"`` holds the old and the new SIDs of a new epoch.
    rows : int
        What it holds: items, removals, …; for codebooks, codewords.
    bytes : int
        Its length.
    sha256 : str
        Of all its bytes, 64 hexadecimal digits.
    generation : int
        The generation that it came in.

    Raises
    ------
    TypeError, ValueError
        A field is of another type or out of range, or the name is not that of the other fields.
    """

    name: str
    kind: str
    rows: int
    bytes: int
    sha256: str
    generation: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"kind is {self.kind!r}; it must be one of {', '.join(map(repr, KINDS))}"
            )
        _set(self, "rows", _count(self.rows, "rows", 0))
        _set(self, "bytes", _count(self.bytes, "bytes", 8))
        _set(self, "generation", _generation(self.generation, "generation"))
        _check_hash(self.sha256, "sha256")
        expected = file_name(self.kind, self.sha256)
        if self.name != expected:
            raise ValueError(f"name is {self.name!r}; kind and sha256 make it {expected!r}")


def file_name(kind: str, sha256: str) -> str:
    """Return the name of a file of this kind and content."""
    return f"{kind}-{sha256[:20]}.safetensors"


def epoch_hash(codebooks: FileEntry, parameters: dict[str, Any]) -> str:
    """Return what tells one epoch from another: the SHA-256 of codebooks and parameters.

    Parameters
    ----------
    codebooks : FileEntry
    parameters : dict
        As in `Manifest`.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    TypeError, ValueError
        The parameters are not values of JSON.
    """
    return digest({"codebooks": codebooks.sha256, "parameters": _object(parameters, "parameters")})


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What one generation is made of.

    The dicts are copied; treat them as read-only. They hold values of JSON: tuples become lists.

    Parameters
    ----------
    generation : int
        From 1.
    parent : str or None
        `sha256` of the manifest before; None for generation 1.
    epoch : int
        From 1.
    epoch_hash : str
        What the function of this name gives.
    codebooks : FileEntry
    parameters : dict
        What decides SIDs beside the codebooks: method, tiers, capacity, … Fixed within an epoch.
    files : tuple of FileEntry
        Items, removals and updates, in the order in which they came.
    counts : dict
        Items, tombstones, stages, …
    prefix_load : dict
        Histogram of the load per prefix.
    config : dict
        What the job was called with.
    version : str
        Of puresid.

    Raises
    ------
    TypeError, ValueError
        A field is of another type or out of range, or fields contradict each other.
    """

    generation: int
    parent: str | None
    epoch: int
    epoch_hash: str
    codebooks: FileEntry
    parameters: dict[str, Any]
    files: tuple[FileEntry, ...]
    counts: dict[str, Any]
    prefix_load: dict[str, Any]
    config: dict[str, Any]
    version: str

    def __post_init__(self) -> None:
        _set(self, "generation", _generation(self.generation, "generation"))
        _set(self, "epoch", _generation(self.epoch, "epoch"))
        if self.epoch > self.generation:
            raise ValueError(f"epoch is {self.epoch} in generation {self.generation}")
        if (self.parent is None) != (self.generation == 1):
            raise ValueError(
                f"parent is {self.parent!r} in generation {self.generation}; "
                "generation 1 has none, the others have one"
            )
        if self.parent is not None:
            _check_hash(self.parent, "parent")
        for name in ("parameters", "counts", "prefix_load", "config"):
            _set(self, name, _object(getattr(self, name), name))
        if not isinstance(self.version, str) or not 0 < len(self.version) <= 100:
            raise ValueError(f"version is {self.version!r}; text of 1 to 100 characters is needed")
        plain(self.version, "version")
        self._check_files()
        _check_hash(self.epoch_hash, "epoch_hash")
        expected = epoch_hash(self.codebooks, self.parameters)
        if self.epoch_hash != expected:
            raise ValueError(
                f"epoch_hash is {self.epoch_hash}; codebooks and parameters make it {expected}"
            )

    def _check_files(self) -> None:
        if not isinstance(self.codebooks, FileEntry) or self.codebooks.kind != "codebooks":
            raise TypeError(f"codebooks is {self.codebooks!r}; an entry of this kind is needed")
        _set(self, "files", tuple(self.files))
        seen = {self.codebooks.name: self.codebooks}
        newest = 1
        for place, entry in enumerate(self.files):
            if not isinstance(entry, FileEntry) or entry.kind == "codebooks":
                raise TypeError(f"files[{place}] is {entry!r}; items, removals … are needed")
            if entry.generation < newest:
                raise ValueError(
                    f"files[{place}] came in generation {entry.generation}, after one of "
                    f"generation {newest}; files stand in the order in which they came"
                )
            newest = entry.generation
            # Equal content has one name: then it is one file, and may come more than once.
            known = seen.setdefault(entry.name, entry)
            if known is not entry and dataclasses.replace(known, generation=newest) != entry:
                raise ValueError(f"files[{place}] contradicts an earlier entry of {entry.name}")
        newest = max(newest, self.codebooks.generation)
        if newest > self.generation:
            raise ValueError(f"generation {self.generation} has a file of generation {newest}")

    @cached_property
    def sha256(self) -> str:
        """What the next generation calls its parent; also at the end of `to_bytes`."""
        return digest(self._content())

    @property
    def entries(self) -> tuple[FileEntry, ...]:
        """The codebooks, then `files`."""
        return (self.codebooks, *self.files)

    def _content(self) -> dict[str, Any]:
        shown = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        shown["codebooks"] = vars(self.codebooks)  # flat: `asdict` takes ten times as long
        shown["files"] = [vars(entry) for entry in self.files]
        return {"format": FORMAT, "format_version": FORMAT_VERSION} | shown

    def to_bytes(self) -> bytes:
        """Return the content of the manifest's file: JSON that ends with its own checksum.

        Raises
        ------
        CatalogError
            It would be larger than 16 MiB.
        """
        try:
            return seal(self._content())
        except ValueError as error:
            raise CatalogError(f"the manifest of generation {self.generation}: {error}") from None

    @classmethod
    def from_bytes(cls, data: bytes, *, name: str = "manifest") -> Manifest:
        """Read what `to_bytes` wrote; nothing else is accepted.

        Parameters
        ----------
        data : bytes
        name : str
            How errors call it.

        Returns
        -------
        Manifest

        Raises
        ------
        CorruptFileError
            It is larger than 16 MiB, cut short or damaged, has a field too many, too few, twice or
            of another type, or fields contradict each other. (A `ValueError` too.)
        CatalogError
            A newer puresid wrote it.
        """
        return cls.from_object(unseal(data, name), name=name)

    @classmethod
    def from_object(cls, value: dict[str, Any], *, name: str = "manifest") -> Manifest:
        """Make one of the object that `_sealed.unseal` gives. Raises as `from_bytes`."""
        check_format(value, FORMAT, FORMAT_VERSION, name)
        known = tuple(field.name for field in dataclasses.fields(cls))
        try:
            check_fields(value, ("format", "format_version", *known), "it")
            if not isinstance(value["files"], list):
                raise TypeError(f"files is of type {type(value['files']).__name__}, no list")
            manifest = cls(
                **{name: value[name] for name in known if name not in ("codebooks", "files")},
                codebooks=_entry(value["codebooks"], "codebooks"),
                files=tuple(_entry(e, f"files[{i}]") for i, e in enumerate(value["files"])),
            )
        except (TypeError, ValueError) as error:
            raise CorruptFileError(f"{name}: {error}") from error
        return manifest

    def check_follows(self, parent: Manifest | None) -> None:
        """Refuse a manifest that cannot be the next generation.

        Parameters
        ----------
        parent : Manifest or None
            The generation before; None where there is none.

        Raises
        ------
        IncompatibleError
            The epoch is the parent's, codebooks or parameters are not.
        CatalogError
            It names another parent, or generation or epoch do not follow.
        """
        before = 0 if parent is None else parent.generation
        if self.generation != before + 1:
            raise CatalogError(f"generation {self.generation} cannot follow generation {before}")
        if parent is None:
            return
        if self.parent != parent.sha256:
            raise CatalogError(
                f"generation {self.generation} has the parent {self.parent}; "
                f"generation {parent.generation} is {parent.sha256}"
            )
        if self.epoch not in (parent.epoch, parent.epoch + 1):
            raise CatalogError(f"epoch {self.epoch} cannot follow epoch {parent.epoch}")
        if self.epoch == parent.epoch and self.epoch_hash != parent.epoch_hash:
            raise IncompatibleError(
                f"codebooks or parameters have the hash {self.epoch_hash}; those of epoch "
                f"{parent.epoch} have {parent.epoch_hash}: others need a new epoch"
            )


def check_format(value: dict[str, Any], expected: str, version: int, name: str) -> None:
    """Refuse a sealed object of another kind, or of a version that is not known.

    Raises
    ------
    CorruptFileError
        It is of another kind.
    CatalogError
        A newer puresid wrote it.
    """
    if value.get("format") != expected:
        raise CorruptFileError(f"{name} has the format {value.get('format')!r}, not {expected!r}")
    found = value.get("format_version")
    if type(found) is not int or found < version:  # bool is not meant
        raise CorruptFileError(f"{name} has version {found!r} of its format")
    if found > version:
        raise CatalogError(
            f"{name} has version {found} of its format; this puresid reads up to {version}"
        )


def _entry(value: Any, place: str) -> FileEntry:
    if not isinstance(value, dict):
        raise TypeError(f"{place} is of type {type(value).__name__}, no object")
    check_fields(value, tuple(field.name for field in dataclasses.fields(FileEntry)), place)
    try:
        return FileEntry(**value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {error}") from error


def _set(instance: Any, name: str, value: Any) -> None:
    object.__setattr__(instance, name, value)  # the class is frozen for everyone else


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{name} is of type {type(value).__name__}; a dict is needed")
    copy: dict[str, Any] = plain(value, name, depth=1)
    return copy


def _count(value: Any, name: str, least: int) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{name} is {value}; an integer is needed")
    number = integer(value, name, least)
    if number >= 2**63:
        raise ValueError(f"{name} is {number}; less than 2**63 is needed")
    return number


def _generation(value: Any, name: str) -> int:
    number = _count(value, name, 1)
    if number > MOST_GENERATIONS:
        raise ValueError(f"{name} is {number}; the most is {MOST_GENERATIONS}")
    return number


def _check_hash(value: Any, name: str) -> None:
    if not isinstance(value, str) or _HASH.fullmatch(value) is None:
        raise ValueError(f"{name} is {value!r}; 64 hexadecimal digits, in lower case, are needed")
