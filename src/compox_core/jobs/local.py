"""From a job to its end, in the thread that calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from compox_core.jobs.ladder import ThreadLadder
from compox_core.jobs.lifecycle import Lifecycle
from compox_core.jobs.work import Outcome, Work, perform
from compox_core.records import Job, JobKind, TaskStatus
from compox_core.tasks import LiveTask
from compox_core.tasks.memory import free_device_memory


class LocalRun:
    """Runs a job in the thread that calls it, and records how it ended.

    `unload` frees the memory of a GPU, where a job found too little of it.
    """

    def __init__(
        self, lifecycle: Lifecycle, works: Mapping[JobKind, Work], unload: Callable[[], None] = free_device_memory
    ) -> None:
        self._lifecycle = lifecycle
        self._works = works
        self._unload = unload

    def __call__(self, job: Job, ladder: ThreadLadder) -> None:
        """Run the job. Raises StorageError and RuntimeError where it could not begin, and KeyboardInterrupt."""
        ladder.start()
        task = self._lifecycle.begin(job)
        if task is None:
            return
        with ladder.watching(task):
            outcome = perform(task, self._works[job.kind], self._unload)
        self._lifecycle.conclude(task, outcome)
        if outcome.interrupted:
            raise KeyboardInterrupt

    def give_up(self, task: LiveTask) -> None:
        """Record the end of a job that nothing ends."""
        self._lifecycle.conclude(task, Outcome(status=TaskStatus.STOPPED))
