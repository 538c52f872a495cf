"""An engine that takes its jobs from a message broker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from compox_core.engine.engine import Engine
from compox_core.errors import SettingsError
from compox_core.jobs.celery import broker_place
from compox_core.jobs.celery_worker import CeleryWorker
from compox_core.jobs.flower import Flower
from compox_core.settings import Settings
from compox_core.settings.models import CeleryExecutor


class Worker:
    """Runs jobs that servers with the executor `celery` have accepted, in supervised processes of this machine.

    Args:
        settings: The configuration of such a server: its store and its broker.
        workers: How many jobs run at a time, in place of what the settings say.

    Raises SettingsError where the settings name no broker.
    """

    def __init__(self, settings: Settings, workers: int | None = None) -> None:
        backend = settings.inference.backend_settings
        if not isinstance(backend, CeleryExecutor):
            raise SettingsError(
                "A worker takes its jobs from a message broker, and these settings name none (their executor is "
                f"'{backend.executor}'): set inference.backend_settings.executor to celery, and broker_url.",
                code="invalid_server_backend",
                details={"executor": backend.executor},
            )
        if workers is not None:
            backend = backend.model_copy(update={"worker_number": workers, "workers": None})
            inference = settings.inference.model_copy(update={"backend_settings": backend})
            settings = settings.model_copy(update={"inference": inference})
        self._backend = backend
        slots = sum(backend.workers.values()) if backend.workers else backend.worker_number
        self._engine = Engine(settings, executor="processes", resume=True)
        self._consumer = CeleryWorker(settings, self._engine.run_job, slots)
        self.name = self._consumer.name
        self.place = broker_place(settings)

    def run(self, ready: Callable[[], None]) -> int:
        """Run jobs until `stop`; return the exit code. `ready` is called when the first can come.

        Raises:
            CompoxError: `broker_unavailable`.
            StorageError: when the store cannot be used.
        """
        with ExitStack() as stack:
            self._engine.open()
            stack.callback(self._engine.close, wait=False)
            if self._backend.run_flower:
                stack.enter_context(Flower(self._backend))
            return self._consumer.work(ready, lambda: self._engine.close(wait=False))

    def stop(self) -> None:
        """Take no more jobs, stop those that run, and let `run` return; for a signal handler."""
        self._consumer.stop()
