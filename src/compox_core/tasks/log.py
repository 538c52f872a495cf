"""The log of one task: lines with a UTC stamp, bounded in the record, complete in the store."""

from __future__ import annotations

import threading
from collections import deque

from compox_core.identity import utc_now

CHUNK_BYTES = 256 * 1024


class TaskLog:
    """Collects lines `YYYY-MM-DDTHH:MM:SSZ LEVEL message`; any thread may add.

    The record shows at most `limit` bytes: the head and the tail. What lies between is handed out once in chunks, for
    the store to keep, and leaves memory.
    """

    def __init__(self, limit: int = 1024 * 1024) -> None:
        self._half = max(limit // 2, 1)
        self._lock = threading.Lock()
        self._head: list[str] = []
        self._head_bytes = 0
        self._tail: deque[str] = deque()
        self._tail_bytes = 0
        self._middle: list[str] = []
        self._middle_bytes = 0
        self._left_out = 0
        self._gone = 0  # characters that were taken out of memory, to be stored
        self._total = 0  # characters that were ever added

    def add(self, level: str, message: str) -> None:
        """Add a message; every line of it gets no stamp of its own but the first."""
        # A lone surrogate, as names of files may have, is shown escaped: no UTF-8, and so no record, could hold it.
        encoded = f"{utc_now():%Y-%m-%dT%H:%M:%SZ} {level} {message}\n".encode("utf-8", "backslashreplace")
        line, size = encoded.decode("utf-8"), len(encoded)
        with self._lock:
            self._total += len(line)
            if not self._tail and self._head_bytes + size <= self._half:
                self._head.append(line)
                self._head_bytes += size
                return
            self._tail.append(line)
            self._tail_bytes += size
            while self._tail_bytes > self._half and len(self._tail) > 1:
                moved = self._tail.popleft()
                moved_bytes = len(moved.encode("utf-8"))
                self._tail_bytes -= moved_bytes
                self._middle.append(moved)
                self._middle_bytes += moved_bytes
                self._left_out += 1

    def resume(self, text: str) -> None:
        """Begin with the lines that an earlier attempt wrote."""
        with self._lock:
            self._head.append(text)
            self._total += len(text)
            self._head_bytes += len(text.encode("utf-8", "backslashreplace"))

    def text(self) -> str:
        """Return what a record shows."""
        with self._lock:
            gap = [f"… {self._left_out} lines are in the task's full log …\n"] if self._left_out else []
            tail = "".join(self._tail)
            if len(tail) > self._half:  # a single line longer than the tail may be
                tail = "… " + tail[-self._half :]
            return "".join((*self._head, *gap, tail))

    def take_chunk(self, *, rest: bool = False) -> str | None:
        """Return the next lines between head and tail that are due to be stored, else None.

        `rest` asks for them also where they are less than a chunk, as at the end of a task.
        """
        with self._lock:
            if not self._middle or (self._middle_bytes < CHUNK_BYTES and not rest):
                return None
            chunk = "".join(self._middle)
            self._middle, self._middle_bytes = [], 0
            self._gone += len(chunk)
            return chunk

    def since(self, mark: int) -> tuple[int, str]:
        """Return what was added after the first `mark` characters, and how many there are by now.

        Where some of it has left memory, a line that says how much stands in its place.
        """
        with self._lock:
            wanted = self._total - mark
            if wanted <= 0:
                return self._total, ""
            late = self._last(wanted)
            if late is not None:
                return self._total, late
            head, rest = "".join(self._head), "".join((*self._middle, *self._tail))
            if mark >= len(head) and wanted <= len(rest):
                return self._total, rest[-wanted:]
            missed = self._gone - max(mark - len(head), 0)
            gap = f"… {missed} characters are in the task's full log …\n" if missed else ""
            return self._total, head[mark:] + gap + rest

    def _last(self, count: int) -> str | None:
        """Return the last characters where the tail has so many: whoever follows a log asks for a few lines."""
        late: list[str] = []
        left = count
        for line in reversed(self._tail):
            late.append(line)
            left -= len(line)
            if left <= 0:
                return "".join(reversed(late))[-count:]
        return None

    def parts(self) -> tuple[str, str, str]:
        """Return head, what is to be stored next, and tail; the chunks that were taken belong after the head."""
        with self._lock:
            return "".join(self._head), "".join(self._middle), "".join(self._tail)
