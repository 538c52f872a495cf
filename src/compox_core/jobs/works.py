"""Which work belongs to which kind of job."""

from __future__ import annotations

from collections.abc import Mapping

from compox_core.jobs.bench import Workbench
from compox_core.jobs.benchmarks import BenchmarkWork
from compox_core.jobs.deploys import DeployWork
from compox_core.jobs.executions import ExecutionWork
from compox_core.jobs.trainings import TrainingWork
from compox_core.jobs.work import Work
from compox_core.records import JobKind


def works(bench: Workbench) -> Mapping[JobKind, Work]:
    """Return the work of every kind of job, done with what lies on `bench`."""
    return {
        JobKind.EXECUTION: ExecutionWork(bench),
        JobKind.TRAINING: TrainingWork(bench),
        JobKind.BENCHMARK: BenchmarkWork(bench),
        JobKind.DEPLOY: DeployWork(bench),
    }
