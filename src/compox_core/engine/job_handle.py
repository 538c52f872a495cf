"""A submitted job of any kind, in the hand of the one who submitted it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

from compox_core.engine.following import Progress, failure, waited
from compox_core.errors import StateError
from compox_core.records import TaskRecord, TaskStatus

R = TypeVar("R", bound=TaskRecord)
R_co = TypeVar("R_co", bound=TaskRecord, covariant=True)


class HostedJobs(Protocol[R_co]):
    """The jobs of one kind, of an engine here or of a server."""

    def get(self, task_id: str, /) -> R_co: ...
    def log(self, task_id: str, /) -> str: ...
    def stop(self, task_id: str, /) -> None: ...
    def wait(self, task_id: str, /, timeout: float | None = None) -> R_co: ...


class JobHandle(ABC, Generic[R]):
    """Follows one job. It stays valid as long as its engine or client is open."""

    def __init__(self, job_id: str) -> None:
        self.id = job_id

    @property
    @abstractmethod
    def _jobs(self) -> HostedJobs[R]:
        """Where the job is."""

    @property
    def record(self) -> R:
        """The record as it is now."""
        return self._jobs.get(self.id)

    @property
    def status(self) -> TaskStatus:
        """The status as it is now."""
        return self.record.status

    @property
    def progress(self) -> float:
        """How far it is, in [0, 1]."""
        return self.record.progress

    @property
    def log(self) -> str:
        """Everything that it has logged so far."""
        return self._jobs.log(self.id)

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status.final

    def stop(self) -> None:
        """Ask it to stop. Raises ConflictError (`…_not_stoppable`) when it has ended."""
        self._jobs.stop(self.id)

    def wait(self, timeout: float | None = None, progress: Progress = False) -> R:
        """Wait until it has ended, at most `timeout` seconds, and return the record as it is then.

        `progress` shows a bar (True), nothing (False), or calls this function with numbers in [0, 1].
        """
        return waited(lambda seconds: self._jobs.wait(self.id, seconds), timeout, progress)

    def _completed(self, timeout: float | None, progress: Progress) -> R:
        """Wait and return the record of a job that has COMPLETED. Raises TaskFailedError, StateError."""
        record = self.wait(timeout, progress)
        if not record.status.final:
            raise StateError(
                f"{record.kind.value.capitalize()} '{self.id}' is still {record.status.value} after {timeout} seconds "
                "and goes on; call result() again, or stop().",
                code="wait_timed_out",
                details={record.id_field: self.id, "status": record.status.value},
            )
        if record.status is not TaskStatus.COMPLETED:
            raise failure(record)
        return record

    def _repr_html_(self) -> str:
        record = self.record
        return (
            f"<div>{record.kind.value.capitalize()} <code>{self.id}</code>: <b>{record.status.value}</b> "
            f'<progress value="{record.progress}" max="1"></progress>{self._more(record)}</div>'
        )

    def _more(self, record: R) -> str:
        """Return what a notebook shows beside the bar."""
        return ""
