"""What removes things: it counts them, says how far it is, and with `dry_run` leaves them where they are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from compox_core.errors import StorageError
from compox_core.jobs.retention.report import Ledger, Report
from compox_core.storage import ObjectInfo, ObjectStore

logger = logging.getLogger(__name__)

Progress = Callable[[float], None]
T = TypeVar("T")

MOST_FAILURES = 10
"""So many things of one step may refuse to go; then the step is given up."""


class Broom:
    """One pass over a store. `ended` is asked before each removal; True ends the pass there.

    `now` is the time that ages count to. `in_doubt` says that in this step an answer was lost: what it was about may
    still be removed later.
    """

    def __init__(
        self,
        store: ObjectStore,
        now: datetime,
        *,
        dry_run: bool = False,
        progress: Progress = lambda share: None,
        ended: Callable[[], bool] = lambda: False,
    ) -> None:
        self.store = store
        self.now = now
        self.dry_run = dry_run
        self.ended = ended
        self.ledger = Ledger()
        self.in_doubt = False
        self._progress = progress
        self._from, self._to = 0.0, 1.0
        self._failures = 0

    def report(self) -> Report:
        """Return what was done."""
        return self.ledger.report(dry_run=self.dry_run)

    @contextmanager
    def step(self, number: int, of: int) -> Iterator[None]:
        """Do one of so many steps in the block; where the store fails, the pass goes on with the next step."""
        self._from, self._to = number / of, (number + 1) / of
        self._failures, self.in_doubt = 0, False
        try:
            yield
        except StorageError as error:
            logger.warning("A step of clearing up was given up: %s", error)
            self.ledger.problem(str(error))
        self._progress(self._to)

    def each(self, things: Sequence[T]) -> Iterator[T]:
        """Yield the things that a step is about, until the pass is to end."""
        for number, thing in enumerate(things):
            if self.ended():
                return
            yield thing
            self._progress(self._from + (self._to - self._from) * (number + 1) / len(things))

    def delete(self, collection: str, objects: Sequence[ObjectInfo], what: str) -> None:
        """Remove objects that are one thing together, in this order; it counts once, where its last was there."""
        there = True

        def act() -> bool:
            nonlocal there
            for info in objects:
                there = self.store.delete(collection, info.key)
            return there

        self.remove(collection, what, sum(info.size for info in objects), act)

    def remove(self, place: str, what: str, size: int, act: Callable[[], bool]) -> None:
        """Remove something by `act`, which says whether it was there."""
        try:
            if self.dry_run or act():
                self.ledger.removed(place, what, size)
        except OSError as error:  # a StorageError is one
            self._failures += 1
            self.in_doubt |= isinstance(error, StorageError) and error.retryable
            if self._failures > MOST_FAILURES:
                raise error if isinstance(error, StorageError) else StorageError(str(error)) from error
            logger.warning("Could not be removed from %s: %s", place, error)
            self.ledger.problem(str(error))
