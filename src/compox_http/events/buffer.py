"""The last events of one job, numbered, so that a client that was away gets what it missed."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from typing import Any

MOST_EVENTS = 1000
MOST_BYTES = 128 * 1024


class Buffer:
    """Numbered events from 1 on; the oldest go when there are too many. For one event loop only.

    The id of an event is `<epoch>.<number>`: the epoch is a random text, new with every buffer, so that a number of
    another server, or of one before its restart, is not taken for one of these.
    """

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(6)
        self.last = 0
        self.ended = False
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._waiters: set[asyncio.Future[bool]] = set()

    def add(self, event: str, data: dict[str, Any]) -> None:
        """Add an event and wake who waits."""
        self.last += 1
        text = encoded(event, data, f"{self.epoch}.{self.last}")
        self._events.append(text)
        self._bytes += len(text)
        while len(self._events) > MOST_EVENTS or (self._bytes > MOST_BYTES and len(self._events) > 1):
            self._bytes -= len(self._events.popleft())
        self._wake()

    def end(self) -> None:
        """Say that no event follows."""
        self.ended = True
        self._wake()

    def after(self, number: int) -> list[bytes] | None:
        """Return the events that follow a number; None where some of them are gone."""
        missing = self.last - number
        if missing > len(self._events) or missing < 0:
            return None
        return list(self._events)[len(self._events) - missing :]

    def position(self, event_id: str | None) -> int | None:
        """Return the number of an event that a client has got; None where it has got none of these."""
        epoch, _, number = (event_id or "").partition(".")
        if epoch != self.epoch or not (number.isascii() and number.isdigit() and len(number) < 16):
            return None
        return int(number) if self.after(int(number)) is not None else None

    async def changed(self, number: int, seconds: float) -> bool:
        """Wait until there is something after a number, or the end, at most so many seconds; return whether."""
        if self.last > number or self.ended:
            return True
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        timer = loop.call_later(seconds, _settle, waiter, False)
        self._waiters.add(waiter)
        try:
            return await waiter
        finally:
            timer.cancel()
            self._waiters.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            _settle(waiter, True)


def encoded(event: str, data: dict[str, Any], event_id: str | None) -> bytes:
    """Return an event as it goes over the wire (HTML Standard, section 9.2): JSON on one line.

    It is ASCII, since some readers take other characters of Unicode for the end of a line.
    """
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode("ascii")


def _settle(waiter: asyncio.Future[bool], value: bool) -> None:
    if not waiter.done():
        waiter.set_result(value)
