"""Records that were read before."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from compox_core.errors import NotFoundError, StorageError
from compox_core.storage.objects import ObjectInfo, ObjectStore

_M = TypeVar("_M", bound=BaseModel)

_READERS = 16
_WORTH_THREADS = 32


class Broken(Protocol):
    """Makes the error for an object that does not hold the record that it should."""

    def __call__(self, collection: str, key: str, why: str) -> StorageError: ...


class RecordCache:
    """Records of one collection that were read before, for as long as a listing shows them unchanged.

    An object is read again when `ObjectInfo.version` differs, so a deploy of another process is noticed by
    whoever lists. Holds at most `limit` bytes of JSON (the models take several times that), least recently
    used go first. Thread-safe.
    """

    def __init__(self, store: ObjectStore, collection: str, limit: int, broken: Broken) -> None:
        self._store = store
        self._collection = collection
        self._limit = limit
        self._broken = broken
        self._lock = threading.Lock()
        self._held = 0
        self._entries: OrderedDict[str, tuple[str, int, BaseModel]] = OrderedDict()

    def load(self, info: ObjectInfo, model: type[_M]) -> _M:
        """Return the record that a listing showed as `info`. It is shared: do not change it.

        Raises NotFoundError when it was deleted since, the error of `broken` when it is not what it should be.
        """
        return self._recall(info.key, info.version, model)[0]

    def load_lasting(self, key: str, model: type[_M]) -> tuple[_M, int]:
        """Return a record that nobody ever changes, and its size in bytes; it may have been deleted since it was read.

        Raises as `load` does.
        """
        return self._recall(key, "", model)

    def read(self, key: str, model: type[_M]) -> tuple[_M, int]:
        """Return a record as it is now, and its size in bytes. Raises as `load` does."""
        data = self._store.get(self._collection, key)
        try:
            return model.model_validate_json(data), len(data)
        except ValidationError as error:
            why = f"it does not hold a valid {model.__name__}: {error}"
            raise self._broken(self._collection, key, why) from error

    def forget(self, key: str) -> None:
        """Read this record anew next time."""
        with self._lock:
            old = self._entries.pop(key, None)
            self._held -= old[1] if old else 0

    def misses(self, infos: Iterable[ObjectInfo]) -> list[ObjectInfo]:
        """Return those of `infos` that `load` would have to read."""
        with self._lock:
            return [info for info in infos if self._entries.get(info.key, ("",))[0] != info.version]

    def unread(self, keys: Iterable[str]) -> list[str]:
        """Return those of `keys` that `load_lasting` would have to read."""
        with self._lock:
            return [key for key in keys if key not in self._entries]

    def _recall(self, key: str, version: str, model: type[_M]) -> tuple[_M, int]:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry[0] == version and isinstance(entry[2], model):
                self._entries.move_to_end(key)
                return entry[2], entry[1]
        record, size = self.read(key, model)
        self._keep(key, version, size, record)
        return record, size

    def _keep(self, key: str, version: str, size: int, record: BaseModel) -> None:
        with self._lock:
            old = self._entries.pop(key, None)
            self._held -= old[1] if old else 0
            self._entries[key] = (version, size, record)
            self._held += size
            while self._held > self._limit and len(self._entries) > 1:
                self._held -= self._entries.popitem(last=False)[1][1]


def read_ahead(reads: Sequence[Callable[[], object]]) -> None:
    """Do these reads into a cache with several threads, where they are enough to be worth their start."""
    if len(reads) >= _WORTH_THREADS:
        with ThreadPoolExecutor(_READERS, thread_name_prefix="compox-list") as pool:
            list(pool.map(_try, reads))


def _try(read: Callable[[], object]) -> None:
    try:
        read()
    except (NotFoundError, StorageError):
        return  # whoever needs it reads it again and says what is wrong
