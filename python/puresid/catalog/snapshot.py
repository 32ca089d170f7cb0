"""`Snapshot`: what one generation of a catalogue holds, to be read."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from puresid._formats import CorruptFileError
from puresid.arrays import SidsArray
from puresid.catalog.appending import named
from puresid.catalog.changes import Moves
from puresid.catalog.checking import state_problems
from puresid.catalog.differences import difference, items_at
from puresid.catalog.errors import CatalogError, IncompatibleError
from puresid.catalog.keys import Keys
from puresid.catalog.loading import Loader
from puresid.catalog.manifest import Manifest
from puresid.catalog.parameters import Parameters
from puresid.catalog.places import Places
from puresid.catalog.publishing import hash_of_epoch, loads_of
from puresid.catalog.results import CatalogSummary, Diff, Items
from puresid.catalog.state import State
from puresid.checks import integer
from puresid.codebooks import Codebooks, as_codebooks

__all__ = ["Snapshot"]


class Snapshot:
    """What one generation of a catalogue holds. May be read by several threads.

    Parameters
    ----------
    loader : Loader
    manifest : Manifest
    state : State
    """

    def __init__(self, loader: Loader, manifest: Manifest, state: State) -> None:
        self._loader = loader
        self._seen = (manifest, state)  # exchanged together, for those who read meanwhile

    @property
    def _manifest(self) -> Manifest:
        return self._seen[0]

    @property
    def _state(self) -> State:
        return self._seen[1]

    @property
    def folder(self) -> str:
        """Where it lies."""
        return str(self._loader.store.folder)

    @property
    def generation(self) -> int:
        """The generation that this object sees."""
        return self._manifest.generation

    @property
    def epoch(self) -> int:
        """The epoch of this generation."""
        return self._manifest.epoch

    @property
    def manifest(self) -> Manifest:
        """The manifest of this generation."""
        return self._manifest

    @property
    def codebooks(self) -> Codebooks:
        """Those of the epoch."""
        return self._state.codebooks

    @property
    def parameters(self) -> Parameters:
        """Those of the epoch."""
        return self._state.parameters

    def __len__(self) -> int:
        """Return how many items there are."""
        return self._state.n_items

    def __repr__(self) -> str:
        return (
            f"Catalog({self.folder!r}, generation {self.generation}, {len(self):,} items, "
            f"sizes={self.codebooks.sizes})"
        )

    def require(
        self, codebooks: Codebooks | Sequence[Any], parameters: Parameters | None = None
    ) -> None:
        """Refuse to go on with codebooks or parameters that are not the catalogue's.

        Parameters
        ----------
        codebooks : Codebooks or sequence of array_like
        parameters : Parameters, optional
            Default: the catalogue's.

        Raises
        ------
        IncompatibleError
            With the hash of the epoch that they would make, and of that which there is.
        TypeError, ValueError
            As `Parameters.for_codebooks`; or `parameters` are none.
        """
        books = as_codebooks(codebooks)
        chosen = self.parameters if parameters is None else Parameters.checked(parameters)
        found = hash_of_epoch(books, chosen)
        if found != self._manifest.epoch_hash:
            what = "codebooks" if parameters is None else "codebooks or parameters"
            raise IncompatibleError(
                f"these {what} make the hash {found}; epoch {self.epoch} of {self.folder} has "
                f"{self._manifest.epoch_hash}: others need a new epoch"
            )

    def lookup(self, keys: Any) -> SidsArray:
        """Return the SIDs of keys.

        Parameters
        ----------
        keys : sequence of int or of str
            A key may come twice.

        Returns
        -------
        ndarray, shape (m, L), uint16 or uint32
            Of slots, see `items`.

        Raises
        ------
        CatalogError
            A key is not there, or was removed. Names the first ones.
        TypeError, ValueError
            Keys are of another kind.
        """
        state = self._state
        return state.sids(self._places(state, keys))

    def items(self, keys: Any = None) -> Items:
        """Return keys, SIDs and slots.

        Parameters
        ----------
        keys : sequence of int or of str, optional
            Default: all items, in the order in which they came.

        Returns
        -------
        Items

        Raises
        ------
        CatalogError, TypeError, ValueError
            As `lookup`.
        """
        state = self._state
        places = state.live_places() if keys is None else self._places(state, keys)
        return items_at(state, places)

    def contains(self, keys: Any) -> npt.NDArray[np.bool_]:
        """Say of each key whether its item is there.

        Parameters
        ----------
        keys : sequence of int or of str

        Returns
        -------
        ndarray, shape (m,), bool

        Raises
        ------
        TypeError, ValueError
            Keys are of another kind.
        """
        state = self._state
        return state.places(Keys.of(keys, kind=state.kind)).found

    def resolve(self, sids: Any) -> list[list[Any]]:
        """Return the keys behind SIDs.

        Parameters
        ----------
        sids : array_like of int, shape (m, L)
            What a language model may have generated: any tokens.

        Returns
        -------
        list of list of int or str
            For each SID the keys of its items, by slot; none where it was never given out or its
            items were removed.

        Raises
        ------
        TypeError, ValueError
            They are no matrix of tokens with L columns.
        """
        state = self._state
        offsets, places = state.items_of(sids)
        keys = state.keys(places).tolist()
        return [keys[a:b] for a, b in itertools.pairwise(offsets.tolist())]

    def prefix(self, tokens: Any) -> Items:
        """Return the items whose SIDs begin with some tokens.

        Parameters
        ----------
        tokens : sequence of int
            0 to L of them.

        Returns
        -------
        Items
            In lexicographic order of SIDs, then by slot.

        Raises
        ------
        TypeError, ValueError
            They are no tokens, or more than L.
        """
        state = self._state
        return items_at(state, state.places_below(tokens))

    def moves(self) -> Moves:
        """Return what the items of the epoch before were called there, and are called now.

        Returns
        -------
        Moves
            Of the items that there were when this epoch began.

        Raises
        ------
        CatalogError
            This is the first epoch.
        CorruptFileError, OSError
            The file cannot be read.
        """
        for entry in self._manifest.files:
            if entry.kind == "moves":
                moves: Moves = self._loader.load(entry)
                return moves
        raise CatalogError(f"{self.folder} is in its first epoch; nothing has moved")

    def diff(self, generation: int) -> Diff:
        """Say what has changed since a generation.

        Parameters
        ----------
        generation : int
            From 1 to that of this object. Of this epoch; or one whose manifest is kept.

        Returns
        -------
        Diff

        Raises
        ------
        CatalogError
            There is no such generation, or it is of an earlier epoch and not kept.
        CorruptFileError, OSError
            A file cannot be read.
        """
        since = integer(generation, "generation", 1)
        manifest, state = self._seen
        until = manifest.generation
        if since > until:
            raise CatalogError(f"generation is {since}; this is generation {until}")
        same_epoch = since >= manifest.codebooks.generation  # which came when the epoch began
        if same_epoch:
            before = self._loader.state(manifest, until=since)
        else:
            before = self._loader.state(self._loader.store.read(since))
        return difference(before, state, since=since, until=until, same_epoch=same_epoch)

    def summary(self) -> CatalogSummary:
        """Count what there is; `str` of the answer is a small table.

        Raises
        ------
        CorruptFileError
            The manifest does not say it.
        """
        manifest, state = self._seen
        counts = manifest.counts
        files = {entry.name: entry.bytes for entry in manifest.entries}
        try:
            return CatalogSummary(
                generation=manifest.generation,
                epoch=manifest.epoch,
                items=counts["items"],
                sids=counts["sids"],
                tombstones=counts["tombstones"],
                levels=state.codebooks.n_levels,
                sizes=state.codebooks.sizes,
                capacity=state.codebooks.capacity * state.parameters.capacity,
                stages=tuple(counts["stages"]),
                prefix_loads=loads_of(manifest),
                files=len(files),
                bytes=sum(files.values()),
            )
        except (KeyError, TypeError) as error:
            path = self._loader.store.manifest_path(manifest.generation)
            raise CorruptFileError(f"{path}: its counts are not those of a catalogue") from error

    def verify(self) -> list[str]:
        """Read every file of every generation that is kept, and look at every item of this one.

        Returns
        -------
        list of str
            What is wrong, each line naming a file; empty where nothing is.
        """
        store, manifest = self._loader.store, self._manifest
        problems = store.verify() or state_problems(store, manifest)
        if not store.manifest_path(manifest.generation).exists():  # it was removed as garbage
            return store.verify()
        return problems

    def _places(self, state: State, keys: Any) -> Places:
        column = Keys.of(keys, kind=state.kind)
        places = state.places(column)
        absent = np.flatnonzero(~places.found)
        if len(absent):
            raise CatalogError(f"{self.folder} has no item with the key {named(column, absent)}")
        return places
