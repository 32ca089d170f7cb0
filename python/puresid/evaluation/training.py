"""Training a language model on sources and SIDs, by transformers' Trainer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from puresid.evaluation._local import quiet
from puresid.evaluation.config import TrainingConfig
from puresid.evaluation.encoding import Pair
from puresid.evaluation.extras import extra

IGNORED = -100  # what transformers' losses pass over
_BATCHES_SORTED = 50  # whose examples are sorted by length together
SAVED = 0.2  # share of the steps between checkpoints


@dataclass(frozen=True)
class Trained:
    """What training cost.

    Attributes
    ----------
    seconds : float
        Of this call; of its last part, where training was resumed.
    steps : int
        Of the optimiser, in all.
    loss : float or None
        Mean training loss per token, natural logarithm; of the last part, where training was
        resumed, and None where nothing was left of it.
    resumed_at : int
        The step at which this call began.
    """

    seconds: float
    steps: int
    loss: float | None
    resumed_at: int


def train(
    model: Any,
    pairs: Sequence[Pair],
    config: TrainingConfig,
    *,
    encoder_decoder: bool,
    pad_token_id: int,
    seed: int,
    folder: Path,
    device: str = "auto",
    progress: bool = False,
) -> Trained:
    """Train a model to write targets after sources.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Changed in place.
    pairs : sequence of (ndarray, ndarray)
        Token ids of sources and targets; see `Encoding.pairs`.
    config : TrainingConfig
    encoder_decoder : bool
    pad_token_id : int
    seed : int
        Of the order of the examples and of dropout.
    folder : Path
        For checkpoints. If it holds one of the same training, training goes on from there. It
        stays when all is done, with the weights as they are then.
    device : {"auto", "cpu"}
        ``"auto"`` takes an accelerator where there is one, and no more than one.
    progress : bool
        Whether to show a progress bar on stderr.

    Returns
    -------
    Trained

    Raises
    ------
    ImportError
        Without the extra ``eval``.
    ValueError
        If there is nothing to train on, or the loss is not finite at the end.
    """
    transformers = extra("transformers")
    extra("accelerate")
    if not pairs:
        raise ValueError("there is nothing to train on: no sequence of two items, no query")
    examples = [_example(pair, encoder_decoder) for pair in pairs]
    arguments = _arguments(config, seed=seed, folder=folder, device=device, progress=progress)
    order = _Order([len(each["input_ids"]) for each in examples], config.batch_size, seed)
    checkpoint = _newest_checkpoint(folder)
    resumed_at = 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])
    with quiet():
        trainer = transformers.Trainer(
            model=model,
            args=arguments,
            train_dataset=_Examples(examples),
            data_collator=_Collator(pad_token_id),
        )
        trainer._get_train_sampler = lambda _=None: order
        trainer.remove_callback(transformers.PrinterCallback)
        if checkpoint is not None and _is_last(checkpoint):
            trainer._load_from_checkpoint(str(checkpoint))
            trainer._move_model_to_device(model, arguments.device)
            return Trained(seconds=0.0, steps=resumed_at, loss=None, resumed_at=resumed_at)
        found = trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    loss = float(found.metrics["train_loss"])
    if not np.isfinite(loss):
        shutil.rmtree(folder, ignore_errors=True)
        raise ValueError(
            f"the training loss is {loss} after {found.global_step} steps; a lower learning_rate "
            f"than {config.learning_rate} or a longer warmup may help"
        )
    return Trained(
        seconds=float(found.metrics["train_runtime"]),
        steps=int(found.global_step),
        loss=loss,
        resumed_at=resumed_at,
    )


def _arguments(
    config: TrainingConfig, *, seed: int, folder: Path, device: str, progress: bool
) -> Any:
    """Say it in transformers' words."""
    arguments = extra("transformers").TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        max_steps=config.steps or -1,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup,
        lr_scheduler_type=config.schedule,
        weight_decay=config.weight_decay,
        logging_nan_inf_filter=False,
        seed=seed,
        use_cpu=device == "cpu",
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        save_strategy="steps",
        save_steps=SAVED,
        save_total_limit=1,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=not progress,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # with several, each would get a batch
    return arguments


def _newest_checkpoint(folder: Path) -> Path | None:
    """Return the last checkpoint that was written whole: its state is written last."""
    found = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").exists()]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _is_last(checkpoint: Path) -> bool:
    """Whether all steps were done; transformers would do one more."""
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return bool(state["global_step"] >= state["max_steps"])


def _example(pair: Pair, encoder_decoder: bool) -> dict[str, Any]:
    source, target = pair
    if encoder_decoder:
        return {"input_ids": source, "labels": target}
    return {
        "input_ids": np.concatenate([source, target]),
        "labels": np.concatenate([np.full(len(source), IGNORED), target]),
    }


class _Examples:
    """The data set as torch wants it: a length and items by number."""

    def __init__(self, examples: list[dict[str, Any]]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return self._examples[row]


class _Order:
    """The order of the examples in each epoch: by chance, but with like lengths together.

    It follows from seed and epoch alone, so that training which was stopped goes on with the same
    batches.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        drawn = np.random.default_rng([self._seed, self._epoch]).permutation(len(self._lengths))
        lengths = np.array(self._lengths)
        near = _BATCHES_SORTED * self._batch_size
        batches = []
        for first in range(0, len(drawn), near):
            rows = drawn[first : first + near]
            rows = rows[np.argsort(-lengths[rows], kind="stable")]
            batches += np.split(rows, range(self._batch_size, len(rows), self._batch_size))
        # The last batch may be short; it stays last, since the loader cuts what comes in pieces.
        *whole, last = batches
        mixed = np.random.default_rng([self._seed, self._epoch, 1]).permutation(len(whole))
        return iter(np.concatenate([*(whole[number] for number in mixed), last]).tolist())


class _Collator:
    """Fills up the examples of a batch, on the right, to the longest."""

    def __init__(self, pad_token_id: int) -> None:
        self._pad = pad_token_id

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        torch = extra("torch")
        rows = [row["input_ids"] for row in examples]
        lengths = np.array([len(row) for row in rows])
        mask = np.arange(lengths.max()) < lengths[:, None]
        return {
            "input_ids": torch.from_numpy(filled(rows, self._pad)),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
            "labels": torch.from_numpy(filled([row["labels"] for row in examples], IGNORED)),
        }


def filled(rows: Sequence[Any], value: int, *, left: bool = False) -> Any:
    """Return rows of different lengths as one int64 array, filled up with `value`.

    Parameters
    ----------
    rows : sequence of ndarray of int
    value : int
    left : bool
        Whether to fill up on the left, so that all rows end in the last column.
    """
    longest = max(map(len, rows))
    full = np.full((len(rows), longest), value, dtype=np.int64)
    for row, ids in enumerate(rows):
        if left:
            full[row, longest - len(ids) :] = ids
        else:
            full[row, : len(ids)] = ids
    return full
