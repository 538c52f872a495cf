"""How the work of a job is done: whatever it raises becomes an outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, Field

from compox_core.errors import TaskStoppedException
from compox_core.jobs.failures import algorithm_traceback, device_memory_info, error_info
from compox_core.logs import task_lines
from compox_core.records import ErrorInfo, TaskStatus
from compox_core.records.plain import said
from compox_core.storage.telling import tell
from compox_core.tasks import Task
from compox_core.tasks.memory import free_device_memory, is_device_out_of_memory, let_go

logger = logging.getLogger(__name__)

Work = Callable[[Task], dict[str, Any]]
"""Does the work of one job and returns the fields of its record that hold the result; raises where it fails."""


class Outcome(BaseModel):
    """How the work of an attempt ended, as far as the work knows.

    `fields` are those of the record that hold the result. `interrupted`: at the keyboard. `raised`: a stop was raised
    in the algorithm's code, so that nobody knows what state its libraries are in.
    """

    status: TaskStatus
    fields: dict[str, Any] = Field(default_factory=dict)
    error: ErrorInfo | None = None
    interrupted: bool = False
    raised: bool = False


def perform(task: Task, work: Work, unload: Callable[[], None] = free_device_memory) -> Outcome:
    """Do the work and return how it ended; raises nothing, whatever an algorithm raises.

    `unload` is called when the memory of a GPU was not enough: it is to let go of everything that lies there.
    """
    scarce: list[bool] = []
    with task_lines(task.id):
        outcome = _performed(task, work, scarce)
    outcome.raised = task.gate.raised
    if scarce:  # only here is nothing left of the exception, which held what the algorithm had in hand
        unload()
    return outcome


def _performed(task: Task, work: Work, scarce: list[bool]) -> Outcome:
    try:
        fields = work(task)
    except TaskStoppedException as stop:
        task.write_log("WARNING", said(stop))
        return Outcome(status=TaskStatus.STOPPED)
    except KeyboardInterrupt:
        task.write_log("WARNING", "The task was interrupted at the keyboard.")
        return Outcome(status=TaskStatus.STOPPED, interrupted=True)
    except BaseException as error:  # whatever an algorithm raises, SystemExit included, ends its own task only
        outcome = _failed(task, error)
        if is_device_out_of_memory(error):
            scarce.append(True)
            let_go(error)
        return outcome
    if task.stop_raised or task.gate.raised:
        task.write_log("WARNING", "The algorithm went on after it was told to stop; its result is dropped.")
        return Outcome(status=TaskStatus.STOPPED)
    return Outcome(status=TaskStatus.COMPLETED, fields=fields)


def _failed(task: Task, error: BaseException) -> Outcome:
    info = device_memory_info(error, task.snapshot()) or error_info(error)
    task.write_log("ERROR", f"{info.type}: {info.message}\n{algorithm_traceback(error)}")
    tell(logger, logging.INFO, "Task %s failed: %s", task.id, info.message, exc_info=error)
    if task.stop_raised or task.gate.raised:
        return Outcome(status=TaskStatus.STOPPED)  # it failed at being stopped
    return Outcome(status=TaskStatus.FAILED, error=info)
