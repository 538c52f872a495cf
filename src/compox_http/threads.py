"""Where the engine's synchronous calls run, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

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
        """Start `function` in a thread now, and return what to await for its result.

        It runs in a copy of the present context, so that what it logs carries the id of the request.
        """
        loop = asyncio.get_running_loop()
        context = copy_context()
        return loop.run_in_executor(self._pool, lambda: context.run(function, *args, **kwargs))

    def close(self) -> None:
        """Wait for the calls that run, and end the threads."""
        self._pool.shutdown(cancel_futures=True)


async def ended(call: asyncio.Future[Any] | None) -> None:
    """Wait until a call in a thread has ended, also when the one who awaited it was cancelled, and whatever it says."""
    if call is not None:
        await asyncio.wait([call])
        call.exception()
