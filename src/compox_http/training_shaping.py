"""From the records of samples, trainings and checkpoints to what clients know; see `compox_http.shaping`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from compox_core.records import CheckpointRecord, MetricPoint, SampleRecord, TaskStatus, TrainingRecord
from compox_http.shaping import error_object, local_log, local_text, utc_text
from compox_http.training_shapes import Checkpoint, Point, Sample, ShownSample, Training


def sample(record: SampleRecord) -> Sample:
    """Return a sample as it goes over the wire."""
    return {
        "sample_id": record.sample_id,
        "files": record.files,
        "tags": record.tags,
        "time_created": local_text(record.time_created),
    }


def shown_sample(record: SampleRecord, missing: Sequence[str]) -> ShownSample:
    """Return a sample as it goes over the wire, with its files that are not there."""
    return {**sample(record), "missing_files": list(missing)}


def training(record: TrainingRecord) -> Training:
    """Return a training record as it goes over the wire."""
    completed = record.time_completed
    done = utc_text if record.status is TaskStatus.COMPLETED else local_text
    return {
        "training_id": record.training_id,
        "algorithm_id": record.algorithm_id,
        "status": record.status.value,
        "progress": record.progress,
        "time_started": local_text(record.time_submitted),
        "time_completed": done(completed) if completed else None,
        "log": local_log(record.log),
        "training_data": record.training_data,
        "additional_parameters": record.additional_parameters,
        "state": record.state,
        "tags": record.tags,
        "checkpoint_id": record.checkpoint_id,
        "algorithm_minor_version": record.algorithm_minor_version,
        "output_checkpoint_ids": record.output_checkpoint_ids,
        "error": error_object(record.error),
        "stopped_by": record.stopped_by,
        "attempt": record.attempt,
        "resolved_execution_device": record.resolved_execution_device,
    }


def points(found: Iterable[MetricPoint]) -> list[Point]:
    """Return points of a metric history as they go over the wire."""
    return [cast(Point, point.model_dump(mode="json")) for point in found]


def checkpoint(record: CheckpointRecord) -> Checkpoint:
    """Return a checkpoint as it goes over the wire."""
    return {
        "checkpoint_id": record.checkpoint_id,
        "training_id": record.training_id,
        "parent_algorithm_id": record.parent_algorithm_id,
        "created_at": utc_text(record.created_at),
        "properties": record.properties,
        "tags": record.tags,
        "parent_checkpoint_id": record.parent_checkpoint_id,
        "algorithm_minor_version": record.algorithm_minor_version,
        "assets": {path: {"sha256": entry.sha256, "size": entry.size} for path, entry in record.assets.items()},
    }
