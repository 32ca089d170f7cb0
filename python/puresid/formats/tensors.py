"""Tensors of a file or an object in memory, by name, without running anything that is in it.

A ``.pth`` is a pickle, and a pickle is a program. So only torch's restricted unpickler reads one,
``.npz`` files are read without pickles, and whatever else a file wants to build is refused.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import math
import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._formats import CorruptFileError
from puresid._torch import import_torch
from puresid.arrays import to_numpy

__all__ = ["TensorFile", "file_in_folder", "kind_of_file", "read_tensors", "read_torch"]

Floats = npt.NDArray[np.float32]

# Below this version a crafted file gets past weights_only (CVE-2025-32434, CVE-2026-24747).
SAFE_TORCH = (2, 10)

_MOST_DEFLATED = 1032  # bytes that a byte of a zip archive can stand for

_CONTAINERS = ("state_dict", "model_state_dict", "model")
_WRAPPERS = ("module.", "_orig_mod.")  # what DistributedDataParallel and torch.compile put in front


@dataclass(frozen=True)
class TensorFile:
    """Tensors by name.

    Attributes
    ----------
    place : str
        What errors call it.
    tensors : mapping of str to tensor or ndarray
    extras : mapping of str to object
        What else stood beside them: configurations, counters.
    """

    place: str
    tensors: Mapping[str, Any]
    extras: Mapping[str, Any] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __getitem__(self, name: str) -> Floats:
        """Return one as float32. Raises ValueError if it is missing or holds no real numbers."""
        if name not in self.tensors:
            raise ValueError(f"{self.place} has no tensor {name!r}; {self.listing()}")
        tensor = self.tensors[name]
        try:
            array = np.asarray(to_numpy(tensor))
        except (TypeError, RuntimeError) as error:
            raise ValueError(
                f"{self.place}: {name!r} is of {tensor.dtype} on {tensor.device}, laid out as "
                f"{tensor.layout}, which NumPy cannot take; dense float32 is needed"
            ) from error
        if array.dtype.kind not in "fiu":
            raise ValueError(
                f"{self.place}: {name!r} has dtype {array.dtype}; real numbers are needed"
            )
        # A copy: a state_dict shares its memory with a model that may be trained further.
        with np.errstate(over="ignore"):  # infinite then, which is refused with its place
            return np.array(array, dtype=np.float32, order="C")

    def get(self, name: str) -> Floats | None:
        """Return one as float32, or None."""
        return None if name not in self.tensors else self[name]

    def listing(self, most: int = 12) -> str:
        """Name some of the tensors, with their shapes."""
        names = sorted(self.tensors)
        shown = [f"{name} {tuple(np.shape(self.tensors[name]))}" for name in names[:most]]
        rest = f" and {len(names) - most} more" if len(names) > most else ""
        return f"its tensors: {', '.join(shown)}{rest}"


@contextlib.contextmanager
def _damage(said: str) -> Iterator[None]:
    """Turn whatever a reader raises over a damaged file into CorruptFileError.

    Readers of archives and pickles follow what the file says, so where it is damaged anything may
    come. What tells of the machine, or of a pickle that is refused, stays as it is.
    """
    try:
        yield
    except (ImportError, MemoryError, pickle.UnpicklingError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CorruptFileError(f"{said}: {reason}") from error


def kind_of_file(path: str | os.PathLike[str]) -> str:
    """Tell what a file is by how it begins.

    Returns
    -------
    {"torch", "npz", "safetensors", "faiss"}

    Raises
    ------
    ValueError
        If it is none of them.
    CorruptFileError
        If it is a zip archive that is cut short. (A `ValueError` too.)
    OSError
        If it cannot be opened.
    """
    with open(path, "rb") as handle:
        head = handle.read(16)
    if head.startswith(b"PK\x03\x04"):
        with _damage(f"{path} is cut short or damaged"), zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        return "npz" if all(name.endswith(".npy") for name in names) else "torch"
    if head.startswith(b"\x80"):
        return "torch"  # as torch.save wrote before version 1.6
    if head[8:9] == b"{":
        return "safetensors"
    if re.match(rb"I[A-Za-z0-9]{3}", head):
        return "faiss"
    raise ValueError(
        f"{path} is no file that codebooks are known to be in: a torch checkpoint, .npz, "
        ".safetensors or a faiss index"
    )


def read_tensors(source: Any) -> TensorFile:
    """Read tensors.

    Parameters
    ----------
    source : str, path, or mapping of str to tensor
        A torch checkpoint, ``.npz`` or ``.safetensors`` file, or what such a file holds, such as
        ``model.state_dict()``. Of a checkpoint the entry ``state_dict``, ``model_state_dict`` or
        ``model`` is taken where there is one; prefixes that DistributedDataParallel and
        ``torch.compile`` add are taken off.

    Returns
    -------
    TensorFile

    Raises
    ------
    ValueError
        If there are no tensors, or the file holds pickled objects besides them.
    CorruptFileError
        If the file is damaged. (A `ValueError` too.)
    ImportError
        If it takes torch, and torch is missing or too old to read a file safely.
    OSError
        If the file cannot be opened.
    """
    if isinstance(source, Mapping):
        return _unwrap(source, "the mapping")
    kind = kind_of_file(source)
    if kind == "npz":
        return _unwrap(_read_npz(source), str(source))
    if kind == "safetensors":
        return _unwrap(_read_safetensors(source), str(source))
    return _unwrap(read_torch(source), str(source))


def _read_npz(path: Any) -> dict[str, Any]:
    said = f"{path} cannot be read as .npz"
    with _damage(said), zipfile.ZipFile(path) as members:
        for member in members.infolist():
            _check_member(members, member, os.path.getsize(path))
    with _damage(said), np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> None:
    """Refuse an array that announces more than its file can hold, before memory is asked for."""
    from puresid.files import read_npy_header  # not when puresid is imported

    stored = member.compress_type == zipfile.ZIP_STORED
    most = member.compress_size * (1 if stored else _MOST_DEFLATED)
    if member.file_size > most or member.compress_size > size:
        raise ValueError(
            f"{member.filename} announces {member.file_size} bytes, from {member.compress_size}"
        )
    with archive.open(member) as handle:
        shape, _, dtype = read_npy_header(handle, member.filename)
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > member.file_size:
        raise ValueError(
            f"{member.filename} announces {shape} of {dtype}, in {member.file_size} bytes"
        )


def _read_safetensors(path: Any) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CorruptFileError(f"{path} cannot be read as safetensors: {error}") from error
    except (TypeError, AttributeError) as error:  # NumPy has no bfloat16 and no float8
        raise ValueError(
            f"{path} has a type of numbers that NumPy lacks; save it as float32"
        ) from error


def _import_torch(path: Any) -> Any:
    torch = import_torch(f"{path}")
    version = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if version < SAFE_TORCH:
        raise ImportError(
            f"{path} needs torch 2.10 or later to be read safely (CVE-2025-32434, CVE-2026-24747); "
            f"this is {torch.__version__}. Or save its state_dict as .safetensors"
        )
    return torch


def read_torch(path: Any) -> Any:
    """Load what `torch.save` wrote, by the restricted unpickler, onto the CPU.

    Raises
    ------
    ValueError
        If it holds pickled objects besides tensors and plain containers.
    CorruptFileError
        If it is damaged. (A `ValueError` too.)
    ImportError
        If torch is missing, or too old to be safe.
    """
    torch = _import_torch(path)
    said = f"{path} cannot be read as a torch checkpoint"
    try:
        # LC-Rec and its descendants put their command line into each checkpoint. Namespace only
        # keeps attributes: building one runs nothing, whatever the attributes are, and those are
        # held to the same list.
        with _damage(said), torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(_refusal(torch, path)) from error


def _refusal(torch: Any, path: Any) -> str:
    try:
        names = set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        found = ", ".join(sorted(names - {"argparse.Namespace"})) or "unknown ones"
    except Exception:  # a file of the older layout, or a damaged one
        found = "unknown ones"
    return (
        f"{path} holds pickled objects besides tensors ({found}); building them would run code "
        "from the file, so it is refused. If you trust it, save its tensors alone, where its "
        "project is installed: checkpoint = torch.load(path, weights_only=False); "
        'torch.save(checkpoint["state_dict"], new_path), or "model" where that is the entry'
    )


def _is_tensor(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (
        type(value).__module__.startswith("torch") and hasattr(value, "detach")
    )


def _unwrap(loaded: Any, place: str) -> TensorFile:
    if not isinstance(loaded, Mapping):
        raise ValueError(f"{place} holds a {type(loaded).__name__}; tensors by name are needed")
    for name in _CONTAINERS:
        inner = loaded.get(name)
        if isinstance(inner, Mapping) and any(map(_is_tensor, inner.values())):
            extras = {str(key): value for key, value in loaded.items() if key != name}
            return TensorFile(place, _without_wrappers(inner), extras)
    tensors = {str(key): value for key, value in loaded.items() if _is_tensor(value)}
    if not tensors:
        keys = ", ".join(map(str, loaded)) or "none"
        raise ValueError(f"{place} has no tensors at its top, and none below; its keys: {keys}")
    extras = {str(key): value for key, value in loaded.items() if not _is_tensor(value)}
    return TensorFile(place, _without_wrappers(tensors), extras)


def _without_wrappers(tensors: Mapping[Any, Any]) -> dict[str, Any]:
    named = {str(name): tensor for name, tensor in tensors.items() if _is_tensor(tensor)}
    wrapper = next((w for w in _WRAPPERS if all(name.startswith(w) for name in named)), None)
    while wrapper is not None:
        named = {name.removeprefix(wrapper): tensor for name, tensor in named.items()}
        wrapper = next((w for w in _WRAPPERS if all(name.startswith(w) for name in named)), None)
    return named


def file_in_folder(folder: Path) -> Path:
    """Find the file of a folder that the package semantic-id saved.

    Raises
    ------
    ValueError
        If the folder is another's.
    """
    if (folder / ".metadata").exists():
        raise ValueError(
            f"{folder} is a distributed checkpoint of torch, whose index is a pickle; if you trust "
            "it, turn it into one file: python -m torch.distributed.checkpoint.format_utils "
            f"dcp_to_torch {folder} model.pth"
        )
    try:
        kind = json.loads((folder / "metadata.json").read_text(encoding="utf-8")).get("type")
    except (OSError, ValueError, AttributeError, RecursionError):
        kind = None
    name = {"RQVAE": "model.pt", "RQKMeans": "codebooks.npz"}.get(str(kind))
    if name is None:
        raise ValueError(
            f"{folder} is a folder without a metadata.json of semantic-id that says RQVAE or "
            "RQKMeans; name the file in it that holds the tensors"
        )
    return folder / name
