"""A submitted training, in the hand of the one who submitted it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from compox_core.engine.handle import Progress, failure, waited
from compox_core.engine.history import MetricHistory
from compox_core.errors import StateError
from compox_core.records import CheckpointRecord, TaskStatus, TrainingRecord

if TYPE_CHECKING:
    from compox_core.engine.host import Host


class TrainingHandle:
    """Follows one training. It stays valid as long as its engine or client is open."""

    def __init__(self, host: Host, training_id: str) -> None:
        self._host = host
        self.id = training_id

    @property
    def record(self) -> TrainingRecord:
        """The record as it is now."""
        return self._host.trainings.get(self.id)

    @property
    def status(self) -> TaskStatus:
        """The status as it is now."""
        return self.record.status

    @property
    def progress(self) -> float:
        """How far the training is, in [0, 1]."""
        return self.record.progress

    @property
    def log(self) -> str:
        """Everything that the training has logged so far."""
        return self._host.trainings.log(self.id)

    @property
    def done(self) -> bool:
        """Whether the training has ended, in whatever way."""
        return self.status.final

    @property
    def checkpoints(self) -> list[CheckpointRecord]:
        """The checkpoints that it has saved so far, oldest first; those of a training that failed can be used, too."""
        return [self._host.checkpoints.get(each) for each in self.record.output_checkpoint_ids]

    def metrics(self) -> MetricHistory:
        """Return what it has measured so far."""
        return self._host.trainings.metrics(self.id)

    def stop(self) -> None:
        """Ask the training to stop. Raises ConflictError (`training_not_stoppable`) when it has ended."""
        self._host.trainings.stop(self.id)

    def wait(self, timeout: float | None = None, progress: Progress = False) -> TrainingRecord:
        """Wait until it has ended, at most `timeout` seconds, and return the record as it is then.

        `progress` shows a bar (True), nothing (False), or calls this function with numbers in [0, 1].
        """
        return waited(partial(self._host.trainings.wait, self.id), timeout, progress)

    def result(self, timeout: float | None = None, progress: Progress = False) -> list[CheckpointRecord]:
        """Wait and return the checkpoints, oldest first.

        Raises:
            TaskFailedError: when it failed or was stopped; its message has the cause. `checkpoints` has what it had
                saved by then.
            StateError: `wait_timed_out` when it has not ended after `timeout` seconds; it goes on.
        """
        record = self.wait(timeout, progress)
        if not record.status.final:
            raise StateError(
                f"Training '{self.id}' is still {record.status.value} after {timeout} seconds and goes on; "
                "call result() again, or stop().",
                code="wait_timed_out",
                details={"training_id": self.id, "status": record.status.value},
            )
        if record.status is not TaskStatus.COMPLETED:
            raise failure(record)
        return self.checkpoints

    def _repr_html_(self) -> str:
        record = self.record
        return (
            f"<div>Training <code>{self.id}</code>: <b>{record.status.value}</b> "
            f'<progress value="{record.progress}" max="1"></progress> '
            f"{len(record.output_checkpoint_ids)} checkpoints</div>"
        )
