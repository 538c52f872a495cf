"""How a process that holds jobs shows other processes that it lives."""

from __future__ import annotations

import functools
import json
import logging
import threading
from collections.abc import Callable

from compox_core.holder import Holder, host_mark, process_started, this_process
from compox_core.identity import new_id, since_boot
from compox_core.storage import SYSTEM, ObjectStore
from compox_core.storage.telling import tell

__all__ = ["PROCESSES", "Holder", "Presence", "host_mark", "process_started", "this_process"]

logger = logging.getLogger(__name__)

PROCESSES = "processes/"
"""Under it lie the heartbeats, in the collection of the system."""

_CLOSE_SECONDS = 5.0


class Presence:
    """Shows other processes that this one lives: an object in the store whose counter rises.

    In a store that no other process can open there is nobody to show it to: nothing is written, no thread runs.

    Args:
        heartbeat_seconds: How often the counter rises.
        lost_after_seconds: How long it may stand still before others take this process for dead.
        on_pause: Called from any thread after a beat that came later than that, as when the process was suspended or
            the store was out of reach: others may have decided meanwhile what this process holds.
        clock: Seconds from any start; only their differences count.
    """

    def __init__(
        self,
        store: ObjectStore,
        heartbeat_seconds: float,
        lost_after_seconds: float = 20.0,
        *,
        on_pause: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = since_boot,
    ) -> None:
        self.incarnation = new_id()
        self.on_pause = on_pause
        self._store = store
        self._heartbeat = heartbeat_seconds
        self._lost_after = lost_after_seconds
        self._clock = clock
        self._beating = threading.Lock()
        self._starting = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._count = 0
        self._last: float | None = None
        self._failing = False

    @functools.cached_property
    def holder(self) -> Holder:
        """This process, as it signs what it holds."""
        return this_process(self.incarnation)

    def ensure(self) -> None:
        """See to it that others can know that this process lives; call it before a job is accepted or claimed.

        The first call writes the object and starts the thread; one that comes late, as after a pause, beats at once.
        Others cost nothing. Raises StorageError when the store takes no beat that is due.
        """
        if not self._store.shared or self._closed.is_set():
            return
        if not self.fresh():
            self.beat_now()
        if self._thread is None:
            with self._starting:
                if self._thread is None and not self._closed.is_set():
                    thread = threading.Thread(target=self._beat_forever, name="compox-heartbeat", daemon=True)
                    thread.start()
                    self._thread = thread

    def fresh(self) -> bool:
        """Return whether a beat reached the store so lately that nobody can take this process for dead; no I/O."""
        if not self._store.shared:
            return True
        return self._last is not None and self._clock() - self._last <= self._lost_after / 2

    def beat_now(self) -> None:
        """Let the counter rise. Raises StorageError."""
        with self._beating:
            if self._closed.is_set():
                return
            self._count += 1
            content = {"holder": self.holder.model_dump(), "count": self._count}
            began = self._clock()
            self._store.put(SYSTEM, PROCESSES + self.incarnation, json.dumps(content).encode())
            paused = self._last is not None and self._clock() - self._last > self._lost_after
            self._last = began  # what happened while the beat was on its way is not known: count from before it
        if paused:
            try:
                self.on_pause()
            except Exception as problem:  # it looks at jobs, of which each may fail in its own way; the beat was well
                tell(
                    logger,
                    logging.WARNING,
                    "After a pause of this process its jobs could not all be looked at: %s",
                    problem,
                )

    def close(self) -> None:
        """End the thread and remove the object: what this process still holds is given up."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)  # a beat may hang in a store that does not answer
        if self._count == 0:
            return
        try:
            self._store.delete(SYSTEM, PROCESSES + self.incarnation)
        except OSError as problem:  # a StorageError is one; others remove the object once it stood still for long
            tell(logger, logging.WARNING, "The heartbeat of this process could not be removed: %s", problem)

    def _beat_forever(self) -> None:
        while not self._closed.wait(self._heartbeat):
            try:
                self.beat_now()
            except Exception as problem:  # whatever it is, a process that lives must go on saying so
                if not self._failing:
                    tell(
                        logger,
                        logging.WARNING,
                        "The heartbeat of this process cannot be stored, will try on: %s",
                        problem,
                    )
                self._failing = True
            else:
                self._failing = False
