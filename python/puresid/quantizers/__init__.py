"""Quantizers: what trains codebooks."""

from puresid.quantizers.rqkmeans import RQKMeans

__all__ = ["RQKMeans"]
