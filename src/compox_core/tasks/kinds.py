"""What tells the kinds of jobs apart where they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compox_core.errors import ConflictError, NotFoundError
from compox_core.records import BenchmarkRecord, DeployRecord, ExecutionRecord, JobKind, TaskRecord, TrainingRecord
from compox_core.storage import BENCHMARKS, DEPLOYS, EXECUTIONS, TRAININGS

PACKAGES = "package/"
DATASETS = "dataset/"


@dataclass(frozen=True)
class Kind:
    """Where the records of one kind lie, and what they are.

    `beside` begins the key of an object that is stored before the job, under its id, and goes when the job has ended.
    `metrics` says that such jobs have a metric history.
    """

    collection: str
    model: type[TaskRecord]
    beside: str | None = None
    metrics: bool = False

    @property
    def name(self) -> str:
        """What the kind is called in messages and codes."""
        return str(self.model.kind)

    def not_found(self, task_id: str) -> NotFoundError:
        """Return the error for an id that names no job of this kind."""
        return NotFoundError(
            f"There is no {self.name} '{task_id}': it was never submitted to this store, or its record has expired.",
            code=f"{self.name}_record_not_found",
            details={self.model.id_field: task_id},
        )

    def not_stoppable(self, record: TaskRecord) -> ConflictError:
        """Return the error for a stop of a job that has ended."""
        return ConflictError(
            f"{self.name.capitalize()} '{record.task_id}' cannot be stopped: it is {record.status.value}.",
            code=f"{self.name}_not_stoppable",
            details=self._about(record),
        )

    def running(self, record: TaskRecord) -> ConflictError:
        """Return the error for deleting the record of a job that goes on."""
        return ConflictError(
            f"{self.name.capitalize()} '{record.task_id}' is {record.status.value}: "
            "stop it before you delete its record.",
            code=f"{self.name}_running",
            details=self._about(record),
        )

    def _about(self, record: TaskRecord) -> dict[str, Any]:
        return {self.model.id_field: record.task_id, "status": record.status.value}


KINDS: dict[JobKind, Kind] = {
    JobKind.EXECUTION: Kind(EXECUTIONS, ExecutionRecord),
    JobKind.TRAINING: Kind(TRAININGS, TrainingRecord, beside=DATASETS, metrics=True),
    JobKind.BENCHMARK: Kind(BENCHMARKS, BenchmarkRecord),
    JobKind.DEPLOY: Kind(DEPLOYS, DeployRecord, beside=PACKAGES),
}
