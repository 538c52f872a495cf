"""Which job runs where next."""

from __future__ import annotations

import math

import pytest

from compox_core.jobs.processes.slots import Slot, Slots, State
from compox_core.jobs.processes.tickets import Ticket
from compox_core.records import Job, JobKind


def job(name: str) -> Job:
    return Job(JobKind.EXECUTION, name)


def started(*devices: str | None) -> Slots:
    """Return slots of which each has an idle worker."""
    slots = Slots(devices)
    for slot in slots.slots:
        slots.idle(slot, ())
    return slots


def given(slots: Slots) -> dict[int, str]:
    """Match, and return which slots are busy with what."""
    slots.match()
    return {slot.number: slot.ticket.job.id for slot in slots.slots if slot.ticket is not None}


def end(slots: Slots, number: int, *sessions: str) -> None:
    slots.idle(slots.slots[number], sessions)


def test_jobs_are_given_in_their_order() -> None:
    """As many as there are workers; the others wait."""
    slots = started(None, None)
    for name in "abc":
        slots.add(job(name))
    assert given(slots) == {0: "a", 1: "b"}
    assert len(slots) == 1
    end(slots, 1)
    assert given(slots) == {0: "a", 1: "c"}


def test_a_worker_is_started_only_where_no_idle_one_is() -> None:
    """And one for each job that waits, not more."""
    slots = Slots([None] * 4)
    slots.idle(slots.slots[2], ())
    slots.add(job("a"))
    assert [slot.number for slot in slots.match()] == [2]
    slots.add(job("b"))
    [starting] = slots.match()
    assert starting.state is State.STARTING
    assert slots.match() == []
    slots.add(job("c"))
    assert len(slots.match()) == 1
    assert sum(slot.state is State.STARTING for slot in slots.slots) == 2


def test_the_worker_that_ran_the_same_is_preferred() -> None:
    """It has the algorithm loaded; other work goes to the one that was used longest ago."""
    slots = started(None, None, None)
    for name in "abc":
        slots.add(job(name), taste=name)
    assert given(slots) == {0: "a", 1: "b", 2: "c"}
    for number in range(3):
        end(slots, number)
    slots.add(job("b again"), taste="b")
    slots.add(job("d"), taste="d")
    assert given(slots) == {1: "b again", 0: "d"}


def test_a_job_waits_for_the_worker_of_its_session() -> None:
    """While another one is idle; what has no session passes it."""
    slots = started(None, None)
    slots.add(job("a"), session="s")
    slots.add(job("b"), session="s")
    slots.add(job("c"))
    assert given(slots) == {0: "a", 1: "c"}
    end(slots, 1)
    assert given(slots) == {0: "a"}
    end(slots, 0, "s")
    assert given(slots) == {0: "b"}


def test_a_session_in_which_nothing_was_saved_binds_nobody() -> None:
    """After its job, any worker will do."""
    slots = started(None, None)
    slots.add(job("a"), session="s")
    assert given(slots) == {0: "a"}
    end(slots, 0)
    slots.add(job("x"))
    slots.add(job("b"), session="s")
    assert given(slots) == {1: "x", 0: "b"}


def test_a_session_is_said_to_be_lost_once() -> None:
    """With the worker that held it."""
    slots = started(None)
    end(slots, 0, "s")
    slots.empty(slots.slots[0], ["t"])
    assert slots.was_lost("s")
    assert not slots.was_lost("s")
    assert slots.was_lost("t")
    assert not slots.was_lost(None)


def test_devices_are_kept_apart() -> None:
    """A slot takes jobs of its device, `cuda` meaning any of that kind, and jobs that need none."""
    slots = started("cpu", "cuda:1")
    slots.add(job("a"), device="cuda:1")
    slots.add(job("b"), device="cuda:1")
    slots.add(job("c"), device="cpu")
    assert given(slots) == {1: "a", 0: "c"}
    end(slots, 1)
    assert given(slots) == {1: "b", 0: "c"}
    end(slots, 1)
    slots.add(job("d"), device="cuda")
    assert given(slots) == {1: "d", 0: "c"}
    end(slots, 0)
    slots.add(job("e"))
    assert given(slots) == {1: "d", 0: "e"}


def test_a_job_for_a_device_that_no_slot_has_runs_anywhere() -> None:
    """It would wait for ever otherwise; the work itself says that the device is not there."""
    slots = started("cpu")
    slots.add(job("a"), device="cuda:7")
    assert given(slots) == {0: "a"}


def test_a_job_that_could_not_begin_keeps_its_place() -> None:
    """Before those that came later; and its session binds nobody yet."""
    slots = started(None)
    for name in "abc":
        slots.add(job(name), session=name)
    assert given(slots) == {0: "a"}
    slots.put_back(slots.slots[0])
    assert slots.slots[0].sessions == set()
    assert [given(slots)[0], end(slots, 0), given(slots)[0]] == ["a", None, "b"]


def test_a_queued_job_can_be_cancelled_a_given_one_not() -> None:
    """The queue says which it was."""
    slots = started(None)
    slots.add(job("a"))
    slots.add(job("b"))
    given(slots)
    assert not slots.cancel(job("a"))
    assert slots.cancel(job("b"))
    assert not slots.cancel(job("b"))
    assert slots.clear() == []


def test_many_jobs_cost_nothing_while_all_workers_are_busy() -> None:
    """Only the first are looked at: twenty thousand that wait are matched twenty thousand times."""
    slots = started(None)
    for number in range(20_000):
        slots.add(job(str(number)))
        slots.match()
    assert given(slots) == {0: "0"}


def test_a_slot_without_worker_gives_a_job_up_for_failing() -> None:
    """The first that it could have run."""
    slots = Slots(["cpu", "cuda:0"])
    slots.add(job("a"), device="cuda:0")
    slots.add(job("b"), device="cpu")
    cpu: Slot = slots.slots[0]
    ticket = slots.take_unserved(cpu, math.inf)
    assert ticket is not None
    assert ticket.job.id == "b"
    slots.empty(cpu)
    assert slots.take_unserved(cpu, math.inf) is None


def test_a_job_that_nobody_free_takes_holds_nobody_up() -> None:
    """It waits for a worker of its device; the one behind it has one started."""
    slots = Slots(["cuda:0", "cpu"])
    slots.idle(slots.slots[0], ())
    slots.add(job("runs"), device="cuda:0")
    assert given(slots) == {0: "runs"}
    for number in range(3):
        slots.add(job(f"waits {number}"), device="cuda:0")
    slots.add(job("goes"), device="cpu")
    assert [slot.number for slot in slots.match()] == [1]
    slots.idle(slots.slots[1], ())
    assert given(slots) == {0: "runs", 1: "goes"}


def test_a_worker_that_starts_serves_only_whom_it_fits() -> None:
    """For another device another one is started."""
    slots = Slots(["cuda:0", "cpu", "cpu"])
    slots.add(job("a"), device="cuda:0")
    assert [slot.number for slot in slots.match()] == [0]
    slots.add(job("b"), device="cpu")
    assert [slot.number for slot in slots.match()] == [1]
    assert slots.match() == []


def test_none_is_started_where_it_was_not_asked_for() -> None:
    """Idle ones get their jobs all the same."""
    slots = Slots([None, None])
    slots.idle(slots.slots[0], ())
    slots.add(job("a"))
    slots.add(job("b"))
    assert [slot.number for slot in slots.match(start=False)] == [0]
    assert [slot.number for slot in slots.match()] == [1]


@pytest.mark.parametrize("session", [None, "s"])
def test_many_jobs_cost_nothing_while_another_worker_is_free(
    session: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait for the busy one, by their device or by their session; each costs a few looks, not one at each."""
    looks = [0]
    takes, holds = Slot.takes, Slot.holds

    def counted(self: Slot, ticket: Ticket) -> bool:
        looks[0] += 1
        return takes(self, ticket)

    def counted_too(self: Slot, token: str) -> bool:
        looks[0] += 1
        return holds(self, token)

    monkeypatch.setattr(Slot, "takes", counted)
    monkeypatch.setattr(Slot, "holds", counted_too)
    slots = started("cuda:0", "cpu")
    count = 5000
    for number in range(count):
        slots.add(job(str(number)), device="cuda:0", session=session)
        slots.match()
    assert len(slots) == count - 1
    for number in range(1, count):
        end(slots, 0)
        assert given(slots) == {0: str(number)}
    assert looks[0] < 40 * count


def test_jobs_of_a_session_and_others_keep_their_order() -> None:
    """Also those that were found waiting for its worker, when it is not held there any more."""
    slots = started(None, None)
    for name in ("s1", "s2", "x1", "s3", "x2"):
        slots.add(job(name), session="s" if name.startswith("s") else None)
    assert given(slots) == {0: "s1", 1: "x1"}
    end(slots, 1)
    assert given(slots) == {0: "s1", 1: "x2"}
    slots.add(job("x3"))
    end(slots, 0)
    assert given(slots) == {0: "s2", 1: "x2"}
    end(slots, 1)
    assert given(slots) == {0: "s2", 1: "x3"}
    slots.add(job("s4"), session="s")
    assert not slots.cancel(job("s2"))
    assert slots.cancel(job("s3"))
    slots.put_back(slots.slots[0])
    slots.put_back(slots.slots[1])
    assert len(slots) == 3
    assert [each.id for each in slots.clear()] == ["s2", "x3", "s4"]
    assert len(slots) == 0


def test_a_job_is_given_up_only_where_nobody_could_run_it() -> None:
    """Not while another worker lives that takes it, and not before it has waited long enough."""
    slots = Slots(["cpu", "cpu", "cuda:0"])
    ticket = slots.add(job("a"), device="cpu")
    slots.idle(slots.slots[1], ())
    assert slots.take_unserved(slots.slots[0], math.inf) is None
    slots.empty(slots.slots[1])
    slots.idle(slots.slots[2], ())
    assert slots.take_unserved(slots.slots[0], ticket.since - 1) is None
    assert slots.take_unserved(slots.slots[0], ticket.since) is ticket
    assert (slots.slots[0].ticket, len(slots)) == (ticket, 0)
    slots.put_back(slots.slots[0])
    assert len(slots) == 1
