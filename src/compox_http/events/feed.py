"""Follows one job and makes events of what changes, for everybody who asks.

A job of this process is followed in memory, woken by its changes; one of another process, or of a Celery worker, by
reading its record from the store, the more seldom the longer nothing changed. A job may go from one to the other.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from compox_core.engine.tasks import Tasks
from compox_core.engine.trainings import Trainings
from compox_core.engine.watching import Watched
from compox_core.errors import NotFoundError, StorageError
from compox_core.records import TaskRecord
from compox_http import training_shaping as shaping
from compox_http.events.buffer import Buffer, encoded
from compox_http.events.points import PIECE, Points
from compox_http.threads import Threads

logger = logging.getLogger(__name__)

GAP_SECONDS = 0.05
"""Changes of a job of this process that come faster make one event."""
LOOK_SECONDS = (0.25, 2.0)
"""How often the store is asked, at first and at last."""
TAIL = 32 * 1024
"""Characters of the log that a client gets which comes late."""
MOST_PIECES = 20
"""So many pieces of a metric history are sent before anything else is looked at."""
HIDDEN = {"log", "package_key"}


class Feed:
    """The events of one job. Lives as long as somebody follows it, and a little longer.

    Events: `status` (status, attempt, device), `progress` (in 0-1), `log` (text, whole lines), `metrics` (points of a
    training's history, `first` the number of the first), `end` (the record).
    """

    def __init__(self, tasks: Tasks[Any], task_id: str, threads: Threads) -> None:
        self.buffer = Buffer()
        self.followers = 0
        self.record: TaskRecord | None = None
        self._tasks = tasks
        self._task_id = task_id
        self._threads = threads
        self._tail = ""
        self._mark = 0
        self._points = Points(tasks, task_id, threads) if isinstance(tasks, Trainings) else None
        self._watched: Watched | None = None
        self._loop = asyncio.get_running_loop()
        self._noticed = asyncio.Event()
        self._poked = False
        self._pause = LOOK_SECONDS[0]
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Read the job's record and go on following it. Raises NotFoundError and StorageError."""
        try:
            while self.record is None:  # once more where another process takes the job over meanwhile
                await self._look()
        except BaseException:  # whatever it is, it is raised again
            self._unwatch()
            raise
        if not self.buffer.ended:
            self._task = self._loop.create_task(self._follow())

    def close(self) -> None:
        """Follow the job no more."""
        if self._task is not None:
            self._task.cancel()
        self._unwatch()
        self.buffer.end()

    def snapshot(self) -> bytes:
        """Return the event for a client that knows nothing yet: the record, with the last lines of its log."""
        assert self.record is not None
        data = {**self._shown(self.record), "log": self._tail}
        return encoded("record", data, f"{self.buffer.epoch}.{self.buffer.last}")

    async def _follow(self) -> None:
        while not self.buffer.ended:
            await self._wait()
            try:
                await self._look()
            except NotFoundError:
                self.buffer.add("deleted", {"id": self._task_id})
                self.buffer.end()
            except StorageError as error:
                logger.warning("The %s %s cannot be followed for now: %s", self._tasks.kind, self._task_id, error)
                self._pause = LOOK_SECONDS[1]
        self._unwatch()

    async def _look(self) -> None:
        self._poked = False
        last = self.buffer.last
        whole = self._watched is None or self._watched.lost
        if whole:
            self._unwatch()
            self._watched = self._tasks.watch(self._task_id, self._notice)
            self._mark = 0
        if self._watched is None:
            record = await self._threads.run(self._tasks.get, self._task_id)
            text = record.log
        else:
            record = self._watched.record()
            self._mark, text = self._watched.log_since(self._mark)
            if self._watched.lost:  # as it was seen is not as it is
                return
        if self._points is not None:  # after the record: one that has ended has all its points
            await self._measure(self._points, record.status.final)
        self._publish(record, _newer(self._tail, text) if whole else text, last)

    async def _measure(self, points: Points, final: bool) -> None:
        if self.record is None:
            await points.skip()  # a client reads those at another route
            return
        pieces = 0
        while final or pieces < MOST_PIECES:
            first = points.mark
            found = await points.next(self._watched)
            if found:
                self.buffer.add("metrics", {"first": first, "points": shaping.points(found)})
            if len(found) < PIECE:
                return
            pieces += 1
            await asyncio.sleep(0)  # followers and others first
        self._noticed.set()  # there is more

    def _publish(self, record: TaskRecord, text: str, last: int) -> None:
        before, self.record = self.record, record
        self._tail = (self._tail + text)[-TAIL:]
        if before is None:
            if record.status.final:
                self._end(record)
            return
        if text:
            self.buffer.add("log", {"text": text})
        if record.progress != before.progress:
            self.buffer.add("progress", {"progress": record.progress})
        if (record.status, record.attempt) != (before.status, before.attempt):
            device = getattr(record, "resolved_execution_device", None)
            fields = {"status": record.status.value, "attempt": record.attempt, "resolved_execution_device": device}
            self.buffer.add("status", fields)
        if record.status.final:
            self._end(record)
        self._pause = LOOK_SECONDS[0] if self.buffer.last > last else min(self._pause * 1.5, LOOK_SECONDS[1])

    def _end(self, record: TaskRecord) -> None:
        self.buffer.add("end", self._shown(record))
        self.buffer.end()

    def _shown(self, record: TaskRecord) -> dict[str, Any]:
        fields = record.model_dump(mode="json", exclude=HIDDEN)
        return fields if self._points is None else {**fields, "metrics": self._points.mark}

    async def _wait(self) -> None:
        """Return when it is worth looking again."""
        if self._watched is None:
            await asyncio.sleep(self._pause)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS[1]):
                await self._noticed.wait()
        self._noticed.clear()
        if not self._watched.final:
            with suppress(TimeoutError):
                async with asyncio.timeout(GAP_SECONDS):
                    await self._noticed.wait()  # which comes in time for the end only
            self._noticed.clear()

    def _notice(self) -> None:
        """Take notice of a change, in the thread that makes it: many changes cost one wake-up."""
        watched = self._watched
        if self._poked and not (watched is not None and watched.final):
            return
        self._poked = True
        with suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._noticed.set)

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._watched.close()
            self._watched = None


def _newer(tail: str, text: str) -> str:
    """Return what of a whole log comes after the `tail` that is known of it; all of it where that is not found."""
    if not tail:
        return text
    known = tail[-512:]
    at = text.rfind(known)
    return text[at + len(known) :] if at >= 0 else text
