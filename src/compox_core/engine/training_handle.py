"""A submitted training, in the hand of the one who submitted it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compox_core.engine.following import Progress
from compox_core.engine.history import MetricHistory
from compox_core.engine.job_handle import HostedJobs, JobHandle
from compox_core.records import CheckpointRecord, TrainingRecord

if TYPE_CHECKING:
    from compox_core.engine.host import Host


class TrainingHandle(JobHandle[TrainingRecord]):
    """Follows one training. It stays valid as long as its engine or client is open."""

    def __init__(self, host: Host, training_id: str) -> None:
        super().__init__(training_id)
        self._host = host

    @property
    def _jobs(self) -> HostedJobs[TrainingRecord]:
        return self._host.trainings

    @property
    def checkpoints(self) -> list[CheckpointRecord]:
        """The checkpoints that it has saved so far, oldest first; those of a training that failed can be used, too."""
        return [self._host.checkpoints.get(each) for each in self.record.output_checkpoint_ids]

    def metrics(self) -> MetricHistory:
        """Return what it has measured so far."""
        return self._host.trainings.metrics(self.id)

    def result(self, timeout: float | None = None, progress: Progress = False) -> list[CheckpointRecord]:
        """Wait and return the checkpoints, oldest first.

        Raises:
            TaskFailedError: when it failed or was stopped; its message has the cause. `checkpoints` has what it had
                saved by then.
            StateError: `wait_timed_out` when it has not ended after `timeout` seconds; it goes on.
        """
        self._completed(timeout, progress)
        return self.checkpoints

    def _more(self, record: TrainingRecord) -> str:
        return f" {len(record.output_checkpoint_ids)} checkpoints"
