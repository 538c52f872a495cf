"""What work sees of the job that it does, in whichever process it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from compox_core.records import TaskRecord
from compox_core.tasks.gate import Gate


class Task(Protocol):
    """A running job: `LiveTask` where its record is written, a stand-in that sends messages in a worker process."""

    gate: Gate
    stop_raised: bool

    @property
    def id(self) -> str:
        """The id of the job."""

    @property
    def progress(self) -> float:
        """The present progress in [0, 1]."""

    def snapshot(self) -> TaskRecord:
        """Return the record as it is now; a copy that nobody changes."""

    def set_progress(self, progress: float) -> None:
        """Note the progress."""

    def write_log(self, level: str, message: str) -> None:
        """Add to the log."""

    def log_metrics(self, values: Mapping[str, float], step: int | None) -> None:
        """Add a point to the metric history, by default of the step after the last one's; 0 is the first."""

    def update(self, **fields: Any) -> None:
        """Change fields of the record."""

    def check_stop(self) -> None:
        """Raise TaskStoppedException when a stop was asked for."""

    def posted(self, file_id: str) -> None:
        """Note that the job has stored a file, which is of no use unless the job completes."""

    def withdrawn(self, file_id: str) -> None:
        """Note that such a file is gone again."""
