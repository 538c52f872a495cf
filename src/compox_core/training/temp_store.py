"""A folder of its own for one training: its files on the local disk, gone when it has ended in whatever way.

The folder says in `owner.json` which process it belongs to, so that what a process that was killed has left is told
apart and removed by the next training on the machine, or by a garbage collection.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from compox_core.data import DataSchema, read_hdf5, validate, write_hdf5
from compox_core.errors import InvalidInputError, NotFoundError, StorageError
from compox_core.holder import Holder, this_process
from compox_core.storage.local_errors import reported

T = TypeVar("T")
R = TypeVar("R")

PREFIX = "compox-training-"
OWNER = "owner.json"
PARALLEL_FILES = 8
NAMELESS_SECONDS = 24 * 3600.0


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
        self._root: Path | None = None

    @property
    def root(self) -> Path:
        """The folder. Raises StorageError where it cannot be made."""
        if self._root is None:
            with reported("write", str(self._base)):
                self._base.mkdir(parents=True, exist_ok=True)
                made = Path(tempfile.mkdtemp(prefix=self._prefix, dir=self._base)).resolve()
                (made / OWNER).write_text(this_process("").model_dump_json(), encoding="utf-8")
            self._root = made
        return self._root

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def cleanup(self) -> None:
        """Remove the folder with all that is in it; it is made anew where it is used again."""
        root, self._root = self._root, None
        if root is not None:
            shutil.rmtree(root, ignore_errors=True)

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
        except BaseException:  # whatever it is, it is raised again
            part.unlink(missing_ok=True)
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
        place = (self.root / path).resolve()
        if not place.is_relative_to(self.root):
            raise InvalidInputError(
                f"'{path}' leads out of the training's temporary folder: name a path in it.",
                code=code,
                details={"path": str(path)},
            )
        return place


def abandoned(base_dir: str | Path | None = None) -> Iterator[Path]:
    """Yield the folders of trainings whose processes are known to have ended on this machine."""
    base = Path(base_dir) if base_dir is not None else Path(tempfile.gettempdir())
    with suppress(OSError):
        for folder in sorted(base.glob(f"{PREFIX}*")):
            if _is_abandoned(folder):
                yield folder


def clear_abandoned(base_dir: str | Path | None = None) -> int:
    """Remove them, and return how many there were; what cannot be removed stays."""
    count = 0
    for folder in abandoned(base_dir):
        shutil.rmtree(folder, ignore_errors=True)
        count += not folder.exists()
    return count


def _is_abandoned(folder: Path) -> bool:
    try:
        holder = Holder.model_validate_json((folder / OWNER).read_text(encoding="utf-8"))
    except FileNotFoundError:  # it is being made at this moment, or its process was killed just then
        with suppress(OSError):
            return time.time() - folder.stat().st_mtime > NAMELESS_SECONDS
        return False
    except (OSError, ValidationError, UnicodeDecodeError):
        return False
    return holder.gone_here() is True
