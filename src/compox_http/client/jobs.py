"""The jobs of a server: ask for one, follow it, stop it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import BaseModel

from compox_core.engine.history import MetricHistory
from compox_core.errors import ParameterError
from compox_core.records import (
    ExecutionRecord,
    ExecutionRequest,
    MetricPoint,
    TaskRecord,
    TrainingRecord,
    TrainingRequest,
)
from compox_http.client.connection import API, API_V1, Connection, segment
from compox_http.client.readings import read_execution, read_points, read_training

FIRST_POLL_SECONDS = 0.005
LAST_POLL_SECONDS = 0.5
POLL_SHARE = 0.1  # of the time that the job has taken so far, which is about how much later its end is seen
FOLLOWED = 256
POINTS = 10_000

R = TypeVar("R", bound=TaskRecord)


class RemoteJobs(Generic[R]):
    """The jobs of one kind on a server."""

    _path: ClassVar[str]

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._followed: OrderedDict[str, float] = OrderedDict()

    def _read(self, body: Mapping[str, Any]) -> R:
        raise NotImplementedError

    def _ask(self, path: str, request: BaseModel) -> Mapping[str, Any]:
        content = request.model_dump_json(fallback=_plain)
        headers = {"Content-Type": "application/json"}
        answer: Mapping[str, Any] = self._connection.json("POST", path, content=content, headers=headers)
        return answer

    def get(self, task_id: str) -> R:
        """Return a record as it is now. Raises NotFoundError (`…_record_not_found`)."""
        return self._read(self._connection.json("GET", f"{self._path}/{segment(task_id)}"))

    def log(self, task_id: str) -> str:
        """Return the log of a job as its record shows it: at most 1 MiB, head and tail."""
        return self.get(task_id).log

    def stop(self, task_id: str) -> None:
        """Ask a job to stop. Raises ConflictError (`…_not_stoppable`) when it has ended."""
        self._connection.json("POST", f"{self._path}/{segment(task_id)}/stop")

    def wait(self, task_id: str, timeout: float | None = None) -> R:
        """Wait until a job has ended, at most `timeout` seconds; return its record as it is then.

        Asks every 5 ms at first, and less often the longer the job takes.
        """
        began = self._following_since(task_id)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            record = self.get(task_id)
            now = time.monotonic()
            pause = min(max(FIRST_POLL_SECONDS, (now - began) * POLL_SHARE), LAST_POLL_SECONDS)
            left = pause if deadline is None else min(pause, deadline - now)
            if record.status.final or left <= 0:
                return record
            time.sleep(left)

    def _following_since(self, task_id: str) -> float:
        with self._lock:
            began = self._followed.setdefault(task_id, time.monotonic())
            while len(self._followed) > FOLLOWED:
                self._followed.popitem(last=False)
            return began


class RemoteExecutions(RemoteJobs[ExecutionRecord]):
    """Runs of algorithms on a server."""

    _path = f"{API}/executions"

    def submit(self, request: ExecutionRequest) -> str:
        """Ask for a run and return its id. Raises NotFoundError and ParameterError as an engine does."""
        return str(self._ask(f"{API}/execute-algorithm", request)["execution_id"])

    def _read(self, body: Mapping[str, Any]) -> ExecutionRecord:
        return read_execution(body)


class RemoteTrainings(RemoteJobs[TrainingRecord]):
    """Trainings of algorithms on a server."""

    _path = f"{API}/training"

    def submit(self, request: TrainingRequest) -> str:
        """Ask for a training and return its id. Raises what an engine raises."""
        return str(self._ask(f"{API}/train-algorithm", request)["training_id"])

    def metrics(self, training_id: str) -> MetricHistory:
        """Return the metric history so far. Raises NotFoundError (`training_record_not_found`)."""
        path = f"{API_V1}/trainings/{segment(training_id)}/metrics"
        found: list[MetricPoint] = []
        first = 0
        while True:
            points, first = read_points(self._connection.json("GET", path, params={"first": first, "limit": POINTS}))
            if not points:
                return MetricHistory(found)
            found += points

    def _read(self, body: Mapping[str, Any]) -> TrainingRecord:
        return read_training(body)


def _plain(value: Any) -> Any:
    """Return what JSON has for a parameter that Python gives: a number for numpy's, a list for an array."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise ParameterError(
        f"A parameter may hold numbers, texts, lists and dicts, not {type(value).__name__} ({value!r}).",
        details={"rule": "type", "value": repr(value)},
    )
