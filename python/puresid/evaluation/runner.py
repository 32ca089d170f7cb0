"""`run`: an evaluation from its config to its results, cell by cell, so that it can be resumed.

A cell is one arm with one seed: a model trained on the arm's SIDs, and what it answers to the test
queries. A finished cell lies in ``cells/`` of the run's folder and is not run again.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from puresid.atomic import atomic_write
from puresid.checks import integer
from puresid.config import thread_count
from puresid.evaluation.cells import (
    Job,
    cell_folder,
    one_by_one,
    results_of,
    side_by_side,
)
from puresid.evaluation.config import RunConfig
from puresid.evaluation.extras import extra
from puresid.evaluation.provenance import provenance
from puresid.evaluation.results import JSON_NAME, Cell, Results
from puresid.evaluation.setup import digest, files_of, load_task, prepare
from puresid.evaluation.task import Task

CLAIM_NAME = "run.json"
LOCK_NAME = ".lock"
# Keys that choose cells and do not change what is in one.
_CHOICES = {"name": None, "arms": "names", "training": "seeds"}


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
        For the results (see `Results.save`), codebooks and the SIDs of each arm, finished cells
        and checkpoints. Made if need be. What it holds of the same config is kept: a run that was
        stopped goes on, and one with more arms or seeds runs only those.
    jobs : int
        Cells at a time, each in a process of its own.
    threads : int, optional
        For all jobs together; None for what the process may use. Losses and so figures depend on
        the threads of a job, in the last digits of each step.
    device : {"auto", "cpu"}
        ``"auto"`` takes an accelerator where there is one, and no more than one.
    progress : bool
        Whether to show progress bars on stderr, inside cells if they run one by one.
    echo : callable
        Takes a line for each cell.

    Returns
    -------
    Results

    Raises
    ------
    ImportError
        Without the extra ``eval``, or ``lora`` for adapters.
    ValueError
        If the folder holds a run of another config or of other data, or another process is at
        work there; and see `load_task` and `prepare`.
    RuntimeError
        If the process of a cell ended without a word.
    """
    threads = thread_count(threads)
    jobs = integer(jobs, "jobs", 1)
    _need_packages(config)
    task = load_task(config.task)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        _claim(config, task, folder)
        origin = provenance(files_of(config), device=_device_name(device))
        setup = prepare(config, task, folder / "sids", threads=threads, device=device)
        wanted = [(arm, seed) for seed in config.training.seeds for arm in config.arms.names]
        todo = [cell for cell in wanted if not (cell_folder(folder, *cell) / JSON_NAME).exists()]
        if len(todo) < len(wanted):
            echo(f"{len(wanted) - len(todo)} of {len(wanted)} cells are there from before")
        header = {
            "name": config.name,
            "primary": config.to_dict()["primary"],
            "config": config.to_dict(),
            **setup.facts,
            "provenance": origin,
        }
        job = Job(config, folder, header, max(1, threads // jobs), device, progress and jobs == 1)
        cells = one_by_one(job, setup, todo) if jobs == 1 else side_by_side(job, setup, todo, jobs)
        for done, cell in enumerate(cells, start=1):
            echo(f"[{done}/{len(todo)}] {_line(cell, config.primary.metric)}")
        found = [Results.load(cell_folder(folder, *cell)).cells[0] for cell in wanted]
        results = results_of(header, setup, found)
        results.save(folder)
    return results


def _need_packages(config: RunConfig) -> None:
    """Miss packages now and not after the first training."""
    for name in ("torch", "transformers", "accelerate", "ir_measures", "pytrec_eval"):
        extra(name)
    if config.model.lora_rank:
        extra("peft")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second process out of the folder, for as long as this one is at work there."""
    with open(folder / LOCK_NAME, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another process is at work in {folder}") from None
        yield


def _claim(config: RunConfig, task: Task, folder: Path) -> None:
    """Keep runs of other configs, or of other data by the same names, out of a folder with cells.

    What was written down before the first cell, the primary comparison too, stands.
    """
    path = folder / CLAIM_NAME
    said: dict[str, Any] = {"config": config.to_dict(), "task": digest(task)}
    begun = any((folder / name).exists() for name in ("cells", "checkpoints"))
    if path.exists() and begun:
        before = json.loads(path.read_text(encoding="utf-8"))
        other = list(_differences(before["config"], said["config"]))
        if other:
            raise ValueError(
                f"{folder} holds a run of another config: {'; '.join(other)}. Pass another folder"
            )
        if before["task"] != said["task"]:
            raise ValueError(
                f"{folder} holds a run of other data: the files that the config names have "
                "changed. Pass another folder"
            )
    elif (folder / "sids").exists():
        shutil.rmtree(folder / "sids")  # of a run that never began
    with atomic_write(path) as file:
        file.write(json.dumps(said, indent=2).encode())


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for table in sorted(set(before) | set(now)):
        chosen = _CHOICES.get(table, "")
        if chosen is None:
            continue
        one: dict[str, Any] = before.get(table, {})
        other: dict[str, Any] = now.get(table, {})
        for name in sorted(set(one) | set(other)):
            if name != chosen and one.get(name) != other.get(name):
                yield f"[{table}] {name} was {one.get(name)!r} and is {other.get(name)!r}"


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
