"""Where a stop may be raised: in the algorithm's own code, never in ours."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from compox_core.errors import TaskStoppedException

ROUNDS = 100
"""Python looks for an exception from outside at each turn of a loop; one would do."""


class Gate:
    """Open while the algorithm's own code runs in the thread of its task; belongs to one attempt.

    An exception that is raised from outside can come between any two steps. In the algorithm's code it does what
    Ctrl-C would do; in ours it would leave locks held and messages half written. So our code, where the algorithm calls
    it, shuts the gate on its way in and opens it on its way out.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._open = False
        self._sent = False
        self.raised = False

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Open the gate for the length of the block, which runs code of the algorithm in this thread."""
        outer = (self._thread, self._open)
        self._thread = threading.get_ident()
        self._open = True
        try:
            yield
        finally:
            try:
                self._shut()
            finally:
                self._thread, self._open = outer

    def pause(self) -> bool:
        """Shut the gate when this is the task's thread; return what to give to `resume`."""
        if not self._open or threading.get_ident() != self._thread:
            return False
        self._shut()
        return True

    def resume(self, paused: bool) -> None:
        """Open the gate again where `pause` has shut it."""
        if paused:
            self._open = True

    def _shut(self) -> None:
        with self._lock:
            self._open = False
        if self._sent:
            try:
                for _ in range(ROUNDS):  # what is on its way into this thread arrives here, where it does no harm
                    pass
            finally:
                self._sent = False

    def raise_here(self) -> None:
        """Raise TaskStoppedException when the gate is open; for a signal handler, which runs in the task's thread."""
        if self._open and threading.get_ident() == self._thread:
            self.raised = True
            raise TaskStoppedException()

    def raise_in_thread(self) -> bool:
        """Have TaskStoppedException raised in the task's thread, from another one; False when the gate is shut.

        It arrives when the thread runs Python code again: a wait in C is not interrupted.
        """
        with self._lock:
            if not self._open or self._thread is None:
                return False
            self._sent = self.raised = True
            thread = ctypes.c_ulong(self._thread)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(TaskStoppedException))
            return True
