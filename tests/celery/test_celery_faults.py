"""Two workers on one broker: they share the work, and whatever dies, no job is lost, stuck or run twice."""

from __future__ import annotations

import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from compox_core.engine import Engine
from compox_core.records import TaskStatus
from tests.brokers import Broker, free_port
from tests.celery.site import Site, until

pytestmark = [pytest.mark.broker, pytest.mark.slow]

MARKED = """
import os
from pathlib import Path
folder = Path(args["folder"])
with open(folder / "marks", "a") as marks:
    marks.write(f"{args['number']} {os.getppid()}\\n")
self.log_message("begun")
while args.get("wait") and not (folder / "go").exists():
    self.set_progress(0.5)
    time.sleep(0.01)
return data
"""

TELLS = """
from pathlib import Path
folder = Path(args["folder"])
self.set_progress(0.25)
self.log_message(f"tells-{folder.name}-begun")
while not (folder / "on").exists():
    time.sleep(0.01)
self.set_progress(0.75)
print(f"tells-{folder.name}-on")
while not (folder / "go").exists():
    time.sleep(0.01)
return data
"""
UNDER_WAY = {TaskStatus.PENDING, TaskStatus.STARTED, TaskStatus.RUNNING}


@pytest.fixture
def site(broker: Broker, tmp_path: Path) -> Iterator[Site]:
    """A store of its own, without workers as yet."""
    site = Site(tmp_path / "site", broker)
    yield site
    site.close()


def marks(folder: Path) -> list[tuple[str, str]]:
    """Return which job was begun by which worker, in order."""
    return [(number, pid) for number, pid in map(str.split, (folder / "marks").read_text().splitlines())]


def begun(engine: Engine, execution: str) -> None:
    until(lambda: "begun" in engine.executions.get(execution).log, "a line in the log")


def both_work(site: Site, engine: Engine, algorithm: str, folder: Path) -> None:
    """Have two jobs run at once, each on a worker of its own: both have then done all that came before."""
    folder.mkdir()
    jobs = [site.submit(engine, algorithm, folder=str(folder), number=str(n), wait=True) for n in range(2)]
    for job in jobs:
        begun(engine, job)
    (folder / "go").touch()
    assert {site.ended(engine, job).status for job in jobs} == {TaskStatus.COMPLETED}
    assert {number for number, _ in marks(folder)} == {"0", "1"}
    assert len(marks(folder)) == len({pid for _, pid in marks(folder)}) == 2


def test_two_workers_share_200_jobs_each_once(site: Site, tmp_path: Path) -> None:
    """Every job completes, was begun once, and both workers had some."""
    site.work()
    site.work()
    with site.server() as engine:
        algorithm = site.deploy(engine, MARKED)
        jobs = [site.submit(engine, algorithm, folder=str(tmp_path), number=str(n)) for n in range(200)]
        assert {site.ended(engine, job).status for job in jobs} == {TaskStatus.COMPLETED}
    counted = Counter(number for number, _ in marks(tmp_path))
    assert counted == {str(number): 1 for number in range(200)}
    assert len({pid for _, pid in marks(tmp_path)}) == 2


@pytest.mark.parametrize("retry", [0, 1])
def test_a_worker_that_crashes_costs_its_own_job_at_most(site: Site, retry: int, tmp_path: Path) -> None:
    """Its job fails with `worker_lost`, or runs again elsewhere; what waits is run by the other worker."""
    doomed = site.work()
    with site.server() as engine:
        algorithm = site.deploy(engine, MARKED, extra=f"retry = {retry}")
        first = site.submit(engine, algorithm, folder=str(tmp_path), number="0", wait=True)
        begun(engine, first)
        others = [site.submit(engine, algorithm, folder=str(tmp_path), number=str(n)) for n in range(1, 6)]
        doomed.kill()
        (tmp_path / "go").touch()
        site.work()
        assert {site.ended(engine, job).status for job in others} == {TaskStatus.COMPLETED}
        record = site.ended(engine, first)
    if retry:
        assert (record.status, record.attempt) == (TaskStatus.COMPLETED, 2)
    else:
        assert record.error is not None
        assert (record.status, record.error.code) == (TaskStatus.FAILED, "worker_lost")
    counted = Counter(number for number, _ in marks(tmp_path))
    assert counted == {"0": 1 + retry, **{str(number): 1 for number in range(1, 6)}}


def test_progress_and_log_of_each_job_are_seen_while_both_run(site: Site, tmp_path: Path) -> None:
    """By the server that has them, and by another one; each job's own, and as they grow."""
    site.work()
    site.work()
    with site.server() as engine, site.server(resume=False) as elsewhere:
        algorithm = site.deploy(engine, TELLS)
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
        jobs = [site.submit(engine, algorithm, folder=str(folder)) for folder in folders]

        def seen(job: str, progress: float, words: list[str]) -> bool:
            records = [server.executions.get(job) for server in (engine, elsewhere)]
            assert {record.status for record in records} <= UNDER_WAY, records
            logs = [[word for word in record.log.split() if word.startswith("tells-")] for record in records]
            return all(record.progress == progress for record in records) and logs == [words, words]

        one, two = jobs
        until(lambda: seen(one, 0.25, ["tells-one-begun"]), "the first words of one")
        until(lambda: seen(two, 0.25, ["tells-two-begun"]), "the first words of the other")
        (folders[1] / "on").touch()
        until(lambda: seen(two, 0.75, ["tells-two-begun", "tells-two-on"]), "its next words")
        assert seen(one, 0.25, ["tells-one-begun"])
        for folder in folders:
            (folder / "on").touch()
            (folder / "go").touch()
        records = [site.ended(engine, job) for job in jobs]
        assert [elsewhere.executions.get(job) for job in jobs] == records
    assert [(record.status, record.progress) for record in records] == [(TaskStatus.COMPLETED, 1.0)] * 2
    assert "tells-one-on" in records[0].log
    assert "tells-two" not in records[0].log


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broker_that_restarts_in_mid_job_is_not_noticed(site: Site, workers: int, tmp_path: Path) -> None:
    """The jobs go on; what waited, and what was submitted while there was no broker, is run, each once."""
    for _ in range(workers):
        site.work()
    with site.server() as engine:
        algorithm = site.deploy(engine, MARKED)
        jobs = [site.submit(engine, algorithm, folder=str(tmp_path), number=str(n), wait=n < workers) for n in range(5)]
        running = jobs[:workers]
        for job in running:
            begun(engine, job)
        site.broker.kill()
        jobs += [site.submit(engine, algorithm, folder=str(tmp_path), number=str(n)) for n in range(5, 7)]
        assert [engine.executions.get(job).status for job in running] == [TaskStatus.RUNNING] * workers
        site.broker.start()
        (tmp_path / "go").touch()
        records = [site.ended(engine, job) for job in jobs]
        if workers == 2:
            both_work(site, engine, algorithm, tmp_path / "both")
        assert [engine.executions.get(job) for job in jobs] == records
    assert [(record.status, record.attempt) for record in records] == [(TaskStatus.COMPLETED, 1)] * 7
    assert Counter(number for number, _ in marks(tmp_path)) == {str(number): 1 for number in range(7)}
    assert [worker.process.poll() for worker in site.workers] == [None] * workers


def test_a_worker_that_is_asked_to_end_says_so_of_its_job(site: Site, tmp_path: Path) -> None:
    """What runs is stopped and recorded, what waits is left to others; the exit status is 0."""
    worker = site.work()
    with site.server() as engine:
        algorithm = site.deploy(engine, MARKED)
        first = site.submit(engine, algorithm, folder=str(tmp_path), number="0", wait=True)
        begun(engine, first)
        waiting = site.submit(engine, algorithm, folder=str(tmp_path), number="1")
        assert worker.end() == 0, worker.said()
        assert "Traceback" not in worker.said()
        assert site.ended(engine, first).status is TaskStatus.STOPPED
        assert engine.executions.get(waiting).status is TaskStatus.PENDING
        site.work()
        assert site.ended(engine, waiting).status is TaskStatus.COMPLETED


def test_messages_that_are_none_of_ours_are_dropped(site: Site, tmp_path: Path) -> None:
    """Whoever sends them: the worker says so and goes on."""
    from compox_core.jobs.celery import QUEUE, make_app

    worker = site.work()
    with site.server() as engine:
        app = make_app(engine.settings)
        for junk in ([{"kind": "deploy", "id": "x"}], ["{}"], [None], [{"kind": "execution", "id": "../../x"}], []):
            app.send_task("task", args=junk, queue=QUEUE)
        app.send_task("task", args=[{"kind": "execution", "id": "no-such-job"}], queue=QUEUE)
        app.send_task("unknown_task", args=[1], queue=QUEUE)
        algorithm = site.deploy(engine, MARKED)
        job = site.submit(engine, algorithm, folder=str(tmp_path), number="0")
        assert site.ended(engine, job).status is TaskStatus.COMPLETED
    assert worker.process.poll() is None
    assert "was dropped" in worker.said()


def test_flower_starts_with_the_worker_and_ends_with_it(broker: Broker, tmp_path: Path) -> None:
    """On the port of the settings; it knows the worker."""
    port = free_port()
    site = Site(tmp_path / "site", broker, more=f"run_flower: true\n    flower_port: {port}")
    try:
        worker = site.work()

        def page() -> str:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    return str(answer.read().decode())
            except OSError:
                return ""

        until(lambda: "compox_worker" in page(), lambda: worker.said())
        assert worker.end() == 0
        until(lambda: not page(), "the end of Flower")
    finally:
        site.close()


def test_a_broker_that_is_not_there_is_told(site: Site, tmp_path: Path) -> None:
    """The worker ends with exit status 1 and says where it looked, never the password."""
    import subprocess
    import sys

    config = tmp_path / "nowhere.yaml"
    config.write_text(
        site.config.read_text().replace(site.broker.url, f"amqp://me:hush-hush@127.0.0.1:{free_port()}//")
    )
    done = subprocess.run(
        [sys.executable, "-m", "compox_cli.main", "worker", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "The broker at amqp://me@127.0.0.1" in done.stderr
    assert "hush" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
