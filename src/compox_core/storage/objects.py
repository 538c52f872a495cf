"""The store: named collections of objects, each whole or absent, whoever writes and whoever dies meanwhile."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from compox_core.errors import ConflictError, NotFoundError


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of an object without reading it.

    `size` is in bytes, `modified` in UTC (whole seconds on S3). `version` is opaque text that differs after
    the object was written anew (on S3: after its content changed).
    """

    key: str
    size: int
    modified: datetime
    version: str


class ObjectStore(ABC):
    """Named collections of objects in memory, in a folder or on S3.

    Every method may be called from any thread. A write is visible as a whole or not at all; of several
    `create` of one key exactly one succeeds, also across processes and machines. An object that is not there
    is a `NotFoundError`; a store that cannot be reached is a `StorageError`, never "not there".

    Keys are `/`-separated segments of `A-Za-z0-9._-`, at most 512 characters; no key may be a folder of
    another key. An ill-formed key is `NotFoundError` when read and `InvalidInputError` (code `invalid_key`)
    when written.

    Attributes:
        url: Where the store lies, without secrets.
        shared: Whether another process can open the same store.
    """

    url: str
    shared: bool

    @abstractmethod
    def put(self, collection: str, key: str, data: bytes) -> None:
        """Write an object, replacing what was there in one step."""

    @abstractmethod
    def create(self, collection: str, key: str, data: bytes) -> None:
        """Write an object that must not be there yet, else raise `ConflictError` (code `object_exists`)."""

    @abstractmethod
    def put_file(
        self, collection: str, key: str, path: Path, *, consume: bool = False, exclusive: bool = False
    ) -> None:
        """Publish a finished local file as an object, without reading it into memory (memory stores apart).

        Args:
            consume: The file is gone afterwards; a folder on the same filesystem takes it over without a
                copy. It stays where it is when an error is raised.
            exclusive: Raise `ConflictError` (code `object_exists`) when the object is there.
        """

    @abstractmethod
    def write(self, collection: str, key: str, *, exclusive: bool = False) -> AbstractContextManager[BinaryIO]:
        """Stream into an object: it appears when the block ends, and not at all when the block raises.

        The stream is written forward only. With `exclusive` the end of the block raises `ConflictError` when
        somebody else has created the object.
        """

    @abstractmethod
    def get(self, collection: str, key: str) -> bytes:
        """Return the whole content of an object."""

    @abstractmethod
    def open(self, collection: str, key: str) -> BinaryIO:
        """Return a seekable stream over one version of an object; the caller closes it."""

    @abstractmethod
    def stat(self, collection: str, key: str) -> ObjectInfo:
        """Return size, time and version of an object without reading it."""

    @abstractmethod
    def delete(self, collection: str, key: str) -> bool:
        """Remove an object and return True, or return False when it was not there."""

    @abstractmethod
    def list(self, collection: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object whose key begins with `prefix`, in order of key, at a cost of what lies under
        it.

        Objects that come or go meanwhile may or may not be listed; all others are, once each.
        """

    @abstractmethod
    def is_empty(self) -> bool:
        """Return whether nothing lies in the collections, no object of ours and nothing foreign either."""

    @abstractmethod
    def ensure_collections(self) -> None:
        """Make the store ready: create what is missing, clear what crashed writers left more than a day ago.

        Raises:
            SettingsError: The place cannot create an object exclusively (code `unsupported_filesystem`).
        """

    def clear_temporary(self, *, dry_run: bool = False) -> tuple[int, int]:
        """Remove what crashed writers left more than a day ago; return how many things and bytes.

        With `dry_run`, only count them.
        """
        return 0, 0

    @abstractmethod
    def scratch(self) -> Path:
        """Return a fresh path for a temporary file, on the store's own filesystem where that is local."""

    def local_path(self, collection: str, key: str) -> Path | None:
        """Return the object's own file, for reading only, or None where the store has no local files."""
        return None

    def copy(self, collection: str, source: str, target: str) -> None:
        """Make a new object with the content of another one, without a second copy where the place can share it.

        It is as old as a new one; on some places the other one becomes as young. Raises NotFoundError for the other
        one, ConflictError (code `object_exists`).
        """
        with self.open(collection, source) as stream, self.write(collection, target, exclusive=True) as sink:
            shutil.copyfileobj(stream, sink, 1 << 20)

    def presigned(self, collection: str, key: str, method: str, seconds: int, domain: str | None = None) -> str | None:
        """Return a URL at which whoever has it may `GET` or `PUT` this object for so many seconds, past this process.

        `domain` is put in place of the host that we reach the place at. None where the place has no such URLs.
        """
        return None

    def exists(self, collection: str, key: str) -> bool:
        """Return whether an object is there."""
        try:
            self.stat(collection, key)
        except NotFoundError:
            return False
        return True

    def close(self) -> None:  # noqa: B027 - most stores hold nothing that must be given back
        """Give back what the store holds open; it is not used afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def object_exists(collection: str, key: str) -> ConflictError:
    """Return the error of an exclusive write that came second."""
    return ConflictError(
        f"There is already an object {key!r} in collection {collection!r}.",
        code="object_exists",
        details={"collection": collection, "key": key},
    )
