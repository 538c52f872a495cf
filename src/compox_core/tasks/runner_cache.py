"""Loaded runners, kept for the next run."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait

from compox_core.runners import LoadedRunner
from compox_core.tasks.memory import free_device_memory

WAIT_SECONDS = 0.1


class RunnerCache:
    """At most `maxsize` loaded runners, the least recently used one gives way. Safe for threads.

    A runner is loaded once, however many tasks ask for it at a time; the others wait. A place is made before the new
    runner is loaded, so that two models need not fit in memory at a time. When loading fails, the tasks that waited
    try themselves.
    """

    def __init__(self, maxsize: int = 1) -> None:
        self._maxsize = max(maxsize, 1)
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, Future[LoadedRunner]] = OrderedDict()

    def get(
        self, key: Hashable, load: Callable[[], LoadedRunner], waiting: Callable[[], None] = lambda: None
    ) -> LoadedRunner:
        """Return the runner for `key`, loading it where it is not there.

        `waiting` is called several times a second while another task loads it; it may raise to give up.
        """
        while True:
            with self._lock:
                entry = self._entries.get(key)
                mine = entry is None
                if entry is None:
                    evicted = self._make_room()
                    entry = self._entries[key] = Future()
                else:
                    evicted = False
                    self._entries.move_to_end(key)
            if mine:
                if evicted:
                    free_device_memory()
                return self._load(key, entry, load)
            while not wait([entry], WAIT_SECONDS).done:
                waiting()
            if entry.exception() is None:
                return entry.result()
            # The task that was loading failed or was stopped, which is its own affair: this one tries itself. The
            # entry is gone by then, so each round either finds a loaded runner or loads one.

    def _load(self, key: Hashable, entry: Future[LoadedRunner], load: Callable[[], LoadedRunner]) -> LoadedRunner:
        try:
            runner = load()
        except BaseException as error:
            with self._lock:
                if self._entries.get(key) is entry:
                    del self._entries[key]
            entry.set_exception(error)
            raise
        entry.set_result(runner)
        return runner

    def _make_room(self) -> bool:
        evicted = False
        while len(self._entries) >= self._maxsize:
            self._entries.popitem(last=False)
            evicted = True
        return evicted

    def clear(self) -> None:
        """Forget every runner; those that run now go on."""
        with self._lock:
            self._entries.clear()
        free_device_memory()

    def drop_idle(self, seconds: float) -> int:
        """Unload the runners that no run has used for so long; return how many. One that is in use stays."""
        with self._lock:
            idle = [key for key, entry in self._entries.items() if _idle_seconds(entry) >= seconds]
            for key in idle:
                del self._entries[key]
        if idle:
            free_device_memory()
        return len(idle)

    def __len__(self) -> int:
        return len(self._entries)


def _idle_seconds(entry: Future[LoadedRunner]) -> float:
    if not entry.done() or entry.exception() is not None:
        return 0.0  # it is being loaded, or the task that failed at it is about to take it out
    return entry.result().idle_seconds()
