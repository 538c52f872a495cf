"""When each rung of a stop has had its time."""

from __future__ import annotations

import time
from collections.abc import Sequence

HURRY = 0.8
"""The part of the time for closing that stops get; the rest is for their records."""


class Deadlines:
    """How long each rung of every stop of an executor may take.

    Args:
        seconds: The time of each rung, in their order.
    """

    def __init__(self, seconds: Sequence[float]) -> None:
        total = sum(seconds) or 1.0
        self._seconds = list(seconds)
        self._shares = [sum(seconds[: rung + 1]) / total for rung in range(len(seconds))]
        self._hurry: tuple[float, float] | None = None

    def hurry(self, seconds: float) -> None:
        """Have every stop, also those under way, come to its end well within `seconds` from now."""
        self._hurry = (time.monotonic(), seconds * HURRY)

    def left(self, rung: int, began: float) -> float:
        """Return how many seconds are left for a rung that began at that time of `time.monotonic`; may be negative."""
        end = began + self._seconds[rung]
        if self._hurry is not None:
            since, seconds = self._hurry
            end = min(end, since + seconds * self._shares[rung])
        return end - time.monotonic()
