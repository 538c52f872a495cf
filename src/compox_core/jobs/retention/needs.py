"""Which data files somebody needs, however old they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from compox_core.errors import NotFoundError, StorageError
from compox_core.identity import time_of
from compox_core.records import TaskRecord
from compox_core.storage import ObjectInfo
from compox_core.storage.file_places import file_of
from compox_core.tasks import TaskStore, TaskStores
from compox_core.tasks.kinds import DATASETS
from compox_core.training.snapshot import load_snapshot

Pins = Callable[[], Collection[str]]
"""Returns the ids of data files that must not expire; reads the store when it is called."""

_SLACK = timedelta(minutes=1)  # between the clocks of the machines that a store's times come from


@dataclass(frozen=True)
class Needs:
    """Who needs data files.

    `by_jobs` are inputs and outputs of jobs that have not ended, and the files of the samples that they learn from,
    `fresh` the outputs of jobs that ended since the time at which files begin to expire, `pinned` what samples hold.
    What was stored after `since` may be an output of a job that runs.
    """

    by_jobs: frozenset[str]
    fresh: frozenset[str]
    pinned: frozenset[str]
    since: datetime | None

    def why(self, info: ObjectInfo) -> str | None:
        """Return why a file is kept; None where nobody needs it."""
        file_id = file_of(info.key)
        if file_id in self.by_jobs:
            return "a job that has not ended names it"
        if file_id in self.pinned:
            return "a sample uses it"
        if file_id in self.fresh:
            return "the job that gave it ended lately"
        if self.since is not None and info.modified >= self.since:
            return "a job that runs may have stored it"
        return None


def read_needs(stores: TaskStores, before: datetime, pins: Collection[Pins]) -> Needs:
    """Read who needs files that were stored before some time.

    First the queue, then the records: a job that ends in between is in one of them. Raises StorageError where an open
    job's record, or the list of its samples, cannot be read: it may need any file.
    """
    by_jobs: set[str] = set()
    begun: list[datetime] = []
    for store in stores:
        for job in store.open_jobs():
            begun.extend(info.modified for info in job.claims.values())
            with suppress(NotFoundError):  # its submit is not there yet, and will look for the sweep; or it has ended
                by_jobs.update(_needed(stores, store, job.id))
    naming = [store for store in stores if _names_files(store)]
    fresh = {file_id for store in naming for file_id in _given_lately(stores, store, before)}
    pinned = {file_id for pin in pins for file_id in pin()}
    since = min(begun) - _SLACK if begun else None
    return Needs(frozenset(by_jobs), frozenset(fresh), frozenset(pinned), since)


def _needed(stores: TaskStores, store: TaskStore, task_id: str) -> Iterable[str]:
    """Return the files that an open job needs."""
    if store.about.beside == DATASETS:
        return {file_id for sample in load_snapshot(stores.objects, task_id) for file_id in sample.file_ids}
    return store.load(task_id).file_ids if _names_files(store) else []


def _names_files(store: TaskStore) -> bool:
    """Return whether jobs of this kind have inputs or outputs: of others no record need be read."""
    return store.about.model.file_ids is not TaskRecord.file_ids


def _given_lately(stores: TaskStores, store: TaskStore, before: datetime) -> Iterator[str]:
    """Yield the files of jobs that were submitted before some time and ended after it.

    Such a job may have given a file that is too old already when somebody is first told of it.
    """
    for info in stores.objects.list(store.about.collection, "record/"):
        task_id = info.key.removeprefix("record/")
        submitted = time_of(task_id)
        if info.modified < before or (submitted is not None and submitted > before + _SLACK):
            continue
        try:
            yield from store.load(task_id).file_ids
        except NotFoundError:
            continue
        except StorageError as error:
            if error.code != "invalid_record":
                raise
