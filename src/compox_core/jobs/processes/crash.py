"""What is said of a worker that ended in the middle of a job, or never began."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from typing import Any

from compox_core.jobs.failures import without_places
from compox_core.records import ErrorInfo
from compox_core.records.plain import encodable


def crash_error(status: int | None, tail: str, broken: str | None, *, silent: bool = False) -> ErrorInfo:
    """Return the error of a job whose worker ended with that exit status, a negative one for a signal.

    `broken` is why what it said was not understood; `silent`: it could say nothing any more. It was killed for either.
    """
    details: dict[str, Any] = {"exit_status": status, "signal": signal_name(status), "stderr": _shown(tail)}
    if broken is not None:
        details["broken"] = encodable(broken)
        message = "The worker process said something that cannot be understood, and was ended."
    elif silent:
        message = (
            "The worker process could say nothing any more while it did this task, and was ended: somebody in it has "
            "closed the pipe to its parent. Code may close only file descriptors that it has opened itself."
        )
    else:
        message = f"The worker process {how_it_ended(status)} while it did this task."
    if details["stderr"]:
        message += " What it wrote last is in the task's log."
    return ErrorInfo(type="WorkerCrashedError", message=message, code="worker_crashed", details=details)


def start_error(why: str, tail: str) -> ErrorInfo:
    """Return the error of a job for which no worker process could be started."""
    shown = _shown(tail)
    message = f"No worker process could be started: {encodable(why)}"
    if shown:
        message += f" The end of what it wrote on stderr:\n{shown}"
    return ErrorInfo(
        type="WorkerStartError",
        message=message,
        code="worker_start_failed",
        details={"stderr": shown},
        retryable=True,
    )


def how_it_ended(status: int | None) -> str:
    """Return the end of a process as the end of a sentence's beginning: "was killed by SIGKILL …"."""
    name = signal_name(status)
    if name == "SIGKILL":
        return "was killed (SIGKILL), most often because the system had no memory left,"
    if name is not None:
        return f"was ended by the signal {name}{MEANINGS.get(name, '')}"
    if status is None:
        return "ended"
    if sys.platform == "win32" and status > 255:
        return f"ended with status 0x{status:08X}{WINDOWS_MEANINGS.get(status, '')}"
    return f"ended by itself with exit status {status}"


MEANINGS = {
    "SIGSEGV": " (segmentation fault: native code used memory that is not its own)",
    "SIGBUS": " (bus error: native code used memory that is not there)",
    "SIGABRT": " (native code gave up)",
    "SIGILL": " (native code has an instruction that this processor does not know)",
    "SIGFPE": " (arithmetic error in native code)",
}
WINDOWS_MEANINGS = {
    0xC0000005: " (access violation: native code used memory that is not its own)",
    0xC00000FD: " (stack overflow)",
    0xC0000017: " (no memory left)",
    0xC0000135: " (a library is missing)",
}


def signal_name(status: int | None) -> str | None:
    """Return the name of the signal that an exit status stands for, None where it stands for none."""
    if status is None or status >= 0:
        return None
    with suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"


def _shown(tail: str) -> str:
    return without_places(encodable(tail))
