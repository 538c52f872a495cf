"""A job as the work in a worker process sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from compox_core.errors import TaskStoppedException
from compox_core.jobs.processes.events import Events
from compox_core.jobs.processes.messages import Log, Metrics, Posted, Progress, Update, Withdrawn
from compox_core.records import TaskRecord
from compox_core.records.metric import metric_to_json
from compox_core.tasks.gate import Gate

MAX_TEXT = 16 * 1024 * 1024


class ChildTask:
    """Tells the parent, who writes the record, what becomes of the job. Nothing it is told after `close` counts."""

    def __init__(self, number: int, record: TaskRecord, events: Events, stopping: Callable[[int], bool]) -> None:
        self.number = number
        self.gate = Gate()
        self.stop_raised = False
        self._record = record
        self._progress = record.progress
        self._events = events
        self._stopping = stopping
        self._closed = False

    @property
    def id(self) -> str:
        """The id of the job."""
        return self._record.task_id

    @property
    def progress(self) -> float:
        """The present progress in [0, 1]."""
        return self._progress

    def snapshot(self) -> TaskRecord:
        """Return the record as it is now, without the log."""
        return self._record.model_copy(update={"progress": self._progress})

    def set_progress(self, progress: float) -> None:
        """Note the progress."""
        self._progress = progress
        if not self._closed:
            self._events.move(Progress(self.number, float(progress)))

    def write_log(self, level: str, message: str) -> None:
        """Add to the log."""
        text = f"{message}"
        if len(text) > MAX_TEXT:
            text = f"{text[:MAX_TEXT]} … ({len(text) - MAX_TEXT} more characters were cut off)"
        if not self._closed:
            self._events.put(Log(self.number, level, text))

    def log_metrics(self, values: Mapping[str, float], step: int | None) -> None:
        """Add a point to the metric history; the parent, who has the history, knows the step where it is not given."""
        if not self._closed:
            words = {name: metric_to_json(value) for name, value in values.items()}
            self._events.put(Metrics(self.number, step, words))

    def update(self, **fields: Any) -> None:
        """Change fields of the record."""
        self._record = self._record.model_copy(update=fields)
        if not self._closed:
            self._events.put(Update(self.number, to_jsonable_python(fields)))

    def check_stop(self) -> None:
        """Raise TaskStoppedException when a stop was asked for."""
        if self._stopping(self.number):
            self.stop_raised = True
            raise TaskStoppedException()

    def posted(self, file_id: str) -> None:
        """Note that the job has stored a file."""
        if not self._closed:
            self._events.put(Posted(self.number, file_id))

    def withdrawn(self, file_id: str) -> None:
        """Note that such a file is gone again."""
        if not self._closed:
            self._events.put(Withdrawn(self.number, file_id))

    def close(self) -> None:
        """Be told no more: the job has ended."""
        self._closed = True
