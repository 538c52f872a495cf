"""A worker that ends in the middle of a job costs that job alone, and the record says why."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest

from compox_core.jobs.processes import spare
from compox_core.records import ExecutionRecord, TaskStatus
from tests.jobs.processes.shop import Shop, alive, dead, opened, told, until

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")

SEGFAULT = "import ctypes; ctypes.string_at(0)"


def crashed(record: ExecutionRecord) -> dict[str, object]:
    """Assert that a record says that its worker crashed; return the details."""
    assert record.status is TaskStatus.FAILED, record.log
    assert record.error is not None
    assert record.error.code == "worker_crashed", record.error
    assert record.output_dataset_ids == []
    assert record.stopped_by is None
    return record.error.details


def test_an_exit_past_python_is_told_with_its_status(shop: Shop) -> None:
    """With the last that was on stderr; the next job runs in another process."""
    before = shop.worker()
    details = crashed(shop.run("import os; os.write(2, b'last words'); os._exit(7)"))
    assert (details["exit_status"], details["signal"]) == (7, None)
    assert "last words" in str(details["stderr"])
    assert shop.worker() != before


def test_an_exit_that_looks_well_is_a_crash_too(shop: Shop) -> None:
    """Status 0 in the middle of a job is not its end."""
    assert crashed(shop.run("import os; os._exit(0)"))["exit_status"] == 0


@posix
def test_a_segmentation_fault_is_told_with_the_stack(shop: Shop) -> None:
    """Which line it was in is on stderr, and so in the record."""
    record = shop.run(SEGFAULT)
    details = crashed(record)
    assert details["signal"] == "SIGSEGV"
    assert "Segmentation fault" in str(details["stderr"])
    assert "segmentation fault" in record.error.message  # type: ignore[union-attr]
    assert "SIGSEGV" in record.log


@posix
def test_a_kill_by_hand_is_told(shop: Shop) -> None:
    """SIGKILL, which is also what the system does when memory runs out."""
    task_id = shop.submit("import os, time; print('tells', os.getpid()); time.sleep(1000)")
    shop.logged(task_id, "tells")
    os.kill(told(shop.engine.executions.get(task_id))[0], signal.SIGKILL)
    record = shop.ended(task_id)
    assert crashed(record)["signal"] == "SIGKILL"
    assert "no memory left" in record.error.message  # type: ignore[union-attr]


def test_queued_jobs_go_on(shop: Shop) -> None:
    """Crashing and well jobs in turn: each gets its own end, in order."""
    codes = ["import os; os._exit(1)", "print('tells 1')"] * 3
    records = [shop.ended(task_id) for task_id in [shop.submit(code) for code in codes]]
    assert [record.status.value for record in records] == ["FAILED", "COMPLETED"] * 3
    ends = [record.time_completed for record in records]
    assert ends == sorted(ends)  # type: ignore[type-var]


def test_what_a_crashed_job_has_stored_is_removed(shop: Shop) -> None:
    """Nobody is told of these files; the inputs stay."""
    record = shop.run(
        """
        import os
        from compox_core.data import ImageSchema
        file_id = self.post_data([{"image": data[0]}], ImageSchema)[0]
        print("tells", f'"{file_id}"')
        os._exit(1)
        """
    )
    crashed(record)
    [output] = told(record)
    until(lambda: shop.engine.files.exists_all([output]) == [output], "the removal of the output")
    assert shop.engine.files.exists_all([shop.input]) == []


def test_children_of_a_crashed_worker_are_ended(shop: Shop) -> None:
    """Also one that has opened a session of its own."""
    record = shop.run(
        """
        import os, subprocess, sys
        sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
        for apart in (False, True):
            print("tells", subprocess.Popen(sleep, start_new_session=apart).pid)
        os._exit(1)
        """
    )
    crashed(record)
    children = told(record)
    assert len(children) == 2
    until(lambda: not any(alive(pid) for pid in children), "the end of the children")


def test_a_child_that_holds_the_pipes_does_not_hide_the_crash(shop: Shop) -> None:
    """A fork has copies of the worker's descriptors; the end of the worker is seen all the same."""
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork")
    record = shop.run(
        """
        import os, time
        child = os.fork()
        if child == 0:
            os.setsid()
            time.sleep(1000)
        print("tells", child)
        os._exit(1)
        """
    )
    crashed(record)
    until(lambda: not alive(told(record)[0]), "the end of the fork")


def test_a_worker_that_died_while_idle_costs_nothing(shop: Shop) -> None:
    """The next job runs in a new one, also where it comes before anybody has noticed."""
    for wait in (True, False, False, False):
        pid = shop.worker()
        psutil.Process(pid).kill()
        if wait:
            until(partial(dead, pid), "its end")
        record = shop.run("import os; print('tells', os.getpid())")
        assert record.status is TaskStatus.COMPLETED, record.log
        assert told(record) != [pid]


def test_nonsense_on_the_private_pipe_is_an_error_and_not_a_hang(shop: Shop) -> None:
    """An algorithm that writes on descriptors it does not own breaks its own job only."""
    if sys.platform != "linux":
        pytest.skip("finds the descriptor in /proc")
    record = shop.run(
        """
        import os, stat, time
        for number in range(3, 20):
            try:
                if stat.S_ISFIFO(os.fstat(number).st_mode) and os.get_inheritable(number) is False:
                    os.write(number, b"nonsense\\n")
            except OSError:
                pass
        time.sleep(1000)
        """
    )
    assert "nonsense" in str(crashed(record)["broken"])
    assert shop.run("print('tells 1')").status is TaskStatus.COMPLETED


def test_workers_that_cannot_start_fail_the_job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, with what they said; once they can, the next job runs."""
    monkeypatch.setattr(spare, "HOPELESS_SECONDS", 0.5)
    with opened(folder) as shop:
        launch = shop.executor._spare._launch
        good = launch.program
        object.__setattr__(launch, "program", ("-c", "raise ImportError('no such library here')"))
        record = shop.run("print('tells 1')")
        assert record.status is TaskStatus.FAILED
        assert record.error is not None
        assert record.error.code == "worker_start_failed"
        assert "no such library here" in record.error.details["stderr"]
        assert "no such library here" in record.log
        object.__setattr__(launch, "program", good)
        assert shop.run("print('tells 1')").status is TaskStatus.COMPLETED


def test_a_program_that_is_not_there_fails_the_job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when Python itself was removed meanwhile."""
    monkeypatch.setattr(spare, "HOPELESS_SECONDS", 0.5)
    with opened(folder) as shop:
        monkeypatch.setattr(sys, "executable", str(folder / "nothing"))
        record = shop.run("print('tells 1')")
        assert record.error is not None
        assert record.error.code == "worker_start_failed"
