"""A store, a broker, servers that hand their jobs to it, and workers that take them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from compox_core.data import ImageSchema
from compox_core.engine import Engine
from compox_core.records import ExecutionRecord, ExecutionRequest
from compox_core.settings import load_settings
from tests.brokers import Broker
from tests.engine.authors import image_runner, write_algorithm

DEADLINE = 120.0
IMAGE = np.arange(12, dtype=np.float32).reshape(3, 4)

CONFIG = """
storage:
  backend_settings: {{path: {store}}}
inference:
  stop: {{{stop}}}
  queue: {{heartbeat_seconds: 0.5, lost_after_seconds: 10, reconcile_seconds: 0.5, republish_seconds: 1}}
  backend_settings:
    executor: celery
    broker_url: {broker}
    {more}
"""

STOP = "flag_seconds: 0.3, exception_seconds: 5, terminate_seconds: 2, kill_seconds: 10"


def until(condition: Callable[[], Any], what: Callable[[], str] | str) -> Any:
    """Wait until `condition` holds and return its value."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"never came: {what if isinstance(what, str) else what()}"
        time.sleep(0.02)
    return value


class WorkerProcess:
    """`compox-cli worker` as a process."""

    def __init__(self, config: Path, number: int, *options: str) -> None:
        self._errors = config.parent / f"worker-{number}.log"
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "compox_cli.main", "worker", "--config", str(config), *options],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "takes jobs from" in line, (line, self.said())

    def said(self) -> str:
        """Return what it wrote to stderr."""
        return self._errors.read_text("utf-8", "replace")

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(DEADLINE)

    def end(self) -> int:
        """Ask it to end, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


class Site:
    """Everything that one store needs; lives as long as a module of tests."""

    def __init__(self, folder: Path, broker: Broker, more: str = "", stop: str = STOP) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.broker = broker
        self.config = folder / "compox.yaml"
        text = CONFIG.format(store=folder / "store", broker=broker.url, more=more, stop=stop)
        self.config.write_text(text, encoding="utf-8")
        self.workers: list[WorkerProcess] = []
        self._started = 0

    def work(self, *options: str) -> WorkerProcess:
        """Start one more worker."""
        self._started += 1
        worker = WorkerProcess(self.config, self._started, *options)
        self.workers.append(worker)
        return worker

    def server(self, resume: bool = True) -> Engine:
        """Open an engine as a server has it."""
        return Engine(load_settings(self.config), resume=resume)

    def close(self) -> None:
        """End the workers."""
        for worker in self.workers:
            worker.kill()

    def deploy(self, engine: Engine, body: str, name: str = "sample", extra: str = "") -> str:
        """Deploy an algorithm and return its id."""
        folder = self.folder / "algorithms" / name
        return engine.deploy(write_algorithm(folder, image_runner(body), name=name, extra=extra)).record.algorithm_id

    def submit(self, engine: Engine, algorithm_id: str, **parameters: Any) -> str:
        """Submit a run on one small image and return its id."""
        file_id = engine.files.save({"image": IMAGE}, ImageSchema)
        request = ExecutionRequest(
            algorithm_id=algorithm_id, input_dataset_ids=[file_id], additional_parameters=parameters
        )
        return engine.executions.submit(request).execution_id

    def ended(self, engine: Engine, execution_id: str) -> ExecutionRecord:
        """Wait for the end of a run and return its record."""
        record = engine.executions.wait(execution_id, DEADLINE)
        assert record.status.final, (record, [worker.said() for worker in self.workers])
        return record
