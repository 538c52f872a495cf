"""The executor that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable

from compox_core.errors import CompoxError
from compox_core.jobs.bench import Workbench
from compox_core.jobs.lifecycle import Lifecycle
from compox_core.jobs.processes.executor import ProcessExecutor
from compox_core.jobs.processes.launch import Launch
from compox_core.records import AlgorithmTaskRecord, TaskRecord
from compox_core.settings import Settings
from compox_core.tasks import resolve_device
from compox_core.tasks.devices import cuda_environment


def process_executor(settings: Settings, url: str | None, bench: Workbench, lifecycle: Lifecycle) -> ProcessExecutor:
    """Return an executor of worker processes; `url` is the store where it is not that of the settings."""
    inference = settings.inference
    backend = inference.backend_settings
    workers = getattr(backend, "workers", None)
    return ProcessExecutor(
        lifecycle,
        Launch(settings, lifecycle.holder, url, cuda_environment(inference.cuda_visible_devices)),
        slot_devices(workers, getattr(backend, "worker_number", 1)),
        inference.stop,
        warm_spare=getattr(backend, "warm_spare", True),
        route=_router(bench, list(workers)) if workers else lambda record: None,
    )


def slot_devices(workers: dict[str, int] | None, number: int) -> list[str | None]:
    """Return the device of each slot, by how many workers there are to be for each, or how many in all."""
    if not workers:
        return [None] * number
    return [device for device, count in workers.items() for _ in range(count)]


def _router(bench: Workbench, devices: list[str]) -> Callable[[TaskRecord], str | None]:
    """Return what finds the device of a job among those that workers are for."""

    def route(record: TaskRecord) -> str | None:
        if not isinstance(record, AlgorithmTaskRecord):
            return None
        try:
            metadata = bench.registry.version(record.algorithm_id, record.resolved_minor_version).metadata
        except CompoxError:  # the job itself says what is wrong
            return None
        return resolve_device(
            metadata.default_device,
            metadata.supported_devices,
            record.execution_device_override,
            bench.devices,
            bench.settings.inference.device,
            among=devices,
        ).device

    return route
