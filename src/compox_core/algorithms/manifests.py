"""Which objects a store keeps of checkpoints, and reading them.

In `algorithm-checkpoint-store`:

    record/<checkpoint_id>                      CheckpointRecord, created once, never changed: the checkpoint
    training/<training_id>/<checkpoint_id>      empty: which checkpoints a training has saved
    algorithm/<algorithm_id>/<checkpoint_id>    empty: which an algorithm has

The two empty ones are created before the record and deleted after it. Where they stand alone, a checkpoint is being
saved or deleted at this moment, or a process died at it; readers pass over them.
"""

from __future__ import annotations

import logging
import os.path
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import partial
from typing import NamedTuple

from compox_core.algorithms.blobs import Blob
from compox_core.algorithms.record_cache import RecordCache, read_ahead
from compox_core.errors import ConflictError, NotFoundError, StorageError
from compox_core.records import CheckpointRecord
from compox_core.storage.collections import ASSETS, CHECKPOINTS
from compox_core.storage.objects import ObjectInfo, ObjectStore

RECORDS = "record/"
BY_TRAINING = "training/"
BY_ALGORITHM = "algorithm/"

_FEW = 4

_log = logging.getLogger(__name__)


class Manifest(NamedTuple):
    """A checkpoint as it is stored, and the bytes that its record takes there."""

    record: CheckpointRecord
    size: int


class Manifests:
    """The records of all checkpoints in a store. What was read is kept (`cache_limit` bytes of JSON) and shared."""

    def __init__(self, store: ObjectStore, cache_limit: int) -> None:
        self._store = store
        self._cache = RecordCache(store, CHECKPOINTS, cache_limit, invalid_manifest)

    def read(self, checkpoint_id: str) -> CheckpointRecord:
        """Return a checkpoint that is there now.

        Raises NotFoundError, and StorageError (`invalid_checkpoint_record`) where it cannot be read.
        """
        return self._cache.read(RECORDS + checkpoint_id, CheckpointRecord)[0]

    def infos(self) -> list[ObjectInfo]:
        """Return the records that are there, none of them read."""
        return list(self._store.list(CHECKPOINTS, RECORDS))

    def ids(self, index: str) -> list[str]:
        """Return the ids of the checkpoints under `index` ("training/<id>/", say), rising, without those whose record
        is not there.

        Costs a listing, and one of the records that were made in the time between the first and the last of them.
        """
        found = self._indexed(index)
        if len(found) <= _FEW:
            return [name for name in found if self._store.exists(CHECKPOINTS, RECORDS + name)]
        # Ids begin with the time at which they were made.
        common = os.path.commonprefix(found)  # noqa: RUF071 - of texts
        there = {info.key for info in self._store.list(CHECKPOINTS, RECORDS + common)}
        return [name for name in found if RECORDS + name in there]

    def readable(self, ids: Iterable[str]) -> list[Manifest]:
        """Return the checkpoints with these ids; those that cannot be read are logged, those that are gone left out."""
        wanted = [RECORDS + name for name in ids]
        self._read_ahead(wanted)
        found = []
        for key in wanted:
            try:
                found.append(self._load(key))
            except NotFoundError:
                continue
            except StorageError as error:
                if error.code != "invalid_checkpoint_record":
                    raise
                _log.warning("Left out of the checkpoints: %s", error)
        return found

    def of_algorithm(self, algorithm_id: str) -> list[Manifest]:
        """Return what can be read of an algorithm's checkpoints, at a cost of one listing where they are known.

        One that is being deleted at this moment may still be among them.
        """
        return self.readable(self._indexed(f"{BY_ALGORITHM}{algorithm_id}/"))

    def by_algorithm(self, before: datetime | None = None) -> dict[str, list[Manifest]]:
        """Return what can be read of all checkpoints, or of those stored before a time, under the ids of their
        algorithms."""
        infos = [info for info in self.infos() if before is None or info.modified < before]
        found = defaultdict(list)
        for manifest in self.readable(info.key.removeprefix(RECORDS) for info in infos):
            found[manifest.record.parent_algorithm_id].append(manifest)
        return found

    def named(self, blobs: Collection[Blob]) -> set[Blob]:
        """Return those of `blobs` that a checkpoint names. Raises StorageError where one cannot be read: it may name
        any of them."""
        wanted, found = set(blobs), set()
        keys = [info.key for info in self.infos()]
        self._read_ahead(keys)
        for key in keys:
            try:
                found |= wanted & assets_of(self._load(key).record)
            except NotFoundError:
                continue
        return found

    def create(self, record: CheckpointRecord) -> None:
        """Publish a checkpoint, whose assets its writer has pinned and stored."""
        for key in _index_keys(record):
            self._mark(key)
        data = record.model_dump_json().encode()
        self._store.create(CHECKPOINTS, RECORDS + record.checkpoint_id, data)

    def delete(self, record: CheckpointRecord) -> bool:
        """Remove a checkpoint, but not the assets that it names; return whether it was there."""
        there = self.delete_record(record.checkpoint_id)
        for key in _index_keys(record):
            self._store.delete(CHECKPOINTS, key)
        return there

    def delete_record(self, checkpoint_id: str) -> bool:
        """Remove a checkpoint of which nothing is known but its id; return whether it was there."""
        there = self._store.delete(CHECKPOINTS, RECORDS + checkpoint_id)
        self._cache.forget(RECORDS + checkpoint_id)
        return there

    def _mark(self, key: str) -> None:
        try:
            self._store.create(CHECKPOINTS, key, b"")
        except ConflictError:
            return

    def _indexed(self, index: str) -> list[str]:
        return [info.key.removeprefix(index) for info in self._store.list(CHECKPOINTS, index)]

    def _load(self, key: str) -> Manifest:
        return Manifest(*self._cache.load_lasting(key, CheckpointRecord))

    def _read_ahead(self, keys: Iterable[str]) -> None:
        read_ahead([partial(self._load, key) for key in self._cache.unread(keys)])


def assets_of(record: CheckpointRecord) -> set[Blob]:
    """Return the blobs that a checkpoint names."""
    return {Blob(ASSETS, entry.key) for entry in record.assets.values()}


def invalid_manifest(collection: str, key: str, why: str) -> StorageError:
    """Return the error for the record of a checkpoint that is not what it should be."""
    checkpoint_id = key.removeprefix(RECORDS)
    return StorageError(
        f"The checkpoint '{checkpoint_id}' ({key!r} in {collection!r}) cannot be read: {why}. Restore that object from "
        "a backup, or delete the checkpoint.",
        code="invalid_checkpoint_record",
        details={"checkpoint_id": checkpoint_id, "collection": collection, "key": key},
    )


def _index_keys(record: CheckpointRecord) -> list[str]:
    return [
        f"{BY_TRAINING}{record.training_id}/{record.checkpoint_id}",
        f"{BY_ALGORITHM}{record.parent_algorithm_id}/{record.checkpoint_id}",
    ]
