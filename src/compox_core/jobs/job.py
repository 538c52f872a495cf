"""Where jobs run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from compox_core.records import Job

RunJob = Callable[[Job], None]
"""Does the work of a job and records how it ended. Raises StorageError where it could not begin: then it is to be
tried again. Raises nothing else but KeyboardInterrupt."""


class Executor(Protocol):
    """Where jobs run, never what they do.

    Attributes:
        remote: Whether other processes run the jobs, which then write the records themselves.
    """

    remote: bool

    def submit(self, job: Job) -> None:
        """Take a job; it runs now or later. Raises StateError after `close`."""

    def cancel(self, job: Job) -> bool:
        """Take a job back that has not begun; return whether that was so."""

    def close(self, timeout: float | None) -> list[Job]:
        """Take no more jobs and wait for those that run, at most `timeout` seconds; return those that did not end.

        Jobs that have not begun are returned too. None waits until every job has run.
        """
