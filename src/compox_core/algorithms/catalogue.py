"""Reads what a store holds of algorithms, each object once."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

from pydantic import BaseModel

from compox_core.algorithms.blobs import Blob
from compox_core.algorithms.manifests import Manifest, Manifests
from compox_core.algorithms.metrics import storage_metrics
from compox_core.algorithms.record_cache import RecordCache, read_ahead
from compox_core.algorithms.shelves import Shelf, head_key, prefix, shelves
from compox_core.errors import NotFoundError, StorageError
from compox_core.records import AlgorithmFlags, AlgorithmHead, AlgorithmRecord, AlgorithmVersion
from compox_core.storage.collections import ALGORITHMS, ASSETS, MODULES
from compox_core.storage.objects import ObjectInfo, ObjectStore

_log = logging.getLogger(__name__)

_Wanted: TypeAlias = tuple[ObjectInfo, type[BaseModel]]


class Catalogue:
    """What a store holds of algorithms: shelves by listing, records by reading.

    Every call lists anew, so it sees what other processes did; records that did not change are not read
    again. `manifests` does the same for their checkpoints; each of the two keeps up to `cache_limit` bytes of JSON.
    """

    def __init__(self, store: ObjectStore, cache_limit: int) -> None:
        self._store = store
        self._cache = RecordCache(store, ALGORITHMS, cache_limit, invalid_record)
        self.manifests = Manifests(store, cache_limit)

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

    def record(self, shelf: Shelf, checkpoints: Sequence[Manifest] | None = None) -> AlgorithmRecord:
        """Return the algorithm as a reader sees it; `shelf.living` must not be empty. `checkpoints` are looked for
        where they are not given.

        An older minor that cannot be read is left out with a warning. Raises StorageError where head, flags
        or the latest minor is broken, NotFoundError where the latest was deleted since the listing.
        """
        head, flags = self.head(shelf), self.flags(shelf)
        *older, latest = shelf.living
        versions = [*self.readable_versions(shelf, older), self.version(shelf, latest)]
        if checkpoints is None:
            checkpoints = self.manifests.of_algorithm(shelf.algorithm_id)
        return describe(head, flags, versions, checkpoints)

    def records(self) -> Iterator[AlgorithmRecord]:
        """Yield every algorithm: two listings, and the records that changed since; broken ones are logged."""
        found = [shelf for shelf in shelves(self._store.list(ALGORITHMS)) if shelf.living]
        self._read_ahead([*itertools.chain.from_iterable(map(_small_records, found)), *_versions(found)])
        checkpoints = self.manifests.by_algorithm()
        for shelf in found:
            try:
                yield self.record(shelf, checkpoints.get(shelf.algorithm_id, ()))
            except NotFoundError:
                yield from self._again(shelf.algorithm_id)
            except StorageError as error:
                _skip(error)

    def named(self, blobs: Collection[Blob]) -> set[Blob]:
        """Return those of `blobs` that a living minor version of any algorithm, or a checkpoint, names.

        Raises StorageError where one of these cannot be read: it may name any of them.
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
        return found | self.manifests.named(wanted)

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
        """Read records into the cache, several at a time."""
        missing = {info.key for info in self._cache.misses(info for info, _ in wanted)}
        read_ahead([partial(self._cache.load, info, model) for info, model in wanted if info.key in missing])


def describe(
    head: AlgorithmHead,
    flags: AlgorithmFlags,
    versions: Sequence[AlgorithmVersion],
    checkpoints: Iterable[Manifest],
) -> AlgorithmRecord:
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
        storage_metrics=storage_metrics(versions, checkpoints),
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
