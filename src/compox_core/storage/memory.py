"""A store in the memory of this process: for notebooks, and for whatever may be forgotten at the end.

fsspec's memory filesystem is not wrapped here: it copies a value at each read, keeps one global root for the
whole process and hands one shared position to all readers of an object (see docs/decisions/memory-store.md).
"""

from __future__ import annotations

import io
import tempfile
import threading
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, NamedTuple

from compox_core.errors import StateError
from compox_core.identity import new_token, utc_now
from compox_core.storage.keys import (
    invalid_key,
    known_collection,
    object_not_found,
    readable_key,
    writable_key,
)
from compox_core.storage.objects import ObjectInfo, ObjectStore, object_exists


class _Value(NamedTuple):
    data: bytes
    modified: datetime
    version: int


class _Collection:
    """The values of one collection, and beside them their keys in order: a prefix is found by bisection."""

    def __init__(self) -> None:
        self.values: dict[str, _Value] = {}
        self.keys: list[str] = []

    def __setitem__(self, key: str, value: _Value) -> None:
        if key not in self.values:
            insort(self.keys, key)
        self.values[key] = value

    def folds(self, key: str) -> bool:
        """Return whether `key` is a folder of another key, or another key a folder of it."""
        parents = accumulate(key.split("/")[:-1], "{}/{}".format)
        return any(parent in self.values for parent in parents) or bool(self.under(key + "/"))

    def __delitem__(self, key: str) -> None:
        del self.values[key]
        del self.keys[bisect_left(self.keys, key)]

    def under(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`, in order."""
        first = bisect_left(self.keys, prefix)
        last = bisect_left(self.keys, prefix + chr(0x10FFFF), lo=first)
        return self.keys[first:last]


class MemoryStore(ObjectStore):
    """Objects in the memory of this process, gone when it ends or when the store is closed.

    Each instance has a root of its own. One lock guards everything; values are whole `bytes`, handed out as
    they are, so that a read copies nothing.
    """

    url = "memory://"
    shared = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._collections: dict[str, _Collection] = {}
        self._writes = 0
        self._closed = False

    def put(self, collection: str, key: str, data: bytes) -> None:
        self._store(collection, writable_key(collection, key), data, exclusive=False)

    def create(self, collection: str, key: str, data: bytes) -> None:
        self._store(collection, writable_key(collection, key), data, exclusive=True)

    def put_file(
        self, collection: str, key: str, path: Path, *, consume: bool = False, exclusive: bool = False
    ) -> None:
        self._store(collection, writable_key(collection, key), path.read_bytes(), exclusive=exclusive)
        if consume:
            path.unlink()

    def copy(self, collection: str, source: str, target: str) -> None:
        self.create(collection, target, self.get(collection, source))

    @contextmanager
    def write(self, collection: str, key: str, *, exclusive: bool = False) -> Iterator[BinaryIO]:
        writable_key(collection, key)
        stream = _Collector()
        try:
            yield stream
            self._store(collection, key, stream.finish(), exclusive=exclusive)
        finally:
            stream.close()

    def get(self, collection: str, key: str) -> bytes:
        return self._value(collection, key).data

    def open(self, collection: str, key: str) -> BinaryIO:
        return io.BytesIO(self.get(collection, key))  # shares the value until somebody writes to the stream

    def stat(self, collection: str, key: str) -> ObjectInfo:
        return _info(key, self._value(collection, key))

    def delete(self, collection: str, key: str) -> bool:
        with self._lock:
            values = self._opened(collection)
            if key not in values.values:
                return False
            del values[key]
            return True

    def list(self, collection: str, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._lock:
            keys = self._opened(collection).under(prefix)
        return self._listed(collection, keys)

    def _listed(self, collection: str, keys: Iterable[str]) -> Iterator[ObjectInfo]:
        for key in keys:
            with self._lock:
                value = self._opened(collection).values.get(key)
            if value is not None:
                yield _info(key, value)

    def is_empty(self) -> bool:
        with self._lock:
            return not any(values.keys for values in self._collections.values())

    def ensure_collections(self) -> None:
        """Do nothing: a collection comes with its first object."""

    def scratch(self) -> Path:
        return Path(tempfile.gettempdir()) / f"compox-{new_token()}"

    def close(self) -> None:
        with self._lock:
            self._collections.clear()
            self._closed = True

    def _opened(self, collection: str) -> _Collection:
        # The lock is held by the caller.
        if self._closed:
            raise StateError("The memory store was closed; what it held is gone.", code="store_closed")
        if collection not in self._collections:
            self._collections[known_collection(collection)] = _Collection()
        return self._collections[collection]

    def _value(self, collection: str, key: str) -> _Value:
        readable_key(collection, key)
        with self._lock:
            value = self._opened(collection).values.get(key)
        if value is None:
            raise object_not_found(collection, key)
        return value

    def _store(self, collection: str, key: str, data: bytes, *, exclusive: bool) -> None:
        data = bytes(data)  # no copy of bytes; a copy of what its owner could still change
        with self._lock:
            values = self._opened(collection)
            if exclusive and key in values.values:
                raise object_exists(collection, key)
            if key not in values.values and values.folds(key):
                raise invalid_key(collection, key, "a part of it, or it as a part, is a key already")
            self._writes += 1
            values[key] = _Value(data, utc_now(), self._writes)


class _Collector(io.BytesIO):
    """A stream whose content survives its `close`: a writer on top may close it before the block ends."""

    def __init__(self) -> None:
        super().__init__()
        self._content: bytes | None = None

    def finish(self) -> bytes:
        return self.getvalue() if self._content is None else self._content

    def close(self) -> None:
        if not self.closed:
            self._content = self.getvalue()
        super().close()


def _info(key: str, value: _Value) -> ObjectInfo:
    return ObjectInfo(key, len(value.data), value.modified, str(value.version))
