"""Data files: the HDF5 files that go into and come out of runs, each an object named by its id.

In `data-store`:

    <id>               a file that came through us: it was opened as HDF5 before it was stored; the id is ours
    v1/<name>          a file that a client has put at a URL we signed, under a name of its own: nobody has looked at it
    sha256/<id>        the SHA-256 of the content of a file, as 64 hexadecimal digits
    content/<sha256>   the id of a file with this content, noted when a client sent the hash with it

The last two are notes: see `file_notes`.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from compox_core.errors import ConflictError, DataError, NotFoundError, StorageError
from compox_core.identity import new_id
from compox_core.storage.collections import FILES
from compox_core.storage.expiry import Expiry
from compox_core.storage.file_notes import FileNotes
from compox_core.storage.file_pins import FilePins
from compox_core.storage.file_places import file_exists, file_in_use, file_not_found, is_file_id, named_key, places
from compox_core.storage.objects import ObjectInfo, ObjectStore

if TYPE_CHECKING:
    from compox_core.data import DataSchema

T = TypeVar("T")

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
        self._notes = FileNotes(store)
        self._pins = FilePins(store)

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

    def adopt(self, path: Path, sha256: str | None = None, *, noted: bool = False) -> str:
        """Take over a finished file, without a copy where it lies on the store's filesystem, and return its
        new id.

        `sha256` is that of the content, where it is known; with `noted` the same content is found by it (`again`).
        The file at `path` is gone afterwards, also when it is refused with `DataError` (code
        `invalid_hdf5_file`).
        """
        try:
            check_hdf5(path)
            file_id = self.publish(path, sha256)
        finally:
            path.unlink(missing_ok=True)
        if noted and sha256 is not None:
            self._notes.note_content(sha256, file_id)
        return file_id

    def publish(self, path: Path, sha256: str | None = None) -> str:
        """Do what `adopt` does with a file that was just written as HDF5 by us, and need not be looked at."""
        try:
            digest = sha256 or _sha256(path)
            file_id = new_id()
            # Nobody else can have this id, and what is not exclusive streams in parts to S3, whatever its size.
            self.store.put_file(FILES, file_id, path, consume=True)
            self._notes.note_hash(file_id, digest)
            return file_id
        finally:
            path.unlink(missing_ok=True)

    def again(self, sha256: str) -> str | None:
        """Store content that is here once more, without a second copy where the store can share it; return its new id.

        None where it is not here, or no more.
        """
        known = self._notes.file_with(sha256)
        if known is None:
            return None
        file_id = new_id()
        try:
            self.store.copy(FILES, known, file_id)
        except NotFoundError:  # it went in between
            return None
        self._notes.note_hash(file_id, sha256)
        self._notes.note_content(sha256, file_id)  # the younger one lives longer
        return file_id

    def place_named(self, path: Path, name: str) -> None:
        """Take over a finished file under a name that a client chose, whatever is in it.

        Raises InvalidInputError (`invalid_file_name`), ConflictError (`file_exists`). The file at `path` is gone then.
        """
        try:
            self.check_name(name)
            try:
                self.store.put_file(FILES, named_key(name), path, consume=True, exclusive=True)
            except ConflictError as error:
                raise file_exists(name) from error
        finally:
            path.unlink(missing_ok=True)

    def check_name(self, name: str) -> None:
        """Refuse a name that no file can get: one that cannot be stored, or that is taken.

        Raises InvalidInputError (`invalid_file_name`), ConflictError (`file_exists`).
        """
        named_key(name)
        if self.exists_all([name]) == []:
            raise file_exists(name)

    def presigned(self, name: str, method: str, seconds: int, domain: str | None = None) -> str | None:
        """Return a URL past this process at which a file may be got or, under a name of the client's own, put.

        None where the store has no such URLs. Raises NotFoundError for a `GET` of a file that is not there, and
        InvalidInputError (`invalid_file_name`) for a `PUT` under what can be no name.
        """
        key = self._find(name) if method == "GET" else named_key(name)
        if key is None:
            raise file_not_found(name)
        return self.store.presigned(FILES, key, method, seconds, domain)

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
        return _first(file_id, lambda key: self.store.open(FILES, key))

    def open_tagged(self, file_id: str) -> tuple[BinaryIO, str]:
        """Return what `open` does, with a text that is the same for the same content only: its SHA-256 in hex.

        Of a file that was not hashed on its way (it was put at a signed URL) the text is another one, made of its name
        and version.
        """
        key, stream = _first(file_id, lambda key: (key, self.store.open(FILES, key)))
        try:
            return stream, self._tag(file_id, key)
        except BaseException:  # whatever it is, it is raised again
            stream.close()
            raise

    def _tag(self, file_id: str, key: str) -> str:
        sha256 = self._notes.hash_of(file_id) if key == file_id else None
        if sha256 is not None:
            return sha256
        try:
            info = self.store.stat(FILES, key)
        except NotFoundError as error:  # it went in between
            raise file_not_found(file_id) from error
        return f"{file_id}-{info.size}-{hashlib.sha256(info.version.encode()).hexdigest()[:16]}"

    def info(self, file_id: str) -> FileInfo:
        """Return size and time of a file."""
        info = _first(file_id, lambda key: self.store.stat(FILES, key))
        return FileInfo(file_id, info.size, info.modified)

    def local_path(self, file_id: str) -> Path | None:
        """Return the stored file itself, for reading only, or None where the store has no local files."""
        return _first(file_id, lambda key: self.store.local_path(FILES, key))

    def delete(self, file_id: str) -> None:
        """Remove a file that no sample uses. Raises NotFoundError (`file_not_found`), ConflictError (`file_in_use`)."""
        if not places(file_id):
            raise file_not_found(file_id)
        with self._expiry.deleting(file_id):
            samples = self._pins.holders(file_id)
            there = bool(samples) or self._remove(file_id)
        if samples and self._find(file_id) is not None:
            raise file_in_use(file_id, samples)
        if samples or not there:
            raise file_not_found(file_id)

    def discard(self, file_id: str) -> None:
        """Remove a file that nobody was told of, so that nobody uses it. Raises NotFoundError (`file_not_found`)."""
        if not self._remove(file_id):
            raise file_not_found(file_id)

    def _remove(self, file_id: str) -> bool:
        there = sum(self.store.delete(FILES, key) for key in places(file_id)) > 0
        if there and is_file_id(file_id):
            self._notes.forget(file_id)
        return there

    def exists_all(self, file_ids: Sequence[str]) -> list[str]:
        """Return those of `file_ids` that are not stored, in their order; empty when all are there."""
        return [name for name in file_ids if self._find(name) is None]

    def ready(self, file_ids: Sequence[str]) -> list[str]:
        """Do what `exists_all` does, and open those that nobody has looked at, since they were put at a signed URL.

        Raises `DataError` (code `invalid_hdf5_file`) for one that does not open as HDF5.
        """
        missing = []
        for file_id in file_ids:
            key = self._find(file_id)
            if key is None:
                missing.append(file_id)
            elif key != file_id:
                self._check(file_id, key)
        return missing

    def _check(self, file_id: str, key: str) -> None:
        import h5py

        try:
            with self.store.open(FILES, key) as stream, h5py.File(stream, "r"):
                pass
        except StorageError:
            raise
        except OSError as error:
            raise _no_hdf5(f"The file {file_id!r}", str(error), {"file_id": file_id}) from error

    def _find(self, file_id: str) -> str | None:
        """Return the key of a file; None where it is not there."""
        return next((key for key in places(file_id) if self.store.exists(FILES, key)), None)

    def endangered(self, file_ids: Sequence[str]) -> list[str]:
        """Return those of `file_ids` that are not stored or may be taken away at this moment, in their order.

        The others stay for as long as a stored object names them, if it was stored before this call; see `expiry`.
        """
        keys = {name: places(name) or [name] for name in file_ids}
        first = set(self._expiry.endangered([each[0] for each in keys.values()]))
        others = {name: each[1:] for name, each in keys.items() if each[0] in first}
        second = {key for key in itertools.chain(*others.values()) if key not in first}
        lost = set(self._expiry.endangered(list(second))) if second else set()
        return [name for name in file_ids if name in others and lost.issuperset(others[name])]

    def list(self) -> Iterator[FileInfo]:
        """Yield every stored file in order of id, which is the order in which they were stored."""
        return (_file_info(info) for info in self.store.list(FILES) if is_file_id(info.key))

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
        raise _no_hdf5(f"The file of {size} bytes", str(error), {"size": size}) from error


def _first(file_id: str, look: Callable[[str], T]) -> T:
    """Return what `look` finds at the first place where the file lies. Raises NotFoundError (`file_not_found`)."""
    for key in places(file_id):
        with suppress(NotFoundError):
            return look(key)
    raise file_not_found(file_id)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _no_hdf5(what: str, why: str, details: dict[str, Any]) -> DataError:
    return DataError(
        f"{what} cannot be opened as HDF5: {why}. Send a complete file that h5py can open.",
        code="invalid_hdf5_file",
        details={**details, "reason": why},
    )


def _file_info(info: ObjectInfo) -> FileInfo:
    return FileInfo(info.key, info.size, info.modified)
