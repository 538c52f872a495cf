"""A store in a local folder: `<root>/<prefix><collection>/<key>`.

A new object is first a file in `.tmp` of its collection, on the same filesystem, and gets its name when it is
finished (see `atomic`). A reader therefore opens the whole object or none, and a writer that dies leaves at
most a temporary file, which no listing shows and which is cleared after a day.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

from compox_core.errors import CompoxError, StorageError
from compox_core.identity import new_token
from compox_core.storage import atomic
from compox_core.storage.collections import ALL
from compox_core.storage.folder_listing import info_of, listed
from compox_core.storage.keys import (
    TEMPORARY,
    invalid_key,
    is_key,
    known_collection,
    object_not_found,
    readable_key,
    writable_key,
)
from compox_core.storage.local_errors import reported, storage_error
from compox_core.storage.objects import ObjectInfo, ObjectStore, object_exists
from compox_core.storage.staging import TemporaryFile, check_exclusive, clear_stale, finish, sync_path

SYSTEM_FILES = ("lost+found", "desktop.ini", "Thumbs.db", "System Volume Information", "$RECYCLE.BIN")
_ATTEMPTS = 50  # a folder that we make may be taken away, empty, by a delete before we use it
_CHUNK = 1024 * 1024  # bytes; of a copy, and of a stream's buffer


class FolderStore(ObjectStore):
    """Objects as files in a folder, shared by every process that can reach it.

    Args:
        root: The folder; it is made when the first object is written.
        prefix: Put before the name of each collection.
        fsync: Whether a write returns only when the object is on the disk, so that it survives a power cut.
    """

    shared = True

    def __init__(self, root: Path, *, prefix: str = "", fsync: bool = False) -> None:
        self.root = root.absolute()
        self.url = str(self.root)
        self._prefix = prefix
        self._fsync = fsync
        self._witness: Path | None = None

    # Writing

    def put(self, collection: str, key: str, data: bytes) -> None:
        with self.write(collection, key) as stream:
            stream.write(data)

    def create(self, collection: str, key: str, data: bytes) -> None:
        with self.write(collection, key, exclusive=True) as stream:
            stream.write(data)

    @contextmanager
    def write(self, collection: str, key: str, *, exclusive: bool = False) -> Iterator[BinaryIO]:
        writable_key(collection, key)
        temporary = self._temporary(collection, key)
        stream = io.BufferedWriter(temporary, _CHUNK)
        try:
            yield stream
            with reported("write", temporary.where):
                finish(stream, temporary, fsync=self._fsync)
                self._publish(temporary.path, collection, key, _publication(exclusive=exclusive))
        except BaseException:  # whatever ends the block early, a stop or a closed generator too: nothing is published
            temporary.close()
            with suppress(OSError):
                temporary.path.unlink()
            raise

    def put_file(
        self, collection: str, key: str, path: Path, *, consume: bool = False, exclusive: bool = False
    ) -> None:
        writable_key(collection, key)
        if consume and self._adopted(collection, key, path, exclusive=exclusive):
            return
        with path.open("rb") as source, self.write(collection, key, exclusive=exclusive) as target:
            shutil.copyfileobj(source, target, _CHUNK)
        if consume:
            path.unlink()

    def copy(self, collection: str, source: str, target: str) -> None:
        writable_key(collection, target)
        path = self._path(collection, readable_key(collection, source))
        link = self.scratch()
        try:
            try:
                link.hardlink_to(path)  # nobody ever writes into a file that is there
                os.utime(link)
            except OSError:  # it is gone, or the filesystem knows no links: copying finds out
                super().copy(collection, source, target)
                return
            with reported("write", f"{collection}/{target}"):
                self._publish(link, collection, target, atomic.publish_link)
        finally:
            with suppress(OSError):  # there never was one
                link.unlink()

    def delete(self, collection: str, key: str) -> bool:
        if not is_key(key):
            return False
        path = self._path(known_collection(collection), key)
        try:
            atomic.patiently(path.unlink)
        except OSError as error:
            if isinstance(error, (FileNotFoundError, NotADirectoryError)) or _is_folder(path):
                self._check_present()
                return False
            raise storage_error(error, "delete", f"{collection}/{key}") from error
        if self._fsync:
            self._sync_folders(path.parent, self._folder(collection))
        self._clear_empty(path.parent, self._folder(collection))
        return True

    # Reading

    def get(self, collection: str, key: str) -> bytes:
        path = self._path(collection, readable_key(collection, key))
        try:
            return atomic.patiently(path.read_bytes)
        except OSError as error:
            self._unreadable(error, collection, key)

    def open(self, collection: str, key: str) -> BinaryIO:
        path = self._path(collection, readable_key(collection, key))
        try:
            return atomic.patiently(lambda: path.open("rb"))
        except OSError as error:
            self._unreadable(error, collection, key)

    def stat(self, collection: str, key: str) -> ObjectInfo:
        path = self._path(collection, readable_key(collection, key))
        try:
            return info_of(key, atomic.patiently(path.stat))
        except OSError as error:
            self._unreadable(error, collection, key)

    def local_path(self, collection: str, key: str) -> Path:
        """Return the object's own file, for reading only; `NotFoundError` when it is not there."""
        self.stat(collection, key)
        return self._path(collection, key)

    def list(self, collection: str, prefix: str = "") -> Iterator[ObjectInfo]:
        folder = self._folder(known_collection(collection))
        with reported("list", f"{collection}/{prefix}"):
            if not folder.is_dir():
                self._check_present()
            yield from listed(folder, prefix)

    def is_empty(self) -> bool:
        with reported("list", self.url):
            if self.root.is_dir() and any(_is_foreign(entry) for entry in self.root.iterdir()):
                return False
            folders = [folder for name in ALL if (folder := self._folder(name)).is_dir()]
            return not any(not entry.name.startswith(TEMPORARY) for folder in folders for entry in folder.iterdir())

    # The place itself

    def ensure_collections(self) -> None:
        with reported("prepare", self.url):
            for name in ALL:
                self._make(self._folder(name) / TEMPORARY)
            self._witness = self._folder(ALL[0])
            self._make(self.root / TEMPORARY)
            self.clear_temporary()
            check_exclusive(self._folder(ALL[0]) / TEMPORARY, self._folder(ALL[-1]) / TEMPORARY)

    def clear_temporary(self, *, dry_run: bool = False) -> tuple[int, int]:
        folders = [folder / TEMPORARY for folder in (self.root, *map(self._folder, ALL))]
        cleared = [clear_stale(folder, dry_run=dry_run) for folder in folders]
        return sum(count for count, _ in cleared), sum(size for _, size in cleared)

    def scratch(self) -> Path:
        folder = self.root / TEMPORARY
        with reported("write", str(folder)):
            if not folder.is_dir():
                self._check_present()  # or a store that went away would come again, empty
                self._make(folder)
        return folder / new_token()

    def _folder(self, collection: str) -> Path:
        return self.root / (self._prefix + collection)

    def _path(self, collection: str, key: str) -> Path:
        return Path(f"{self.root}/{self._prefix}{collection}/{key}")

    def _temporary(self, collection: str, key: str) -> TemporaryFile:
        folder, where = self._folder(collection) / TEMPORARY, f"{collection}/{key}"
        with reported("write", where):
            try:
                return TemporaryFile(folder / new_token(), where)
            except FileNotFoundError:
                self._check_present()
                self._make(folder)
                return TemporaryFile(folder / new_token(), where)

    def _publish(self, source: Path, collection: str, key: str, publish: Callable[[Path, Path], None]) -> None:
        """Give a finished file the name of the object, making the folder for it on the way."""
        target = self._path(collection, key)
        for attempt in range(_ATTEMPTS):
            try:
                if attempt:
                    # mkdir takes a folder that a delete clears in between for a file; publishing tells which it was.
                    with suppress(FileExistsError):
                        self._make(target.parent)
                publish(source, target)
                break
            except OSError as error:
                if _is_folder(target) or _below_file(target.parent):
                    raise invalid_key(collection, key, "a part of it, or it as a part, is a key already") from None
                if isinstance(error, FileExistsError):
                    raise object_exists(collection, key) from None
                if not isinstance(error, FileNotFoundError) or attempt == _ATTEMPTS - 1:
                    raise
                self._check_present()
        if self._fsync:
            self._sync_folders(target.parent, self._folder(collection))

    def _adopted(self, collection: str, key: str, path: Path, *, exclusive: bool) -> bool:
        """Return whether the file could become the object by a change of name."""
        if path.is_symlink() or not path.is_file():
            return False
        try:
            os.utime(path)  # what a file was before it became an object does not count for how old the object is
            if self._fsync:
                sync_path(path)
            self._publish(path, collection, key, _publication(exclusive=exclusive))
        except CompoxError:
            raise
        except OSError:  # another filesystem, or another owner: copying finds out what is really wrong
            return False
        return True

    def _make(self, folder: Path) -> None:
        missing = [path for path in (folder, *folder.parents) if not path.exists()] if self._fsync else []
        folder.mkdir(parents=True, exist_ok=True)
        for path in missing:
            atomic.sync_folder(path.parent)

    def _sync_folders(self, folder: Path, top: Path) -> None:
        """Bring the names from `folder` up to `top` onto the disk; another writer may just have made one."""
        for path in (folder, *folder.parents):
            with suppress(FileNotFoundError):
                atomic.sync_folder(path)
            if path == top:
                return

    def _clear_empty(self, folder: Path, top: Path) -> None:
        with suppress(OSError):  # it is not empty, or already gone
            while folder != top:
                folder.rmdir()
                folder = folder.parent

    def _check_present(self) -> None:
        """Raise `StorageError` when the store has gone: an unmounted disk must not read as an empty store."""
        if self._witness is not None and not self._witness.is_dir():
            raise StorageError(
                f"The store {self.url} is gone: {self._witness} was there when it was opened. "
                "Mount the disk or the share again.",
                code="storage_unavailable",
                details={"where": self.url},
                retryable=True,
            )

    def _unreadable(self, error: OSError, collection: str, key: str) -> NoReturn:
        gone = isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError))
        if gone or _is_folder(self._path(collection, key)):
            self._check_present()
            raise object_not_found(collection, key) from None
        raise storage_error(error, "read", f"{collection}/{key}") from error


def _publication(*, exclusive: bool) -> Callable[[Path, Path], None]:
    return atomic.publish_new if exclusive else atomic.publish_over


def _is_folder(path: Path) -> bool:
    """Return whether `path` is a folder; False where we may not even look."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _below_file(path: Path) -> bool:
    """Return whether a part of `path` is a file, so that there can be no such folder."""
    with suppress(OSError):
        return next(part for part in (path, *path.parents) if part.exists()).is_file()
    return False


def _is_foreign(entry: Path) -> bool:
    """Return whether what lies in a store's folder belongs to somebody else.

    Collections, of other prefixes too, and what systems put into every folder do not. The data folder of a MinIO
    server holds buckets of the same names, and is known by its `.minio.sys`.
    """
    if entry.name == ".minio.sys":
        return True
    if entry.name.startswith(".") or entry.name in SYSTEM_FILES:
        return False
    return not (entry.is_dir() and entry.name.endswith(ALL))
