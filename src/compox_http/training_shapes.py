"""Samples, trainings and checkpoints as clients know them; see `compox_http.shapes`."""

from __future__ import annotations

from typing import Any, TypedDict

from compox_core.records import TrainingRecord


class SampleCreated(TypedDict):
    """The id of a sample that was stored."""

    sample_id: str


class Sample(TypedDict):
    """A training sample: groups of files by key, and normalised tags. `time_created` is the server's local time."""

    sample_id: str
    files: list[dict[str, list[str]]]
    tags: list[str]
    time_created: str


class ShownSample(Sample):
    """A training sample, and which of its files are not in the store any more."""

    missing_files: list[str]


class TrainingCreated(TypedDict):
    """The id of a training that was accepted."""

    training_id: str


class Training(TypedDict):
    """A training: what was asked, how far it is (`progress` in 0-1), what it says of itself, what it has saved.

    `time_started` is when it was submitted, in the server's local time, `YYYY-MM-DD HH:MM:SS.ffffff`. So is
    `time_completed`, which is null until it ends, unless it is COMPLETED: then it is UTC,
    `YYYY-MM-DDTHH:MM:SS+00:00`. `output_checkpoint_ids` are those that are there, oldest first, also where it failed.
    The last four keys are as in an execution.
    """

    training_id: str
    algorithm_id: str
    status: str
    progress: float
    time_started: str
    time_completed: str | None
    log: str | None
    training_data: list[str]
    additional_parameters: dict[str, Any] | None
    state: dict[str, Any]
    tags: list[str]
    checkpoint_id: str | None
    algorithm_minor_version: str | None
    output_checkpoint_ids: list[str]
    error: dict[str, Any] | None
    stopped_by: str | None
    attempt: int
    resolved_execution_device: str | None


class TrainingPage(TypedDict):
    """Some trainings, newest first and without their logs, and the cursor of the page that follows, or null."""

    trainings: list[TrainingRecord]
    next_cursor: str | None


class Point(TypedDict):
    """What a training measured at one step, and when (UTC). Numbers that JSON has not are `NaN`, `Infinity` and
    `-Infinity`."""

    step: int
    time: str
    values: dict[str, float | str]


class PointPage(TypedDict):
    """Some points of a metric history in their order, and the number of the one that follows."""

    points: list[Point]
    next: int


class Asset(TypedDict):
    """The SHA-256 of a content, in hex, and its size in bytes."""

    sha256: str
    size: int


class Checkpoint(TypedDict):
    """What a training has saved, in place of some of its algorithm's assets. `created_at` is UTC,
    `YYYY-MM-DDTHH:MM:SS+00:00`; `tags` are those of the training."""

    checkpoint_id: str
    training_id: str
    parent_algorithm_id: str
    created_at: str
    properties: dict[str, Any]
    tags: list[str]
    parent_checkpoint_id: str | None
    algorithm_minor_version: str | None
    assets: dict[str, Asset]
