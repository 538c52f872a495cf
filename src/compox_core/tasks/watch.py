"""Which processes are lost, judged by this one alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from compox_core.errors import NotFoundError
from compox_core.storage import SYSTEM, ObjectStore
from compox_core.tasks.presence import PROCESSES, Holder


@dataclass
class _Pulse:
    """How long a heartbeat has not moved, as far as was seen; `version` is None while it is absent."""

    version: str | None
    still: float = 0.0
    content: bytes | None = None
    confirmed: bool = False


class Watch:
    """Watches the heartbeats of all processes that share a store.

    A heartbeat is judged by whether it moves, never by a time that somebody wrote: clocks of machines differ and jump.
    Time is this process's own, counted only from one successful observation to the next, and of a gap between two no
    more than twice the usual: a watcher that was suspended together with those it watches sees them move first.

    Args:
        lost_after_seconds: How long a heartbeat stands still, or is absent, when its process is taken for lost.
        interval_seconds: How often `observe` is usually called.
        clock: Seconds from any start; only their differences count.
    """

    def __init__(
        self,
        store: ObjectStore,
        lost_after_seconds: float,
        *,
        interval_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._lost_after = lost_after_seconds
        usual = lost_after_seconds / 4 if interval_seconds is None else interval_seconds
        # At most half of the limit: nobody is lost before three observations.
        self._most = min(2 * usual, lost_after_seconds / 2)
        self._clock = clock
        self._lock = threading.Lock()
        self._observed: float | None = None
        self._pulses: dict[str, _Pulse] = {}

    def observe(self) -> None:
        """Look at every heartbeat. Raises StorageError; the time until the next success then does not count."""
        with self._lock:
            # Counted from the end of the last look to the begin of this one: a slow listing must not add to it.
            gap = 0.0 if self._observed is None else self._clock() - self._observed
            self._observed = None
            present = {info.key.removeprefix(PROCESSES): info.version for info in self._store.list(SYSTEM, PROCESSES)}
            for incarnation in self._pulses.keys() | present.keys():
                self._look(incarnation, present.get(incarnation), min(max(gap, 0.0), self._most))
            self._observed = self._clock()

    def _look(self, incarnation: str, version: str | None, gap: float) -> None:
        pulse = self._pulses.get(incarnation)
        if pulse is None or pulse.version != version:
            self._pulses[incarnation] = _Pulse(version)
            return
        pulse.still += gap
        if version is None:
            return
        # Not every filesystem tells versions apart, or tells them at once; content that does not change is sure.
        try:
            content = self._store.get(SYSTEM, PROCESSES + incarnation)
        except NotFoundError:
            self._pulses[incarnation] = _Pulse(None)
            return
        if pulse.content is None:
            pulse.content = content
        elif pulse.content == content:
            pulse.confirmed = True
        else:
            self._pulses[incarnation] = _Pulse(version, content=content)

    def is_lost(self, holder: Holder) -> bool:
        """Return whether a process has ended, or must be taken for ended because nothing was heard of it for long.

        One that was never seen is watched from this call on.
        """
        if holder.gone_here():
            return True
        with self._lock:
            pulse = self._pulses.setdefault(holder.incarnation, _Pulse(None))
            return self._is_still(pulse)

    def _is_still(self, pulse: _Pulse) -> bool:
        return pulse.still >= self._lost_after and (pulse.version is None or pulse.confirmed)

    def clear(self, referred: Collection[str]) -> None:
        """Remove the heartbeats that lost processes left, but for those in `referred` (incarnations).

        Where one was only suspended, its next beat brings the heartbeat back. Raises StorageError.
        """
        with self._lock:
            for incarnation, pulse in list(self._pulses.items()):
                if incarnation in referred:
                    continue
                if pulse.version is None:
                    del self._pulses[incarnation]
                elif self._is_still(pulse):
                    self._store.delete(SYSTEM, PROCESSES + incarnation)
                    del self._pulses[incarnation]
