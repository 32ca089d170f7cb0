"""One step of constrained decoding: the trie beside a dict of prefixes.

``python -m bench.decoding`` prints a table. A step takes the beams' prefixes and the scores over
the vocabulary, and gives the scores with what leads to no SID masked: `SidLogitsProcessor`, and
what transformers does with ``prefix_allowed_tokens_fn``, a function that looks each beam's prefix
up in a dict of lists. Beside them the masks alone, by `DeviceTrie` and by the core. Answers are
compared before anything is timed; all ways take turns in one process.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np

from puresid.decoding import SidLogitsProcessor, SidTrie, SidVocabulary

OFFSET = 32_100  # about T5's vocabulary


def made_sids(items: int, sizes: tuple[int, ...]) -> Any:
    """Different SIDs, unevenly spread over prefixes."""
    rng = np.random.default_rng(0)
    weights = [1 / np.arange(1, size + 1) ** 0.6 for size in sizes]
    found = np.empty((0, len(sizes)), dtype=np.int64)
    while len(found) < items:
        more = [rng.choice(len(w), 2 * items, p=w / w.sum()) for w in weights]
        found = np.unique(np.concatenate([found, np.stack(more, axis=1)]), axis=0)
    return rng.permutation(found)[:items]


def by_dict(sids: Any, vocabulary: SidVocabulary) -> Any:
    """Return the function of every tutorial."""
    following: dict[tuple[int, ...], set[int]] = {}
    for row in vocabulary.encode(sids).tolist():
        for depth in range(len(row)):
            following.setdefault(tuple(row[:depth]), set()).add(row[depth])
    lists = {prefix: sorted(tokens) for prefix, tokens in following.items()}
    return lambda batch, ids: lists[tuple(ids.tolist()[1:])]


def ways(sids: Any, sizes: tuple[int, ...], beams: int, depth: int) -> dict[str, Callable[[], Any]]:
    """Return the same step in each way, as functions of nothing."""
    import torch
    import transformers

    vocabulary = SidVocabulary.from_offset(sizes, OFFSET)
    trie = SidTrie(sids, sizes=sizes)
    chosen = sids[np.random.default_rng(1).integers(0, len(sids), beams)][:, :depth]
    prefixes = chosen.astype(np.uint32)
    ids = vocabulary.encode(np.concatenate([chosen, np.zeros((beams, len(sizes) - depth), int)], 1))
    input_ids = torch.from_numpy(np.concatenate([np.zeros((beams, 1), int), ids[:, :depth]], 1))
    scores = torch.randn(beams, OFFSET + sum(sizes))
    processor = SidLogitsProcessor(trie, vocabulary, prompt_length=1)
    in_place = SidLogitsProcessor(trie, vocabulary, prompt_length=1, in_place=True)
    made = trie.to("cpu")
    tokens = torch.from_numpy(chosen.astype(np.int64))
    make: Any = transformers.PrefixConstrainedLogitsProcessor
    tutorial = make(by_dict(sids, vocabulary), num_beams=beams)
    result: dict[str, Callable[[], Any]] = {
        "SidLogitsProcessor (torch)": lambda: processor(input_ids, scores),
        "prefix_allowed_tokens_fn, dict": lambda: tutorial(input_ids, scores),
    }
    answers = [way() for way in result.values()]
    if not torch.equal(*answers):
        raise RuntimeError("the ways disagree")
    overwritten = scores.clone()
    if not torch.equal(in_place(input_ids, overwritten), answers[0]):
        raise RuntimeError("the ways disagree")
    return result | {
        "SidLogitsProcessor, in place": lambda: in_place(input_ids, overwritten),
        "DeviceTrie.allowed (torch, mask only)": lambda: made.allowed(tokens),
        "SidTrie.allowed (core, mask only)": lambda: trie.allowed(prefixes),
    }


@click.command()
@click.option("--beams", default=256, show_default=True)
@click.option("--rounds", default=30, show_default=True)
def main(beams: int, rounds: int) -> None:
    """Print milliseconds a step, the median of all rounds, and how many times the dict takes."""
    import torch

    torch.set_num_threads(1)
    click.echo(f"{beams} beams, one thread; milliseconds a step, median of {rounds} rounds\n")
    click.echo("| SIDs | tokens so far | way | ms | dict takes |")
    click.echo("| --: | --: | :-- | --: | --: |")
    for items, sizes in ((12_101, (256, 256, 256)), (1_000_000, (256, 256, 256))):
        sids = made_sids(items, sizes)
        for depth in range(len(sizes)):
            steps = ways(sids, sizes, beams, depth)
            times: dict[str, list[float]] = {name: [] for name in steps}
            for _ in range(rounds):
                for name, step in steps.items():
                    start = time.perf_counter()
                    step()
                    times[name].append(1e3 * (time.perf_counter() - start))
            medians = {name: statistics.median(values) for name, values in times.items()}
            slowest = medians["prefix_allowed_tokens_fn, dict"]
            for name, value in medians.items():
                click.echo(
                    f"| {items:,} | {depth} | {name} | {value:.3f} | {slowest / value:.1f} x |"
                )


if __name__ == "__main__":
    main()
