"""What scikit-learn and faiss make of the same levels, sizes and iterations."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

import puresid
from bench.baselines import Unavailable
from bench.data import Floats


def _imported(name: str, package: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise Unavailable(f"{name} is not installed (pip install {package})") from None


def sklearn_chain(
    vectors: Floats, sizes: Sequence[int], n_iter: int, seed: int, threads: int
) -> puresid.Codebooks:
    """A `KMeans` for each level, on what the one before leaves.

    One start each; `tol=0`, so that a level stops only where no row changes its codeword, as ours.
    """
    cluster: Any = _imported("sklearn.cluster", "scikit-learn")
    threadpoolctl: Any = _imported("threadpoolctl", "threadpoolctl")
    rest, levels = vectors, []
    with threadpoolctl.threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few different rows, and of iterations that ran out
        for level, size in enumerate(sizes):
            model = cluster.KMeans(
                size, n_init=1, max_iter=n_iter, tol=0, random_state=seed + level
            ).fit(rest)
            levels.append(model.cluster_centers_.astype(np.float32))
            rest = rest - levels[-1][model.labels_]
    return puresid.Codebooks(levels)


def faiss_chain(
    vectors: Floats, sizes: Sequence[int], n_iter: int, seed: int, threads: int
) -> puresid.Codebooks:
    """A `faiss.Kmeans` for each level, on all rows, without its drawing of a sample."""
    faiss: Any = _imported("faiss", "faiss-cpu")
    faiss.omp_set_num_threads(threads)
    rest, levels = vectors, []
    for level, size in enumerate(sizes):
        model = faiss.Kmeans(
            vectors.shape[1],
            size,
            niter=n_iter,
            seed=1 + seed + level,
            min_points_per_centroid=1,
            max_points_per_centroid=len(vectors),
        )
        model.train(rest)
        levels.append(model.centroids.copy())
        _, tokens = model.index.search(rest, 1)
        rest = rest - levels[-1][tokens[:, 0]]
    return puresid.Codebooks(levels)


def faiss_opq(
    vectors: Floats, sizes: Sequence[int], n_iter: int, seed: int, threads: int
) -> puresid.Codebooks:
    """`OPQMatrix` as it comes, then `ProductQuantizer` on what it turned."""
    faiss: Any = _imported("faiss", "faiss-cpu")
    faiss.omp_set_num_threads(threads)
    dim, bits = vectors.shape[1], sizes[0].bit_length() - 1
    if set(sizes) != {1 << bits} or dim % len(sizes):
        raise Unavailable(f"faiss needs sizes that are one power of two; these are {sizes}")
    matrix = faiss.OPQMatrix(dim, len(sizes))
    matrix.train(vectors)
    turned = matrix.apply(vectors)
    quantiser = faiss.ProductQuantizer(dim, len(sizes), bits)
    quantiser.cp.niter = n_iter
    quantiser.cp.seed = 1 + seed
    quantiser.cp.min_points_per_centroid = 1
    quantiser.cp.max_points_per_centroid = len(vectors)
    quantiser.train(turned)
    codewords = faiss.vector_to_array(quantiser.centroids).reshape(len(sizes), sizes[0], -1)
    rotation = faiss.vector_to_array(matrix.A).reshape(dim, dim)
    return puresid.Codebooks(list(codewords), space="product", rotation=rotation)
