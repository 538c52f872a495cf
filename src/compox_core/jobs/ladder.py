"""A stop of a job in a thread of this process: the flag, then an exception in its code, then nobody waits any more."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from compox_core.jobs.rungs import Deadlines
from compox_core.settings.models import Stop
from compox_core.storage.telling import tell
from compox_core.tasks import LiveTask

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 0.1
RETRY_SECONDS = 1.0
MOST_SECONDS = 3600.0
"""How long the watcher sleeps at most; some systems cannot wait for as long as a time limit may be."""


class ThreadLadder:
    """Sees to it that jobs which are told to stop, or have used up their time, end.

    One thread watches over all of them, from the first one on: at the exit of an interpreter none can be started.

    Args:
        stop: How long each rung may take.
        abandon: Called when nothing has ended the job: record its end, and run other jobs in another thread.
    """

    def __init__(self, stop: Stop, abandon: Callable[[LiveTask], None]) -> None:
        self._deadlines = Deadlines((stop.flag_seconds, stop.exception_seconds))
        self._abandon = abandon
        self._changed = threading.Condition()
        self._woken = False
        self._climbs: list[_Climb] = []
        self._watcher: threading.Thread | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to watch. Raises RuntimeError where the system has no thread to give."""
        with self._changed:
            if self._watcher is None:
                watcher = threading.Thread(target=self._watch, name="compox-stop", daemon=True)
                watcher.start()
                self._watcher = watcher

    def close(self) -> None:
        """Watch until the jobs that go on have ended, and no longer."""
        self._closed = True
        self._wake()

    def hurry(self, seconds: float) -> None:
        """Have every stop, also those under way, come to its end well within `seconds` from now."""
        self._deadlines.hurry(seconds)
        self._wake()

    @contextmanager
    def watching(self, task: LiveTask) -> Iterator[None]:
        """Climb when the job is to end within the block, which does its work."""
        climb = _Climb(task, self._deadlines, self._give_up)
        with self._changed:
            self._climbs.append(climb)
        task.on_stop(self._wake)
        if climb.deadline is not None:
            self._wake()
        try:
            yield
        finally:
            climb.over = True
            with self._changed:
                self._climbs.remove(climb)
                if self._closed:
                    self._wake()

    def _wake(self) -> None:
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def _watch(self) -> None:
        pause = MOST_SECONDS
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._woken, pause)
                self._woken = False
                climbs = list(self._climbs)
                if self._closed and not climbs:
                    self._watcher = None
                    return
            pause = min((self._step(climb) for climb in climbs), default=MOST_SECONDS)

    def _step(self, climb: _Climb) -> float:
        try:
            return climb.step()
        except Exception as problem:  # one job must not end the watch over all others
            tell(logger, logging.ERROR, "A stop failed and will be tried again: %s", problem, exc_info=problem)
            return RETRY_SECONDS

    def _give_up(self, task: LiveTask) -> None:
        try:
            threading.Thread(target=self._abandon_safely, args=(task,), name="compox-give-up", daemon=True).start()
        except RuntimeError:  # no thread to be had: other stops wait for the store meanwhile
            self._abandon_safely(task)

    def _abandon_safely(self, task: LiveTask) -> None:
        try:
            self._abandon(task)
        except Exception as problem:  # whatever the store does, the thread of the executor is given up
            tell(logger, logging.ERROR, "The end of %s could not be recorded: %s", task.id, problem)


class _Climb:
    """Where the stop of one job is."""

    def __init__(self, task: LiveTask, deadlines: Deadlines, give_up: Callable[[LiveTask], None]) -> None:
        limit = task.record.timeout_s
        self.deadline = None if limit is None else time.monotonic() + limit
        self.over = False
        self._task = task
        self._deadlines = deadlines
        self._give_up = give_up
        self._began: float | None = None
        self._raising_since: float | None = None

    def step(self) -> float:
        """Do what is due; return in how many seconds something will be, at most `MOST_SECONDS`."""
        now = time.monotonic()
        if not self.over and not self._task.stop_requested.is_set() and self.deadline is not None:
            if now < self.deadline:
                return min(self.deadline - now, MOST_SECONDS)
            self._task.time_out()
        if self.over or not self._task.stop_requested.is_set():
            return MOST_SECONDS
        if self._began is None:
            self._began = now
        left = self._deadlines.left(0, self._began)
        if left > 0 and self._raising_since is None:
            return left
        if self._raising_since is None:
            self._raising_since = now
        left = self._deadlines.left(1, self._raising_since)
        if left > 0:
            self._task.gate.raise_in_thread()
            return min(left, AGAIN_SECONDS)
        self.over = True
        self._task.write_log(
            "ERROR",
            f"The algorithm did not stop within {now - self._began:.1f} seconds, and a thread cannot be ended "
            "by force: it is left behind, and may still use memory and the processor. "
            "The executor 'processes' can end any algorithm.",
        )
        self._task.rung = "abandoned"
        self._give_up(self._task)
        return MOST_SECONDS
