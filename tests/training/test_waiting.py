"""A training learns from what it was submitted with; what is gone when it begins is named."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from compox_core.identity import utc_now
from compox_core.jobs.retention import Retention
from compox_core.records import TaskStatus
from compox_core.storage import FILES, TRAININGS
from compox_core.storage.file_pins import FilePins
from compox_core.tasks.kinds import DATASETS
from tests.training.school import (
    DEADLINE,
    PairSchema,
    School,
    completed,
    failed_with,
    save,
    until,
)

DAY = timedelta(days=1)
SCHEMAS = {"input": PairSchema, "target": PairSchema}


@pytest.fixture
def queue(threads: School) -> Iterator[threading.Event]:
    """Trainings wait behind another one until this is set."""
    go = threading.Event()

    def waits(self: Any, data: list[str]) -> None:
        go.wait(DEADLINE)
        save(self)

    threads.begin(waits)
    yield go
    go.set()


def downloads(self: Any, data: list[str]) -> None:
    local = self.download_dataset_to_temp_store(self.get_training_dataset(data), SCHEMAS)
    assert self.load_dataset_from_temp_store(local)[0][0]["input"]["image"].shape == (4, 4)
    save(self)


def test_a_sample_may_be_deleted_while_its_training_waits(threads: School, queue: threading.Event) -> None:
    """It learns from the sample as it was; a sweep meanwhile keeps the files, and one after it does not."""
    engine = threads.engine
    sample = threads.make_sample(7.0)
    handle = threads.begin(downloads, sample.sample_id)
    names = sample.file_ids
    engine.samples.delete(sample.sample_id)
    later = Retention(
        engine.store, engine.settings.storage, pins=[FilePins(engine.store).pinned], now=lambda: utc_now() + 400 * DAY
    )
    later.sweep()
    assert engine.files.exists_all(names) == []
    queue.set()
    assert handle.wait(DEADLINE).status is TaskStatus.COMPLETED, handle.log
    assert list(engine.store.list(TRAININGS, DATASETS)) == []
    later.sweep()
    assert engine.files.exists_all(names) == names
    assert engine.files.exists_all(threads.sample.file_ids) == []


def test_a_file_that_goes_while_its_training_waits_is_named(threads: School, queue: threading.Event) -> None:
    """By the cause of the failure."""
    sample = threads.make_sample(7.0)
    handle = threads.begin(downloads, sample.sample_id)
    name = sample.file_ids[1]
    threads.engine.store.delete(FILES, name)
    queue.set()
    assert name in failed_with(handle.wait(DEADLINE), "file_not_found")
    assert threads.folders() == []


def test_a_checkpoint_that_goes_while_a_training_waits_is_named(threads: School, queue: threading.Event) -> None:
    """By the cause of the failure; the record says that it was to go on from it."""
    queue.set()
    [checkpoint] = completed(threads.train(save)).output_checkpoint_ids
    go = threading.Event()
    threads.begin(lambda self, data: (go.wait(DEADLINE), save(self)))
    handle = threads.begin(save, checkpoint=checkpoint)
    threads.engine.checkpoints.delete(checkpoint)
    go.set()
    record = handle.wait(DEADLINE)
    assert checkpoint in failed_with(record, "checkpoint_not_found")
    assert record.checkpoint_id == checkpoint


def test_a_snapshot_that_cannot_be_read_fails_the_training(threads: School, queue: threading.Event) -> None:
    """With what to do."""
    gone, broken = threads.begin(save), threads.begin(save)
    threads.engine.store.delete(TRAININGS, DATASETS + gone.id)
    threads.engine.store.put(TRAININGS, DATASETS + broken.id, b"[{]")
    queue.set()
    assert "train again" in failed_with(gone.wait(DEADLINE), "training_samples_not_found")
    assert "train again" in failed_with(broken.wait(DEADLINE), "invalid_record")


def test_a_deleted_checkpoint_leaves_the_record(threads: School) -> None:
    """Nobody rewrites the record: those are named that are there. Those of a deleted record can be used and deleted."""
    engine = threads.engine

    def lesson(self: Any, data: list[str]) -> None:
        for _ in range(3):
            save(self)

    record = completed(threads.train(lesson))
    first, second, third = record.output_checkpoint_ids
    engine.checkpoints.delete(second)
    until(
        lambda: engine.trainings.get(record.training_id).output_checkpoint_ids == [first, third], "it left the record"
    )
    assert [each.output_checkpoint_ids for each in engine.trainings.list()] == [[first, third]]
    engine.trainings.delete(record.training_id)
    completed(threads.train(save, checkpoint=first))
    engine.checkpoints.delete(first)
    assert first not in [each.checkpoint_id for each in engine.checkpoints.list()]
