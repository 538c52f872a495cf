"""The metric history of one training, as a feed follows it: piece by piece, from where it was when the feed began."""

from __future__ import annotations

from compox_core.engine.trainings import Trainings
from compox_core.engine.watching import Watched
from compox_core.records import MetricPoint
from compox_http.threads import Threads

PIECE = 200
"""So many points an event has at most."""


class Points:
    """Reads on in a metric history. `mark` is the number of the next point."""

    def __init__(self, trainings: Trainings, training_id: str, threads: Threads) -> None:
        self.mark = 0
        self._trainings = trainings
        self._id = training_id
        self._threads = threads

    async def skip(self) -> None:
        """Go on after what there is by now. Raises StorageError."""
        self.mark = await self._threads.run(self._trainings.metrics_count, self._id)

    async def next(self, watched: Watched | None) -> list[MetricPoint]:
        """Return the points that follow, at most `PIECE`. They are read in a thread where they are not in memory.

        Raises NotFoundError and StorageError.
        """
        late = None if watched is None else watched.late_metrics(self.mark, PIECE)
        if late is None and watched is not None:
            late = await self._threads.run(watched.metrics_since, self.mark, PIECE)
        elif late is None:
            late = await self._threads.run(self._trainings.metrics_since, self._id, self.mark, PIECE)
        found, self.mark = late
        return found
