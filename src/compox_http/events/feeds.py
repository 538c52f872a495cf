"""The feeds of one server: one a job, however many clients follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from compox_core.engine.tasks import Tasks
from compox_http.events.feed import Feed
from compox_http.threads import Threads

KEPT_SECONDS = 60.0
"""So long a feed that nobody follows is kept for a client that comes back."""
MOST_IDLE = 256


class Feeds:
    """Makes feeds, shares them, and ends those that nobody follows any more. For one event loop only."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._feeds: dict[str, Feed] = {}
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # each as long as it is held
        self._idle: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    @asynccontextmanager
    async def following(self, tasks: Tasks[Any], task_id: str) -> AsyncIterator[Feed]:
        """Give the feed of a job for as long as the block lasts. Raises NotFoundError and StorageError."""
        key = f"{tasks.kind}/{task_id}"
        feed = await self._open(key, tasks, task_id)
        feed.followers += 1
        try:
            yield feed
        finally:
            feed.followers -= 1
            if feed.followers == 0 and self._feeds.get(key) is feed:
                self._retire(key)

    async def ended(self, tasks: Tasks[Any], task_id: str, seconds: float) -> None:
        """Return when a job has ended, after so many seconds, or when the server ends. No thread waits meanwhile."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        async with self.following(tasks, task_id) as feed:
            while not feed.buffer.ended and (left := deadline - loop.time()) > 0:
                await feed.buffer.changed(feed.buffer.last, left)

    def close(self) -> None:
        """End all feeds, and with them the streams of their followers; those that come later end at once."""
        self._closed = True
        for timer in self._idle.values():
            timer.cancel()
        for feed in self._feeds.values():
            feed.close()
        self._feeds.clear()
        self._idle.clear()

    async def _open(self, key: str, tasks: Tasks[Any], task_id: str) -> Feed:
        async with self._opening.setdefault(key, asyncio.Lock()):
            feed = self._feeds.get(key)
            if feed is None:
                feed = Feed(tasks, task_id, self._threads)
                await feed.begin()
                self._feeds[key] = feed
                if self._closed:
                    feed.close()
        timer = self._idle.pop(key, None)
        if timer is not None:
            timer.cancel()
        return feed

    def _retire(self, key: str) -> None:
        while len(self._idle) >= MOST_IDLE:
            self._drop(next(iter(self._idle)))
        self._idle[key] = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._drop, key)

    def _drop(self, key: str) -> None:
        timer = self._idle.pop(key, None)
        if timer is not None:
            timer.cancel()
        feed = self._feeds.pop(key, None)
        if feed is not None:
            feed.close()
