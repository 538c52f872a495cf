"""The configuration: every key, its type and its default.

The keys are those of compox 3.2, so that its files load unchanged; the defaults that differ and the keys that are new
are listed in docs/reference/settings.md. Unknown keys are refused at every level.
"""

from compox_core.settings.models.executors import (
    AutoExecutor,
    CeleryExecutor,
    InlineExecutor,
    ProcessesExecutor,
    ThreadsExecutor,
)
from compox_core.settings.models.inference import Inference, Queue, Sessions, Stop
from compox_core.settings.models.section import Days, Section
from compox_core.settings.models.server import Deploy, Gui, Info, Limits, Logging, Middleware, Ssl
from compox_core.settings.models.settings import Settings
from compox_core.settings.models.storage import (
    AwsBackend,
    FsspecBackend,
    LocalBackend,
    MemoryBackend,
    MinioBackend,
    Storage,
)

__all__ = [
    "AutoExecutor",
    "AwsBackend",
    "CeleryExecutor",
    "Days",
    "Deploy",
    "FsspecBackend",
    "Gui",
    "Inference",
    "Info",
    "InlineExecutor",
    "Limits",
    "LocalBackend",
    "Logging",
    "MemoryBackend",
    "Middleware",
    "MinioBackend",
    "ProcessesExecutor",
    "Queue",
    "Section",
    "Sessions",
    "Settings",
    "Ssl",
    "Stop",
    "Storage",
    "ThreadsExecutor",
]
