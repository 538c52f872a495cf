"""When workers may be started, while none can be."""

from __future__ import annotations

import time

LONGEST_PAUSE_SECONDS = 8.0


class Starts:
    """Counts the time since workers could be started last; after each start that fails, the pause grows.

    One for all slots, as they share the machine. Not safe for threads by itself.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._pause = 0.0
        self._not_before = 0.0

    def pause(self) -> float | None:
        """Return how many seconds of a pause are left; None where workers may be started."""
        left = self._not_before - time.monotonic()
        return left if left > 0 else None

    def failed(self, pause: float) -> float:
        """Note that a start has failed; return when the next may be tried, in seconds. The first pause is `pause`."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        if now >= self._not_before:  # of slots that fail together, the first counts
            fresh = now - self._not_before > LONGEST_PAUSE_SECONDS
            self._pause = pause if fresh else min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            self._not_before = now + self._pause
        return self._not_before - now

    def failing(self, seconds: float) -> bool:
        """Return whether none has succeeded for so long."""
        return self._since is not None and time.monotonic() - self._since >= seconds

    def succeeded(self) -> None:
        """Note that a worker has started."""
        self._since = None
        self._pause = self._not_before = 0.0
