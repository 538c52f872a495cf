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
from compox_core.records.checkpoint import CheckpointRecord
from compox_core.records.deploy import DeployRecord
from compox_core.records.execution import ExecutionRecord, ExecutionRequest
from compox_core.records.job import Job, JobKind
from compox_core.records.metric import MetricPoint
from compox_core.records.parameter import Parameter, ParameterConfig, ParameterType
from compox_core.records.sample import SampleRecord, SampleRequest, normalised_tags
from compox_core.records.task import AlgorithmTaskRecord, ErrorInfo, Rung, TaskRecord, TaskStatus
from compox_core.records.training import TrainingRecord, TrainingRequest

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
    "CheckpointRecord",
    "DeployRecord",
    "ErrorInfo",
    "ExecutionRecord",
    "ExecutionRequest",
    "Job",
    "JobKind",
    "MetricPoint",
    "ModuleEntry",
    "Parameter",
    "ParameterConfig",
    "ParameterType",
    "Rung",
    "SampleRecord",
    "SampleRequest",
    "StorageMetrics",
    "TaskRecord",
    "TaskStatus",
    "TrainingRecord",
    "TrainingRequest",
    "normalised_tags",
]
