"""Whose line it is: the request and the task in which something is logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Belonging(NamedTuple):
    """What a line belongs to; None where to none. `algorithm` is `name major.minor`."""

    request_id: str | None
    task_id: str | None
    algorithm: str | None


_request: ContextVar[str | None] = ContextVar("compox_request", default=None)
_task: ContextVar[tuple[str, str | None] | None] = ContextVar("compox_task", default=None)


def set_request(request_id: str | None) -> None:
    """Say which request the present context answers; lines that are logged in it carry the id."""
    _request.set(request_id)


def current_request() -> str | None:
    """Return the id of the request that the present context answers; None outside of any."""
    return _request.get()


@contextmanager
def task_lines(task_id: str, algorithm: str | None = None) -> Iterator[None]:
    """Have the lines that are logged in the block carry a task's id, and its algorithm where that is known."""
    token = _task.set((task_id, algorithm))
    try:
        yield
    finally:
        _task.reset(token)


def in_task() -> bool:
    """Return whether the present context does the work of a task."""
    return _task.get() is not None


def belonging(record: logging.LogRecord) -> Belonging:
    """Return what a record belongs to; to be asked where it is logged. Its own `extra` counts most."""
    own = record.__dict__
    task_id, algorithm = _task.get() or (None, None)
    if own.get("task_id") is not None:
        task_id, algorithm = own["task_id"], own.get("algorithm")
    return Belonging(own.get("request_id") or _request.get(), task_id, algorithm)
