"""`sys.stdout`, `sys.stderr` and the program's log of a worker process."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from compox_core.jobs.processes.child_task import ChildTask
from compox_core.jobs.processes.events import Events
from compox_core.jobs.processes.messages import Relay
from compox_core.logs import facts_of
from compox_core.runners import current_handler
from compox_core.tasks.capture import TaskStream


class WorkerStream(TaskStream):
    """Stands for a standard stream while the worker lives. All that is written belongs to the job that it does.

    So it goes to the log of that job once, as a message with a level, and is not passed on to the descriptor behind,
    from which it would come into the log a second time. Between jobs it is passed on.
    """

    def __init__(self, stream: TextIO | None, level: str, present: Callable[[], ChildTask | None]) -> None:
        super().__init__(stream, level)
        self.users = 1  # never exchanged for the stream behind
        self._present = present

    def write(self, text: str) -> int:
        """Add whole lines to the log of the present job."""
        task = self._present()
        if task is None:
            self.stream.write(text)
            return len(text)
        paused = task.gate.pause()
        try:
            self.add(current_handler.get() or task, text)
        finally:
            task.gate.resume(paused)
        return len(text)


class WorkerStreams:
    """The two streams, put where Python finds them at the beginning of each job."""

    def __init__(self, present: Callable[[], ChildTask | None]) -> None:
        self._out = WorkerStream(sys.__stdout__, "INFO", present)
        self._err = WorkerStream(sys.__stderr__, "WARNING", present)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def put(self) -> None:
        """Make them the standard streams, whatever an earlier job has put there."""
        sys.stdout, sys.stderr = self._out, self._err

    def finish(self, task: ChildTask) -> None:
        """Log what the threads of a job wrote without a line end."""
        self._out.finish(task)
        self._err.finish(task)

    def _after_fork(self) -> None:
        for stream in (self._out, self._err):
            stream._lock = threading.Lock()  # a thread that is not in the fork may have held it


class RelayHandler(logging.Handler):
    """Has the parent log what the product itself logs here."""

    def __init__(self, events: Events) -> None:
        super().__init__()
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        """Send a log record, with its traceback."""
        with suppress(Exception):  # a message and its arguments that do not fit
            self._events.put(Relay(record.name, record.levelno, self.format(record), facts_of(record)))


def relay_logs(events: Events, level: int) -> None:
    """Send what `compox…` loggers say to the parent and nowhere else: it is not the algorithm's output."""
    handler = RelayHandler(events)
    for name in ("compox_core", "compox"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
