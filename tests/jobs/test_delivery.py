"""Ends that the store refused are brought to it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from compox_core.errors import NotFoundError, StorageError
from compox_core.identity import new_id
from compox_core.jobs.delivery import Delivery, alive_by
from compox_core.jobs.reconcile import Reconciler
from compox_core.records import (
    BenchmarkRecord,
    DeployRecord,
    ErrorInfo,
    ExecutionRecord,
    JobKind,
    TaskRecord,
    TaskStatus,
    TrainingRecord,
)
from compox_core.storage import EmergencyRecords, initialise, open_store, store_identity
from compox_core.tasks import EndNote, Holder, Presence, TaskStore, TaskStores
from compox_core.tasks.presence import this_process
from compox_core.tasks.watch import Watch
from tests.disks import SmallDisk

NOW = datetime(2026, 1, 2, tzinfo=UTC)
REFUSED = StorageError("The disk is full.", code="disk_full", retryable=True)


def new_record(kind: JobKind) -> TaskRecord:
    task_id = new_id()
    if kind is JobKind.EXECUTION:
        return ExecutionRecord(execution_id=task_id, algorithm_id="a", input_dataset_ids=[], time_submitted=NOW)
    if kind is JobKind.BENCHMARK:
        return BenchmarkRecord(benchmark_id=task_id, algorithm_id="a", time_submitted=NOW)
    if kind is JobKind.TRAINING:
        return TrainingRecord(training_id=task_id, algorithm_id="a", training_data=[], time_submitted=NOW)
    return DeployRecord(deploy_id=task_id, path="x.zip", package_key="k", time_submitted=NOW)


def ended(record: TaskRecord, status: TaskStatus = TaskStatus.COMPLETED, **more: Any) -> TaskRecord:
    """How the record looks at its end."""
    result: dict[str, Any] = {"output_dataset_ids": ["file"]} if isinstance(record, ExecutionRecord) else {}
    if status is TaskStatus.FAILED:
        result = {"error": ErrorInfo(type="ValueError", message="m", code="ValueError")}
    return record.model_copy(update={"status": status, "progress": 1.0, "time_completed": NOW, **result, **more})


class Place:
    """A store and a folder for emergency records, with processes that come and go."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root / "store", root / "emergency"
        store = open_store(self.root)
        initialise(store)
        self.stores = TaskStores(store)
        self.identity = store_identity(store)
        self.gone: set[str] = set()

    def holder(self, name: str) -> Holder:
        return Holder(incarnation=name, host="h", pid=1, started="1")

    def emergency(self, name: str) -> EmergencyRecords:
        is_alive = alive_by(lambda holder: holder.incarnation in self.gone)
        return EmergencyRecords([self.folder], self.identity, self.holder(name).model_dump(), is_alive)

    def delivery(self, name: str, *unsaved: str) -> Delivery:
        return Delivery(self.stores, self.emergency(name), unsaved.__contains__)

    def begun(self, kind: JobKind = JobKind.EXECUTION, by: str = "first") -> tuple[TaskStore, TaskRecord]:
        """Return a job that a process has begun."""
        store, record = self.stores.of(kind), new_record(kind)
        store.create(record, self.holder(by), resume=True)
        assert store.claim(record.task_id, 1, self.holder(by))
        record = record.model_copy(update={"status": TaskStatus.RUNNING})
        store.save(record)
        return store, record

    def keep(self, store: TaskStore, record: TaskRecord, by: str = "first") -> Path:
        """Let a process keep how a job ended; return the file."""
        fields = record.model_dump(mode="json")
        assert self.emergency(by).keep(store.about.collection, record.task_id, fields, REFUSED, record.attempt)
        return self.folder / store.about.collection / f"compox_emergency_{record.task_id}.json"

    def left(self) -> list[Path]:
        return sorted(self.folder.rglob("compox*"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("status", [TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.STOPPED])
@pytest.mark.parametrize("kind", list(JobKind))
def test_the_end_of_a_dead_process_job_is_delivered(place: Place, kind: JobKind, status: TaskStatus) -> None:
    """The next process finds what the dead one kept: the store says it, the queue is empty, the file is gone."""
    store, record = place.begun(kind)
    final = ended(record, status)
    place.keep(store, final)
    place.gone.add("first")
    place.delivery("second").run_once()
    assert store.load_view(record.task_id) == final
    note = store.end_of(record.task_id, 1)
    assert note is not None and (note.decision, note.by) == ("final", "first")
    assert list(store.open_jobs()) == []
    assert place.left() == []


def test_a_living_process_delivers_its_own(place: Place) -> None:
    """Others leave its files to it; it brings to the store what it has not in memory any more, and only that."""
    store, record = place.begun()
    place.keep(store, ended(record))
    place.delivery("second").run_once()
    place.delivery("first", record.task_id).run_once()
    assert len(place.left()) == 1 and not store.load(record.task_id).status.final
    place.delivery("first").run_once()
    assert place.left() == [] and store.load_view(record.task_id).status is TaskStatus.COMPLETED


def test_who_decided_first_is_right(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """An end that came to the store meanwhile stays; the one that was kept is dropped, which the log tells."""
    store, record = place.begun()
    place.keep(store, ended(record))
    place.gone.add("first")
    theirs = ended(record, TaskStatus.FAILED)
    store.decide(record.task_id, 1, store.note_of(theirs, "third"))
    place.delivery("second").run_once()
    assert store.load_view(record.task_id) == theirs
    assert list(store.open_jobs()) == [] and place.left() == []
    assert any(record.task_id in line and "COMPLETED" in line and "dropped" in line for line in caplog.messages)


def test_an_attempt_that_is_repeated_is_dropped(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Where the job was decided to begin again, the late result of the earlier attempt does not end it."""
    store, record = place.begun()
    place.keep(store, ended(record))
    place.gone.add("first")
    store.decide(record.task_id, 1, EndNote(decision="retry", by="third"))
    store.requeue(record, 1)
    place.delivery("second").run_once()
    waits = store.load(record.task_id)
    assert (waits.status, waits.attempt) == (TaskStatus.PENDING, 2)
    assert [job.id for job in store.open_jobs()] == [record.task_id]
    assert place.left() == []
    assert any("dropped" in line for line in caplog.messages)


def test_a_delivery_that_was_broken_off_is_completed(place: Place) -> None:
    """A process that dies between deciding and forgetting leaves nothing that the next one cannot finish."""
    store, record = place.begun()
    final = ended(record)
    place.keep(store, final)
    place.gone.add("first")
    store.decide(record.task_id, 1, store.note_of(final, "first"))
    place.delivery("second").run_once()
    assert store.load_view(record.task_id) == final and list(store.open_jobs()) == [] and place.left() == []
    place.keep(store, final)  # as if the file had not been removed either
    place.delivery("second").run_once()
    assert store.load_view(record.task_id) == final and place.left() == []


def test_while_the_store_refuses_everything_stays(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Rounds that fail lose nothing and say so once; the first that the store takes delivers all."""
    jobs = [place.begun() for _ in range(3)]
    for store, record in jobs:
        place.keep(store, ended(record))
    place.gone.add("first")
    second = place.delivery("second")
    place.root.rename(place.root.with_name("unmounted"))
    for _ in range(3):
        second.run_once()
    assert len(place.left()) == 3
    assert len([line for line in caplog.messages if "have to wait" in line]) == 1
    place.root.with_name("unmounted").rename(place.root)
    second.run_once()
    assert place.left() == []
    assert {store.load_view(record.task_id).status for store, record in jobs} == {TaskStatus.COMPLETED}


def unknown_job(place: Place, store: TaskStore, record: TaskRecord) -> None:
    store.delete(record.task_id)


def not_final(place: Place, store: TaskStore, record: TaskRecord) -> None:
    place.keep(store, record)


def not_a_record(place: Place, store: TaskStore, record: TaskRecord) -> None:
    path = place.left()[0]
    path.write_text(path.read_text().replace('"progress"', '"regress"').replace('"COMPLETED"', '"DONE"'))


def anothers_name(place: Place, store: TaskStore, record: TaskRecord) -> None:
    path = place.left()[0]
    path.write_text(path.read_text().replace(record.task_id, new_id()))


def broken_end(place: Place, store: TaskStore, record: TaskRecord) -> None:
    (place.root / store.about.collection / "end").mkdir()
    (place.root / store.about.collection / "end" / f"{record.task_id}.0001").write_text("{")


def half_a_character(place: Place, store: TaskStore, record: TaskRecord) -> None:
    path = place.left()[0]
    path.write_text(path.read_text().replace('"log": "', '"log": "\\ud800'))


@pytest.mark.parametrize("spoil", [unknown_job, not_final, not_a_record, anothers_name, broken_end, half_a_character])
def test_what_cannot_be_delivered_stays_and_hinders_no_other(
    place: Place, spoil: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that does not fit the store is told about once and left where it is; those after it are delivered."""
    store, record = place.begun()
    place.keep(store, ended(record))
    spoil(place, store, record)
    (stays,) = place.left()
    before = stays.read_bytes()
    other_store, other = place.begun()
    place.keep(other_store, ended(other))
    place.gone.add("first")
    second = place.delivery("second")
    second.run_once()
    second.run_once()
    assert place.left() == [stays] and stays.read_bytes() == before
    assert other_store.load_view(other.task_id).status is TaskStatus.COMPLETED
    told = [line for line in caplog.records if line.levelno == logging.ERROR]
    assert len(told) == 1 and "cannot be delivered" in told[0].getMessage()


def test_a_collection_of_a_later_version_is_left_alone(place: Place) -> None:
    """What a program with more kinds of jobs kept waits for that program."""
    place.emergency("first").keep("training-store", new_id(), {"status": "COMPLETED"}, REFUSED, 1)
    place.gone.add("first")
    place.delivery("second").run_once()
    assert len(place.left()) == 1


# What a reader sees


def test_a_reader_sees_the_end_before_the_store_does(place: Place) -> None:
    """Whoever reads on this machine gets the end that is kept, also of a process that lives."""
    store, record = place.begun()
    place.keep(store, ended(record))
    assert place.delivery("second").load(store, record.task_id) == ended(record)
    assert store.load(record.task_id).status is TaskStatus.RUNNING


def test_a_reader_goes_by_the_store_where_it_knows_more(place: Place) -> None:
    """An end in the store, and a later attempt, count more than what is kept."""
    store, record = place.begun()
    place.keep(store, ended(record))
    reader = place.delivery("second")
    store.decide(record.task_id, 1, EndNote(decision="retry", by="third"))
    assert (reader.load(store, record.task_id).attempt, reader.load(store, record.task_id).status) == (2, "PENDING")
    store, record = place.begun()
    place.keep(store, ended(record))
    store.decide(record.task_id, 1, store.note_of(ended(record, TaskStatus.FAILED), "third"))
    assert reader.load(store, record.task_id).status is TaskStatus.FAILED


def test_a_reader_sees_the_end_when_the_store_is_away(place: Place) -> None:
    """While the store cannot be read at all, what is kept can; of other jobs the outage is told."""
    store, record = place.begun()
    other_store, other = place.begun()
    place.keep(store, ended(record))
    reader = place.delivery("second")
    place.root.rename(place.root.with_name("unmounted"))
    assert reader.load(store, record.task_id) == ended(record)
    with pytest.raises(StorageError):
        reader.load(other_store, other.task_id)


def test_a_reader_of_what_is_not_there(place: Place) -> None:
    """A deleted job does not come back from what is kept, and an id that nobody has is not found."""
    store, record = place.begun()
    place.keep(store, ended(record))
    store.delete(record.task_id)
    for task_id in (record.task_id, new_id(), "../../x"):
        with pytest.raises(NotFoundError):
            place.delivery("second").load(store, task_id)


def test_what_is_kept_of_an_attempt(place: Place) -> None:
    """Nobody need ask how an attempt ended whose end is kept; of another attempt, or another job, nothing is known."""
    store, record = place.begun()
    other_store, other = place.begun()
    place.keep(store, ended(record))
    delivery = place.delivery("second")
    assert delivery.keeps(store, record)
    assert not delivery.keeps(store, record.model_copy(update={"attempt": 2}))
    assert not delivery.keeps(other_store, other)


# Together with the look for lost processes


def reconciler(place: Place, presence: Presence) -> Reconciler:
    """A process that comes after one that died on this machine."""
    watch = Watch(place.stores.objects, 20.0)
    own = presence.holder.model_dump()
    emergency = EmergencyRecords([place.folder], place.identity, own, alive_by(watch.is_lost))
    delivery = Delivery(place.stores, emergency)
    return Reconciler(
        place.stores,
        presence,
        watch,
        lambda job, record: None,
        lambda job: False,
        resume=True,
        before=delivery.run_once,
        kept=delivery.keeps,
    )


def dead_process(place: Place) -> None:
    """Let "first" be a process that had the number of this one before it."""
    dead = this_process("first").model_copy(update={"started": "long ago"})
    place.holder = lambda name: dead.model_copy(update={"incarnation": name})  # type: ignore[method-assign]


@pytest.mark.parametrize("retries", [0, 1])
def test_what_was_kept_comes_before_worker_lost(place: Place, retries: int) -> None:
    """Of two jobs of a process that died, one had ended: it ends so, and does not begin again; the other is lost."""
    dead_process(place)
    (store, record), (_, other) = place.begun(), place.begun()
    record = record.model_copy(update={"retries": retries})
    store.save(record)
    place.keep(store, ended(record))
    reconciler(place, Presence(place.stores.objects, 2.0)).run_once()
    assert store.load_view(record.task_id) == ended(record)
    lost = store.load_view(other.task_id)
    assert lost.error is not None and lost.error.code == "worker_lost"
    assert list(store.open_jobs()) == [] and place.left() == []


def test_room_for_worker_lost_only(small_disk: SmallDisk, tmp_path: Path) -> None:
    """While the disk has room for a short record, but not for the end that is kept, nobody writes the short one."""
    place = Place(small_disk.path)
    place.folder = tmp_path / "emergency"
    dead_process(place)
    (store, record), (_, other) = place.begun(), place.begun()
    final = ended(record, log="x" * 100_000)
    place.keep(store, final)
    presence = Presence(place.stores.objects, 2.0)
    small_disk.fill(leave=64 * 1024)
    rounds = reconciler(place, presence)
    rounds.run_once()
    assert store.load(other.task_id).status is TaskStatus.FAILED  # there was room for that
    assert store.load(record.task_id).status is TaskStatus.RUNNING
    small_disk.free()
    rounds.run_once()
    assert store.load_view(record.task_id) == final
    assert place.left() == []


# Who lives


def test_a_holder_that_cannot_be_understood_may_live() -> None:
    """What another version wrote about its process is left to that process."""
    is_alive = alive_by(lambda holder: True)
    assert is_alive({"incarnation": "x"}) is None
    assert is_alive(this_process("x").model_dump()) is False
    assert alive_by(lambda holder: False)(this_process("x").model_dump()) is True
