"""What a worker tells its parent."""

from __future__ import annotations

import io
import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from compox_core.jobs.processes.messages import Done, Log, Message, Progress, encode
from compox_core.tasks.gate import Gate

PROGRESS_SECONDS = 0.02


class Events:
    """Writes messages to the parent, from any thread, in the order in which they come.

    What was put is in the pipe, and is read even where the next thing that the caller does is to crash. The gate of the
    present task is shut meanwhile: a stop that is raised in the middle of a message would cut it in half, and spoil
    all that follow. Progress is written by a thread of its own, as it may change much faster than anybody can look.
    """

    def __init__(self, stream: io.FileIO, native: int, gate: Callable[[], Gate | None]) -> None:
        self._stream = stream
        self._native = native
        self._gate = gate
        self._writing = threading.Lock()
        self._latest: Progress | None = None
        self._moved = False
        self._moves: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._forked = False

    def start(self) -> None:
        """Begin to write progress."""
        threading.Thread(target=self._write_progress, name="compox-progress", daemon=True).start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def put(self, message: Message) -> None:
        """Send a message; waits only where the parent is behind with reading."""
        if self._forked:
            self._put_forked(message)
            return
        line = encode(message)
        gate = self._gate()
        paused = gate is not None and gate.pause()
        try:
            with self._writing:
                if self._moved and isinstance(message, Done):
                    line = self._take_progress() + line
                self._write(line)
        finally:
            if gate is not None:
                gate.resume(paused)

    def move(self, progress: Progress) -> None:
        """Send the progress within 20 ms, or a later one in its place."""
        self._latest = progress
        if not self._moved and not self._forked:
            self._moved = True
            self._moves.put(None)

    # -- in a fork --------------------------------------------------------------------------------------------------

    def _after_fork(self) -> None:
        self._forked = True  # the pipe belongs to the worker, and its lock may have been held by another thread

    def _put_forked(self, message: Message) -> None:
        """A child that an algorithm forks has no way to tell the parent anything, but its log shows as its output."""
        if isinstance(message, Log):
            with suppress(OSError):
                os.write(self._native, f"{message.text}\n".encode("utf-8", "backslashreplace"))

    # -- the pipe ---------------------------------------------------------------------------------------------------

    def _write_progress(self) -> None:
        while True:
            self._moves.get()
            with self._writing:
                if self._moved:
                    self._write(self._take_progress())
            time.sleep(PROGRESS_SECONDS)

    def _take_progress(self) -> bytes:
        self._moved = False  # before the value is read: a later one is announced again
        assert self._latest is not None
        return encode(self._latest)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        with suppress(OSError):  # the parent has gone, of which the thread that reads commands takes care
            while view:
                view = view[self._stream.write(view) or 0 :]
