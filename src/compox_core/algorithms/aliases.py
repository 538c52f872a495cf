"""Ids that algorithms had in other stores, and which algorithms here they mean.

In `system-store`: `algorithm-aliases/<id>`, with the id of the algorithm. Read only where no algorithm here has the id
that somebody asked for, and never followed twice.
"""

from __future__ import annotations

from compox_core.algorithms.shelves import is_algorithm_id
from compox_core.errors import ConflictError, NotFoundError
from compox_core.storage.collections import SYSTEM
from compox_core.storage.objects import ObjectStore

ALIASES = "algorithm-aliases/"


class Aliases:
    """The aliases in one store. Holds no state of its own."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def target(self, alias: str) -> str | None:
        """Return the id of the algorithm that an id means, whether or not it is there; None where it is no alias."""
        if not is_algorithm_id(alias):
            return None
        try:
            text = self._store.get(SYSTEM, ALIASES + alias).decode("ascii", "replace")
        except NotFoundError:
            return None
        return text if is_algorithm_id(text) else None

    def create(self, alias: str, target: str) -> bool:
        """Let an id mean an algorithm from now on; False, and nothing happens, where it means one already."""
        try:
            self._store.create(SYSTEM, ALIASES + alias, target.encode())
        except ConflictError:
            return False
        return True

    def replace(self, alias: str, target: str) -> None:
        """Let an id that meant an algorithm which is gone mean another one."""
        self._store.put(SYSTEM, ALIASES + alias, target.encode())
