"""Jobs that a message names, run here one by one for whoever receives the messages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from compox_core.engine.tasks import Desk
from compox_core.errors import NotFoundError
from compox_core.records import Job

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5


class Inbox:
    """Has each job run that comes in, and waits for it. A job that comes twice at a time is run once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside: set[Job] = set()

    def run(self, desk: Desk, job: Job, closed: Callable[[], bool]) -> None:
        """Return when a recorded job has ended, is another process's to run, or `closed` says that none is run.

        Raises StateError where no job is taken any more, and StorageError.
        """
        with self._lock:
            if job in self._inside:
                return
            self._inside.add(job)
        try:
            self._run(desk, job, closed)
        finally:
            with self._lock:
                self._inside.discard(job)

    def _run(self, desk: Desk, job: Job, closed: Callable[[], bool]) -> None:
        present = desk.live.get(job.id)
        if present is not None and present.unsettled:
            return  # it waits or runs here already, or has ended and the store is about to know
        stored = desk.live.stores.of(job.kind)
        try:
            record = stored.load(job.id)
        except NotFoundError:
            logger.warning("There is no %s %s (any more): its message is dropped.", job.kind.value, job.id)
            return
        if record.status.final:
            stored.clear_stop(job.id)  # it was stopped while it waited, by somebody who does not know where
            return
        task = desk.live.add(record)
        try:
            desk.executor.submit(job)
        except BaseException:  # whatever it is, it is raised again
            desk.live.discard(task)
            raise
        while not task.done.wait(LOOK_SECONDS) and not closed():
            pass  # a job that waits when the engine closes has no end here
