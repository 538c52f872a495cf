"""A store that fails in the middle of accepting or stopping a job leaves none behind that nobody ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compox_core import Engine
from compox_core.engine import wiring
from compox_core.engine.tasks import Tasks
from compox_core.errors import StorageError
from compox_core.identity import new_id, utc_now
from compox_core.records import ExecutionRecord, JobKind, TaskStatus
from compox_core.storage import EXECUTIONS, ObjectStore
from compox_core.tasks import Task


class Runs(Tasks[ExecutionRecord]):
    """Executions of whatever the test says."""

    kind = JobKind.EXECUTION

    def accept(self) -> str:
        """Accept a job."""
        record = ExecutionRecord(
            execution_id=new_id(), algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now()
        )
        return self._queue(record).execution_id


@pytest.fixture
def go_on() -> threading.Event:
    """Lets jobs end."""
    return threading.Event()


@pytest.fixture
def engine(tmp_path: Path, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine with one thread, whose jobs wait until they may go on."""

    def work(task: Task) -> dict[str, Any]:
        go_on.wait(60)
        return {}

    monkeypatch.setattr(wiring, "works", lambda bench: {JobKind.EXECUTION: work})
    with Engine(tmp_path / "store", executor="threads") as engine:
        yield engine
        go_on.set()


def failing(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, part: str, *, lands: bool) -> Callable[[], None]:
    """Have the store fail to create objects with `part` in their key, before or after it has; return what ends that."""
    create = store.create

    def fail(collection: str, key: str, data: bytes) -> None:
        if part not in key:
            create(collection, key, data)
            return
        if lands:
            create(collection, key, data)
        raise StorageError("out of reach")

    monkeypatch.setattr(store, "create", fail)
    return lambda: monkeypatch.setattr(store, "create", create)


def keys(store: ObjectStore) -> list[str]:
    """Return what lies in the store of executions."""
    return [info.key for info in store.list(EXECUTIONS)]


@pytest.mark.parametrize("lands", [False, True])
def test_a_job_that_cannot_be_recorded(engine: Engine, monkeypatch: pytest.MonkeyPatch, lands: bool) -> None:
    """Who submits is told, and nothing of the job is left, also where the record had reached the store after all."""
    runs = Runs(engine._open_parts.desk)
    failing(engine.store, monkeypatch, "record/", lands=lands)
    with pytest.raises(StorageError):
        runs.accept()
    assert keys(engine.store) == []


@pytest.mark.parametrize("lands", [False, True])
def test_a_waiting_job_that_cannot_be_stopped(
    engine: Engine, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch, lands: bool
) -> None:
    """Who stops is told, and the job waits on: it is stopped by the next request, or else begins."""
    runs = Runs(engine._open_parts.desk)
    first, second, third = runs.accept(), runs.accept(), runs.accept()
    repair = failing(engine.store, monkeypatch, ".claim.", lands=lands)
    for task_id in (second, third):
        with pytest.raises(StorageError):
            runs.stop(task_id)
    repair()
    runs.stop(third)
    assert runs.get(third).status is TaskStatus.STOPPED
    go_on.set()
    assert runs.wait(first, 60).status is TaskStatus.COMPLETED
    assert runs.wait(second, 60).status is TaskStatus.COMPLETED
