"""What work needs to be done: the store, what is deployed, what is loaded, what there is to run on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from compox_core.algorithms.checkpoints import CheckpointStore
from compox_core.algorithms.loading import load_version
from compox_core.algorithms.registry import Registry
from compox_core.records import AlgorithmVersion
from compox_core.runners import BaseRunner
from compox_core.settings import Settings, store_options
from compox_core.settings.models import MinioBackend
from compox_core.storage import FileStore, ObjectStore, open_store
from compox_core.tasks import DeviceProbe, RunnerCache, SessionStore
from compox_core.training.samples import SampleStore

if TYPE_CHECKING:
    from compox_core.storage.minio import MinioServer


@dataclass
class Workbench:
    """What the jobs of one process share. `device` is the runtime device that this process is bound to, if any."""

    store: ObjectStore
    files: FileStore
    registry: Registry
    sessions: SessionStore | None
    samples: SampleStore
    runners: RunnerCache
    devices: DeviceProbe
    load_class: Callable[[AlgorithmVersion], type[BaseRunner]]
    settings: Settings
    device: str | None = None

    @property
    def checkpoints(self) -> CheckpointStore:
        """The checkpoints of the registry's algorithms."""
        return self.registry.checkpoints


def make_bench(
    settings: Settings,
    store: ObjectStore,
    *,
    registry: Registry | None = None,
    load_class: Callable[[AlgorithmVersion], type[BaseRunner]] | None = None,
    device: str | None = None,
) -> Workbench:
    """Return a workbench on an open store, by what the settings say."""
    inference = settings.inference
    limits = inference.sessions
    remote = inference.backend_settings.executor == "celery"
    files = FileStore(store)
    return Workbench(
        store=store,
        files=files,
        registry=registry or Registry(store),
        sessions=None
        if remote  # the next task of a session may go to another machine
        else SessionStore(limits.max_sessions, limits.max_items, limits.max_memory_mb, limits.expire_hours),
        samples=SampleStore(store, files),
        runners=RunnerCache(inference.algorithm_cache_maxsize),
        devices=DeviceProbe(visible=inference.cuda_visible_devices),
        load_class=load_class or partial(load_version, store),
        settings=settings,
        device=device,
    )


def open_settings_store(settings: Settings, url: str | None = None) -> ObjectStore:
    """Open the store that the settings name, or another one at `url`."""
    if url is not None:
        return open_store(url, fsync=settings.storage.fsync)
    place = store_options(settings)
    return open_store(
        place.url,
        prefix=place.prefix,
        options=place.options,
        bucket_per_collection=place.bucket_per_collection,
        fsync=place.fsync,
    )


def start_store_server(settings: Settings) -> MinioServer | None:
    """Start the server that the store of the settings lies on, where they say so and none answers yet.

    Engines do it before they open the store, by the settings of what is returned, and close it after the store. Worker
    processes find it answering. Raises SettingsError and StorageError.
    """
    if not isinstance(settings.storage.backend_settings, MinioBackend):
        return None
    from compox_core.storage.minio import start_minio  # which few need, and which loads much

    return start_minio(settings)
