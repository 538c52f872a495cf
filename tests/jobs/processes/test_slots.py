"""Which job runs where next."""

from __future__ import annotations

from compox_core.jobs.processes.slots import Slot, Slots, State
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
    ticket = slots.take_any(cpu)
    assert ticket is not None
    assert ticket.job.id == "b"
    assert slots.take_any(cpu) is None
