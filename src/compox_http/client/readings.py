"""From the wire back to records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from compox_core.errors import CompoxError
from compox_core.records import AlgorithmMetadata, AlgorithmRecord, ErrorInfo, ExecutionRecord, StorageMetrics

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def read_execution(body: Mapping[str, Any]) -> ExecutionRecord:
    """Return an execution record from its wire form.

    Times on the wire have no zone; they are taken as this machine's local time. Lines of the log keep the server's.
    """
    with _understood("an execution record"):
        own = {key: body[key] for key in ExecutionRecord.model_fields if key in body and not key.startswith("time_")}
        error = own.pop("error", None)
        completed = body["time_completed"]
        return ExecutionRecord(
            **own,
            error=ErrorInfo.model_validate(error) if error else None,
            time_submitted=datetime.fromisoformat(body["time_started"]).astimezone(UTC),
            time_completed=datetime.fromisoformat(completed).astimezone(UTC) if completed else None,
        )


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
