"""`Parameters`: what decides the SIDs of an epoch, beside its codebooks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from puresid._assign_options import checked_tiers
from puresid.catalog.manifest import MOST_GENERATIONS
from puresid.checks import integer, one_of
from puresid.codebooks import Codebooks

__all__ = ["DUPLICATES", "METHODS", "MOST_SLOTS", "ORDERS", "Parameters"]

METHODS = ("ecm", "rrs")
DUPLICATES = ("unique", "share", "error")
ORDERS = ("rows", "keys")
MOST_SLOTS = 256


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What decides the SIDs of an epoch, beside its codebooks.

    Parameters
    ----------
    method : {"ecm", "rrs"}
        As for `assign`.
    tiers : sequence of sequence of int, optional
        As for `assign`; one integer per level, without the slots.
    max_distortion : float, optional
        As for `assign`.
    capacity : int
        How many items may have one SID, from 1 to 256. Beyond 1 each of them has a slot of it. Not
        for product or cosine codebooks.
    duplicates : {"unique", "share", "error"}
        What becomes of items whose vectors are the same. ``"unique"``: a SID each. ``"share"``: one
        SID for all of them, also for those added later. ``"error"``: they are refused.
    order : {"rows", "keys"}
        Who comes first where priorities do not say. ``"rows"``: the earlier row. ``"keys"``: by a
        fixed hash of the key, so that the order of a file does not matter.
    recycle_after : int, optional
        How many generations later a removed item's SID may be given out again: removed in
        generation g, it is free in g + recycle_after. Default: never in this epoch.

    Raises
    ------
    TypeError, ValueError
        A value is of another kind or out of range, or two do not go together.
    """

    method: str = "ecm"
    tiers: Sequence[Sequence[int]] | None = None
    max_distortion: float | None = None
    capacity: int = 1
    duplicates: str = "unique"
    order: str = "rows"
    recycle_after: int | None = None

    def __post_init__(self) -> None:
        one_of(self.method, "method", METHODS)
        one_of(self.duplicates, "duplicates", DUPLICATES)
        one_of(self.order, "order", ORDERS)
        capacity = integer(self.capacity, "capacity", 1)
        if capacity > MOST_SLOTS:
            raise ValueError(f"capacity is {capacity}; the most is {MOST_SLOTS}")
        object.__setattr__(self, "capacity", capacity)
        if self.recycle_after is not None:
            after = integer(self.recycle_after, "recycle_after", 1)
            if after > MOST_GENERATIONS:
                raise ValueError(f"recycle_after is {after}; the most is {MOST_GENERATIONS}")
            object.__setattr__(self, "recycle_after", after)
        if self.max_distortion is not None:
            object.__setattr__(self, "max_distortion", _limit(self.max_distortion))
        if self.tiers is not None:
            tiers = tuple(map(tuple, checked_tiers(self.tiers, 0)))
            object.__setattr__(self, "tiers", tiers)
        if self.capacity > 1 and self.duplicates == "share":
            raise ValueError(
                f"capacity is {self.capacity} and duplicates is 'share': items of one SID would be "
                "told apart by slots, and those that share could not be"
            )

    def for_codebooks(self, codebooks: Codebooks) -> Parameters:
        """Return them with the tiers written out, which `assign` cuts at the codebooks' sizes.

        Raises
        ------
        ValueError
            Tiers do not fit the codebooks, or a capacity beyond 1 does not.
        """
        tiers = checked_tiers(self.tiers, codebooks.n_levels)
        for number, tier in enumerate(tiers):
            if len(tier) != codebooks.n_levels:
                raise ValueError(
                    f"tiers[{number}] has {len(tier)} integers; "
                    f"the codebooks have {codebooks.n_levels} levels"
                )
        if self.capacity > 1:
            with_slots(codebooks, self.capacity)
        return dataclasses.replace(self, tiers=tiers)

    @property
    def n_stages(self) -> int:
        """Nearest, the tiers, completion: with tiers written out."""
        return len(self.tiers or ()) + 2

    @classmethod
    def checked(cls, value: Any) -> Parameters:
        """Return what was given; raise TypeError where it is something else."""
        if not isinstance(value, cls):
            raise TypeError(f"parameters is of type {type(value).__name__}; Parameters are needed")
        return value

    def to_dict(self) -> dict[str, Any]:
        """Return them as values of JSON, for a manifest."""
        values = dataclasses.asdict(self)
        if self.tiers is not None:
            values["tiers"] = [list(tier) for tier in self.tiers]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Parameters:
        """Read what `to_dict` gave.

        Raises
        ------
        TypeError, ValueError
            A name is missing or one too many, or as the class.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        wrong = sorted(names ^ values.keys())
        if wrong:
            raise ValueError(f"parameters: {wrong[0]!r} is missing or one too many")
        return cls(**values)


def with_slots(codebooks: Codebooks, capacity: int) -> Codebooks:
    """Return codebooks whose last token is the slot: `capacity` codewords that change nothing.

    Raises
    ------
    ValueError
        The codebooks cannot have such a level, or their SIDs need more than 64 bits then.
    """
    if capacity == 1:
        return codebooks
    if codebooks.space == "product" or codebooks.metric != "euclidean":
        kind = "product" if codebooks.space == "product" else codebooks.metric
        raise ValueError(f"capacity is {capacity}; {kind} codebooks have only one item per SID")
    last = codebooks.levels[-1]
    if codebooks.space == "tree":
        slots = np.repeat(last[..., None, :], capacity, axis=-2)
    else:
        slots = np.zeros((capacity, codebooks.dim), dtype=np.float32)
    return Codebooks(
        [*codebooks.levels, slots],
        space=codebooks.space,
        normalize_residuals=codebooks.normalize_residuals,
        rotation=codebooks.rotation,
        encoder=codebooks.encoder,
    )


def _limit(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"max_distortion is {value!r}; a number is needed")
    limit = float(value)
    if math.isnan(limit) or limit < 0 or math.isinf(limit):
        raise ValueError(f"max_distortion is {limit}; a finite number from 0 on is needed")
    return limit
