"""What a worker and its children write on stdout and stderr past Python, read by the parent."""

from __future__ import annotations

from collections.abc import Callable

TAIL_BYTES = 4096
MAX_PARTIAL = 64 * 1024


class NativeOutput:
    """Cuts the output into lines, keeps its end, and sees the lines that end the jobs.

    Args:
        marker: What the worker writes, with the number of the job after it, when a job has ended.
        on_line: Called with each line that is not empty; one that is drawn over with carriage returns counts as what
            it ends with.
        on_end: Called with the number of the job whose output has all been read.
    """

    def __init__(self, marker: str, on_line: Callable[[str], None], on_end: Callable[[int], None]) -> None:
        self._marker = marker.encode("ascii")
        self._on_line = on_line
        self._on_end = on_end
        self._partial = b""
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        *lines, rest = (self._partial + data).split(b"\n")
        self._partial = rest
        for line in lines:
            self._whole(line)
        if len(self._partial) > MAX_PARTIAL:
            self.finish()

    def finish(self) -> None:
        """Take what came without a line end for a line."""
        rest, self._partial = self._partial, b""
        if rest:
            self._line(rest)

    def tail(self) -> str:
        """Return the last of the output, at most 4 KiB."""
        return (self._tail + self._partial)[-TAIL_BYTES:].decode("utf-8", "replace").strip()

    def forget(self) -> None:
        """Begin the tail anew: what comes next belongs to another job."""
        self._tail = b""

    def _whole(self, line: bytes) -> None:
        before, marker, number = line.partition(self._marker)
        if before:
            self._line(before)
        if marker and number.isdigit():
            self._on_end(int(number))

    def _line(self, line: bytes) -> None:
        self._tail = (self._tail + line + b"\n")[-TAIL_BYTES:]
        shown = line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
        if shown.strip():
            self._on_line(shown)
