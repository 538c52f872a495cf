"""Whatever dies or refuses in the middle of a training: what it had saved stays, nothing else, and the next runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compox_core.engine import Engine
from compox_core.engine.training_handle import TrainingHandle
from compox_core.errors import StorageError
from compox_core.identity import utc_now
from compox_core.jobs.retention import Retention
from compox_core.records import TaskStatus
from compox_core.settings import load_settings
from compox_core.storage import TRAININGS
from compox_core.storage.collections import ASSETS, CHECKPOINTS
from compox_core.tasks.kinds import DATASETS
from tests.disks import SmallDisk
from tests.training.school import (
    DEADLINE,
    PairSchema,
    School,
    completed,
    failed_with,
    opened,
    save,
    settings_for,
    until,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
DAY = timedelta(days=1)
SCHEMAS = {"input": PairSchema, "target": PairSchema}

BEGUN = """
import os, time
from compox_core.data import ImageSchema
self.download_files_to_temp_store("a", self.get_training_dataset(data)[0, :], ImageSchema)
self.save_checkpoint({"weights.bin": b"5"}, {"epoch": 1})
self.log_metrics({"loss": 1.0})
self.log_message("begun")
self.set_state({"pid": os.getpid()})
"""
SLEEPS = BEGUN + "time.sleep(1000)"
# A mutex that is locked twice is waited for without end, and neither an exception nor a signal's handler comes to it.
WAITS = (
    "import ctypes\nlock, library = ctypes.create_string_buffer(1024), ctypes.CDLL(None)\n"
    "library.pthread_mutex_init(lock, None)\nlibrary.pthread_mutex_lock(lock)\n"
    + BEGUN
    + "library.pthread_mutex_lock(lock)"
)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[School]:
    """An engine with a worker process, which kills soon what does not stop."""
    stop = {"flag_seconds": 0.1, "exception_seconds": 0.3, "terminate_seconds": 1, "kill_seconds": 10}
    with opened(tmp_path, "processes", stored=True, stop=stop) as school:
        yield school


def begun(handle: TrainingHandle) -> int:
    """Wait until a training is in its middle; return the number of its process."""
    until(lambda: handle.record.state.get("pid"), "it said where it runs")
    return int(handle.record.state["pid"])


def goes_on_from(school: School, handle: TrainingHandle) -> None:
    """Assert that a training can go on from the last checkpoint of another one, and leaves no files of either."""
    [last] = handle.record.output_checkpoint_ids
    later = school.begin("assert self.checkpoint.properties == {'epoch': 1}\n" + BEGUN, checkpoint=last)
    [checkpoint] = later.result(DEADLINE)
    assert (checkpoint.parent_checkpoint_id, checkpoint.training_id) == (last, later.id)
    assert school.folders() == []


# -- processes that end ----------------------------------------------------------------------------------------------


@posix
def test_a_killed_worker_leaves_its_checkpoints(processes: School) -> None:
    """The record is FAILED, names them and has the metrics; its files go with the next training, which goes on."""
    handle = processes.begin(SLEEPS)
    os.kill(begun(handle), signal.SIGKILL)
    record = handle.wait(DEADLINE)
    failed_with(record, "worker_crashed")
    assert len(record.output_checkpoint_ids) == len(handle.checkpoints) == 1
    assert handle.metrics().values("loss") == [1.0]
    assert len(processes.folders()) == 1
    goes_on_from(processes, handle)


@posix
def test_what_a_killed_training_left_is_collected(processes: School) -> None:
    """By a garbage collection, which first says what it would remove; those of a training that goes on stay."""

    def collected(dry_run: bool = False) -> list[tuple[str, int, int]]:
        report = processes.engine.gc(dry_run)
        return [(each.place, each.count, each.bytes) for each in report.removed if each.what == "trainings that died"]

    handle = processes.begin(SLEEPS)
    pid = begun(handle)
    assert collected() == []
    [folder] = processes.folders()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    os.kill(pid, signal.SIGKILL)
    handle.wait(DEADLINE)
    for dry_run in (True, False):
        assert collected(dry_run) == [("temporary files", 1, size)]
        assert folder.exists() is dry_run
    assert collected() == []


@posix
def test_a_training_that_stops_for_nothing_is_ended_by_force(processes: School) -> None:
    """Its checkpoint stays; its files go at the latest with the next training."""
    handle = processes.begin(WAITS)
    begun(handle)
    handle.stop()
    record = handle.wait(DEADLINE)
    assert (record.status, record.stopped_by) == (TaskStatus.STOPPED, "terminate"), record.log
    assert len(processes.folders()) == 1
    goes_on_from(processes, handle)


def test_an_exception_ends_an_epoch_in_a_worker(processes: School) -> None:
    """The worker has cleared up before it ends."""
    handle = processes.begin(SLEEPS)
    begun(handle)
    handle.stop()
    record = handle.wait(DEADLINE)
    assert (record.status, record.stopped_by) == (TaskStatus.STOPPED, "exception"), record.log
    assert processes.folders() == []
    goes_on_from(processes, handle)


SERVER = """
import json, sys, time
from compox_core.engine import Engine
from compox_core.settings import load_settings

settings, sample, codes = json.loads(sys.argv[1])
with Engine(load_settings(settings), resume=True) as engine:
    print(json.dumps([engine.train("sample", sample, parameters={"code": code}).id for code in codes]), flush=True)
    time.sleep(1000)
"""


@posix
def test_a_killed_server_loses_no_training(tmp_path: Path) -> None:
    """What waited runs on the next one, with the samples of its submit; what ran is resumable from what it saved."""
    import json

    with opened(tmp_path, "threads", stored=True) as school:
        sample = school.sample
    settings = settings_for(tmp_path / "store", "threads", temp=tmp_path / "temp")
    given = json.dumps([settings, sample.sample_id, [SLEEPS, BEGUN]])
    with subprocess.Popen([sys.executable, "-c", SERVER, given], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        ids = json.loads(server.stdout.readline())
        with Engine(load_settings(settings)) as looks_on:
            running = TrainingHandle(looks_on, ids[0])
            assert begun(running) == server.pid
            looks_on.samples.delete(sample.sample_id)
            assert looks_on.trainings.get(ids[1]).status is TaskStatus.PENDING
        server.kill()
    with Engine(load_settings(settings), resume=True) as engine:
        first, second = (engine.trainings.wait(each, DEADLINE) for each in ids)
        failed_with(first, "worker_lost")
        assert len(first.output_checkpoint_ids) == 1
        assert len(completed(second).output_checkpoint_ids) == 1
        assert engine.trainings.metrics(ids[0]).values("loss") == [1.0]
        assert list(engine.store.list(TRAININGS, DATASETS)) == []
        assert list((tmp_path / "temp").glob("*")) == []


# -- stores and disks that refuse ------------------------------------------------------------------------------------


def contents(school: School) -> list[str]:
    return [info.key for name in (ASSETS, CHECKPOINTS) for info in school.engine.store.list(name)]


def test_a_checkpoint_that_the_disk_refuses_leaves_nothing(small_disk: SmallDisk, tmp_path: Path) -> None:
    """The algorithm may go on and save later; where it does not, the training fails with that cause."""
    settings = settings_for(small_disk.path / "store", "threads", temp=tmp_path / "temp")
    settings["storage"]["emergency_path"] = str(tmp_path / "emergency")
    with Engine(load_settings(settings)) as engine:
        school = School(engine, tmp_path)
        before = contents(school)

        def full(self: Any) -> None:
            small_disk.fill()
            with pytest.raises(StorageError) as caught:
                self.save_checkpoint({"weights.bin": os.urandom(200_000)})
            small_disk.free()
            assert caught.value.code == "disk_full"
            assert school.engine.checkpoints.list() == []

        def goes_on(self: Any, data: list[str]) -> None:
            full(self)
            save(self)

        def fails(self: Any, data: list[str]) -> None:
            full(self)
            raise StorageError("full", code="disk_full")

        failed_with(school.train(fails), "disk_full")
        assert contents(school) == before
        [saved] = completed(school.train(goes_on)).output_checkpoint_ids
        school.engine.checkpoints.delete(saved)
        assert contents(school) == before


@pytest.mark.parametrize("where", [ASSETS, CHECKPOINTS])
def test_what_a_refused_save_leaves_is_collected(threads: School, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Whichever of its writes was refused; no checkpoint is seen meanwhile."""
    store = threads.engine.store
    before = contents(threads)

    def refusing(method: Callable[..., Any]) -> Callable[..., Any]:
        def write(collection: str, *rest: Any, **options: Any) -> Any:
            if collection == where:
                raise StorageError("no", code="storage_unavailable", retryable=True)
            return method(collection, *rest, **options)

        return write

    def lesson(self: Any, data: list[str]) -> None:
        with monkeypatch.context() as patch:
            for name in ("put", "create", "write", "put_file"):
                patch.setattr(store, name, refusing(getattr(store, name)))
            self.save_checkpoint({"weights.bin": os.urandom(100)})

    record = threads.train(lesson)
    failed_with(record, "storage_unavailable")
    assert record.output_checkpoint_ids == []
    assert threads.engine.checkpoints.list() == []
    # What is unclear is held for a week as long as its process lives.
    Retention(store, threads.engine.settings.storage, now=lambda: utc_now() + 8 * DAY).collect()
    assert contents(threads) == before


def test_a_temporary_disk_that_is_full_after_all_fails_the_training(
    small_disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else has taken the room meanwhile; nothing is left there, and a smaller training runs."""
    usage = namedtuple("usage", "total used free")
    settings = settings_for(None, "threads", temp=small_disk.path)
    with Engine(load_settings(settings)) as engine:
        school = School(engine, tmp_path)
        image = np.random.default_rng(0).random((512, 1024))  # 4 MiB
        large = engine.samples.create({"input": [{"image": image}] * 3, "target": []})

        def lesson(self: Any, data: list[str]) -> None:
            with monkeypatch.context() as patch:
                if data == [large.sample_id]:
                    patch.setattr(shutil, "disk_usage", lambda path: usage(1 << 40, 0, 1 << 40))
                self.download_dataset_to_temp_store(self.get_training_dataset(data), SCHEMAS, 1)
            save(self)

        failed_with(school.train(lesson, large.sample_id), "disk_full")
        assert list(small_disk.path.iterdir()) == []
        completed(school.train(lesson))
        assert list(small_disk.path.iterdir()) == []
