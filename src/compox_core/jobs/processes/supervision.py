"""One job in one worker, from its assignment to its end."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from compox_core.jobs.processes.crash import crash_error, how_it_ended
from compox_core.jobs.processes.ladder import ProcessLadder
from compox_core.jobs.processes.worker import Worker
from compox_core.jobs.work import Outcome
from compox_core.records import TaskStatus
from compox_core.tasks import LiveTask

QUIET_SECONDS = 2.0
"""How long nothing may come of what a job has written past Python, before its end is held to be lost."""


@dataclass(frozen=True)
class Verdict:
    """How a job ended, and whether its worker may do another; `untouched`: it did not even begin with this one."""

    outcome: Outcome
    keep: bool
    untouched: bool = False


def supervise(worker: Worker, task: LiveTask, device: str | None, ladder: ProcessLadder) -> Verdict:
    """Have a worker do a job and return how it ended: by itself, by a stop, out of time, or with its process."""
    asked: float | None = None
    keep = False
    try:
        worker.assign(task, device)
        _wait(worker, task)
        if not worker.settled:
            asked = time.monotonic()
            task.rung = ladder.climb(worker)
        verdict = _verdict(worker, task, asked is not None)
        keep = verdict.keep
    finally:
        if not keep:
            worker.kill()
        worker.release()
    if asked is not None:
        task.write_log("INFO", f"It ended {time.monotonic() - asked:.3f} seconds after it was told to stop.")
    return verdict


def _wait(worker: Worker, task: LiveTask) -> None:
    """Wait until the job has ended, or is to be ended."""
    limit = task.record.timeout_s
    deadline = None if limit is None else time.monotonic() + limit
    with worker.changed:
        while not worker.settled and not task.stop_requested.is_set():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            worker.changed.wait(None if left is None else min(left, threading.TIMEOUT_MAX))
        else:
            return
    task.time_out()


def _verdict(worker: Worker, task: LiveTask, told: bool) -> Verdict:
    outcome = worker.outcome
    if outcome is None and not told and not worker.taken and worker.broken is None and not worker.silent:
        return Verdict(Outcome(status=TaskStatus.FAILED), keep=False, untouched=True)
    if outcome is None:
        return Verdict(_without_word(worker, task, told), keep=False)
    keep = worker.all_read(QUIET_SECONDS) and not worker.gone
    if outcome.status is TaskStatus.STOPPED:
        if outcome.raised:
            task.rung = "exception"
        # A part of the job that goes on has not been stopped yet.
        keep = keep and not outcome.raised and not worker.leftovers and not worker.has_children()
    return Verdict(outcome, keep)


def _without_word(worker: Worker, task: LiveTask, told: bool) -> Outcome:
    if not told:
        error = crash_error(worker.status, worker.tail(), worker.broken, silent=worker.silent)
        task.write_log("ERROR", error.message)
        return Outcome(status=TaskStatus.FAILED, error=error)
    if task.rung is None:  # by itself, or by the signal that was to raise an exception in it
        task.rung = "terminate"
        task.write_log("WARNING", f"The worker process {how_it_ended(worker.status)} when it was told to stop.")
    if task.rung == "abandoned":
        task.write_log("ERROR", f"The worker process {worker.pid} cannot be killed: the system does not end it.")
    return Outcome(status=TaskStatus.STOPPED)
