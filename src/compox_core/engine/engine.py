"""An opened compox: what a notebook or a transport holds."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from compox_core.algorithms.registry import Deployment, Registry
from compox_core.engine.algorithms import Algorithms
from compox_core.engine.benchmarks import Benchmarks, run_benchmark
from compox_core.engine.builtin_bundle import BuiltinBundle
from compox_core.engine.bundles import Bundles
from compox_core.engine.checkpoints import Checkpoints
from compox_core.engine.deploys import Deploys
from compox_core.engine.executions import Executions
from compox_core.engine.following import Progress
from compox_core.engine.handle import Result
from compox_core.engine.host import Host
from compox_core.engine.inbox import Inbox
from compox_core.engine.links import Links
from compox_core.engine.samples import Samples
from compox_core.engine.trainings import Trainings
from compox_core.engine.wiring import Parts, wind_down, wire
from compox_core.errors import StateError
from compox_core.jobs import (
    open_settings_store,
    start_store_server,
)
from compox_core.jobs.retention import Report
from compox_core.records import AlgorithmRecord, AlgorithmVersion, ExecutionRequest, Job, TrainingRequest
from compox_core.runners import BaseRunner
from compox_core.settings import Settings, load_settings
from compox_core.storage import FileStore, ObjectStore, initialise, store_identity

if TYPE_CHECKING:
    from compox_core.storage.minio import MinioServer

logger = logging.getLogger(__name__)


class Engine(Host):
    """Deploys algorithms and runs them, on one store, as long as it is open.

    It opens itself when it is first used, and is best closed: use it in a `with` statement, or call `close`.

    Args:
        source: Where and how: a store URL (`memory://`, a folder, `s3://bucket/prefix`), a `Settings` object or a
            mapping of its keys; None for the default settings, a folder in the user's data directory.
        executor: `threads`, `processes` or `inline`, in place of what the settings say. What they say as long as they
            say nothing, `auto`, is `threads`, and in a server `processes` where the store can be shared.
        resume: Take over the queued jobs of engines that have died, and leave what is queued here to the next when
            this one is closed without waiting; for servers. It also sweeps away what has expired.

    Raises:
        SettingsError: when `source` cannot be understood.
        StorageError: at opening, when the store cannot be used; `foreign_store` when it holds something else.
    """

    def __init__(
        self,
        source: str | Path | Settings | Mapping[str, Any] | None = None,
        *,
        executor: str | None = None,
        resume: bool = False,
    ) -> None:
        self._url: str | Path | None = None
        if isinstance(source, str | Path):
            self._url = source
            self.settings = Settings()
        elif isinstance(source, Settings):
            self.settings = source
        else:
            self.settings = load_settings(source)
        self._executor_name = executor or self.settings.inference.backend_settings.executor
        self._resume = resume
        self._load_class: Callable[[AlgorithmVersion], type[BaseRunner]] | None = None
        self._lock = threading.RLock()
        self._parts: Parts | None = None
        self._server: MinioServer | None = None
        self._inbox = Inbox()
        self._pid = os.getpid()
        self._closed = False

    # -- life -------------------------------------------------------------------------------------------------------

    def open(self) -> Self:
        """Open the store and be ready to run; does nothing when open. A closed engine stays closed."""
        with self._lock:
            if self._closed:
                raise StateError("This engine is closed: make a new one.", code="engine_closed")
            if self._parts is None:
                self._parts = self._assemble()
                self._pid = os.getpid()
                atexit.register(self._close_at_exit)
        return self

    def _assemble(self) -> Parts:
        url = None if self._url is None else str(self._url)
        with ExitStack() as undo:
            server = start_store_server(self.settings) if url is None else None
            if server is not None:
                undo.callback(server.close)
            settings = self.settings if server is None else server.settings
            store = open_settings_store(settings, url)
            undo.callback(store.close)
            initialise(store)
            parts = self._wire(settings, store, Registry(store))
            undo.pop_all()
        self._server = server
        if self._resume:
            parts.desk.upkeep.begin()
        return parts

    def _wire(self, settings: Settings, store: ObjectStore, registry: Registry) -> Parts:
        return wire(
            settings,
            store,
            registry,
            url=None if self._url is None else str(self._url),
            executor=self._executor_name,
            resume=self._resume,
            load_class=self._load_class,
        )

    def close(self, wait: bool = True) -> None:
        """End the engine; a second call does nothing, and so does one in a fork of the process that opened it.

        Args:
            wait: Let everything that was submitted run to its end first, except for what a message broker has got,
                which the workers do without this engine. Otherwise running tasks are asked to stop
                and get 5 seconds for it; what has not begun is recorded as STOPPED, or waits for the next server where
                this engine resumes queues.
        """
        if self._pid != os.getpid():
            return  # a fork of the program: what goes on is its parent's, and locks may be held for ever
        with self._lock:
            parts, self._parts = self._parts, None
            server, self._server = self._server, None
            self._closed = True
        if parts is None:
            return
        atexit.unregister(self._close_at_exit)
        try:
            try:
                wind_down(parts, wait)
            except BaseException:  # Ctrl-C, most likely, by somebody who waits no longer
                wind_down(parts, wait=False)
                raise
            finally:
                parts.desk.live.close()
                parts.desk.upkeep.leave()
        finally:
            parts.desk.bench.runners.clear()
            parts.store.close()
            if server is not None:
                server.close()

    def _close_at_exit(self) -> None:
        self.close(wait=False)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(wait=kind is None)

    @property
    def _open_parts(self) -> Parts:
        parts = self._parts
        if parts is not None:
            return parts
        with self._lock:  # or another thread might close the engine between opening and looking
            self.open()
            assert self._parts is not None
            return self._parts

    # -- what it holds ----------------------------------------------------------------------------------------------

    @property
    def store(self) -> ObjectStore:
        """The store."""
        return self._open_parts.store

    @property
    def files(self) -> FileStore:
        """The stored input and output files."""
        return self._open_parts.desk.bench.files

    @property
    def links(self) -> Links:
        """Signed URLs of stored files."""
        return self._open_parts.links

    @property
    def algorithms(self) -> Algorithms:
        """The deployed algorithms."""
        return self._open_parts.algorithms

    @property
    def executions(self) -> Executions:
        """The runs."""
        return self._open_parts.executions

    @property
    def benchmarks(self) -> Benchmarks:
        """The benchmarks."""
        return self._open_parts.benchmarks

    @property
    def deploys(self) -> Deploys:
        """The deploys that run as jobs; `deploy` does it at once."""
        return self._open_parts.deploys

    @property
    def trainings(self) -> Trainings:
        """The trainings."""
        return self._open_parts.trainings

    @property
    def samples(self) -> Samples:
        """What trainings learn from."""
        return self._open_parts.samples

    @property
    def checkpoints(self) -> Checkpoints:
        """What trainings have saved."""
        return self._open_parts.checkpoints

    @property
    def bundles(self) -> Bundles:
        """Algorithms in encrypted files, to be shipped."""
        return self._open_parts.bundles

    @property
    def builtin_bundle(self) -> BuiltinBundle:
        """The bundle that the settings name, which a server imports when it starts."""
        return self._open_parts.builtin_bundle

    # -- what it does -----------------------------------------------------------------------------------------------

    def deploy(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        major: str | int | None = None,
        removable: bool | None = None,
        exportable: bool | None = None,
    ) -> Deployment:
        """Deploy an algorithm from its folder or a zip of it, and return what came of it.

        The same content again adds nothing; other content adds the next minor version.

        Args:
            path: The folder with `Runner.py` and `pyproject.toml`, or a `.zip` of it.
            name: A name in place of that in `pyproject.toml`.
            major: A major version in place of that in `pyproject.toml`.
            removable: Whether clients may remove it; None for what `pyproject.toml` says.
            exportable: Whether clients may export it; None for what `pyproject.toml` says.

        Raises:
            PackageError: when the folder or zip cannot be deployed; its message names the place.
            StorageError: when the store refuses; nothing is half deployed then.
        """
        return self.deploys.run(Path(path), name=name, major=major, removable=removable, exportable=exportable)

    def ping(self) -> None:
        """Ask the store for something small. Raises StorageError where it does not answer."""
        store_identity(self.store)

    def benchmark(
        self,
        algorithm: str,
        *,
        major: str | int | None = None,
        minor: str | int | None = None,
        device: str | None = None,
        timeout_s: float | None = None,
        parameters: Mapping[str, Any] | None = None,
        progress: Progress = True,
        **more: Any,
    ) -> dict[str, Any]:
        """Have an algorithm measure itself, wait for it, and return what its `benchmark` returned, as JSON holds it.

        Arguments are those of `run`, without data.

        Raises:
            NotFoundError, ParameterError: before anything is queued.
            TaskFailedError: when the benchmark failed or was stopped; its message has the cause.
        """
        return run_benchmark(
            self._open_parts.benchmarks,
            self.algorithms.get(algorithm, major),
            minor=minor,
            device=device,
            timeout_s=timeout_s,
            parameters={**(parameters or {}), **more},
            progress=progress,
        )

    def debug(
        self,
        folder: str | Path,
        data: Any,
        *,
        device: str | None = None,
        out: str | Path | None = None,
        parameters: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Result:
        """Run the folder of an algorithm without deploying it, with this engine's settings; see `compox_core.debug`."""
        from compox_core.engine.debug import debug_folder

        given = {**(parameters or {}), **more}
        return debug_folder(folder, data, device=device, out=out, parameters=given, settings=self.settings).result

    def gc(self, dry_run: bool = False, progress: Callable[[float], None] | None = None) -> Report:
        """Remove what has expired, what nothing refers to, and what processes that died have left.

        Files, records and stop requests expire by the ages in the settings (`storage.*_expire_days`). Jobs that have
        not ended keep theirs, and deploys, runs and other collections may go on beside it, in any processes. A server
        sweeps away what has expired by itself.

        Args:
            dry_run: Remove nothing, and return what would be removed.
            progress: Called with the share that is done, in [0, 1].

        Returns:
            What was removed with its size, what was kept and why, and what could not be done.

        Raises:
            StorageError: when the store cannot be reached.
        """
        return self._open_parts.retention.collect(dry_run=dry_run, progress=progress or (lambda share: None))

    def _submit(self, request: ExecutionRequest) -> str:
        return self.executions.submit(request).execution_id

    def _submit_training(self, request: TrainingRequest) -> str:
        return self.trainings.submit(request).training_id

    def _type_of(self, record: AlgorithmRecord, minor: str | int | None) -> str:
        return self._open_parts.registry.version(record.algorithm_id, minor).metadata.algorithm_type

    def run_job(self, job: Job) -> None:
        """Run a job that is recorded in the store and waits; return when it has ended. For workers.

        Does nothing where it has ended, or another process has begun it. Returns when the engine is closed, too.

        Raises:
            StateError: when the engine is closed.
            StorageError: when the store refuses.
        """
        self._inbox.run(self._open_parts.desk, job, lambda: self._closed)

    def info(self) -> dict[str, Any]:
        """Return who answers here: names from the settings, the version, and what GPUs there are (None for none)."""
        from compox_core._version import __version__

        info = self.settings.info
        count = self._open_parts.desk.bench.devices.cuda_count() or None
        return {
            "name": info.product_name,
            "tags": list(info.server_tags),
            "group": info.group_name,
            "organization": info.organization_name,
            "domain": info.organization_domain,
            "version": __version__,
            "cuda_available": True if count else None,
            "cuda_capable_devices_count": count,
        }


__all__ = ["Deployment", "Engine"]
