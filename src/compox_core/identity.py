"""Ids and the clocks: the one place that makes them.

Ids of records and files are UUIDv7 (RFC 9562): they sort by time, and their 62 random bits come from the operating
system's secure source, so they cannot be guessed. Tokens are wholly random. The id of an algorithm is derived from its
name and major version, so it is the same in every store.
"""

from __future__ import annotations

import re
import secrets
import sys
import threading
import time
import uuid
from datetime import UTC, datetime

ALGORITHM_NAMESPACE = uuid.UUID("6a3f0c52-7d1b-5e0a-9c44-2f6b8d1e7a90")

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_lock = threading.Lock()
_last_tick = 0


def utc_now() -> datetime:
    """Return the present time in UTC with microseconds."""
    return datetime.now(UTC)


def since_boot() -> float:
    """Return seconds that go on while the machine sleeps, where the system counts such, so that a sleep is noticed."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


def new_id() -> str:
    """Return a new id that sorts after every id made before it in this process (UUIDv7, 62 random bits)."""
    global _last_tick
    with _lock:
        # 48 bits of milliseconds and 12 bits of their fraction, as one rising number (RFC 9562, 6.2, method 3).
        nanoseconds = time.time_ns()
        milliseconds, rest = divmod(nanoseconds, 1_000_000)
        tick = max((milliseconds << 12) | (rest * 4096 // 1_000_000), _last_tick + 1)
        _last_tick = tick
    value = (tick >> 12) << 80 | 0x7 << 76 | (tick & 0xFFF) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def is_id(text: str) -> bool:
    """Return whether this has the form of an id, and so is safe in a key."""
    return bool(_ID.fullmatch(text))


def time_of(identifier: str) -> datetime | None:
    """Return when `new_id` made an id, by the clock of the machine that did; None where it is none of ours."""
    try:
        value = uuid.UUID(identifier)
        return datetime.fromtimestamp((value.int >> 80) / 1000, UTC) if value.version == 7 else None
    except (ValueError, OverflowError, OSError):  # no UUID, or of a year that there is not
        return None


def new_token() -> str:
    """Return an unguessable token in the text form of a UUID (version 4, 122 random bits)."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def algorithm_id(name: str, major: str) -> str:
    """Return the id of the algorithm `name` in major version `major`; names that differ by case only share it."""
    return str(uuid.uuid5(ALGORITHM_NAMESPACE, f"{name.casefold()}\n{major}"))
