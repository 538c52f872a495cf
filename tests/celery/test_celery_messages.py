"""What comes through a broker: our messages, twice, and those of anybody else."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kombu
import pytest

from compox_core.engine import Engine
from compox_core.jobs.celery import QUEUE, make_app
from compox_core.records import BenchmarkRequest, TaskStatus
from compox_core.settings import load_settings
from tests.brokers import Broker
from tests.celery.site import Site, until
from tests.celery.test_celery_faults import MARKED, begun, both_work, marks

pytestmark = pytest.mark.broker

ID = "01a1fd77-a185-72cc-8412-528ca0039bf2"
NO_BODY: list[Any] = [[], {}, {}]


@pytest.fixture
def site(broker: Broker, tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "site", broker)
    yield site
    site.close()


def publish(site: Site, body: Any, content_type: str = "application/json", **headers: Any) -> None:
    """Send a message with any headers and any body."""
    encoding = "utf-8" if content_type == "application/json" else "binary"
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    with make_app(load_settings(site.config)).connection_for_write() as connection:
        connection.Producer().publish(
            data, routing_key=QUEUE, headers=headers, content_type=content_type, content_encoding=encoding
        )


class Leaves:
    """Leaves a file where somebody unpickles it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.mark), "w"))


def send_again(engine: Engine, job: str) -> None:
    """Send the message of a run three times more: with its task id, that of another, and one of its own."""
    app = make_app(engine.settings)
    for task_id in (job, ID, None):
        app.send_task("task", args=[{"kind": "execution", "id": job}], task_id=task_id, queue=QUEUE)


def on_the_wire(broker: Broker, job: str) -> Any:
    """Return the message of a job as anybody with access to the broker finds it."""
    with kombu.Connection(broker.url) as connection:
        queue = connection.SimpleQueue("processing-queue")
        while True:
            message = queue.get(timeout=60)  # the first ones may be of an earlier test
            message.ack()
            if message.headers["id"] == job:
                return message


@pytest.mark.parametrize(
    ("kind", "name"), [("execution", "task"), ("benchmark", "benchmark_task"), ("deploy", "deploy_task")]
)
def test_what_we_send_is_what_compox_3_calls_it(site: Site, kind: str, name: str, tmp_path: Path) -> None:
    """The queue, the name of the task, JSON, and a body with the kind and the id of the job."""
    with site.server() as engine:
        algorithm = site.deploy(engine, MARKED)
        if kind == "execution":
            job = site.submit(engine, algorithm, folder=str(tmp_path), number="0")
        elif kind == "benchmark":
            job = engine.benchmarks.submit(BenchmarkRequest(algorithm_id=algorithm)).benchmark_id
        else:
            job = engine.deploys.submit(site.folder / "algorithms" / "sample").deploy_id
        message = on_the_wire(site.broker, job)
    assert message.headers["task"] == name
    assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")
    arguments, named, _ = json.loads(message.body)
    assert (arguments, named) == ([{"kind": kind, "id": job}], {})


def test_a_message_that_comes_twice_runs_nothing_twice(site: Site, tmp_path: Path) -> None:
    """While the job runs, and when it has ended; whichever worker gets it, with the same task id or another."""
    site.work()
    site.work()
    with site.server() as engine:
        algorithm = site.deploy(engine, MARKED)
        job = site.submit(engine, algorithm, folder=str(tmp_path), number="0", wait=True)
        begun(engine, job)
        send_again(engine, job)
        # Comes behind them, and only one worker is free: when it has ended, they have been taken.
        behind = site.submit(engine, algorithm, folder=str(tmp_path), number="1")
        assert site.ended(engine, behind).status is TaskStatus.COMPLETED
        running = engine.executions.get(job)
        assert (running.status, running.attempt) == (TaskStatus.RUNNING, 1)
        (tmp_path / "go").touch()
        first = site.ended(engine, job)
        assert (first.status, first.attempt) == (TaskStatus.COMPLETED, 1)
        send_again(engine, job)
        both_work(site, engine, algorithm, tmp_path / "both")
        assert engine.executions.get(job) == first
    assert Counter(number for number, _ in marks(tmp_path)) == {"0": 1, "1": 1}


def test_a_failed_job_whose_message_comes_again_stays_failed(site: Site, tmp_path: Path) -> None:
    """So does one that was stopped before it began: an end is the end."""
    site.work()
    with site.server() as engine:
        algorithm = site.deploy(
            engine, MARKED.replace("return data", "") + "raise ValueError('no good')", extra="retry = 1"
        )
        failed = site.submit(engine, algorithm, folder=str(tmp_path), number="0", wait=True)
        begun(engine, failed)
        stopped = site.submit(engine, algorithm, folder=str(tmp_path), number="1")
        engine.executions.stop(stopped)
        (tmp_path / "go").touch()
        first = [site.ended(engine, job) for job in (failed, stopped)]
        for job in (failed, stopped):
            send_again(engine, job)
        site.work()
        both_work(site, engine, site.deploy(engine, MARKED, name="well"), tmp_path / "both")
        assert [engine.executions.get(job) for job in (failed, stopped)] == first
    assert [(record.status, record.attempt) for record in first] == [(TaskStatus.FAILED, 1), (TaskStatus.STOPPED, 1)]
    assert [number for number, _ in marks(tmp_path)] == ["0"]


def test_workers_that_race_for_a_job_run_it_once(site: Site, tmp_path: Path) -> None:
    """Each job has several messages in the queue when the two begin."""
    with site.server() as engine:
        algorithm = site.deploy(engine, MARKED)
        jobs = [site.submit(engine, algorithm, folder=str(tmp_path), number=str(n)) for n in range(10)]
        for job in jobs:
            send_again(engine, job)
        site.work()
        site.work()
        records = [site.ended(engine, job) for job in jobs]
        both_work(site, engine, algorithm, tmp_path / "both")
        assert [engine.executions.get(job) for job in jobs] == records
    assert {(record.status, record.attempt) for record in records} == {(TaskStatus.COMPLETED, 1)}
    assert Counter(number for number, _ in marks(tmp_path)) == {str(number): 1 for number in range(10)}


def test_no_message_ends_a_worker(site: Site, tmp_path: Path) -> None:
    """Whatever somebody puts into the queue: it is dropped with a word in the log, and the next job is run."""
    worker = site.work()
    mark = tmp_path / "unpickled"
    whole = [[{"kind": "execution", "id": ID}], {}, {}]
    publish(site, [], task="task", id=ID)
    publish(site, {}, task="task", id=ID)
    publish(site, "no JSON", task="task", id=ID)
    publish(site, "[" * 5000, task="task", id=ID)
    publish(site, whole)
    publish(site, whole, task="task")
    publish(site, whole, task="task", id=7)
    publish(site, whole, task=["task"], id=ID)
    publish(site, whole, task="nonsense", id=ID)
    publish(site, whole, task="task", id=ID, timelimit="x")
    publish(site, whole, task="task", id=ID, timelimit=5)
    publish(site, whole, task="task", id=ID, eta="tomorrow")
    publish(site, whole, task="task", id=ID, expires="yesterday")
    publish(site, [1, 2, 3], task="task", id=ID)
    publish(site, [[], {}, None], task="task", id=ID)
    publish(site, [["a"] * 1000, {"b": 1}, {}], task="task", id=ID)
    publish(site, {"task": "task", "id": ID, "args": [1], "kwargs": {}})
    publish(site, pickle.dumps([[Leaves(mark)], {}, {}]), "application/x-python-serialize", task="task", id=ID)
    if site.broker.url.startswith("redis"):
        import redis

        client = redis.Redis.from_url(site.broker.url)
        for raw in (b"no JSON", b"[]", b"7", b"{}"):
            client.lpush(QUEUE, raw)
    with site.server() as engine:
        job = site.submit(engine, site.deploy(engine, MARKED), folder=str(tmp_path), number="0")
        assert site.ended(engine, job).status is TaskStatus.COMPLETED
    assert worker.process.poll() is None, worker.said()
    until(lambda: worker.said().count("was dropped") >= 17, worker.said)
    assert not mark.exists()
    assert worker.end() == 0


def test_a_pickle_is_never_opened(site: Site, tmp_path: Path) -> None:
    """Whichever task it is for, and whatever it says it is; the next job is run."""
    worker = site.work()
    mark = tmp_path / "unpickled"
    bodies = [[[Leaves(mark)], {}, {}], {"task": "task", "id": ID, "args": [Leaves(mark)], "kwargs": {}}]
    pickles = [pickle.dumps(body) for body in bodies]
    for name in ("task", "benchmark_task", "deploy_task"):
        for content_type in ("application/x-python-serialize", "application/json", "application/data"):
            publish(site, pickles[0], content_type, task=name, id=ID)
    publish(site, pickles[1], "application/x-python-serialize")
    with site.server() as engine:
        job = site.submit(engine, site.deploy(engine, MARKED), folder=str(tmp_path), number="0")
        assert site.ended(engine, job).status is TaskStatus.COMPLETED
    until(lambda: worker.said().count("was dropped") >= 10, worker.said)
    assert worker.process.poll() is None, worker.said()
    assert not mark.exists()
    for pickled in pickles:
        pickle.loads(pickled)
        assert mark.exists()
        mark.unlink()
