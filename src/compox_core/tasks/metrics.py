"""The metric history of a job that goes on here: the latest points in memory, all of them soon in the store."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice

from compox_core.identity import utc_now
from compox_core.records import MetricPoint
from compox_core.storage.telling import tell
from compox_core.tasks.store import TaskStore

logger = logging.getLogger(__name__)

KEPT = 10_000
"""So many points stay in memory for those who follow."""
CHUNK_POINTS = 4096
MOST_CHUNK_POINTS = 16_384
SHORTEST_SECONDS, LONGEST_SECONDS, SHARE = 0.25, 30.0, 0.01
"""Points wait for the store for this share of the time that the history lasts, within these limits: those of a short
job are seen at once elsewhere, and one of days makes a few thousand objects."""


class MetricLog:
    """Collects points, numbered from 0; any thread may add.

    The last `kept` stay in memory, and whatever else is not stored yet.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._points: deque[MetricPoint] = deque()
        self._end = 0
        self._stored = 0
        self._step = -1
        self._closed = False
        self._lock = threading.Lock()

    def add(self, values: Mapping[str, float], step: int | None = None) -> int:
        """Add a point, by default of the step after the last one's; return how many are not stored yet."""
        # A lone surrogate is shown escaped: no UTF-8, and so no store, could hold it.
        plain = {
            name if name.isascii() else name.encode("utf-8", "backslashreplace").decode(): float(value)
            for name, value in values.items()
        }
        with self._lock:
            if not self._closed:
                self._step = self._step + 1 if step is None else int(step)
                self._points.append(MetricPoint.model_construct(step=self._step, time=utc_now(), values=plain))
                self._end += 1
                self._trim()
            return self._end - self._stored

    def close(self) -> None:
        """Take no more points."""
        with self._lock:
            self._closed = True

    @property
    def waiting(self) -> int:
        """How many points are not stored yet."""
        return self._end - self._stored

    @property
    def count(self) -> int:
        """How many points there are so far."""
        return self._end

    @property
    def first(self) -> int:
        """The number of the first point in memory."""
        with self._lock:
            return self._end - len(self._points)

    def take(self, most: int = MOST_CHUNK_POINTS) -> tuple[int, list[MetricPoint]]:
        """Return the first points that are not stored, and the number of the first; they stay until they are."""
        with self._lock:
            begin = len(self._points) - (self._end - self._stored)
            return self._stored, list(islice(self._points, begin, begin + most))

    def stored(self, end: int) -> None:
        """Note that the points before number `end` are stored."""
        with self._lock:
            self._stored = end
            self._trim()

    def move(self, first: int) -> None:
        """Give the points that are not stored the numbers from `first` on; the others leave memory."""
        with self._lock:
            waiting = self._end - self._stored
            while len(self._points) > waiting:
                self._points.popleft()
            self._stored, self._end = first, first + waiting

    def since(self, mark: int, most: int | None = None) -> tuple[list[MetricPoint], int] | None:
        """Return the points from number `mark` on, at most so many, and the mark to ask with next.

        None where some of them have left memory.
        """
        with self._lock:
            wanted = self._end - mark
            if wanted <= 0:
                return [], mark
            if wanted > len(self._points):
                return None
            late = list(islice(reversed(self._points), wanted))
        late.reverse()
        late = late if most is None else late[:most]
        return late, mark + len(late)

    def _trim(self) -> None:
        while len(self._points) > self._kept and self._end - len(self._points) < self._stored:
            self._points.popleft()


class LiveMetrics:
    """The history of one attempt of a job, which goes on after what earlier attempts have stored."""

    def __init__(
        self, store: TaskStore, task_id: str, attempt: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.log = MetricLog()
        self._store = store
        self._id = task_id
        self._attempt = attempt
        self._clock = clock
        self._by = ""
        self._begun: float | None = None
        self._last = -math.inf
        self._chunk: tuple[int, list[MetricPoint]] | None = None  # one that the store has not taken yet
        self._dropped = False
        self._told = False

    def begin(self, by: str) -> None:
        """Let `by`, who has claimed the attempt, be the one that stores. Raises StorageError."""
        if self._store.about.metrics and self._attempt > 1:
            self.log.move(self._store.metrics_count(self._id))
        self._by = by

    def add(self, values: Mapping[str, float], step: int | None) -> bool:
        """Add a point; return whether somebody should look soon whether it is due."""
        if not self._store.about.metrics:
            raise TypeError(f"{self._store.about.name.capitalize()} '{self._id}' has no metric history.")
        waiting = self.log.add(values, step)
        if self._begun is None:
            self._begun = self._clock()
        return waiting in (1, CHUNK_POINTS)

    def close(self) -> None:
        """Take no more points; those that wait are still stored."""
        self.log.close()

    @property
    def due(self) -> bool:
        """Whether points have waited long enough, or are many."""
        waiting = self.log.waiting
        if self._dropped or not waiting or self._begun is None:
            return False
        now = self._clock()
        pause = min(max(SHARE * (now - self._begun), SHORTEST_SECONDS), LONGEST_SECONDS)
        return waiting >= CHUNK_POINTS or now - self._last >= pause

    def store(self, *, rest: bool = False) -> None:
        """Bring to the store what is due, or with `rest` everything. Raises StorageError; nothing is lost then."""
        due = rest or self.due
        while due and not self._dropped:
            if self._chunk is None:
                self._chunk = self.log.take()
            first, points = self._chunk
            if not points:
                self._chunk = None
                return
            self._last = self._clock()
            if self._decided_elsewhere():
                self.drop()
            elif self._store.save_metrics(self._id, first, points):
                self._chunk = None
                self.log.stored(first + len(points))
            else:
                self._collided(first)

    def _collided(self, first: int) -> None:
        """Go on after what another process has stored meanwhile, where the attempt is still ours."""
        if self._decided_elsewhere():
            self.drop()
            return
        self._chunk = None
        self.log.move(self._store.metrics_count(self._id))
        if not self._told:
            self._told = True
            message = "Another process has stored point %d of the metric history of %s %s; ours come after its own."
            tell(logger, logging.WARNING, message, first, self._store.about.name, self._id)

    def _decided_elsewhere(self) -> bool:
        note = self._store.end_of(self._id, self._attempt)
        return note is not None and (note.by != self._by or note.decision == "retry")

    def drop(self) -> None:
        """Store no more: another process has the job."""
        waiting = self.log.waiting
        if waiting and not self._dropped and self._by:
            message = "Another process has %s %s: %d points of the metric history here are dropped."
            tell(logger, logging.WARNING, message, self._store.about.name, self._id, waiting)
        self.log.close()
        self._chunk = None
        self._dropped = True

    def since(self, mark: int, most: int | None = None) -> tuple[list[MetricPoint], int]:
        """Return the points from number `mark` on, at most so many, and the mark to ask with next.

        Where they have left memory they are read. Raises StorageError.
        """
        mark, points = max(mark, 0), list[MetricPoint]()
        while True:
            left = None if most is None else most - len(points)
            late = self.log.since(mark, left)
            if late is not None:
                return points + late[0], late[1]
            found, mark = self._store.metrics_since(self._id, mark, left)
            points += found
            if len(points) == most:
                return points, mark
            if not found:  # what lies there cannot be read
                mark = self.log.first
