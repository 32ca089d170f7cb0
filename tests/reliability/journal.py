"""What a power cut would take: the files and names that no fsync has made safe yet.

A kill leaves what was written in the page cache; a power cut does not. So the log of calls is read
as a file system may: bytes are safe once their file was synced, names (made, moved, removed) once
their folder was. A name that was made and removed again is no loss.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from .harness import Call


@dataclass
class Journal:
    """Follows calls one by one.

    Attributes
    ----------
    data : set of str
        Files, by their name now, with bytes that a power cut may take.
    names : dict of str to set of str
        Folder to the entries of it that a power cut may undo.
    there : set of str
        Files that there were before, or are by now: to open one makes no name.
    """

    data: set[str] = field(default_factory=set)
    names: dict[str, set[str]] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)
    _twins: dict[str, set[str]] = field(default_factory=dict)

    def follow(self, call: Call) -> None:
        if call.result < 0 or call.done == "killed":
            return
        if call.name == "open" and call.path not in self.there:
            self._enter(call.path)
            self.there.add(call.path)
        elif call.name in ("mkdir", "symlink"):
            self._enter(call.target)
        elif call.name in ("write", "truncate", "fallocate"):
            self.data |= self._same(call.path)
        elif call.name == "fsync":
            self.data -= self._same(call.path)
            self.names.pop(call.path, None)
        elif call.name in ("rename", "link"):
            self._move(call)
        elif call.name in ("unlink", "rmdir"):
            self._leave(call.path)

    def lost(self) -> list[str]:
        """What a power cut now may take, in words, sorted."""
        names = [
            f"the name {name} in {folder}" for folder in self.names for name in self.names[folder]
        ]
        return sorted([f"the bytes of {name}" for name in self.data] + names)

    def _move(self, call: Call) -> None:
        if call.path in self.data:
            self.data.add(call.other)
        else:
            self.data.discard(call.other)
        self._enter(call.other)
        self.there.add(call.other)
        if call.name == "rename":
            self._leave(call.path)
        else:
            twins = self._same(call.path) | {call.other}
            for name in twins:
                self._twins[name] = twins

    def _same(self, path: str) -> set[str]:
        return self._twins.get(path, {path})

    def _enter(self, path: str) -> None:
        self.names.setdefault(_folder(path), set()).add(path)

    def _leave(self, path: str) -> None:
        self.data.discard(path)
        self.there.discard(path)
        self._twins.pop(path, None)
        # Made since the folder was last synced, and gone again: nothing to lose.
        entries = self.names.setdefault(_folder(path), set())
        entries.symmetric_difference_update({path})
        if not entries:
            del self.names[_folder(path)]


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def lost_at_end(calls: Iterable[Call], *, there: Iterable[str] = ()) -> list[str]:
    """What a power cut just after these calls may take; empty is what a caller was promised.

    Parameters
    ----------
    calls : iterable of Call
    there : iterable of str
        Files that there were before.
    """
    journal = Journal(there=set(there))
    for call in calls:
        journal.follow(call)
    return journal.lost()


def published_unsafe(calls: Iterable[Call]) -> list[str]:
    """Names that a rename or link gave to a file whose bytes were not safe yet.

    After a power cut such a name may stand for an empty or half a file.
    """
    journal = Journal()
    found = []
    for call in calls:
        if call.name in ("rename", "link") and call.result >= 0 and call.path in journal.data:
            found.append(f"call {call.number}: {call.path} became {call.other} before its bytes")
        journal.follow(call)
    return found


def lost_at_publishing(
    calls: Iterable[Call], published: str, *, there: Iterable[str] = ()
) -> list[str]:
    """What a power cut could take of the rest when a name appears that readers go by.

    Parameters
    ----------
    calls : iterable of Call
    published : str
        The start of the names, such as ``"generations/"``.
    there : iterable of str
        Files that there were before.

    Returns
    -------
    list of str
        In words, with the call. Names in the published folder itself are left out: a temporary
        name may come and go there.
    """
    journal = Journal(there=set(there))
    found = []
    for call in calls:
        appears = call.name in ("rename", "link") and call.other.startswith(published)
        if appears and call.result >= 0:
            mine = f" {published}"
            found += [
                f"call {call.number} publishes {call.other} before {loss} is safe"
                for loss in journal.lost()
                if mine not in loss
            ]
        journal.follow(call)
    return found
