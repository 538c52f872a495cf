"""How the parts of an engine are put together, and taken apart."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from compox_core.algorithms.registry import Registry
from compox_core.engine.algorithms import Algorithms
from compox_core.engine.benchmarks import Benchmarks
from compox_core.engine.builtin_bundle import BuiltinBundle, trusted_signers
from compox_core.engine.bundles import Bundles
from compox_core.engine.checkpoints import Checkpoints
from compox_core.engine.deploys import Deploys
from compox_core.engine.executions import Executions
from compox_core.engine.links import Links
from compox_core.engine.samples import Samples
from compox_core.engine.tasks import Desk
from compox_core.engine.trainings import Trainings
from compox_core.engine.upkeep import Upkeep
from compox_core.errors import SettingsError, StorageError
from compox_core.jobs import (
    Executor,
    InlineExecutor,
    Lifecycle,
    LocalRun,
    ThreadExecutor,
    Workbench,
    make_bench,
    works,
)
from compox_core.jobs.delivery import Delivery, emergency_records
from compox_core.jobs.reconcile import Reconciler
from compox_core.jobs.retention import Janitor, Retention
from compox_core.records import AlgorithmVersion, Job, TaskRecord
from compox_core.runners import BaseRunner
from compox_core.settings import Settings
from compox_core.settings.locations import resolve_path
from compox_core.storage import ObjectStore
from compox_core.storage.file_pins import FilePins
from compox_core.tasks import LiveTasks, Presence, TaskStores
from compox_core.tasks.devices import see_gpus
from compox_core.tasks.watch import Watch

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
HERE = ("inline", "threads", "fastapi_background_tasks")
"""The executors that run algorithms in this process."""


@dataclass
class Parts:
    """What exists while an engine is open."""

    store: ObjectStore
    desk: Desk
    registry: Registry
    algorithms: Algorithms
    executions: Executions
    benchmarks: Benchmarks
    deploys: Deploys
    trainings: Trainings
    samples: Samples
    checkpoints: Checkpoints
    bundles: Bundles
    builtin_bundle: BuiltinBundle
    retention: Retention
    links: Links


def wire(
    settings: Settings,
    store: ObjectStore,
    registry: Registry,
    *,
    url: str | None,
    executor: str,
    resume: bool,
    load_class: Callable[[AlgorithmVersion], type[BaseRunner]] | None,
) -> Parts:
    """Return the parts of an engine on an open store; `url` is where that lies when the settings do not say it."""
    queue = settings.inference.queue
    stores = TaskStores(store)
    bench = make_bench(settings, store, registry=registry, load_class=load_class)
    presence = Presence(store, queue.heartbeat_seconds, queue.lost_after_seconds)
    watch = Watch(store, queue.lost_after_seconds, interval_seconds=queue.reconcile_seconds)
    emergency = emergency_records(settings, store, presence.holder, watch.is_lost)
    live = LiveTasks(stores, settings.limits.max_log_bytes, emergency)
    presence.on_pause = live.drop_decided
    idle = settings.inference.runner_idle_seconds
    if idle is not None:
        live.every.append(partial(bench.runners.drop_idle, idle))
    lifecycle = Lifecycle(live, presence, bench.files)
    made = _executor(settings, executor, resume, store, url, bench, lifecycle)
    delivery = None if emergency is None else Delivery(stores, emergency, lambda task_id: _unsaved(live, task_id))
    reconciler = None
    if delivery is not None:
        reconciler = Reconciler(
            stores,
            presence,
            watch,
            lambda job, record: _submit(live, made, job, record),
            getattr(made, "knows", None) or (lambda job: live.get(job.id) is not None),
            resume=resume,
            reconcile_seconds=queue.reconcile_seconds,
            republish_seconds=queue.republish_seconds if made.remote else 0.0,
            before=delivery.run_once,
            kept=delivery.keeps,
        )
    retention = Retention(
        store,
        settings.storage,
        pins=[FilePins(store).pinned],
        temp_path=resolve_path(settings, "inference.temp_path"),
    )
    janitor = Janitor(retention, queue.sweep_seconds) if resume else None
    upkeep = Upkeep(store, presence, reconciler, emergency, delivery, janitor)
    desk = Desk(bench, live, presence, lifecycle, made, upkeep, resume)
    executions = Executions(desk)
    live.stop = executions.stop_task  # whatever the kind
    return Parts(
        store=store,
        desk=desk,
        registry=registry,
        algorithms=Algorithms(registry, store),
        executions=executions,
        benchmarks=Benchmarks(desk),
        deploys=Deploys(desk),
        trainings=Trainings(desk),
        samples=Samples(bench.samples, bench.files),
        checkpoints=Checkpoints(bench.checkpoints, registry),
        bundles=Bundles(store, registry, trusted_signers(settings)),
        builtin_bundle=BuiltinBundle(settings, store, presence),
        retention=retention,
        links=Links(bench.files, store, settings),
    )


def _submit(live: LiveTasks, executor: Executor, job: Job, record: TaskRecord) -> None:
    if not executor.remote:
        live.add(record)
    executor.submit(job)


def _unsaved(live: LiveTasks, task_id: str) -> bool:
    task = live.get(task_id)
    return task is not None and task.unsaved


def _executor(
    settings: Settings,
    name: str,
    serves: bool,
    store: ObjectStore,
    url: str | None,
    bench: Workbench,
    lifecycle: Lifecycle,
) -> Executor:
    backend = settings.inference.backend_settings
    stop = settings.inference.stop
    if name == "auto":
        name = "processes" if serves and store.shared else "threads"
    if name in HERE:
        see_gpus(settings.inference.cuda_visible_devices)
    if name == "inline":
        return InlineExecutor(LocalRun(lifecycle, works(bench), bench.runners.clear), stop)
    if name in HERE:
        return ThreadExecutor(
            LocalRun(lifecycle, works(bench), bench.runners.clear), stop, getattr(backend, "worker_number", 1)
        )
    if name not in ("processes", "celery"):
        raise _no_such_executor(
            name, f"The executor '{name}' is unknown: use 'threads', 'processes', 'inline' or 'celery'"
        )
    if not store.shared:
        raise _no_such_executor(
            name,
            f"The store {store.url} lies in the memory of this process, so no other process can run jobs of it: use "
            f"the executor 'threads' or 'inline' in place of '{name}', or a folder or S3 as store",
        )
    if name == "celery":
        from compox_core.jobs.celery import CeleryExecutor

        return CeleryExecutor(settings)
    # Only here: other engines need not load what watches over processes.
    from compox_core.jobs.processes.opening import process_executor

    made = process_executor(settings, url, bench, lifecycle)
    made.start()
    return made


def _no_such_executor(name: str, message: str) -> SettingsError:
    return SettingsError(
        f"{message} (inference.backend_settings.executor).",
        code="invalid_server_backend",
        details={"executor": name},
    )


def wind_down(parts: Parts, wait: bool) -> None:
    """End what runs, and record how what is left behind ended."""
    desk = parts.desk
    parts.builtin_bundle.close()
    desk.upkeep.close()
    if not wait:
        desk.live.stop_all()
    for job in desk.executor.close(None if wait else CLOSE_SECONDS):
        _say_left(desk, job)


def _say_left(desk: Desk, job: Job) -> None:
    """Record how a job ended that the closing engine leaves behind."""
    task = desk.live.get(job.id)
    if task is None:
        return
    if task.claimed:
        desk.lifecycle.leave_running(task, CLOSE_SECONDS)
    elif not desk.resume:
        try:
            desk.lifecycle.stop_waiting(task)
        except StorageError as problem:
            logger.warning("Job %s stays queued: %s", job.id, problem)
