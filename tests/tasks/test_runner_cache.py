"""Loaded runners: loaded once, few at a time, never two models where one fits."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from compox_core.errors import TaskStoppedException
from compox_core.runners import BaseRunner, LoadedRunner
from compox_core.tasks import RunnerCache

HANDLER: Any = object()


def make() -> LoadedRunner:
    return LoadedRunner(BaseRunner, "cpu")


def test_concurrent_tasks_load_once() -> None:
    """Sixteen tasks that ask at a time get one runner, loaded once."""
    cache = RunnerCache(1)
    loads = []
    start = threading.Barrier(16)

    def load() -> LoadedRunner:
        loads.append(1)
        return make()

    def ask(_: int) -> LoadedRunner:
        start.wait()
        return cache.get("a", load)

    with ThreadPoolExecutor(16) as pool:
        runners = list(pool.map(ask, range(16)))
    assert len(loads) == 1
    assert len({id(runner) for runner in runners}) == 1


def test_the_old_one_goes_before_the_new_one_is_loaded() -> None:
    """While a runner is loaded the cache holds no other beyond its size."""
    cache = RunnerCache(1)
    sizes = []

    def load() -> LoadedRunner:
        sizes.append(len(cache))
        return make()

    for key in "aba":
        cache.get(key, load)
    assert sizes == [1, 1, 1]


def test_the_least_recently_used_goes() -> None:
    """A runner that was asked for again stays."""
    cache = RunnerCache(2)
    loads = []
    for key in ("a", "b", "a", "c", "a", "b"):
        cache.get(key, lambda key=key: (loads.append(key), make())[1])
    assert loads == ["a", "b", "c", "b"]


@pytest.mark.parametrize("error", [ValueError("bad weights"), TaskStoppedException(), SystemExit(1)])
def test_a_failed_load_fails_its_own_task_only(error: BaseException) -> None:
    """The task that loads gets the error; one that waited loads for itself; nothing broken stays."""
    cache = RunnerCache(1)
    loading, go_on = threading.Event(), threading.Event()

    def fail() -> LoadedRunner:
        loading.set()
        go_on.wait(10)
        raise error

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "a", fail)
        loading.wait(10)
        second = pool.submit(cache.get, "a", make)
        go_on.set()
        assert isinstance(second.result(10), LoadedRunner)
        assert isinstance(first.exception(10), type(error))
    assert len(cache) == 1


def test_a_task_that_waits_for_another_ones_load_can_give_up() -> None:
    """A stop reaches it while the load goes on, and the load is not disturbed."""
    cache, loading, go_on = RunnerCache(), threading.Event(), threading.Event()

    def load() -> LoadedRunner:
        loading.set()
        assert go_on.wait(20)
        return make()

    def stopped() -> None:
        raise TaskStoppedException

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cache.get, "key", load)
        assert loading.wait(20)
        with pytest.raises(TaskStoppedException):
            cache.get("key", make, stopped)
        go_on.set()
        assert cache.get("key", make) is first.result(20)


class Clock:
    """Seconds that a test lets pass."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_runner_that_nobody_uses_is_unloaded() -> None:
    """After the time that is given, not before; nothing of it stays in memory, and the next task loads it again."""
    cache, clock = RunnerCache(2), Clock()
    old = weakref.ref(cache.get("old", lambda: LoadedRunner(BaseRunner, "cpu", clock)))
    clock.now += 60
    new = cache.get("new", lambda: LoadedRunner(BaseRunner, "cpu", clock))
    clock.now += 39
    assert cache.drop_idle(100) == 0
    clock.now += 1
    assert cache.drop_idle(100) == 1
    assert old() is None
    assert cache.get("new", make) is new


def test_a_runner_in_use_is_not_idle() -> None:
    """However long a run takes; the time counts from the end of the last one."""
    cache, clock = RunnerCache(), Clock()
    runner = cache.get("a", lambda: LoadedRunner(BaseRunner, "cpu", clock))
    with runner.run(HANDLER):
        with runner.run(HANDLER):
            clock.now += 500
            assert cache.drop_idle(100) == 0
        clock.now += 500
        assert cache.drop_idle(100) == 0
    clock.now += 99
    assert cache.drop_idle(100) == 0
    clock.now += 1
    assert cache.drop_idle(100) == 1
    assert len(cache) == 0


def test_a_runner_that_is_being_loaded_is_not_idle() -> None:
    """However long that takes."""
    cache, seen = RunnerCache(), []

    def load() -> LoadedRunner:
        seen.append(cache.drop_idle(0.000001))
        return make()

    runner = cache.get("a", load)
    assert seen == [0]
    assert cache.get("a", make) is runner
