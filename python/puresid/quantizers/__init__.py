"""Quantizers: what trains codebooks."""

from puresid.quantizers.rqkmeans import RQKMeans
from puresid.quantizers.rqvae import RQVAE
from puresid.quantizers.rqvae_history import RQVAEEpoch

__all__ = ["RQVAE", "RQKMeans", "RQVAEEpoch"]
