"""A submitted run, in the hand of the one who submitted it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compox_core.engine.arranging import Arranged, arrange_outputs
from compox_core.engine.following import Progress
from compox_core.engine.job_handle import HostedJobs, JobHandle
from compox_core.engine.result import ResultArray, ResultDict, ResultList
from compox_core.records import ExecutionRecord

if TYPE_CHECKING:
    from compox_core.engine.host import Host

Result = ResultArray | ResultList | ResultDict


class TaskHandle(JobHandle[ExecutionRecord]):
    """Follows one run. It stays valid as long as its engine or client is open."""

    def __init__(self, host: Host, execution_id: str, arranged: Arranged, algorithm_type: str) -> None:
        super().__init__(execution_id)
        self._host = host
        self._arranged = arranged
        self._algorithm_type = algorithm_type

    @property
    def _jobs(self) -> HostedJobs[ExecutionRecord]:
        return self._host.executions

    def result(self, timeout: float | None = None, progress: Progress = False) -> Result:
        """Wait and return the outputs, arranged as the inputs were.

        Raises:
            TaskFailedError: when the run failed or was stopped; its message has the cause.
            StateError: `wait_timed_out` when the run has not ended after `timeout` seconds; it goes on.
        """
        record = self._completed(timeout, progress)
        outputs: list[dict[str, Any]] = [self._host.files.read(file_id) for file_id in record.output_dataset_ids]
        return arrange_outputs(outputs, self._arranged, self._algorithm_type, record)
