"""`load_codebooks`: the codebooks and the encoder of a model that another project trained."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from puresid.checks import integer
from puresid.codebooks import METRICS, Codebooks
from puresid.formats.from_faiss import codebooks_of_faiss, is_faiss, read_faiss
from puresid.formats.layouts import TENSOR_FORMATS, Options
from puresid.formats.tensors import TensorFile, file_in_folder, kind_of_file, read_tensors

__all__ = ["CODEBOOK_FORMATS", "load_codebooks"]

_BY_NAME = {known.name: known for known in TENSOR_FORMATS}

CODEBOOK_FORMATS = ("auto", "puresid", "faiss", *_BY_NAME)


def load_codebooks(
    path: Any,
    format: str = "auto",
    *,
    n_levels: int | None = None,
    normalize_residuals: bool | None = None,
    normalize_codebook: bool | None = None,
    metric: str | None = None,
    activation: str | None = None,
    encoder: bool = True,
) -> Codebooks:
    """Load the codebooks that another project trained, with its encoder where it has one.

    Parameters
    ----------
    path : str, path, mapping of str to tensor, or faiss object
        A torch checkpoint, ``.npz``, ``.safetensors`` or faiss index file; a folder that
        semantic-id saved; a ``state_dict``; a faiss quantizer or index.
    format : str
        ``"rqvae"`` (LC-Rec, LETTER, MiniOneRec and its "plus", MIMIGenRec, torch-rechub,
        semantic-id), ``"npz"`` (MiniOneRec, semantic-id), ``"purelysemanticids"``, ``"grid"``,
        ``"torcheasyrec"``, ``"rqvae-recommender"`` (also phonism/genrec), ``"rectokens"``,
        ``"vector-quantize-pytorch"``, ``"forge"``, ``"openonerec"``, ``"faiss"``, ``"puresid"``.
        ``"auto"`` goes by the names of the tensors.
    n_levels : int, optional
        For ``"purelysemanticids"``, whose one codebook serves all levels.
    normalize_residuals : bool, optional
        Whether each residual is scaled to length 1 before its level. By default as the file says,
        else False; ``"grid"`` without its ``hyper_parameters`` and ``"torcheasyrec"`` need it said.
    normalize_codebook : bool, optional
        For ``"rqvae-recommender"``: its ``codebook_normalize``. By default as the file says, else
        False.
    metric : {"euclidean", "cosine"}, optional
        By default Euclidean. Where all codewords have length 1 both choose the same tokens.
    activation : str, optional
        The encoder's, as `puresid.encoder.Activation` names it. By default the project's.
    encoder : bool
        Whether to take the encoder. Without it, `assign` expects vectors that are encoded already.

    Returns
    -------
    Codebooks

    Raises
    ------
    TypeError
        If `n_levels` is no integer, or what is true or false is given as something else.
    ValueError
        If the format is not known or not that of the file (naming its tensors), the file holds
        pickled objects, or an option is missing or means nothing for the format.
    CorruptFileError
        If the file is damaged. (A `ValueError` too.)
    ImportError
        If torch or faiss is needed and missing, or torch is too old to read files safely.
    OSError
        If the file cannot be opened.

    Notes
    -----
    Nothing in a file is run: pickles are read by torch's restricted unpickler alone.

    Examples
    --------
    >>> import numpy as np
    >>> load_codebooks({"centroids.0": np.eye(4), "centroids.1": np.eye(4) / 4})
    Codebooks(sizes=(4, 4), dim=4)
    """
    if format not in CODEBOOK_FORMATS:
        raise ValueError(
            f"format is {format!r}; it must be one of {', '.join(map(repr, CODEBOOK_FORMATS))}"
        )
    if metric is not None and metric not in METRICS:
        raise ValueError(f"metric is {metric!r}; it must be one of {METRICS}")
    for name, value in (
        ("normalize_residuals", normalize_residuals),
        ("normalize_codebook", normalize_codebook),
    ):
        if value is not None and not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name} is {value!r}; True, False or None is needed")
    if not isinstance(encoder, (bool, np.bool_)):
        raise TypeError(f"encoder is {encoder!r}; True or False is needed")
    options = Options(
        n_levels=None if n_levels is None else integer(n_levels, "n_levels", 1),
        normalize_residuals=normalize_residuals,
        normalize_codebook=normalize_codebook,
        metric=metric,
        activation=activation,
        encoder=bool(encoder),
    )
    if is_faiss(path):
        _no_options("faiss", options, format)
        return codebooks_of_faiss(path)
    if not isinstance(path, Mapping):
        path = Path(os.fspath(path))
        if path.is_dir():
            path = file_in_folder(path)
        own = _own_kind(path, format, options)
        if own is not None:
            return own
    file = read_tensors(path)
    known = _BY_NAME.get(format) or _recognise(file)
    for name in ("n_levels", "normalize_codebook", "activation", "encoder"):
        if getattr(options, name) != getattr(Options(), name) and name not in known.options:
            raise ValueError(f"{name} means nothing for the format {known.name!r}")
    return known.load(file, options)


def _own_kind(path: Path, format: str, options: Options) -> Codebooks | None:
    """Load what is no matter of tensor names: a faiss index, or a file of `Codebooks.save`."""
    kind = kind_of_file(path)
    if kind == "faiss" or format == "faiss":
        _no_options("faiss", options, format)
        return read_faiss(path)
    if kind == "safetensors" and (format == "puresid" or (format == "auto" and _is_own(path))):
        _no_options("puresid", options, format)
        return Codebooks.load(path)
    if format == "puresid":
        raise ValueError(f"{path} is no .safetensors file, as puresid writes them")
    return None


def _is_own(path: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
        kind = json.loads(metadata.get("description", "{}")).get("format")
        return isinstance(kind, str) and kind.startswith("puresid.")
    except (SafetensorError, AttributeError, ValueError, RecursionError):
        return False  # reading it will say what is wrong


def _recognise(file: TensorFile) -> Any:
    for known in TENSOR_FORMATS:
        if known.matches(file):
            return known
    raise ValueError(
        f"{file.place} is of no format that is known ({', '.join(_BY_NAME)}); {file.listing()}"
    )


def _no_options(found: str, options: Options, format: str) -> None:
    if format not in ("auto", found):
        raise ValueError(f"the format is {found!r}, not {format!r}")
    if options != Options():
        raise ValueError(f"options mean nothing for the format {found!r}, which says all itself")
