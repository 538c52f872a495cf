"""The executors inside this process, and worker processes, keep the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from compox_core.engine import Engine
from compox_core.errors import StorageError
from compox_core.jobs import Lifecycle
from compox_core.records import Job, TaskStatus
from compox_core.settings import load_settings
from compox_core.tasks import LiveTask
from tests.contracts.executor import IMAGE, ExecutorContract, until
from tests.engine.authors import image_runner, write_algorithm
from tests.jobs.here import Here, opened


class TestInline(Here, ExecutorContract):
    """In the thread that submits."""

    name = "inline"
    blocks = True


class TestThreads(Here, ExecutorContract):
    """In threads of this process."""

    name = "threads"


class TestProcesses(Here, ExecutorContract):
    """In worker processes."""

    name = "processes"


@pytest.mark.parametrize("executor", ["threads", "processes"])
@pytest.mark.parametrize("problem", [RuntimeError("can't start new thread"), StorageError("down"), MemoryError()])
def test_a_job_that_cannot_begin_at_first_runs(
    executor: str, problem: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is that keeps it from that: nothing else would ever begin it."""
    begin = Lifecycle.begin
    problems = [problem, problem]

    def begin_late(lifecycle: Lifecycle, job: Job) -> LiveTask | None:
        if problems:
            raise problems.pop()
        return begin(lifecycle, job)

    monkeypatch.setattr(Lifecycle, "begin", begin_late)
    for module in ("executors", "processes.executor"):
        monkeypatch.setattr(f"compox_core.jobs.{module}.RETRY_SECONDS", 0.01)
    with opened(executor, tmp_path) as engine:
        engine.deploy(write_algorithm(tmp_path / "algorithm", image_runner("return data")))
        assert engine.submit("sample", IMAGE).wait(60).status is TaskStatus.COMPLETED
    assert problems == []


def test_a_thread_that_nothing_ends_is_replaced(tmp_path: Path) -> None:
    """Its record and its log say so, and the one worker there is takes the next job."""
    settings = {
        "storage": {"backend_settings": {"path": str(tmp_path / "store")}},
        "inference": {"stop": {"flag_seconds": 0.1, "exception_seconds": 0.2}},
    }
    with Engine(load_settings(settings), executor="threads") as engine:
        body = "self.log_message('begun')\ntime.sleep(600 if data[0, 0, 0] else 0)\nreturn data"
        engine.deploy(write_algorithm(tmp_path / "algorithm", image_runner(body)))
        stuck = engine.submit("sample", IMAGE + 1)
        until(lambda: "begun" in stuck.log, "it began")
        stuck.stop()
        left = stuck.wait(60)
        assert (left.status, left.stopped_by) == (TaskStatus.STOPPED, "abandoned")
        assert "a thread cannot be ended by force: it is left behind" in left.log
        assert engine.submit("sample", IMAGE).wait(60).status is TaskStatus.COMPLETED
