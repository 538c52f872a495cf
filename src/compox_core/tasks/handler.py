"""What one running task may do to the world."""

from __future__ import annotations

import functools
import io
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any, BinaryIO, TypeVar, cast

from compox_core.data import DataSchema, validate
from compox_core.errors import CompoxError, InvalidInputError, NotFoundError, StateError
from compox_core.records import AlgorithmVersion, CheckpointRecord
from compox_core.runners import checked_progress, current_handler
from compox_core.storage import ASSETS, FileStore, ObjectStore
from compox_core.tasks.sessions import Session
from compox_core.tasks.task import Task

logger = logging.getLogger("compox.task")

PARALLEL_FILES = 8

F = TypeVar("F", bound=Callable[..., Any])


def ours(method: F) -> F:
    """Shut the task's gate while this method runs: no stop is raised in our own code."""

    @functools.wraps(method)
    def guarded(self: TaskHandler, *args: Any, **kwargs: Any) -> Any:
        paused = self.gate.pause()
        try:
            return method(self, *args, **kwargs)
        finally:
            self.gate.resume(paused)

    return cast(F, guarded)


class TaskHandler:
    """A running task as its algorithm sees it: progress, log, files, assets, session.

    It lives as long as the run. Every call but `log_message` first looks whether a stop was requested, and raises
    TaskStoppedException then. Safe for threads that the algorithm starts. `version` has the assets of `checkpoint`
    where there is one.
    """

    def __init__(
        self,
        task: Task,
        store: ObjectStore,
        files: FileStore,
        version: AlgorithmVersion,
        session: Session | None,
        checkpoint: CheckpointRecord | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self._task = task
        self.gate = task.gate
        self._store = store
        self._files = files
        self._version = version
        self._session = session
        self._label = f"{version.name} {version.major}.{version.minor}"
        self.posted: set[str] = set()
        self.files_read = 0
        self.files_written = 0
        self.seconds_reading = 0.0
        self.seconds_writing = 0.0

    @property
    def task_id(self) -> str:
        """The id of the task."""
        return self._task.id

    # -- progress, log, stop ----------------------------------------------------------------------------------------

    @ours
    def set_progress(self, progress: float) -> None:
        """Note the progress, a real number in [0, 1]. Raises InvalidInputError for anything else."""
        self._task.check_stop()
        self._task.set_progress(checked_progress(progress))

    @property
    def progress(self) -> float:
        """The progress in [0, 1]; setting it is `set_progress`."""
        return self._task.progress

    @progress.setter
    def progress(self, value: float) -> None:
        self.set_progress(value)

    @ours
    def log_message(self, message: str, logging_level: str = "INFO") -> None:
        """Write a line to the task's log; DEBUG goes to the program's log alone."""
        level = logging.getLevelNamesMapping()[logging_level]
        # Outside the task's context: a logging handler that writes to stderr would be captured as a second line.
        token = current_handler.set(None)
        try:
            with suppress(Exception):  # a handler that another algorithm gave to `logging` may raise
                logger.log(
                    level,
                    "[%s] %s: %s",
                    *(self._task.id, self._label, message),
                    extra={"task_id": self._task.id, "algorithm": self._label},
                )
        finally:
            current_handler.reset(token)
        if logging_level != "DEBUG":
            self._task.write_log(logging_level, message)

    @ours
    def write_log(self, level: str, message: str) -> None:
        """Add a captured line to the task's log and nowhere else."""
        self._task.write_log(level, message)

    @ours
    def check_stop(self) -> None:
        """Raise TaskStoppedException when a stop was requested; call it in long loops that report nothing."""
        self._task.check_stop()

    # -- files ------------------------------------------------------------------------------------------------------

    @ours
    def fetch_data(
        self, file_ids: Sequence[str], schema: type[DataSchema], *keys: str, parallel: bool = False
    ) -> list[dict[str, Any]]:
        """Read stored files as dicts with exactly the fields of `schema`, in the order of `file_ids`.

        Raises NotFoundError (`file_not_found`) and DataError.
        """
        if isinstance(file_ids, str):
            raise InvalidInputError(
                f"fetch_data takes a list of file ids, not the one string '{file_ids}'.",
                code="data_fetch_failed",
            )
        started = time.perf_counter()
        result = self._each(lambda file_id: self._fetch(file_id, schema, keys), list(file_ids), parallel)
        self.files_read += len(result)
        self.seconds_reading += time.perf_counter() - started
        return result

    def _fetch(self, file_id: str, schema: type[DataSchema], keys: tuple[str, ...]) -> dict[str, Any]:
        self._task.check_stop()
        return validate(schema, self._files.read(file_id, *keys))

    @ours
    def post_data(
        self, data: Sequence[Mapping[str, Any]], schema: type[DataSchema], parallel: bool = False
    ) -> list[str]:
        """Store dicts that fit `schema`, one file each; return their ids in order. Raises DataError."""
        if isinstance(data, Mapping):
            raise InvalidInputError(
                "post_data takes a list of dicts, one for each file, not a single dict.",
                code="data_post_failed",
            )
        started = time.perf_counter()
        result = self._each(lambda values: self._post(values, schema), list(data), parallel)
        self.files_written += len(result)
        self.seconds_writing += time.perf_counter() - started
        return result

    def _post(self, values: Mapping[str, Any], schema: type[DataSchema]) -> str:
        self._task.check_stop()
        file_id = self._files.save(values, schema)
        self.posted.add(file_id)
        self._task.posted(file_id)
        return file_id

    def withdraw(self) -> None:
        """Remove what `post_data` stored: the run has no outputs, and nobody is told of these files."""
        while self.posted:
            file_id = self.posted.pop()
            try:
                self._files.discard(file_id)
            except NotFoundError:
                pass  # the algorithm has cleared up itself
            except CompoxError as problem:
                logger.warning(
                    "[%s] An output of no use, %s, could not be removed: %s", self._task.id, file_id, problem
                )
            self._task.withdrawn(file_id)

    def _each(self, function: Any, items: list[Any], parallel: bool) -> list[Any]:
        if not parallel or len(items) < 2:
            return [function(item) for item in items]
        with ThreadPoolExecutor(min(PARALLEL_FILES, len(items)), thread_name_prefix="compox-data") as pool:
            futures = [pool.submit(copy_context().run, function, item) for item in items]
            return [future.result() for future in futures]

    # -- assets -----------------------------------------------------------------------------------------------------

    @ours
    def fetch_asset(self, asset_path: str) -> io.BytesIO:
        """Return an asset as a `BytesIO`. Raises NotFoundError (`asset_path_not_found`) that names what there is."""
        with self.open_asset(asset_path) as stream:
            return io.BytesIO(stream.read())

    @ours
    def open_asset(self, asset_path: str) -> BinaryIO:
        """Open an asset for reading without loading it; close it after use."""
        self._task.check_stop()
        entry = self._version.assets.get(asset_path)
        if entry is None:
            known = sorted(self._version.assets)
            raise NotFoundError(
                f"{self._label} has no asset '{asset_path}'. Paths are relative to the algorithm's folder, with '/'; "
                f"it has {', '.join(known[:20]) or 'none'}{' …' if len(known) > 20 else ''}.",
                code="asset_path_not_found",
                details={"asset_path": asset_path},
            )
        return self._store.open(ASSETS, entry.key)

    # -- session ----------------------------------------------------------------------------------------------------

    @ours
    def save_item_to_session(self, obj: Any, key: str) -> None:
        """Keep a live object for later tasks with the same session token."""
        self._task.check_stop()
        self._live_session().add_item(obj, key)

    @ours
    def load_item_from_session(self, key: str) -> Any:
        """Return what an earlier task saved. Raises KeyError when it is not there."""
        self._task.check_stop()
        return self._live_session()[key]

    @ours
    def remove_item_from_session(self, key: str) -> None:
        """Forget an item; an absent one is no error."""
        self._task.check_stop()
        self._live_session().remove_item(key)

    def _live_session(self) -> Session:
        if self._session is None:
            raise StateError(
                "This task has no session, so nothing can be kept for later tasks.",
                code="task_session_not_initialized",
            )
        return self._session
