"""Quantizers: what trains codebooks."""

from puresid.quantizers.base import Quantizer
from puresid.quantizers.hierarchical import HierarchicalKMeans
from puresid.quantizers.product import ProductQuantizer
from puresid.quantizers.rqkmeans import RQKMeans

__all__ = ["HierarchicalKMeans", "ProductQuantizer", "Quantizer", "RQKMeans"]
