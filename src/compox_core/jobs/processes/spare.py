"""Workers that are started, or about to be."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable

from compox_core.jobs.processes.crash import how_it_ended, start_error
from compox_core.jobs.processes.launch import Launch
from compox_core.jobs.processes.worker import Worker
from compox_core.records.plain import said

logger = logging.getLogger(__name__)

START_SECONDS = 120.0
GIVE_UP_SECONDS = 30.0
"""How long a job waits while no worker can be started, for want of memory, processes, descriptors or time."""
HOPELESS_SECONDS = 5.0
"""The same where a worker ended by itself, saying why, or its program is not there: waiting changes that rarely."""


class NotStartedError(Exception):
    """A worker process could not be started; `info` is what a record says of it.

    `hopeless`: because of what is installed, more likely than of how busy the machine is at the moment.
    """

    def __init__(self, why: str, tail: str = "", *, hopeless: bool = False) -> None:
        super().__init__(why)
        self.info = start_error(why, tail)
        self.hopeless = hopeless

    @property
    def patience(self) -> float:
        """How long such failures last, in seconds, before somebody must hear of them."""
        return HOPELESS_SECONDS if self.hopeless else GIVE_UP_SECONDS


class Spare:
    """Starts workers; keeps one more than is needed, where asked to, so that one that had to go is replaced at once."""

    def __init__(self, launch: Launch, keep: bool) -> None:
        self._launch = launch
        self._keep = keep
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: Worker | None = None

    def take(self, tell: Callable[[Worker], None]) -> Worker:
        """Return a worker that waits for jobs; `tell` is called with it before it is ready. Raises NotStartedError."""
        with self._lock:
            worker, self._waiting = self._waiting, None
        if worker is None or worker.gone:
            try:
                worker = self._start()
            except Exception as problem:  # no program, no memory, no threads, settings that JSON cannot hold
                raise NotStartedError(said(problem), hopeless=not _passes(problem)) from problem
        tell(worker)
        with worker.changed:
            worker.changed.wait_for(lambda: worker.ready or worker.gone, START_SECONDS)
        if worker.ready and not worker.gone:
            self.refill()
            return worker
        worker.kill()
        how = how_it_ended(worker.status) if worker.gone else f"was not ready after {START_SECONDS:.0f} seconds"
        by_itself = worker.status is not None and worker.status >= 0
        raise NotStartedError(f"it {how}.", worker.tail(), hopeless=worker.gone and by_itself)

    def refill(self) -> None:
        """Start the worker that is kept in reserve, where there is none."""
        with self._lock:
            if not self._keep or (self._waiting is not None and not self._waiting.gone):
                return
            try:
                self._waiting = self._start()
            except Exception as problem:  # as above
                logger.warning("No spare worker process could be started: %s", problem)

    def close(self) -> list[Worker]:
        """Keep none any more; return what there is, for its end."""
        with self._lock:
            self._keep = False
            worker, self._waiting = self._waiting, None
        return [] if worker is None else [worker]

    def _start(self) -> Worker:
        worker = Worker(self._launch, next(self._numbers))
        worker.start()
        return worker


def _passes(problem: Exception) -> bool:
    """Return whether the machine is short of something; a thread that cannot be started is a RuntimeError."""
    if isinstance(problem, OSError):
        return not isinstance(problem, FileNotFoundError | NotADirectoryError | PermissionError)
    return isinstance(problem, RuntimeError | MemoryError)
