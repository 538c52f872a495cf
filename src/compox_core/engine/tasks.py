"""The jobs of one kind, as the holder of an engine sees them: look, wait, stop, delete."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, cast

from pydantic_core import PydanticSerializationError

from compox_core.algorithms.checkpoints import with_checkpoint
from compox_core.algorithms.parameters import check_arguments
from compox_core.engine.pages import DEFAULT_PAGE, Page, passes, read_page
from compox_core.engine.upkeep import Upkeep
from compox_core.engine.watching import Watched
from compox_core.errors import InvalidInputError, NotFoundError, ParameterError, StorageError
from compox_core.identity import utc_now
from compox_core.jobs import Executor, Lifecycle, Workbench
from compox_core.records import (
    BenchmarkRequest,
    ExecutionRequest,
    Job,
    JobKind,
    TaskRecord,
    TaskStatus,
    TrainingRequest,
)
from compox_core.records.plain import encodable, plain, written
from compox_core.tasks import LiveTask, LiveTasks, Presence, TaskStore

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05
MAX_POLL_SECONDS = 1.0

R = TypeVar("R", bound=TaskRecord)


@dataclass
class Desk:
    """What every kind of job goes through: where it is recorded, queued, begun and ended."""

    bench: Workbench
    live: LiveTasks
    presence: Presence
    lifecycle: Lifecycle
    executor: Executor
    upkeep: Upkeep
    resume: bool


class Tasks(Generic[R]):
    """Jobs of one kind."""

    kind: ClassVar[JobKind]

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._bench = desk.bench
        self._stored: TaskStore = desk.live.stores.of(self.kind)

    def _queue(self, record: R, check: Callable[[], None] = lambda: None, *, contested: bool = False) -> R:
        """Record a job and have it run; `check` is asked once more when nothing can be swept away under it.

        `contested` says that others may submit the same id at the same time; see `TaskStore.create`.
        """
        desk = self._desk
        desk.upkeep.ensure()
        try:
            remote = desk.executor.remote  # then whoever gets the message may begin the job, whatever becomes of us
            self._stored.create(
                record,
                desk.presence.holder,
                resume=desk.resume or remote,
                held=not remote,
                contested=contested,
            )
        except PydanticSerializationError as error:  # a lone surrogate in the token or the device
            raise InvalidInputError(f"This request cannot be recorded: {error}", code="invalid_request") from error
        task: LiveTask | None = None
        try:
            check()
            if not desk.executor.remote:
                task = desk.live.add(record)
            desk.executor.submit(Job(self.kind, record.task_id))
        except BaseException:
            if task is None or not task.done.is_set():
                if task is not None:
                    desk.live.discard(task)
                self._stored.drop(record.task_id)
                self._stored.delete(record.task_id)
            raise
        return record

    def _limit(self, *limits: float | None) -> float | None:
        """Return the smallest of the time limits that apply to a job, in seconds."""
        given = [limit for limit in (*limits, self._bench.settings.inference.timeout_s) if limit is not None]
        return min(given, default=None)

    def _to_run(self, request: ExecutionRequest | BenchmarkRequest | TrainingRequest) -> dict[str, Any]:
        """Return what the record of a job that runs an algorithm says of it, its parameters checked and filled in.

        Raises NotFoundError (`algorithm_not_found`, `minor_version_not_found`, `checkpoint_not_found`),
        InvalidInputError (`invalid_checkpoint`, `checkpoint_asset_incompatible`) and ParameterError.
        """
        version = self._bench.registry.version(request.algorithm_id, request.algorithm_minor_version)
        metadata = version.metadata
        checkpoint_id = None if isinstance(request, BenchmarkRequest) else request.checkpoint_id
        if checkpoint_id:
            with_checkpoint(version, self._bench.checkpoints.get(checkpoint_id))
        training = isinstance(request, TrainingRequest)
        declared = metadata.training_parameters if training else metadata.additional_parameters
        checked = check_arguments(declared, request.additional_parameters or {})
        return {
            **request.model_dump(exclude={"additional_parameters", "timeout_s"}),
            "algorithm_id": version.algorithm_id,
            "resolved_minor_version": str(version.minor),
            "additional_parameters": {name: recordable(name, value) for name, value in checked.items()},
            "time_submitted": utc_now(),
            "timeout_s": self._limit(request.timeout_s, metadata.timeout_s),
            "retries": metadata.retry,
        }

    def get(self, task_id: str) -> R:
        """Return a record as it is now. Raises NotFoundError (`…_record_not_found`)."""
        return self.live(task_id) or cast(R, self._desk.upkeep.load(self._stored, task_id))

    def live(self, task_id: str) -> R | None:
        """Return the record of a job that goes on here, or ended here lately; else None. Does no I/O."""
        task = self._task(task_id)
        return cast(R, task.snapshot()) if task is not None else None

    def _task(self, task_id: str) -> LiveTask | None:
        task = self._desk.live.get(task_id)
        return task if task is not None and task.job.kind is self.kind else None

    def log(self, task_id: str) -> str:
        """Return the whole log of a job, also where the record shows its head and tail only.

        Of a job that another process is still working on, a very long log shows its head and tail.
        """
        task = self._task(task_id)
        if task is not None and (not task.done.is_set() or task.unsaved):
            return task.whole_log()
        record = self.get(task_id)
        chunks = self._stored.log_chunks(task_id)
        return "".join(chunks.values()) if 0 in chunks else record.log

    def stop(self, task_id: str) -> None:
        """Ask a job to stop, wherever it runs; one that waits is STOPPED at once.

        Raises NotFoundError, and ConflictError (`…_not_stoppable`) when it has ended.
        """
        task = self._task(task_id)
        record = task.snapshot() if task is not None else self._desk.upkeep.load(self._stored, task_id)
        if record.status.final:
            raise self._stored.about.not_stoppable(record)
        if task is not None:
            self.stop_task(task)
        elif record.status is not TaskStatus.PENDING or not self._stop_waiting(record):
            self._stored.request_stop(task_id)

    def stop_task(self, task: LiveTask) -> None:
        """Ask a job of this process to stop; one that waits is STOPPED at once."""
        if not self._desk.executor.cancel(task.job):
            task.request_stop()
            return
        try:
            stopped = self._desk.lifecycle.stop_waiting(task)
        except BaseException:  # the store refused: the job waits on, or nobody would ever begin it
            self._desk.executor.submit(task.job)
            raise
        if not stopped and task.claimed and not task.done.is_set():
            task.request_stop()  # it runs here: it was queued twice
        elif not stopped:
            self._stored.clear_stop(task.id)  # another process has stopped it, and said so to this one
            self._desk.live.settle(task)

    def _stop_waiting(self, record: TaskRecord) -> bool:
        """Claim a job that no process has begun, and end it; False where one has."""
        live = self._desk.live
        entry = self._stored.entry(record.task_id)
        task = live.add(record)
        try:
            stopped = self._desk.lifecycle.stop_waiting(task)
        finally:
            live.discard(task)
        if not stopped:
            return False
        if entry is not None and entry.held and entry.home != self._desk.presence.holder:
            self._stored.request_stop(record.task_id)  # so that the process in whose queue it waits lets go of it
        return True

    def wait(self, task_id: str, timeout: float | None = None) -> R:
        """Wait until a job has ended, at most `timeout` seconds; return its record as it is then."""
        deadline = None if timeout is None else time.monotonic() + timeout
        task = self._task(task_id)
        if task is not None:
            task.done.wait(timeout)
            if not task.elsewhere:
                return cast(R, task.snapshot())
        pause = POLL_SECONDS
        while True:
            record = self.get(task_id)
            left = pause if deadline is None else min(pause, deadline - time.monotonic())
            if record.status.final or left <= 0:
                return record
            time.sleep(left)
            pause = min(pause * 1.5, MAX_POLL_SECONDS)

    def list(self) -> Iterator[R]:
        """Yield all records, oldest first; one that cannot be read is left out, and told in the log."""
        return (record for record in map(self._readable, self._stored.ids()) if record is not None)

    def page(
        self,
        *,
        status: TaskStatus | None = None,
        algorithm_ids: Collection[str] | None = None,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[R]:
        """Return the newest records that pass the filters, and where to go on; see `Page`.

        Args:
            status: Only those with this status.
            algorithm_ids: Only those of these algorithms.
            limit: At most so many, from 1 to `MAX_PAGE`.
            cursor: Where an earlier page ended; None for the beginning.

        Raises InvalidInputError (`invalid_cursor`, `invalid_limit`).
        """
        return read_page(self._stored.ids(), self._readable, passes(status, algorithm_ids), limit, cursor)

    def _readable(self, task_id: str) -> R | None:
        try:
            return self.get(task_id)
        except NotFoundError:  # deleted by another process since it was listed
            return None
        except StorageError as error:
            if error.code != "invalid_record":
                raise
            logger.warning("Left out of the list of %ss: %s", self.kind.value, error)
            return None

    def delete(self, task_id: str, *, missing_ok: bool = False) -> None:
        """Delete the record and log of a job that has ended.

        Raises NotFoundError, unless it may be missing, and ConflictError (`…_running`) while it goes on.
        """
        try:
            record = self.get(task_id)
        except NotFoundError:
            if missing_ok:
                return
            raise
        if not record.status.final:
            raise self._stored.about.running(record)
        self._desk.live.forget(task_id)
        self._stored.delete(task_id)
        self._desk.upkeep.forget(self._stored, task_id)
        self._deleted(record)

    def _deleted(self, record: R) -> None:
        """Drop what only the record of a job gave a meaning."""

    def delete_ended(self) -> int:
        """Delete the records of all jobs that have ended, and return how many there were."""
        ended = [record.task_id for record in self.list() if record.status.final]
        for task_id in ended:
            self.delete(task_id, missing_ok=True)
        return len(ended)

    def watch(self, task_id: str, changed: Callable[[], None]) -> Watched | None:
        """Have `changed` called, in any thread, whenever a job of this process changes; no I/O.

        `changed` must return at once. None where the job does not go on here and has not ended here lately.
        """
        task = self._task(task_id)
        return None if task is None else Watched(task, changed)


def recordable(name: str, value: Any) -> Any:
    """Return the value of a parameter as a record holds it, so that a job gets what its record says."""
    try:
        return plain(value)
    except ValueError as error:
        raise ParameterError(
            f"The parameter '{encodable(name)}' {error}: give numbers, text, booleans, None, lists and dicts.",
            details={"parameter": encodable(name), "rule": "JSON must be able to hold it", "value": written(value)},
        ) from error
