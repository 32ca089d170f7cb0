"""Cells of a run: one arm with one seed each, a model trained and asked."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from puresid._torch import torch_threads
from puresid.decoding import SidTrie
from puresid.evaluation.arms import Arm
from puresid.evaluation.config import RunConfig
from puresid.evaluation.encoding import encode
from puresid.evaluation.generation import Answers, Generator
from puresid.evaluation.measures import METRICS, SidGroups, measure
from puresid.evaluation.models import add_lora, build, resize
from puresid.evaluation.results import Cell, Results
from puresid.evaluation.setup import Setup
from puresid.evaluation.task import Task
from puresid.evaluation.tokenizer import tokenizer_for
from puresid.evaluation.training import Trained, train


def cell_folder(folder: Path, arm: str, seed: int) -> Path:
    """Return where a cell is kept."""
    return folder / "cells" / f"{arm}-{seed}"


@dataclass(frozen=True)
class Job:
    """What a process needs to run cells: all of it can be pickled."""

    config: RunConfig
    folder: Path
    header: dict[str, Any]
    threads: int
    device: str
    progress: bool


def one_by_one(job: Job, setup: Setup, todo: Sequence[tuple[str, int]]) -> Iterator[Cell]:
    """Run cells in this process."""
    for arm, seed in todo:
        yield run_cell(job, setup, arm, seed)


def side_by_side(
    job: Job, setup: Setup, todo: Sequence[tuple[str, int]], jobs: int
) -> Iterator[Cell]:
    """Run cells in processes of their own, so many at a time; any failure ends them all."""
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    waiting = list(todo)
    running: dict[Any, tuple[Any, str, int, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                arm, seed = waiting.pop(0)
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_in_process, args=(theirs, job, setup, arm, seed))
                process.start()
                theirs.close()
                running[process.sentinel] = (process, arm, seed, ours)
            for ended in multiprocessing.connection.wait(list(running)):
                process, arm, seed, said = running.pop(ended)
                process.join()
                with suppress(EOFError):  # it had nothing to say
                    raise said.recv()
                if process.exitcode:
                    raise RuntimeError(
                        f"the process of {arm} seed {seed} ended with exit status "
                        f"{process.exitcode}"
                    )
                yield Results.load(cell_folder(job.folder, arm, seed)).cells[0]
    finally:
        for process, *_ in running.values():
            process.terminate()
        for process, *_ in running.values():
            process.join()


def _in_process(said: Any, job: Job, setup: Setup, arm: str, seed: int) -> None:
    """Run a cell and, if it fails, say how."""
    try:
        run_cell(job, setup, arm, seed)
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # the process that waits for this one says it
    except Exception as error:
        said.send(error)


def run_cell(job: Job, setup: Setup, arm_name: str, seed: int) -> Cell:
    """Train a model on the SIDs of an arm, answer the test queries and keep what came of it."""
    config, task, arm = job.config, setup.task, setup.arms[arm_name]
    work = job.folder / "checkpoints" / f"{arm_name}-{seed}"
    with torch_threads(job.threads):
        tokenizer = make_tokenizer(config, task)
        encoding = encode(
            arm,
            tokenizer,
            encoder_decoder=config.model.kind in ("t5", "seq2seq"),
            source=config.task.source,
            max_history=config.task.max_history,
            max_tokens=config.training.max_tokens,
        )
        model, encoder_decoder = build(config.model, tokenizer, seed=seed)
        resize(model, tokenizer, seed=seed)
        parameters = sum(each.numel() for each in model.parameters())
        if config.model.lora_rank:
            new = np.concatenate(encoding.vocabulary.ids)
            model = add_lora(model, config.model.lora_rank, new_tokens=new, seed=seed)
        pairs = encoding.pairs(
            task,
            text_task=config.task.text_task,
            subsequences=config.training.subsequences,
            seed=seed,
        )
        pad = tokenizer.pad_token_id
        trained = train(
            model,
            pairs,
            config.training,
            encoder_decoder=encoder_decoder,
            pad_token_id=pad,
            seed=seed,
            folder=work,
            device=job.device,
            progress=job.progress,
        )
        trie, groups = behind(arm)
        answers = Generator(
            model,
            trie,
            encoding.vocabulary,
            config.decoding,
            encoder_decoder=encoder_decoder,
            pad_token_id=pad,
        ).answer(encoding.sources(task, task.test), progress=job.progress)
    values = measure(task.test, answers.ranked, groups, metrics=METRICS, seed=seed)
    facts = _facts(
        trained, answers, examples=len(pairs), parameters=parameters, threads=job.threads
    )
    narrow = {name: figures.astype(np.float32) for name, figures in values.items()}
    cell = Cell(arm_name, seed, narrow, facts)
    results_of(job.header, setup, [cell]).save(cell_folder(job.folder, arm_name, seed))
    shutil.rmtree(work, ignore_errors=True)
    return cell


def _facts(
    trained: Trained, answers: Answers, *, examples: int, parameters: int, threads: int
) -> dict[str, Any]:
    """Return what training and decoding took, and when they were done."""
    return {
        "training_seconds": trained.seconds,
        "steps": trained.steps,
        "resumed_at": trained.resumed_at,
        "loss": trained.loss,
        "examples": examples,
        "parameters": parameters,
        "decoding_seconds": answers.seconds,
        "generated": answers.generated,
        "valid": answers.valid,
        "threads": threads,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def make_tokenizer(config: RunConfig, task: Task) -> Any:
    """Return the tokenizer of a run, without SIDs: trained on the task's texts if it reads any."""
    queries = [found for found in (task.train, task.test) if found is not None]
    in_words = config.task.source == "text" or config.task.text_task
    if not in_words and all(found.histories is not None for found in queries):
        return tokenizer_for(config.model, None)
    texts = list(task.catalogue.texts or ())
    if task.train is not None:
        texts += task.train.texts or ()
    return tokenizer_for(config.model, texts)


def behind(arm: Arm) -> tuple[SidTrie, SidGroups]:
    """Return an arm's SIDs as a trie, and which items stand behind each of them."""
    trie = SidTrie(np.unique(arm.sids, axis=0), sizes=arm.sizes)
    return trie, SidGroups.from_sids(arm.sids)  # both in lexicographic order


def results_of(header: dict[str, Any], setup: Setup, cells: Sequence[Cell]) -> Results:
    """Put cells together."""
    return Results(header, METRICS, setup.splits, setup.task.test.clusters, tuple(cells))
