"""Judging SIDs without training a language model, and planning codebooks before training them."""

from puresid.judging.judge import evaluate_sids
from puresid.judging.planner import plan
from puresid.judging.plans import Plan, PlannedSetting
from puresid.judging.results import (
    Interval,
    LevelEvaluation,
    NeighbourAgreement,
    SidEvaluation,
)

__all__ = [
    "Interval",
    "LevelEvaluation",
    "NeighbourAgreement",
    "Plan",
    "PlannedSetting",
    "SidEvaluation",
    "evaluate_sids",
    "plan",
]
