"""How somebody who removes data files and somebody who begins to use one do not miss each other.

    sweep   announce what it may take: files stored before some time; read who needs files; delete the others of
            these; take the announcement back
    delete  announce the file; read who holds it; delete it where nobody does; take the announcement back
    user    store what says that it needs the files (a queued job with its record, the pins of a sample); read the
            announcements; then look at each file; give up where one is missing or announced

Of a sweep or deletion and a user that meet, one sees the other: the sweep what the user has stored, and keeps the file,
or the user the announcement, and gives up; both at once may happen. Who finds the announcement gone finds the file as
the sweep has left it. To look at the files before the announcements would be wrong: a sweep may end in between.

A sweep looks at whatever needs files. A deletion looks at samples only: somebody wants it, and a job that waits may
lose an input by it.

In `system-store`: `sweeps/<id>` with the time, and `sweeps.<id>.<name of the file>` with nothing in it: that one takes
no room, so that a file can be deleted from a disk that is full. What a sweep that died has left stands in the way of
nobody but those who want a file that is too old anyway, what a deletion has left of those who want that file; both go
after a day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from pydantic import BaseModel, ValidationError

from compox_core.errors import NotFoundError
from compox_core.identity import new_id
from compox_core.storage.collections import FILES, SYSTEM
from compox_core.storage.file_places import places
from compox_core.storage.objects import ObjectInfo, ObjectStore

SWEEPS = "sweeps/"
DELETIONS = "sweeps."
_BOTH = "sweeps"
STALE_AFTER = timedelta(days=1)
"""An announcement that is older has been left by a sweep that died: none lasts nearly as long."""

_SHORTEST = timedelta(days=1)


class Announcement(BaseModel):
    """What a sweep may take: files stored before this time (UTC)."""

    before: datetime


class Expiry:
    """The sweeps and deletions of data files that go on in a store. Holds no state of its own."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @contextmanager
    def announced(self, before: datetime) -> Iterator[None]:
        """Announce that files stored before this time may be taken; read who needs files inside the block."""
        with self._announced(f"{SWEEPS}{new_id()}", Announcement(before=before).model_dump_json().encode()):
            yield

    @contextmanager
    def deleting(self, file_id: str) -> Iterator[None]:
        """Announce that a file of this name may be deleted; read who holds it inside the block."""
        with self._announced(f"{DELETIONS}{new_id()}.{file_id}", b""):
            yield

    @contextmanager
    def _announced(self, key: str, content: bytes) -> Iterator[None]:
        self._store.create(SYSTEM, key, content)
        yield  # not in a `try`: after an error a deletion may still be on its way to the store
        self._store.delete(SYSTEM, key)

    def endangered(self, keys: Sequence[str]) -> list[str]:
        """Return those of `keys` under which nothing is stored, or something that may be taken at this moment.

        They are in their order.
        """
        going_on = list(self._store.list(SYSTEM, _BOTH))
        deleted = {key for info in going_on if info.key.startswith(DELETIONS) for key in places(_name_in(info.key))}
        times = [self._before(info) for info in going_on if info.key.startswith(SWEEPS)]
        before = max((time for time in times if time is not None), default=None)
        return [key for key in keys if key in deleted or not self._is_safe(key, before)]

    def stale(self, now: datetime) -> list[ObjectInfo]:
        """Return the announcements that sweeps and deletions have left which died."""
        return [info for info in self._store.list(SYSTEM, _BOTH) if now - info.modified > STALE_AFTER]

    def _is_safe(self, key: str, before: datetime | None) -> bool:
        try:
            stored = self._store.stat(FILES, key).modified
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


def _name_in(key: str) -> str:
    return key.removeprefix(DELETIONS).partition(".")[2]
