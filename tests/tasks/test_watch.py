"""How a watcher tells processes that are lost from those that live."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.errors import StorageError
from compox_core.storage import SYSTEM, ObjectInfo
from compox_core.storage.memory import MemoryStore
from compox_core.tasks.presence import Holder, this_process
from compox_core.tasks.watch import Watch

LIMIT = 20.0
INTERVAL = 5.0


class Place(MemoryStore):
    """A store that can be out of reach, and one whose versions may say nothing."""

    unreachable = False
    blind = False
    reads = 0

    def list(self, collection: str, prefix: str = "") -> Iterator[ObjectInfo]:
        if self.unreachable:
            raise StorageError("out of reach")
        for info in super().list(collection, prefix):
            yield replace(info, version="same") if self.blind else info

    def get(self, collection: str, key: str) -> bytes:
        self.reads += 1
        return super().get(collection, key)


class Scene:
    """Processes of another machine, a watcher, and the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.store = Place()
        self.watch = self.watcher()
        self.counts: dict[str, int] = {}

    def watcher(self) -> Watch:
        return Watch(self.store, LIMIT, interval_seconds=INTERVAL, clock=lambda: self.now)

    def beat(self, name: str = "a") -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        content = {"holder": self.holder(name).model_dump(), "count": self.counts[name]}
        self.store.put(SYSTEM, f"processes/{name}", json.dumps(content).encode())

    def holder(self, name: str = "a") -> Holder:
        return Holder(incarnation=name, host="elsewhere|1", pid=1, started="then")

    def look(self, after: float = INTERVAL) -> bool:
        """Let time pass, look, and return whether the process is lost."""
        self.now += after
        self.watch.observe()
        return self.watch.is_lost(self.holder())

    def looks(self, count: int) -> list[bool]:
        return [self.look() for _ in range(count)]

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        self.store.unreachable = True
        yield
        self.store.unreachable = False


@pytest.fixture(params=[False, True], ids=["versions", "no-versions"])
def scene(request: pytest.FixtureRequest) -> Scene:
    """A place, with and without versions that tell one write from the next."""
    scene = Scene()
    scene.store.blind = request.param
    return scene


def test_a_process_that_beats_is_never_lost(scene: Scene) -> None:
    """A counter that rises shows a living process, however long it goes on."""
    for _ in range(50):
        scene.beat()
        assert not scene.look()


def test_a_counter_that_stands_still(scene: Scene) -> None:
    """A process is lost when its counter has not moved for the limit, not before, and lives again when it moves."""
    scene.beat()
    assert scene.looks(7) == [False, False, False, False, True, True, True]
    scene.beat()
    assert scene.looks(6) == [False, False, False, False, True, True]


def test_a_heartbeat_that_never_was(scene: Scene) -> None:
    """A holder without a heartbeat is lost when it was absent for the limit, from when it was first asked for."""
    assert scene.looks(6) == [False, False, False, False, True, True]
    scene.beat()
    assert not scene.look()


def test_a_heartbeat_that_went_away(scene: Scene) -> None:
    """Time in which the counter stood still does not count as absence."""
    scene.beat()
    assert scene.looks(3) == [False, False, False]
    scene.store.delete(SYSTEM, "processes/a")
    assert scene.looks(6) == [False, False, False, False, True, True]


def test_a_watcher_that_was_paused_condemns_nobody(scene: Scene) -> None:
    """After a suspension of all, however long, those who beat again in the usual time are not lost."""
    for _ in range(20):
        for _ in range(3):
            scene.beat()
            assert not scene.look()
        assert not scene.look(after=100_000)


def test_time_without_a_look_at_the_store_does_not_count(scene: Scene) -> None:
    """While the watcher cannot reach the store it knows nothing, and neither can the others beat."""
    scene.beat()
    assert scene.looks(3) == [False, False, False]
    for _ in range(20):
        with scene.unreachable(), pytest.raises(StorageError):
            scene.look()
    assert scene.looks(4) == [False, False, True, True]


def test_one_look_is_not_enough(scene: Scene) -> None:
    """A watcher that has just come knows nothing of other machines, however old what it finds is."""
    scene.beat()
    scene.now += 1_000_000
    scene.watch.observe()
    assert not scene.watch.is_lost(scene.holder())


def test_a_process_of_this_machine_is_lost_at_once(scene: Scene) -> None:
    """Where the system says that the process has ended, its counter is not waited for; a reused number deceives not."""
    mine = this_process("me")
    assert not scene.watch.is_lost(mine)
    assert scene.watch.is_lost(mine.model_copy(update={"started": "another process had this number"}))
    assert scene.watch.is_lost(mine.model_copy(update={"pid": 2**22 + 1}))


def test_reads_are_rare() -> None:
    """Where versions tell one write from the next, heartbeats that move are listed, never read."""
    scene = Scene()
    for _ in range(20):
        for name in "abcdef":
            scene.beat(name)
        scene.look()
    assert scene.store.reads == 0


def test_what_the_lost_left_is_cleared(scene: Scene) -> None:
    """The heartbeat of a lost process goes once nobody names it; those of others stay."""
    scene.beat("a")
    scene.beat("b")
    for _ in range(7):
        scene.beat("c")
        scene.look()
        scene.watch.clear({"b"})
    assert [info.key for info in scene.store.list(SYSTEM)] == ["processes/b", "processes/c"]


def test_what_is_no_heartbeat_disturbs_nobody(scene: Scene) -> None:
    """A broken object among the heartbeats is one that does not move."""
    scene.store.put(SYSTEM, "processes/broken", b"\xff{")
    for _ in range(7):
        scene.beat()
        assert not scene.look()
        scene.watch.clear(set())
    assert [info.key for info in scene.store.list(SYSTEM)] == ["processes/a"]


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.floats(0, 60)),
        st.tuples(st.just("beat"), st.none()),
        st.tuples(st.just("look"), st.none()),
        st.tuples(st.just("outage"), st.none()),
        st.tuples(st.just("vanish"), st.none()),
    ),
    max_size=60,
)


@given(events=EVENTS, blind=st.booleans())
def test_nobody_is_lost_before_the_limit(events: list[tuple[str, float | None]], blind: bool) -> None:
    """Whatever happens in whatever order: who is lost at a look has been silent for the limit, and was looked for."""
    scene = Scene()
    scene.watch.is_lost(scene.holder())  # asked for before the first look
    scene.store.blind = blind
    silent_since, looks, gone = 0.0, 0, False
    for event, amount in events:
        if event == "pass":
            assert amount is not None
            scene.now += amount
        elif event == "beat":
            scene.beat()
            silent_since, looks, gone = scene.now, 0, False
        elif event == "vanish":
            scene.store.delete(SYSTEM, "processes/a")
            gone = True  # it has said good-bye
        elif event == "outage":
            with scene.unreachable(), pytest.raises(StorageError):
                scene.watch.observe()
        else:
            scene.watch.observe()
            looks += 1
            if scene.watch.is_lost(scene.holder()) and not gone:
                assert scene.now - silent_since >= LIMIT
                assert looks >= 3


@given(events=EVENTS, blind=st.booleans())
def test_silence_is_noticed_in_the_end(events: list[tuple[str, float | None]], blind: bool) -> None:
    """Whatever happened before: a process that says nothing more is lost after a bounded number of looks."""
    scene = Scene()
    scene.store.blind = blind
    for event, amount in events:
        if event == "pass":
            scene.now += amount or 0
        elif event == "beat":
            scene.beat()
        elif event == "look":
            scene.watch.observe()
    assert any(scene.looks(8))
