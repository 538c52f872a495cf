"""Jobs that wait for a slot, in their order."""

from __future__ import annotations

import bisect
import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from operator import attrgetter

from compox_core.records import Job

Lane = tuple[str | None, str | None]


@dataclass(frozen=True)
class Ticket:
    """A job that waits.

    `device` is the runtime device that it needs, None for any. `session` is the token of its session. `taste` is the
    same for jobs that need the same loaded runner. `since` is when it began to wait, by `time.monotonic`.
    """

    job: Job
    order: int
    device: str | None = None
    session: str | None = None
    taste: str | None = None
    since: float = field(default_factory=time.monotonic, compare=False)


class Fate(Enum):
    """What becomes of a job that is looked at.

    `TAKEN`: it leaves the queue. `KEPT`: it waits on, having been provided for. `BOUND`: it waits for the worker of its
    session alone. `NO_LANE`: nobody serves it, nor others in its lane. `ENOUGH`: nobody serves anybody.
    """

    TAKEN = "taken"
    KEPT = "kept"
    BOUND = "bound"
    NO_LANE = "no lane"
    ENOUGH = "enough"


class Tickets:
    """The queue, in lanes: however many jobs wait, those that need the same thing are asked for it once.

    The lane of a ticket is its device, and its session where it was found waiting for the worker of that. What waits in
    one lane waits for the same workers, so that its first speaks for all.
    """

    def __init__(self) -> None:
        self._lanes: dict[Lane, deque[Ticket]] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, ticket: Ticket, *, bound: bool = False) -> None:
        """Queue a job where its order says; `bound`: to the worker that holds its session."""
        lane = self._lanes.setdefault((ticket.device, ticket.session if bound else None), deque())
        self._length += 1
        if not lane or lane[-1].order < ticket.order:
            lane.append(ticket)
        elif ticket.order < lane[0].order:
            lane.appendleft(ticket)
        else:
            bisect.insort(lane, ticket, key=attrgetter("order"))

    def cancel(self, job: Job) -> bool:
        """Take a job from the queue; return whether it was there."""
        for key, lane in self._lanes.items():
            for position, ticket in enumerate(lane):
                if ticket.job == job:
                    del lane[position]
                    self._shrunk(key)
                    return True
        return False

    def clear(self) -> list[Job]:
        """Empty the queue; return what was in it."""
        waiting = sorted(itertools.chain(*self._lanes.values()), key=attrgetter("order"))
        self._lanes.clear()
        self._length = 0
        return [ticket.job for ticket in waiting]

    def walk(self, decide: Callable[[Ticket], Fate]) -> None:
        """Ask of each job in turn what becomes of it, until nobody else can be served."""
        heads = [(lane[0].order, key) for key, lane in self._lanes.items()]
        heapq.heapify(heads)
        stay: list[tuple[Ticket, bool]] = []
        move: list[Ticket] = []
        while heads:
            _, key = heapq.heappop(heads)
            lane, bound = self._lanes[key], key[1] is not None
            fate = decide(lane[0])
            if fate is Fate.ENOUGH:
                break
            if fate is Fate.NO_LANE or (fate is Fate.BOUND and bound):
                continue
            ticket = lane.popleft()
            if fate is Fate.BOUND:
                move.append(ticket)
            elif fate is Fate.KEPT:
                stay.append((ticket, bound))
            if lane:
                heapq.heappush(heads, (lane[0].order, key))
            self._shrunk(key)
        for ticket in move:
            self.add(ticket, bound=True)
        for ticket, bound in reversed(stay):
            self.add(ticket, bound=bound)

    def _shrunk(self, key: Lane) -> None:
        self._length -= 1
        if not self._lanes[key]:
            del self._lanes[key]
