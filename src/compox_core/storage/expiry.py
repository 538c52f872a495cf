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

In `system-store`: `sweeps/<id>`. What a sweep that died has left stands in the way of nobody but those who want a
file that is too old anyway, what a deletion has left of those who want that file; both go after a day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from pydantic import BaseModel, Field, ValidationError

from compox_core.errors import NotFoundError
from compox_core.identity import new_id
from compox_core.storage.collections import FILES, SYSTEM
from compox_core.storage.objects import ObjectInfo, ObjectStore

SWEEPS = "sweeps/"
STALE_AFTER = timedelta(days=1)
"""An announcement that is older has been left by a sweep that died: none lasts nearly as long."""

_SHORTEST = timedelta(days=1)


class Announcement(BaseModel):
    """What may be taken: files stored before this time (UTC), and those under these keys."""

    before: datetime | None = None
    keys: list[str] = Field(default_factory=list)


class Expiry:
    """The sweeps and deletions of data files that go on in a store. Holds no state of its own."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @contextmanager
    def announced(self, before: datetime) -> Iterator[None]:
        """Announce that files stored before this time may be taken; read who needs files inside the block."""
        with self._announced(Announcement(before=before)):
            yield

    @contextmanager
    def deleting(self, keys: Sequence[str]) -> Iterator[None]:
        """Announce that the objects under these keys may be deleted; read who holds them inside the block."""
        with self._announced(Announcement(keys=list(keys))):
            yield

    @contextmanager
    def _announced(self, announcement: Announcement) -> Iterator[None]:
        key = f"{SWEEPS}{new_id()}"
        self._store.create(SYSTEM, key, announcement.model_dump_json().encode())
        yield  # not in a `try`: after an error a deletion may still be on its way to the store
        self._store.delete(SYSTEM, key)

    def endangered(self, keys: Sequence[str]) -> list[str]:
        """Return those of `keys` under which nothing is stored, or something that may be taken at this moment.

        They are in their order.
        """
        going_on = [self._read(info) for info in self._store.list(SYSTEM, SWEEPS)]
        before = max((each.before for each in going_on if each.before is not None), default=None)
        announced = {key for each in going_on for key in each.keys}
        return [key for key in keys if key in announced or not self._is_safe(key, before)]

    def stale(self, now: datetime) -> list[ObjectInfo]:
        """Return the announcements that sweeps and deletions have left which died."""
        return [info for info in self._store.list(SYSTEM, SWEEPS) if now - info.modified > STALE_AFTER]

    def _is_safe(self, key: str, before: datetime | None) -> bool:
        try:
            stored = self._store.stat(FILES, key).modified
        except NotFoundError:
            return False
        return before is None or stored >= before

    def _read(self, info: ObjectInfo) -> Announcement:
        try:
            return Announcement.model_validate_json(self._store.get(SYSTEM, info.key))
        except NotFoundError:  # it ended
            return Announcement()
        except ValidationError:  # left by a power cut; no sweep takes what is younger than the shortest time
            return Announcement(before=info.modified - _SHORTEST)
