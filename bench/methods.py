"""Every way to SIDs that is compared: puresid's own and the baselines, under one interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import puresid
from bench.baselines import Unavailable, counter, faiss_encoder, last_token
from bench.data import Floats, Problem, Tokens


@dataclass(frozen=True)
class Answer:
    """What a run gave. The last two are what puresid reports; other methods report neither."""

    sids: Tokens
    stages: NDArray[np.int8] | None = None
    distortion: Floats | None = None


@dataclass(frozen=True)
class Prepared:
    """`run` is timed: from vectors to SIDs in the method's own form. `read` is not timed."""

    run: Callable[[], Any]
    read: Callable[[Any], Answer]


@dataclass(frozen=True)
class Method:
    """A row of the table."""

    name: str
    label: str
    prepare: Callable[[Problem], Prepared]
    against: str | None = None
    """puresid's method that does the same job; None for puresid's own."""
    unique: bool = False
    """Whether the method promises that every SID is unique; then the run fails where one is not."""


def _ours(
    method: Literal["nearest", "ecm", "rrs", "beam", "optimal", "suffix"],
) -> Callable[[Problem], Prepared]:
    def prepare(problem: Problem) -> Prepared:
        def run() -> puresid.Assignment:
            return puresid.assign(
                problem.vectors, problem.codebooks, method=method, threads=problem.threads
            )

        return Prepared(run, lambda found: Answer(found.sids, found.stages, found.distortion))

    return prepare


def _paper(
    port: Literal["published", "paper"], method: Literal["ecm", "rrs"]
) -> Callable[[Problem], Prepared]:
    def prepare(problem: Problem) -> Prepared:
        try:
            from bench.baselines import paper, published
        except ImportError:
            raise Unavailable("torch is not installed") from None
        vectors, books = paper.tensors(problem)
        unique_sids: Callable[..., Any] = (published if port == "published" else paper).unique_sids
        return Prepared(
            lambda: unique_sids(vectors, books, method), lambda sids: Answer(np.asarray(sids))
        )

    return prepare


def _counter(how: Literal["loop", "numpy"]) -> Callable[[Problem], Prepared]:
    def prepare(problem: Problem) -> Prepared:
        try:
            from bench.baselines import paper
        except ImportError:
            raise Unavailable("torch, which quantises for it, is not installed") from None
        vectors, books = paper.tensors(problem)

        def run() -> Any:
            nearest = paper.nearest_sids(vectors, books)
            if how == "loop":
                return counter.with_loop(nearest.tolist())
            return counter.with_numpy(nearest.numpy(), problem.codebooks.sizes)

        return Prepared(run, lambda sids: Answer(np.asarray(sids)))

    return prepare


def _last_token(how: Literal["first-fit", "draws"]) -> Callable[[Problem], Prepared]:
    def prepare(problem: Problem) -> Prepared:
        try:
            from bench.baselines import paper
        except ImportError:
            raise Unavailable("torch, which quantises for it, is not installed") from None
        vectors, books = paper.tensors(problem)
        tokens = last_token.probed if how == "first-fit" else last_token.drawn

        def run() -> Tokens:
            nearest = paper.nearest_sids(vectors, books).numpy()
            return last_token.replaced(nearest, problem.codebooks.sizes, tokens)

        return Prepared(run, Answer)

    return prepare


def _sinkhorn(problem: Problem) -> Prepared:
    try:
        from bench.baselines import paper, sinkhorn
    except ImportError:
        raise Unavailable("torch is not installed") from None
    vectors, books = paper.tensors(problem)
    return Prepared(
        lambda: sinkhorn.unique_sids(vectors, books), lambda sids: Answer(np.asarray(sids))
    )


def _faiss(problem: Problem) -> Prepared:
    run, sids = faiss_encoder.encoder(problem)
    return Prepared(run, lambda codes: Answer(sids(codes)))


METHODS = {
    method.name: method
    for method in (
        Method("nearest", "puresid nearest", _ours("nearest")),
        Method("ecm", "puresid ECM", _ours("ecm"), unique=True),
        Method("rrs", "puresid RRS", _ours("rrs"), unique=True),
        Method("beam", "puresid beam", _ours("beam"), unique=True),
        Method("optimal", "puresid optimal", _ours("optimal"), unique=True),
        Method("suffix", "puresid counter token", _ours("suffix"), unique=True),
        Method("faiss", "faiss nearest, beam 1", _faiss, against="nearest"),
        Method(
            "counter-loop",
            "counter token: torch, dict loop",
            _counter("loop"),
            against="suffix",
            unique=True,
        ),
        Method(
            "counter-numpy",
            "counter token: torch, numpy",
            _counter("numpy"),
            against="suffix",
            unique=True,
        ),
        Method(
            "first-fit",
            "last token: first free from a hash",
            _last_token("first-fit"),
            against="ecm",
        ),
        Method("draws", "last token: drawn by hash", _last_token("draws"), against="ecm"),
        Method("sinkhorn", "last token: Sinkhorn rounds", _sinkhorn, against="ecm"),
        Method(
            "paper-ecm",
            "paper's ECM: torch, as published",
            _paper("published", "ecm"),
            against="ecm",
        ),
        Method(
            "paper-rrs",
            "paper's RRS: torch, as published",
            _paper("published", "rrs"),
            against="rrs",
        ),
        Method(
            "lean-ecm", "paper's ECM: torch, streamlined", _paper("paper", "ecm"), against="ecm"
        ),
        Method(
            "lean-rrs", "paper's RRS: torch, streamlined", _paper("paper", "rrs"), against="rrs"
        ),
    )
}
