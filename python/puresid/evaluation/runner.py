"""`run`: an evaluation from its config to its results, cell by cell, so that it can be resumed.

A cell is one arm with one seed: a model trained on the arm's SIDs, and what it answers to the test
queries. A finished cell lies in ``cells/`` of the run's folder and is not run again.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from puresid.atomic import atomic_write
from puresid.config import thread_count
from puresid.decoding import SidTrie
from puresid.evaluation._local import extra
from puresid.evaluation.arms import Arm
from puresid.evaluation.config import RunConfig
from puresid.evaluation.encoding import encode
from puresid.evaluation.generation import Generator
from puresid.evaluation.measures import METRICS, SidGroups, measure
from puresid.evaluation.models import add_lora, build, resize
from puresid.evaluation.provenance import provenance
from puresid.evaluation.results import JSON_NAME, Cell, Results
from puresid.evaluation.setup import Setup, files_of, prepare, save_arms
from puresid.evaluation.task import Task
from puresid.evaluation.tokenizer import tokenizer_for
from puresid.evaluation.training import train

CONFIG_NAME = "config.json"
# Keys that choose cells and do not change what is in one.
_CHOICES = {"name": None, "primary": None, "arms": "names", "training": "seeds"}


def run(
    config: RunConfig,
    folder: Path,
    *,
    jobs: int = 1,
    threads: int | None = None,
    device: str = "auto",
    progress: bool = False,
    echo: Callable[[str], object] = print,
) -> Results:
    """Run what of an evaluation has not been run, and write its results.

    Parameters
    ----------
    config : RunConfig
    folder : Path
        For the results (see `Results.save`), the SIDs of each arm, finished cells and checkpoints.
        Made if need be. What it holds of the same config is kept: a run that was stopped goes on,
        and one with more arms or seeds runs only those.
    jobs : int
        Cells at a time, each in a process of its own.
    threads : int, optional
        For all jobs together; None for what the process may use. Losses and so figures depend on
        the threads of a job, in the last digits of each step.
    device : {"auto", "cpu"}
        ``"auto"`` takes an accelerator where there is one.
    progress : bool
        Whether to show progress bars on stderr; with several jobs only that of cells.
    echo : callable
        Takes a line for each cell.

    Returns
    -------
    Results

    Raises
    ------
    ImportError
        Without the extra ``eval``.
    ValueError
        If the folder holds a run of another config, or see `prepare`.
    """
    threads = thread_count(threads)
    _claim(config, folder)
    origin = provenance(files_of(config), device=_device_name(device))
    setup = prepare(config, threads=threads)
    save_arms(setup, folder / "sids")
    wanted = [(arm, seed) for seed in config.training.seeds for arm in config.arms.names]
    todo = [cell for cell in wanted if not (_cell_folder(folder, *cell) / JSON_NAME).exists()]
    if len(todo) < len(wanted):
        echo(f"{len(wanted) - len(todo)} of {len(wanted)} cells are there from before")
    header = {
        "name": config.name,
        "primary": config.to_dict()["primary"],
        "config": config.to_dict(),
        **setup.facts,
        "provenance": origin | {"threads_per_cell": max(1, threads // jobs)},
    }
    job = _Job(config, folder, header, max(1, threads // jobs), device, progress and jobs == 1)
    for done, cell in enumerate(_cells(job, setup, todo, jobs), start=1):
        echo(f"[{done}/{len(todo)}] {_line(cell, config.primary.metric)}")
    cells = [Results.load(_cell_folder(folder, *cell)).cells[0] for cell in wanted]
    results = _results(header, setup, cells)
    results.save(folder)
    return results


def _claim(config: RunConfig, folder: Path) -> None:
    """Keep runs of different configs out of one folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CONFIG_NAME
    said = _compared(config.to_dict())
    if path.exists():
        before = _compared(json.loads(path.read_text(encoding="utf-8")))
        for table in sorted(set(said) | set(before)):
            if said.get(table) != before.get(table):
                raise ValueError(
                    f"{folder} holds a run of another config: [{table}] was {before.get(table)}; "
                    f"it is {said.get(table)}. Pass another folder"
                )
    with atomic_write(path) as file:
        file.write(json.dumps(config.to_dict(), indent=2).encode())


def _compared(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a config what only chooses cells."""
    kept = {name: value for name, value in values.items() if _CHOICES.get(name, "") is not None}
    for table, key in _CHOICES.items():
        if key is not None and table in kept:
            kept[table] = {name: value for name, value in kept[table].items() if name != key}
    return kept


def _cell_folder(folder: Path, arm: str, seed: int) -> Path:
    return folder / "cells" / f"{arm}-{seed}"


class _Job:
    """What a process needs to run cells: all of it can be pickled."""

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        header: dict[str, Any],
        threads: int,
        device: str,
        progress: bool,
    ) -> None:
        self.config = config
        self.folder = folder
        self.header = header
        self.threads = threads
        self.device = device
        self.progress = progress


def _cells(job: _Job, setup: Setup, todo: Sequence[tuple[str, int]], jobs: int) -> Iterator[Cell]:
    if jobs == 1 or len(todo) < 2:
        for arm, seed in todo:
            yield _run_cell(job, setup, arm, seed)
        return
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(min(jobs, len(todo)), mp_context=context) as pool:
        running = [pool.submit(_run_cell, job, setup, arm, seed) for arm, seed in todo]
        try:
            for done in as_completed(running):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run_cell(job: _Job, setup: Setup, arm_name: str, seed: int) -> Cell:
    """Train a model on the SIDs of an arm, answer the test queries and keep what came of it."""
    config, task, arm = job.config, setup.task, setup.arms[arm_name]
    work = job.folder / "checkpoints" / f"{arm_name}-{seed}"
    with _torch_threads(job.threads):
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
    facts = {
        "training_seconds": trained.seconds,
        "steps": trained.steps,
        "resumed_at": trained.resumed_at,
        "loss": trained.loss,
        "examples": len(pairs),
        "parameters": parameters,
        "decoding_seconds": answers.seconds,
        "generated": answers.generated,
        "valid": answers.valid,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    narrow = {name: figures.astype(np.float32) for name, figures in values.items()}
    cell = Cell(arm_name, seed, narrow, facts)
    _results(job.header, setup, [cell]).save(_cell_folder(job.folder, arm_name, seed))
    return cell


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


def _results(header: dict[str, Any], setup: Setup, cells: Sequence[Cell]) -> Results:
    return Results(header, METRICS, setup.splits, setup.task.test.clusters, tuple(cells))


def _line(cell: Cell, metric: str) -> str:
    return (
        f"{cell.arm} seed {cell.seed}: {metric} {cell.values[metric].mean():.4f}, "
        f"training {cell.facts['training_seconds']:.0f} s, "
        f"decoding {cell.facts['decoding_seconds']:.0f} s"
    )


def _device_name(device: str) -> str:
    torch = extra("torch")
    if device == "auto" and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return "cpu"


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    torch = extra("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
