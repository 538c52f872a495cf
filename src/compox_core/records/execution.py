"""A run as it is requested and recorded."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from compox_core.records.job import JobKind
from compox_core.records.task import AlgorithmTaskRecord

Timeout = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ExecutionRequest(BaseModel):
    """What a client submits: an algorithm, stored inputs, and how to run. `timeout_s` is in seconds of running."""

    model_config = ConfigDict(extra="ignore")

    algorithm_id: str
    input_dataset_ids: list[str]
    checkpoint_id: str | None = None
    algorithm_minor_version: str | None = None
    execution_device_override: str | None = None
    additional_parameters: dict[str, Any] = Field(default_factory=dict)
    session_token: str | None = None
    timeout_s: Timeout | None = None


class ExecutionRecord(AlgorithmTaskRecord):
    """A run on stored inputs, and the ids of the files that it gave.

    `client_id` is the id under which its client has submitted it once, if it did.
    """

    kind: ClassVar[JobKind] = JobKind.EXECUTION
    id_field: ClassVar[str] = "execution_id"

    execution_id: str
    input_dataset_ids: list[str]
    output_dataset_ids: list[str] = Field(default_factory=list)
    client_id: str | None = None

    @property
    def file_ids(self) -> list[str]:
        """The inputs and the outputs."""
        return [*self.input_dataset_ids, *self.output_dataset_ids]
