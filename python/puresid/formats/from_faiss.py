"""faiss's quantizers and indexes as codebooks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from puresid._formats import CorruptFileError
from puresid.codebooks import Codebooks
from puresid.encoder import Encoder, Linear, Normalize
from puresid.formats.layers import Layers
from puresid.formats.tensors import Floats

__all__ = ["codebooks_of_faiss", "is_faiss", "read_faiss"]


def is_faiss(value: Any) -> bool:
    """Whether an object is faiss's. Imports nothing."""
    return type(value).__module__.split(".")[0] == "faiss"


def read_faiss(path: Any) -> Codebooks:
    """Read the codebooks of a faiss index file.

    Raises
    ------
    ValueError
        If its kind is not known.
    CorruptFileError
        If it is damaged. (A `ValueError` too.)
    ImportError
        If faiss is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise ImportError(f"{path} needs faiss to be read: pip install faiss-cpu") from error
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise CorruptFileError(f"{path} cannot be read as a faiss index: {error}") from error
    return codebooks_of_faiss(index, str(path))


def codebooks_of_faiss(index: Any, place: str = "the faiss object") -> Codebooks:
    """Take over a residual or product quantizer, or an index of one.

    Parameters
    ----------
    index : faiss.ResidualQuantizer, ProductQuantizer, IndexResidualQuantizer, IndexPQ, \
IndexPreTransform
        Trained. Transforms before it become the rotation, or where they are more than that (a
        shift, a normalisation) the encoder.
    place : str
        What errors call it.

    Returns
    -------
    Codebooks
        Residual or product.

    Raises
    ------
    ValueError
        If it is of another kind, is not trained, or has a transform that is not known.
    """
    import faiss

    if isinstance(index, faiss.Index):
        index = faiss.downcast_index(index)
        if not index.is_trained:
            raise ValueError(f"{place} is not trained")
    transforms: list[Any] = []
    if isinstance(index, faiss.IndexPreTransform):
        chain: Any = index.chain  # a C++ vector
        transforms = [faiss.downcast_VectorTransform(chain.at(i)) for i in range(chain.size())]
        index = faiss.downcast_index(index.index)
    space, levels = _levels(faiss, index, place)
    layers: Layers = []
    for transform in transforms:
        layers += _layers(faiss, transform, place)
    rotation = None
    if layers and isinstance(layers[-1], Linear) and _is_rotation(layers[-1]):
        rotation = layers.pop().weight  # type: ignore[union-attr]
    return Codebooks(
        levels, space=space, rotation=rotation, encoder=Encoder(layers) if layers else None
    )


def _levels(faiss: Any, index: Any, place: str) -> tuple[str, list[Floats]]:
    if isinstance(index, faiss.IndexResidualQuantizer):
        index = index.rq
    elif isinstance(index, faiss.IndexPQ):
        index = index.pq
    if isinstance(index, faiss.ResidualQuantizer):
        flat = faiss.vector_to_array(index.codebooks)
        if flat.size == 0:
            raise ValueError(f"{place} is not trained")
        rows = flat.reshape(-1, index.d)
        offsets = faiss.vector_to_array(index.codebook_offsets)
        return "residual", [rows[a:b] for a, b in pairwise(offsets)]
    if isinstance(index, faiss.ProductQuantizer):
        parts = faiss.vector_to_array(index.centroids).reshape(index.M, index.ksub, index.dsub)
        if not parts.any():
            raise ValueError(f"{place} is not trained")
        return "product", list(parts)
    raise ValueError(
        f"{place} is a {type(index).__name__}; a ResidualQuantizer, a ProductQuantizer, or an "
        "IndexResidualQuantizer or IndexPQ, also behind transforms, can be taken over"
    )


def _layers(faiss: Any, transform: Any, place: str) -> Layers:
    if isinstance(transform, faiss.LinearTransform):  # OPQ, PCA, ITQ's own parts, rotations
        shape = transform.d_out, transform.d_in
        weight = faiss.vector_to_array(transform.A).reshape(shape)
        bias = faiss.vector_to_array(transform.b) if transform.have_bias else None
        return [Linear(weight, bias)]
    if isinstance(transform, faiss.NormalizationTransform) and transform.norm == 2:
        # An encoder has to begin with a linear layer; times one changes no bit.
        return [Linear(np.eye(transform.d_in, dtype=np.float32)), Normalize()]
    raise ValueError(f"{place} begins with a {type(transform).__name__}, which is not known")


def _is_rotation(layer: Linear) -> bool:
    if layer.bias is not None or len(layer.weight) > layer.weight.shape[1]:
        return False
    weight = layer.weight.astype(np.float64)
    return bool(np.abs(weight @ weight.T - np.eye(len(weight))).max() < 1e-3)
