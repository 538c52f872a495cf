"""A store on any other filesystem that fsspec knows, given that it can create a file exclusively.

There is no list of such filesystems: each is tried when the store is made ready. A trial can show that a filesystem
does not do what it must; that nothing was seen does not prove that it does. The backends in `folder` and `s3` are
tested far more thoroughly.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from compox_core.errors import CompoxError, StorageError
from compox_core.identity import new_token
from compox_core.storage.collections import ALL, SYSTEM
from compox_core.storage.keys import (
    TEMPORARY,
    is_key,
    known_collection,
    listable_prefix,
    object_not_found,
    readable_key,
    writable_key,
)
from compox_core.storage.local_errors import storage_error
from compox_core.storage.objects import ObjectInfo, ObjectStore, object_exists
from compox_core.storage.staging import TemporaryFile
from compox_core.storage.trial import is_taken, try_exclusive

_CHUNK = 1024 * 1024  # bytes
_TIMES = ("LastModified", "last_modified", "updated", "modified", "mtime", "timeModified")
_VERSIONS = ("ETag", "etag", "version", "generation", "md5Hash", "content_settings")


class FilesystemStore(ObjectStore):
    """Objects as files on an fsspec filesystem.

    A stream is collected in a local temporary file first, and an object that is opened is copied to one.

    Args:
        filesystem: The fsspec filesystem, without listings cache.
        root: The folder in it, as the filesystem itself names it.
        url: What a person calls the place.
        prefix: Put before the name of each collection.
    """

    shared = True

    def __init__(self, filesystem: Any, root: str, *, url: str, prefix: str = "") -> None:
        self.url = url
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._prefix = prefix

    def put(self, collection: str, key: str, data: bytes) -> None:
        path = self._path(collection, writable_key(collection, key))
        with self._reported("write", collection, key):
            self._filesystem.pipe_file(path, data)

    def create(self, collection: str, key: str, data: bytes) -> None:
        path = self._path(collection, writable_key(collection, key))
        with self._reported("write", collection, key):
            self._filesystem.pipe_file(path, data, mode="create")

    def put_file(
        self, collection: str, key: str, path: Path, *, consume: bool = False, exclusive: bool = False
    ) -> None:
        target = self._path(collection, writable_key(collection, key))
        if not path.is_file():
            raise FileNotFoundError(path)
        with self._reported("write", collection, key):
            self._filesystem.put_file(str(path), target, mode="create" if exclusive else "overwrite")
        if consume:
            path.unlink()

    @contextmanager
    def write(self, collection: str, key: str, *, exclusive: bool = False) -> Iterator[BinaryIO]:
        writable_key(collection, key)
        with spooled(self.scratch(), f"{collection}/{key}") as (stream, spool):
            yield stream
            stream.close()
            self.put_file(collection, key, spool, exclusive=exclusive)

    def get(self, collection: str, key: str) -> bytes:
        path = self._path(collection, readable_key(collection, key))
        with self._reported("read", collection, key):
            return bytes(self._filesystem.cat_file(path))

    def open(self, collection: str, key: str) -> BinaryIO:
        self.stat(collection, key)  # some filesystems open a folder as if it were an empty file
        path = self._path(collection, key)
        copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
        try:
            with self._reported("read", collection, key), self._filesystem.open(path, "rb") as source:
                shutil.copyfileobj(source, copy, _CHUNK)
        except BaseException:
            copy.close()
            raise
        copy.seek(0)
        return copy

    def stat(self, collection: str, key: str) -> ObjectInfo:
        path = self._path(collection, readable_key(collection, key))
        with self._reported("read", collection, key):
            self._filesystem.invalidate_cache(path)
            status = self._filesystem.info(path)
            if status["type"] != "file":
                raise object_not_found(collection, key)
            return _info(key, status)

    def delete(self, collection: str, key: str) -> bool:
        known_collection(collection)
        if not is_key(key) or not self.exists(collection, key):
            return False
        with self._reported("delete", collection, key):
            self._filesystem.rm_file(self._path(collection, key))
        return True

    def list(self, collection: str, prefix: str = "") -> Iterator[ObjectInfo]:
        known_collection(collection)
        if listable_prefix(prefix):
            yield from sorted(self._found(collection, prefix), key=lambda info: info.key)

    def is_empty(self) -> bool:
        with self._reported("list", "", ""):
            return not any(
                not Path(found).name.startswith(TEMPORARY) for name in ALL for found in self._find(self._path(name, ""))
            )

    def ensure_collections(self) -> None:
        """Try whether the filesystem does what it must; folders come with the objects in them."""
        with self._reported("prepare", "", ""):
            self._filesystem.makedirs(self._root, exist_ok=True)
            try_exclusive(self._filesystem, self._path(SYSTEM, TEMPORARY), self.url)

    def scratch(self) -> Path:
        return Path(tempfile.gettempdir()) / f"compox-{new_token()}"

    def _path(self, collection: str, key: str) -> str:
        return f"{self._root}/{self._prefix}{collection}/{key}".rstrip("/")

    def _found(self, collection: str, prefix: str) -> Iterator[ObjectInfo]:
        folder, _, start = prefix.rpartition("/")
        top = self._path(collection, "")
        with self._reported("list", collection, prefix):
            found = self._find(f"{top}/{folder}".rstrip("/"))
        for path, status in found.items():
            key = path.removeprefix(f"{top}/")
            if is_key(key) and key.startswith(prefix) and key.removeprefix(f"{folder}/").startswith(start):
                yield _info(key, status)

    def _find(self, folder: str) -> dict[str, dict[str, Any]]:
        self._filesystem.invalidate_cache()
        try:
            return cast(dict[str, dict[str, Any]], self._filesystem.find(folder, detail=True))
        except FileNotFoundError:
            return {}

    @contextmanager
    def _reported(self, action: str, collection: str, key: str) -> Iterator[None]:
        """Turn what filesystems raise into our errors; their errors have no common class."""
        where = f"{self.url}: {collection}/{key}"
        try:
            yield
        except CompoxError:
            raise
        except Exception as error:  # the boundary to fsspec
            if action == "read" and isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError)):
                raise object_not_found(collection, key) from None
            if action == "write" and is_taken(error):
                raise object_exists(collection, key) from None
            if type(error).__name__ == "FileExpired":
                message = f"{where} was replaced while it was read. Open it again."
                raise StorageError(message, code="object_changed", retryable=True) from error
            told = error if isinstance(error, OSError) else OSError(None, f"{type(error).__name__}: {error}")
            raise storage_error(told, action, where) from error


@contextmanager
def spooled(spool: Path, where: str) -> Iterator[tuple[Any, Path]]:
    """Give a stream into a local temporary file, and its path; the file is gone after the block."""
    file = TemporaryFile(spool, where)
    try:
        yield file, spool
    finally:
        file.close()
        with suppress(OSError):
            spool.unlink()


def _info(key: str, status: dict[str, Any]) -> ObjectInfo:
    moment = next((status[name] for name in _TIMES if status.get(name) is not None), 0.0)
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    elif not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(float(moment), UTC)
    version = next((str(status[name]) for name in _VERSIONS if status.get(name)), f"{moment}-{status['size']}")
    return ObjectInfo(key, int(status["size"]), moment.astimezone(UTC), version.strip('"'))
