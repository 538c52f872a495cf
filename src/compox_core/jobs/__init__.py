"""Where work runs, and its life cycle."""

from compox_core.jobs.bench import Workbench, make_bench, open_settings_store, start_store_server
from compox_core.jobs.executors import InlineExecutor, ThreadExecutor
from compox_core.jobs.job import Executor
from compox_core.jobs.lifecycle import Lifecycle
from compox_core.jobs.local import LocalRun
from compox_core.jobs.work import Outcome, Work, perform
from compox_core.jobs.works import works

__all__ = [
    "Executor",
    "InlineExecutor",
    "Lifecycle",
    "LocalRun",
    "Outcome",
    "ThreadExecutor",
    "Work",
    "Workbench",
    "make_bench",
    "open_settings_store",
    "perform",
    "start_store_server",
    "works",
]
