"""A Job Object of Windows: what keeps a worker and its children together, and ends them with their parent.

See https://learn.microsoft.com/windows/win32/procthread/job-objects. The system closes the handle when the parent
ends, however it ends, and closing it kills everything in the job.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import wintypes
from typing import Any

KILL_ON_JOB_CLOSE = 0x2000
EXTENDED_LIMIT_INFORMATION = 9


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = (
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", ctypes.c_uint32),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", ctypes.c_uint32),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", ctypes.c_uint32),
        ("SchedulingClass", ctypes.c_uint32),
    )


class IoCounters(ctypes.Structure):
    """IO_COUNTERS."""

    _fields_ = tuple(
        (name, ctypes.c_ulonglong)
        for name in ("ReadOperations", "WriteOperations", "OtherOperations", "ReadBytes", "WriteBytes", "OtherBytes")
    )


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("BasicLimitInformation", BasicLimits),
        ("IoInfo", IoCounters),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )


class WindowsJob:
    """The job of one worker; lives as long as the worker."""

    def __init__(self) -> None:
        self._handle: Any = None

    def hold(self, process_handle: int) -> None:
        """Put a process, and with it all that it will start, into the job. Raises OSError."""
        kernel = _kernel()
        self._handle = _checked(kernel.CreateJobObjectW(None, None))
        limits = ExtendedLimits()
        limits.BasicLimitInformation.LimitFlags = KILL_ON_JOB_CLOSE
        _checked(
            kernel.SetInformationJobObject(
                self._handle, EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
            )
        )
        _checked(kernel.AssignProcessToJobObject(self._handle, process_handle))

    def kill(self) -> None:
        """End every process of the job."""
        if sys.platform == "win32" and self._handle:
            _kernel().TerminateJobObject(self._handle, 1)

    def close(self) -> None:
        """Kill what is still there, and give the handle back."""
        handle, self._handle = self._handle, None
        if sys.platform == "win32" and handle:
            _kernel().CloseHandle(handle)


def _kernel() -> Any:
    if sys.platform != "win32":
        raise OSError("Job Objects are a thing of Windows.")
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateJobObjectW.argtypes = (wintypes.LPVOID, wintypes.LPCWSTR)
    kernel.CreateJobObjectW.restype = wintypes.HANDLE
    kernel.SetInformationJobObject.argtypes = (wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD)
    kernel.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
    kernel.TerminateJobObject.argtypes = (wintypes.HANDLE, wintypes.UINT)
    kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
    return kernel


def _checked(result: Any) -> Any:
    if sys.platform != "win32":
        raise OSError("Job Objects are a thing of Windows.")
    if not result:
        raise ctypes.WinError(ctypes.get_last_error())
    return result
