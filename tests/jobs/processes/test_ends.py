"""Whatever goes wrong around a worker, its end is noticed, and nobody lets go of one that lives."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

from compox_core.jobs.processes import supervision, tree, worker
from compox_core.jobs.processes.launch import Launch
from compox_core.jobs.processes.marks import VARIABLE, Mark
from compox_core.jobs.processes.spare import Spare
from compox_core.jobs.processes.tree import ProcessTree
from compox_core.jobs.processes.worker import Worker
from compox_core.records import TaskStatus
from compox_core.settings import load_settings
from compox_core.tasks import LiveTask
from compox_core.tasks.presence import this_process
from tests.jobs.processes.shop import Shop, alive, dead, opened, until
from tests.jobs.processes.test_crashes import crashed

posix = pytest.mark.skipif(sys.platform == "win32", reason="as POSIX has it")

SLEEP = [sys.executable, "-c", "import time; time.sleep(1000)"]
CLOSES_EVENTS = """
import fcntl, os, stat, time
for number in range(3, 20):
    try:
        if stat.S_ISFIFO(os.fstat(number).st_mode) and fcntl.fcntl(number, fcntl.F_GETFL) & os.O_WRONLY:
            os.close(number)
            break
    except OSError:
        pass
"""


def no_descriptors(*args: object, **keywords: object) -> NoReturn:
    raise OSError(errno.EMFILE, "Too many open files")


def short_lived(*program: str) -> Launch:
    return Launch(load_settings({}), this_process("x"), program=("-c", *program))


@posix
def test_a_worker_whose_end_somebody_else_was_told_has_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when SIGCHLD is ignored, or the host program waits for any child; how it ended is not known then."""

    def reaped(kind: int, pid: int, options: int) -> NoReturn:
        os.waitpid(pid, 0)
        raise ChildProcessError(errno.ECHILD, "No child processes")

    monkeypatch.setattr(os, "waitid", reaped, raising=False)
    with opened(folder) as shop:
        record = shop.run("import os; os._exit(3)")
        assert crashed(record)["exit_status"] is None
        assert shop.run("print('tells 1')").status is TaskStatus.COMPLETED
        assert shop.executor.close(None) == []


@posix
def test_a_status_is_known_where_another_waits_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read before the number is given back."""
    for program, status in (("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL)):
        process = subprocess.Popen([sys.executable, "-c", program])
        assert tree.await_end(process) == tree.End(status, held=True)
        os.waitpid(process.pid, 0)
        assert tree.await_end(process) == tree.End(None, held=False)
        process.wait()


def test_an_end_is_told_though_its_children_cannot_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the search for them raises."""
    monkeypatch.setattr(ProcessTree, "kill", no_descriptors)
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    ended = Worker(short_lived("raise SystemExit(5)"), 1)
    ended.start()
    assert ended.wait_gone(60)
    assert ended.status == 5


@posix
@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_a_worker_is_signalled_where_nothing_can_be_seen(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file descriptor is left, so that /proc cannot be read."""
    process = subprocess.Popen(SLEEP, start_new_session=True)
    seen = ProcessTree(process.pid, Mark.of(this_process("i"), 1))
    try:
        with monkeypatch.context() as patch:
            patch.setattr(psutil.Process, "children", no_descriptors)
            patch.setattr(tree, "marked", no_descriptors)
            getattr(seen, how)()
        assert process.wait(60) < 0
    finally:
        process.kill()
        process.wait()


def test_a_tree_whose_root_is_another_process_now_is_left_alone() -> None:
    """Its number was given away after somebody else had waited for it."""
    child = subprocess.Popen(SLEEP)
    process = subprocess.Popen(SLEEP)
    try:
        seen = ProcessTree(process.pid, Mark.of(this_process("i"), 1))
        process.kill()
        process.wait()
        assert seen._root is not None
        seen._root._pid = os.getpid()  # now it is ours, and that has a child
        assert seen.children() == []
    finally:
        child.kill()
        child.wait()


END = """
import os, threading
from compox_core.jobs.processes import commands
def refuse(*args, **keywords):
    raise MemoryError
commands.ProcessTree.kill = refuse
thread = threading.Thread(target=commands.end_with_parent)
thread.start()
thread.join()
os._exit(3)
"""
DEAF = """
import io, os, sys, time
from compox_core.jobs.processes.commands import Commands
there, here = os.pipe()
os.write(here, b"nonsense\\n")
sys.__stderr__.close()
Commands(io.FileIO(there)).start()
time.sleep(100)
os._exit(3)
"""


@pytest.mark.parametrize("program", [END, DEAF], ids=["end", "deaf"])
def test_a_worker_ends_with_its_parent_whatever_it_meets(program: str) -> None:
    """When its children cannot be ended; when it can say nothing of a pipe that broke."""
    mark = str(Mark.of(this_process("x"), 1))
    assert subprocess.run([sys.executable, "-c", program], env={**os.environ, VARIABLE: mark}).returncode == 1


@posix
def test_a_worker_whose_parent_died_while_it_started_ends() -> None:
    """Though somebody holds its pipe: the mark says whose it was."""
    parent = subprocess.Popen(SLEEP)
    elsewhere = {"pid": parent.pid, "host": "elsewhere|1"}  # where nobody looks for orphans
    mark = Mark.of(this_process("i").model_copy(update=elsewhere), 1)
    parent.kill()
    parent.wait()
    program = [sys.executable, "-m", "compox_core.jobs.processes.child"]
    child = subprocess.Popen(program, stdin=subprocess.PIPE, env={**os.environ, VARIABLE: str(mark)})
    try:
        assert child.wait(60) == 1
    finally:
        child.kill()
        child.wait()
        assert child.stdin is not None
        child.stdin.close()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the descriptor by its kind")
@pytest.mark.parametrize("then", ["", "time.sleep(1000)"], ids=["returns", "goes on"])
def test_a_worker_that_can_say_nothing_is_ended(then: str, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An algorithm that closes descriptors it does not own is told so."""
    monkeypatch.setattr(worker, "EXIT_SECONDS", 0.05)
    record = shop.run(CLOSES_EVENTS + then)
    assert "broken" not in crashed(record)
    assert "closed the pipe" in record.error.message  # type: ignore[union-attr]
    assert shop.run("print('tells 1')").status is TaskStatus.COMPLETED


def test_a_limit_longer_than_the_system_can_wait_is_none(shop: Shop) -> None:
    """Three hundred years, say."""
    assert shop.run("print('tells 1')", timeout_s=1e10).status is TaskStatus.COMPLETED


def test_a_job_that_cannot_be_supervised_costs_its_worker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which would go on with it, unseen, and outlive the engine."""
    with opened(folder) as shop:
        before = shop.worker()
        with monkeypatch.context() as patch:
            patch.setattr(supervision, "_wait", no_descriptors)
            record = shop.run("import time; time.sleep(1000)")
        assert record.status is TaskStatus.FAILED
        until(partial(dead, before), "the end of the worker")
        assert shop.worker() != before


def test_workers_that_die_before_they_begin_leave_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the third no more is started for that job."""
    made: list[Worker] = []
    assign, start = Worker.assign, Spare._start

    def started(self: Spare) -> Worker:
        made.append(start(self))
        return made[-1]

    def die(self: Worker, task: LiveTask, device: str | None) -> None:
        self.kill()
        assign(self, task, device)

    monkeypatch.setattr(Spare, "_start", started)
    with opened(folder) as shop:
        with monkeypatch.context() as patch:
            patch.setattr(Worker, "assign", die)
            record = shop.run("print('tells 1')")
        assert record.error is not None
        assert record.error.code == "worker_start_failed"
        assert len(made) == 3
        until(lambda: not any(alive(each.pid) for each in made), "the end of all workers")
        assert shop.run("print('tells 1')").status is TaskStatus.COMPLETED


def test_closing_needs_no_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter gives none to its exit handlers."""
    with opened(folder, warm_spare=True, worker_number=2) as shop:
        task_id = shop.submit("import time; print('begun'); time.sleep(1000)")
        shop.logged(task_id, "begun")
        shop.worker()
        executor = shop.executor
        spare = until(lambda: executor._spare._waiting, "the spare")
        pids = [each.pid for each in (*executor._workers.values(), spare)]
        with monkeypatch.context() as patch:

            def refuse(self: threading.Thread) -> NoReturn:
                raise RuntimeError("can't create new thread at interpreter shutdown")

            patch.setattr(threading.Thread, "start", refuse)
            assert [job.id for job in executor.close(0)] == [task_id]
        assert len(pids) == 3
        assert dead(*pids)


def test_a_spare_is_not_started_when_all_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by somebody who was about to, and comes second."""
    spare = Spare(short_lived("pass"), keep=True)

    class Late:
        def __enter__(self) -> None:
            spare._keep = False  # as `close` does, which held the lock until now

        def __exit__(self, *args: Any) -> None:
            pass

    spare._lock = Late()  # type: ignore[assignment]
    spare.refill()
    assert spare._waiting is None


def test_threads_that_cannot_be_had_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose last thread is refused is ended, and the threads that it had end, too."""
    before = set(threading.enumerate())
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        if self.name.endswith("-exit"):
            raise RuntimeError("can't start new thread")
        start(self)

    refused = Worker(short_lived("import time; time.sleep(1000)"), 1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            refused.start()
    assert dead(refused.pid)
    until(lambda: set(threading.enumerate()) <= before, "the end of its threads")
