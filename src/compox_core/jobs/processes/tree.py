"""A worker process with everything that it has started, directly or not."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

from compox_core.jobs.processes.marks import Mark, marked
from compox_core.jobs.processes.windows_job import WindowsJob

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.01

if sys.platform == "win32":
    KILL = signal.SIGTERM  # `os.kill` ends a process at once whatever the signal
else:
    KILL = signal.SIGKILL


class ProcessTree:
    """Finds and ends a worker and its descendants.

    No single way finds them all: a child that outlives its parent is nobody's descendant, one that has opened a
    session of its own is not in the worker's group, one that has an environment of its own bears no mark. So all three
    are asked, until a whole round finds nobody. On Windows a Job Object does it.
    """

    def __init__(self, pid: int, mark: Mark, job: WindowsJob | None = None) -> None:
        self.pid = pid
        self._mark = mark
        self._job = job
        self._known: set[psutil.Process] = set()

    def children(self) -> list[psutil.Process]:
        """Return what the worker has started and what is alive, the worker itself left out."""
        found = self._known | set(_descendants(self.pid))
        for pid, mark in marked():
            if mark == self._mark and pid != self.pid:
                with suppress(psutil.Error):
                    found.add(psutil.Process(pid))
        self._known = {process for process in found if process.pid != self.pid and _alive(process)}
        return list(self._known)

    def terminate(self) -> None:
        """Ask the worker and its descendants to end; on Windows this is a kill of the worker."""
        for process in self.children():
            with suppress(psutil.Error):
                process.terminate()
        with suppress(OSError):
            os.kill(self.pid, signal.SIGTERM)

    def kill(self, worker: bool = True, seconds: float = 5.0) -> bool:
        """Kill all descendants, and the worker where it is not known to have ended; return whether none was left.

        Call it with `worker` only while the number cannot belong to another process: before it was waited for.
        """
        deadline = time.monotonic() + seconds
        if self._job is not None:
            self._job.kill()
        children = self.children()  # before the worker dies: its children are nobody's then
        if worker:
            with suppress(OSError):
                os.kill(self.pid, KILL)
            self._kill_group()
        while True:
            _kill_all(children)
            children = self.children()
            if not children:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(PAUSE_SECONDS)

    def _kill_group(self) -> None:
        if sys.platform != "win32":
            with suppress(OSError):
                os.killpg(self.pid, KILL)


def kill_orphans() -> list[int]:
    """Kill the workers of this machine whose parent has ended, with what they started; return their numbers."""
    killed: set[int] = set()
    while True:
        orphans = [pid for pid, mark in marked() if mark.orphaned]
        fresh = set(orphans) - killed
        for pid in orphans:
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                _kill_all([*_descendants(pid), process])
        killed |= fresh
        if not fresh:
            return sorted(killed)
        time.sleep(PAUSE_SECONDS)


def clear_up() -> None:
    """Kill orphans, and say in the log which; raises nothing."""
    try:
        killed = kill_orphans()
    except Exception:  # whatever the system does not show: nobody waits for this
        logger.exception("Worker processes of dead parents could not be looked for.")
        return
    if killed:
        logger.warning("Ended worker processes whose parent was dead: %s.", ", ".join(map(str, killed)))


def ended_but_held(process: subprocess.Popen[bytes]) -> bool:
    """Wait for the end of a process; return whether its number is still its own, so that its group can be killed."""
    if sys.platform != "win32" and hasattr(os, "waitid"):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        return True
    process.wait()
    return False


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def _kill_all(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):  # which knows a process whose number was given to another one
            process.kill()


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
