"""What is said of a job whose process is gone."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_jsonable_python

from compox_core.identity import utc_now
from compox_core.records import AlgorithmTaskRecord, ErrorInfo, JobKind, TaskRecord, TaskStatus
from compox_core.tasks import Holder, TaskLog


def lost(record: TaskRecord, holder: Holder) -> TaskRecord:
    """Return the last record of a job that had begun and may not begin again."""
    anew = ""
    if isinstance(record, AlgorithmTaskRecord) and not record.retries:
        anew = ", or let the algorithm begin anew by itself (`retry` of [tool.compox] in pyproject.toml)"
    tries = f" (attempt {record.attempt} of {record.retries + 1})" if record.retries else ""
    why = ""
    if record.attempt <= record.retries:
        why = " No other attempt begins: that is up to the program that submitted it, which is gone, too."
    return _failed(
        record,
        holder,
        f"The worker of this {record.kind.value} is lost{tries}: {holder} ended while it ran, or showed no sign of "
        f"life for too long.{why} Submit it again. Where it happens often, look for what ends that process (its log, "
        f"the memory of the machine){anew}.",
    )


def never_begun(record: TaskRecord, home: Holder) -> TaskRecord:
    """Return the last record of a job that only one process may begin, and that process is gone."""
    return _failed(record, home, _never(record.kind, home, record.attempt))


def never_recorded(kind: JobKind, home: Holder) -> dict[str, Any]:
    """Return what is to be said of a job whose record has not come, in case it does: the process was only suspended."""
    message = _never(kind, home, 1)
    fields: dict[str, Any] = to_jsonable_python(_end(home, 1, message))
    return {**fields, "log": _line("ERROR", message)}


def _never(kind: JobKind, home: Holder, attempt: int) -> str:
    what = f"This {kind.value}" if attempt == 1 else f"Attempt {attempt} of this {kind.value}"
    return (
        f"{what} never began: {home}, which was to run it, ended first, or showed no sign of life for too "
        "long. Submit it again."
    )


def next_attempt(record: TaskRecord, holder: Holder) -> TaskRecord:
    """Return the record of a job that is to begin anew, with a line in its log that says why."""
    message = f"Attempt {record.attempt} of {record.retries + 1} lost its worker, {holder}; the next one will begin."
    return record.model_copy(update={"log": record.log + _line("WARNING", message)})


def _failed(record: TaskRecord, holder: Holder, message: str) -> TaskRecord:
    log = record.log + _line("ERROR", message)
    return record.model_copy(update={**_end(holder, record.attempt, message), "log": log})


def _end(holder: Holder, attempt: int, message: str) -> dict[str, Any]:
    details: dict[str, Any] = {"host": holder.host.partition("|")[0], "pid": holder.pid, "attempt": attempt}
    error = ErrorInfo(type="WorkerLostError", message=message, code="worker_lost", details=details, retryable=True)
    return {"status": TaskStatus.FAILED, "progress": 1.0, "error": error, "time_completed": utc_now()}


def _line(level: str, message: str) -> str:
    log = TaskLog()
    log.add(level, message)
    return log.text()
