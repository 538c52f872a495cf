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
from dataclasses import dataclass

import psutil

from compox_core.jobs.processes.marks import Mark, marked
from compox_core.jobs.processes.windows_job import WindowsJob

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.01
UNSEEN = (psutil.Error, OSError)
"""What looking at processes raises: a process ended meanwhile, or there is no descriptor left to read /proc with."""

if sys.platform == "win32":
    KILL = signal.SIGTERM  # `os.kill` ends a process at once whatever the signal
else:
    KILL = signal.SIGKILL


class ProcessTree:
    """Finds and ends a worker and its descendants.

    No single way finds them all: a child that outlives its parent is nobody's descendant, one that has opened a
    session of its own is not in the worker's group, one that has an environment of its own bears no mark. So all three
    are asked, until a whole round finds nobody. On Windows a Job Object does it. Nothing here raises: what cannot be
    seen is not there, and the worker itself and its group are signalled whatever can be seen.

    Make it while the worker lives: its number may be another process's later, which is noticed then.
    """

    def __init__(self, pid: int, mark: Mark, job: WindowsJob | None = None) -> None:
        self.pid = pid
        self._mark = mark
        self._job = job
        self._known: set[psutil.Process] = set()
        self._root = _process(pid)

    def children(self) -> list[psutil.Process]:
        """Return what the worker has started and what is alive, the worker itself left out."""
        found = self._known | set(_descendants(self._root))
        with suppress(*UNSEEN):
            found.update(filter(None, (_process(pid) for pid, mark in marked() if mark == self._mark)))
        self._known = {process for process in found if process.pid != self.pid and _alive(process)}
        return list(self._known)

    def terminate(self) -> None:
        """Ask the worker and its descendants to end; on Windows this is a kill of the worker."""
        try:
            for process in self.children():
                with suppress(*UNSEEN):
                    process.terminate()
        finally:
            with suppress(OSError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self, worker: bool = True, seconds: float = 5.0) -> bool:
        """Kill all descendants, and the worker where it is not known to have ended; return whether none was left.

        Call it with `worker` only while the number cannot belong to another process: before it was waited for.
        """
        deadline = time.monotonic() + seconds
        if self._job is not None:
            self._job.kill()
        try:
            children = self.children()  # before the worker dies: its children are nobody's then
        finally:
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
            process = _process(pid)
            if process is not None:
                _kill_all([*_descendants(process), process])
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


@dataclass(frozen=True)
class End:
    """How a process ended: its exit status, negative for a signal, None where somebody else was told.

    `held`: its number is still its own, so that its group can be killed.
    """

    status: int | None
    held: bool


def await_end(process: subprocess.Popen[bytes]) -> End:
    """Wait for the end of a process; it may have to be waited for once more by `process.wait()`.

    In a program that ignores SIGCHLD, or waits for any child, the system tells nobody here how the process ended.
    """
    if sys.platform == "win32":
        return End(process.wait(), held=False)
    try:
        if not hasattr(os, "waitid"):
            return End(os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1]), held=False)
        end = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        return End(None, held=False)
    assert end is not None
    return End(end.si_status if end.si_code == os.CLD_EXITED else -end.si_status, held=True)


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except UNSEEN:
        return None


def _descendants(process: psutil.Process | None) -> list[psutil.Process]:
    try:
        return [] if process is None else list(process.children(recursive=True))
    except UNSEEN:  # whose number was given to another one among them
        return []


def _kill_all(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(*UNSEEN):  # which knows a process whose number was given to another one
            process.kill()


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except UNSEEN:
        return False
