"""Which process holds something, as every other process can recognise it."""

from __future__ import annotations

import functools
import os
import platform
import sys
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from compox_core.identity import new_token

_ENDED = frozenset("ZXx")  # a zombie has ended; only its parent has not asked yet how


class Holder(BaseModel):
    """A process that holds jobs, as every other process can recognise it.

    `incarnation` is unique to one engine in one process. `host` is opaque text, the same only for processes that see
    each other's `pid`; `started` is opaque text of when the process began, so that another process which was given the
    pid later is told apart.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    incarnation: str
    host: str
    pid: int
    started: str

    def gone_here(self) -> bool | None:
        """Return whether this machine can see that the process has ended; None where it cannot know."""
        if self.host != host_mark():
            return None
        try:
            return process_started(self.pid) != self.started
        except PermissionError:
            return None

    def __str__(self) -> str:
        if not self.pid:
            return "a process of which no readable note is left"
        return f"process {self.pid} on {self.host.partition('|')[0]}"


def unknown_process(note: str) -> Holder:
    """Return the holder that a broken note of that name stands for: nobody ever shows that it lives."""
    return Holder(incarnation=f"unreadable {note}", host="unknown", pid=0, started="")


def this_process(incarnation: str) -> Holder:
    """Return the present process as a holder of jobs."""
    pid = os.getpid()
    try:
        started = process_started(pid) or new_token()
    except PermissionError:
        started = new_token()
    return Holder(incarnation=incarnation, host=host_mark(), pid=pid, started=started)


@functools.cache
def host_mark() -> str:
    """Return `<host name>|…`: equal texts are of processes that see each other's process numbers.

    Where the system does not say enough for that, the text is unlike every other.
    """
    name = platform.node() or "unknown"
    try:
        return "|".join((name, *_machine_facts()))
    except OSError:
        return f"{name}|{new_token()}"


def _machine_facts() -> tuple[str, ...]:
    if sys.platform == "linux":
        # A start is counted from the boot, in the time namespace; containers of one machine number their own processes.
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        clocks = Path("/proc/self/ns/time")
        times = [str(clocks.readlink())] if clocks.is_symlink() else []
        return boot, str(Path("/proc/self/ns/pid").readlink()), *times
    if sys.platform == "win32":
        import winreg

        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography") as key:
            return (str(winreg.QueryValueEx(key, "MachineGuid")[0]),)
    return (str(int(psutil.boot_time())),)


def process_started(pid: int) -> str | None:
    """Return opaque text of when a process of this machine began; None when there is none, or it is a zombie.

    Raises PermissionError where there is such a process but the system does not show it.
    """
    if pid <= 0:
        return None
    return _started_linux(pid) if sys.platform == "linux" else _started_elsewhere(pid)


def _started_linux(pid: int) -> str | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        # /proc may hide what belongs to others (hidepid), but a signal still finds it.
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return None
        raise PermissionError(f"Process {pid} is not shown.") from None
    # The name stands in parentheses and may hold some itself; the state is the third field, the start the 22nd.
    fields = status.rpartition(")")[2].split()
    return None if fields[0] in _ENDED else fields[19]


def _started_elsewhere(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if sys.platform == "win32":
            return f"{process.create_time():.6f}"
        # On macOS that changes when the clock is set. The hash is of the number and of when the system says, once and
        # for all, that the process began; numbers hash alike in every process.
        return f"{hash(process):x}"
    except psutil.AccessDenied as error:
        raise PermissionError(f"Process {pid} is not shown.") from error
    except psutil.NoSuchProcess:
        return None
