"""While no worker can be started, jobs wait, and not for ever."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from compox_core.errors import StorageError
from compox_core.jobs.lifecycle import Lifecycle
from compox_core.jobs.processes import executor, spare, starts
from compox_core.jobs.processes.launch import Launch
from compox_core.jobs.processes.marks import Mark
from compox_core.jobs.processes.starts import Starts
from compox_core.jobs.processes.worker import Worker
from compox_core.records import Job, TaskStatus
from compox_core.tasks import LiveTask
from tests.jobs.processes.shop import opened, until


class Refusals:
    """The system refuses to start processes, so many times."""

    def __init__(self, count: float) -> None:
        self.count = count
        self.seen = 0

    def __call__(self) -> None:
        if self.seen < self.count:
            self.seen += 1
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(executor, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(starts, "LONGEST_PAUSE_SECONDS", 0.05)
    yield


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> Refusals:
    made = Refusals(0)
    start = Launch.start

    def refuse(self: Launch, mark: Mark) -> Popen[bytes]:
        made()
        return start(self, mark)

    monkeypatch.setattr(Launch, "start", refuse)
    return made


def test_a_moment_without_processes_costs_no_job(folder: Path, refusals: Refusals) -> None:
    """However often it was tried meanwhile, all jobs run when it is over."""
    refusals.count = 8
    with opened(folder, worker_number=2) as shop:
        for task_id in [shop.submit("print('tells 1')") for _ in range(5)]:
            assert shop.ended(task_id).status is TaskStatus.COMPLETED
    assert refusals.seen == 8


def test_a_long_time_without_processes_fails_the_job(
    folder: Path, refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason; and later ones run when it is over."""
    monkeypatch.setattr(spare, "GIVE_UP_SECONDS", 0.1)
    refusals.count = float("inf")
    with opened(folder) as shop:
        record = shop.run("print('tells 1')")
        assert record.error is not None
        assert (record.error.code, record.error.retryable) == ("worker_start_failed", True)
        assert "Resource temporarily unavailable" in record.log
        refusals.count = 0
        assert shop.run("print('tells 1')").status is TaskStatus.COMPLETED


def test_a_job_that_has_begun_waits_for_another_worker(
    folder: Path, refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When its own died at once; it cannot go back into the queue."""
    assign = Worker.assign

    def die_first(self: Worker, task: LiveTask, device: str | None) -> None:
        if not refusals.seen:
            refusals.count = 3
            self.kill()
        assign(self, task, device)

    monkeypatch.setattr(Worker, "assign", die_first)
    with opened(folder) as shop:
        assert shop.run("print('tells 1')").status is TaskStatus.COMPLETED
    assert refusals.seen == 3


def test_a_job_that_waits_for_another_worker_can_be_stopped(
    folder: Path, refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, however long the pause."""
    assign = Worker.assign

    def die(self: Worker, task: LiveTask, device: str | None) -> None:
        monkeypatch.setattr(executor, "RETRY_SECONDS", 1000)
        refusals.count = float("inf")
        self.kill()
        assign(self, task, device)

    monkeypatch.setattr(Worker, "assign", die)
    with opened(folder) as shop:
        task_id = shop.submit("print('tells 1')")
        until(lambda: refusals.seen, "a start that fails")
        shop.engine.executions.stop(task_id)
        assert shop.ended(task_id).status is TaskStatus.STOPPED


def test_a_job_that_neither_starts_nor_can_be_failed_is_tried_again(
    folder: Path, refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store refuses its claim when nobody could start a worker for it; it does not wait for ever."""
    refused: list[Job] = []
    begin = Lifecycle.begin

    def refuse(self: Lifecycle, job: Job) -> Any:
        if len(refused) < 3:
            refused.append(job)
            raise StorageError("Not now.", retryable=True)
        return begin(self, job)

    monkeypatch.setattr(spare, "GIVE_UP_SECONDS", 0.0)
    monkeypatch.setattr(Lifecycle, "begin", refuse)
    refusals.count = float("inf")
    with opened(folder) as shop:
        record = shop.run("print('tells 1')")
    assert record.error is not None
    assert record.error.code == "worker_start_failed"
    assert len(refused) == 3


def test_closing_gives_back_what_the_store_refuses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As threads do, rather than to wait for as long as the store is away."""
    refused = threading.Event()

    def refuse(self: Lifecycle, job: Job) -> Any:
        refused.set()
        raise StorageError("Not now.", retryable=True)

    monkeypatch.setattr(Lifecycle, "begin", refuse)
    with opened(folder) as shop:
        ids = [shop.submit("print('tells 1')") for _ in range(3)]
        assert refused.wait(60)
        left: list[Job] = []
        closing = threading.Thread(target=lambda: left.extend(shop.executor.close(None)), daemon=True)
        closing.start()
        closing.join(60)
        assert not closing.is_alive()
        assert sorted(job.id for job in left) == sorted(ids)


def test_pauses_grow_and_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots that fail together share one; a start that succeeds ends it."""
    monkeypatch.setattr(starts, "LONGEST_PAUSE_SECONDS", 8.0)
    now = [1000.0]
    monkeypatch.setattr("compox_core.jobs.processes.starts.time.monotonic", lambda: now[0])
    slots = Starts()
    assert (slots.pause(), slots.failing(0)) == (None, False)
    pauses = []
    for _ in range(6):
        pauses.append(slots.failed(1.0))
        assert slots.pause() == pauses[-1]
        now[0] += 0.5
        assert slots.failed(1.0) == pauses[-1] - 0.5
        now[0] += pauses[-1] - 0.5
        assert slots.pause() is None
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert slots.failing(31)
    assert not slots.failing(32)
    now[0] += 100
    assert slots.failed(1.0) == 1.0
    slots.succeeded()
    assert (slots.pause(), slots.failing(0)) == (None, False)


def test_jobs_that_came_in_a_pause_are_begun_after_it(
    folder: Path, refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the one that has met the failure is stopped, and nothing else happens."""
    assign = Worker.assign

    def die_first(self: Worker, task: LiveTask, device: str | None) -> None:
        if not refusals.seen:
            monkeypatch.setattr(executor, "RETRY_SECONDS", 1.0)
            refusals.count = 1
            self.kill()
        assign(self, task, device)

    monkeypatch.setattr(Worker, "assign", die_first)
    with opened(folder, worker_number=2) as shop:
        first = shop.submit("print('tells 1')")
        until(lambda: refusals.seen, "a start that fails")
        second = shop.submit("print('tells 1')")
        shop.engine.executions.stop(first)
        assert shop.ended(second).status is TaskStatus.COMPLETED
        assert shop.ended(first).status.final


def test_a_dead_worker_loses_no_job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another slot may look for work while the worker of this one is given up."""
    with opened(folder) as shop:
        shop.worker()
        used = shop.executor
        [slot] = used._slots.slots
        kill = Worker.kill
        seen: list[object] = []

        def look(self: Worker, seconds: float = 1.0) -> None:
            with used._lock:
                used._match()
                seen.append(slot.ticket)
            kill(self, seconds)

        [dying] = used._workers.values()
        dying.kill()
        assert dying.wait_gone(60)
        monkeypatch.setattr(Worker, "kill", look)
        assert shop.run("print('tells 1')").status is TaskStatus.COMPLETED
        assert seen[0] is not None
