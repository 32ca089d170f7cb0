"""Loaders: files of the field as a `Task`. Each reads files only and never the network."""

from puresid.evaluation.loaders.interactions import load_interactions
from puresid.evaluation.loaders.minionerec import load_minionerec

__all__ = ["load_interactions", "load_minionerec"]
