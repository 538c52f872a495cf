"""The life of a training: from the submit, over what it saves, to its one end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compox_core.engine import Engine
from compox_core.errors import TaskFailedError
from compox_core.records import TaskStatus, TrainingRecord
from compox_core.settings import load_settings
from compox_core.storage import TRAININGS
from compox_core.tasks.kinds import DATASETS
from tests.servers import S3Server
from tests.training.school import (
    DEADLINE,
    School,
    completed,
    failed_with,
    opened,
    save,
    settings_for,
    write_trainable,
)

IMAGE = np.zeros((2, 2), np.float32)


@pytest.fixture(
    params=["memory", "folder", pytest.param("moto", marks=pytest.mark.s3), pytest.param("ceph", marks=pytest.mark.s3)]
)
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[School]:
    """An engine on every kind of store that trains in a thread."""
    settings = settings_for(
        None if request.param == "memory" else tmp_path / "store", "threads", temp=tmp_path / "temp"
    )
    if request.param in ("moto", "ceph"):
        server: S3Server = request.getfixturevalue("moto_server" if request.param == "moto" else "s3_server")
        settings["storage"]["backend_settings"] = {"provider": "fsspec", "url": server.url(), "options": server.options}
    with Engine(load_settings(settings)) as engine:
        yield School(engine, tmp_path)


def test_from_samples_to_a_run(anywhere: School) -> None:
    """Samples, a training that fetches them, metrics, checkpoints; runs use what they ask for; a second one goes on."""
    engine = anywhere.engine
    samples = [anywhere.make_sample(1.0, 2.0), anywhere.make_sample(3.0)]

    def lesson(self: Any, data: list[str]) -> None:
        from tests.training.school import PairSchema

        dataset = self.get_training_dataset(data)
        local = self.download_dataset_to_temp_store(dataset, {"input": PairSchema, "target": PairSchema}, 2)
        loaded = self.load_dataset_from_temp_store(local)
        total = sum(float(group["input"]["image"].mean()) for sample in loaded for group in sample)
        for epoch in range(3):
            self.log_metrics({"loss": total / (epoch + 1)})
            self.set_progress((epoch + 1) / 3)
        self.set_state({"total": total})
        self.save_checkpoint({"weights.bin": str(int(total)).encode()}, {"total": total})

    handle = anywhere.begin(lesson, *(sample.sample_id for sample in samples))
    [first] = handle.result(DEADLINE)
    record = handle.record
    assert (record.status, record.state, record.progress) == (TaskStatus.COMPLETED, {"total": 6.0}, 1.0)
    assert (record.output_checkpoint_ids, record.resolved_minor_version) == ([first.checkpoint_id], "0")
    assert handle.metrics().values("loss") == [6.0, 3.0, 2.0]
    assert record.training_data == [sample.sample_id for sample in samples]
    [second] = anywhere.begin(save, checkpoint=first.checkpoint_id).result(DEADLINE)
    assert second.parent_checkpoint_id == first.checkpoint_id
    for checkpoint, added in ((None, 3), (first.checkpoint_id, 6), (second.checkpoint_id, 5)):
        result = engine.submit("sample", IMAGE, checkpoint=checkpoint).result(DEADLINE)
        np.testing.assert_array_equal(result, IMAGE + added)
    assert anywhere.folders() == []
    assert [info.key for info in engine.store.list(TRAININGS, DATASETS)] == []
    engine.trainings.delete(handle.id)
    assert [info.key for info in engine.store.list(TRAININGS) if handle.id in info.key] == []
    assert engine.checkpoints.get(first.checkpoint_id) == first


def statuses(school: School, lesson: Callable[[Any, list[str]], object]) -> tuple[TrainingRecord, list[TaskStatus]]:
    """Train in a thread and return the record and every status that anybody could see, with those in the store."""
    engine, seen, go = school.engine, list[TaskStatus](), threading.Event()

    def waits(self: Any, data: list[str]) -> None:
        go.wait(DEADLINE)
        lesson(self, data)

    store = engine.store
    put = store.put

    def watched(collection: str, key: str, data: bytes) -> None:
        put(collection, key, data)
        if collection == TRAININGS and key.startswith("record/"):
            seen.append(TrainingRecord.model_validate_json(data).status)

    handle = school.begin(waits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "put", watched)
        look = engine.trainings.watch(handle.id, lambda: seen.append(engine.trainings.get(handle.id).status))
        assert look is not None
        go.set()
        return handle.wait(DEADLINE), seen


@pytest.mark.parametrize(
    ("lesson", "code"),
    [
        (lambda self, data: None, "training_checkpoint_missing"),
        (lambda self, data: {"loss": 1.0}, "training_checkpoint_missing"),
        (lambda self, data: self.task_handler.delete_checkpoint(save(self)), "training_checkpoint_missing"),
        (lambda self, data: 1 / 0, "algorithm_failed"),
        (lambda self, data: (save(self), 1 / 0), "algorithm_failed"),
    ],
)
def test_a_training_that_fails_says_so_once_and_never_completed(
    threads: School, lesson: Callable[[Any, list[str]], object], code: str
) -> None:
    """One true cause, in the record and in its log; nobody sees it COMPLETED before."""
    record, seen = statuses(threads, lesson)
    assert TaskStatus.COMPLETED not in seen
    assert seen[-1] is TaskStatus.FAILED
    assert record.error is not None
    if code == "training_checkpoint_missing":
        assert "self.save_checkpoint" in failed_with(record, code)
    else:
        assert "ZeroDivisionError" in record.log
    assert record.log.count(" ERROR ") == 1


def test_a_runner_without_train_fails_with_what_it_lacks(threads: School, tmp_path: Path) -> None:
    """And how to write it."""
    runner = "from compox_core.runners import Image2ImageRunner\n\n\nclass Runner(Image2ImageRunner):\n    pass\n"
    threads.engine.deploy(write_trainable(tmp_path / "untrained", runner, name="untrained"))
    record = threads.engine.train("untrained", threads.sample).wait(DEADLINE)
    assert "def train(self, training_data, args)" in failed_with(record, "runner_hook_missing")


@pytest.mark.parametrize("problem", ["raise ValueError('bad')", "import sys; sys.exit(3)", "raise MemoryError"])
def test_what_was_saved_before_a_failure_stays(threads: School, problem: str) -> None:
    """The record names it, a run and another training can use it."""
    record = threads.train(f"self.log_metrics({{'a': 1}})\nself.save_checkpoint({{'weights.bin': b'8'}})\n{problem}")
    assert record.status is TaskStatus.FAILED
    [checkpoint] = record.output_checkpoint_ids
    result = threads.engine.submit("sample", IMAGE, checkpoint=checkpoint).result(DEADLINE)
    np.testing.assert_array_equal(result, IMAGE + 8)
    assert threads.engine.trainings.metrics(record.training_id).values("a") == [1.0]
    [later] = completed(threads.train(save, checkpoint=checkpoint)).output_checkpoint_ids
    assert threads.engine.checkpoints.get(later).parent_checkpoint_id == checkpoint
    assert threads.folders() == []


def test_a_failure_is_raised_with_its_cause_by_the_handle(threads: School) -> None:
    """And the checkpoints stay within reach."""
    handle = threads.begin("self.save_checkpoint({'weights.bin': b'8'})\nraise ValueError('too bad')")
    with pytest.raises(TaskFailedError, match="too bad"):
        handle.result(DEADLINE)
    assert [each.size for each in handle.checkpoints] == [1]


def test_the_model_that_is_trained_is_nobody_elses(threads: School) -> None:
    """What a training changes in place no run gets that comes after it, or runs beside it, nor another training."""
    engine = threads.engine
    before = engine.submit("sample", IMAGE).result(DEADLINE)

    def lesson(self: Any, data: list[str]) -> None:
        assert self.model["weights"] == b"3"
        self.model["weights"] = b"9"
        save(self)

    for _ in range(2):
        completed(threads.train(lesson))
        np.testing.assert_array_equal(engine.submit("sample", IMAGE).result(DEADLINE), before)
    with opened(threads.temp.parent / "beside", "fastapi_background_tasks") as two:
        two.engine.submit("sample", IMAGE).result(DEADLINE)
        changed, go = threading.Event(), threading.Event()

        def slow(self: Any, data: list[str]) -> None:
            self.model["weights"] = b"9"
            changed.set()
            go.wait(DEADLINE)
            save(self)

        handle = two.begin(slow)
        assert changed.wait(DEADLINE)
        run = two.engine.submit("sample", IMAGE)
        go.set()
        np.testing.assert_array_equal(run.result(DEADLINE), IMAGE + 3)
        assert handle.wait(DEADLINE).status is TaskStatus.COMPLETED
