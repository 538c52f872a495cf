"""Keeps a store small: what has expired goes, and what nobody refers to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial
from pathlib import Path

from compox_core.algorithms.catalogue import Catalogue
from compox_core.identity import utc_now
from compox_core.jobs.retention.ages import ages, tell
from compox_core.jobs.retention.algorithms import collect_algorithms
from compox_core.jobs.retention.broom import Broom, Progress
from compox_core.jobs.retention.expired import sweep_files, sweep_promises, sweep_records, sweep_stops
from compox_core.jobs.retention.leftovers import remove_notes, remove_pins, remove_signs
from compox_core.jobs.retention.machine import clear_machine
from compox_core.jobs.retention.needs import Pins
from compox_core.jobs.retention.report import Report
from compox_core.settings.models import Storage
from compox_core.storage import EXECUTIONS, FILES, STOP_REQUESTS, ObjectStore
from compox_core.tasks import TaskStores

_CACHE_LIMIT = 16 << 20  # bytes of JSON


class Retention:
    """Sweeps and clears one store. Any number may work on one store, in any processes, beside everything else.

    One pass costs some listings, and reads of what is to be decided about: records of open jobs, versions of
    algorithms that changed since the pass before, notes of processes. Thread-safe; passes go one after the other.

    Args:
        settings: How long things are kept; see `ages`.
        pins: Each returns the ids of data files that must not expire.
        temp_path: Where trainings on this machine keep their files; None for the system's folder of temporary files.
        now: Returns the time that ages count to, in UTC.
    """

    def __init__(
        self,
        store: ObjectStore,
        settings: Storage,
        *,
        pins: Collection[Pins] = (),
        temp_path: Path | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._stores = TaskStores(store)
        self._settings = settings
        self._pins = pins
        self._temp_path = temp_path
        self._now = now
        self._catalogue = Catalogue(store, _CACHE_LIMIT)
        self._passing = threading.Lock()

    def sweep(
        self,
        *,
        dry_run: bool = False,
        progress: Progress = lambda share: None,
        ended: Callable[[], bool] = lambda: False,
    ) -> Report:
        """Remove what has expired and return what that was. What a failing store keeps from being done is told there.

        Args:
            dry_run: Remove nothing, and return what would be removed.
            progress: Called with the share that is done, in [0, 1].
            ended: Asked before each removal; the pass ends where it returns True.
        """
        broom = Broom(self._store, self._now(), dry_run=dry_run, progress=progress, ended=ended)
        return self._run(broom, self._expired(broom))

    def collect(
        self,
        *,
        dry_run: bool = False,
        progress: Progress = lambda share: None,
        ended: Callable[[], bool] = lambda: False,
    ) -> Report:
        """Do what `sweep` does, remove also what nobody refers to any more, and what processes that died have left."""
        broom = Broom(self._store, self._now(), dry_run=dry_run, progress=progress, ended=ended)
        garbage: list[Callable[[], None]] = [
            partial(collect_algorithms, broom, self._catalogue),
            *(partial(remove_notes, broom, store) for store in self._stores),
            partial(remove_pins, broom),
            partial(remove_signs, broom),
            partial(clear_machine, broom, self._temp_path),
        ]
        return self._run(broom, [*self._expired(broom), *garbage])

    def tell_ages(self) -> None:
        """Write into the store by which ages it is swept. Raises StorageError."""
        tell(self._store, self._settings)

    def _expired(self, broom: Broom) -> list[Callable[[], None]]:
        kept = ages(self._store, self._settings)
        records = [(store, kept[store.about.collection]) for store in self._stores]
        return [
            partial(sweep_files, broom, self._stores, kept[FILES], self._pins),
            *(partial(sweep_records, broom, store, age) for store, age in records),
            partial(sweep_stops, broom, self._stores, kept[STOP_REQUESTS]),
            partial(sweep_promises, broom, kept[EXECUTIONS]),
        ]

    def _run(self, broom: Broom, steps: list[Callable[[], None]]) -> Report:
        with self._passing:
            for number, step in enumerate(steps):
                with broom.step(number, len(steps)):
                    if not broom.ended():
                        step()
        return broom.report()
