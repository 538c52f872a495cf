"""Whoever follows a job that goes on here hears of each change, and of none when it follows no more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from compox_core.engine.watching import Watched
from compox_core.errors import StorageError
from compox_core.identity import new_id, utc_now
from compox_core.records import ExecutionRecord, JobKind, TaskStatus
from compox_core.storage import open_store
from compox_core.tasks import Holder, LiveTask, TaskStore

HOLDER = Holder(incarnation="one", host="here", pid=1, started="now")
OTHER = Holder(incarnation="two", host="here", pid=2, started="now")


@pytest.fixture
def store() -> TaskStore:
    """Executions in memory."""
    return TaskStore(open_store("memory://"), JobKind.EXECUTION)


def live(store: TaskStore) -> LiveTask:
    """Return a job that waits."""
    record = ExecutionRecord(execution_id=new_id(), algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now())
    store.create(record, HOLDER, resume=False)
    return LiveTask(record, store, 1000, lambda: None)


def test_every_change_is_told(store: TaskStore) -> None:
    """Once each, after it can be seen; a final one tells that there is no more."""
    task = live(store)
    seen: list[tuple[TaskStatus, float, str]] = []

    def look() -> None:
        record = watched.record()
        seen.append((record.status, record.progress, watched.log_since(0)[1][21:]))

    watched = Watched(task, look)
    assert (seen, watched.final, watched.lost) == ([], False, False)
    assert task.claim(HOLDER)
    changes: list[Callable[[], object]] = [
        lambda: task.update(status=TaskStatus.RUNNING, time_started=utc_now()),
        lambda: task.set_progress(0.25),
        lambda: task.write_log("INFO", "hello"),
        lambda: task.finish(TaskStatus.COMPLETED, output_dataset_ids=["x"]),
    ]
    for number, change in enumerate(changes, 1):
        change()
        assert len(seen) == number
    assert seen == [
        (TaskStatus.RUNNING, 0.0, ""),
        (TaskStatus.RUNNING, 0.25, ""),
        (TaskStatus.RUNNING, 0.25, "INFO hello\n"),
        (TaskStatus.COMPLETED, 1.0, "INFO hello\n"),
    ]
    assert (watched.final, watched.lost) == (True, False)
    assert watched.record().log == "" and task.snapshot().log != ""


def test_what_changes_nothing_is_not_told(store: TaskStore) -> None:
    """A thread that outlives its run changes nothing, except by what it logs."""
    task = live(store)
    assert task.claim(HOLDER)
    task.finish(TaskStatus.FAILED)
    calls: list[int] = []
    Watched(task, lambda: calls.append(1))
    task.set_progress(0.5)
    task.update(status=TaskStatus.RUNNING)
    assert not task.finish(TaskStatus.COMPLETED)
    assert calls == []
    task.write_log("INFO", "late")
    assert calls == [1]


def test_who_closes_hears_no_more(store: TaskStore) -> None:
    """The others do; one may close in the middle of being told, and twice."""
    task = live(store)
    heard: list[str] = []

    def once() -> None:
        heard.append("once")
        brief.close()

    brief, faithful = Watched(task, once), Watched(task, lambda: heard.append("always"))
    for progress in (0.1, 0.2):
        task.set_progress(progress)
    assert sorted(heard) == ["always", "always", "once"]
    brief.close()
    faithful.close()
    faithful.close()
    task.set_progress(0.3)
    assert len(heard) == 3
    assert task._watchers == ()


def test_a_job_that_another_process_took_is_told_as_lost(store: TaskStore) -> None:
    """Whether it began there first, or was decided there; only the store knows more."""
    begun_elsewhere, decided_elsewhere = live(store), live(store)
    calls: list[int] = []
    follows = [Watched(task, lambda: calls.append(1)) for task in (begun_elsewhere, decided_elsewhere)]
    assert store.claim(begun_elsewhere.id, 1, OTHER)
    assert not begun_elsewhere.claim(HOLDER)
    assert decided_elsewhere.claim(HOLDER)
    lost = decided_elsewhere.snapshot().model_copy(update={"status": TaskStatus.FAILED})
    store.decide(lost.task_id, 1, store.note_of(lost, "two"))
    assert not decided_elsewhere.finish(TaskStatus.COMPLETED)
    assert [(watched.final, watched.lost) for watched in follows] == [(True, True)] * 2
    assert calls == [1, 1]


def test_an_end_that_the_store_refuses_is_told_all_the_same(store: TaskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once; it is not lost."""
    task = live(store)
    assert task.claim(HOLDER)
    calls: list[int] = []
    watched = Watched(task, lambda: calls.append(1))

    def refuse(*_: object) -> None:
        raise StorageError("down", retryable=True)

    monkeypatch.setattr(store, "decide", refuse)
    task.finish(TaskStatus.COMPLETED)
    assert (calls, watched.final, watched.lost) == ([1], True, False)


def test_followers_come_and_go_while_threads_change_the_job(store: TaskStore) -> None:
    """Who stays misses none of a thousand changes, and at the end nobody follows who has closed."""
    task, counted = live(store), threading.Semaphore(0)
    stays = Watched(task, counted.release)

    def change(number: int) -> None:
        for turn in range(250):
            task.set_progress(turn / 250)

    def come_and_go(number: int) -> None:
        for _ in range(100):
            Watched(task, lambda: None).close()

    with ThreadPoolExecutor(8) as pool:
        for each in [*(pool.submit(change, n) for n in range(4)), *(pool.submit(come_and_go, n) for n in range(4))]:
            each.result()
    assert all(counted.acquire(blocking=False) for _ in range(1000))
    assert not counted.acquire(blocking=False)
    stays.close()
    assert task._watchers == ()
