"""Executors carry jobs, each once, and give back what they did not run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from compox_core.errors import StateError, StorageError
from compox_core.identity import new_id, utc_now
from compox_core.jobs import Executor, InlineExecutor, LocalRun, ThreadExecutor
from compox_core.jobs.ladder import ThreadLadder
from compox_core.records import ExecutionRecord, Job, JobKind
from compox_core.settings.models import Stop
from compox_core.storage import open_store
from compox_core.tasks import LiveTask, TaskStore

Make = Callable[[Callable[[Job], None]], Executor]


class Calls(LocalRun):
    """Calls a function with every job, where the real one would claim and run it."""

    def __init__(self, function: Callable[[Job], None]) -> None:
        self._function = function

    def __call__(self, job: Job, ladder: ThreadLadder) -> None:
        self._function(job)


def threads(run: Callable[[Job], None], workers: int) -> ThreadExecutor:
    return ThreadExecutor(Calls(run), Stop(), workers)


EXECUTORS: dict[str, Make] = {
    "inline": lambda run: InlineExecutor(Calls(run), Stop()),
    "one thread": lambda run: threads(run, 1),
    "four threads": lambda run: threads(run, 4),
}


def job(number: int) -> Job:
    return Job(JobKind.EXECUTION, str(number))


@pytest.mark.parametrize("name", EXECUTORS)
def test_every_job_runs_once(name: str) -> None:
    """A hundred jobs, a hundred runs; closing without a limit waits for all of them."""
    seen: list[str] = []
    executor = EXECUTORS[name](lambda given: seen.append(given.id))
    for number in range(100):
        executor.submit(job(number))
    assert executor.close(None) == []
    assert sorted(seen, key=int) == [str(number) for number in range(100)]
    if name != "four threads":
        assert seen == sorted(seen, key=int)


@pytest.mark.parametrize("name", EXECUTORS)
def test_a_closed_executor_takes_nothing(name: str) -> None:
    """Submitting after close is an error that says so."""
    executor = EXECUTORS[name](lambda given: None)
    executor.close(None)
    with pytest.raises(StateError, match="closed"):
        executor.submit(job(1))


def test_jobs_run_side_by_side_up_to_the_number_of_workers() -> None:
    """Three workers run three jobs at a time, and a fourth waits."""
    inside = threading.Barrier(4)
    running: set[str] = set()
    go_on = threading.Event()

    def work(given: Job) -> None:
        running.add(given.id)
        if given.id != "3":
            inside.wait(10)
            go_on.wait(10)

    executor = threads(work, 3)
    for number in range(4):
        executor.submit(job(number))
    inside.wait(10)
    assert running == {"0", "1", "2"}
    go_on.set()
    executor.close(None)
    assert running == {"0", "1", "2", "3"}


def test_close_with_a_limit_gives_back_what_is_left() -> None:
    """A job that does not end and one that never began are both told."""
    begun, never = threading.Event(), threading.Event()

    def work(given: Job) -> None:
        begun.set()
        never.wait(20)

    executor = threads(work, 1)
    executor.submit(job(1))
    begun.wait(10)
    executor.submit(job(2))
    started = time.monotonic()
    assert sorted(left.id for left in executor.close(0.05)) == ["1", "2"]
    assert time.monotonic() - started < 10
    never.set()


def test_a_queued_job_can_be_taken_back() -> None:
    """One that has not begun is cancelled and never runs; one that runs is not."""
    begun, go_on = threading.Event(), threading.Event()
    seen = []

    def work(given: Job) -> None:
        seen.append(given.id)
        begun.set()
        go_on.wait(10)

    executor = threads(work, 1)
    executor.submit(job(1))
    executor.submit(job(2))
    begun.wait(10)
    assert [executor.cancel(job(number)) for number in (1, 2, 3)] == [False, True, False]
    go_on.set()
    executor.close(None)
    assert seen == ["1"]
    assert not InlineExecutor(Calls(work), Stop()).cancel(job(1))


@pytest.mark.parametrize("problem", [StorageError("full"), RuntimeError("can't start new thread")])
def test_a_job_that_cannot_begin_is_tried_again(problem: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever keeps it from that; the others are not held back for long."""
    monkeypatch.setattr("compox_core.jobs.executors.RETRY_SECONDS", 0.01)
    seen: list[str] = []
    done = threading.Event()

    def run(given: Job) -> None:
        seen.append(given.id)
        if len(seen) < 4:
            raise problem
        if given == job(2):
            done.set()

    executor = threads(run, 1)
    executor.submit(job(1))
    executor.submit(job(2))
    assert done.wait(60)
    assert executor.close(None) == []
    assert seen == ["1", "1", "1", "1", "2"]


def test_one_stop_that_fails_ends_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """One thread watches over all of them."""

    def live() -> LiveTask:
        record = ExecutionRecord(
            execution_id=new_id(), algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now()
        )
        return LiveTask(record, TaskStore(open_store("memory://"), JobKind.EXECUTION), 1000, lambda: None)

    def fail() -> bool:
        raise MemoryError

    broken, sound = live(), live()
    left = threading.Event()
    ladder = ThreadLadder(Stop(flag_seconds=0.001, exception_seconds=0.01), lambda task: left.set())
    ladder.start()
    broken.gate.raise_in_thread = fail  # type: ignore[method-assign]
    broken.write_log = fail  # type: ignore[assignment, method-assign]
    with ladder.watching(broken), ladder.watching(sound):
        broken.request_stop()
        sound.request_stop()
        assert left.wait(60)
    ladder.close()
    assert (sound.rung, "A stop failed and will be tried again" in caplog.text) == ("abandoned", True)
