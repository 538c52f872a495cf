"""Those who accept, begin, end and clear up one job, in every order of their steps, with a death at every point."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from compox_core.errors import NotFoundError
from compox_core.jobs.reconcile import Reconciler
from compox_core.records import Job, TaskRecord, TaskStatus
from compox_core.storage import EXECUTIONS, SYSTEM, ObjectStore
from compox_core.storage.collections import ALL
from compox_core.storage.memory import MemoryStore
from compox_core.tasks import LiveTask, TaskStores
from tests.algorithms.steps import Actor, Explorer
from tests.jobs.queues import Fixed, Signed, executions, holder, record

LIMIT = 1500

EVERYBODY = ("home", "runner", "late", "watcher", "second")


def note(store: ObjectStore, what: str, text: str = "") -> None:
    """Put down for the judge what happened; the same may not happen twice."""
    store.create(SYSTEM, f"noted/{what}", text.encode())


def perform(store: ObjectStore, name: str, given: TaskRecord) -> None:
    """Begin a job as `name`, and end it, as far as others let it."""
    tasks = executions(store)
    task = LiveTask(given, tasks, 10_000, lambda: None)
    if not task.claim(holder(name)):
        return
    note(store, f"started.{given.attempt}")
    if task.finish(TaskStatus.COMPLETED, output_dataset_ids=[name]):
        note(store, f"said.{given.attempt}", name)


def runner(name: str) -> Actor:
    """Return somebody who runs the job as the store has it."""

    def act(store: ObjectStore) -> None:
        try:
            found = executions(store).load("a")
        except NotFoundError:
            return
        if not found.status.final:
            perform(store, name, found)

    return act


def late(name: str) -> Actor:
    """Return somebody who has known the job since before anybody began it."""
    return lambda store: perform(store, name, record("a", retries=1))


def accepter(retries: int) -> Actor:
    """Return the server that accepts the job, and then dies or is suspended."""

    def act(store: ObjectStore) -> None:
        executions(store).create(record("a", retries=retries), holder("home"), resume=True)
        note(store, "accepted")

    return act


def reconciler(store: ObjectStore, name: str, *lost: str) -> tuple[Reconciler, list[TaskRecord]]:
    """Return what sees to the jobs of those who are lost, and the list in which it puts what is to begin."""
    waiting: list[TaskRecord] = []

    def submit(job: Job, given: TaskRecord) -> None:
        waiting.append(given)

    presence = Signed(store, name)
    known = Fixed(store, *lost)
    return Reconciler(TaskStores(store), presence, known, submit, lambda job: False, resume=True), waiting


def watcher(name: str, *lost: str, rounds: int = 1) -> Actor:
    """Return a server that takes others for dead, and runs what it takes over."""

    def act(store: ObjectStore) -> None:
        seeing, waiting = reconciler(store, name, *lost)
        for _ in range(rounds):
            seeing.run_once()
            while waiting:
                perform(store, name, waiting.pop(0))

    return act


def copied(store: ObjectStore) -> ObjectStore:
    """Return what would be found if everybody died now."""
    copy = MemoryStore()
    for collection in ALL:
        for info in store.list(collection):
            copy.put(collection, info.key, store.get(collection, info.key))
    return copy


def recovered(store: ObjectStore) -> None:
    """Judge what a server makes of the store that starts when all others are dead."""
    rest = copied(store)
    seeing, waiting = reconciler(rest, "next", *EVERYBODY)
    for _ in range(5):
        seeing.run_once()
        while waiting:
            perform(rest, "next", waiting.pop(0))
    assert [info.key for info in rest.list(EXECUTIONS, "queue/")] == []
    try:
        record = executions(rest).load("a")
    except NotFoundError:
        assert not rest.exists(SYSTEM, "noted/accepted")
    else:
        assert record.status.final
    truthful(rest)


def truthful(store: ObjectStore) -> None:
    """Judge whether what was said is what is so."""
    ends = {}
    for info in store.list(EXECUTIONS, "end/"):
        ends[int(info.key.rpartition(".")[2])] = json.loads(store.get(EXECUTIONS, info.key))
    assert list(ends) == list(range(1, len(ends) + 1))
    assert [end["decision"] for end in ends.values()][:-1] == ["retry"] * (len(ends) - 1)
    for info in store.list(SYSTEM, "noted/said."):
        end = ends[int(info.key.rpartition(".")[2])]
        assert (end["decision"], end["record"]["status"]) == ("final", "COMPLETED")
        assert end["record"]["output_dataset_ids"] == [store.get(SYSTEM, info.key).decode()]


def check(store: ObjectStore) -> None:
    """Judge a state."""
    truthful(store)
    recovered(store)


def explore(actors: dict[str, Actor], prepare: Callable[[ObjectStore], None]) -> None:
    """See every state; in each, what is said is true, and a server that starts then completes everything."""
    search = Explorer(prepare, actors, check, check)
    search.explore(LIMIT)
    assert search.ends


def waiting_job(retries: int) -> Callable[[ObjectStore], None]:
    """Return what puts a job into the queue that nobody has begun."""
    return lambda store: executions(store).create(record("a", retries=retries), holder("home"), resume=True)


@pytest.mark.parametrize("retries", [0, 1])
class TestEveryOrder:
    def test_one_who_runs_and_one_who_takes_it_for_dead(self, retries: int) -> None:
        """A job is run by somebody whom another takes for dead at any time, before and after it begins and ends."""
        explore({"r": runner("runner"), "w": watcher("watcher", "runner", "home", rounds=2)}, waiting_job(retries))

    def test_a_late_one_besides(self, retries: int) -> None:
        """And a third, who had the job in its queue from the first, comes to it at any time."""
        explore(
            {"r": runner("runner"), "l": late("late"), "w": watcher("watcher", "runner", "home", "late")},
            waiting_job(retries),
        )

    def test_two_who_take_the_runner_for_dead(self, retries: int) -> None:
        """Two servers see to the same job at a time."""
        explore(
            {
                "r": runner("runner"),
                "w": watcher("watcher", "runner", "home"),
                "s": watcher("second", "runner", "home"),
            },
            waiting_job(retries),
        )

    def test_two_who_take_each_other_for_dead(self, retries: int) -> None:
        """Nobody needs to be right about who lives."""
        explore(
            {"w": watcher("watcher", "second", "home"), "s": watcher("second", "watcher", "home")},
            waiting_job(retries),
        )

    def test_one_who_accepts_and_one_who_takes_it_for_dead(self, retries: int) -> None:
        """A job that was accepted is found and ends, also where the server was suspended between the two writes."""
        explore(
            {"h": accepter(retries), "w": watcher("watcher", "home", rounds=2), "r": runner("runner")},
            lambda store: None,
        )


def remover(store: ObjectStore) -> None:
    """Stop the job through another server before anybody begins it, and delete its record."""
    tasks = executions(store)
    task = LiveTask(tasks.load("a"), tasks, 10_000, lambda: None)
    if task.claim(holder("watcher")):
        task.finish(TaskStatus.STOPPED)
        tasks.delete("a")
        note(store, "deleted")


def stays_deleted(store: ObjectStore) -> None:
    """Judge whether a job that was stopped and deleted is run, or has come back."""
    deleted, started = (store.exists(SYSTEM, f"noted/{what}") for what in ("deleted", "started.1"))
    assert not (deleted and started)
    assert not (deleted and store.exists(EXECUTIONS, "record/a"))


def test_one_who_stops_and_deletes_it_elsewhere() -> None:
    """Whoever has the job in its queue comes to it at any time, and does not begin what was deleted."""
    search = Explorer(waiting_job(0), {"l": late("late"), "d": remover}, stays_deleted, stays_deleted)
    search.explore(LIMIT)
    assert search.ends
