"""Waiting for a job, and what is said of one that did not go well."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from compox_core.errors import InvalidInputError, TaskFailedError
from compox_core.records import TaskRecord, TaskStatus

Progress = bool | Callable[[float], None]
R = TypeVar("R", bound=TaskRecord)


def waited(wait: Callable[[float | None], R], timeout: float | None, progress: Progress) -> R:
    """Wait for a job by `wait`, at most `timeout` seconds, and show or tell its progress meanwhile."""
    if progress is False:
        return wait(timeout)
    from compox_core.engine.progress import follow

    return follow(wait, timeout, None if progress is True else progress)


def failure(record: TaskRecord) -> TaskFailedError:
    """Return the error that tells a waiting caller how a job ended."""
    error = record.error
    what = f"{record.kind.value.capitalize()} '{record.task_id}'"
    if record.status is TaskStatus.STOPPED:
        message = f"{what} was stopped."
    elif error is None:
        message = f"{what} failed; its log says more."
    else:
        message = f"{what} failed: {error.type}: {error.message}"
    return TaskFailedError(
        message,
        code=error.code if error else "task_stopped" if record.status is TaskStatus.STOPPED else None,
        details={
            record.id_field: record.task_id,
            "status": record.status.value,
            "error": error.model_dump() if error else None,
            "log": record.log,
        },
    )


def misfit(error: ValidationError) -> InvalidInputError:
    """Return the error for a request that no model of ours holds."""
    issue = error.errors()[0]
    place = ".".join(map(str, issue["loc"]))
    return InvalidInputError(f"`{place}` does not fit: {issue['msg']}.", code="invalid_request")
