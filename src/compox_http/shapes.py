"""Records as clients of `/api/v0` know them: the same keys in the same order, every key always there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypedDict, cast

from compox_core.engine import Deployment
from compox_core.records import (
    AlgorithmRecord,
    BenchmarkRecord,
    DeployRecord,
    ErrorInfo,
    ExecutionRecord,
    Parameter,
    StorageMetrics,
    TaskRecord,
    TaskStatus,
)

_STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) ", re.MULTILINE)


class Failure(TypedDict):
    """An error: what happened, a stable code, whether trying again may help, and the id of the request."""

    detail: str
    code: str
    retryable: bool
    request_id: str


class Refusal(Failure, total=False):
    """An error, with facts for programs where there are any."""

    details: dict[str, Any]


class Issue(TypedDict):
    """One problem of a request: its kind, its place (`body`, then keys and indices), words, and what was given."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any


class NotUnderstood(TypedDict):
    """A request that cannot be understood, with every problem at once; `code` is `request_validation_error`."""

    detail: list[Issue]
    code: str
    retryable: bool
    request_id: str


class Message(TypedDict):
    """What was done, in words."""

    detail: str


class ServerInfo(TypedDict):
    """Who serves, which version, and which GPUs there are (null: none were found)."""

    name: str
    tags: list[str]
    group: str
    organization: str
    domain: str
    version: str
    cuda_available: bool | None
    cuda_capable_devices_count: int | None


class FileCreated(TypedDict):
    """The id under which an uploaded file is found from now on."""

    file_id: str


class SignedUrl(TypedDict):
    """A URL at which whoever has it may put or get one file for an hour."""

    url: str


class ExecutionCreated(TypedDict):
    """The id of an execution that was accepted."""

    execution_id: str


class Execution(TypedDict):
    """A run: what was asked, how far it is (`progress` in 0-1), what came of it.

    Times are the server's local time, `YYYY-MM-DD HH:MM:SS.ffffff`; `time_started` is when the run was submitted, and
    `time_completed` is empty until it ends. `error` is null unless the run failed. `stopped_by` says what ended a run
    that was stopped or ran out of time (`flag`, `exception`, `terminate`, `kill`, `abandoned`). `attempt` is above 1
    where the algorithm was begun anew after its worker was lost.
    """

    execution_id: str
    algorithm_id: str
    checkpoint_id: str | None
    algorithm_minor_version: str | None
    input_dataset_ids: list[str]
    execution_device_override: str | None
    resolved_execution_device: str | None
    additional_parameters: dict[str, Any]
    session_token: str | None
    output_dataset_ids: list[str]
    status: str
    progress: float
    time_started: str
    time_completed: str
    log: str
    error: dict[str, Any] | None
    stopped_by: str | None
    attempt: int


class ParameterRules(TypedDict):
    """The rules of a parameter; `step`, `decimal_precision` and `adjustable` are hints for a user interface."""

    type: str
    default: Any
    adjustable: bool
    options: list[Any]
    min: float | None
    max: float | None
    step: float | None
    decimal_precision: int | None


class AlgorithmParameter(TypedDict):
    """A parameter that an algorithm declares."""

    name: str
    displayed_name: str
    description: str
    config: ParameterRules


class Algorithm(TypedDict):
    """An algorithm: its minor versions in rising order, its latest metadata, its flags and sizes in bytes."""

    algorithm_id: str
    algorithm_name: str
    algorithm_version: str
    algorithm_minor_versions: list[str]
    latest_algorithm_minor_version: str
    algorithm_minor_version: str
    algorithm_type: str
    algorithm_tags: list[str]
    algorithm_description: str
    supported_devices: list[str]
    default_device: str
    additional_parameters: list[AlgorithmParameter]
    training_parameters: list[AlgorithmParameter]
    benchmark_outputs: list[AlgorithmParameter]
    removable: bool
    exportable: bool
    storage_metrics: dict[str, int | str]
    timestamp: str


class Deployed(TypedDict):
    """What a deploy gave: the minor version is the one that the store holds now."""

    algorithm_id: str
    algorithm_name: str
    algorithm_major_version: str
    algorithm_minor_version: str


class DeployedZip(Deployed):
    """What a deploy gave: whether that is a new minor version, and what its author should look at."""

    created: bool
    warnings: list[str]


class Health(TypedDict):
    """That all is well: `ok`."""

    status: str


class ExecutionPage(TypedDict):
    """Some executions, newest first and without their logs, and the cursor of the page that follows, or null."""

    executions: list[ExecutionRecord]
    next_cursor: str | None


class DeployCreated(TypedDict):
    """The id of a deploy that was accepted."""

    deploy_id: str


class Deploy(TypedDict):
    """A deploy in the background.

    `algorithm_id`, `algorithm_name`, `algorithm_major_version` and `algorithm_minor_version` are null until it is
    COMPLETED. `time_started` is UTC (`YYYY-MM-DDTHH:MM:SS+00:00`) while it is PENDING, and then, as `time_completed`,
    the server's local time (`YYYY-MM-DD HH:MM:SS.ffffff`). `log` is null unless it failed: then it says why.
    """

    deploy_id: str
    status: str
    path: str
    algorithm_id: str | None
    algorithm_name: str | None
    algorithm_major_version: str | None
    time_started: str | None
    time_completed: str | None
    log: str | None
    algorithm_minor_version: str | None
    progress: float
    error: dict[str, Any] | None


class BenchmarkCreated(TypedDict):
    """The id of a benchmark that was accepted."""

    benchmark_id: str


class Benchmark(TypedDict):
    """A benchmark; `data` is what the algorithm measured, empty unless it is COMPLETED. Times as in an execution."""

    benchmark_id: str
    algorithm_id: str
    additional_parameters: dict[str, Any]
    status: str
    time_started: str
    time_completed: str
    log: str
    data: dict[str, Any]
    progress: float
    error: dict[str, Any] | None


def execution(record: ExecutionRecord) -> Execution:
    """Return an execution record as it goes over the wire."""
    completed = record.time_completed
    return {
        "execution_id": record.execution_id,
        "algorithm_id": record.algorithm_id,
        "checkpoint_id": record.checkpoint_id,
        "algorithm_minor_version": record.algorithm_minor_version,
        "input_dataset_ids": record.input_dataset_ids,
        "execution_device_override": record.execution_device_override,
        "resolved_execution_device": record.resolved_execution_device,
        "additional_parameters": record.additional_parameters,
        "session_token": record.session_token,
        "output_dataset_ids": record.output_dataset_ids,
        "status": record.status.value,
        "progress": record.progress,
        "time_started": local_text(record.time_submitted),
        "time_completed": local_text(completed) if completed else "",
        "log": local_log(record.log),
        "error": _error(record.error),
        "stopped_by": record.stopped_by,
        "attempt": record.attempt,
    }


def benchmark(record: BenchmarkRecord) -> Benchmark:
    """Return a benchmark record as it goes over the wire."""
    completed = record.time_completed
    return {
        "benchmark_id": record.benchmark_id,
        "algorithm_id": record.algorithm_id,
        "additional_parameters": record.additional_parameters,
        "status": _status(record, TaskStatus.RUNNING, TaskStatus.STARTED),
        "time_started": local_text(record.time_submitted),
        "time_completed": local_text(completed) if completed else "",
        "log": local_log(record.log),
        "data": record.data,
        "progress": record.progress,
        "error": _error(record.error),
    }


def deploy(record: DeployRecord) -> Deploy:
    """Return a deploy record as it goes over the wire."""
    begun, completed = record.time_started, record.time_completed
    done = record.status is TaskStatus.COMPLETED
    return {
        "deploy_id": record.deploy_id,
        "status": _status(record, TaskStatus.STARTED, TaskStatus.RUNNING),
        "path": record.path,
        "algorithm_id": record.algorithm_id if done else None,
        "algorithm_name": record.algorithm_name if done else None,
        "algorithm_major_version": record.algorithm_major_version if done else None,
        "time_started": local_text(begun) if begun else utc_text(record.time_submitted),
        "time_completed": local_text(completed) if completed else None,
        "log": record.error.message if record.error else None,
        "algorithm_minor_version": record.algorithm_minor_version if done else None,
        "progress": record.progress,
        "error": _error(record.error),
    }


def deployed(done: Deployment) -> Deployed:
    """Return what a deploy gave as it goes over the wire."""
    return {
        "algorithm_id": done.record.algorithm_id,
        "algorithm_name": done.record.name,
        "algorithm_major_version": done.record.major,
        "algorithm_minor_version": str(done.version.minor),
    }


def deployed_zip(done: Deployment) -> DeployedZip:
    """Return what a deploy gave, with what its author should know."""
    return {**deployed(done), "created": done.created, "warnings": done.warnings}


def algorithm(record: AlgorithmRecord) -> Algorithm:
    """Return an algorithm as it goes over the wire."""
    about = record.metadata
    latest = str(record.latest_minor)
    return {
        "algorithm_id": record.algorithm_id,
        "algorithm_name": record.name,
        "algorithm_version": record.major,
        "algorithm_minor_versions": [str(minor) for minor in record.minors],
        "latest_algorithm_minor_version": latest,
        "algorithm_minor_version": latest,
        "algorithm_type": about.algorithm_type,
        "algorithm_tags": about.tags,
        "algorithm_description": about.description,
        "supported_devices": list(about.supported_devices),
        "default_device": about.default_device,
        "additional_parameters": _parameters(about.additional_parameters),
        "training_parameters": _parameters(about.training_parameters),
        "benchmark_outputs": _parameters(about.benchmark_outputs),
        "removable": record.removable,
        "exportable": record.exportable,
        "storage_metrics": _metrics(record.storage_metrics),
        "timestamp": utc_text(record.created),
    }


def local_text(moment: datetime) -> str:
    """Return a time as `YYYY-MM-DD HH:MM:SS.ffffff` in local time; a fraction of exactly 0 is left out."""
    return str(moment.astimezone().replace(tzinfo=None))


def utc_text(moment: datetime) -> str:
    """Return a time as `YYYY-MM-DDTHH:MM:SS+00:00`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def local_log(log: str) -> str:
    """Return a log whose lines begin with local time, `YYYY-MM-DD HH:MM:SS `, where they began with a UTC stamp."""
    return _STAMP.sub(lambda match: _local_stamp(match[1]), log)


@lru_cache(maxsize=1024)
def _local_stamp(stamp: str) -> str:
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:  # something that an algorithm printed and that only looks like a stamp
        return f"{stamp} "
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S} "


def _status(record: TaskRecord, ours: TaskStatus, theirs: TaskStatus) -> str:
    """Return the status as clients know it for a kind of job that never has `ours`."""
    return (theirs if record.status is ours else record.status).value


def _error(error: ErrorInfo | None) -> dict[str, Any] | None:
    return None if error is None else error.model_dump(mode="json")


def _parameters(declared: Sequence[Parameter]) -> list[AlgorithmParameter]:
    return [cast(AlgorithmParameter, parameter.model_dump()) for parameter in declared]


def _metrics(metrics: StorageMetrics) -> dict[str, int | str]:
    return {**metrics.model_dump(), "last_recomputed_at": utc_text(metrics.last_recomputed_at)}
