"""A stop of a job in a worker process: the flag, an exception in its code, its termination, the kill of its tree."""

from __future__ import annotations

import time
from collections.abc import Callable

from compox_core.jobs.processes.worker import Worker
from compox_core.jobs.rungs import Deadlines
from compox_core.records import Rung
from compox_core.settings.models import Stop

AGAIN_SECONDS = 0.1


class ProcessLadder:
    """Climbs until the job has ended; all workers of an executor share it.

    Args:
        stop: How long each rung may take.
    """

    def __init__(self, stop: Stop) -> None:
        self._kill_seconds = stop.kill_seconds
        self._deadlines = Deadlines(
            (stop.flag_seconds, stop.exception_seconds, stop.terminate_seconds, stop.kill_seconds)
        )

    def hurry(self, seconds: float) -> None:
        """Have every stop, also those under way, come to its end well within `seconds` from now."""
        self._deadlines.hurry(seconds)

    def climb(self, worker: Worker) -> Rung | None:
        """See to it that the worker's job ends; return what ended its process, None where the work returned."""
        worker.ask_to_stop()
        if self._settled(worker, 0):
            return None
        if self._settled(worker, 1, worker.raise_stop):
            return None
        worker.terminate()
        if self._gone(worker, 2):
            return None if worker.outcome is not None else "terminate"
        worker.kill(self._kill_seconds)
        if self._gone(worker, 3):
            return None if worker.outcome is not None else "kill"
        return "abandoned"

    def _settled(self, worker: Worker, rung: int, again: Callable[[], None] | None = None) -> bool:
        return self._wait(worker, rung, lambda: worker.settled, again)

    def _gone(self, worker: Worker, rung: int) -> bool:
        return self._wait(worker, rung, lambda: worker.gone, None)

    def _wait(self, worker: Worker, rung: int, over: Callable[[], bool], again: Callable[[], None] | None) -> bool:
        began = time.monotonic()
        while True:
            if again is not None:
                again()
            left = self._deadlines.left(rung, began)
            with worker.changed:
                if over():
                    return True
                if left <= 0:
                    return False
                worker.changed.wait(left if again is None else min(left, AGAIN_SECONDS))
