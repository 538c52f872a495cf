"""What the records of all kinds of jobs have in common."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from compox_core.records.job import JobKind


class TaskStatus(StrEnum):
    """PENDING (accepted) → STARTED (a worker has it) → RUNNING → COMPLETED, FAILED or STOPPED."""

    PENDING = "PENDING"
    STARTED = "STARTED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return self in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.STOPPED)


class ErrorInfo(BaseModel):
    """Why a run failed: the exception's class name, message and code, and that of its cause."""

    type: str
    message: str
    code: str
    details: dict[str, Any] = Field(default_factory=dict)
    retryable: bool = False
    cause: ErrorInfo | None = None


Rung = Literal["flag", "exception", "terminate", "kill", "abandoned"]
"""What ended a run that was told to stop: it met the flag at a call of its handler, an exception raised in its code,
the termination or the kill of its process; `abandoned`: a thread that nothing ended, and that nobody waits for."""


class TaskRecord(BaseModel):
    """A job: how far it is, what came of it. The record of each kind adds what was asked and what it gives.

    `progress` is in [0, 1]. `log` holds one line a message, `YYYY-MM-DDTHH:MM:SSZ LEVEL message`, at most 1 MiB
    (head and tail). `attempt` counts from 1 the times that somebody began the job. `timeout_s` limits an attempt, in
    seconds; None for no limit. `retries` is how many more times the job may begin when its worker is lost.
    `stopped_by` names what ended it, where it was told to stop or ran out of time.
    """

    kind: ClassVar[JobKind]
    id_field: ClassVar[str]

    status: TaskStatus = TaskStatus.PENDING
    progress: float = 0.0
    time_submitted: datetime
    time_started: datetime | None = None
    time_completed: datetime | None = None
    log: str = ""
    error: ErrorInfo | None = None
    attempt: int = 1
    timeout_s: float | None = None
    retries: int = 0
    stopped_by: Rung | None = None

    @property
    def task_id(self) -> str:
        """The id of the job, whatever its kind calls it."""
        return str(getattr(self, self.id_field))

    @property
    def file_ids(self) -> list[str]:
        """The data files that the job names; none expires while the job goes on."""
        return []


class AlgorithmTaskRecord(TaskRecord):
    """A job that runs an algorithm.

    `resolved_execution_device` is a runtime device: `cpu`, `cuda`, `cuda:N` or `mps`. `resolved_minor_version` is
    what runs: the minor that was the latest at submit, where none was asked for.
    """

    algorithm_id: str
    checkpoint_id: str | None = None
    algorithm_minor_version: str | None = None
    resolved_minor_version: str | None = None
    execution_device_override: str | None = None
    resolved_execution_device: str | None = None
    additional_parameters: dict[str, Any] = Field(default_factory=dict)
    session_token: str | None = None
