"""A stop of a job in a thread of this process: the flag, then an exception in its code, then nobody waits any more."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from compox_core.jobs.rungs import Deadlines
from compox_core.settings.models import Stop
from compox_core.tasks import LiveTask

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 0.1


class ThreadLadder:
    """Sees to it that a job which is told to stop, or has used up its time, ends.

    Args:
        stop: How long each rung may take.
        abandon: Called when nothing has ended the job: record its end, and run other jobs in another thread.
    """

    def __init__(self, stop: Stop, abandon: Callable[[LiveTask], None]) -> None:
        self._deadlines = Deadlines((stop.flag_seconds, stop.exception_seconds))
        self._abandon = abandon

    def hurry(self, seconds: float) -> None:
        """Have every stop, also those under way, come to its end well within `seconds` from now."""
        self._deadlines.hurry(seconds)

    @contextmanager
    def watching(self, task: LiveTask) -> Iterator[None]:
        """Climb when the job is to end within the block, which does its work."""
        over = threading.Event()
        climbing = threading.Lock()

        def climb_in_a_thread() -> None:
            if climbing.acquire(blocking=False):  # once for a job
                threading.Thread(target=self._climb, args=(task, over), name="compox-stop", daemon=True).start()

        timer: threading.Timer | None = None
        if task.record.timeout_s is not None:
            timer = threading.Timer(task.record.timeout_s, task.time_out)
            timer.daemon = True
            timer.start()
        task.on_stop(climb_in_a_thread)
        try:
            yield
        finally:
            over.set()
            if timer is not None:
                timer.cancel()

    def _climb(self, task: LiveTask, over: threading.Event) -> None:
        began = time.monotonic()
        if self._over(over, 0) or self._over(over, 1, task.gate.raise_in_thread):
            return
        task.write_log(
            "ERROR",
            f"The algorithm did not stop within {time.monotonic() - began:.1f} seconds, and a thread cannot be ended "
            "by force: it is left behind, and may still use memory and the processor. "
            "The executor 'processes' can end any algorithm.",
        )
        task.rung = "abandoned"
        with suppress(Exception):  # whatever the store does, the thread of the executor is given up
            self._abandon(task)

    def _over(self, over: threading.Event, rung: int, again: Callable[[], object] = lambda: None) -> bool:
        """Return whether the job has ended within the time of a rung."""
        began = time.monotonic()
        while (left := self._deadlines.left(rung, began)) > 0:
            again()
            if over.wait(min(left, AGAIN_SECONDS)):
                return True
        return over.is_set()
