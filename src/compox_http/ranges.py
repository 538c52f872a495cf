"""Which part of a file a client asks for, and whether it has the file already (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from litestar.datastructures import Headers

_RANGE = re.compile(r"bytes=\s*(?P<first>[0-9]{0,19})\s*-\s*(?P<last>[0-9]{0,19})\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """What is sent: `status`, and of a file of `total` bytes those from `start` up to but not including `stop`."""

    status: int
    start: int
    stop: int
    total: int

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say which part it is."""
        if self.status == 206:
            return {"content-range": f"bytes {self.start}-{self.stop - 1}/{self.total}"}
        return {"content-range": f"bytes */{self.total}"} if self.status == 416 else {}


def part_of(headers: Headers, total: int, etag: str) -> Part:
    """Return what to send of a file: all of it, a part (206), nothing new (304), or nothing since it has no such
    part (416). Several parts at once, and what is no range, mean all of it."""
    known = headers.get("if-none-match")
    if known is not None and _names(known, etag):
        return Part(304, 0, 0, total)
    wanted = headers.get("range")
    condition = headers.get("if-range")
    match = _RANGE.fullmatch(wanted) if wanted is not None else None
    if match is None or (condition is not None and condition.strip() != etag):
        return Part(200, 0, total, total)
    first, last = match["first"], match["last"]
    if not first and not last:
        return Part(200, 0, total, total)
    if not first:  # the last so many bytes
        start, stop = max(total - int(last), 0), total
    else:
        start, stop = int(first), min(int(last) + 1 if last else total, total)
        if last and int(last) < int(first):
            return Part(200, 0, total, total)
    return Part(206, start, stop, total) if start < stop else Part(416, 0, 0, total)


def _names(condition: str, etag: str) -> bool:
    return condition.strip() == "*" or etag in {tag.strip().removeprefix("W/") for tag in condition.split(",")}
