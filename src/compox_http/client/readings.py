"""From the wire back to records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from compox_core.errors import CompoxError
from compox_core.records import (
    AlgorithmMetadata,
    AlgorithmRecord,
    AssetEntry,
    CheckpointRecord,
    ErrorInfo,
    ExecutionRecord,
    MetricPoint,
    SampleRecord,
    StorageMetrics,
    TaskRecord,
    TrainingRecord,
)

R = TypeVar("R", bound=TaskRecord)

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def read_execution(body: Mapping[str, Any]) -> ExecutionRecord:
    """Return an execution record from its wire form.

    Times on the wire have no zone; they are taken as this machine's local time. Lines of the log keep the server's.
    """
    return _read_task(ExecutionRecord, body, "an execution record")


def read_training(body: Mapping[str, Any]) -> TrainingRecord:
    """Return a training record from its wire form, as `read_execution` does."""
    return _read_task(TrainingRecord, {**body, "log": body.get("log") or ""}, "a training record")


def _read_task(model: type[R], body: Mapping[str, Any], what: str) -> R:
    with _understood(what):
        own = {key: body[key] for key in model.model_fields if key in body and not key.startswith("time_")}
        error = own.pop("error", None)
        completed = body["time_completed"]
        return model(
            **own,
            error=ErrorInfo.model_validate(error) if error else None,
            time_submitted=_time(body["time_started"]),
            time_completed=_time(completed) if completed else None,
        )


def read_points(body: Mapping[str, Any]) -> tuple[list[MetricPoint], int]:
    """Return points of a metric history, and the number of the one that follows."""
    with _understood("a metric history"):
        return [MetricPoint.model_validate(point) for point in body["points"]], int(body["next"])


def read_sample(body: Mapping[str, Any]) -> SampleRecord:
    """Return a sample from its wire form."""
    with _understood("a sample"):
        return SampleRecord.model_validate({**body, "time_created": _time(body["time_created"])})


def read_missing_files(body: Mapping[str, Any]) -> list[str]:
    """Return which files of a sample are not there any more."""
    with _understood("a sample"):
        return [str(name) for name in body["missing_files"]]


def read_checkpoint(body: Mapping[str, Any]) -> CheckpointRecord:
    """Return a checkpoint from its wire form; where a server keeps its assets is not told."""
    with _understood("a checkpoint"):
        assets = {path: AssetEntry(**entry, key="") for path, entry in body["assets"].items()}
        return CheckpointRecord.model_validate({**body, "assets": assets})


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def read_algorithm(body: Mapping[str, Any]) -> AlgorithmRecord:
    """Return an algorithm from its wire form."""
    with _understood("an algorithm"):
        return AlgorithmRecord(
            algorithm_id=body["algorithm_id"],
            name=body["algorithm_name"],
            major=body["algorithm_version"],
            minors=[int(minor) for minor in body["algorithm_minor_versions"]],
            latest_minor=int(body["latest_algorithm_minor_version"]),
            created=body.get("timestamp") or UNKNOWN_TIME,
            metadata=AlgorithmMetadata(
                algorithm_type=body["algorithm_type"],
                tags=body["algorithm_tags"],
                description=body["algorithm_description"],
                supported_devices=body["supported_devices"],
                default_device=body["default_device"],
                additional_parameters=body["additional_parameters"],
                training_parameters=body["training_parameters"],
                benchmark_outputs=body["benchmark_outputs"],
            ),
            removable=body["removable"],
            exportable=body["exportable"],
            storage_metrics=body["storage_metrics"] or StorageMetrics(last_recomputed_at=UNKNOWN_TIME),
        )


@contextmanager
def _understood(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise CompoxError(
            f"The server's answer is not {what} as this client knows it ({type(error).__name__}: {error}): are server "
            "and client of the same version?",
            code="invalid_answer",
        ) from error
