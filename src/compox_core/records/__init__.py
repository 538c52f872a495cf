"""What compox stores about algorithms and runs, as pydantic models. Times are UTC."""

from compox_core.records.algorithm import (
    AlgorithmFlags,
    AlgorithmHead,
    AlgorithmMetadata,
    AlgorithmRecord,
    AlgorithmVersion,
    AssetEntry,
    ModuleEntry,
    StorageMetrics,
)
from compox_core.records.benchmark import BenchmarkRecord, BenchmarkRequest
from compox_core.records.deploy import DeployRecord
from compox_core.records.execution import ExecutionRecord, ExecutionRequest
from compox_core.records.job import Job, JobKind
from compox_core.records.parameter import Parameter, ParameterConfig, ParameterType
from compox_core.records.task import AlgorithmTaskRecord, ErrorInfo, Rung, TaskRecord, TaskStatus

__all__ = [
    "AlgorithmFlags",
    "AlgorithmHead",
    "AlgorithmMetadata",
    "AlgorithmRecord",
    "AlgorithmTaskRecord",
    "AlgorithmVersion",
    "AssetEntry",
    "BenchmarkRecord",
    "BenchmarkRequest",
    "DeployRecord",
    "ErrorInfo",
    "ExecutionRecord",
    "ExecutionRequest",
    "Job",
    "JobKind",
    "ModuleEntry",
    "Parameter",
    "ParameterConfig",
    "ParameterType",
    "Rung",
    "StorageMetrics",
    "TaskRecord",
    "TaskStatus",
]
