"""Quantizers: what trains codebooks."""

from puresid.quantizers.base import Quantizer
from puresid.quantizers.hierarchical import HierarchicalKMeans
from puresid.quantizers.product import ProductQuantizer
from puresid.quantizers.rqkmeans import RQKMeans
from puresid.quantizers.rqvae import RQVAE
from puresid.quantizers.rqvae_history import RQVAEEpoch

__all__ = [
    "RQVAE",
    "HierarchicalKMeans",
    "ProductQuantizer",
    "Quantizer",
    "RQKMeans",
    "RQVAEEpoch",
]
