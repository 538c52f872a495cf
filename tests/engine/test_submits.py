"""Submits that a client may repeat: whatever becomes of the answer and of the server, the job is there once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import compox_core as cx
from compox_core.engine.submits import forget_promise, promised_id, submit_once
from compox_core.errors import ConflictError, InvalidInputError, NotFoundError, StorageError
from compox_core.identity import utc_now
from compox_core.records import ExecutionRecord, ExecutionRequest, JobKind, TaskRecord
from compox_core.storage import EXECUTIONS, SYSTEM, ObjectStore, initialise, open_store
from compox_core.storage.collections import SUBMITS
from compox_core.tasks import EndNote, TaskStore
from tests.engine.authors import image_runner, write_algorithm
from tests.jobs.aged import DEAD, ME

ROOT = Path(__file__).parents[2]
REQUEST = ExecutionRequest(algorithm_id="a", input_dataset_ids=[])
OTHER = ExecutionRequest(algorithm_id="b", input_dataset_ids=[])
NO_IDS = ["", ".", "-a", "a b", "a/b", "ä", "x" * 129, "a\n", "../x", "\0"]


class Submitter:
    """One of those who submit to a store; a job that it has submitted is recorded, and nobody runs it."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.tasks = TaskStore(store, JobKind.EXECUTION)
        self.refuse: Exception | None = None

    def __call__(self, client_id: str, request: ExecutionRequest = REQUEST) -> tuple[TaskRecord, bool]:
        return submit_once(self.store, client_id, request, self.submit, self.tasks.load)

    def submit(self, task_id: str) -> TaskRecord:
        if self.refuse is not None:
            raise self.refuse
        record = ExecutionRecord(execution_id=task_id, algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now())
        self.tasks.create(record, ME, resume=False, contested=True)
        return record

    def queued(self) -> list[str]:
        return [job.id for job in self.tasks.open_jobs()]

    def given_up(self, task_id: str) -> None:
        """Do what is done about a job whose process died before it came to the record."""
        self.tasks.decide(task_id, 1, EndNote(decision="final", by="somebody", record={"status": "FAILED"}))
        self.tasks.drop(task_id)

    def promises(self) -> list[str]:
        return [info.key.partition(".")[2] for info in self.store.list(SYSTEM, SUBMITS)]


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """A store of each local kind."""
    store = open_store("memory://" if request.param == "memory" else tmp_path / "store")
    initialise(store)
    return store


@pytest.fixture
def submitter(store: ObjectStore) -> Submitter:
    return Submitter(store)


class TestOnce:
    def test_the_second_time_finds_the_first(self, submitter: Submitter) -> None:
        """The same id and the same request are the same job; another id is another job."""
        first, created = submitter("mine")
        again, created_again = submitter("mine")
        other, created_other = submitter("other")
        assert (created, created_again, created_other) == (True, False, True)
        assert first.task_id == again.task_id != other.task_id
        assert promised_id(submitter.store, "mine") == first.task_id
        assert submitter.queued() == [first.task_id, other.task_id]

    @pytest.mark.parametrize("client_id", NO_IDS)
    def test_what_is_no_id_is_refused(self, submitter: Submitter, client_id: str) -> None:
        """With its code; it means no job either."""
        with pytest.raises(InvalidInputError) as caught:
            submitter(client_id)
        assert (caught.value.code, caught.value.details) == ("invalid_client_id", {"client_id": client_id})
        assert promised_id(submitter.store, client_id) is None
        assert submitter.promises() == []

    @pytest.mark.parametrize("client_id", ["a", "A:b_c-d.e", "x" * 128, "con", "9"])
    def test_an_id_is_taken_as_it_is(self, submitter: Submitter, client_id: str) -> None:
        """Case counts, and what no object could be called is no matter."""
        assert promised_id(submitter.store, client_id) is None
        record, _ = submitter(client_id)
        assert promised_id(submitter.store, client_id) == record.task_id
        assert promised_id(submitter.store, client_id.swapcase()) in (None, record.task_id)
        assert submitter(client_id.swapcase())[1] is (client_id != client_id.swapcase())

    def test_another_request_under_the_id_is_refused(self, submitter: Submitter) -> None:
        """With the job that the id means; that one is left alone."""
        record, _ = submitter("mine")
        with pytest.raises(ConflictError) as caught:
            submitter("mine", OTHER)
        assert caught.value.code == "submit_conflict"
        assert caught.value.details == {"client_id": "mine", "task_id": record.task_id}
        assert submitter("mine")[0].task_id == record.task_id

    @pytest.mark.parametrize("error", [InvalidInputError("bad"), NotFoundError("missing")])
    def test_a_request_that_is_refused_leaves_its_id_free(self, submitter: Submitter, error: Exception) -> None:
        """A better one may follow under it."""
        submitter.refuse = error
        with pytest.raises(type(error)):
            submitter("mine")
        assert submitter.promises() == []
        submitter.refuse = None
        assert submitter("mine", OTHER)[1]

    def test_a_store_that_fails_keeps_the_promise(self, submitter: Submitter) -> None:
        """What was stored is not known: the same request goes on, another one is refused."""
        submitter.refuse = StorageError("down", retryable=True)
        with pytest.raises(StorageError):
            submitter("mine")
        promised = promised_id(submitter.store, "mine")
        submitter.refuse = None
        with pytest.raises(ConflictError):
            submitter("mine", OTHER)
        record, created = submitter("mine")
        assert (record.task_id, created) == (promised, True)

    @pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"task_id": 3, "request": "x"}'])
    def test_a_broken_promise_is_told(self, submitter: Submitter, content: bytes) -> None:
        """Nothing is submitted in place of what cannot be known."""
        record, _ = submitter("mine")
        (key,) = (info.key for info in submitter.store.list(SYSTEM, SUBMITS))
        submitter.store.put(SYSTEM, key, content)
        for use in (lambda: submitter("mine"), lambda: promised_id(submitter.store, "mine")):
            with pytest.raises(StorageError) as caught:
                use()
            assert caught.value.code == "invalid_record"
        assert submitter.queued() == [record.task_id]

    def test_of_eight_threads_one_submits(self, store: ObjectStore) -> None:
        """All are told of the same job, each time."""
        for number in range(5):
            barrier = threading.Barrier(8)

            def race(_: int, client_id: str = f"c{number}", barrier: threading.Barrier = barrier) -> tuple[str, bool]:
                barrier.wait()
                record, created = Submitter(store)(client_id)
                return record.task_id, created

            with ThreadPoolExecutor(8) as pool:
                told = list(pool.map(race, range(8)))
            assert Counter(created for _, created in told) == {True: 1, False: 7}
            assert len({task_id for task_id, _ in told}) == 1
        assert len(Submitter(store).queued()) == 5


class TestDeadSubmitters:
    """Somebody promised, and died."""

    def promise(self, submitter: Submitter) -> str:
        """Promise a job and die; return its id."""
        submitter.refuse = KeyboardInterrupt()  # type: ignore[assignment] - whatever ends it
        with pytest.raises(KeyboardInterrupt):
            submitter("mine")
        submitter.refuse = None
        task_id = promised_id(submitter.store, "mine")
        assert task_id is not None
        return task_id

    def test_a_promise_without_a_record_is_kept_by_the_next(self, submitter: Submitter) -> None:
        """Under the id that was promised."""
        promised = self.promise(submitter)
        record, created = submitter("mine")
        assert (record.task_id, created) == (promised, True)
        assert not submitter("mine")[1]

    def test_a_job_that_may_still_come_is_waited_for(
        self, submitter: Submitter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its queue entry is there and its process not known to be gone: try again, and nothing is made meanwhile."""
        monkeypatch.setattr("compox_core.engine.submits._LOOK_SECONDS", 0.001)
        promised = self.promise(submitter)
        submitter.tasks.adopt(promised, DEAD, resume=True)
        with pytest.raises(StorageError) as caught:
            submitter("mine")
        assert caught.value.retryable
        assert submitter.queued() == [promised]
        assert list(submitter.tasks.ids()) == []

    def test_a_job_that_was_given_up_is_made_under_another_id(self, submitter: Submitter) -> None:
        """A record under the first id would be read as FAILED, so the client's id means the next one from then on."""
        first = self.promise(submitter)
        submitter.tasks.adopt(first, DEAD, resume=True)
        submitter.given_up(first)
        record, created = submitter("mine")
        assert created and record.task_id != first
        assert (submitter("mine")[0].task_id, submitter("mine")[1]) == (record.task_id, False)
        assert promised_id(submitter.store, "mine") == record.task_id
        assert submitter.queued() == [record.task_id]
        assert list(submitter.tasks.ids()) == [record.task_id]
        assert submitter.promises() == ["", "2"]
        with pytest.raises(ConflictError):
            submitter("mine", OTHER)

    def test_a_record_that_comes_late_is_not_what_the_id_means(self, submitter: Submitter) -> None:
        """A process that was only suspended goes on: its job has ended, and the one that was made instead counts."""
        first = self.promise(submitter)
        submitter.tasks.adopt(first, DEAD, resume=True)
        submitter.given_up(first)
        record, _ = submitter("mine")
        late = ExecutionRecord(execution_id=first, algorithm_id="a", input_dataset_ids=[], time_submitted=utc_now())
        submitter.tasks._records.create(f"record/{first}", late)
        assert submitter.tasks.load(first).status.final
        assert submitter("mine")[0].task_id == record.task_id
        assert promised_id(submitter.store, "mine") == record.task_id

    def test_threads_that_find_it_given_up_make_one(self, store: ObjectStore) -> None:
        """Also twice in a row."""
        submitter = Submitter(store)
        dead = self.promise(submitter)
        for number in (2, 3):
            submitter.tasks.adopt(dead, DEAD, resume=True)
            submitter.given_up(dead)
            with ThreadPoolExecutor(8) as pool:
                told = list(pool.map(lambda _: Submitter(store)("mine"), range(8)))
            assert [created for _, created in told].count(True) == 1
            assert len({record.task_id for record, _ in told}) == 1
            assert len(submitter.promises()) == number
            dead = told[0][0].task_id
            assert submitter.queued() == [dead]
            submitter.tasks.delete(dead)  # as if it had never come to the record
            submitter.tasks.drop(dead)

    def test_an_id_is_freed_with_the_job_that_it_means(self, submitter: Submitter) -> None:
        """Whatever it meant before; the record of an earlier promise frees nothing."""
        first = self.promise(submitter)
        submitter.tasks.adopt(first, DEAD, resume=True)
        submitter.given_up(first)
        record, _ = submitter("mine")
        forget_promise(submitter.store, "mine", first)
        assert promised_id(submitter.store, "mine") == record.task_id
        forget_promise(submitter.store, "mine", record.task_id)
        assert (promised_id(submitter.store, "mine"), submitter.promises()) == (None, [])
        forget_promise(submitter.store, "mine", record.task_id)
        assert submitter("mine", OTHER)[1]


class TestContested:
    """What a store does with jobs whose id others may have."""

    def test_the_record_of_a_job_that_ended_stays(self, submitter: Submitter) -> None:
        """Who comes late changes nothing and leaves nothing in the queue, though the entry was free."""
        record = submitter.submit("a")
        assert submitter.tasks.claim("a", 1, ME)
        submitter.tasks.close(record)
        for _ in range(2):
            with pytest.raises(ConflictError) as caught:
                submitter.submit("a")
            assert caught.value.code == "object_exists"
        assert submitter.queued() == []
        assert submitter.tasks.load("a") == record

    def test_what_was_given_up_cannot_be_created(self, submitter: Submitter) -> None:
        """Nothing is left of the attempt."""
        submitter.given_up("a")
        with pytest.raises(ConflictError) as caught:
            submitter.submit("a")
        assert (caught.value.code, caught.value.details) == ("job_given_up", {"task_id": "a"})
        assert submitter.queued() == []
        assert [info.key for info in submitter.store.list(EXECUTIONS)] == ["end/a.0001"]

    def test_a_store_that_fails_takes_no_record_of_another_away(
        self, submitter: Submitter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An outage while it is looked for is an error, and the record is still there."""
        record = submitter.submit("a")
        submitter.tasks.close(record)
        exists = submitter.store.exists

        def down(collection: str, key: str) -> bool:
            if key.startswith(("record/", "end/")):
                raise StorageError("down", retryable=True)
            return exists(collection, key)

        with monkeypatch.context() as patch:
            patch.setattr(submitter.store, "exists", down)
            with pytest.raises(StorageError):
                submitter.submit("a")
        assert submitter.tasks.load("a") == record
        assert submitter.queued() == []


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """The settings of servers that see soon to what others left."""
    return {
        "storage": {"backend_settings": {"path": str(tmp_path / "store")}},
        "inference": {"queue": {"reconcile_seconds": 0.3}},
        "log_path": str(tmp_path / "log"),
    }


@pytest.fixture
def children(settings: dict[str, Any]) -> Iterator[Any]:
    """Starts servers, which end with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(requests: dict[str, Any], kill: int | None = None) -> subprocess.Popen[str]:
        said = json.dumps({"settings": settings, "requests": requests, "kill": kill})
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.submit_child", said],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no process can be killed in the middle here")
def test_servers_that_are_killed_while_they_submit(
    children: Any, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a submit breaks off, two servers that repeat it at once are told of one job, which runs once."""
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "modules"))
    marks, body = tmp_path / "marks", "open(args['marks'], 'a').write(args['number'] + '\\n')\nreturn data"
    with cx.Engine(cx.load_settings(settings), executor="inline") as engine:
        algorithm = engine.deploy(write_algorithm(tmp_path / "a", image_runner(body))).record.algorithm_id
        file_id = engine.files.save({"image": [[1.0]]})
    requests = {}
    for number in range(5):
        given = {"marks": str(marks), "number": str(number)}
        requests[f"c{number}"] = {
            "algorithm_id": algorithm, "input_dataset_ids": [file_id], "additional_parameters": given,
        }  # fmt: skip
    victims = [children({client_id: body}, kill) for kill, (client_id, body) in enumerate(requests.items())]
    servers = [children(requests) for _ in range(2)]
    for child in (*victims, *servers):
        assert child.stdout.readline() == "ready\n"
    for child in (*victims, *servers):
        child.stdin.write("go\n")
        child.stdin.flush()
    told = [json.loads(server.stdout.readline()) for server in servers]
    assert told[0] == told[1]
    assert {status for _, status in told[0].values()} == {"COMPLETED"}
    assert [victim.wait(30) for victim in victims] == [-signal.SIGKILL] * len(victims)
    assert sorted(marks.read_text().split()) == [str(number) for number in range(5)]
