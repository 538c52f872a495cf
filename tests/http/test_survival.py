"""What is queued and running outlives the server, its worker processes, and both."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from compox_core.engine import Engine
from compox_core.records import ExecutionRecord, ExecutionRequest, TaskStatus
from compox_http.client import Client
from tests.engine.authors import image_runner, write_algorithm
from tests.http.test_serve import running

pytestmark = pytest.mark.slow

DEADLINE = 120.0
QUEUED = 20
IMAGE = np.arange(12, dtype=np.float32).reshape(3, 4)

CONFIG = """
port: 0
storage:
  backend_settings: {{path: {store}}}
inference:
  backend_settings: {{executor: processes, worker_number: 1}}
"""

BODY = """
from pathlib import Path
folder = Path(args["folder"])
with open(folder / "marks", "a") as marks:
    marks.write(args["number"] + "\\n")
self.log_message("begun")
while args["number"] == "0" and not (folder / "go").exists():
    time.sleep(0.01)
return data + int(args["number"])
"""


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until `condition` holds and return its value."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)
    return value


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


class Site:
    """A store with one algorithm, and the servers that are started on it one after another."""

    def __init__(self, folder: Path, retry: int) -> None:
        self.folder = folder
        self.config = folder / "compox.yaml"
        self.config.write_text(CONFIG.format(store=folder / "store"), encoding="utf-8")
        algorithm = write_algorithm(folder / "algorithm", image_runner(BODY), extra=f"retry = {retry}")
        with Engine(folder / "store") as engine:
            self.algorithm_id = engine.deploy(algorithm).record.algorithm_id

    def submit(self, client: Client) -> list[str]:
        """Submit one run that waits, which begins, and those behind it; return their ids."""
        file_id = client.files.save({"image": IMAGE})
        ids = []
        for number in range(QUEUED + 1):
            request = ExecutionRequest(
                algorithm_id=self.algorithm_id,
                input_dataset_ids=[file_id],
                additional_parameters={"folder": str(self.folder), "number": str(number)},
            )
            ids.append(client.executions.submit(request))
        until(lambda: "begun" in client.executions.get(ids[0]).log, "the first run")
        return ids

    def check(self, client: Client, ids: list[str]) -> ExecutionRecord:
        """Assert that all that was queued completed in order, each once; return the record of what was running."""
        (self.folder / "go").touch()
        records = [client.executions.wait(each, DEADLINE) for each in ids]
        for number, record in list(enumerate(records))[1:]:
            assert (record.status, record.attempt) == (TaskStatus.COMPLETED, 1), record
            np.testing.assert_array_equal(client.files.read(record.output_dataset_ids[0])["image"], IMAGE + number)
        assert records[0].status.final
        marks = (self.folder / "marks").read_text().split()
        counted = Counter(marks)
        assert [counted[str(number)] for number in range(1, QUEUED + 1)] == [1] * QUEUED
        assert [mark for mark in marks if mark != "0"] == [str(number) for number in range(1, QUEUED + 1)]
        assert counted["0"] == records[0].attempt
        return records[0]


@pytest.mark.parametrize("retry", [0, 1])
@pytest.mark.parametrize("victims", ["server", "worker", "both"])
def test_kill_9_loses_nothing(victims: str, retry: int, tmp_path: Path) -> None:
    """What waited completes; what ran fails with the reason, or runs again where the algorithm says so."""
    site = Site(tmp_path, retry)
    with running(["--config", str(site.config)]) as (server, url), Client(url) as client:
        ids = site.submit(client)
        children = psutil.Process(server.pid).children(recursive=True)
        assert children
        if victims == "worker":
            for child in children:
                child.kill()
            record = site.check(client, ids)
            assert server.poll() is None
        else:
            server.kill()
            if victims == "both":
                for child in children:
                    child.kill()
            server.wait(30)
            until(lambda: not alive(children), "the end of the worker processes, whose parent is dead")
    if victims != "worker":
        with running(["--config", str(site.config)]) as (_, url), Client(url) as client:
            record = site.check(client, ids)
    if victims == "worker":
        assert record.error is not None
        assert (record.status, record.error.code) == (TaskStatus.FAILED, "worker_crashed")
        assert "SIGKILL" in record.error.message
    elif retry:
        assert (record.status, record.attempt) == (TaskStatus.COMPLETED, 2)
    else:
        assert record.error is not None
        assert (record.status, record.error.code) == (TaskStatus.FAILED, "worker_lost")


def test_a_server_that_ends_leaves_its_queue_to_the_next(tmp_path: Path) -> None:
    """Of what ran it says that it was stopped; what waited is still PENDING, and completes later."""
    site = Site(tmp_path, 0)
    with running(["--config", str(site.config)]) as (server, url), Client(url) as client:
        ids = site.submit(client)
        server.terminate()
        _, err = server.communicate(timeout=60)
        assert (server.returncode, err) == (0, "")
    with Engine(tmp_path / "store") as engine:
        statuses = [engine.executions.get(each).status for each in ids]
        assert statuses == [TaskStatus.STOPPED] + [TaskStatus.PENDING] * QUEUED
    with running(["--config", str(site.config)]) as (_, url), Client(url) as client:
        assert site.check(client, ids).status is TaskStatus.STOPPED
