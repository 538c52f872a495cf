"""The engine: one object that a notebook or a transport holds."""

from compox_core.engine.arranging import Arranged, StoredFile, arrange_inputs, arrange_outputs
from compox_core.engine.engine import Deployment, Engine
from compox_core.engine.handle import TaskHandle
from compox_core.engine.history import MetricHistory
from compox_core.engine.result import ResultArray, ResultDict, ResultList
from compox_core.engine.training_handle import TrainingHandle

__all__ = [
    "Arranged",
    "Deployment",
    "Engine",
    "MetricHistory",
    "ResultArray",
    "ResultDict",
    "ResultList",
    "StoredFile",
    "TaskHandle",
    "TrainingHandle",
    "arrange_inputs",
    "arrange_outputs",
]
