"""Threads that work ahead of each other: one reads while another hashes and a third encrypts.

Reading, hashing and writing a large buffer let go of the interpreter's lock, so stages of them run side by side.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Generic, TypeVar

from compox_core.errors import StateError

T = TypeVar("T")

DEPTH = 6
"""How many items a stage is ahead of the next."""


class Stages:
    """Runs generators in threads of their own, as a context manager that ends them all, however it is left.

    Within the block `stage(…)` wraps a generator; what it raises is raised by the iterator that is returned.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._ended = False

    def stage(self, generator: Callable[[], Iterator[T]], depth: int = DEPTH) -> Iterator[T]:
        """Start the generator in a thread, at most `depth` items ahead, and return what iterates over its items."""
        queue: _Queue[T] = _Queue(self, depth)
        thread = threading.Thread(target=queue.fill, args=(generator,), name="bundle-stage", daemon=True)
        thread.start()
        self._threads.append(thread)
        return queue

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()


class _Ended(StateError):
    """Ends a thread whose items nobody will take any more, and what would take items of one that has ended."""

    def __init__(self) -> None:
        super().__init__("The bundle was closed while it was read.")


class _Queue(Generic[T], Iterator[T]):
    def __init__(self, stages: Stages, depth: int) -> None:
        self._stages = stages
        self._changed = stages._changed
        self._depth = depth
        self._items: deque[T] = deque()
        self._done = False
        self._error: BaseException | None = None

    def fill(self, generator: Callable[[], Iterator[T]]) -> None:
        error: BaseException | None = None
        try:
            items: Any = generator()
            with closing(items):
                for item in items:
                    self._put(item)
                    del item  # or the thread holds it while the next one is made
        except BaseException as raised:
            error = raised
        with self._changed:
            self._done, self._error = True, error
            self._changed.notify_all()

    def _put(self, item: T) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._depth or self._stages._ended)
            if self._stages._ended:
                raise _Ended()
            self._items.append(item)
            self._changed.notify_all()

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._done or self._stages._ended)
            if self._items:
                self._changed.notify_all()
                return self._items.popleft()
            if self._error is not None:
                raise self._error
            if self._done:
                raise StopIteration
            raise _Ended()
