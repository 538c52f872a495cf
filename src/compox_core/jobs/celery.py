"""Jobs that travel through a message broker to workers elsewhere: the one place that imports Celery.

A message is `{"kind": …, "id": …}` and nothing more: the store holds what is to be done, and who may do it. So a
message that is lost is sent again by the reconciler, and one that comes twice finds its job claimed. It is
acknowledged as soon as a worker has it, and no result is sent back.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from compox_core.errors import CompoxError, MissingExtraError, SettingsError
from compox_core.jobs.executors import closed_error
from compox_core.records import Job, JobKind
from compox_core.settings.models import CeleryExecutor as CelerySettings
from compox_core.settings.models import Settings

logger = logging.getLogger(__name__)

QUEUE = "processing-queue"
CONNECT_SECONDS = 2.0
PAUSE_SECONDS = 5.0
"""How long no job is published after the broker was found unreachable: so that a request does not wait for it."""
BEHIND_OTHERS = 20
"""How many times `republish_seconds` a message may wait behind others until it counts as lost."""
COUNTED_SECONDS = 1.0
"""How long the number of waiting messages counts as known."""


def celery_module(name: str) -> Any:
    """Return a module of Celery. Raises MissingExtraError."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f'The executor "celery" needs {error.name}, which is not installed: pip install "compox-core[celery]".',
            details={"extra": "celery", "module": error.name},
        ) from error


def task_name(kind: JobKind) -> str:
    """Return what Celery calls a kind of job, as compox 3.2 does: `task`, `benchmark_task`, `deploy_task` …"""
    return "task" if kind is JobKind.EXECUTION else f"{kind.value}_task"


def make_app(settings: Settings) -> Any:
    """Return the Celery application of these settings; connects to nothing.

    Raises:
        MissingExtraError: the extra `celery`, or the client of this kind of broker, is not installed.
        SettingsError: `broker_url` or `result_backend` cannot be used.
    """
    celery = celery_module("celery")
    backend = _celery_settings(settings)
    url = backend.broker_url.get_secret_value()
    redis = _brokers(settings)[0].scheme in ("redis", "rediss")

    class App(celery.Celery):  # type: ignore[misc, name-defined]
        """Celery with the broker of the settings, whatever the environment says (`CELERY_BROKER_URL`)."""

        def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
            return super().connection_for_read(url or self.broker, **options)

        def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
            return super().connection_for_write(url or self.broker, **options)

    app = App("compox", loader="app", fixups=[], set_as_current=False)
    app.broker = url
    app.conf.update(
        broker_url=url,
        result_backend=backend.result_backend.get_secret_value(),
        accept_content=["json"],
        result_accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        event_serializer="json",
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_acks_late=False,
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2},
        broker_connection_timeout=CONNECT_SECONDS,
        broker_connection_retry_on_startup=False,
        broker_connection_max_retries=None,  # a worker outlives any outage
        broker_transport_options={"socket_connect_timeout": CONNECT_SECONDS} if redis else {"confirm_publish": True},
        worker_prefetch_multiplier=1,
        worker_enable_prefetch_count_reduction=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    _check(app)
    return app


def _check(app: Any) -> None:
    """Raise where Celery cannot make anything of the URLs; none of its words are shown, which may hold passwords."""
    attempts: dict[str, Callable[[], Any]] = {
        "broker_url": lambda: app.connection_for_write().transport,
        "result_backend": lambda: app.backend,
    }
    for key, attempt in attempts.items():
        try:
            attempt()
        except ImportError as error:
            raise MissingExtraError(
                f"inference.backend_settings.{key} needs {error.name or 'a library'}, which is not installed.",
                details={"extra": "celery", "module": error.name},
            ) from None
        except Exception as error:  # each broker and backend has its own way to say no
            raise SettingsError(
                f"inference.backend_settings.{key} is nothing that Celery can use ({type(error).__name__}): "
                "write amqp://user:password@host:port/vhost or redis://host:port/db.",
                details={"key": f"inference.backend_settings.{key}"},
            ) from None


def broker_place(settings: Settings) -> str:
    """Return where the broker is, without the password."""
    places = []
    for url in _brokers(settings):
        user = f"{url.username}@" if url.username else ""
        port = f":{url.port}" if url.port else ""
        places.append(f"{url.scheme}://{user}{url.hostname or 'localhost'}{port}{url.path}")
    return ", ".join(places)


def said_of_broker(problem: BaseException, settings: Settings) -> str:
    """Return what a broker's client says is wrong, without the password."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    passwords = [url.password for url in _brokers(settings) if url.password]
    variants = {way for each in passwords for way in (each, unquote(each), quote(unquote(each), safe=""))}
    for secret in sorted(variants, key=len, reverse=True):
        text = text.replace(secret, "**")
    return text


def _brokers(settings: Settings) -> list[SplitResult]:
    """Return the URL of the broker, or those of several of which any will do. Raises SettingsError."""
    try:
        urls = [urlsplit(url) for url in _celery_settings(settings).broker_url.get_secret_value().split(";")]
        if all(url.scheme for url in urls) and [url.port for url in urls]:  # a port that is none is a ValueError
            return urls
    except ValueError:
        pass  # its words may show the password
    raise SettingsError(
        "inference.backend_settings.broker_url is no URL: write amqp://user:password@host:port/vhost or "
        "redis://host:port/db, and several with ; between them where any of them will do.",
        details={"key": "inference.backend_settings.broker_url"},
    )


def connect(app: Any, settings: Settings) -> None:
    """Find out whether the broker answers and lets us in. Raises CompoxError (`broker_unavailable`)."""
    try:
        with app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.5)
            connection.default_channel.close()
    except Exception as problem:  # each broker's client has its own exceptions
        raise CompoxError(
            f"The broker at {broker_place(settings)} cannot be used: {said_of_broker(problem, settings)}. "
            "Check inference.backend_settings.broker_url, and that the broker runs.",
            code="broker_unavailable",
            retryable=True,
        ) from None  # its traceback may show the URL


class CeleryExecutor:
    """Sends jobs to the workers of a broker.

    A job that cannot be sent waits in the store, and the reconciler submits it again. No call waits long for a broker
    that does not answer.
    """

    remote = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app = make_app(settings)
        self._lock = threading.Lock()
        self._published: OrderedDict[Job, float] = OrderedDict()
        self._unreachable_until = 0.0
        self._waiting = 0
        self._counted = float("-inf")
        self._closed = False

    def submit(self, job: Job) -> None:
        """Publish the job, or leave it to the reconciler where the broker is not there."""
        if self._closed:
            raise closed_error()
        if time.monotonic() < self._unreachable_until:
            logger.debug("Job %s is not published yet: the broker did not answer a moment ago.", job.id)
            return
        try:
            self._app.send_task(
                task_name(job.kind),
                args=[{"kind": job.kind.value, "id": job.id}],
                task_id=job.id,
                queue=QUEUE,
                ignore_result=True,
                confirm_timeout=CONNECT_SECONDS,
            )
        except Exception as problem:  # each broker's client has its own exceptions; the job is safe in the store
            self._missed(problem)
            logger.warning(
                "Job %s could not be sent to the broker at %s, and will be once it answers: %s",
                job.id,
                broker_place(self._settings),
                said_of_broker(problem, self._settings),
            )
            return
        with self._lock:
            self._published.pop(job, None)
            self._published[job] = time.monotonic()

    def knows(self, job: Job) -> bool:
        """Return whether a message for the job may still be on its way to a worker, or can not be sent anyway.

        It is where the job was published of late, or less long ago while messages wait in the queue, of which its own
        may be one. Nobody can know that, so it is sent again in the end; a message too many does no harm.
        """
        now = time.monotonic()
        if now < self._unreachable_until:
            return True
        republish = self._settings.inference.queue.republish_seconds
        with self._lock:
            while self._published and next(iter(self._published.values())) < now - BEHIND_OTHERS * republish:
                self._published.popitem(last=False)
            published = self._published.get(job)
        if published is None:
            return False
        return now < published + republish or self._messages_waiting() > 0

    def _messages_waiting(self) -> int:
        with self._lock:
            if time.monotonic() - self._counted < COUNTED_SECONDS:
                return self._waiting
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=0)
                queue = self._app.amqp.queues[QUEUE](connection.default_channel)
                waiting = int(queue.queue_declare().message_count)  # declared like any sender and worker declares it
        except Exception as problem:  # each broker's client has its own exceptions
            self._missed(problem)
            return 1
        with self._lock:
            self._waiting, self._counted = waiting, time.monotonic()
        return waiting

    def _missed(self, problem: Exception) -> None:
        logger.debug("The broker did not answer: %s", said_of_broker(problem, self._settings))
        self._unreachable_until = time.monotonic() + PAUSE_SECONDS

    def cancel(self, job: Job) -> bool:
        """Return False: the message is out of our hands; the claim of the job decides."""
        return False

    def close(self, timeout: float | None) -> list[Job]:
        """Send no more jobs; what was sent is the workers' affair."""
        self._closed = True
        self._app.close()
        return []


def _celery_settings(settings: Settings) -> CelerySettings:
    backend = settings.inference.backend_settings
    if not isinstance(backend, CelerySettings):
        raise SettingsError(
            "These settings name no broker: set inference.backend_settings.executor to celery and broker_url.",
            code="invalid_server_backend",
        )
    return backend
