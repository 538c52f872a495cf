"""The executors inside this process, and worker processes, train as the contract says."""

from __future__ import annotations

from tests.contracts.trainings import TrainingContract
from tests.jobs.here import Here


class TestInline(Here, TrainingContract):
    """In the thread that submits."""

    name = "inline"
    blocks = True


class TestThreads(Here, TrainingContract):
    """In threads of this process."""

    name = "threads"


class TestProcesses(Here, TrainingContract):
    """In worker processes."""

    name = "processes"
