"""What the objects of the queue say, remembered from one round to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from compox_core.records import JobKind
from compox_core.storage import ObjectInfo
from compox_core.tasks import Holder, OpenJob, TaskStore
from compox_core.tasks.store import QueueEntry

N = TypeVar("N", QueueEntry, Holder)


class QueueNotes:
    """What the objects of the queue say, each read once for as long as it does not change."""

    def __init__(self) -> None:
        self._before: dict[tuple[JobKind, str], tuple[str, QueueEntry | Holder]] = {}
        self._now: dict[tuple[JobKind, str], tuple[str, QueueEntry | Holder]] = {}

    def entry(self, store: TaskStore, job: OpenJob) -> QueueEntry | None:
        """Return whose a job is; None where nothing says so."""
        return None if job.entry is None else self._read(store, job.entry, lambda: store.entry(job.id))

    def holder(self, store: TaskStore, job: OpenJob, attempt: int) -> Holder | None:
        """Return who has begun an attempt; None where that has just ended."""
        return self._read(store, job.claims[attempt], lambda: store.holder(job.id, attempt))

    def incarnations(self) -> set[str]:
        """Return which processes were named since the last turn."""
        values = [value for _, value in self._now.values()]
        return {value.home.incarnation if isinstance(value, QueueEntry) else value.incarnation for value in values}

    def turn(self) -> None:
        """Forget what was not asked for since the last turn."""
        self._before, self._now = self._now, {}

    def _read(self, store: TaskStore, info: ObjectInfo, read: Callable[[], N | None]) -> N | None:
        key = (store.kind, info.key)
        known = self._now.get(key) or self._before.get(key)
        if known is None or known[0] != info.version:
            value = read()
            if value is None:
                return None
            known = (info.version, value)
        self._now[key] = known
        return cast(N, known[1])
