"""The receiving end of a message broker: takes jobs while it has a slot free, and has them run."""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from compox_core.errors import StateError, StorageError
from compox_core.jobs.celery import celery_module, connect, make_app, task_name
from compox_core.jobs.executors import RETRY_SECONDS
from compox_core.jobs.job import RunJob
from compox_core.records import Job, JobKind
from compox_core.settings.models import CeleryExecutor as CelerySettings
from compox_core.settings.models import Settings

logger = logging.getLogger(__name__)

ID = re.compile(r"[0-9a-zA-Z][0-9a-zA-Z-]{0,99}")
LOOK_AGAIN_SECONDS = 5.0


class CeleryWorker:
    """Takes messages from the broker of the settings, and has `run` do each job, `slots` at a time.

    `run` is called in a thread of its own and returns when the job has ended, or is not ours to run. Broker
    heartbeats, and the way back after an outage, are seen to by the thread that called `work`.
    """

    def __init__(self, settings: Settings, run: RunJob, slots: int) -> None:
        self._settings = settings
        self._run = run
        self._slots = slots
        self._app = make_app(settings)
        self._intake = _Intake(slots)
        self._ending = threading.Event()
        backend = settings.inference.backend_settings
        assert isinstance(backend, CelerySettings)
        self._app.conf.worker_send_task_events = backend.run_flower
        # A name of its own for each process: two with one name would share the queue of their control messages.
        self.name = f"{backend.worker_name}-{os.getpid()}@{socket.gethostname()}"
        for kind in JobKind:
            self._app.task(self._task(kind), name=task_name(kind), bind=True, ignore_result=True, shared=False)

    def _task(self, kind: JobKind) -> Callable[[Any, Any], None]:
        def body(task: Any, message: Any) -> None:
            with self._intake.slot(task.request.id):
                job = job_of(message, kind)
                if job is not None:
                    self._do(job)

        return body

    def _do(self, job: Job) -> None:
        """Run a job; where the store is away, wait for it: the next message would fare no better."""
        told = False
        while True:
            try:
                self._run(job)
            except StorageError as problem:
                if problem.code == "invalid_record":
                    logger.error("%s Its job is left alone.", problem)
                    return
                if not told:
                    logger.warning("Job %s cannot begin, will try again: %s", job.id, problem)
                told = True
                if self._ending.wait(RETRY_SECONDS):
                    return
            except StateError:  # closed: the job is in the store, and others will see to it
                return
            except Exception:  # a defect; the next message is waiting
                logger.exception("Job %s could not be run.", job.id)
                return
            else:
                return

    def work(self, ready: Callable[[], None], closing: Callable[[], None]) -> int:
        """Take messages until `stop`; return the exit code.

        Args:
            ready: Is called once, when messages are taken.
            closing: Is called when no more are; has to make every `run` that goes on return.

        Raises CompoxError (`broker_unavailable`) where the broker does not answer at the start.
        """
        connect(self._app, self._settings)
        self._intake.install(self._app)

        def close() -> None:
            self._ending.set()
            closing()

        self._app.steps["worker"].add(_closing_step(close))
        # Threads of the pool have no application of their own, and would find the tasks of another one, or none.
        celery_module("celery.app.trace").setup_worker_optimizations(self._app, self.name)
        worker = self._app.WorkController(
            hostname=self.name,
            pool_cls="threads",
            concurrency=self._slots,
            without_mingle=True,
            without_gossip=True,
            ready_callback=lambda _: ready(),
        )
        worker.start()
        return int(worker.exitcode or 0)

    def stop(self) -> None:
        """Take no more messages; for a signal handler: `work` goes on with it within a second."""
        self._intake.over = True
        celery_module("celery.worker.state").should_stop = 0


def job_of(message: Any, kind: JobKind) -> Job | None:
    """Return the job of a message; None, with a word in the log, where it is none of ours."""
    if (
        isinstance(message, dict)
        and message.get("kind") == kind.value
        and isinstance(message.get("id"), str)
        and ID.fullmatch(message["id"])
    ):
        return Job(kind, message["id"])
    logger.error(
        'A message for "%s" is not {"kind": "%s", "id": …} and was dropped: a server of compox 3.2 on this broker?',
        task_name(kind),
        kind.value,
    )
    return None


def only_ours(handle: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a handler of messages that gives those to Celery which any sender of ours may have sent.

    Celery ends its worker over some others, which then come to the next worker, and so on.
    """

    def handle_ours(message: Any) -> Any:
        why = what_is_odd(message)
        if why is None:
            return handle(message)
        logger.error("A message that is none of ours was dropped: %s", why)
        message.reject_log_error(logger, OSError)
        return None

    return handle_ours


def what_is_odd(message: Any) -> str | None:
    """Return why a message cannot be one of ours; None where it can."""
    headers = message.headers or {}
    if headers.get("task") not in [task_name(kind) for kind in JobKind]:
        return "it names no task that there is"
    if not isinstance(headers.get("id"), str) or not isinstance(headers.get("root_id", ""), str | None):
        return "it has no id"
    timed = headers.get("timelimit") not in (None, [None, None])
    if timed or any(headers.get(name) is not None for name in ("eta", "expires", "group")):
        return "it has times or a group, which ours never have"
    if message.content_type != "application/json":
        return "it is not JSON"
    try:
        body = message.payload
    except Exception as problem:  # each way to be broken has its own exception
        return f"it cannot be read ({type(problem).__name__})"
    if not (isinstance(body, list) and [type(part) for part in body] == [list, dict, dict]):
        return "its body is not [arguments, named arguments, options]"
    return None


class _Intake:
    """Takes messages only while a slot is free.

    Celery asks for the next message as soon as one is acknowledged, and would keep it from idle workers until a slot
    here is free. So the consumer is cancelled when the last slot is taken, before that message is acknowledged.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._consumer: Any = None
        self._timer: Any = None
        self._paused = False
        self.over = False  # a worker that ends still does what it was asked to do soon

    def install(self, app: Any) -> None:
        """Have the workers of `app` take messages so."""
        steps = celery_module("celery.bootsteps")
        intake = self

        class Intake(steps.StartStopStep):  # type: ignore[misc, name-defined]
            """Meets the consumer at each connection to the broker."""

            requires = ("celery.worker.consumer.tasks:Tasks",)

            def __init__(self, consumer: Any, **options: Any) -> None:
                consumer.initial_prefetch_count = 1  # what is not acknowledged is not in a slot yet
                make_handler = consumer.create_task_handler
                consumer.create_task_handler = lambda *given, **more: only_ours(make_handler(*given, **more))
                # What is in a queue of Redis and is no message at all.
                consumer.connection_errors = (*consumer.connection_errors, ValueError, TypeError, KeyError)
                super().__init__(consumer, **options)

            def start(self, consumer: Any) -> None:
                intake._meet(consumer)

        app.steps["consumer"].add(Intake)
        celery_module("celery.signals").task_received.connect(self._received, weak=False)

    def _meet(self, consumer: Any) -> None:
        """Take over a consumer that is about to begin, also after an outage."""
        self._consumer = consumer
        self._paused = False
        if self._timer is not None:
            self._timer.cancel()
        self._timer = consumer.timer.call_repeatedly(LOOK_AGAIN_SECONDS, consumer.call_soon, (self._look_again,))
        if self._full:
            consumer.call_soon(self._pause)

    @property
    def _full(self) -> bool:
        with self._lock:
            return self._held.total() >= self._slots

    def _received(self, request: Any, **_: Any) -> None:
        with self._lock:
            self._held[request.id] += 1
        if self._full:
            self._pause()

    @contextmanager
    def slot(self, message_id: str) -> Iterator[None]:
        """Hold the slot of a message until the block ends; in any thread."""
        try:
            yield
        finally:
            self._release(message_id)
            self._consumer.call_soon(self._resume)

    def _release(self, message_id: str) -> None:
        with self._lock:
            self._held[message_id] -= 1
            if self._held[message_id] <= 0:
                del self._held[message_id]

    def _pause(self) -> None:
        if not self._paused and self._consumer.task_consumer is not None:
            self._paused = True
            self._consumer.task_consumer.cancel()

    def _resume(self) -> None:
        if self._paused and not self.over and not self._full and self._consumer.task_consumer is not None:
            self._paused = False
            self._consumer.task_consumer.consume()

    def _look_again(self) -> None:
        """Give the slots of messages free that Celery has dropped: those of a task that Flower revoked."""
        reserved = {request.id for request in celery_module("celery.worker.state").reserved_requests}
        with self._lock:
            for message_id in [held for held in self._held if held not in reserved]:
                del self._held[message_id]
        self._resume()


def _closing_step(closing: Callable[[], None]) -> Any:
    """Return a step of the worker that comes after the last message was taken and before its threads are awaited."""
    steps = celery_module("celery.bootsteps")

    class Closing(steps.StartStopStep):  # type: ignore[misc, name-defined]
        """Has the jobs end."""

        requires = ("celery.worker.components:Pool",)

        def start(self, worker: Any) -> None:
            pass

        def stop(self, worker: Any) -> None:
            closing()

        terminate = stop

    return Closing
