"""A training of an algorithm as it is requested and recorded."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from compox_core.records.execution import Timeout
from compox_core.records.job import JobKind
from compox_core.records.task import AlgorithmTaskRecord


class TrainingRequest(BaseModel):
    """What a client submits: an algorithm, the ids of samples, and how to train.

    `checkpoint_id` is where the training goes on from; `tags` become those of its checkpoints.
    """

    model_config = ConfigDict(extra="ignore")

    algorithm_id: str
    training_data: list[str]
    checkpoint_id: str | None = None
    algorithm_minor_version: str | None = None
    execution_device_override: str | None = None
    tags: list[str] = Field(default_factory=list)
    additional_parameters: dict[str, Any] | None = None
    timeout_s: Timeout | None = None


class TrainingRecord(AlgorithmTaskRecord):
    """A training: the samples that it learns from, what it says of itself, the checkpoints that it saved.

    `state` is what the algorithm set last, as a whole. `output_checkpoint_ids` are those that are there, oldest first.
    """

    kind: ClassVar[JobKind] = JobKind.TRAINING
    id_field: ClassVar[str] = "training_id"

    training_id: str
    training_data: list[str]
    tags: list[str] = Field(default_factory=list)
    state: dict[str, Any] = Field(default_factory=dict)
    output_checkpoint_ids: list[str] = Field(default_factory=list)
