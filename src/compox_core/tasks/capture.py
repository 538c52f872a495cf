"""`print`, warnings and tracebacks of a task's own thread go to its log as well as to where they went before."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from compox_core.algorithms.scope.folders import as_author_sees
from compox_core.runners import current_handler

MAX_PARTIAL = 64 * 1024

STREAMS = threading.Lock()
"""Guards the exchange of `sys.stdout` and `sys.stderr`, which all engines of the process share."""


class _Nowhere(io.TextIOBase):
    """Stands behind where a program without a console has no stream."""

    def write(self, text: str) -> int:
        """Drop the text."""
        return len(text)


class TaskStream(io.TextIOBase):
    """Stands for `sys.stdout` or `sys.stderr` while tasks run in this process.

    Text that is written in the context of a task is passed on and goes to that task's log, line by line; everything
    else is only passed on. A line that is drawn over with carriage returns counts as what it ends with.
    """

    def __init__(self, stream: TextIO | None, level: str) -> None:
        self.replaced = stream
        self.stream: TextIO | io.TextIOBase = _Nowhere() if stream is None else stream
        self.level = level
        self.users = 0
        self._lock = threading.Lock()
        self._partial: dict[Any, str] = {}

    def write(self, text: str) -> int:
        """Pass text on, and add its whole lines to the log of the present task."""
        handler = current_handler.get()
        if handler is not None:
            self.add(handler, text)
        # Outside the task's context: an algorithm may have wrapped an earlier stand-in, which would log it again.
        token = current_handler.set(None)
        try:
            self.stream.write(text)
        finally:
            current_handler.reset(token)
        return len(text)

    def add(self, handler: Any, text: str) -> None:
        """Add the lines that `text` makes whole to the log of a task."""
        with self._lock:
            *lines, rest = (self._partial.get(handler, "") + text).split("\n")
            self._partial.pop(handler, None)
            if len(rest) > MAX_PARTIAL:
                lines.append(rest)
                rest = ""
            if rest:
                self._partial[handler] = rest
        for line in lines:
            self._log(handler, line)

    def finish(self, handler: Any) -> None:
        """Log what a task wrote without a line end."""
        with self._lock:
            rest = self._partial.pop(handler, "")
        if rest:
            self._log(handler, rest)

    def _log(self, handler: Any, line: str) -> None:
        shown = line.rstrip("\r").rpartition("\r")[2]
        if shown.strip():
            handler.write_log(self.level, as_author_sees(shown))

    def flush(self) -> None:
        """Flush the stream behind."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream behind is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream behind."""
        return self.stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    def __getattr__(self, name: str) -> Any:
        # `buffer`, `reconfigure`, `name` and the like: only asked for where TextIOBase has no such attribute.
        if name == "stream":
            raise AttributeError(name)
        return getattr(self.stream, name)

    @property
    def errors(self) -> str | None:  # type: ignore[override]  # TextIOBase has a plain attribute
        """How the stream behind treats what its encoding cannot hold."""
        return getattr(self.stream, "errors", None)

    @property
    def encoding(self) -> str:  # type: ignore[override]  # TextIOBase has a plain attribute
        """The encoding of the stream behind."""
        return getattr(self.stream, "encoding", None) or "utf-8"


@contextmanager
def captured(handler: Any) -> Iterator[None]:
    """Capture what the present context prints into the log of `handler`."""
    with STREAMS:
        streams = [_stand_in("stdout", "INFO"), _stand_in("stderr", "WARNING")]
        for stream in streams:
            stream.users += 1
    try:
        yield
    finally:
        with STREAMS:
            for name, stream in zip(("stdout", "stderr"), streams, strict=True):
                stream.finish(handler)
                stream.users -= 1
                if stream.users == 0 and (getattr(sys, name) is stream or _is_dead(getattr(sys, name))):
                    setattr(sys, name, stream.replaced)


def _is_dead(stream: Any) -> bool:
    """Return whether a task left something in `sys.stdout` that nobody can write to."""
    return stream is None or getattr(stream, "closed", False) is True


def _stand_in(name: str, level: str) -> TaskStream:
    present = getattr(sys, name)
    if isinstance(present, TaskStream):
        return present
    stream = TaskStream(present, level)
    setattr(sys, name, stream)
    return stream
