"""The processes in which two workers run algorithms: what becomes of one is a matter of its job alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from compox_core.engine import Engine
from compox_core.records import TaskStatus
from tests.brokers import Broker
from tests.celery.site import Site, until
from tests.celery.test_celery_faults import MARKED, begun, both_work, marks

pytestmark = [
    pytest.mark.broker,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals"),
]

CRASHES = """
import os
self.log_message("begun")
os.write(2, b"last words")
os._exit(3)
"""
STUBBORN = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
self.log_message(f"tells {os.getpid()}")
self.log_message("begun")
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""


@pytest.fixture
def site(broker: Broker, tmp_path: Path) -> Iterator[Site]:
    """Two workers that kill soon what does not stop."""
    stop = "flag_seconds: 0.05, exception_seconds: 0.3, terminate_seconds: 0.3, kill_seconds: 10"
    site = Site(tmp_path / "site", broker, stop=stop)
    site.work()
    site.work()
    yield site
    site.close()


@contextmanager
def beside_another_job(site: Site, folder: Path) -> Iterator[Engine]:
    """Give a server while a job runs on one worker, which it goes on doing; both workers live, and do more after it."""
    with site.server() as engine:
        well = site.deploy(engine, MARKED)
        other = site.submit(engine, well, folder=str(folder), number="0", wait=True)
        begun(engine, other)
        yield engine
        assert engine.executions.get(other).status is TaskStatus.RUNNING
        (folder / "go").touch()
        assert site.ended(engine, other).status is TaskStatus.COMPLETED
        both_work(site, engine, well, folder / "both")
    assert [number for number, _ in marks(folder)] == ["0"]
    assert [worker.process.poll() for worker in site.workers] == [None, None]


@pytest.mark.parametrize("retry", [0, 1])
def test_a_child_that_crashes_fails_its_job_alone(site: Site, retry: int, tmp_path: Path) -> None:
    """With the exit status and its last words; neither worker is gone, nor what runs on the other one."""
    with beside_another_job(site, tmp_path) as engine:
        record = site.ended(engine, site.submit(engine, site.deploy(engine, CRASHES, "crashes", f"retry = {retry}")))
        assert record.error is not None, record
        assert (record.status, record.error.code) == (TaskStatus.FAILED, "worker_crashed")
        assert record.error.details["exit_status"] == 3
        assert "last words" in record.error.details["stderr"]
        assert (record.attempt, record.stopped_by, record.output_dataset_ids) == (1, None, [])


def test_an_algorithm_that_cannot_be_stopped_is_killed(site: Site, tmp_path: Path) -> None:
    """By the last rung, and its process is gone; neither worker is, nor what runs on the other one."""
    with beside_another_job(site, tmp_path) as engine:
        stubborn = site.submit(engine, site.deploy(engine, STUBBORN, "stubborn"))
        begun(engine, stubborn)
        engine.executions.stop(stubborn)
        record = site.ended(engine, stubborn)
        assert (record.status, record.stopped_by, record.attempt) == (TaskStatus.STOPPED, "kill", 1)
        assert "rung 'kill'" in record.log
        pid = int(record.log.split(" tells ")[1].split()[0])
        until(lambda: not psutil.pid_exists(pid), "the end of its process")
