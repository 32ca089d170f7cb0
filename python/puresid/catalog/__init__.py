"""A catalogue that lives: keys, SIDs and vectors' digests on disk, in generations."""
