"""Evaluation of SIDs with language models that generate them."""
