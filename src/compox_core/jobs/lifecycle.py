"""The life of a job from its claim to its end. Nobody else decides a final status."""

from __future__ import annotations

import logging
from contextlib import suppress

from compox_core.errors import NotFoundError, StorageError
from compox_core.jobs.work import Outcome
from compox_core.records import ErrorInfo, Job, Rung, TaskRecord, TaskStatus
from compox_core.storage import FileStore
from compox_core.storage.telling import tell
from compox_core.tasks import Holder, LiveTask, LiveTasks, Presence

logger = logging.getLogger(__name__)

RUNGS: dict[Rung, str] = {
    "flag": "it saw the request",
    "exception": "an exception was raised in its code",
    "terminate": "its process was terminated",
    "kill": "its process was killed with all its children",
    "abandoned": "its thread could not be ended and was left behind; what it still does is lost",
}


class Lifecycle:
    """Begins jobs and says how they ended, for the executor that runs them in between."""

    def __init__(self, live: LiveTasks, presence: Presence, files: FileStore) -> None:
        self._live = live
        self._presence = presence
        self._files = files

    @property
    def holder(self) -> Holder:
        """This process, as it claims jobs."""
        return self._presence.holder

    def waiting(self, job: Job) -> TaskRecord | None:
        """Return the record of a job that waits in this process; None where it does not. Does no I/O."""
        task = self._live.get(job.id)
        return None if task is None else task.record

    def begin(self, job: Job) -> LiveTask | None:
        """Claim a job; None where it has ended, or another process has it. Raises StorageError."""
        task = self._live.get(job.id)
        if task is None:
            try:
                record = self._live.stores.of(job.kind).load(job.id)
            except StorageError as problem:
                if problem.code != "invalid_record":
                    raise
                tell(logger, logging.ERROR, "%s Its job is left alone.", problem)
                return None
            if record.status.final:
                return None
            task = self._live.add(record)
        self._live.prepare()
        self._presence.ensure()
        if not task.claim(self._presence.holder):
            if not task.claimed:
                self._live.discard(task)
            return None
        return task

    def conclude(self, task: LiveTask, outcome: Outcome) -> None:
        """Record how a job ended, by what its work says and what was asked of it meanwhile."""
        if task.done.is_set():  # given up before it came back
            self._withdraw(task)
            return
        try:
            if outcome.status is TaskStatus.STOPPED or task.rung is not None:
                counts = self._stopped(task)
            else:
                counts = task.finish(outcome.status, error=outcome.error, **outcome.fields)
            if not counts or task.status is not TaskStatus.COMPLETED:
                self._withdraw(task)
        finally:
            self._live.settle(task)

    def stop_waiting(self, task: LiveTask) -> bool:
        """End a job as STOPPED that has not begun; False where it has. Raises StorageError."""
        self._presence.ensure()
        if not task.claim(self._presence.holder):
            return False
        task.write_log("WARNING", "The task was stopped before it began.")
        task.finish(TaskStatus.STOPPED)
        self._live.settle(task)
        return True

    def leave_running(self, task: LiveTask, seconds: float) -> None:
        """Record how a job ended that the closing engine leaves behind while it runs."""
        message = f"The engine was closed, and the algorithm did not stop within {seconds:.0f} seconds."
        task.write_log("ERROR", message)
        task.finish(TaskStatus.FAILED, error=ErrorInfo(type="StateError", message=message, code="engine_closed"))
        self._live.settle(task)

    def _stopped(self, task: LiveTask) -> bool:
        if task.stop_requested.is_set() and task.rung is None:
            task.rung = "exception" if task.gate.raised else "flag"
        if task.rung is not None:
            task.write_log("WARNING", f"What ended the task: {RUNGS[task.rung]} (rung '{task.rung}').")
        if not task.timed_out:
            return task.finish(TaskStatus.STOPPED)
        limit = task.record.timeout_s
        error = ErrorInfo(
            type="TimeLimitError",
            message=f"The task ran longer than its limit of {limit:g} seconds: give it more time (`timeout_s` of the "
            "request, of [tool.compox] in pyproject.toml, or inference.timeout_s of the server; the smallest counts), "
            "or less to do.",
            code="timed_out",
            details={"timeout_s": limit},
            retryable=False,
        )
        task.write_log("ERROR", error.message)
        return task.finish(TaskStatus.FAILED, error=error)

    def _withdraw(self, task: LiveTask) -> None:
        """Remove the files that a job has stored of which nobody will be told, where its work could not."""
        for file_id in list(task.files):
            try:
                with suppress(NotFoundError):  # the algorithm has cleared up itself
                    self._files.discard(file_id)
            except OSError as problem:  # a StorageError is one; retention removes the file in time
                logger.warning("[%s] An output of no use, %s, could not be removed: %s", task.id, file_id, problem)
            task.withdrawn(file_id)
