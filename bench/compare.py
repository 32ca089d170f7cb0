"""Runs the methods of a case in one process, interleaved, and checks what they answer.

One round times every method once, so whatever slows the machine for a while slows them all; five
rounds make a median and a spread. Ratios are between medians of the same run. Before the rounds
each method runs once untimed, and it is this answer that is checked.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from bench.baselines import Unavailable
from bench.cases import Case
from bench.data import Problem, Tokens, load
from bench.machine import Others
from bench.methods import METHODS, Answer, Prepared
from bench.results import CaseReport, Row, Skipped, Timing

SHORTEST = 0.1
"""Seconds that a timed run lasts at least: a quicker method is called several times in a run."""

REST = 0.05
"""Seconds between runs: the threads of the method before still spin for some milliseconds."""

Log = Callable[[str], None]


def seconds_of(function: Callable[[], Any], calls: int = 1) -> float:
    """Seconds a call, over `calls` calls."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def matmul_rate(repeats: int = 3) -> float:
    """Multiply-adds a second of numpy's float32 matrix product, the best of `repeats`."""
    rng = np.random.default_rng(0)
    left = rng.standard_normal((4096, 768), dtype=np.float32)
    right = rng.standard_normal((768, 768), dtype=np.float32)
    seconds = min(seconds_of(lambda: left @ right) for _ in range(repeats))
    return left.size * len(right.T) / seconds


def multiply_adds(case: Case) -> int:
    """What nearest quantisation cannot do without: every item against every codeword."""
    return case.items * case.dim * sum(case.sizes)


def distinct(sids: Tokens) -> int:
    """How many different SIDs there are."""
    return len(np.unique(sids, axis=0))


def mean_distortion(problem: Problem, sids: Tokens) -> float:
    """Mean ‖x - Σ c‖², from the codewords themselves; columns after the last level are ignored."""
    total = 0.0
    for start in range(0, len(sids), 16_384):
        rows = slice(start, start + 16_384)
        residual = problem.vectors[rows].astype(np.float64)
        for level, book in enumerate(problem.codebooks.levels):
            residual -= book[sids[rows, level]]
        total += float(np.square(residual).sum())
    return total / len(sids)


def faults(problem: Problem, name: str, answer: Answer) -> list[str]:
    """What is wrong with an answer; a run with faults is not to be quoted."""
    case, method, sids = problem.case, METHODS[name], answer.sids
    found = []
    if len(sids) != case.items:
        found.append(f"{len(sids)} SIDs for {case.items} items")
    tokens = sids[:, : len(case.sizes)]
    if (tokens < 0).any() or (tokens >= np.asarray(case.sizes)).any():
        found.append("a token is out of range")
    if method.unique and distinct(sids) != len(sids):
        found.append(f"{len(sids) - distinct(sids)} SIDs are not unique")
    if answer.distortion is not None:
        reported = float(np.mean(answer.distortion, dtype=np.float64))
        measured = mean_distortion(problem, sids)
        if not math.isclose(reported, measured, rel_tol=1e-4, abs_tol=1e-9):
            found.append(f"reports a mean distortion of {reported}, its SIDs have {measured}")
    return [f"{case.name}, {method.label}: {fault}" for fault in found]


def equal_share(sids: Tokens, others: Tokens) -> float:
    """Share of the items that have the same SID in both."""
    return float(np.mean((np.asarray(sids) == np.asarray(others)).all(axis=1)))


def prepare(problem: Problem) -> tuple[dict[str, Prepared], list[Skipped]]:
    """The case's methods that can be run here; for the others, why not."""
    prepared, skipped = {}, []
    for name in problem.case.methods:
        try:
            prepared[name] = METHODS[name].prepare(problem)
        except Unavailable as reason:
            skipped.append(Skipped(name, METHODS[name].label, str(reason)))
    return prepared, skipped


def timed(
    prepared: dict[str, Prepared], calls: dict[str, int], rounds: int, log: Log
) -> tuple[dict[str, Timing], float]:
    """Timings of every method, and the best rate of the matrix product between them."""
    runs: dict[str, list[float]] = {name: [] for name in prepared}
    rates = []
    for number in range(rounds):
        log(f"round {number + 1} of {rounds}")
        rates.append(matmul_rate())
        for name, entry in prepared.items():
            gc.collect()
            time.sleep(REST)
            runs[name].append(seconds_of(entry.run, calls[name]))
    timings = {
        name: Timing(median(found), min(found), max(found), tuple(found), calls[name])
        for name, found in runs.items()
    }
    return timings, max(rates)


def row(problem: Problem, name: str, answers: dict[str, Answer], timings: dict[str, Timing]) -> Row:
    """One method's line: its time, its answer, and both beside puresid's."""
    method, answer = METHODS[name], answers[name]
    stages = answer.stages
    counts = () if stages is None else zip(*np.unique(stages, return_counts=True), strict=True)
    distortion = mean_distortion(problem, answer.sids)
    against = method.against if method.against in answers else None
    return Row(
        method=name,
        label=method.label,
        timing=timings[name],
        unique=distinct(answer.sids),
        duplicates=len(answer.sids) - distinct(answer.sids),
        stages={int(stage): int(count) for stage, count in counts},
        distortion=distortion,
        distortion_ratio=distortion / mean_distortion(problem, answers["nearest"].sids),
        against=against,
        times_ours=timings[name].median / timings[against].median if against else None,
        equal_sids=equal_share(answer.sids, answers[against].sids) if against else None,
    )


def run_case(case: Case, *, threads: int, rounds: int, log: Log) -> CaseReport:
    """Everything about one case."""
    log("making the catalogue and its codebooks")
    problem = load(case, threads)
    prepared, skipped = prepare(problem)
    answers, calls, failures = {}, {}, []
    for name, entry in prepared.items():
        log(f"checking the answer of {METHODS[name].label}")
        start = time.perf_counter()
        raw = entry.run()
        calls[name] = max(1, math.ceil(SHORTEST / (time.perf_counter() - start)))
        answers[name] = entry.read(raw)
        failures += faults(problem, name, answers[name])
    others = Others()
    timings, rate = timed(prepared, calls, rounds, log)
    elsewhere = others.share()
    for name, entry in prepared.items():
        # puresid promises the same bytes each time; the loops over seconds are not run again.
        if METHODS[name].against is None and not np.array_equal(
            entry.read(entry.run()).sids, answers[name].sids
        ):
            failures.append(f"{case.name}, {METHODS[name].label}: another answer when run again")
    return CaseReport(
        case=case,
        conflicts=1 - distinct(answers["nearest"].sids) / case.items,
        multiply_adds=multiply_adds(case),
        multiply_adds_per_second=rate,
        floor=multiply_adds(case) / rate,
        others=elsewhere,
        rows=tuple(row(problem, name, answers, timings) for name in prepared),
        skipped=tuple(skipped),
        failures=tuple(failures),
    )
