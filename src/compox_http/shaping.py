"""From records to what clients of `/api/v0` know: the same keys in the same order, times and logs in their forms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

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
from compox_http.shapes import (
    Algorithm,
    AlgorithmParameter,
    Benchmark,
    Deploy,
    Deployed,
    DeployedZip,
    Execution,
)

_STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) ", re.MULTILINE)


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
        "error": error_object(record.error),
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
        "error": error_object(record.error),
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
        "error": error_object(record.error),
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


def error_object(error: ErrorInfo | None) -> dict[str, Any] | None:
    """Return why a job failed as it goes over the wire."""
    return None if error is None else error.model_dump(mode="json")


def _parameters(declared: Sequence[Parameter]) -> list[AlgorithmParameter]:
    return [cast(AlgorithmParameter, parameter.model_dump()) for parameter in declared]


def _metrics(metrics: StorageMetrics) -> dict[str, int | str]:
    return {**metrics.model_dump(), "last_recomputed_at": utc_text(metrics.last_recomputed_at)}
