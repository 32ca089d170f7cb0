"""What one would use without puresid, written from descriptions; each module says of what.

A baseline has a function that is given the problem and returns what is timed. Whatever can be done
once for all catalogues (wrapping arrays, loading codebooks) is done before, outside the time.
"""


class Unavailable(Exception):
    """The baseline cannot be run here or on this case; the message says why."""
