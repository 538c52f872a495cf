"""What becomes of the jobs of processes that are gone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from compox_core.errors import StorageError
from compox_core.jobs.reconcile import Reconciler
from compox_core.records import ErrorInfo, ExecutionRecord, TaskStatus
from compox_core.storage import EXECUTIONS, SYSTEM, ObjectInfo
from compox_core.storage.memory import MemoryStore
from compox_core.tasks import EndNote, TaskStores
from tests.jobs.queues import Clock, Fixed, Hand, Signed, executions, holder, record

DEAD, DEAD_TOO, ALIVE = holder("dead"), holder("dead-too"), holder("alive")


class Failing(MemoryStore):
    """A store that can be shared, as far as anybody asks, and that can be out of reach."""

    shared = True
    down = False

    def list(self, collection: str, prefix: str = "") -> Iterator[ObjectInfo]:
        if self.down:
            raise StorageError("out of reach")
        return super().list(collection, prefix)


class Scene:
    """A store, and a process that reconciles it."""

    def __init__(self, lost: tuple[str, ...] = (), **arguments: Any) -> None:
        self.lost = ("dead", "dead-too", *lost)
        self.store = Failing()
        self.tasks = executions(self.store)
        self.clock = Clock()
        self.me, self.hand, self.reconciler = self.process("me", **arguments)

    def process(self, name: str, **arguments: Any) -> tuple[Signed, Hand, Reconciler]:
        """Return a process, what it is handed, and its reconciler, for which those named dead are lost."""
        presence, hand = Signed(self.store, name), Hand()
        reconciler = Reconciler(
            TaskStores(self.store),
            presence,
            Fixed(self.store, *self.lost),
            hand.submit,
            hand.knows,
            clock=self.clock,
            **{"resume": True, **arguments},
        )
        return presence, hand, reconciler

    def job(self, task_id: str = "a", *, home: Any = DEAD, resume: bool = True, retries: int = 0) -> ExecutionRecord:
        """Store a job that somebody accepted."""
        made = record(task_id, retries=retries)
        self.tasks.create(made, home, resume=resume)
        return made

    def queue(self) -> list[str]:
        """Return what lies in the queue."""
        return [info.key.removeprefix("queue/") for info in self.store.list(EXECUTIONS, "queue/")]

    def home(self, task_id: str = "a") -> str | None:
        """Return whose a job is."""
        entry = self.tasks.entry(task_id)
        return entry and entry.home.incarnation


@pytest.fixture
def scene() -> Scene:
    return Scene()


class TestJobsThatNobodyHasBegun:
    def test_they_are_taken_over_in_their_order(self, scene: Scene) -> None:
        """The jobs that a lost server had accepted become this one's and are submitted here, oldest first, once."""
        for task_id in ("c", "a", "b"):
            scene.job(task_id)
        scene.reconciler.run_once()
        scene.reconciler.run_once()
        assert scene.hand.submitted == ["a", "b", "c"]
        assert {scene.home(task_id) for task_id in "abc"} == {"me"}
        assert [info.key for info in scene.store.list(SYSTEM)] == ["processes/me"]

    def test_the_jobs_of_the_living_are_theirs(self, scene: Scene) -> None:
        """A job whose process lives is left alone, however long it waits."""
        scene.job(home=ALIVE)
        for _ in range(5):
            scene.reconciler.run_once()
        assert (scene.hand.submitted, scene.home()) == ([], "alive")

    def test_who_does_not_resume_leaves_them(self) -> None:
        """A notebook does not take over what a server had accepted."""
        scene = Scene(resume=False)
        scene.job()
        scene.reconciler.run_once()
        assert (scene.hand.submitted, scene.home(), scene.queue()) == ([], "dead", ["a.job"])

    @pytest.mark.parametrize("resume", [True, False])
    def test_what_only_its_own_process_may_begin_ends(self, resume: bool) -> None:
        """A job of a notebook that is gone is FAILED, by a server or by another notebook."""
        scene = Scene(resume=resume)
        scene.job(resume=False)
        scene.reconciler.run_once()
        ended = scene.tasks.load("a")
        assert (ended.status, ended.error and ended.error.code) == (TaskStatus.FAILED, "worker_lost")
        assert ended.error is not None
        assert "never began: process 4711 on elsewhere" in ended.error.message
        assert (scene.queue(), scene.hand.submitted) == ([], [])
        assert not scene.tasks.claim("a", 1, ALIVE)

    def test_another_server_is_quicker(self, scene: Scene) -> None:
        """Where two take over one job, the one that comes second leaves it."""
        scene.job()
        _, hand, other = scene.process("other")
        mine = scene.reconciler._stores.of(scene.tasks.kind)
        load = mine.load

        def overtaken(task_id: str) -> Any:
            other.run_once()  # after this one has looked whose the job is
            return load(task_id)

        mine.load = overtaken  # type: ignore[method-assign]
        scene.reconciler.run_once()
        assert (hand.submitted, scene.hand.submitted, scene.home()) == (["a"], [], "other")

    def test_a_job_without_a_record(self, scene: Scene) -> None:
        """What a process left that died while it accepted a job, which it had told nobody, is dropped."""
        for task_id, home in (("a", DEAD), ("b", ALIVE), ("c", scene.me.holder)):
            scene.tasks.adopt(task_id, home, resume=True)
        for _ in range(3):
            scene.reconciler.run_once()
        assert (scene.queue(), scene.hand.submitted) == (["b.job", "c.job"], [])

    def test_an_index_object_of_a_job_that_has_ended(self, scene: Scene) -> None:
        """One that came back, written by somebody who was late, is dropped, and nothing runs again."""
        for task_id, home in (("a", DEAD), ("b", scene.me.holder)):
            made = scene.job(task_id, home=ALIVE)
            scene.tasks.decide(task_id, 1, scene.tasks.note_of(ended(made), "alive"))
            scene.tasks.adopt(task_id, home, resume=True)
        for _ in range(3):
            scene.reconciler.run_once()
        assert (scene.queue(), scene.hand.submitted) == ([], [])


class TestOwnJobs:
    def test_one_that_is_known_is_left(self, scene: Scene) -> None:
        """What waits or runs here needs nobody to look after it."""
        scene.job(home=scene.me.holder)
        scene.hand.known.add("a")
        for _ in range(5):
            scene.reconciler.run_once()
        assert scene.hand.submitted == []

    def test_one_that_got_lost_here_is_submitted_again(self, scene: Scene) -> None:
        """A job of this process that it does not know is submitted, but not when it is first seen."""
        scene.job(home=scene.me.holder)
        scene.reconciler.run_once()
        assert scene.hand.submitted == []
        scene.reconciler.run_once()
        assert scene.hand.submitted == ["a"]

    def test_one_that_waits_elsewhere_is_published_again_now_and_then(self) -> None:
        """Where a broker carries the jobs, one that nobody begins is published again, each time after twice as long."""
        scene = Scene(republish_seconds=30)
        scene.job(home=scene.me.holder)
        times = []
        for _ in range(60):
            scene.reconciler.run_once()
            if scene.hand.submitted:
                times.append(scene.clock.now - 1000)
            scene.hand = scene.hand
            scene.hand.submitted.clear()
            scene.hand.known.clear()
            scene.clock.now += 5
        assert times == [30, 60, 120, 240]

    def test_one_that_had_begun_is_published_soon_when_it_is_to_begin_again(self) -> None:
        """How long it waited the first time does not count for its next attempt."""
        scene = Scene(republish_seconds=30)
        scene.job(home=scene.me.holder, retries=1)
        for _ in range(40):
            scene.reconciler.run_once()
            scene.hand.known.clear()
            scene.clock.now += 5
        scene.tasks.claim("a", 1, DEAD)
        scene.hand.submitted.clear()
        for _ in range(8):
            scene.reconciler.run_once()
            scene.clock.now += 5
        assert scene.hand.submitted == ["a"]


class TestJobsThatHadBegun:
    def test_without_a_retry_they_fail(self, scene: Scene) -> None:
        """The record says what was lost where, the queue is empty, and a late end does not count."""
        made = scene.job(home=ALIVE)
        scene.tasks.claim("a", 1, DEAD)
        scene.tasks.save(made.model_copy(update={"status": TaskStatus.RUNNING, "log": "before\n", "progress": 0.5}))
        scene.tasks.request_stop("a")
        scene.reconciler.run_once()
        for found in (scene.tasks.load("a"), scene.tasks.load_view("a")):
            assert (found.status, found.attempt, found.time_completed is not None) == (TaskStatus.FAILED, 1, True)
            assert found.error is not None
            assert (found.error.code, found.error.retryable) == ("worker_lost", True)
            assert found.error.details == {"host": "elsewhere", "pid": 4711, "attempt": 1}
            assert "process 4711 on elsewhere" in found.error.message
            assert "Submit it again" in found.error.message
            before, line = found.log.splitlines()
            assert (before, line.split(" ")[1], found.error.message in line) == ("before", "ERROR", True)
        assert (scene.queue(), scene.tasks.stop_requested("a")) == ([], False)
        late = scene.tasks.decide("a", 1, scene.tasks.note_of(ended(made), "dead"))
        assert late.by == "me"

    def test_with_a_retry_they_wait_again(self, scene: Scene) -> None:
        """The job begins anew, here where its home is lost too, until its retries are used up."""
        scene.job(retries=1)
        scene.tasks.claim("a", 1, DEAD)
        scene.reconciler.run_once()
        waiting = scene.tasks.load("a")
        assert (waiting.status, waiting.attempt, waiting.error) == (TaskStatus.PENDING, 2, None)
        assert "WARNING Attempt 1 of 2 lost its worker, process 4711 on elsewhere" in waiting.log
        assert (scene.queue(), scene.hand.submitted, scene.home()) == (["a.job"], ["a"], "me")
        assert not scene.tasks.claim("a", 1, DEAD)
        assert scene.tasks.claim("a", 2, DEAD_TOO)
        scene.reconciler.run_once()
        last = scene.tasks.load("a")
        assert (last.status, last.attempt, scene.queue()) == (TaskStatus.FAILED, 2, [])
        assert last.error is not None
        assert "(attempt 2 of 2)" in last.error.message

    def test_a_retry_that_nobody_may_begin(self, scene: Scene) -> None:
        """A job of a program that is no server ends with it, and nothing is promised."""
        scene.job(retries=1, resume=False)
        scene.tasks.claim("a", 1, DEAD)
        scene.reconciler.run_once()
        last = scene.tasks.load("a")
        assert (last.status, last.attempt, scene.queue()) == (TaskStatus.FAILED, 1, [])
        assert last.error is not None
        assert (last.error.code, "will begin" in last.log) == ("worker_lost", False)
        assert "No other attempt begins" in last.error.message
        assert "pyproject.toml" not in last.error.message  # it asks for more tries already

    @pytest.mark.parametrize("resume", [True, False])
    def test_a_retry_at_home(self, scene: Scene, resume: bool) -> None:
        """Where the home of a job lives and only its worker is lost, the home submits it again; a script, too."""
        scene.job(home=ALIVE, retries=1, resume=resume)
        scene.tasks.claim("a", 1, DEAD)
        scene.reconciler.run_once()
        assert (scene.queue(), scene.hand.submitted, scene.home()) == (["a.job"], [], "alive")
        _, hand, home = scene.process("alive")
        home.run_once()
        home.run_once()
        assert hand.submitted == ["a"]

    def test_a_retry_whose_home_ends_first(self, scene: Scene) -> None:
        """What is said is of the attempt that was to come; that another one began stays in the log."""
        scene.job(home=ALIVE, retries=1, resume=False)
        scene.tasks.claim("a", 1, DEAD)
        scene.reconciler.run_once()
        scene.lost = (*scene.lost, "alive")
        _, _, later = scene.process("later")
        later.run_once()
        last = scene.tasks.load("a")
        assert (last.status, last.attempt, scene.queue()) == (TaskStatus.FAILED, 2, [])
        assert last.error is not None
        assert last.error.message.startswith("Attempt 2 of this execution never began")
        assert "Attempt 1 of 2 lost its worker" in last.log

    @pytest.mark.parametrize("who", [ALIVE, holder("me")])
    def test_a_claim_of_the_living_is_theirs(self, scene: Scene, who: Any) -> None:
        """Who lives goes on, whatever became of who had accepted the job."""
        scene.job()
        scene.tasks.claim("a", 1, who)
        before = scene.queue()
        for _ in range(5):
            scene.reconciler.run_once()
        assert (scene.queue(), scene.hand.submitted) == (before, [])
        assert scene.tasks.end_of("a", 1) is None

    def test_an_end_that_came_first(self, scene: Scene) -> None:
        """Where the lost process ends its attempt in the last moment, that counts, and is completed."""
        made = scene.job(home=ALIVE)
        scene.tasks.claim("a", 1, DEAD)
        decide = scene.tasks.decide

        def too_late(task_id: str, attempt: int, note: EndNote) -> EndNote:
            decide(task_id, attempt, scene.tasks.note_of(ended(made), "dead"))
            return decide(task_id, attempt, note)

        scene.reconciler._stores.of(scene.tasks.kind).decide = too_late  # type: ignore[method-assign]
        scene.reconciler.run_once()
        assert scene.tasks.load("a").status is TaskStatus.COMPLETED
        scene.reconciler.run_once()
        assert (scene.queue(), scene.tasks.load_view("a").status) == ([], TaskStatus.COMPLETED)


class TestWhatWasLeftHalfDone:
    """Every point at which a process may have died."""

    def left(self, scene: Scene, *, steps: int) -> None:
        made = scene.job(retries=1)
        scene.tasks.claim("a", 1, DEAD)
        final = ended(made)
        for step in (
            lambda: scene.tasks.decide("a", 1, scene.tasks.note_of(final, "dead")),
            lambda: scene.tasks.save(final),
            lambda: scene.store.delete(EXECUTIONS, "queue/a.job"),
            lambda: scene.tasks.release("a", 1),
        )[:steps]:
            step()

    @pytest.mark.parametrize("steps", [1, 2, 3, 4])
    def test_an_end(self, scene: Scene, steps: int) -> None:
        """However far it came: the record is what the end says, and nothing is left in the queue."""
        self.left(scene, steps=steps)
        scene.reconciler.run_once()
        assert scene.tasks.load_view("a").status is TaskStatus.COMPLETED
        assert (scene.queue(), scene.hand.submitted) == ([], [])

    @pytest.mark.parametrize("steps", [1, 2, 3])
    @pytest.mark.parametrize("home", [DEAD, ALIVE])
    def test_a_retry(self, scene: Scene, steps: int, home: Any) -> None:
        """However far whoever decided it came: the job waits for its second attempt where it belongs."""
        made = scene.job(home=home, retries=1)
        scene.tasks.claim("a", 1, DEAD)
        scene.tasks.decide("a", 1, EndNote(decision="retry", by="dead-too"))
        if steps == 2:
            scene.tasks.save(made.model_copy(update={"attempt": 2}))
        if steps == 3:
            scene.tasks.requeue(made, 1)
        scene.reconciler.run_once()
        assert (scene.queue(), scene.tasks.load("a").attempt) == (["a.job"], 2)
        assert scene.hand.submitted == (["a"] if home is DEAD else [])

    def test_a_claim_that_came_too_late(self, scene: Scene) -> None:
        """One that was left of an attempt with an end does not disturb the attempt that runs, nor stay after it."""
        made = scene.job(home=ALIVE, retries=1)
        scene.tasks.decide("a", 1, EndNote(decision="retry", by="dead-too"))
        scene.tasks.requeue(made, 1)
        scene.store.put(EXECUTIONS, "queue/a.claim.0001", DEAD.model_dump_json().encode())
        assert scene.tasks.claim("a", 2, ALIVE)
        scene.reconciler.run_once()
        assert scene.queue() == ["a.claim.0001", "a.claim.0002", "a.job"]
        final = ended(scene.tasks.load("a"))
        scene.tasks.decide("a", 2, scene.tasks.note_of(final, "alive"))
        scene.tasks.close(final)
        scene.reconciler.run_once()
        assert (scene.queue(), scene.tasks.load("a").attempt) == ([], 2)

    def test_an_index_object_that_is_missing(self, scene: Scene) -> None:
        """A job that may be retried is found again, though nothing but its claim reminds of it."""
        scene.job(retries=1)
        scene.tasks.claim("a", 1, DEAD)
        scene.store.delete(EXECUTIONS, "queue/a.job")
        scene.reconciler.run_once()
        assert (scene.queue(), scene.hand.submitted, scene.home()) == (["a.job"], ["a"], "me")

    @pytest.mark.parametrize("home", [DEAD, None])
    def test_a_claim_without_a_record(self, scene: Scene, home: Any) -> None:
        """What reminds of a job that is not there is dropped."""
        if home is not None:
            scene.tasks.adopt("a", home, resume=True)
        scene.tasks.claim("a", 1, DEAD)
        scene.reconciler.run_once()
        assert scene.queue() == []


BROKEN: dict[str, Callable[[Scene], None]] = {
    "record": lambda scene: scene.store.put(EXECUTIONS, "record/a", b"[]"),
    "end": lambda scene: scene.store.put(EXECUTIONS, "end/a.0001", b""),
    "end's record": lambda scene: scene.store.put(
        EXECUTIONS, "end/a.0001", b'{"decision": "final", "by": "x", "record": {}}'
    ),
}


class TestTrouble:
    @pytest.mark.parametrize("what", BROKEN)
    def test_a_broken_object(self, scene: Scene, what: str, caplog: pytest.LogCaptureFixture) -> None:
        """It is reported once and left as it is; the other jobs are seen to."""
        scene.job("a")
        BROKEN[what](scene)
        scene.job("b")
        scene.job("c")
        scene.tasks.claim("c", 1, DEAD)
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                scene.reconciler.run_once()
        assert [text.endswith("Its job is left alone.") for text in caplog.messages] == [True]
        assert scene.hand.submitted == ["b"]
        assert scene.tasks.load("c").status is TaskStatus.FAILED
        assert "a.job" in scene.queue()

    @pytest.mark.parametrize("content", [b"", b'{"home": 1', b"\xff", b"[]"])
    def test_a_broken_index_object(self, content: bytes) -> None:
        """Nobody is heard of that could be its owner, so the job is taken over."""
        scene = Scene(lost=("unreadable queue/a.job",))
        scene.job("a")
        scene.store.put(EXECUTIONS, "queue/a.job", content)
        scene.reconciler.run_once()
        assert (scene.hand.submitted, scene.home()) == (["a"], "me")

    @pytest.mark.parametrize("content", [b"", b'{"pid": 1', b"\xff", b"[]"])
    def test_a_broken_claim(self, content: bytes) -> None:
        """Nobody is heard of that could hold it, so its job ends as a lost one does."""
        scene = Scene(lost=("unreadable queue/a.claim.0001",))
        scene.job("a")
        scene.store.put(EXECUTIONS, "queue/a.claim.0001", content)
        scene.reconciler.run_once()
        found = scene.tasks.load("a")
        assert found.error is not None
        assert (found.error.code, scene.queue()) == ("worker_lost", [])
        assert "a process of which no readable note is left" in found.error.message

    def test_a_broken_claim_is_watched_first(self, scene: Scene) -> None:
        """Whoever wrote it may live."""
        scene.job("a")
        scene.store.put(EXECUTIONS, "queue/a.claim.0001", b"")
        scene.reconciler.run_once()
        assert scene.tasks.load("a").status is TaskStatus.PENDING

    def test_foreign_objects_in_the_queue(self, scene: Scene) -> None:
        """What is no object of ours is not looked at."""
        for key in ("queue/x", "queue/deep/er.job", "queue/a.claim.x", "queue/a.job.bak"):
            scene.store.put(EXECUTIONS, key, b"?")
        scene.reconciler.run_once()
        assert len(scene.queue()) == 4

    def test_a_store_that_fails(self, scene: Scene) -> None:
        """A round ends with the error, and the next one does it all."""
        scene.job()
        scene.store.down = True
        with pytest.raises(StorageError):
            scene.reconciler.run_once()
        scene.store.down = False
        scene.reconciler.run_once()
        assert scene.hand.submitted == ["a"]

    def test_the_thread_outlives_failures(self, caplog: pytest.LogCaptureFixture) -> None:
        """A store that fails for many rounds is reported once; when it is back, the thread does its work."""
        scene = Scene(reconcile_seconds=0.01)
        scene.job()
        rounds = Rounds(scene.store)
        scene.store.down = True
        with caplog.at_level(logging.WARNING):
            scene.reconciler.start()
            rounds.wait(5)
            scene.store.down = False
            while not scene.hand.submitted:
                rounds.wait(1)
        scene.reconciler.close()
        assert caplog.messages == ["The queue cannot be looked through, will try on: out of reach"]

    def test_known_objects_are_not_read_again(self, scene: Scene) -> None:
        """A long queue that does not change costs a listing a round."""
        for number in range(20):
            scene.job(f"{number:02d}", home=ALIVE)
        for number in range(5):
            scene.tasks.claim(f"{number:02d}", 1, ALIVE)
        scene.reconciler.run_once()
        reads: list[str] = []
        get = scene.store.get
        scene.store.get = lambda collection, key: (reads.append(key), get(collection, key))[1]  # type: ignore[method-assign]
        scene.reconciler.run_once()
        assert reads == []
        scene.tasks.adopt("07", DEAD, resume=True)
        scene.reconciler.run_once()
        assert scene.hand.submitted == ["07"]


class Rounds:
    """Counts how often the heartbeats are listed."""

    def __init__(self, store: Failing) -> None:
        import threading

        self._turn = threading.Semaphore(0)
        listed = store.list

        def counted(collection: str, prefix: str = "") -> Iterator[ObjectInfo]:
            if collection == SYSTEM:
                self._turn.release()
            return listed(collection, prefix)

        store.list = counted  # type: ignore[method-assign]

    def wait(self, count: int) -> None:
        """Wait for the next rounds."""
        for _ in range(count):
            assert self._turn.acquire(timeout=60)


def ended(given: Any) -> Any:
    """Return the record of a job that is COMPLETED."""
    return given.model_copy(update={"status": TaskStatus.COMPLETED, "progress": 1.0, "error": None})


def test_two_kinds_of_jobs() -> None:
    """Jobs of every kind are seen to, in one order."""
    from compox_core.identity import utc_now
    from compox_core.records import BenchmarkRecord, JobKind

    scene = Scene()
    benchmarks = TaskStores(scene.store).of(JobKind.BENCHMARK)
    made = BenchmarkRecord(benchmark_id="b", algorithm_id="x", time_submitted=utc_now())
    benchmarks.create(made, DEAD, resume=True)
    scene.job("a")
    scene.job("c")
    scene.reconciler.run_once()
    assert scene.hand.submitted == ["a", "b", "c"]


def test_an_error_of_a_lost_worker_can_be_stored() -> None:
    """The error is what records hold."""
    scene = Scene()
    scene.job(resume=False)
    scene.reconciler.run_once()
    error = scene.tasks.load("a").error
    assert error == ErrorInfo.model_validate_json(error.model_dump_json() if error else "")
