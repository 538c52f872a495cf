"""Reads what a store holds of algorithms, each object once."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from compox_core.algorithms.blobs import Blob
from compox_core.algorithms.metrics import storage_metrics
from compox_core.algorithms.shelves import Shelf, head_key, prefix, shelves
from compox_core.errors import NotFoundError, StorageError
from compox_core.records import AlgorithmFlags, AlgorithmHead, AlgorithmRecord, AlgorithmVersion
from compox_core.storage.collections import ALGORITHMS, ASSETS, MODULES
from compox_core.storage.objects import ObjectInfo, ObjectStore

_log = logging.getLogger(__name__)

_M = TypeVar("_M", bound=BaseModel)
_Wanted: TypeAlias = tuple[ObjectInfo, type[BaseModel]]

_READERS = 16
_WORTH_THREADS = 32


class RecordCache:
    """Records of `algorithm-store` that were read before, for as long as a listing shows them unchanged.

    An object is read again when `ObjectInfo.version` differs, so a deploy of another process is noticed by
    whoever lists. Holds at most `limit` bytes of JSON (the models take several times that), least recently
    used go first. Thread-safe.
    """

    def __init__(self, store: ObjectStore, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._lock = threading.Lock()
        self._held = 0
        self._entries: OrderedDict[str, tuple[str, int, BaseModel]] = OrderedDict()

    def load(self, info: ObjectInfo, model: type[_M]) -> _M:
        """Return the record that a listing showed as `info`. It is shared: do not change it.

        Raises NotFoundError when it was deleted since, StorageError (code `invalid_algorithm_record`) when it
        is not what it should be.
        """
        with self._lock:
            entry = self._entries.get(info.key)
            if entry is not None and entry[0] == info.version and isinstance(entry[2], model):
                self._entries.move_to_end(info.key)
                return entry[2]
        record = self._read(info.key, model)
        self._keep(info, record)
        return record

    def misses(self, infos: Iterable[ObjectInfo]) -> list[ObjectInfo]:
        """Return those of `infos` that `load` would have to read."""
        with self._lock:
            return [info for info in infos if self._entries.get(info.key, ("",))[0] != info.version]

    def _read(self, key: str, model: type[_M]) -> _M:
        try:
            return model.model_validate_json(self._store.get(ALGORITHMS, key))
        except ValidationError as error:
            raise invalid_record(ALGORITHMS, key, f"it does not hold a valid {model.__name__}: {error}") from error

    def _keep(self, info: ObjectInfo, record: BaseModel) -> None:
        with self._lock:
            old = self._entries.pop(info.key, None)
            self._held -= old[1] if old else 0
            self._entries[info.key] = (info.version, info.size, record)
            self._held += info.size
            while self._held > self._limit and len(self._entries) > 1:
                self._held -= self._entries.popitem(last=False)[1][1]


class Catalogue:
    """What a store holds of algorithms: shelves by listing, records by reading.

    Every call lists anew, so it sees what other processes did; records that did not change are not read
    again.
    """

    def __init__(self, store: ObjectStore, cache_limit: int) -> None:
        self._store = store
        self._cache = RecordCache(store, cache_limit)

    def shelf(self, algorithm_id: str) -> Shelf:
        """Return what is there of one algorithm: one listing of its prefix, whatever the store holds."""
        return Shelf.of(algorithm_id, self._store.list(ALGORITHMS, prefix(algorithm_id)))

    def head(self, shelf: Shelf) -> AlgorithmHead:
        """Return the head of an algorithm that has one; raises StorageError where it is missing or broken."""
        if shelf.head is None:
            key = head_key(shelf.algorithm_id)
            raise invalid_record(ALGORITHMS, key, "it is missing although minor versions are there")
        return self._cache.load(shelf.head, AlgorithmHead)

    def flags(self, shelf: Shelf) -> AlgorithmFlags:
        """Return the flags as the last deploy set them."""
        return self._cache.load(shelf.flags, AlgorithmFlags) if shelf.flags else AlgorithmFlags()

    def version(self, shelf: Shelf, minor: int) -> AlgorithmVersion:
        """Return one minor version that the shelf shows; raises NotFoundError when it was deleted since."""
        info = shelf.minors[minor]
        version = self._cache.load(info, AlgorithmVersion)
        if (version.algorithm_id, version.minor) != (shelf.algorithm_id, minor):
            found = f"{version.algorithm_id}, minor {version.minor}"
            raise invalid_record(ALGORITHMS, info.key, f"it describes another version ({found})")
        return version

    def readable_versions(self, shelf: Shelf, minors: Iterable[int]) -> list[AlgorithmVersion]:
        """Return the versions of `minors` that can be read, without deleted ones; broken ones are logged."""
        found = []
        for minor in minors:
            try:
                found.append(self.version(shelf, minor))
            except NotFoundError:
                continue
            except StorageError as error:
                _skip(error)
        return found

    def record(self, shelf: Shelf) -> AlgorithmRecord:
        """Return the algorithm as a reader sees it; `shelf.living` must not be empty.

        An older minor that cannot be read is left out with a warning. Raises StorageError where head, flags
        or the latest minor is broken, NotFoundError where the latest was deleted since the listing.
        """
        head, flags = self.head(shelf), self.flags(shelf)
        *older, latest = shelf.living
        versions = [*self.readable_versions(shelf, older), self.version(shelf, latest)]
        return describe(head, flags, versions)

    def records(self) -> Iterator[AlgorithmRecord]:
        """Yield every algorithm: one listing, and the records that changed since; broken ones are logged."""
        found = [shelf for shelf in shelves(self._store.list(ALGORITHMS)) if shelf.living]
        self._read_ahead([*itertools.chain.from_iterable(map(_small_records, found)), *_versions(found)])
        for shelf in found:
            try:
                yield self.record(shelf)
            except NotFoundError:
                yield from self._again(shelf.algorithm_id)
            except StorageError as error:
                _skip(error)

    def named(self, blobs: Collection[Blob]) -> set[Blob]:
        """Return those of `blobs` that a living minor version of any algorithm names.

        Raises StorageError where a version cannot be read: it may name any of them.
        """
        wanted, found = set(blobs), set()
        present = list(shelves(self._store.list(ALGORITHMS)))
        self._read_ahead(_versions(present))
        for shelf in present:
            for minor in shelf.living:
                try:
                    found |= wanted & blobs_of(self.version(shelf, minor))
                except NotFoundError:
                    continue
        return found

    def _again(self, algorithm_id: str) -> Iterator[AlgorithmRecord]:
        """Yield an algorithm whose latest minor went away while all were listed, if it still exists."""
        shelf = self.shelf(algorithm_id)
        if not shelf.living:
            return
        try:
            yield self.record(shelf)
        except NotFoundError:  # removed once more
            return
        except StorageError as error:
            _skip(error)

    def _read_ahead(self, wanted: Collection[_Wanted]) -> None:
        """Read records into the cache with several threads, where they are enough to be worth their start."""
        missing = {info.key for info in self._cache.misses(info for info, _ in wanted)}
        if len(missing) >= _WORTH_THREADS:
            with ThreadPoolExecutor(_READERS, thread_name_prefix="compox-list") as pool:
                list(pool.map(self._try, [entry for entry in wanted if entry[0].key in missing]))

    def _try(self, wanted: _Wanted) -> None:
        try:
            self._cache.load(*wanted)
        except (NotFoundError, StorageError):
            return  # whoever needs it reads it again and says what is wrong


def describe(head: AlgorithmHead, flags: AlgorithmFlags, versions: Sequence[AlgorithmVersion]) -> AlgorithmRecord:
    """Return the record of an algorithm from its parts; `versions` are the living ones, rising and not
    none."""
    latest = versions[-1]
    return AlgorithmRecord(
        algorithm_id=head.algorithm_id,
        name=head.name,
        major=head.major,
        minors=[version.minor for version in versions],
        latest_minor=latest.minor,
        created=head.created,
        metadata=latest.metadata,
        removable=flags.removable,
        exportable=flags.exportable,
        storage_metrics=storage_metrics(versions),
    )


def blobs_of(version: AlgorithmVersion) -> set[Blob]:
    """Return the blobs that a version names."""
    return {
        Blob(MODULES, version.module.key),
        *(Blob(ASSETS, asset.key) for asset in version.assets.values()),
    }


def invalid_record(collection: str, key: str, why: str) -> StorageError:
    """Return the error for an object of the registry that is not what it should be."""
    return StorageError(
        f"The object {key!r} in {collection!r} is broken: {why}. Restore it from a backup, or deploy the "
        "algorithm again.",
        code="invalid_algorithm_record",
        details={"collection": collection, "key": key},
    )


def _small_records(shelf: Shelf) -> Iterator[_Wanted]:
    if shelf.head:
        yield shelf.head, AlgorithmHead
    if shelf.flags:
        yield shelf.flags, AlgorithmFlags


def _versions(found: Iterable[Shelf]) -> list[_Wanted]:
    return [(shelf.minors[minor], AlgorithmVersion) for shelf in found for minor in shelf.living]


def _skip(error: StorageError) -> None:
    if error.code != "invalid_algorithm_record":
        raise error
    _log.warning("Left out of the algorithms: %s", error)
