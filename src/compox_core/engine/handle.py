"""A submitted run, in the hand of the one who submitted it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from compox_core.engine.arranging import Arranged, arrange_outputs
from compox_core.engine.result import ResultArray, ResultDict, ResultList
from compox_core.errors import InvalidInputError, StateError, TaskFailedError
from compox_core.records import ExecutionRecord, TaskRecord, TaskStatus

if TYPE_CHECKING:
    from compox_core.engine.host import Host

Progress = bool | Callable[[float], None]
Result = ResultArray | ResultList | ResultDict
R = TypeVar("R", bound=TaskRecord)


class TaskHandle:
    """Follows one run. It stays valid as long as its engine or client is open."""

    def __init__(self, host: Host, execution_id: str, arranged: Arranged, algorithm_type: str) -> None:
        self._host = host
        self._arranged = arranged
        self._algorithm_type = algorithm_type
        self.id = execution_id

    @property
    def record(self) -> ExecutionRecord:
        """The record as it is now."""
        return self._host.executions.get(self.id)

    @property
    def status(self) -> TaskStatus:
        """The status as it is now."""
        return self.record.status

    @property
    def progress(self) -> float:
        """How far the run is, in [0, 1]."""
        return self.record.progress

    @property
    def log(self) -> str:
        """Everything that the run has logged so far."""
        return self._host.executions.log(self.id)

    @property
    def done(self) -> bool:
        """Whether the run has ended, in whatever way."""
        return self.status.final

    def stop(self) -> None:
        """Ask the run to stop. Raises ConflictError (`execution_not_stoppable`) when it has ended."""
        self._host.executions.stop(self.id)

    def wait(self, timeout: float | None = None, progress: Progress = False) -> ExecutionRecord:
        """Wait until the run has ended, at most `timeout` seconds, and return the record as it is then."""
        return waited(partial(self._host.executions.wait, self.id), timeout, progress)

    def result(self, timeout: float | None = None, progress: Progress = False) -> Result:
        """Wait and return the outputs, arranged as the inputs were.

        Raises:
            TaskFailedError: when the run failed or was stopped; its message has the cause.
            StateError: `timed_out` when the run has not ended after `timeout` seconds; it goes on.
        """
        record = self.wait(timeout, progress)
        if not record.status.final:
            raise StateError(
                f"Execution '{self.id}' is still {record.status.value} after {timeout} seconds and goes on; "
                "call result() again, or stop().",
                code="wait_timed_out",
                details={"execution_id": self.id, "status": record.status.value},
            )
        if record.status is not TaskStatus.COMPLETED:
            raise failure(record)
        outputs: list[dict[str, Any]] = [self._host.files.read(file_id) for file_id in record.output_dataset_ids]
        return arrange_outputs(outputs, self._arranged, self._algorithm_type, record)

    def _repr_html_(self) -> str:
        record = self.record
        return (
            f"<div>Execution <code>{self.id}</code>: <b>{record.status.value}</b> "
            f'<progress value="{record.progress}" max="1"></progress></div>'
        )


def waited(wait: Callable[[float | None], R], timeout: float | None, progress: Progress) -> R:
    """Wait for a job by `wait`, at most `timeout` seconds, and show or tell its progress meanwhile."""
    if progress is False:
        return wait(timeout)
    from compox_core.engine.progress import follow

    return follow(wait, timeout, None if progress is True else progress)


def failure(record: TaskRecord) -> TaskFailedError:
    """Return the error that tells a waiting caller how a job ended."""
    error = record.error
    what = f"{record.kind.value.capitalize()} '{record.task_id}'"
    if record.status is TaskStatus.STOPPED:
        message = f"{what} was stopped."
    elif error is None:
        message = f"{what} failed; its log says more."
    else:
        message = f"{what} failed: {error.type}: {error.message}"
    return TaskFailedError(
        message,
        code=error.code if error else "task_stopped" if record.status is TaskStatus.STOPPED else None,
        details={
            record.id_field: record.task_id,
            "status": record.status.value,
            "error": error.model_dump() if error else None,
            "log": record.log,
        },
    )


def misfit(error: ValidationError) -> InvalidInputError:
    """Return the error for a request that no model of ours holds."""
    issue = error.errors()[0]
    place = ".".join(map(str, issue["loc"]))
    return InvalidInputError(f"`{place}` does not fit: {issue['msg']}.", code="invalid_request")
