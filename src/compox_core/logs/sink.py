"""Where lines are handed over, so that neither a request nor a job waits for a disk or a terminal."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol, TextIO

GATHER_SECONDS = 0.02
FLUSH_SECONDS = 5.0
MOST_WAITING = 16 * 1024 * 1024
"""Characters that may wait for a slow reader; lines beyond are dropped, and how many is told."""


class Target(Protocol):
    """What takes lines in the end."""

    def write(self, lines: Sequence[str]) -> None: ...
    def close(self) -> None: ...


class Console:
    """Lines to a stream, which stays open. One that has gone is no reason to fail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, lines: Sequence[str]) -> None:
        """Write lines, which have no line ends yet."""
        with suppress(OSError, ValueError):  # nobody reads it any more; it is closed
            encoding = getattr(self._stream, "encoding", None) or "utf-8"
            text = "\n".join([*lines, ""])
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stream.flush()

    def close(self) -> None:
        """Leave the stream as it is."""


class Sink(logging.Handler):
    """Makes lines where they are logged, and writes them in a thread of its own, those together that come together."""

    def __init__(self, target: Target, lines: logging.Formatter, level: int) -> None:
        super().__init__(level)
        self.setFormatter(lines)
        self._target = target
        self._waiting: list[str | threading.Event] = []
        self._size = 0
        self._dropped = 0
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._over = False
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="compox-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line; never raises, and never waits."""
        try:
            line = self.format(record)
        except Exception:  # an object whose text cannot be had
            line = f"A line of {record.name} cannot be shown."
        if os.getpid() != self._pid:
            self._target.write([line])  # a fork, which has no such thread
        elif not self._over:
            self._put(line)
            if record.levelno >= logging.WARNING:
                self._hurry.set()

    def _put(self, line: str) -> None:
        if self._size > MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append(line)
        self._size += len(line)
        if not self._wake.is_set():  # which costs less than to set it again
            self._wake.set()

    def flush(self) -> None:
        """Wait until what was taken is written, 5 seconds at most."""
        if os.getpid() != self._pid or not self._thread.is_alive():
            return
        written = threading.Event()
        self.acquire()
        try:
            self._waiting.append(written)
        finally:
            self.release()
        self._wake.set()
        self._hurry.set()
        written.wait(FLUSH_SECONDS)

    def close(self) -> None:
        """Write what is left, and end."""
        if not self._over:
            self.flush()
            self._over = True
            self._wake.set()
            self._hurry.set()
            if os.getpid() == self._pid and self._thread.is_alive():
                self._thread.join(FLUSH_SECONDS)
            if not self._thread.is_alive():  # or it waits for whoever reads, and the target is still in its hands
                self._target.close()
        super().close()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._hurry.wait(GATHER_SECONDS)
            self._wake.clear()
            self._hurry.clear()
            over = self._over
            self._write_waiting()
            if over:
                return

    def _write_waiting(self) -> None:
        self.acquire()
        try:
            waiting, self._waiting = self._waiting, []
            dropped, self._dropped = self._dropped, 0
            self._size = 0
        finally:
            self.release()
        lines = [item for item in waiting if isinstance(item, str)]
        if dropped:
            lines.append(f"{dropped} lines were dropped here: they came faster than they could be written.")
        if lines:
            with suppress(Exception):  # whatever a stream raises that somebody put in place of stderr
                self._target.write(lines)
        for item in waiting:
            if isinstance(item, threading.Event):
                item.set()
