"""What the two ends of a broker do by themselves; see tests/celery for the rest."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import cast

import pytest

from compox_core.errors import SettingsError, StateError, StorageError
from compox_core.jobs.celery import (
    BEHIND_OTHERS,
    QUEUE,
    CeleryExecutor,
    broker_place,
    make_app,
    said_of_broker,
    task_name,
)
from compox_core.jobs.celery_worker import CeleryWorker
from compox_core.records import Job, JobKind
from compox_core.settings import Settings, load_settings

JOB = Job(JobKind.EXECUTION, "a")


def settings(url: str = "redis://localhost:1/0") -> Settings:
    backend = {"executor": "celery", "broker_url": url, "result_backend": "disabled://"}
    return load_settings({"inference": {"backend_settings": backend}})


class LaterKind(StrEnum):
    """A kind of job that there is not yet."""

    TRAINING = "training"


def test_the_names_that_both_ends_agree_on_are_those_of_compox_3() -> None:
    """A queue and a task for each kind; the worker knows exactly these."""
    assert QUEUE == "processing-queue"
    assert task_name(JobKind.EXECUTION) == "task"
    assert task_name(JobKind.BENCHMARK) == "benchmark_task"
    assert task_name(JobKind.DEPLOY) == "deploy_task"
    assert task_name(cast(JobKind, LaterKind.TRAINING)) == "training_task"
    tasks = CeleryWorker(settings(), lambda job: None, 1)._app.tasks
    assert {name for name in tasks if not name.startswith("celery.")} == {task_name(kind) for kind in JobKind}


@pytest.mark.parametrize(
    ("seconds_ago", "waiting", "known"),
    [(None, 5, False), (10, 0, True), (40, 0, False), (40, 5, True), (BEHIND_OTHERS * 30 + 1, 5, False)],
)
def test_when_a_message_counts_as_lost(
    seconds_ago: float | None, waiting: int, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never where none was sent; after a while where none waits; after a long while in any case."""
    executor = CeleryExecutor(settings())
    monkeypatch.setattr(executor, "_messages_waiting", lambda: waiting)
    if seconds_ago is not None:
        executor._published[JOB] = time.monotonic() - seconds_ago
    assert executor.knows(JOB) is known
    executor.close(None)


@pytest.mark.parametrize(
    ("problems", "calls"),
    [
        ([StorageError("away"), StorageError("away")], 3),
        ([StorageError("broken", code="invalid_record")], 1),
        ([StateError("closed")], 1),
        ([ZeroDivisionError("a defect")], 1),
    ],
)
def test_what_a_worker_does_where_a_job_cannot_begin(
    problems: list[Exception], calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a store that is away, in place of taking one message after the other; else it goes on."""
    monkeypatch.setattr("compox_core.jobs.celery_worker.RETRY_SECONDS", 0.001)
    seen: list[Job] = []

    def run(job: Job) -> None:
        seen.append(job)
        if problems:
            raise problems.pop()

    CeleryWorker(settings(), run, 1)._do(JOB)
    assert seen == [JOB] * calls


def test_a_worker_that_ends_waits_for_no_store() -> None:
    """The job is in the store's queue, whenever that is back."""

    def run(job: Job) -> None:
        raise StorageError("away")

    worker = CeleryWorker(settings(), run, 1)
    worker._ending.set()
    worker._do(JOB)


def test_no_password_of_several_brokers_is_shown() -> None:
    """Also where it stands in a message in another spelling."""
    several = settings("amqp://u:hush1@one:5672//;amqp://u:hush%402@two//")
    assert broker_place(several) == "amqp://u@one:5672//, amqp://u@two//"
    said = said_of_broker(RuntimeError("amqp://u:hush%402@two: no hush@2, no hush1"), several)
    assert said == "amqp://u:**@two: no **, no **"


@pytest.mark.parametrize("url", ["", "nonsense", "redis://[::1", "redis://a:6379;redis://b:port", "amqp://a;", ";"])
def test_a_url_that_is_none_is_told(url: str) -> None:
    """By the key that it stands under, and by nothing that may be a password."""
    with pytest.raises(SettingsError, match=r"inference\.backend_settings\.broker_url"):
        make_app(settings(url))
