"""Stores that refuse to write for a while, and jobs that wait in their middle until they do."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import compox_core as cx
from compox_core.engine.tasks import Tasks
from compox_core.records import BenchmarkRequest, JobKind, TaskRecord, TaskStatus
from compox_core.tasks import TaskStores
from tests.disks import SmallDisk
from tests.engine.authors import write_algorithm
from tests.servers import S3Server
from tests.storage.proxy import Proxy

TIMEOUT = 60.0
IMAGE = np.arange(30, dtype=np.float32).reshape(5, 6)

# A run stores its output, says so, and waits for a word from outside; a benchmark does without output.
RUNNER = """
import time
from pathlib import Path

from compox_core.runners import Image2ImageRunner

GATE = Path({gate!r})


class Runner(Image2ImageRunner):
    def inference(self, data, args):
        return data + 1

    def postprocess(self, data, args=None):
        return self.wait(super().postprocess(data, args))

    def benchmark(self, args):
        return self.wait({{"seconds": [0.5, 1.5]}})

    def wait(self, result):
        self.log_message("the result is there")
        GATE.joinpath("reached").touch()
        while not GATE.joinpath("go").exists():
            self.set_progress(0.5)
            time.sleep(0.01)
        if GATE.joinpath("go").read_text() == "fail":
            raise ValueError("as it was told")
        return result
"""

# A deploy waits where it tries whether the code can be imported: a second time, the first is when it is submitted.
IMPORTED = """
import time
from pathlib import Path

from compox_core.runners import Image2ImageRunner

GATE = Path({gate!r})
if GATE.joinpath("submitted").exists():
    GATE.joinpath("reached").touch()
    while not GATE.joinpath("go").exists():
        time.sleep(0.01)
GATE.joinpath("submitted").touch()


class Runner(Image2ImageRunner):
    def inference(self, data, args):
        return data + 1
"""


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


def marks(path: Path) -> tuple[int, ...]:
    """What changes when somebody writes or replaces a file."""
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class Gate:
    """What the job waits for."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    def reached(self) -> bool:
        return (self.folder / "reached").exists()

    def open(self, word: str = "") -> None:
        (self.folder / "draft").write_text(word)
        (self.folder / "draft").rename(self.folder / "go")


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


@pytest.fixture
def algorithm(tmp_path: Path, gate: Gate) -> Path:
    """The folder of an algorithm whose runs and benchmarks wait at the gate."""
    return write_algorithm(tmp_path / "algorithm", RUNNER.format(gate=str(gate.folder)))


@pytest.fixture
def imported(tmp_path: Path, gate: Gate) -> Path:
    """The folder of an algorithm whose deploys wait at the gate."""
    code = IMPORTED.format(gate=str(gate.folder))
    return write_algorithm(tmp_path / "imported", code, extra="check_importable = true")


class Refusing:
    """A store that can be made to refuse, with emergency records in a folder."""

    def __init__(self, settings: dict[str, Any], emergency: Path) -> None:
        self.settings: dict[str, Any] = {
            "log_path": "",
            "storage": settings,
            "inference": {"queue": {"reconcile_seconds": 0.2}},
        }
        self.keep_in(emergency)

    def keep_in(self, folder: Path) -> None:
        self.emergency = folder
        self.settings["storage"]["emergency_path"] = str(folder)

    def refuse(self) -> None:
        raise NotImplementedError

    def accept(self) -> None:
        raise NotImplementedError

    def kept(self) -> list[Path]:
        return sorted(self.emergency.glob("*/compox_emergency_*.json"))

    def expect(self, told: TaskRecord) -> None:
        """Wait until the store has the end that was told, and nothing is kept beside it; another engine sees it too."""
        task_id = told.task_id
        until(lambda: not [path for path in self.kept() if task_id in path.name], "what was kept had reached the store")
        with cx.Engine(self.settings, executor="inline") as other:
            stored = TaskStores(other.store).of(told.kind)
            there = stored.load_view(task_id)
            assert there == told.model_copy(update={"log": there.log})
            assert told.log in there.log
            assert jobs_of(other, told.kind).get(task_id) == there
            assert list(stored.open_jobs()) == []
            if told.kind is JobKind.EXECUTION and told.status is TaskStatus.COMPLETED:
                (output,) = other.executions.get(task_id).output_dataset_ids
                np.testing.assert_array_equal(other.files.read(output)["image"], IMAGE + 1)


class FullDisk(Refusing):
    def __init__(self, disk: SmallDisk, emergency: Path) -> None:
        super().__init__({"backend_settings": {"provider": "local", "path": str(disk.path / "store")}}, emergency)
        self.disk = disk

    def refuse(self) -> None:
        # A job that fails removes its output, which must not make room for its end.
        self._held.mkdir()
        for path in (self.disk.path / "store" / "data-store").rglob("*"):
            if path.is_file():
                (self._held / uuid.uuid4().hex).hardlink_to(path)
        self.disk.fill()

    def accept(self) -> None:
        self.disk.free()
        shutil.rmtree(self._held)

    @property
    def _held(self) -> Path:
        return self.disk.path / "held"


class StoppedServer(Refusing):
    def __init__(self, server: S3Server, proxy: Proxy, emergency: Path) -> None:
        once = {"retries": {"total_max_attempts": 1}}  # by this the refusal is known at once
        options = {**server.options, "endpoint_url": proxy.endpoint, "config_kwargs": once}
        backend = {"provider": "fsspec", "url": server.url(), "options": options}
        super().__init__({"backend_settings": backend}, emergency)
        self._proxy = proxy

    def refuse(self) -> None:
        self._proxy.stop()

    def accept(self) -> None:
        self._proxy.go_on()


@pytest.fixture
def full_disk(small_disk: SmallDisk) -> FullDisk:
    """A store and its emergency records on one disk."""
    return FullDisk(small_disk, small_disk.path / "emergency")


def jobs_of(engine: cx.Engine, kind: JobKind) -> Tasks[Any]:
    tasks: dict[JobKind, Tasks[Any]] = {
        JobKind.EXECUTION: engine.executions,
        JobKind.BENCHMARK: engine.benchmarks,
        JobKind.DEPLOY: engine.deploys,
    }
    return tasks[kind]


@dataclass(frozen=True)
class Case:
    """A job, and how it ends while the store refuses. A deploy has nowhere to go then, so it fails or is stopped."""

    kind: JobKind
    status: TaskStatus
    executor: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.status}-{self.executor}"

    def begin(self, engine: cx.Engine, algorithm: Path, imported: Path, gate: Gate) -> str:
        """Submit the job, and return its id when it waits in its middle."""
        if self.kind is JobKind.DEPLOY:
            task_id = engine.deploys.submit(imported).deploy_id
        else:
            found = engine.deploy(algorithm).record.algorithm_id
            if self.kind is JobKind.EXECUTION:
                task_id = engine.submit("sample", IMAGE).id
            else:
                task_id = engine.benchmarks.submit(BenchmarkRequest(algorithm_id=found)).benchmark_id
        until(gate.reached, "the job was in its middle")
        return task_id

    def end(self, tasks: Tasks[Any], task_id: str, gate: Gate) -> TaskRecord:
        """Let the job end; return what is told of it."""
        if self.status is TaskStatus.STOPPED:
            tasks.stop(task_id)
        if self.status is not TaskStatus.STOPPED or self.kind is JobKind.DEPLOY:
            gate.open("fail" if self.status is TaskStatus.FAILED else "")
        record: TaskRecord = tasks.wait(task_id, TIMEOUT)
        assert record.status is self.status
        if self.kind is JobKind.DEPLOY and self.status is TaskStatus.FAILED:
            assert record.error is not None and record.error.code in ("disk_full", "storage_unavailable")
        return record


EXECUTION, BENCHMARK, DEPLOY = JobKind.EXECUTION, JobKind.BENCHMARK, JobKind.DEPLOY
COMPLETED, FAILED, STOPPED = TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.STOPPED
CASES = [
    Case(EXECUTION, COMPLETED, "threads"),
    Case(EXECUTION, COMPLETED, "processes"),
    Case(EXECUTION, FAILED, "threads"),
    Case(EXECUTION, STOPPED, "processes"),
    Case(BENCHMARK, COMPLETED, "processes"),
    Case(BENCHMARK, FAILED, "threads"),
    Case(DEPLOY, FAILED, "threads"),
    Case(DEPLOY, STOPPED, "processes"),
]


def refused(place: Refusing, case: Case, algorithm: Path, imported: Path, gate: Gate) -> None:
    """Have a job end while the store refuses, look at it meanwhile, and wait until the store has it."""
    with cx.Engine(place.settings, executor=case.executor) as engine:
        tasks = jobs_of(engine, case.kind)
        task_id = case.begin(engine, algorithm, imported, gate)
        place.refuse()
        told = case.end(tasks, task_id, gate)
        assert tasks.get(task_id).status is case.status
        (kept,) = place.kept()
        content = json.loads(kept.read_text())
        assert content["_emergency_storage_retryable"] is True
        assert {**content, **told.model_dump(mode="json"), "log": content["log"]} == content
        place.accept()
        place.expect(told)
    assert list(place.emergency.glob(".emergency_reserve*")) == []  # the engine has given it back
