"""Whether the algorithms of a store have changed since somebody looked, without looking at all of them.

    writer   announce that it is about to change something; change it; set the generation to something new; take the
             announcement back
    reader   read the generation, then the announcements; where there is none, what was read of the algorithms under
             this generation counts, or they are read now, and kept under it

A change that has ended has set a new generation, so what is kept under the present one is no older than the last that
had ended when it was read. A writer that dies between its change and the generation leaves its announcement: then
everybody reads everything, until a garbage collection sets a new generation and takes it away.

In `system-store`: `algorithm-changes/<id>` and `algorithm-generation`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from compox_core.errors import NotFoundError, StorageError
from compox_core.identity import new_id, new_token
from compox_core.storage.collections import SYSTEM
from compox_core.storage.objects import ObjectStore

logger = logging.getLogger(__name__)

CHANGES = "algorithm-changes/"
GENERATION = "algorithm-generation"


class Changes:
    """The announced and the finished changes of one store. Holds no state of its own."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @contextmanager
    def announced(self) -> Iterator[None]:
        """Change something in the block. Raises StorageError before it where the store refuses."""
        key = CHANGES + new_id()
        self._store.create(SYSTEM, key, b"")
        try:
            yield
        finally:
            try:
                self.finish(key)
            except StorageError as error:
                # What was done was done; lists only take longer as long as the announcement is there.
                logger.warning("An announced change of algorithms stays announced: %s", error)

    def finish(self, key: str) -> None:
        """Take an announcement back; whoever kept something reads it again. Raises StorageError."""
        self._store.put(SYSTEM, GENERATION, new_token().encode())
        self._store.delete(SYSTEM, key)

    def generation(self) -> str | None:
        """Return a text that differs after every change; None while something is being changed. Raises StorageError."""
        try:
            text = self._store.get(SYSTEM, GENERATION).decode("ascii", "replace")
        except NotFoundError:
            text = "none"
        return None if any(True for _ in self._store.list(SYSTEM, CHANGES)) else text
