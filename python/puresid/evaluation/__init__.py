"""Evaluating SIDs with language models that generate them."""
