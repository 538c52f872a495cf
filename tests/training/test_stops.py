"""A stop or a time limit ends a training in its middle, and keeps what it has saved."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from compox_core.engine import Engine
from compox_core.records import TaskStatus, TrainingRequest
from compox_core.storage import TRAININGS
from compox_core.tasks.kinds import DATASETS
from tests.training.school import (
    DEADLINE,
    School,
    completed,
    failed_with,
    opened,
    save,
    until,
)

ENDLESS = "self.save_checkpoint({'weights.bin': b'5'})\nself.log_message('begun')\nwhile True: pass"


@pytest.mark.parametrize(
    ("loop", "rung"),
    [
        ("self.log_metrics({'a': 1})", "flag"),
        ("self.set_state({'a': 1})", "flag"),
        ("self.download_files_to_temp_store('a', self.get_training_dataset(data)[0, :], schema)", "flag"),
        ("self.task_handler.check_stop()", "flag"),
        ("pass", "exception"),
    ],
)
def test_a_stop_ends_an_epoch_in_its_middle(threads: School, loop: str, rung: str) -> None:
    """By the flag wherever it calls us, else by an exception; what was saved stays, its files go."""
    code = f"""
    import numpy
    from tests.training.school import PairSchema as schema
    self.save_checkpoint({{'weights.bin': b'5'}})
    self.save_training_files_to_temp_store('a', [{{'image': numpy.zeros(2)}}], schema)
    self.log_message('begun')
    while True:
        {loop}
    """
    handle = threads.begin(code)
    until(lambda: "begun" in handle.log, "it began")
    assert len(threads.folders()) == 1
    handle.stop()
    record = handle.wait(DEADLINE)
    assert (record.status, record.stopped_by) == (TaskStatus.STOPPED, rung), record.log
    assert len(record.output_checkpoint_ids) == 1
    assert record.error is None
    assert threads.folders() == []
    completed(threads.train(save, checkpoint=record.output_checkpoint_ids[0]))


@pytest.mark.parametrize("loop", ["self.set_progress(0.5)", "pass"])
def test_a_time_limit_keeps_what_was_saved(threads: School, loop: str) -> None:
    """The training is FAILED with `timed_out`, by the same rungs as a stop."""
    code = f"self.save_checkpoint({{'weights.bin': b'5'}})\nself.log_metrics({{'a': 1}})\nwhile True: {loop}"
    record = threads.train(code, timeout_s=0.3)
    failed_with(record, "timed_out")
    assert len(record.output_checkpoint_ids) == 1
    assert threads.engine.trainings.metrics(record.training_id).values("a") == [1.0]
    assert threads.folders() == []


def test_a_stop_in_the_middle_of_a_download_leaves_nothing(threads: School, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends between two files, also where no thread but those of the download could see it."""
    sample = threads.make_sample(*range(100))
    begun, go = threading.Event(), threading.Event()
    read = threads.engine.files.read

    def slow(file_id: str, *keys: str) -> dict[str, Any]:
        begun.set()
        go.wait(DEADLINE)
        return read(file_id, *keys)

    def lesson(self: Any, data: list[str]) -> None:
        from tests.training.school import PairSchema

        dataset = self.get_training_dataset(data)
        monkeypatch.setattr(threads.engine.files, "read", slow)
        self.download_dataset_to_temp_store(dataset, {"input": PairSchema, "target": PairSchema}, 4)

    handle = threads.begin(lesson, sample.sample_id)
    assert begun.wait(DEADLINE)
    handle.stop()
    go.set()
    record = handle.wait(DEADLINE)
    assert (record.status, record.stopped_by) == (TaskStatus.STOPPED, "flag"), record.log
    assert threads.folders() == []


def test_a_stop_in_the_middle_of_a_save_leaves_no_checkpoint(threads: School) -> None:
    """The content that was on its way goes with it."""
    before = [info.key for info in threads.engine.store.list("asset-store")]

    class Slow:
        """A stream without end, which says when it is read."""

        begun = threading.Event()

        def read(self, size: int) -> bytes:
            self.begun.set()
            time.sleep(0.001)
            return b"x" * size

    stream = Slow()
    handle = threads.begin(lambda self, data: self.save_checkpoint({"weights.bin": stream}))
    assert stream.begun.wait(DEADLINE)
    handle.stop()
    record = handle.wait(DEADLINE)
    assert (record.status, record.output_checkpoint_ids) == (TaskStatus.STOPPED, []), record.log
    assert [info.key for info in threads.engine.store.list("asset-store")] == before


def test_an_engine_that_closes_ends_its_trainings(tmp_path: Path) -> None:
    """What waits is STOPPED like what runs; no files and no snapshot stay."""
    with opened(tmp_path, "threads", stored=True) as school:
        running = school.begin("self.task_handler.temp_store.mkdir('a')\n" + ENDLESS)
        waiting = school.begin(save)
        until(lambda: "begun" in running.log, "it began")
        assert len(school.folders()) == 1
    with Engine(tmp_path / "store", executor="inline") as later:
        records = [later.trainings.get(each.id) for each in (running, waiting)]
        assert [record.status for record in records] == [TaskStatus.STOPPED, TaskStatus.STOPPED]
        assert [len(record.output_checkpoint_ids) for record in records] == [1, 0]
        assert list(later.store.list(TRAININGS, DATASETS)) == []
    assert school.folders() == []


def test_a_waiting_training_can_be_stopped(threads: School) -> None:
    """It never begins, and its snapshot goes."""
    go = threading.Event()
    running = threads.begin(lambda self, data: (go.wait(DEADLINE), save(self)))
    waiting = threads.begin(save)
    waiting.stop()
    record = waiting.wait(DEADLINE)
    assert (record.status, record.time_started, record.output_checkpoint_ids) == (TaskStatus.STOPPED, None, [])
    go.set()
    assert running.wait(DEADLINE).status is TaskStatus.COMPLETED
    until(lambda: not list(threads.engine.store.list(TRAININGS, DATASETS)), "the snapshots were gone")


def test_declared_parameters_are_filled_in(school: School) -> None:
    """Those that are declared for training, with their defaults; others pass as they are."""

    def lesson(self: Any, data: list[str]) -> None:
        save(self)

    record = completed(school.train(lesson))
    assert record.additional_parameters["epochs"] == 2
    given = {
        "epochs": 7,
        "free": [1, {"a": None}],
        "code": "self.set_state(args)\n" + "self.save_checkpoint({'weights.bin': b'5'})",
    }
    record = school.engine.train("sample", school.sample, parameters=given).wait(DEADLINE)
    assert completed(record).state == given


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are counted in /proc")
def test_a_training_leaves_no_open_file(school: School) -> None:
    """Nor a thread, however often one runs."""
    from tests.training.school import PairSchema

    def lesson(self: Any, data: list[str]) -> None:
        dataset = self.get_training_dataset(data)
        self.download_dataset_to_temp_store(dataset, {"input": PairSchema, "target": PairSchema})
        save(self)

    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    completed(school.train(lesson))
    before = held()
    for _ in range(5):
        completed(school.train(lesson))
    after = held()
    assert after[0] <= before[0] and after[1] <= before[1]


def test_requests_have_their_defaults() -> None:
    """An algorithm and samples are enough."""
    request = TrainingRequest(algorithm_id="a", training_data=["s"])
    assert (request.tags, request.checkpoint_id, request.additional_parameters) == ([], None, None)
