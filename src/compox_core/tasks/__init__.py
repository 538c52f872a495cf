"""What a job is while it waits and runs, and what its work may do to the world."""

from compox_core.tasks.devices import DeviceProbe, resolve_device
from compox_core.tasks.gate import Gate
from compox_core.tasks.handler import TaskHandler
from compox_core.tasks.live import LiveTasks
from compox_core.tasks.live_task import LiveTask
from compox_core.tasks.log import TaskLog
from compox_core.tasks.presence import Holder, Presence
from compox_core.tasks.runner_cache import RunnerCache
from compox_core.tasks.sessions import DataCache, Session, SessionStore
from compox_core.tasks.store import EndNote, OpenJob, TaskStore, TaskStores
from compox_core.tasks.task import Task

__all__ = [
    "DataCache",
    "DeviceProbe",
    "EndNote",
    "Gate",
    "Holder",
    "LiveTask",
    "LiveTasks",
    "OpenJob",
    "Presence",
    "RunnerCache",
    "Session",
    "SessionStore",
    "Task",
    "TaskHandler",
    "TaskLog",
    "TaskStore",
    "TaskStores",
    "resolve_device",
]
