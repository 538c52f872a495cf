"""Which job runs where next: the queue, the places where workers are, and what speaks for which."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from compox_core.jobs.processes.tickets import Fate, Ticket, Tickets
from compox_core.records import Job

LOST_KEPT = 1000


class State(Enum):
    """What a slot is doing."""

    EMPTY = "empty"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"


@dataclass(eq=False)
class Slot:
    """A place for one worker, bound to a device or, with None, to no particular one."""

    number: int
    device: str | None
    state: State = State.EMPTY
    ticket: Ticket | None = None
    taste: str | None = None
    used: int = 0
    sessions: set[str] = field(default_factory=set)

    def takes(self, ticket: Ticket) -> bool:
        """Return whether the slot has the device that a job needs."""
        if self.device is None or ticket.device is None or self.device == ticket.device:
            return True
        return ticket.device == "cuda" and self.device.startswith("cuda:")

    def holds(self, session: str) -> bool:
        """Return whether a session lives here, or may after the job that runs."""
        return session in self.sessions or (self.ticket is not None and self.ticket.session == session)


class Slots:
    """Queues jobs and gives them to slots, first come, first served. Not safe for threads by itself.

    A job whose session lives in a worker waits for that one. Among several idle workers the one that has run the same
    algorithm last is taken, then the one that was used longest ago. A worker is started only where no idle one fits.
    """

    def __init__(self, devices: Sequence[str | None]) -> None:
        self.slots = [Slot(number, device) for number, device in enumerate(devices)]
        self._queue = Tickets()
        self._orders = itertools.count()
        self._turns = itertools.count(1)
        self._lost: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._queue)

    # -- the queue --------------------------------------------------------------------------------------------------

    def add(self, job: Job, device: str | None = None, session: str | None = None, taste: str | None = None) -> Ticket:
        """Queue a job behind all others. One for a device that no slot has may run anywhere."""
        ticket = Ticket(job, next(self._orders), device, session, taste)
        if not any(slot.takes(ticket) for slot in self.slots):
            ticket = Ticket(job, ticket.order, None, session, taste)
        self._queue.add(ticket)
        return ticket

    def put_back(self, slot: Slot) -> None:
        """Take a job from a slot and queue it where it was."""
        ticket = slot.ticket
        if ticket is not None:
            self._queue.add(ticket)
        self.idle(slot, slot.sessions)

    def cancel(self, job: Job) -> bool:
        """Take a job from the queue; return whether it was there."""
        return self._queue.cancel(job)

    def clear(self) -> list[Job]:
        """Empty the queue; return what was in it."""
        return self._queue.clear()

    def take_unserved(self, slot: Slot, since: float) -> Ticket | None:
        """Have a slot without a worker hold the first job that it takes, to say that it fails; return that job.

        One that another slot could run, which has a worker, waits for that; so does one that waits since later.
        """
        served = [other for other in self.slots if other.state in (State.IDLE, State.BUSY)]
        found: list[Ticket] = []

        def decide(ticket: Ticket) -> Fate:
            if found:
                return Fate.ENOUGH
            if self._holder(ticket) is not None:
                return Fate.BOUND
            if not slot.takes(ticket) or ticket.since > since or any(other.takes(ticket) for other in served):
                return Fate.NO_LANE
            self._give(slot, ticket)
            found.append(ticket)
            return Fate.TAKEN

        self._queue.walk(decide)
        return found[0] if found else None

    # -- the slots --------------------------------------------------------------------------------------------------

    def idle(self, slot: Slot, sessions: Iterable[str]) -> None:
        """Note that the worker of a slot has nothing to do, and which sessions live in it."""
        slot.state = State.IDLE
        slot.ticket = None
        slot.sessions = set(sessions)

    def empty(self, slot: Slot, sessions: Iterable[str] = ()) -> None:
        """Note that a slot has no worker any more: the sessions that lived in it are lost, those given among them."""
        slot.state = State.EMPTY
        slot.ticket = None
        self.lose(slot, sessions)

    def lose(self, slot: Slot, sessions: Iterable[str] = ()) -> None:
        """Note that the worker of a slot has gone with all that lived in it."""
        slot.taste = None
        for token in (*slot.sessions, *sessions):
            self._lost[token] = None
        slot.sessions = set()
        while len(self._lost) > LOST_KEPT:
            self._lost.popitem(last=False)

    def was_lost(self, session: str | None) -> bool:
        """Return whether a session was lost with its worker; says so once."""
        if session is None or session not in self._lost:
            return False
        del self._lost[session]
        return True

    def match(self, *, start: bool = True) -> list[Slot]:
        """Give jobs to idle slots, have empty ones started for what is left; return the slots that changed.

        Without `start` none is started.
        """
        changed: list[Slot] = []
        idle = [slot for slot in self.slots if slot.state is State.IDLE]
        free = [slot for slot in self.slots if start and slot.state is State.EMPTY]
        starting = [slot for slot in self.slots if slot.state is State.STARTING]  # they will serve as many

        def decide(ticket: Ticket) -> Fate:
            if not idle and not free:
                return Fate.ENOUGH
            holder = self._holder(ticket)
            if holder is not None and holder not in idle:
                return Fate.BOUND
            slot = holder or self._choose(ticket, idle)
            if slot is not None:
                idle.remove(slot)
                self._give(slot, ticket)
                changed.append(slot)
                return Fate.TAKEN
            for slots in (starting, free):
                slot = next((slot for slot in slots if slot.takes(ticket)), None)
                if slot is not None:
                    slots.remove(slot)
                    if slots is free:
                        slot.state = State.STARTING
                        changed.append(slot)
                    return Fate.KEPT
            return Fate.NO_LANE

        self._queue.walk(decide)
        return changed

    def _choose(self, ticket: Ticket, idle: list[Slot]) -> Slot | None:
        fitting = [slot for slot in idle if slot.takes(ticket)]
        if not fitting:
            return None
        same = ticket.taste is not None
        return min(fitting, key=lambda slot: (not (same and slot.taste == ticket.taste), slot.used))

    def _give(self, slot: Slot, ticket: Ticket) -> None:
        slot.state = State.BUSY
        slot.ticket = ticket
        slot.taste = ticket.taste
        slot.used = next(self._turns)

    def _holder(self, ticket: Ticket) -> Slot | None:
        if ticket.session is None:
            return None
        return next((slot for slot in self.slots if slot.holds(ticket.session)), None)
