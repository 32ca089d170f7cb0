"""The built-in retrieval task: from the first sentence of a docstring to what it documents.

Its catalogue is that of ``puresid demo``, the documentation of Python's standard library, so that
an evaluation runs on any machine without a file.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from puresid import _docs
from puresid._docs import Entry, text_vectors
from puresid.checks import integer
from puresid.evaluation.task import Catalogue, Queries, Task

# A line such as "pow(base, exp) -> number": it names, and says nothing.
_SIGNATURE = re.compile(r"[\w.]+\([^\n]*\)[ \t]*(?:->[^\n]*?)?(?:[ \t]+--[ \t]+|\s*\n\s*|\s*$)")
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`'\"(<\[*0-9])|\n\s*\n|\n(?=\s*[-*>:])")
_NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

# Run by an interpreter of its own. numpy is found where this process finds it.
_COLLECT = """
import importlib.util, json, sys
sys.path[:] = json.loads(sys.argv[2])
spec = importlib.util.spec_from_file_location("docs", sys.argv[1])
docs = sys.modules["docs"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(docs)
print("\\n" + json.dumps(docs.standard_library()))
"""

SHORTEST, LONGEST = 3, 40  # words of a sentence that asks for something
SHARED = 5  # items with the same sentence; beyond, it says what many things say


class _Item(NamedTuple):
    key: str
    sentence: str
    text: str


def demo_task(
    *, test_share: float = 0.15, validation_share: float = 0.05, dim: int = 64, seed: int = 0
) -> Task:
    """Make a retrieval task of the standard library's documentation.

    An item is something documented, if the first sentence of its docstring has 3 to 40 words and
    at most 4 other items begin with the same. The item's text is the words of its name, its
    signature and what its docstring says after that sentence; its vector is made of this text
    (hashed TF-IDF, see `puresid demo`). A query is a first sentence; wanted is its item.

    Training queries are the first sentences that are not held out. Held out for test and
    validation are sentences that are found nowhere else, neither in the text of an item nor in
    another's first sentence, drawn at random.

    Parameters
    ----------
    test_share, validation_share : float
        Shares of the sentences that only one item has.
    dim : int
        Dimension of the vectors, D.
    seed : int
        Of the draw.

    Returns
    -------
    Task
        Of the kind ``"retrieval"``; the same for the same arguments and the same Python.

    Raises
    ------
    TypeError
        If `dim` or `seed` is no integer.
    ValueError
        If a share is not from 0 to 1, no test query is asked for or nothing is left to learn from,
        or `dim` or `seed` is out of range.
    OSError
        If no second interpreter can be started: what the standard library says is read by one that
        has imported nothing else.
    """
    return task_of(
        fresh_entries(),
        test_share=test_share,
        validation_share=validation_share,
        dim=dim,
        seed=seed,
    )


def fresh_entries() -> list[Entry]:
    """Collect what the standard library documents, as an interpreter sees it that has just begun.

    In this process it may be another: torch and transformers put functions of their own into its
    modules and classes, and some of its names appear when they are first asked for.

    Raises
    ------
    OSError
        If no interpreter can be started, or it fails.
    """
    # Isolated: nothing of the environment, and no module from where this happens to be run.
    done = subprocess.run(
        [sys.executable, "-I", "-c", _COLLECT, _docs.__file__, json.dumps(sys.path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise OSError(
            f"{sys.executable!r}, started to read the standard library's documentation, ended with "
            f"exit status {done.returncode}: {said}"
        )
    # The last line: a module may print when it is imported.
    return [Entry(*parts) for parts in json.loads(done.stdout.splitlines()[-1])]


def task_of(
    entries: Sequence[Entry], *, test_share: float, validation_share: float, dim: int, seed: int
) -> Task:
    """Make the task of `demo_task` from these entries."""
    dim, seed = integer(dim, "dim", 1), integer(seed, "seed", 0)
    if not (0 < test_share < 1 and validation_share >= 0 and test_share + validation_share < 1):
        raise ValueError(
            f"test_share is {test_share} and validation_share {validation_share}; the first must "
            "be above 0, the second not below, and both together below 1"
        )
    items = _items(entries)
    times = Counter(item.sentence.lower() for item in items)
    unique = [row for row, item in enumerate(items) if times[item.sentence.lower()] == 1]
    n_test, n_validation = round(test_share * len(unique)), round(validation_share * len(unique))
    if n_test == 0:
        raise ValueError(f"test_share is {test_share} of {len(unique)} sentences, which is none")
    held_out = _held_out(items, unique, n_test + n_validation, seed)
    test, validation = sorted(held_out[:n_test]), sorted(held_out[n_test:])
    learned = sorted(set(range(len(items))) - set(held_out))
    texts = tuple(item.text for item in items)
    catalogue = Catalogue(
        keys=tuple(item.key for item in items), texts=texts, vectors=text_vectors(texts, dim)
    )
    return Task(
        name="standard library",
        kind="retrieval",
        catalogue=catalogue,
        test=_sentences(items, test),
        validation=_sentences(items, validation),
        train=_sentences(items, learned),
        notes=(
            f"{len(items)} of {len(entries)} documented objects: the others' first sentences are "
            f"shared by more than {SHARED}, or not of {SHORTEST} to {LONGEST} words",
            f"{len(test)} test and {len(validation)} validation sentences, each found nowhere else",
        ),
    )


def _items(entries: Sequence[Entry]) -> list[_Item]:
    found = [_Item(entry.key, *_parts(entry)) for entry in entries]
    times = Counter(item.sentence.lower() for item in found)
    return [
        item
        for item in found
        if SHORTEST <= len(item.sentence.split()) <= LONGEST
        and item.sentence[0].isalpha()
        and times[item.sentence.lower()] <= SHARED
    ]


def _parts(entry: Entry) -> tuple[str, str]:
    """Return the first sentence, and the text of the item without it."""
    text, signatures = entry.text, ""
    while match := _SIGNATURE.match(text):
        signatures += match[0] + " "
        text = text[match.end() :]
    sentence, *rest = _END.split(text, maxsplit=1)
    names = " ".join(_NAME_PART.findall(entry.key))
    return _one_line(sentence), _one_line(" ".join([names, signatures, *rest]))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _held_out(items: Sequence[_Item], rows: Sequence[int], count: int, seed: int) -> list[int]:
    """Draw rows whose sentence is found once in all that is there to read: as itself."""
    everything = "\n".join(part.lower() for item in items for part in (item.sentence, item.text))
    drawn: list[int] = []
    for row in np.random.default_rng(seed).permutation(np.array(rows)).tolist():
        if len(drawn) == count:
            break
        sentence = items[row].sentence.lower()
        if everything.find(sentence, everything.find(sentence) + 1) < 0:
            drawn.append(row)
    return drawn


def _sentences(items: Sequence[_Item], rows: Sequence[int]) -> Queries:
    return Queries(
        ids=tuple(items[row].key for row in rows),
        relevant=tuple(np.array([row]) for row in rows),
        texts=tuple(items[row].sentence for row in rows),
    )
