"""A benchmark of an algorithm as it is requested and recorded."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from compox_core.records.execution import Timeout
from compox_core.records.job import JobKind
from compox_core.records.task import AlgorithmTaskRecord


class BenchmarkRequest(BaseModel):
    """What a client submits: an algorithm, and the parameters of its `benchmark`."""

    model_config = ConfigDict(extra="ignore")

    algorithm_id: str
    algorithm_minor_version: str | None = None
    execution_device_override: str | None = None
    additional_parameters: dict[str, Any] = Field(default_factory=dict)
    timeout_s: Timeout | None = None


class BenchmarkRecord(AlgorithmTaskRecord):
    """A benchmark, and the dict that `Runner.benchmark` returned; `data` is empty unless it is COMPLETED."""

    kind: ClassVar[JobKind] = JobKind.BENCHMARK
    id_field: ClassVar[str] = "benchmark_id"

    benchmark_id: str
    data: dict[str, Any] = Field(default_factory=dict)
