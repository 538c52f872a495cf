"""A store with a queue, as tests of what happens to it need them."""

from __future__ import annotations

from datetime import UTC, datetime

from compox_core.identity import new_id
from compox_core.records import ExecutionRecord, Job, JobKind, TaskRecord
from compox_core.storage import ObjectStore
from compox_core.tasks import Holder, Presence, TaskStore, TaskStores
from compox_core.tasks.watch import Watch

LOST_AFTER = 20.0
INTERVAL = 5.0


class Clock:
    """Stands still until a test moves it."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def executions(store: ObjectStore) -> TaskStore:
    """Return the executions in a store."""
    return TaskStores(store).of(JobKind.EXECUTION)


def record(task_id: str = "", *, retries: int = 0) -> ExecutionRecord:
    """Return the record of a new execution."""
    return ExecutionRecord(
        execution_id=task_id or new_id(),
        algorithm_id="a",
        input_dataset_ids=[],
        time_submitted=datetime(2026, 1, 1, tzinfo=UTC),
        retries=retries,
    )


def holder(incarnation: str) -> Holder:
    """Return a process of another machine."""
    return Holder(incarnation=incarnation, host="elsewhere|1", pid=4711, started="then")


class Signed(Presence):
    """The presence of a process of another machine, beating only when it is told to."""

    def __init__(self, store: ObjectStore, incarnation: str) -> None:
        super().__init__(store, 1000, LOST_AFTER)
        self.incarnation = incarnation
        self.holder = holder(incarnation)

    def ensure(self) -> None:
        """Start no thread."""
        if self._count == 0:
            self.beat_now()


class Fixed(Watch):
    """Takes for lost whom a test names."""

    def __init__(self, store: ObjectStore, *lost: str) -> None:
        super().__init__(store, LOST_AFTER)
        self.lost = set(lost)

    def is_lost(self, holder: Holder) -> bool:
        """Return whether the test says so."""
        return holder.incarnation in self.lost


class Hand:
    """What a process does with the jobs that its reconciler hands it: it notes them."""

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.known: set[str] = set()

    def submit(self, job: Job, record: TaskRecord) -> None:
        """Note a job."""
        assert (job.kind, job.id) == (record.kind, record.task_id)
        self.submitted.append(job.id)
        self.known.add(job.id)

    def knows(self, job: Job) -> bool:
        """Return whether the job was noted."""
        return job.id in self.known
