"""The files of one training on the local disk, in a folder of its own that goes when it has ended in whatever way."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, Self, TypeVar

from compox_core.data import DataSchema, read_hdf5, validate, write_hdf5
from compox_core.errors import InvalidInputError, NotFoundError, StorageError
from compox_core.records.plain import encodable, written
from compox_core.storage.local_errors import is_full, reported, storage_error
from compox_core.training.temp_folder import PREFIX, TempFolder

T = TypeVar("T")
R = TypeVar("R")

PARALLEL_FILES = 8


class TempStore:
    """HDF5 files under a folder that is made when it is first needed, and removed by `cleanup` or a `with` block.

    Args:
        base_dir: The folder to make it in; None for the system's folder of temporary files.
        prefix: What its name begins with.
        atomic_writes: Whether a file appears under its name only when it is whole.
        check: Called before each file; it may raise to end what goes on.
    """

    def __init__(
        self,
        *,
        base_dir: str | Path | None = None,
        prefix: str = PREFIX,
        atomic_writes: bool = True,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._base = Path(base_dir) if base_dir is not None else Path(tempfile.gettempdir())
        self._prefix = prefix
        self._atomic = atomic_writes
        self._check = check
        self._folder: TempFolder | None = None
        self._making = threading.Lock()

    @property
    def root(self) -> Path:
        """The folder. Raises StorageError where it cannot be made."""
        with self._making:
            if self._folder is None:
                self._folder = TempFolder(self._base, self._prefix)
            return self._folder.path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def cleanup(self) -> None:
        """Remove the folder with all that is in it; it is made anew where it is used again."""
        with self._making:
            folder, self._folder = self._folder, None
        if folder is not None:
            folder.remove()

    def mkdir(self, path: str | Path) -> Path:
        """Make a folder in it and return that. Raises InvalidInputError where the path leads out of it."""
        folder = self._inside(path, "temp_store_save_failed")
        with reported("write", str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save(
        self,
        path: str | Path,
        files: Sequence[Mapping[str, Any] | None],
        schema: type[DataSchema],
        parallel: bool = False,
    ) -> list[Path]:
        """Write dicts that fit `schema`, one HDF5 file each, into the folder `path`; return the files in order.

        None is passed over. Raises DataError, InvalidInputError (`temp_store_save_failed`) where the path leads out of
        the store, StorageError (`disk_full`).
        """
        if isinstance(files, Mapping):
            raise InvalidInputError(
                "The files are a list of dicts, one for each file, not a single dict.", code="temp_store_save_failed"
            )
        folder = self.mkdir(path)
        wanted = [values for values in files if values is not None]
        return self.each(lambda values: self.write(folder, values, schema), wanted, parallel)

    def write(self, folder: Path, values: Mapping[str, Any], schema: type[DataSchema]) -> Path:
        """Write one dict that fits `schema` into a folder that `mkdir` gave; return the file."""
        checked = validate(schema, values)
        target = folder / uuid.uuid4().hex
        part = target.with_suffix(".tmp") if self._atomic else target
        try:
            with reported("write", str(target)):
                write_hdf5(part, checked)
                if self._atomic:
                    part.replace(target)
        except BaseException as error:  # whatever it is, it is raised again
            part.unlink(missing_ok=True)
            cause = error.__cause__
            if isinstance(error, StorageError) and isinstance(cause, OSError) and is_full(cause):
                raise storage_error(cause, "write", str(target)) from error
            raise
        return target

    def load(self, paths: Sequence[str | Path], parallel: bool = False, *keys: str) -> list[dict[str, Any]]:
        """Read files of the store as dicts, in order; with `keys` only those, an absent one as None.

        Raises InvalidInputError (`temp_store_load_failed`) for a path outside it, NotFoundError for one that is not
        there, DataError for one that is no HDF5.
        """
        if isinstance(paths, str | os.PathLike):
            raise InvalidInputError(f"The paths are a list, not the one path '{paths}'.", code="temp_store_load_failed")
        return self.each(lambda path: self._read(path, keys), list(paths), parallel)

    def _read(self, path: str | Path, keys: tuple[str, ...]) -> dict[str, Any]:
        file = self._inside(path, "temp_store_load_failed")
        if not file.is_file():
            raise NotFoundError(
                f"There is no file '{path}' in the training's temporary folder.",
                code="temp_store_load_failed",
                details={"path": str(path)},
            )
        return read_hdf5(file, keys or None)

    def make_room(self, size: int) -> None:
        """Raise StorageError (`disk_full`) where the disk has no room for so many bytes."""
        free = shutil.disk_usage(self.root).free
        if size > free:
            raise StorageError(
                f"The training data needs {size} bytes in '{self.root.parent}', where {free} are free: free some "
                "space, name another folder (inference.temp_path), or train with fewer samples.",
                code="disk_full",
                details={"needed": size, "free": free, "path": str(self.root.parent)},
                retryable=True,
            )

    def each(self, do: Callable[[T], R], items: Sequence[T], parallel: bool, at_once: int = PARALLEL_FILES) -> list[R]:
        """Return what `do` returns for each of the items, in order; several at a time where `parallel` says so."""

        def one(item: T) -> R:
            self._check()
            return do(item)

        if not parallel or len(items) < 2 or at_once < 2:
            return [one(item) for item in items]
        with ThreadPoolExecutor(min(at_once, len(items)), thread_name_prefix="compox-data") as pool:
            futures = [pool.submit(copy_context().run, one, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:  # whatever it is, it is raised again
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _inside(self, path: str | Path, code: str) -> Path:
        root = self.root
        try:
            place = (root / path).resolve()
            inside = place.is_relative_to(root)
        except (OSError, ValueError, RuntimeError, TypeError):  # no path at all, or links in a circle
            inside = False
        if not inside:
            raise InvalidInputError(
                f"{written(str(path))} leads out of the training's temporary folder: name a path in it.",
                code=code,
                details={"path": encodable(str(path))},
            )
        return place
