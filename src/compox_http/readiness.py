"""Whether the store answers, asked at most once a second whoever wants to know, and has what it should."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from compox_core.errors import CompoxError, StorageError
from compox_http.threads import Threads

FRESH_SECONDS = 1.0
PATIENCE_SECONDS = 5.0


class Readiness:
    """The last answer of the store. For one event loop only.

    A question that hangs holds one thread, and no second one is asked meanwhile. `look` raises CompoxError where
    something else keeps this server from its work; it touches no store.
    """

    def __init__(self, ask: Callable[[], object], look: Callable[[], object], threads: Threads) -> None:
        self._ask = ask
        self._look = look
        self._threads = threads
        self._asked: asyncio.Future[object] | None = None
        self._asked_at = 0.0

    async def check(self) -> None:
        """Raise StorageError (`not_ready`) where the store does not answer, or not within five seconds, and what else
        keeps this server from its work."""
        now = asyncio.get_running_loop().time()
        if self._asked is None or (self._asked.done() and now - self._asked_at > FRESH_SECONDS):
            self._asked, self._asked_at = self._threads.run(self._ask), now
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.shield(self._asked)
        except (CompoxError, TimeoutError) as error:
            why = str(error) or f"it did not answer within {PATIENCE_SECONDS:g} seconds"
            raise StorageError(f"The store cannot be used: {why}", code="not_ready", retryable=True) from error
        self._look()
