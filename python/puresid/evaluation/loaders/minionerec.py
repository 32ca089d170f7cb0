"""MiniOneRec's CSV files: a cut at two points of time that are the same for all users."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from puresid._formats import PathLike
from puresid.checks import integer
from puresid.evaluation.loaders._reading import read_csv, read_items, task_name
from puresid.evaluation.splits import latest
from puresid.evaluation.task import Catalogue, Queries, Task

__all__ = ["load_minionerec"]

COLUMNS = ("user_id", "history_item_id", "item_id")
_HISTORY = re.compile(r"\s*\[\s*(?:\d+\s*(?:,\s*\d+\s*)*)?\]\s*", re.ASCII)
_NUMBER = re.compile(r"\s*\d+\s*", re.ASCII)


@dataclass
class _File:
    """The rows of one file: who, what the user had before, what came next."""

    path: PathLike
    users: list[str] = field(default_factory=list)
    histories: list[list[int]] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)

    def by_user(self) -> dict[str, list[int]]:
        """Return the places of each user's rows, in the file's order."""
        places: dict[str, list[int]] = {}
        for place, user in enumerate(self.users):
            places.setdefault(user, []).append(place)
        return places


def load_minionerec(
    test: PathLike,
    valid: PathLike,
    items: PathLike,
    *,
    train: PathLike | None = None,
    name: str | None = None,
    max_history: int | None = None,
) -> Task:
    """Load a recommendation task whose targets are cut 80/10/10 by time over all users.

    A user may have several rows in each file, so queries name their users, and tests of
    significance take a user's queries together. What a user is trained on ends where that user's
    first validation row begins, else the first test row: later rows' histories hold the targets of
    earlier ones.

    Parameters
    ----------
    test, valid : str or path
        CSV with a header; of its columns ``user_id``, ``history_item_id`` (a list such as
        ``"[3, 1]"``, oldest first, cut to the latest few by whoever made it) and ``item_id`` (what
        came next) are read. Items are numbers, rows of the catalogue.
    items : str or path
        A JSON object ``{"0": {"title": …, "description": …}, …}``.
    train : str or path, optional
        The same layout as `test`. Where it is given a training sequence is the history of the
        user's first training row and all training targets after it. Users whose rows do not
        continue each other are trained on their last row alone; those whose rows do not end where
        validation or test begins on what they had before that, as without `train`. Notes say how
        many there are of both.
    name : str, optional
        What reports call the task. Default: the name of the folder of `test`.
    max_history : int, optional
        How many items a query's history may have: the latest are kept. Training sequences stay
        whole. Default: as in the files.

    Returns
    -------
    Task
        Of the kind "recommendation". Queries are named ``user:number``, numbered from 0 per user
        and file, and are in the file's order.

    Raises
    ------
    ValueError
        What is in a file is not as above, naming the file and the line; or `max_history` is below
        1.
    CorruptFileError
        A file is damaged. (A `ValueError` too.)
    OSError
        A file cannot be opened.
    """
    limit = None if max_history is None else integer(max_history, "max_history", 1)
    keys, texts = read_items(items)
    tested, validated = _read(test, len(keys)), _read(valid, len(keys))
    trained = None if train is None else _read(train, len(keys))
    sequences, notes = _training(tested, validated, trained)
    repeats = sum(
        target in history for target, history in zip(tested.targets, tested.histories, strict=True)
    )
    users = len(set(tested.users))
    notes.insert(
        0, f"{len(tested.users):,} test queries of {users:,} users; a user's are tested together"
    )
    if repeats:
        notes.append(f"{repeats:,} test items are in their own history")
    return Task(
        name=task_name(test, name),
        kind="recommendation",
        catalogue=Catalogue(keys, texts),
        test=_queries(tested, limit),
        validation=_queries(validated, limit),
        sequences=tuple(np.array(rows, dtype=np.int64) for rows in sequences),
        notes=tuple(notes),
    )


def _training(
    tested: _File, validated: _File, trained: _File | None
) -> tuple[list[list[int]], list[str]]:
    """Return one sequence per user, without what validation and test ask for, and notes."""
    begun: dict[str, list[int]] = {}  # what users had before the first thing that is asked of them
    scattered = 0
    for source in (validated, tested):
        for user, places in source.by_user().items():
            begun.setdefault(user, source.histories[places[0]])
            scattered += not _joined(source, places)[1]
    in_training = {} if trained is None else trained.by_user()
    sequences, notes = [], []
    broken = late = 0
    for user in dict.fromkeys([*in_training, *begun]):
        if trained is None or user not in in_training:
            sequences.append(begun[user])
            continue
        sequence, whole = _joined(trained, in_training[user])
        before = begun.get(user, [])
        if sequence[len(sequence) - len(before) :] != before:
            sequence, whole = before, True
            late += 1
        broken += not whole
        sequences.append(sequence)
    kept = [rows for rows in sequences if len(rows) >= 2]
    if trained is None:
        notes.append(
            "training sequences are the histories of users' first validation or test rows, as long "
            "as the files have them"
        )
    if scattered:
        notes.append(
            f"the validation or test rows of {scattered:,} users do not continue each other: if "
            "they are not in order of time, what is trained on holds what is asked for"
        )
    if broken:
        notes.append(
            f"{broken:,} users' training rows do not continue each other; only the last is used"
        )
    if late:
        notes.append(
            f"{late:,} users' training rows do not end where their validation or test begins; what "
            "they had before that is used"
        )
    if len(kept) < len(sequences):
        notes.append(
            f"{len(sequences) - len(kept):,} training sequences of fewer than two items are left "
            "out, since nothing in them is a target"
        )
    return kept, notes


def _joined(source: _File, places: list[int]) -> tuple[list[int], bool]:
    """Return what a user's rows say together, and whether each continues the one before."""
    sequence = [*source.histories[places[0]], source.targets[places[0]]]
    for place in places[1:]:
        history = source.histories[place]
        if not history or sequence[-len(history) :] != history:
            last = places[-1]
            return [*source.histories[last], source.targets[last]], False
        sequence.append(source.targets[place])
    return sequence, True


def _queries(source: _File, limit: int | None) -> Queries:
    seen: dict[str, int] = {}
    ids = []
    for user in source.users:
        seen[user] = seen.get(user, -1) + 1
        ids.append(f"{user}:{seen[user]}")
    histories: list[NDArray[np.int64]] = [
        latest(np.array(rows, dtype=np.int64), limit) for rows in source.histories
    ]
    return Queries(
        ids=tuple(ids),
        relevant=tuple(np.array([target], dtype=np.int64) for target in source.targets),
        histories=tuple(histories),
        users=tuple(source.users),
    )


def _read(path: PathLike, items: int) -> _File:
    found = _File(path)
    for line, (user, history, target) in read_csv(path, COLUMNS):
        if not _HISTORY.fullmatch(history):
            raise ValueError(
                f"{path}, line {line}: history_item_id is {history!r}; a list of rows such as "
                "[3, 1] is needed"
            )
        if not _NUMBER.fullmatch(target):
            raise ValueError(f"{path}, line {line}: item_id is {target!r}; a row is needed")
        rows = [int(number) for number in re.findall(r"\d+", history)]
        for row in (*rows, int(target)):
            if row >= items:
                raise ValueError(
                    f"{path}, line {line}: item {row}; the catalogue has {items} items, 0 to "
                    f"{items - 1}"
                )
        found.users.append(user)
        found.histories.append(rows)
        found.targets.append(int(target))
    return found
