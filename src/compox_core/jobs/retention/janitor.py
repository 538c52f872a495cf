"""Sweeps a store every so often, for as long as an engine is open."""

from __future__ import annotations

import logging
import threading

from compox_core.jobs.retention.report import Report
from compox_core.jobs.retention.retention import Retention
from compox_core.storage.telling import tell

logger = logging.getLogger(__name__)

FIRST_SECONDS = 60.0
"""After so long at most a store is swept for the first time: a server has other things to do when it starts."""

_JOIN_SECONDS = 5.0


class Janitor:
    """Removes what has expired, in a thread of its own. An error is logged, and the next sweep tries again.

    Args:
        every_seconds: From the end of one sweep to the begin of the next.
        first_seconds: From the start to the first one.
    """

    def __init__(self, retention: Retention, every_seconds: float, *, first_seconds: float | None = None) -> None:
        self._retention = retention
        self._every = every_seconds
        self._first = min(every_seconds, FIRST_SECONDS) if first_seconds is None else first_seconds
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Sweep every so often from now on."""
        self._thread = threading.Thread(target=self._run_forever, name="compox-janitor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; a sweep that goes on ends with the object that it is at."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)  # the store may not answer

    def _run_forever(self) -> None:
        pause = self._first
        while not self._closed.wait(pause):
            pause = self._every
            try:
                self._retention.tell_ages()
                _say(self._retention.sweep(ended=self._closed.is_set))
            except Exception as problem:  # whatever it is, a sweep that fails must not be the last
                tell(logger, logging.WARNING, "The store could not be swept, will try again: %s", problem)


def _say(report: Report) -> None:
    tell(logger, logging.INFO if report.count else logging.DEBUG, "%s", report)
