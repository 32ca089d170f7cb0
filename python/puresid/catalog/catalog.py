"""`Catalog`: keys and their SIDs, in generations that never move a published SID."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from puresid.catalog import changing
from puresid.catalog.loading import Loader
from puresid.catalog.loads import warn_of_load
from puresid.catalog.parameters import Parameters
from puresid.catalog.publishing import checked_config, publish, write_codebooks
from puresid.catalog.results import Added, Migrated, Removed, Updated
from puresid.catalog.store import Store
from puresid.catalog.writer import Writer
from puresid.checks import integer
from puresid.codebooks import Codebooks, as_codebooks

__all__ = ["Catalog"]


class Catalog(Writer):
    """Keys and their SIDs, in a folder; made by `Catalog.create` and `Catalog.open`.

    A published SID never moves, and is not given to another item, within an epoch: as long as
    codebooks and parameters stay. Every change is a new generation, which is there whole or not at
    all. An object sees one generation, whatever others publish meanwhile, until it publishes one or
    `refresh` is called. Calls that publish raise `PublishRaceError` where another writer is at work
    or has published since: nothing is published then; call `refresh` and try again.

    Several threads may read it; one at a time may change it.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from puresid import Catalog
    >>> folder = tempfile.mkdtemp()
    >>> levels = [np.array([[0.0], [8.0]]), np.arange(8.0).reshape(8, 1) / 10]
    >>> catalog = Catalog.create(folder, levels)
    >>> catalog.add(["apple", "pear"], np.array([[8.0], [8.0]])).items.sids.tolist()
    [[1, 0], [1, 1]]
    >>> len(catalog.remove(["apple"]))
    1
    >>> catalog.add(["plum"], np.array([[8.0]])).items.sids.tolist()
    [[1, 2]]
    >>> catalog.resolve(catalog.lookup(["pear", "plum"])), catalog.resolve([[1, 0]])
    ([['pear'], ['plum']], [[]])
    """

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike[str],
        codebooks: Codebooks | Sequence[Any],
        *,
        method: str = "ecm",
        tiers: Sequence[Sequence[int]] | None = None,
        max_distortion: float | None = None,
        capacity: int = 1,
        duplicates: str = "unique",
        order: str = "rows",
        recycle_after: int | None = None,
        config: dict[str, Any] | None = None,
    ) -> Catalog:
        """Make a catalogue without items, generation 1.

        Parameters
        ----------
        folder : str or path
            Made where its parent exists. An empty one is used, or what a crashed call left.
        codebooks : Codebooks or sequence of array_like
            As for `assign`. They are copied into the catalogue.
        method, tiers, max_distortion, capacity, duplicates, order, recycle_after
            As `Parameters` says; for the whole epoch.
        config : dict, optional
            Values of JSON, echoed into the manifest.

        Returns
        -------
        Catalog

        Raises
        ------
        CatalogError
            There is a catalogue already, or something else.
        PublishRaceError
            Another call makes one at this moment.
        TypeError, ValueError
            As `Codebooks` and `Parameters`.
        OSError
            It cannot be written.
        """
        books, checked = as_codebooks(codebooks), checked_config(config)
        parameters = Parameters(
            method=method,
            tiers=tiers,
            max_distortion=max_distortion,
            capacity=capacity,
            duplicates=duplicates,
            order=order,
            recycle_after=recycle_after,
        ).for_codebooks(books)
        loader = Loader(changing.store_without_generation(folder), True, {})
        with loader.store.locked(wait=False):
            manifest, state = publish(
                loader,
                None,
                codebooks=write_codebooks(loader, books, 1),
                parameters=parameters,
                files=(),
                epoch=1,
                config=checked,
            )
        return cls(loader, manifest, state)

    @classmethod
    def open(
        cls, folder: str | os.PathLike[str], *, generation: int | None = None, mmap: bool = True
    ) -> Catalog:
        """Open a catalogue, and compare the checksum of every file of the generation.

        Parameters
        ----------
        folder : str or path
        generation : int, optional
            Default: the newest. An older one, where it is kept, can only be read.
        mmap : bool
            Whether files are mapped into memory, and not read.

        Returns
        -------
        Catalog

        Raises
        ------
        CatalogError
            There is no catalogue, or no such generation.
        CorruptFileError
            A file is damaged or missing; the message names it.
        TypeError, ValueError
            `generation` is no positive integer.
        OSError
            A file cannot be read.
        """
        loader = Loader(Store.open(folder), bool(mmap), {})
        if generation is None:
            manifest, state = loader.store.read_current(lambda it: (it, loader.state(it)))
        else:
            manifest = loader.store.read(integer(generation, "generation", 1))
            state = loader.state(manifest)
        return cls(loader, manifest, state)

    def add(
        self,
        keys: Any,
        vectors: Any,
        priority: Any = None,
        *,
        existing: str = "error",
        dry_run: bool = False,
        config: dict[str, Any] | None = None,
        threads: int | None = None,
        progress: bool = False,
    ) -> Added:
        """Give new items SIDs, and publish them: the next generation.

        Published SIDs, and those of removed items, outrank new ones: what is found is what
        `assign` finds with all of them as `taken`.

        Parameters
        ----------
        keys : sequence of int or of str, length n
            Each once; of the kind of those that are there.
        vectors : array_like or VectorSource, shape (n, D)
            As for `assign`; a source is read three times at most.
        priority : array_like, shape (n,), optional
            As for `assign`. Equal ones, or all of them without it, in the catalogue's `order`.
        existing : {"error", "same", "skip"}
            What becomes of keys that are there already. ``"error"``: all is refused. ``"same"``:
            they are left out where their vectors are those that are there, so that a call may be
            repeated; all is refused otherwise. ``"skip"``: they are left out.
        dry_run : bool
            Whether to find the SIDs and publish nothing.
        config : dict, optional
            Values of JSON, echoed into the manifest.
        threads, progress
            As for `assign`.

        Returns
        -------
        Added

        Raises
        ------
        CatalogError
            A key comes twice, or is there already; or vectors are the same and the catalogue's
            policy for duplicates is ``"error"``.
        CapacityError
            There are not enough SIDs left.
        PublishRaceError
            Another writer is at work or has published since; or this is an older generation.
        TypeError, ValueError
            As `assign`.
        OSError
            Writing failed. See `Store.publish`.

        Warns
        -----
        PrefixLoadWarning
            Prefixes are filled by 0.7 and more.
        """
        with self._writing(config, dry_run) as config:
            added, held, files = changing.add(
                self._loader,
                self._state,
                self.generation,
                keys=keys,
                vectors=vectors,
                priority=priority,
                existing=existing,
                dry_run=dry_run,
                threads=threads,
                progress=progress,
            )
            if len(added):
                warn_of_load(held.loads, stacklevel=2)
            self._publish(files, config, held)
        return added

    def remove(
        self,
        keys: Any,
        *,
        missing: str = "error",
        dry_run: bool = False,
        config: dict[str, Any] | None = None,
    ) -> Removed:
        """Remove items, and publish: the next generation.

        Their SIDs are not given out again in this epoch, unless `recycle_after` says so; a key that
        is added again gets another SID.

        Parameters
        ----------
        keys : sequence of int or of str
            Each once.
        missing : {"error", "skip"}
            What becomes of keys that are not there: all is refused, or they are left out.
        dry_run : bool
            Whether to publish nothing.
        config : dict, optional
            Values of JSON, echoed into the manifest.

        Returns
        -------
        Removed

        Raises
        ------
        CatalogError
            A key comes twice or is not there.
        PublishRaceError, OSError
            As `add`.
        TypeError, ValueError
            Keys are of another kind.
        """
        with self._writing(config, dry_run) as config:
            removed, files = changing.remove(
                self._loader, self._state, self.generation, keys, missing=missing, dry_run=dry_run
            )
            self._publish(files, config)
        return removed

    def update(
        self,
        keys: Any,
        vectors: Any,
        priority: Any = None,
        *,
        reassign: bool = False,
        config: dict[str, Any] | None = None,
        threads: int | None = None,
        progress: bool = False,
    ) -> Updated:
        """Note the new vectors of items, and publish where any has changed: the next generation.

        Parameters
        ----------
        keys : sequence of int or of str, length n
            Each once, and there.
        vectors, priority
            As for `add`.
        reassign : bool
            Whether those whose vectors have changed get a new SID, as if they were removed and
            added again. Otherwise they keep theirs.
        config, threads, progress
            As for `add`.

        Returns
        -------
        Updated

        Raises
        ------
        CatalogError, CapacityError, PublishRaceError, TypeError, ValueError, OSError
            As `add`, but vectors that are the same are refused where SIDs are reassigned only; or
            a key is not there.

        Warns
        -----
        PrefixLoadWarning
            As `add`.
        """
        with self._writing(config) as config:
            updated, held, files = changing.update(
                self._loader,
                self._state,
                self._manifest,
                keys=keys,
                vectors=vectors,
                priority=priority,
                reassign=bool(reassign),
                threads=threads,
                progress=progress,
            )
            if held is not None:
                warn_of_load(held.loads, stacklevel=2)
            self._publish(files, config, held)
        return updated

    def migrate(
        self,
        codebooks: Codebooks | Sequence[Any],
        keys: Any,
        vectors: Any,
        priority: Any = None,
        *,
        parameters: Parameters | None = None,
        align: bool = True,
        config: dict[str, Any] | None = None,
        threads: int | None = None,
        progress: bool = False,
    ) -> Migrated:
        """Begin a new epoch: all items get SIDs of new codebooks, and the old → new map is kept.

        Tombstones end with their epoch. The map is that of `moves`.

        Parameters
        ----------
        codebooks : Codebooks or sequence of array_like
        keys : sequence of int or of str, length n
            All items that there are, each once. The order is that of the new epoch.
        vectors, priority
            As for `add`; as the new codebooks take them.
        parameters : Parameters, optional
            Of the new epoch. Default: those of the old one; where the number of levels differs,
            with the default tiers.
        align : bool
            Whether to renumber the new codewords first, so that tokens mean as far as possible what
            they meant: see `puresid.catalog.align`. It needs SciPy, and codebooks of the same space
            and number of levels; others are not renumbered.
        config, threads, progress
            As for `add`.

        Returns
        -------
        Migrated

        Raises
        ------
        CatalogError
            A key comes twice, is not there or is missing, or as `add`.
        ImportError
            SciPy is missing: ``pip install 'puresid[catalog]'`` has it.
        CapacityError, PublishRaceError, TypeError, ValueError, OSError
            As `add`.

        Warns
        -----
        PrefixLoadWarning
            As `add`.
        """
        with self._writing(config) as config:
            plan = changing.migrate(
                self._loader,
                self._state,
                self._manifest,
                as_codebooks(codebooks),
                keys=keys,
                vectors=vectors,
                priority=priority,
                parameters=parameters,
                align=bool(align),
                threads=threads,
                progress=progress,
            )
            warn_of_load(plan.held.loads, stacklevel=2)
            self._begin_epoch(plan.codebooks, plan.parameters, plan.files, config, plan.held)
        return plan.migrated
