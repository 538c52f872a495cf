"""The log file: it is put aside when it is full, and what was put aside goes after some days."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

DAY = 24 * 3600


class LogFile:
    """Takes lines, and keeps at most about `limit` bytes in one file. Only one process may write to `path`.

    A file that is full is renamed to `NAME.DATE_TIME.log`; such files are removed after `keep_days` days. Where lines
    cannot be written they are dropped: `complain` is told once, and again when it works.
    """

    def __init__(self, path: Path, limit: int, keep_days: int, complain: Callable[[str], None]) -> None:
        self.path = path
        self._limit = limit
        self._keep_days = keep_days
        self._complain = complain
        self._descriptor: int | None = None
        self._size = 0
        self._full_at = limit
        self._torn = False
        self._dropped = 0
        self._pid = os.getpid()

    def open(self) -> None:
        """Begin, or go on with what is there. Raises OSError."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(self.path, flags, 0o644)
        self._size = os.fstat(self._descriptor).st_size
        self._full_at = self._limit
        self._remove_old()

    def write(self, lines: Sequence[str]) -> None:
        """Write lines, which have no line ends yet; never raises for a disk that takes none."""
        part: list[bytes] = []
        ahead = 0
        for line in lines:
            data = line.encode("utf-8", "backslashreplace") + b"\n"
            if self._size + ahead + len(data) > self._full_at and self._size + ahead:
                self._append(part)
                self._put_aside()
                part, ahead = [], 0
            part.append(data)
            ahead += len(data)
        self._append(part)

    def close(self) -> None:
        """End writing."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    def _append(self, lines: Sequence[bytes]) -> None:
        if not lines:
            return
        try:
            if self._descriptor is None:
                self.open()
            self._put(b"".join(lines))
        except OSError as problem:
            if not self._dropped:
                self._complain(f"The log file {self.path} takes no more lines: {problem.strerror or problem}")
            self._dropped += len(lines)
            return
        if self._dropped:
            self._complain(f"The log file {self.path} takes lines again; {self._dropped} were dropped.")
            self._dropped = 0

    def _put(self, data: bytes) -> None:
        assert self._descriptor is not None
        view = memoryview(b"\n" + data if self._torn else data)
        while view:
            written = os.write(self._descriptor, view)
            self._size += written
            view = view[written:]
            self._torn = len(view) > 0  # a line may be cut off here: the next one is to begin at the margin

    def _put_aside(self) -> None:
        if os.getpid() != self._pid:
            return  # a fork: the file is its parent's
        self.close()
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S_%f")
        try:
            self.path.rename(self.path.with_name(f"{self.path.stem}.{stamp}{self.path.suffix}"))
            self.open()
        except OSError:  # on Windows while somebody reads it, say: it is tried again some lines later
            with suppress(OSError):
                self.open()
            self._full_at = self._size + self._limit // 8

    def _remove_old(self) -> None:
        pattern = re.compile(
            re.escape(self.path.stem) + r"\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d{6}" + re.escape(self.path.suffix)
        )
        oldest = time.time() - self._keep_days * DAY
        with suppress(OSError):
            for entry in self.path.parent.iterdir():
                if pattern.fullmatch(entry.name) and entry.stat().st_mtime < oldest:
                    with suppress(OSError):
                        entry.unlink()
