"""A job that goes on in this process, as somebody sees it who follows each of its changes."""

from __future__ import annotations

from collections.abc import Callable

from compox_core.records import MetricPoint, TaskRecord
from compox_core.tasks import LiveTask


class Watched:
    """Follows one job without any I/O, old metrics apart; close it at the end.

    `changed` is called in whatever thread changes the job.
    """

    def __init__(self, task: LiveTask, changed: Callable[[], None]) -> None:
        self._task = task
        self._changed = changed
        task.watch(changed)

    @property
    def final(self) -> bool:
        """Whether the job has ended, or another process knows."""
        return self._task.done.is_set()

    @property
    def lost(self) -> bool:
        """Whether another process has taken the job over, so that only the store knows more."""
        return self._task.elsewhere

    def record(self) -> TaskRecord:
        """Return the record as it is now, without its log."""
        return self._task.outline()

    def log_since(self, mark: int) -> tuple[int, str]:
        """Return what was logged after `mark`, and the mark to ask with next; 0 begins with the first line.

        Of a long log that nobody followed, only what is in memory comes, after a line that says what is left out.
        """
        return self._task.log.since(mark)

    def metrics_since(self, mark: int, most: int | None = None) -> tuple[list[MetricPoint], int]:
        """Return the metric history's points from number `mark` on, at most so many, and the mark to ask with next.

        The latest 10,000 are in memory. Older ones are read from the store: ask for these in a thread that may wait.
        Raises StorageError.
        """
        return self._task.metrics_since(mark, most)

    def late_metrics(self, mark: int, most: int) -> tuple[list[MetricPoint], int] | None:
        """Return what `metrics_since` returns, without any I/O; None where points have left memory."""
        return self._task.metrics.log.since(mark, most)

    def close(self) -> None:
        """Follow the job no more."""
        self._task.unwatch(self._changed)
