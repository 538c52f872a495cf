"""A process that dies while the store refuses the end of its job: the next one delivers it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import compox_core as cx
from compox_core.identity import new_id
from compox_core.records import ExecutionRecord, JobKind, TaskRecord, TaskStatus
from compox_core.storage import EXECUTIONS
from compox_core.tasks import TaskStores
from tests.engine.refusing import FullDisk, Gate, algorithm, full_disk, gate, marks, until

__all__ = ["algorithm", "full_disk", "gate"]  # fixtures

CHILD = """
import json, sys, time
import numpy as np
import compox_core as cx

settings, algorithm, executor = json.loads(sys.argv[1]), *sys.argv[2:]
engine = cx.Engine(settings, executor=executor).open()
engine.deploy(algorithm)
handle = engine.submit("sample", np.arange(30, dtype=np.float32).reshape(5, 6))
print(handle.wait().model_dump_json(), flush=True)
time.sleep(600)
"""

Begin = Callable[..., tuple[subprocess.Popen[str], TaskRecord]]


@pytest.fixture
def begin(full_disk: FullDisk, algorithm: Path, gate: Gate) -> Iterator[Begin]:
    """Start a process with a job that has ended COMPLETED, on a disk that is full; return it and what it was told."""
    children = []

    def start(executor: str = "threads") -> tuple[subprocess.Popen[str], TaskRecord]:
        command = [sys.executable, "-c", CHILD, json.dumps(full_disk.settings), str(algorithm), executor]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        until(gate.reached, "the output was stored")
        full_disk.refuse()
        gate.open()
        told = ExecutionRecord.model_validate_json(child.stdout.readline())
        assert told.status is TaskStatus.COMPLETED
        assert [path for path in full_disk.kept() if told.task_id in path.name]
        return child, told

    yield start
    for child in children:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def kill(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_the_next_server_delivers_at_its_start(full_disk: FullDisk, begin: Begin, executor: str) -> None:
    """When it is open the store has the end of the job of the killed one; nobody says that its worker was lost."""
    child, told = begin(executor)
    kill(child)
    full_disk.accept()
    with cx.Engine(full_disk.settings, executor="threads", resume=True) as engine:
        assert full_disk.kept() == []
        assert TaskStores(engine.store).of(JobKind.EXECUTION).load_view(told.task_id).status is TaskStatus.COMPLETED
    full_disk.expect(told)


def test_the_next_server_on_a_disk_that_is_still_full(full_disk: FullDisk, begin: Begin, tmp_path: Path) -> None:
    """Its clients read the true state, and the store has it once there is room."""
    full_disk.keep_in(tmp_path / "emergency")  # else it finds room in what the dead process had held on the disk
    child, told = begin()
    kill(child)
    with cx.Engine(full_disk.settings, executor="threads", resume=True) as engine:
        assert engine.executions.get(told.task_id).status is TaskStatus.COMPLETED
        assert len(full_disk.kept()) == 1
        full_disk.accept()
        until(lambda: not full_disk.kept(), "there was room for it")
        assert engine.executions.get(told.task_id).status is TaskStatus.COMPLETED
    full_disk.expect(told)


def test_what_a_living_process_keeps_is_left_to_it(full_disk: FullDisk, begin: Begin) -> None:
    """Others read it and do not touch it, although they could deliver it; the process itself does."""
    child, told = begin()
    (kept,) = full_disk.kept()
    before = marks(kept)
    child.send_signal(signal.SIGSTOP)
    full_disk.accept()
    with cx.Engine(full_disk.settings, executor="threads", resume=True) as engine:
        assert engine.executions.get(told.task_id).status is TaskStatus.COMPLETED
        assert marks(kept) == before
        child.send_signal(signal.SIGCONT)
        full_disk.expect(told)


def test_what_is_not_ours_is_left_alone(full_disk: FullDisk, begin: Begin) -> None:
    """Files of the ancestor, of another store and broken ones are as they were when everything is over."""
    home = full_disk.emergency / EXECUTIONS
    home.mkdir(parents=True, mode=0o700)
    full_disk.emergency.chmod(0o700)
    foreign = [home / f"compox_emergency_{new_id()}.json" for _ in range(4)]
    ancestors = {"execution_id": "x", "status": "FAILED", "_emergency_storage_error": "full"}
    others = {**ancestors, "_emergency_store": "/other (1)", "_emergency_holder": {}, "_emergency_attempt": 1}
    foreign[0].write_text(json.dumps(ancestors))
    foreign[1].write_text(json.dumps(others))
    foreign[2].write_text(json.dumps(others)[:40])
    foreign[3].mkdir()
    before = [marks(path) for path in foreign]
    child, told = begin()
    kill(child)
    full_disk.accept()
    with cx.Engine(full_disk.settings, executor="threads", resume=True):
        until(lambda: full_disk.kept() == sorted(foreign), "ours had been delivered")
    full_disk.expect(told)
    assert [marks(path) for path in foreign] == before


def test_a_deleted_record_leaves_nothing_to_deliver(full_disk: FullDisk, begin: Begin) -> None:
    """Whoever deletes a record by the end that is kept deletes that too: no later server brings it up again."""
    child, told = begin()
    kill(child)
    full_disk.accept()
    with cx.Engine(full_disk.settings, executor="inline") as engine:
        assert engine.executions.get(told.task_id).status is TaskStatus.COMPLETED
        assert len(full_disk.kept()) == 1
        engine.executions.delete(told.task_id)
        assert full_disk.kept() == []
    with cx.Engine(full_disk.settings, executor="threads", resume=True) as engine:
        assert list(engine.executions.list()) == []
