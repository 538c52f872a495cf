"""How a sweep that deletes old data files and somebody who begins to use one do not miss each other.

    sweep   announce what it may take: files stored before some time; read who needs files; delete the others of
            these; take the announcement back
    user    store what says that it needs the files (a queued job with its record, say); read the announcements; then
            look at each file; give up where one is missing or announced

Of a sweep and a user that meet, one sees the other: the sweep what the user has stored, and keeps the file, or the
user the announcement, and gives up; both at once may happen. Who finds the announcement gone finds the file as the
sweep has left it. To look at the files before the announcements would be wrong: a sweep may end in between.

In `system-store`: `sweeps/<id>`. What a sweep that died has left stands in the way of nobody but those who want a
file that is too old anyway, and goes after a day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from pydantic import BaseModel, ValidationError

from compox_core.errors import NotFoundError
from compox_core.identity import new_id
from compox_core.storage.collections import FILES, SYSTEM
from compox_core.storage.objects import ObjectInfo, ObjectStore

SWEEPS = "sweeps/"
STALE_AFTER = timedelta(days=1)
"""An announcement that is older has been left by a sweep that died: none lasts nearly as long."""

_SHORTEST = timedelta(days=1)


class Announcement(BaseModel):
    """What a sweep may take: files stored before this time (UTC)."""

    before: datetime


class Expiry:
    """The sweeps of data files that go on in a store. Holds no state of its own."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @contextmanager
    def announced(self, before: datetime) -> Iterator[None]:
        """Announce that files stored before this time may be taken; read who needs files inside the block."""
        key = f"{SWEEPS}{new_id()}"
        self._store.create(SYSTEM, key, Announcement(before=before).model_dump_json().encode())
        yield  # not in a `try`: after an error a deletion may still be on its way to the store
        self._store.delete(SYSTEM, key)

    def endangered(self, file_ids: Sequence[str]) -> list[str]:
        """Return those of `file_ids` that are not stored or may be taken by a sweep that goes on, in their order."""
        times = [self._before(info) for info in self._store.list(SYSTEM, SWEEPS)]
        before = max((time for time in times if time is not None), default=None)
        return [file_id for file_id in file_ids if not self._is_safe(file_id, before)]

    def stale(self, now: datetime) -> list[ObjectInfo]:
        """Return the announcements that sweeps have left which died."""
        return [info for info in self._store.list(SYSTEM, SWEEPS) if now - info.modified > STALE_AFTER]

    def _is_safe(self, file_id: str, before: datetime | None) -> bool:
        try:
            stored = self._store.stat(FILES, file_id).modified
        except NotFoundError:
            return False
        return before is None or stored >= before

    def _before(self, info: ObjectInfo) -> datetime | None:
        try:
            return Announcement.model_validate_json(self._store.get(SYSTEM, info.key)).before
        except NotFoundError:  # it ended
            return None
        except ValidationError:  # nothing that is younger than the shortest time is ever taken
            return info.modified - _SHORTEST
