"""A stop ends whatever a worker does, by the first rung that can; nothing survives it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compox_core.engine import Engine
from compox_core.jobs.processes.ladder import ProcessLadder
from compox_core.records import ExecutionRecord, TaskStatus
from compox_core.settings.models import Stop
from tests.jobs.processes.shop import Shop, dead, opened, told, until

posix = pytest.mark.skipif(sys.platform == "win32", reason="as POSIX has it")

COOPERATIVE = """
import time
print('begun')
while True:
    self.set_progress(0.5)
    time.sleep(0.01)
"""
ENDLESS = "print('begun')\nwhile True: pass"
SWALLOWS_ALL = """
import os
print('tells', os.getpid())
print('begun')
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
# A mutex that is locked twice is waited for without end, and a signal does not interrupt the wait.
NATIVE = """
import ctypes, os
lock = ctypes.create_string_buffer(1024)
library = ctypes.{library}(None)
library.pthread_mutex_init(lock, None)
library.pthread_mutex_lock(lock)
print('tells', os.getpid())
print('begun')
library.pthread_mutex_lock(lock)
"""
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SWALLOWS_ALL


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """An engine that climbs on at once where the flag and the exception do nothing."""
    with opened(tmp_path_factory.mktemp("quick"), flag=0.05, exception=0.3) as shop:
        yield shop


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """An engine that kills soon."""
    with opened(tmp_path_factory.mktemp("hard"), flag=0.05, exception=0.2, terminate=0.3) as shop:
        yield shop


def ended_by(record: ExecutionRecord, *rungs: str) -> None:
    """Assert that a record is STOPPED, by one of these rungs, and says so in its log."""
    assert record.status is TaskStatus.STOPPED, record.log
    assert record.stopped_by in rungs, record.log
    assert f"rung '{record.stopped_by}'" in record.log
    assert "seconds after it was told to stop" in record.log
    assert record.output_dataset_ids == []
    assert record.error is None


def test_a_loop_that_reports_progress_meets_the_flag(shop: Shop) -> None:
    """And its worker, with what it has loaded, does the next job."""
    before = shop.worker()
    ended_by(
        shop.stopped("import time\nprint('begun')\nwhile True:\n    self.set_progress(0.5)\n    time.sleep(0.01)"),
        "flag",
    )
    assert shop.worker() == before


@pytest.mark.parametrize(
    "code",
    [
        ENDLESS,
        "import time; print('begun'); time.sleep(1000)",
        "import queue; print('begun'); queue.Queue().get()",
        "import threading; print('begun'); lock = threading.Lock(); lock.acquire(); lock.acquire()",
        "import subprocess, sys; print('begun'); subprocess.run([sys.executable, '-c', 'import time; time.sleep(99)'])",
    ],
    ids=["loop", "sleep", "queue", "lock", "child"],
)
def test_an_exception_ends_python_code_and_its_waits(folder: Path, code: str) -> None:
    """The worker is replaced: nobody knows what state its libraries are in."""
    with opened(folder, flag=0.05) as shop:
        before = shop.worker()
        ended_by(shop.stopped(code), "exception")
        until(partial(dead, before), "the end of the worker")
        assert shop.worker() != before


def test_what_is_in_finally_still_runs(folder: Path) -> None:
    """An exception is an end that lets code clear up; what it says while it does so is in the log."""
    with opened(folder, flag=0.05) as shop:
        record = shop.stopped("import time\nprint('begun')\ntry: time.sleep(1000)\nfinally: print('cleared up')")
        ended_by(record, "exception")
        assert "cleared up" in record.log


@posix
@pytest.mark.parametrize("library", ["CDLL", "PyDLL"], ids=["other threads run", "no Python code runs"])
def test_native_code_that_never_returns_is_terminated(quick: Shop, library: str) -> None:
    """Also where it holds the interpreter, so that not one line of Python can run in the worker."""
    record = quick.stopped(NATIVE.format(library=library))
    ended_by(record, "terminate")
    until(partial(dead, *told(record)), "the end of the worker")


def test_what_swallows_every_exception_is_terminated(quick: Shop) -> None:
    """The system does not ask."""
    ended_by(quick.stopped(SWALLOWS_ALL), "terminate", "kill")


@posix
def test_what_ignores_termination_is_killed(hard: Shop) -> None:
    """The last rung cannot be ignored."""
    record = hard.stopped(STUBBORN)
    ended_by(record, "kill")
    until(partial(dead, *told(record)), "the end of the worker")


@posix
def test_a_suspended_worker_is_killed(hard: Shop) -> None:
    """SIGSTOP holds every other signal back."""
    task_id = hard.submit("import os, time; print('tells', os.getpid()); print('begun'); time.sleep(1000)")
    log = hard.logged(task_id, "begun")
    os.kill(int(log.split(" tells ")[1].split()[0]), signal.SIGSTOP)
    hard.engine.executions.stop(task_id)
    ended_by(hard.ended(task_id), "kill")


@posix
def test_no_child_survives(hard: Shop) -> None:
    """Neither children, nor theirs, nor what has opened a session of its own, ignores SIGTERM or lost its parent."""
    grandchild = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"
    child = (
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {grandchild!r}], start_new_session=True)"
    )
    record = hard.stopped(
        """
        import subprocess, sys, time
        def start(code, apart):
            whole = code + "; print(p.pid, flush=True)" + ("" if apart else "; p.wait()")
            process = subprocess.Popen([sys.executable, "-c", whole], stdout=subprocess.PIPE, text=True)
            print("tells", process.stdout.readline().strip())
            if apart:
                process.wait()  # the grandchild is nobody's child now
            else:
                print("tells", process.pid)
        start(args["child"], False)
        start(args["child"], True)
        print("begun")
        while True:
            try:
                time.sleep(1000)
            except BaseException:
                pass
        """,
        child=child,
    )
    ended_by(record, "terminate", "kill")
    assert len(told(record)) == 3
    until(partial(dead, *told(record)), "the end of all descendants")


@posix
def test_children_of_a_job_that_met_the_flag_are_ended_too(shop: Shop) -> None:
    """A part that goes on has not been stopped; so the worker is replaced with it."""
    before = shop.worker()
    record = shop.stopped(
        """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
        print("tells", child.pid)
        print("begun")
        while True:
            self.set_progress(0.5)
            time.sleep(0.01)
        """
    )
    ended_by(record, "flag")
    until(partial(dead, before, *told(record)), "the end of the worker and of the child")


def test_a_thread_that_goes_on_is_ended_with_the_worker(shop: Shop) -> None:
    """The main thread has met the flag; the other one nothing could end but the process."""
    before = shop.worker()
    record = shop.stopped(
        """
        import threading, time
        threading.Thread(target=lambda: [time.sleep(0.01) for _ in iter(int, 1)]).start()
        print("begun")
        while True:
            self.set_progress(0.5)
            time.sleep(0.01)
        """
    )
    ended_by(record, "flag")
    until(partial(dead, before), "the end of the worker")


def test_jobs_that_wait_run_after_each_rung(hard: Shop) -> None:
    """A stop costs those behind it nothing but the time."""
    stopped = hard.submit(ENDLESS)
    waiting = [hard.submit("print('tells 1')") for _ in range(3)]
    hard.logged(stopped, "begun")
    hard.engine.executions.stop(stopped)
    assert hard.ended(stopped).status is TaskStatus.STOPPED
    assert {hard.ended(task_id).status for task_id in waiting} == {TaskStatus.COMPLETED}


def test_time_that_is_over_climbs_the_same_ladder(hard: Shop) -> None:
    """FAILED with a code of its own; the record says which rung it took."""
    record = hard.run(SWALLOWS_ALL, timeout_s=0.5)
    assert record.status is TaskStatus.FAILED
    assert record.error is not None
    assert (record.error.code, record.error.details) == ("timed_out", {"timeout_s": 0.5})
    assert record.stopped_by in ("terminate", "kill")
    until(partial(dead, *told(record)), "the end of the worker")


def test_a_worker_that_crashes_when_it_is_told_to_stop_is_stopped(shop: Shop) -> None:
    """It was to end, and has; the log says how."""
    record = shop.stopped(
        """
        import os, time
        print("begun")
        try:
            while True:
                self.set_progress(0.5)
                time.sleep(0.01)
        finally:
            os._exit(5)
        """
    )
    assert record.status is TaskStatus.STOPPED
    assert "exit status 5" in record.log


def test_outputs_of_a_killed_worker_are_removed(hard: Shop) -> None:
    """It could not do so itself."""
    record = hard.stopped(
        "from compox_core.data import ImageSchema\n"
        "print('tells', '\"' + self.post_data([{'image': data[0]}], ImageSchema)[0] + '\"')\n"
        + SWALLOWS_ALL.replace("print('tells', os.getpid())", ""),
    )
    ended_by(record, "terminate", "kill")
    [output] = told(record)
    until(lambda: hard.engine.files.exists_all([output]) == [output], "the removal of the output")


class Rope:
    """A worker that nothing ends."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.settled = self.gone = False
        self.outcome = None
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.calls.append(name)


def test_what_even_a_kill_does_not_end_is_given_up() -> None:
    """A process in a system call that does not return; every rung is climbed before."""
    rope = Rope()
    stop = Stop(flag_seconds=0.01, exception_seconds=0.25, terminate_seconds=0.01, kill_seconds=0.01)
    assert ProcessLadder(stop).climb(rope) == "abandoned"  # type: ignore[arg-type]
    assert rope.calls[0] == "ask_to_stop"
    assert rope.calls.count("raise_stop") > 1
    assert rope.calls[-2:] == ["terminate", "kill"]


def test_a_hurried_ladder_is_climbed_in_the_time_there_is() -> None:
    """Rungs that would wait for minutes share what is left, also where they have begun."""
    rope = Rope()
    ladder = ProcessLadder(Stop(flag_seconds=100, exception_seconds=100, terminate_seconds=100, kill_seconds=100))
    seen = SimpleNamespace(rung=None)
    thread = threading.Thread(target=lambda: setattr(seen, "rung", ladder.climb(rope)))  # type: ignore[arg-type]
    thread.start()
    until(lambda: rope.calls, "the first rung")
    ladder.hurry(0.4)
    with rope.changed:
        rope.changed.notify_all()
    thread.join(60)
    assert seen.rung == "abandoned"


def test_closing_the_engine_leaves_no_process(folder: Path) -> None:
    """Whatever runs, and however slow the ladder of the settings is; the records say STOPPED."""
    with opened(folder, worker_number=2, warm_spare=True) as shop:
        runs = [shop.submit(SWALLOWS_ALL), shop.submit(SWALLOWS_ALL), shop.submit("print('never')")]
        for task_id in runs[:2]:
            shop.logged(task_id, "begun")
        executor = shop.executor
        spare = until(lambda: executor._spare._waiting, "the spare")
        pids = [worker.pid for worker in (*executor._workers.values(), spare)]
        url = shop.engine.store.url
        shop.engine.close(wait=False)
        until(partial(dead, *pids), "the end of all workers")
        assert len(pids) == 3
    with Engine(url, executor="threads") as engine:
        for task_id in runs:
            assert engine.executions.get(task_id).status is TaskStatus.STOPPED


def test_closing_without_a_stop_tells_what_is_left(folder: Path) -> None:
    """An executor that is closed with a limit gives back what ran, and has ended its process."""
    with opened(folder) as shop:
        task_id = shop.submit(ENDLESS)
        shop.logged(task_id, "begun")
        [worker] = shop.executor._workers.values()
        left = shop.executor.close(0.2)
        assert [job.id for job in left] == [task_id]
        assert dead(worker.pid)
