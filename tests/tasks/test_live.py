"""What reaches the store of a run that goes on here, also when the store refuses."""

from __future__ import annotations

import logging
import time

import pytest

from compox_core.errors import StorageError
from compox_core.identity import new_id, utc_now
from compox_core.records import ExecutionRecord, JobKind, TaskRecord, TaskStatus
from compox_core.storage import open_store
from compox_core.tasks import EndNote, Holder, LiveTask, LiveTasks, TaskStore, TaskStores


class Refusing(TaskStore):
    """Refuses the next `count` calls of `method`."""

    method = ""
    count = 0
    problem: Exception = StorageError("down")

    def _refuse(self, method: str) -> None:
        if method == self.method and self.count:
            self.count -= 1
            raise self.problem

    def save(self, record: TaskRecord) -> None:
        self._refuse("save")
        super().save(record)

    def save_log_chunk(self, task_id: str, number: int, text: str) -> None:
        self._refuse("save_log_chunk")
        super().save_log_chunk(task_id, number, text)

    def clear_stop(self, task_id: str) -> None:
        self._refuse("clear_stop")
        super().clear_stop(task_id)

    def decide(self, task_id: str, attempt: int, note: EndNote) -> EndNote:
        self._refuse("decide")
        return super().decide(task_id, attempt, note)


@pytest.fixture
def store() -> Refusing:
    return Refusing(open_store("memory://"), JobKind.EXECUTION)


HOLDER = Holder(incarnation="one", host="here", pid=1, started="now")
OTHER = Holder(incarnation="two", host="here", pid=2, started="now")


class Stores(TaskStores):
    """Has one store for executions that a test prepares."""

    def __init__(self, store: Refusing) -> None:
        super().__init__(store._store)
        self._stores[JobKind.EXECUTION] = store


def live(store: TaskStore, limit: int = 1024 * 1024) -> LiveTask:
    record = ExecutionRecord(execution_id=new_id(), algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now())
    store.create(record, HOLDER, resume=False)
    task = LiveTask(record, store, limit, lambda: None)
    assert task.claim(HOLDER)
    return task


@pytest.mark.parametrize("method", ["decide", "save", "save_log_chunk", "clear_stop"])
def test_an_end_that_the_store_refuses_is_told_and_stored_later(method: str, store: Refusing) -> None:
    """Whichever write fails, the waiter hears of the end, and the next flush stores all of it."""
    task = live(store, limit=200)
    for number in range(100):
        task.write_log("INFO", f"line {number}")
    store.request_stop(task.id)
    store.method, store.count = method, 1
    task.finish(TaskStatus.COMPLETED, output_dataset_ids=["x"])
    assert task.done.is_set()
    assert task.unsaved
    task.flush()
    assert not task.unsaved
    assert store.load(task.id).status is TaskStatus.COMPLETED
    assert not store.stop_requested(task.id)
    stored = "".join(store.log_chunks(task.id).values())
    assert [line.split()[-1] for line in stored.splitlines()] == [str(number) for number in range(100)]


def test_a_chunk_that_the_store_refuses_is_not_lost(store: Refusing) -> None:
    """While the run goes on, its whole log has every line once, also those that no store has taken."""
    task = live(store, limit=2000)
    expected = []
    for number in range(8000):
        task.write_log("INFO", f"line {number} {'x' * 60}")
        expected.append(str(number))
        if number == 5000:
            store.method, store.count = "save_log_chunk", 1
            with pytest.raises(StorageError):
                task.flush()
        elif number in (1000, 6000, 7500):
            task.flush()
        if number in (500, 5000, 5500, 7999):
            assert [line.split()[3] for line in task.whole_log().splitlines()] == expected


def test_whatever_a_store_raises_the_waiter_hears_of_the_end(store: Refusing, caplog: pytest.LogCaptureFixture) -> None:
    """A defect in saving is logged and not tried for ever."""
    task = live(store)
    store.method, store.count, store.problem = "save", 1, TypeError("a defect")
    with caplog.at_level(logging.ERROR):
        task.finish(TaskStatus.FAILED)
    assert task.done.is_set()
    assert not task.unsaved
    assert "a defect" in caplog.text


def test_an_end_stays_as_it_is(store: Refusing) -> None:
    """A thread that outlives its run changes neither status nor progress; what it logs is kept."""
    task = live(store)
    task.finish(TaskStatus.FAILED)
    task.set_progress(0.25)
    task.update(status=TaskStatus.RUNNING)
    task.finish(TaskStatus.COMPLETED, output_dataset_ids=["x"])
    task.write_log("INFO", "late")
    task.flush()
    record = store.load(task.id)
    assert (record.status, record.progress, record.output_dataset_ids) == (TaskStatus.FAILED, 1.0, [])
    assert record == task.snapshot()
    assert record.log.endswith(" INFO late\n")


def test_a_line_that_is_logged_while_the_end_is_stored_is_stored_too() -> None:
    """What another thread adds between the reading of the log and the end of the write waits for the next flush."""

    class Interleaved(Refusing):
        def save(self, record: TaskRecord) -> None:
            super().save(record)
            if not task.done.is_set():
                task.write_log("INFO", "meanwhile")

    store = Interleaved(open_store("memory://"), JobKind.EXECUTION)
    task = live(store)
    task.finish(TaskStatus.COMPLETED)
    assert task.unsaved
    task.flush()
    assert " INFO meanwhile\n" in store.load(task.id).log


def test_one_record_that_cannot_be_stored_stops_no_other(store: Refusing) -> None:
    """The flusher goes on with the next run."""
    tasks = LiveTasks(Stores(store), 1000)
    records = [
        ExecutionRecord(execution_id=new_id(), algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now())
        for _ in range(2)
    ]
    store.method, store.count, store.problem = "save", 1, TypeError("a defect")
    for record in records:
        store.create(record, HOLDER, resume=False)
        task = tasks.add(record)
        assert task.claim(HOLDER)
        task.update(status=TaskStatus.RUNNING)
    tasks.close()
    assert store.load(records[1].execution_id).status is TaskStatus.RUNNING


def test_runs_that_come_while_all_are_stopped_are_stopped_too(store: Refusing) -> None:
    """A closing engine leaves no gap between those it asked and those that follow."""
    tasks = LiveTasks(Stores(store), 1000)
    record = ExecutionRecord(execution_id=new_id(), algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now())
    tasks.stop_all()
    assert tasks.add(record).stop_requested.is_set()
    tasks.close()


def test_a_deleted_record_is_not_stored_again(store: Refusing) -> None:
    """An ended run whose end waits for the store is forgotten with its record."""
    tasks = LiveTasks(Stores(store), 1000)
    record = ExecutionRecord(execution_id=new_id(), algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now())
    store.create(record, HOLDER, resume=False)
    task = tasks.add(record)
    assert task.claim(HOLDER)
    store.method, store.count = "save", 1
    task.finish(TaskStatus.COMPLETED)
    tasks.forget(task.id)
    store.delete(task.id)
    tasks.close()
    assert list(store.ids()) == []


def test_an_attempt_begins_once(store: Refusing) -> None:
    """The second claim of an attempt is refused, and those who wait on it look at the store instead."""
    task = live(store)
    late = LiveTask(task.snapshot(), store, 1000, lambda: None)
    assert not late.claim(OTHER)
    assert late.elsewhere
    assert late.done.is_set()
    assert task.finish(TaskStatus.COMPLETED)
    assert not LiveTask(task.snapshot(), store, 1000, lambda: None).claim(OTHER)


def test_a_job_that_was_stopped_and_deleted_elsewhere_does_not_begin(store: Refusing) -> None:
    """Neither its claim nor its end is there any more, and yet the process in whose queue it waits lets it go."""
    record = ExecutionRecord(execution_id=new_id(), algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now())
    store.create(record, HOLDER, resume=False)
    waits = LiveTask(record, store, 1000, lambda: None)
    elsewhere = LiveTask(record, store, 1000, lambda: None)
    assert elsewhere.claim(OTHER)
    elsewhere.finish(TaskStatus.STOPPED)
    store.delete(record.task_id)
    assert not waits.claim(HOLDER)
    assert (list(store.ids()), list(store.open_jobs())) == ([], [])


def test_a_job_whose_end_is_not_stored_yet_stays(store: Refusing) -> None:
    """It is not begun again in place of that, whoever brings it once more."""
    tasks = LiveTasks(Stores(store), 1000)
    record = ExecutionRecord(execution_id=new_id(), algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now())
    store.create(record, HOLDER, resume=False)
    task = tasks.add(record)
    assert task.claim(HOLDER)
    store.method, store.count = "decide", 1
    task.finish(TaskStatus.COMPLETED)
    assert tasks.add(record) is task
    task.flush()
    tasks.settle(task)
    assert tasks.add(record) is not task
    tasks.close()


def test_a_stop_that_cannot_be_passed_on_holds_up_no_other(store: Refusing, caplog: pytest.LogCaptureFixture) -> None:
    """Neither that of another job nor whoever else sees to this one."""

    def fail() -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    tasks = LiveTasks(Stores(store), 1000)
    heard: list[str] = []
    for _ in range(3):
        record = ExecutionRecord(
            execution_id=new_id(), algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now()
        )
        task = tasks.add(record)
        task.on_stop(fail)
        task.on_stop(lambda task_id=record.task_id: heard.append(task_id))  # type: ignore[misc]
    tasks.stop_all()
    assert heard == [task.id for task in tasks.active() if task.stop_requested.is_set()]
    assert len(heard) == 3
    assert [note.exc_info is not None for note in caplog.records] == [True] * 3
    tasks.close()


def test_a_claim_that_comes_after_the_end_is_given_up(store: Refusing) -> None:
    """A process that was paused between looking and claiming finds the end, and leaves nothing behind."""
    task = live(store)
    task.finish(TaskStatus.COMPLETED)
    assert list(store.open_jobs()) == []
    assert not store.claim(task.id, 1, OTHER)
    assert list(store.open_jobs()) == []


def test_a_result_is_refused_when_another_process_has_decided(store: Refusing) -> None:
    """The late end of an attempt that was taken for lost changes nothing, whatever its process wrote before."""
    task = live(store)
    lost = task.snapshot().model_copy(update={"status": TaskStatus.FAILED, "log": "lost\n"})
    assert store.decide(task.id, 1, store.note_of(lost, "two")).by == "two"
    store.close(lost)
    task.set_progress(0.5)
    task.flush()  # a paused process writes over the record; readers go by the end
    assert store.load(task.id) == lost
    assert not task.finish(TaskStatus.COMPLETED, output_dataset_ids=["x"])
    assert task.elsewhere
    assert store.load_view(task.id) == lost


def test_an_attempt_that_is_to_be_tried_again_is_read_as_waiting(store: Refusing) -> None:
    """From the decision on, whatever the record says."""
    task = live(store)
    task.update(status=TaskStatus.RUNNING)
    task.flush()
    store.decide(task.id, 1, EndNote(decision="retry", by="two"))
    assert (store.load(task.id).status, store.load(task.id).attempt) == (TaskStatus.PENDING, 2)
    store.requeue(store.load_view(task.id), 1)
    [job] = store.open_jobs()
    assert (job.id, job.claims) == (task.id, {})
    assert store.next_attempt(task.id) == 2
    assert not task.finish(TaskStatus.COMPLETED)
    again = LiveTask(store.load(task.id), store, 1000, lambda: None)
    assert again.claim(OTHER)
    assert again.finish(TaskStatus.COMPLETED)
    assert store.load(task.id).status is TaskStatus.COMPLETED
    assert store.next_attempt(task.id) is None


def test_what_fails_beside_it_does_not_end_the_flusher(
    store: Refusing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect in what is done every so often is told once; progress and requests to stop come through."""
    monkeypatch.setattr("compox_core.tasks.live.STOP_POLL_SECONDS", 0.01)
    monkeypatch.setattr("compox_core.tasks.live.FLUSH_SECONDS", 0.01)
    calls = []

    def fail() -> None:
        calls.append(1)
        raise ZeroDivisionError("a defect")

    tasks = LiveTasks(Stores(store), 1000)
    tasks.every.append(fail)
    record = ExecutionRecord(execution_id=new_id(), algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now())
    store.create(record, HOLDER, resume=False)
    task = tasks.add(record)
    assert task.claim(HOLDER)
    deadline = time.monotonic() + 60
    while len(calls) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    store.request_stop(task.id)
    assert task.stop_requested.wait(60)
    tasks.close()
    assert [entry.getMessage() for entry in caplog.records] == ["Will try again what failed: a defect"]
