"""Where the engine's synchronous calls run, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LIMIT = 64


class Threads:
    """A pool of our own, at most `limit` threads, for calls that may block. Lives as long as the application.

    The web framework's pool has cpus + 4 threads and starves when that many requests wait.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._pool = ThreadPoolExecutor(limit, thread_name_prefix="compox-http")

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Start `function` in a thread now, and return what to await for its result."""
        loop = asyncio.get_running_loop()
        call = partial(function, *args, **kwargs) if kwargs else function
        return loop.run_in_executor(self._pool, call, *(() if kwargs else args))

    def close(self) -> None:
        """Wait for the calls that run, and end the threads."""
        self._pool.shutdown(cancel_futures=True)
