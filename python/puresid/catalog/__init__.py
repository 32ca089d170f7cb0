"""Catalogues: which item has which SID, kept for years."""
