"""Evaluating SIDs with language models that generate them.

A run is a config (`load_config`): a task, a quantizer, arms (ways of giving SIDs), a model, seeds.
`run` trains and answers, cell by cell, and gives `Results`; `analyse` makes intervals and tests of
them, `markdown` and `page` what people read. Needs the extra ``eval``, which is imported when it is
used.
"""

from puresid.evaluation.arms import ARMS, Arm, make_arm
from puresid.evaluation.config import ConfigError, RunConfig, load_config
from puresid.evaluation.loaders import (
    load_beir,
    load_esci,
    load_interactions,
    load_lmindexer,
    load_minionerec,
    load_recbole,
)
from puresid.evaluation.measures import METRICS, SidGroups, measure
from puresid.evaluation.page import page
from puresid.evaluation.results import Cell, Results
from puresid.evaluation.runner import run
from puresid.evaluation.splits import leave_last_out, split_masks
from puresid.evaluation.statistics import Analysis, Comparison, Mean, analyse, compare, means
from puresid.evaluation.tables import markdown
from puresid.evaluation.task import Catalogue, Queries, Task

__all__ = [
    "ARMS",
    "METRICS",
    "Analysis",
    "Arm",
    "Catalogue",
    "Cell",
    "Comparison",
    "ConfigError",
    "Mean",
    "Queries",
    "Results",
    "RunConfig",
    "SidGroups",
    "Task",
    "analyse",
    "compare",
    "leave_last_out",
    "load_beir",
    "load_config",
    "load_esci",
    "load_interactions",
    "load_lmindexer",
    "load_minionerec",
    "load_recbole",
    "make_arm",
    "markdown",
    "means",
    "measure",
    "page",
    "run",
    "split_masks",
]
