"""An execution engine for imaging algorithms: deploy a folder of Python, run it on images and volumes.

    import compox_core as cx

    engine = cx.Engine("memory://")
    engine.deploy("algorithms/template_denoising_algorithm")
    result = engine.run("template_denoising_algorithm", image, denoising_weight=0.2)

Importing this package loads next to nothing; a name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from compox_core._version import __version__

if TYPE_CHECKING:
    from compox_core.engine import (
        Deployment,
        Engine,
        MetricHistory,
        ResultArray,
        ResultDict,
        ResultList,
        TaskHandle,
        TrainingHandle,
    )
    from compox_core.engine.debug import debug
    from compox_core.errors import (
        AlgorithmError,
        CompoxError,
        ConflictError,
        DataError,
        InvalidInputError,
        MissingExtraError,
        NotFoundError,
        PackageError,
        ParameterError,
        SettingsError,
        StateError,
        StorageError,
        TaskFailedError,
        TaskStoppedException,
    )
    from compox_core.records import (
        AlgorithmRecord,
        AlgorithmVersion,
        CheckpointRecord,
        ExecutionRecord,
        ExecutionRequest,
        SampleRecord,
        TaskStatus,
        TrainingRecord,
        TrainingRequest,
    )
    from compox_core.settings import Settings, load_settings

_HOMES = {
    "compox_core.engine": (
        "Deployment",
        "Engine",
        "MetricHistory",
        "ResultArray",
        "ResultDict",
        "ResultList",
        "TaskHandle",
        "TrainingHandle",
    ),
    "compox_core.engine.debug": ("debug",),
    "compox_core.errors": (
        "AlgorithmError",
        "CompoxError",
        "ConflictError",
        "DataError",
        "InvalidInputError",
        "MissingExtraError",
        "NotFoundError",
        "PackageError",
        "ParameterError",
        "SettingsError",
        "StateError",
        "StorageError",
        "TaskFailedError",
        "TaskStoppedException",
    ),
    "compox_core.records": (
        "AlgorithmRecord",
        "AlgorithmVersion",
        "CheckpointRecord",
        "ExecutionRecord",
        "ExecutionRequest",
        "SampleRecord",
        "TaskStatus",
        "TrainingRecord",
        "TrainingRequest",
    ),
    "compox_core.settings": ("Settings", "load_settings"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AlgorithmError",
    "AlgorithmRecord",
    "AlgorithmVersion",
    "CheckpointRecord",
    "CompoxError",
    "ConflictError",
    "DataError",
    "Deployment",
    "Engine",
    "ExecutionRecord",
    "ExecutionRequest",
    "InvalidInputError",
    "MetricHistory",
    "MissingExtraError",
    "NotFoundError",
    "PackageError",
    "ParameterError",
    "ResultArray",
    "ResultDict",
    "ResultList",
    "SampleRecord",
    "Settings",
    "SettingsError",
    "StateError",
    "StorageError",
    "TaskFailedError",
    "TaskHandle",
    "TaskStatus",
    "TaskStoppedException",
    "TrainingHandle",
    "TrainingRecord",
    "TrainingRequest",
    "__version__",
    "debug",
    "load_settings",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'compox_core' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
