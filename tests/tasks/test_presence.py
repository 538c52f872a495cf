"""A process as others recognise it, and the counter by which they see that it lives."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from compox_core import holder as module
from compox_core.errors import StorageError
from compox_core.storage import SYSTEM, ObjectStore, open_store
from compox_core.storage.folder import FolderStore
from compox_core.tasks.presence import Holder, Presence, host_mark, process_started, this_process

DEADLINE = 60.0


class Moody(FolderStore):
    """A folder that takes no writes while `refusing`."""

    refusing = False
    asked = 0

    def put(self, collection: str, key: str, data: bytes) -> None:
        if self.refusing:
            self.asked += 1
            raise StorageError("no space left")
        super().put(collection, key, data)


class FakeClock:
    """A clock that stands still until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def heartbeats(store: ObjectStore) -> dict[str, int]:
    """Return the counters of all processes by incarnation."""
    found = (json.loads(store.get(SYSTEM, info.key)) for info in store.list(SYSTEM, "processes/"))
    return {each["holder"]["incarnation"]: each["count"] for each in found}


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


class TestHolder:
    def test_it_knows_that_it_lives(self) -> None:
        """The present process is not gone, and its mark is the same at every call."""
        holder = this_process("me")
        assert holder == this_process("me")
        assert (holder.pid, holder.gone_here()) == (os.getpid(), False)
        assert str(holder) == f"process {os.getpid()} on {holder.host.partition('|')[0]}"

    def test_it_is_the_same_after_json(self) -> None:
        """What another process reads is the same holder, and what a later version adds does not disturb."""
        holder = this_process("me")
        assert Holder.model_validate_json(holder.model_dump_json()) == holder
        assert Holder.model_validate({**holder.model_dump(), "colour": "red"}) == holder

    def test_another_process_of_this_machine_sees_the_same(self) -> None:
        """Two processes on one machine have one host mark and see each other's start alike."""
        code = f"""
from compox_core.tasks.presence import host_mark, process_started
print(host_mark(), process_started({os.getpid()}), sep="\\n")
"""
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert answer.stdout.splitlines() == [host_mark(), process_started(os.getpid())]

    def test_a_process_that_ended_is_gone(self, child: subprocess.Popen[bytes]) -> None:
        """A killed process is gone, already while its parent has not asked for its end, and afterwards."""
        holder = Holder(incarnation="c", host=host_mark(), pid=child.pid, started=process_started(child.pid) or "")
        assert holder.gone_here() is False
        child.kill()
        until(lambda: holder.gone_here() is True)
        child.wait()
        assert holder.gone_here() is True

    def test_a_number_that_was_given_again(self, child: subprocess.Popen[bytes]) -> None:
        """A living process with the same number that began at another time is not the holder."""
        holder = Holder(incarnation="c", host=host_mark(), pid=child.pid, started="at another time")
        assert holder.gone_here() is True

    def test_another_machine_cannot_know(self) -> None:
        """Where the mark is another one, the same number and start prove nothing."""
        holder = this_process("me").model_copy(update={"host": "elsewhere|1"})
        assert holder.gone_here() is None

    def test_a_process_that_the_system_hides(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the system does not show a process, nothing is known."""

        def hidden(pid: int) -> str:
            raise PermissionError(pid)

        holder = this_process("me")
        monkeypatch.setattr(module, "process_started", hidden)
        assert holder.gone_here() is None

    @pytest.mark.skipif(sys.platform == "win32", reason="its times of starts stay when the clock is set")
    def test_a_clock_that_is_set(self, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
        """A start is told alike before and after it, by every process, also where the system tells it by that clock."""
        pids = (os.getpid(), child.pid)
        before = [module._started_elsewhere(pid) for pid in pids]
        assert None not in before
        assert len(set(before)) == 2
        reported = psutil.Process.create_time
        monkeypatch.setattr(psutil.Process, "create_time", lambda process: reported(process) + 3600)
        assert [module._started_elsewhere(pid) for pid in pids] == before
        code = f"from compox_core import holder; print(*map(holder._started_elsewhere, {pids}))"
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert answer.stdout.split() == before

    @pytest.mark.parametrize("pid", [-1, 0, 2**22 + 1, 2**80])
    def test_numbers_that_no_process_has(self, pid: int) -> None:
        """A number that no process can have has no start."""
        assert process_started(pid) is None


class TestPresence:
    def test_nobody_is_told_where_nobody_can_look(self) -> None:
        """In a store of this process alone nothing is written."""
        store = open_store("memory://")
        presence = Presence(store, 0.01)
        presence.ensure()
        assert presence.fresh()
        assert list(store.list(SYSTEM)) == []
        presence.close()

    def test_the_counter_rises(self, tmp_path: Path) -> None:
        """From the first need on the object is there with who it is of, its counter rises, and `close` removes it."""
        store = FolderStore(tmp_path)
        presence = Presence(store, 0.01)
        assert list(store.list(SYSTEM)) == []
        presence.ensure()
        first = heartbeats(store)[presence.incarnation]
        until(lambda: heartbeats(store)[presence.incarnation] > first + 3)
        content = json.loads(store.get(SYSTEM, f"processes/{presence.incarnation}"))
        assert Holder.model_validate(content["holder"]) == presence.holder
        presence.close()
        assert list(store.list(SYSTEM)) == []

    def test_a_closed_one_stays_away(self, tmp_path: Path) -> None:
        """After `close` no call brings the object back."""
        store = FolderStore(tmp_path)
        presence = Presence(store, 0.01)
        presence.ensure()
        presence.close()
        presence.ensure()
        presence.beat_now()
        assert list(store.list(SYSTEM)) == []

    def test_one_that_was_never_needed_leaves_nothing(self, tmp_path: Path) -> None:
        """Opening and closing alone writes nothing."""
        store = FolderStore(tmp_path)
        Presence(store, 0.01).close()
        assert list(tmp_path.iterdir()) == []

    def test_a_refused_beat_is_tried_again(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A store that takes no writes for a while is reported once, and the counter rises when it takes them again."""
        store = Moody(tmp_path)
        presence = Presence(store, 0.01)
        with caplog.at_level(logging.WARNING):
            presence.ensure()
            store.refusing = True
            until(lambda: store.asked > 3)
            store.refusing = False
            last = heartbeats(store)[presence.incarnation]
            until(lambda: heartbeats(store)[presence.incarnation] > last)
        presence.close()
        assert [record.message for record in caplog.records] == [
            "The heartbeat of this process cannot be stored, will try on: no space left"
        ]

    def test_the_first_need_tells_that_the_store_refuses(self, tmp_path: Path) -> None:
        """A process that cannot show that it lives may not hold a job: whoever wants to hears of it, and may retry."""
        store = Moody(tmp_path)
        store.refusing = True
        presence = Presence(store, 1000)
        with pytest.raises(StorageError):
            presence.ensure()
        assert not presence.fresh()
        store.refusing = False
        presence.ensure()
        assert presence.fresh()
        presence.close()

    def test_after_a_pause_it_beats_before_anything_else(self, tmp_path: Path) -> None:
        """Where the last beat is long past, the next need beats first, and tells once that there was a pause."""
        clock, pauses = FakeClock(), []
        store = FolderStore(tmp_path)
        presence = Presence(store, 1000, 20, on_pause=lambda: pauses.append(clock.now), clock=clock)
        presence.ensure()
        clock.now += 9
        presence.ensure()
        assert (heartbeats(store)[presence.incarnation], pauses) == (1, [])
        clock.now += 6
        presence.ensure()  # late, but nobody can have given this process up
        assert (heartbeats(store)[presence.incarnation], pauses) == (2, [])
        clock.now += 21
        assert not presence.fresh()
        presence.ensure()
        presence.ensure()
        assert (heartbeats(store)[presence.incarnation], pauses) == (3, [1036.0])
        presence.close()

    def test_a_store_that_was_out_of_reach_for_long_is_a_pause_too(self, tmp_path: Path) -> None:
        """Others saw no beat all the while, whatever the reason was."""
        clock, pauses = FakeClock(), []
        store = Moody(tmp_path)
        presence = Presence(store, 1000, 20, on_pause=lambda: pauses.append(clock.now), clock=clock)
        presence.ensure()
        store.refusing = True
        for _ in range(3):
            clock.now += 10
            with pytest.raises(StorageError):
                presence.beat_now()
        store.refusing = False
        presence.beat_now()
        assert pauses == [1030.0]
        presence.close()

    def test_a_defect_in_what_follows_a_pause_stops_no_beat(self, tmp_path: Path) -> None:
        """What is to be done after a pause may fail; the beat has been stored."""
        clock = FakeClock()

        def broken() -> None:
            raise RuntimeError("defect")

        store = FolderStore(tmp_path)
        presence = Presence(store, 1000, 20, on_pause=broken, clock=clock)
        presence.ensure()
        clock.now += 30
        presence.ensure()
        assert heartbeats(store) == {presence.incarnation: 2}
        presence.close()
