"""What samples and trainings hold does not expire; what is left of samples is collected."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from compox_core.engine import Engine
from compox_core.identity import new_id, utc_now
from compox_core.jobs.retention import Report, Retention
from compox_core.records import JobKind, SampleRecord, SampleRequest, TaskStatus, TrainingRecord
from compox_core.settings.models import Storage
from compox_core.storage import FILES, SAMPLES, TRAININGS, FileStore, ObjectStore
from compox_core.storage.file_pins import FilePins
from compox_core.storage.file_places import named_key
from compox_core.tasks import TaskStore
from compox_core.tasks.kinds import DATASETS
from compox_core.training.samples import RECORDS, SampleStore
from compox_core.training.snapshot import save_snapshot
from tests.algorithms.conftest import opened
from tests.jobs.aged import ME, everything, make_all_old, own_machine

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files and a module cache of this test's own."""
    return own_machine(tmp_path, monkeypatch)


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """A local store, in which objects can be made old."""
    yield from opened(request.param, tmp_path / "store", request)


@pytest.fixture(params=["memory", "folder", *(pytest.param(name, marks=pytest.mark.s3) for name in ("moto", "ceph"))])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """A store of every kind."""
    yield from opened(request.param, tmp_path / "store", request)


def file(store: ObjectStore) -> str:
    return FileStore(store).save({"value": 1})


def sample(store: ObjectStore, *file_ids: str) -> SampleRecord:
    return SampleStore(store, FileStore(store)).create(SampleRequest(files=[{"input": list(file_ids)}]))


def delete(store: ObjectStore, record: SampleRecord) -> None:
    SampleStore(store, FileStore(store)).delete(record.sample_id)


def queued(store: ObjectStore, *samples: SampleRecord) -> TrainingRecord:
    """Queue a training that nobody has begun."""
    record = TrainingRecord(
        training_id=new_id(),
        algorithm_id="a",
        training_data=[each.sample_id for each in samples],
        time_submitted=utc_now(),
    )
    save_snapshot(store, record.training_id, samples)
    TaskStore(store, JobKind.TRAINING).create(record, ME, resume=False)
    return record


def ended(store: ObjectStore, record: TrainingRecord) -> None:
    """Begin a training and end it as COMPLETED."""
    tasks = TaskStore(store, JobKind.TRAINING)
    assert tasks.claim(record.task_id, 1, ME)
    final = record.model_copy(update={"status": TaskStatus.COMPLETED, "time_completed": utc_now()})
    tasks.decide(record.task_id, 1, tasks.note_of(final, "test"))
    tasks.close(final)


def sweep(store: ObjectStore, *, later: timedelta = timedelta(), garbage: bool = False) -> Report:
    """Sweep, or collect, as if it were so much later; a dry run before it changes nothing and tells the same."""
    retention = Retention(store, Storage(), pins=[FilePins(store).pinned], now=lambda: utc_now() + later)
    act = retention.collect if garbage else retention.sweep
    before = everything(store)
    told = act(dry_run=True)
    assert everything(store) == before
    done = act()
    assert told == Report(True, done.removed, done.kept, done.problems)
    return done


def kept(report: Report) -> dict[str, int]:
    return {each.why: each.count for each in report.kept}


def names(store: ObjectStore, collection: str, prefix: str = "") -> set[str]:
    return {info.key for info in store.list(collection, prefix)}


def files(store: ObjectStore) -> set[str]:
    return {info.id for info in FileStore(store).list()}


def test_a_file_stays_as_long_as_a_sample_uses_it(any_store: ObjectStore) -> None:
    """However old it is; it expires after the last sample is deleted, and so does one that a client named."""
    shared, own, free = (file(any_store) for _ in range(3))
    path = any_store.scratch()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileStore(any_store).materialise(free) as source:
        path.write_bytes(source.read_bytes())
    FileStore(any_store).place_named(path, "mine.h5")
    first, second = sample(any_store, shared, "mine.h5"), sample(any_store, shared, own)
    assert kept(sweep(any_store, later=400 * DAY)) == {"a sample uses it": 3}
    assert files(any_store) == {shared, own}
    assert any_store.exists(FILES, named_key("mine.h5"))
    delete(any_store, first)
    sweep(any_store, later=400 * DAY)
    assert names(any_store, FILES) & {shared, own, named_key("mine.h5")} == {shared, own}
    delete(any_store, second)
    sweep(any_store, later=400 * DAY)
    assert names(any_store, FILES) == set()


def test_a_training_that_has_not_ended_keeps_the_files_of_its_samples(any_store: ObjectStore) -> None:
    """Also when the samples are deleted meanwhile."""
    record = sample(any_store, file(any_store))
    training = queued(any_store, record)
    delete(any_store, record)
    assert kept(sweep(any_store, later=2 * DAY)) == {"a job that has not ended names it": 1}
    assert files(any_store) == set(record.file_ids)
    ended(any_store, training)
    sweep(any_store, later=2 * DAY)
    assert files(any_store) == set()


def test_a_list_of_samples_that_cannot_be_read_keeps_all_files(store: ObjectStore) -> None:
    """It may name any of them."""
    training = queued(store)
    there = file(store)
    store.put(TRAININGS, DATASETS + training.training_id, b"{")
    report = sweep(store, later=2 * DAY)
    assert training.training_id in report.problems[0]
    assert files(store) == {there}


def test_pins_without_a_sample_go_after_a_day(store: ObjectStore) -> None:
    """Those of a sample stay, and those that are younger: their sample may be coming."""
    record, left, coming = sample(store, file(store), file(store)), new_id(), new_id()
    pins = FilePins(store)
    pins.pin(left, record.file_ids)
    make_all_old(store, 2 * DAY)
    pins.pin(coming, record.file_ids)
    report = sweep(store, garbage=True)
    removed = {(each.place, each.what): each.count for each in report.removed}
    assert removed == {(SAMPLES, "pins without a sample"): 1}
    assert pins.by_holder().keys() == {record.sample_id, coming}
    assert names(store, SAMPLES, RECORDS) == {RECORDS + record.sample_id}


def test_a_list_of_samples_without_a_training_goes_after_a_day(any_store: ObjectStore) -> None:
    """It is told as what it is."""
    save_snapshot(any_store, new_id(), [])
    assert sweep(any_store, later=0.9 * DAY, garbage=True).count == 0
    report = sweep(any_store, later=1.1 * DAY, garbage=True)
    assert [(each.place, each.what) for each in report.removed] == [(TRAININGS, "datasets without a record")]
    assert names(any_store, TRAININGS) == set()


def test_an_engine_keeps_what_samples_use(tmp_path: Path) -> None:
    """Its own collection looks at the samples."""
    with Engine(tmp_path / "store") as engine:
        used, free = file(engine.store), file(engine.store)
        sample(engine.store, used)
        make_all_old(engine.store, 2 * DAY)
        engine.gc()
        assert files(engine.store) == {used}
        assert free != used
