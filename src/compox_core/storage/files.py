"""Data files: the HDF5 files that go into and come out of runs, each an object named by its id."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from compox_core.errors import DataError, NotFoundError
from compox_core.identity import new_id
from compox_core.storage.collections import FILES
from compox_core.storage.expiry import Expiry
from compox_core.storage.objects import ObjectInfo, ObjectStore

if TYPE_CHECKING:
    from compox_core.data import DataSchema

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CHUNK = 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A stored file: its id, its size in bytes, and when it was stored (UTC)."""

    id: str
    size: int
    created: datetime


class FileStore:
    """The HDF5 files of a store. A file never changes once it is stored; its id is a UUID."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self._expiry = Expiry(store)

    def upload(self, source: Path | bytes | BinaryIO) -> str:
        """Store a file from a path, its content or a stream, and return its new id.

        A stream is copied in pieces. `DataError` (code `invalid_hdf5_file`) when it does not open as HDF5;
        then nothing stays behind.
        """
        scratch = self.store.scratch()
        try:
            with scratch.open("xb") as target:
                if isinstance(source, bytes):
                    target.write(source)
                elif isinstance(source, Path):
                    with source.open("rb") as stream:
                        shutil.copyfileobj(stream, target, _CHUNK)
                else:
                    shutil.copyfileobj(source, target, _CHUNK)
            return self.adopt(scratch)
        finally:
            scratch.unlink(missing_ok=True)

    def adopt(self, path: Path) -> str:
        """Take over a finished file, without a copy where it lies on the store's filesystem, and return its
        new id.

        The file at `path` is gone afterwards, also when it is refused with `DataError` (code
        `invalid_hdf5_file`).
        """
        try:
            check_hdf5(path)
            return self.publish(path)
        finally:
            path.unlink(missing_ok=True)

    def publish(self, path: Path) -> str:
        """Do what `adopt` does with a file that was just written as HDF5 by us, and need not be looked at."""
        try:
            file_id = new_id()
            # Nobody else can have this id, and what is not exclusive streams in parts to S3, whatever its size.
            self.store.put_file(FILES, file_id, path, consume=True)
            return file_id
        finally:
            path.unlink(missing_ok=True)

    def save(self, values: Mapping[str, Any], schema: type[DataSchema] | None = None) -> str:
        """Store a dict as a file and return its id. `DataError` when it does not fit `schema`; then nothing stays."""
        from compox_core.data import validate, write_hdf5

        checked = validate(schema, values) if schema is not None else dict(values)
        path = self.store.scratch()
        try:
            write_hdf5(path, checked)
            return self.publish(path)
        finally:
            path.unlink(missing_ok=True)

    def read(self, file_id: str, *keys: str) -> dict[str, Any]:
        """Return the content of a file as a dict; only `keys` where they are given, an absent one as None."""
        from compox_core.data import read_hdf5

        path = self.local_path(file_id)
        if path is not None:
            return read_hdf5(path, keys or None)
        with self.open(file_id) as stream:
            return read_hdf5(stream, keys or None)

    def open(self, file_id: str) -> BinaryIO:
        """Return a seekable stream over the file; the caller closes it."""
        with _named(file_id):
            return self.store.open(FILES, file_id)

    def info(self, file_id: str) -> FileInfo:
        """Return size and time of a file."""
        with _named(file_id):
            return _file_info(self.store.stat(FILES, file_id))

    def local_path(self, file_id: str) -> Path | None:
        """Return the stored file itself, for reading only, or None where the store has no local files."""
        with _named(file_id):
            return self.store.local_path(FILES, file_id)

    def delete(self, file_id: str) -> None:
        """Remove a file."""
        with _named(file_id):
            if not self.store.delete(FILES, file_id):
                raise _file_not_found(file_id)

    def exists_all(self, file_ids: Sequence[str]) -> list[str]:
        """Return those of `file_ids` that are not stored, in their order; empty when all are there."""
        return [name for name in file_ids if not (_ID.fullmatch(name) and self.store.exists(FILES, name))]

    def endangered(self, file_ids: Sequence[str]) -> list[str]:
        """Return those of `file_ids` that are not stored or may be swept away at this moment, in their order.

        The others stay for as long as a stored object names them, if it was stored before this call; see `expiry`.
        """
        return self._expiry.endangered(file_ids)

    def list(self) -> Iterator[FileInfo]:
        """Yield every stored file in order of id, which is the order in which they were stored."""
        return (_file_info(info) for info in self.store.list(FILES) if _ID.fullmatch(info.key))

    @contextmanager
    def materialise(self, file_id: str) -> Iterator[Path]:
        """Give a local path to read the file from: its own, or that of a copy that goes when the block ends."""
        path = self.local_path(file_id)
        if path is not None:
            yield path
            return
        copy = self.store.scratch()
        try:
            with self.open(file_id) as source, copy.open("xb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
            yield copy
        finally:
            copy.unlink(missing_ok=True)


def check_hdf5(path: Path) -> None:
    """Raise `DataError` (code `invalid_hdf5_file`) when the file does not open as HDF5, whole."""
    import h5py

    try:
        # Nobody writes to a stored file, and locks are not to be had on every network filesystem.
        with h5py.File(path, "r", locking=False):
            pass
    except OSError as error:
        size = path.stat().st_size
        raise DataError(
            f"The file of {size} bytes cannot be opened as HDF5: {error}. Send a complete file that h5py can open.",
            code="invalid_hdf5_file",
            details={"size": size, "reason": str(error)},
        ) from error


@contextmanager
def _named(file_id: str) -> Iterator[None]:
    """Let "no such object" in the block read "no such file", also for what cannot be a file's id at all."""
    if not _ID.fullmatch(file_id):
        raise _file_not_found(file_id)
    try:
        yield
    except NotFoundError:
        raise _file_not_found(file_id) from None


def _file_not_found(file_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no file {file_id!r} in the store. Upload it again; files may be deleted after some time.",
        code="file_not_found",
        details={"file_id": file_id},
    )


def _file_info(info: ObjectInfo) -> FileInfo:
    return FileInfo(info.key, info.size, info.modified)
