"""What the jobs that run an algorithm have in common."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from compox_core.algorithms.checkpoints import with_checkpoint
from compox_core.identity import utc_now
from compox_core.jobs.bench import Workbench
from compox_core.logs import task_lines
from compox_core.records import AlgorithmTaskRecord, AlgorithmVersion, CheckpointRecord, TaskStatus
from compox_core.records.plain import said
from compox_core.runners import BaseRunner, LoadedRunner, current_handler
from compox_core.tasks import Session, SessionStore, Task, TaskHandler, resolve_device
from compox_core.tasks.capture import captured
from compox_core.tasks.devices import bind_torch


@dataclass(frozen=True)
class Chosen:
    """What a job runs: a version as it was deployed, and with the contents of a checkpoint where one was asked for."""

    declared: AlgorithmVersion
    version: AlgorithmVersion
    checkpoint: CheckpointRecord | None

    @property
    def name(self) -> str:
        """What the version is called in logs."""
        return f"{self.version.name} {self.version.major}.{self.version.minor}"


class AlgorithmWork(ABC):
    """Runs an algorithm in the thread that calls it. What is asked of it, and what it gives, is the subclass's."""

    _kept: ClassVar[bool] = True
    """Whether what is loaded may serve other jobs, too."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def __call__(self, task: Task) -> dict[str, Any]:
        """Run the algorithm; return the fields of the record that hold its result."""
        task.check_stop()
        record = task.snapshot()
        assert isinstance(record, AlgorithmTaskRecord)
        started = time.perf_counter()
        sessions = self._bench.sessions
        with _no_session() if sessions is None else self._session(sessions, record) as (session, fields):
            task.update(status=TaskStatus.STARTED, time_started=utc_now(), **fields)
            chosen = self._chosen(record)
            with self._handler(task, record, chosen, session) as handler:
                token = current_handler.set(handler)
                try:
                    with task_lines(task.id, chosen.name), captured(handler):
                        result = self._run(task, record, chosen.version, handler)
                except BaseException:  # whatever it is, it is raised again
                    handler.withdraw()
                    raise
                finally:
                    current_handler.reset(token)
        if task.stop_raised or task.gate.raised:
            handler.withdraw()
        else:
            task.write_log(
                "INFO",
                f"Completed in {time.perf_counter() - started:.3f} seconds; "
                f"{handler.files_read} files read in {handler.seconds_reading:.3f}, "
                f"{handler.files_written} written in {handler.seconds_writing:.3f} seconds.",
            )
        return result

    def _chosen(self, record: AlgorithmTaskRecord) -> Chosen:
        bench = self._bench
        declared = bench.registry.version(record.algorithm_id, record.resolved_minor_version)
        if not record.checkpoint_id:
            return Chosen(declared, declared, None)
        checkpoint = bench.checkpoints.get(record.checkpoint_id)
        return Chosen(declared, with_checkpoint(declared, checkpoint), checkpoint)

    @contextmanager
    def _handler(
        self, task: Task, record: AlgorithmTaskRecord, chosen: Chosen, session: Session | None
    ) -> Iterator[TaskHandler]:
        """Give what the algorithm has to do with."""
        yield TaskHandler(task, self._bench.store, self._bench.files, chosen.version, session, chosen.checkpoint)

    def _run(
        self, task: Task, record: AlgorithmTaskRecord, version: AlgorithmVersion, handler: TaskHandler
    ) -> dict[str, Any]:
        loaded = load_for(self._bench, task, record, version, handler, kept=self._kept)
        task.update(status=TaskStatus.RUNNING)
        with loaded.run(handler) as runner, task.gate.armed():
            result = self._call(runner, record)
        return self._checked(result, handler)

    @contextmanager
    def _session(self, sessions: SessionStore, record: AlgorithmTaskRecord) -> Iterator[tuple[Session, dict[str, Any]]]:
        """Give the session of the job, and what its record is to say of it."""
        yield sessions.throwaway(), {}

    @abstractmethod
    def _call(self, runner: BaseRunner, record: AlgorithmTaskRecord) -> Any:
        """Call the algorithm. A stop may be raised anywhere in here."""

    @abstractmethod
    def _checked(self, result: Any, handler: TaskHandler) -> dict[str, Any]:
        """Return what `_call` returned as fields of the record. Raises AlgorithmError (`invalid_result`)."""


@contextmanager
def _no_session() -> Iterator[tuple[None, dict[str, Any]]]:
    yield None, {}


def load_for(
    bench: Workbench,
    task: Task,
    record: AlgorithmTaskRecord,
    version: AlgorithmVersion,
    handler: TaskHandler,
    *,
    kept: bool = True,
) -> LoadedRunner:
    """Choose the device of a job, and return the algorithm loaded for it, from the cache where it is there.

    With `kept` false it is loaded for this job alone, which may change what it has loaded.
    """
    metadata = version.metadata
    choice = resolve_device(
        metadata.default_device,
        metadata.supported_devices,
        record.execution_device_override,
        bench.devices,
        bench.settings.inference.device,
        among=None if bench.device is None else [bench.device],
    )
    for warning in choice.warnings:
        handler.log_message(warning, "WARNING")
    device = choice.device
    task.update(resolved_execution_device=device)

    def load() -> LoadedRunner:
        started = time.perf_counter()
        loaded = LoadedRunner(bench.load_class(version), device)
        _bind(bench, device, handler)  # now that the algorithm has imported what it needs
        with task.gate.armed():
            loaded.load(handler)
        task.write_log(
            "INFO",
            f"Loaded {version.name} {version.major}.{version.minor} on {device} "
            f"in {time.perf_counter() - started:.3f} seconds.",
        )
        return loaded

    assets = frozenset((path, entry.sha256) for path, entry in version.assets.items())
    _bind(bench, device, handler)
    key = (version.module.module_id, assets, device)
    loaded = bench.runners.get(key, load, task.check_stop) if kept else load()
    task.check_stop()
    return loaded


def _bind(bench: Workbench, device: str, handler: TaskHandler) -> None:
    """Have code that says `cuda` alone use the GPU that this worker is for."""
    if device != bench.device:
        return
    try:
        bind_torch(device)
    except Exception as problem:  # a PyTorch without CUDA, a GPU that fell out; the algorithm may not need it
        handler.log_message(f"PyTorch cannot use {device}: {said(problem)}", "WARNING")
