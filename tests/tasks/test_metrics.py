"""Every point that a job logs is in its history once, in order, in memory and in the store, whoever dies or refuses."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.engine.watching import Watched
from compox_core.errors import ConflictError, StorageError
from compox_core.identity import new_id, utc_now
from compox_core.jobs.retention import Retention
from compox_core.records import ExecutionRecord, JobKind, MetricPoint, TaskStatus, TrainingRecord
from compox_core.settings.models import Storage
from compox_core.storage import TRAININGS, ObjectStore, open_store
from compox_core.storage.memory import MemoryStore
from compox_core.tasks import EndNote, Holder, LiveTask, LiveTasks, TaskStore, TaskStores
from compox_core.tasks.metrics import CHUNK_POINTS, KEPT, LiveMetrics, MetricLog
from tests.algorithms.conftest import opened
from tests.algorithms.steps import Explorer, Hooked

HOLDER = Holder(incarnation="one", host="here", pid=1, started="now")
OTHER = Holder(incarnation="two", host="here", pid=2, started="now")
DAY = timedelta(days=1)


@pytest.fixture(params=["memory", "folder", *(pytest.param(name, marks=pytest.mark.s3) for name in ("moto", "ceph"))])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """A store of every kind."""
    yield from opened(request.param, tmp_path / "store", request)


@pytest.fixture
def store() -> TaskStore:
    """Trainings in memory."""
    return trainings(open_store("memory://"))


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def trainings(store: ObjectStore) -> TaskStore:
    return TaskStore(store, JobKind.TRAINING)


def record(task_id: str | None = None) -> TrainingRecord:
    return TrainingRecord(
        training_id=task_id or new_id(), algorithm_id="a", training_data=[], time_submitted=utc_now(), retries=1
    )


def live(store: TaskStore, clock: Callable[[], float] | None = None) -> LiveTask:
    """Return a training that has begun here."""
    waiting = record()
    store.create(waiting, HOLDER, resume=False)
    task = LiveTask(waiting, store, 1000, lambda: None)
    if clock is not None:
        task.metrics = LiveMetrics(store, task.id, 1, clock)
    assert task.claim(HOLDER)
    return task


def taken_over(store: TaskStore, task: LiveTask) -> LiveTask:
    """Take the process of a training for dead, and begin the training anew in another one."""
    store.decide(task.id, 1, EndNote(decision="retry", by=OTHER.incarnation))
    again = LiveTask(store.requeue(store.load_view(task.id), 1), store, 1000, lambda: None)
    assert again.claim(OTHER)
    return again


def say(task: LiveTask, *values: float) -> None:
    for value in values:
        task.log_metrics({"v": value})


def values(points: Iterator[MetricPoint] | list[MetricPoint]) -> list[float]:
    return [point.values["v"] for point in points]


def stored(store: TaskStore, task: LiveTask) -> list[float]:
    return values(store.metrics(task.id))


def chunks(store: TaskStore, task: LiveTask) -> list[int]:
    return [int(info.key[-10:]) for info in store._store.list(TRAININGS, f"metrics/{task.id}/")]


# -- in memory ----------------------------------------------------------------------------------------------------


def test_a_point_has_the_step_that_it_was_given_or_the_next() -> None:
    """0 is the first; steps that are given may go back, as those of a second phase do."""
    log = MetricLog()
    for step in (None, None, 10, None, 3, None):
        log.add({"v": 1}, step)
    points, mark = log.since(0) or ([], 0)
    assert [point.step for point in points] == [0, 1, 10, 11, 3, 4]
    assert mark == 6
    assert all(a.time <= b.time for a, b in pairwise(points))


def test_whoever_asks_with_the_last_mark_gets_what_came_after() -> None:
    """Nothing where nothing came, and no more at once than wanted."""
    log = MetricLog(kept=3)
    for value in range(3):
        log.add({"v": value})
    seen = [log.since(mark, most) for mark, most in ((0, None), (1, None), (1, 1), (3, None), (7, None))]
    assert [found and (values(found[0]), found[1]) for found in seen] == [
        ([0, 1, 2], 3),
        ([1, 2], 3),
        ([1], 2),
        ([], 3),
        ([], 7),
    ]


def test_only_what_is_stored_leaves_memory() -> None:
    """Then the oldest goes first; whoever asks for it is told that it is gone."""
    log = MetricLog(kept=3)
    for value in range(10):
        log.add({"v": value})
    assert log.first == 0
    log.stored(5)
    assert (log.first, log.since(4)) == (5, None)
    log.stored(10)
    assert (log.first, log.since(6)) == (7, None)
    found = log.since(7)
    assert found is not None
    assert values(found[0]) == [7, 8, 9]


def test_a_hundred_thousand_points_take_little_memory_and_are_all_there(store: TaskStore) -> None:
    """Once they are stored the latest stay; a reader who comes late gets every point, by parts where it asks so."""
    task = live(store)
    most = 0
    for value in range(100_000):
        task.log_metrics({"v": value}, None)
        if value % 20_000 == 0:
            task.flush()
            most = max(most, len(task.metrics.log._points))
    task.metrics.store(rest=True)
    assert most <= KEPT
    assert len(task.metrics.log._points) == KEPT
    points, mark = task.metrics_since(99_000 - KEPT)
    assert values(points) == list(range(99_000 - KEPT, 100_000))
    assert mark == 100_000
    points, mark = task.metrics_since(-1, 7)
    assert (values(points), mark) == (list(range(7)), 7)
    points, mark = store.metrics_since(task.id, 89_998, 4)
    assert (values(points), mark) == (list(range(89_998, 90_002)), 90_002)


def test_points_of_many_threads_are_numbered_once_each(store: TaskStore) -> None:
    """Also while they are brought to the store."""
    task = live(store)

    def add(number: int) -> None:
        say(task, *range(number * 1000, number * 1000 + 1000))

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(add, number) for number in range(4)]:
            while not future.done():
                task.metrics.store(rest=True)
            future.result()
    assert task.finish(TaskStatus.COMPLETED)
    found = list(store.metrics(task.id))
    assert [point.step for point in found] == list(range(4000))
    assert sorted(values(found)) == list(range(4000))
    assert values(task.metrics_since(0)[0]) == values(found)


def test_a_job_of_another_kind_has_no_history() -> None:
    """Whoever logs metrics there made a mistake; its record costs no listing of metrics when it goes."""
    listed: list[str] = []

    def step(name: str, action: Callable[[], Any]) -> Any:
        listed.append(name)
        return action()

    store = TaskStore(Hooked(MemoryStore(), step), JobKind.EXECUTION)
    given = ExecutionRecord(execution_id=new_id(), algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now())
    store.create(given, HOLDER, resume=False)
    task = LiveTask(given, store, 1000, lambda: None)
    with pytest.raises(TypeError, match="has no metric history"):
        task.log_metrics({"v": 1.0})
    assert store.delete(task.id)
    assert not [name for name in listed if "metrics" in name]


def test_who_follows_is_told_of_each_point(store: TaskStore) -> None:
    """After it can be seen; what a thread logs after the end is no point any more."""
    task = live(store)
    seen: list[list[float]] = []
    watched = Watched(task, lambda: seen.append(values(watched.metrics_since(0)[0])))
    say(task, 0.5, 0.25)
    assert seen == [[0.5], [0.5, 0.25]]
    task.finish(TaskStatus.COMPLETED)
    say(task, 9.0)
    task.flush()
    assert values(watched.metrics_since(1)[0]) == [0.25]
    assert stored(store, task) == [0.5, 0.25]


# -- in the store ---------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(exclude_categories=()), max_size=5)  # lone surrogates too
NUMBERS = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, 0.1, 5e-324, 1e308])


@given(st.lists(st.tuples(st.dictionaries(NAMES, NUMBERS, max_size=4), st.none() | st.integers()), max_size=6))
def test_every_number_survives(points: list[tuple[dict[str, float], int | None]]) -> None:
    """NaN and the infinities, too, which JSON has no word for; so do names, whatever they are made of."""
    store = trainings(MemoryStore())
    task = live(store)
    for given_values, step in points:
        task.log_metrics(given_values, step)
    task.metrics.store(rest=True)
    here, there = task.metrics_since(0)[0], list(store.metrics(task.id))
    assert [point.model_dump_json() for point in here] == [point.model_dump_json() for point in there]
    for (given_values, step), point in zip(points, there, strict=True):
        names = [name.encode("utf-8", "backslashreplace").decode() for name in given_values]
        # NaN is not equal to itself, but is written as itself.
        assert repr(point.values) == repr(dict(zip(names, given_values.values(), strict=True)))
        assert step in (None, point.step)


def test_a_reader_begins_where_it_wants(any_store: ObjectStore) -> None:
    """It reads the piece that holds its first point, and those after it; no other."""
    read: list[str] = []

    def step(name: str, action: Callable[[], Any]) -> Any:
        if name.startswith("get") and "metrics" in name:
            read.append(name[-10:])
        return action()

    store = trainings(Hooked(any_store, step))
    task = live(store)
    for begin in range(0, 30, 10):
        say(task, *range(begin, begin + 10))
        task.metrics.store(rest=True)
    assert chunks(store, task) == [0, 10, 20]
    assert read == []
    assert values(store.metrics(task.id, 15)) == list(range(15, 30))
    assert read == ["0000000010", "0000000020"]
    assert stored(store, task) == list(range(30))
    assert store.metrics_since(task.id, 30) == ([], 30)
    assert store.metrics_count(task.id) == 30


def test_points_wait_longer_the_longer_the_history_lasts(store: TaskStore) -> None:
    """The first comes at once, then those of a quarter of a second, of a hundredth of the time, of half a minute."""
    clock = Clock()
    task = live(store, clock)

    def written(now: float) -> bool:
        before, clock.now = len(chunks(store, task)), now
        say(task, now)
        task.flush()
        return len(chunks(store, task)) > before

    moments = [0.0, 0.2, 0.25, 0.45, 0.5, 100.0, 100.9, 101.1, 50_000.0, 50_029.0, 50_030.0]
    assert [now for now in moments if not written(now)] == [0.2, 0.45, 100.9, 50_029.0]
    assert stored(store, task) == moments
    say(task, *range(CHUNK_POINTS - 1))
    task.flush()
    assert store.metrics_count(task.id) == len(moments)
    say(task, 1.0)
    task.flush()  # so many do not wait
    assert store.metrics_count(task.id) == len(moments) + CHUNK_POINTS


def test_a_job_of_a_day_makes_few_objects(store: TaskStore) -> None:
    """Though it logs a point every two seconds and the store is asked as often."""
    clock = Clock()
    task = live(store, clock)
    for number in range(43_200):
        clock.now = 2.0 * number
        say(task, number)
        task.flush()
    assert len(chunks(store, task)) < 4000
    assert task.metrics_since(43_199)[1] == 43_200


def test_the_flusher_brings_points_to_the_store_while_the_job_goes_on() -> None:
    """Another process sees them; the record is not written for them."""
    arrived, names = threading.Event(), list[str]()

    def step(name: str, action: Callable[[], Any]) -> Any:
        names.append(name)
        answer = action()
        if "metrics/" in name:
            arrived.set()
        return answer

    inner = MemoryStore()
    tasks = LiveTasks(TaskStores(Hooked(inner, step)), 1000)
    waiting = record()
    trainings(inner).create(waiting, HOLDER, resume=False)
    task = tasks.add(waiting)
    assert task.claim(HOLDER)
    say(task, 0.5)
    assert arrived.wait(60)
    assert stored(trainings(inner), task) == [0.5]
    assert not [name for name in names if name.startswith("put") and "record/" in name]
    task.finish(TaskStatus.STOPPED)
    tasks.close()


def test_a_completed_job_has_its_whole_history(any_store: ObjectStore) -> None:
    """It is stored before the end is decided."""
    counts: list[int] = []

    def step(name: str, action: Callable[[], Any]) -> Any:
        if name.startswith(f"create {TRAININGS}/end/"):
            counts.append(trainings(any_store).metrics_count(task.id))
        return action()

    store = trainings(Hooked(any_store, step))
    task = live(store)
    say(task, *range(5))
    assert task.finish(TaskStatus.COMPLETED)
    assert counts == [5]


@pytest.mark.parametrize("arrives", [False, True], ids=["refused", "answer lost"])
def test_what_the_store_refuses_comes_later(arrives: bool) -> None:
    """Each point once and in order, also where the store took a piece and failed to say so."""
    refusals = [0]

    def step(name: str, action: Callable[[], Any]) -> Any:
        if not name.startswith(f"create {TRAININGS}/metrics/") or not refusals[0]:
            return action()
        refusals[0] -= 1
        if arrives:
            with suppress(ConflictError):  # it has arrived before
                action()
        raise StorageError("down", retryable=True)

    store = trainings(Hooked(MemoryStore(), step))
    task = live(store, Clock())
    refusals[0] = 1
    say(task, 0, 1)
    with pytest.raises(StorageError):
        task.flush()
    say(task, 2)
    assert values(task.metrics_since(0)[0]) == [0, 1, 2]
    task.metrics.store(rest=True)
    assert stored(store, task) == [0, 1, 2]
    refusals[0] = 2
    say(task, 3)
    assert task.finish(TaskStatus.COMPLETED)
    assert task.done.is_set() and task.unsaved
    assert not store.load(task.id).status.final  # or its history would be in want of a point
    with pytest.raises(StorageError):
        task.flush()
    task.flush()
    assert store.load(task.id).status is TaskStatus.COMPLETED
    assert stored(store, task) == [0, 1, 2, 3]
    assert not task.unsaved


def test_what_cannot_be_read_is_left_out(store: TaskStore, caplog: pytest.LogCaptureFixture) -> None:
    """With a warning for each piece; the numbers of the other points stay."""
    task = live(store)
    for begin in (0, 3, 6, 9):
        say(task, *range(begin, begin + 3))
        task.metrics.store(rest=True)
    objects, folder = store._store, f"metrics/{task.id}"
    first, second, third = objects.get(TRAININGS, f"{folder}/0000000000").splitlines(keepends=True)
    objects.put(TRAININGS, f"{folder}/0000000000", first + b'{"step": 1\n' + third)
    objects.put(TRAININGS, f"{folder}/0000000003", b"\xff\x00")
    objects.put(TRAININGS, f"{folder}/0000000006", b"")
    objects.put(TRAININGS, f"{folder}/readme", second)
    assert stored(store, task) == [0, 2, 9, 10, 11]
    assert len(caplog.records) == 2
    assert all("cannot be read and are left out" in entry.getMessage() for entry in caplog.records)
    assert store.metrics_since(task.id, 1, 2)[1] == 10
    assert store.metrics_count(task.id) == 12
    objects.put(TRAININGS, f"{folder}/0000000009", b"")
    assert store.metrics_count(task.id) == 10  # its number is taken


def test_points_that_can_no_longer_be_read_hold_up_no_reader(store: TaskStore) -> None:
    """What is in memory comes all the same."""
    task = live(store)
    say(task, *range(KEPT + 5))
    task.metrics.store(rest=True)
    for number in chunks(store, task):
        store._store.delete(TRAININGS, f"metrics/{task.id}/{number:010d}")
    points, mark = task.metrics_since(2)
    assert (values(points), mark) == (list(range(5, KEPT + 5)), KEPT + 5)


def test_the_history_goes_with_the_record(any_store: ObjectStore) -> None:
    """Nothing is left of a training that is deleted; that of another one stays."""
    store = trainings(any_store)
    task, other = live(store), live(store)
    for each in (task, other):
        say(each, 1)
        assert each.finish(TaskStatus.COMPLETED)
    assert store.delete(task.id)
    assert (chunks(store, task), chunks(store, other)) == ([], [0])


# -- when processes die, or are taken for dead ----------------------------------------------------------------------


def test_a_job_that_begins_again_goes_on_numbering(any_store: ObjectStore) -> None:
    """What the killed process had not stored is lost, what it had is not; a reader's mark goes on to count."""
    store = trainings(any_store)
    task = live(store)
    say(task, 0, 1)
    task.metrics.store(rest=True)
    mark = store.metrics_since(task.id, 0)[1]
    say(task, 2)  # the kill
    again = taken_over(store, task)
    say(again, 10, 11)
    assert values(again.metrics_since(0)[0]) == [0, 1, 10, 11]
    assert values(again.metrics_since(mark)[0]) == [10, 11]
    assert again.finish(TaskStatus.COMPLETED)
    assert stored(store, task) == [0, 1, 10, 11]
    assert [point.step for point in store.metrics(task.id)] == [0, 1, 0, 1]
    assert values(store.metrics_since(task.id, mark)[0]) == [10, 11]


def test_a_process_that_was_taken_for_dead_changes_nothing(
    any_store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither while its job goes on nor at its end; that is told once."""
    store = trainings(any_store)
    task = live(store)
    say(task, 0)
    task.metrics.store(rest=True)
    say(task, 1)
    again = taken_over(store, task)
    caplog.clear()
    task.metrics.store(rest=True)
    say(task, 2)
    task.metrics.store(rest=True)
    assert [entry.levelno for entry in caplog.records] == [logging.WARNING]
    assert "1 points of the metric history here are dropped" in caplog.text
    assert not task.finish(TaskStatus.COMPLETED)
    say(again, 10)
    assert again.finish(TaskStatus.COMPLETED)
    assert stored(store, task) == [0, 10]


def test_who_has_the_job_goes_on_after_what_another_stored_late(
    store: TaskStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that was paused in the middle of a write takes no number from the points of the present one."""
    task = live(store)
    say(task, 0)
    task.metrics.store(rest=True)
    again = taken_over(store, task)
    late = MetricPoint(step=1, time=datetime(2026, 1, 1, tzinfo=UTC), values={"v": 1.0})
    assert store.save_metrics(task.id, 1, [late])
    say(again, 10)
    again.metrics.store(rest=True)
    assert store.save_metrics(task.id, 3, [late])
    say(again, 11)
    assert again.finish(TaskStatus.COMPLETED)
    assert stored(store, task) == [0, 1, 10, 1, 11]
    assert values(again.metrics_since(0)[0]) == [0, 1, 10, 1, 11]
    assert len([entry for entry in caplog.records if "ours come after its own" in entry.getMessage()]) == 1


def test_in_every_order_the_owner_of_a_job_loses_no_point() -> None:
    """Two processes that take one job for theirs, whatever they do at the same time: each point is there once."""

    def old(objects: ObjectStore) -> None:
        task = LiveTask(record("a"), trainings(objects), 1000, lambda: None)
        if task.claim(HOLDER):
            for value in (1, 2):
                say(task, value)
                task.metrics.store(rest=True)
            say(task, 3)
            task.finish(TaskStatus.COMPLETED)

    def new(objects: ObjectStore) -> None:
        store = trainings(objects)
        if store.decide("a", 1, EndNote(decision="retry", by="two")).by != "two":
            return
        task = LiveTask(store.requeue(store.load_view("a"), 1), store, 1000, lambda: None)
        if task.claim(OTHER):
            for value in (11, 12):
                say(task, value)
                task.metrics.store(rest=True)
            say(task, 13)
            assert task.finish(TaskStatus.COMPLETED)

    def prepare(objects: ObjectStore) -> None:
        trainings(objects).create(record("a"), HOLDER, resume=True)

    def whole(objects: ObjectStore) -> None:
        found, end = trainings(objects).metrics_since("a", 0)
        of_old, of_new = ([v for v in values(found) if (v > 10) is late] for late in (False, True))
        assert end == len(found)
        assert of_old == [1, 2, 3][: len(of_old)]
        assert of_new == [11, 12, 13][: len(of_new)]

    def check_end(objects: ObjectStore) -> None:
        whole(objects)
        final = trainings(objects).load("a")
        assert final.status is TaskStatus.COMPLETED
        found = values(trainings(objects).metrics("a"))
        assert [v for v in found if (v > 10) is (final.attempt == 2)] == ([1, 2, 3], [11, 12, 13])[final.attempt - 1]

    explorer = Explorer(prepare, {"old": old, "new": new}, whole, check_end)
    explorer.explore(limit=600)
    assert explorer.ends > 5


# -- retention --------------------------------------------------------------------------------------------------------


def test_the_history_expires_with_the_record(any_store: ObjectStore) -> None:
    """That of a training that goes on stays, however old it is."""
    store = trainings(any_store)
    task, running = live(store), live(store)
    for each in (task, running):
        say(each, 1)
        each.metrics.store(rest=True)
    assert task.finish(TaskStatus.COMPLETED)
    Retention(any_store, Storage(), now=lambda: utc_now() + 3650 * DAY).sweep()
    assert list(store.ids()) == [running.id]
    assert (chunks(store, task), chunks(store, running)) == ([], [0])


def test_a_history_without_a_record_goes_after_a_day(any_store: ObjectStore) -> None:
    """A process that was paused may have written it after the record was deleted."""
    store = trainings(any_store)
    task, stays = live(store), live(store)
    for each in (task, stays):
        say(each, 1)
        assert each.finish(TaskStatus.COMPLETED)
    store.delete(task.id)
    assert store.save_metrics(task.id, 1, [MetricPoint(step=1, time=utc_now(), values={"v": 1.0})])
    for later, left in ((0.9 * DAY, [1]), (1.1 * DAY, [])):
        Retention(any_store, Storage(), now=lambda later=later: utc_now() + later).collect()  # type: ignore[misc]
        assert chunks(store, task) == left
    assert chunks(store, stays) == [0]
