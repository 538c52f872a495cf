"""Makes objects old, and stores that hold jobs in every state."""

from __future__ import annotations

import os
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from compox_core.holder import Holder, host_mark, this_process
from compox_core.identity import new_id, utc_now
from compox_core.records import ExecutionRecord, JobKind, TaskStatus
from compox_core.storage import FILES, ObjectStore
from compox_core.storage.collections import ALL
from compox_core.storage.folder import FolderStore
from compox_core.storage.memory import MemoryStore
from compox_core.tasks import TaskStore

ME = this_process("test")
DEAD = Holder(incarnation="dead", host=host_mark(), pid=2**22 + 1, started="1")
"""A process of this machine that has ended."""


def own_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a test temporary files and a module cache of its own; return where the temporary files are."""
    temporary = folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(folder / "modules"))
    return temporary


def make_old(store: ObjectStore, collection: str, key: str, age: timedelta) -> None:
    """Let an object of a local store have been written so long ago."""
    if isinstance(store, MemoryStore):
        values = store._opened(collection).values
        values[key] = values[key]._replace(modified=utc_now() - age)
        return
    assert isinstance(store, FolderStore)
    then = time.time() - age.total_seconds()
    os.utime(store.local_path(collection, key), (then, then))


def make_all_old(store: ObjectStore, age: timedelta) -> None:
    """Let everything in a local store have been written so long ago."""
    for collection in ALL:
        for info in list(store.list(collection)):
            make_old(store, collection, info.key, age)


def put_file(store: ObjectStore, age: timedelta = timedelta()) -> str:
    """Store a data file of this age and return its id."""
    file_id = new_id()
    store.put(FILES, file_id, b"data")
    if age:
        make_old(store, FILES, file_id, age)
    return file_id


def id_of(moment: datetime) -> str:
    """Return an id as `new_id` made it at that time."""
    milliseconds = int(moment.timestamp() * 1000)
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-{new_id()[14:]}"


def submitted(store: ObjectStore, inputs: list[str], *, task_id: str | None = None) -> ExecutionRecord:
    """Queue an execution that nobody has begun."""
    record = ExecutionRecord(
        execution_id=task_id or new_id(), algorithm_id="a", input_dataset_ids=inputs, time_submitted=utc_now()
    )
    TaskStore(store, JobKind.EXECUTION).create(record, ME, resume=False)
    return record


def ended(store: ObjectStore, record: ExecutionRecord, outputs: list[str]) -> ExecutionRecord:
    """Begin an execution and end it as COMPLETED."""
    tasks = TaskStore(store, JobKind.EXECUTION)
    assert tasks.claim(record.task_id, 1, ME)
    final = record.model_copy(
        update={"status": TaskStatus.COMPLETED, "time_completed": utc_now(), "output_dataset_ids": outputs}
    )
    tasks.decide(record.task_id, 1, tasks.note_of(final, "test"))
    tasks.close(final)
    return final


def everything(store: ObjectStore) -> dict[tuple[str, str], tuple[bytes, datetime]]:
    """Return every object with its content and its time."""
    return {(name, info.key): (store.get(name, info.key), info.modified) for name in ALL for info in store.list(name)}
