"""Checkpoints: what trainings have learned, kept in place of some of an algorithm's assets.

Order of a save: pin and store the contents; create the index objects; create the record; look whether the algorithm is
still there, and take the record back where it is not; unpin. A removal of an algorithm marks its last minor as gone
before it looks for checkpoints: of a save and a removal that meet, one sees the other. Order of a deletion: the record,
the index objects, the contents that nothing else names. `blobs` says why a content is never taken from under a
checkpoint, `manifests` has the keys.
"""

from __future__ import annotations

import builtins
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from compox_core.algorithms.blobs import Blob, BlobStore, BlobWriter
from compox_core.algorithms.catalogue import Catalogue
from compox_core.algorithms.changes import Changes
from compox_core.algorithms.checkpoint_contents import (
    AssetValue,
    Content,
    check_paths,
    hashed,
    plain_properties,
    plain_tags,
)
from compox_core.algorithms.manifests import BY_ALGORITHM, BY_TRAINING, RECORDS, assets_of
from compox_core.algorithms.removal import discard
from compox_core.errors import ConflictError, InvalidInputError, NotFoundError, StorageError, TaskStoppedException
from compox_core.identity import new_id, utc_now
from compox_core.records import AlgorithmVersion, AssetEntry, CheckpointRecord
from compox_core.records.plain import encodable
from compox_core.storage.collections import ASSETS, CHECKPOINTS
from compox_core.storage.objects import ObjectStore

_CACHE_LIMIT = 16 << 20

_log = logging.getLogger(__name__)


class CheckpointStore:
    """The checkpoints of one store. Every call sees what other processes have saved and deleted. Thread-safe.

    `catalogue` is where records are kept that were read, for whoever has one.
    """

    def __init__(self, store: ObjectStore, catalogue: Catalogue | None = None) -> None:
        self._store = store
        self._catalogue = catalogue or Catalogue(store, _CACHE_LIMIT)
        self._manifests = self._catalogue.manifests
        self._changes = Changes(store)

    def save(
        self,
        *,
        algorithm_id: str,
        minor: str | int,
        training_id: str,
        parent_checkpoint_id: str | None,
        allowed_paths: Collection[str],
        assets: Mapping[str, AssetValue],
        properties: Mapping[str, Any] | None = None,
        tags: Collection[str] = (),
        passed: Callable[[int], None] = lambda size: None,
    ) -> CheckpointRecord:
        """Store a checkpoint and return its record.

        Args:
            algorithm_id: The algorithm that is trained, `minor` its minor version.
            training_id: The training that saves it.
            parent_checkpoint_id: Where that training went on from.
            allowed_paths: The asset paths of the minor version that is trained.
            assets: For some of these paths: bytes, a path, or an open binary file, which is read from its beginning
                where it can be. Nothing is read into memory as a whole.
            properties: What the algorithm says of it, as JSON; scalars and arrays of numpy and torch are taken, too.
            tags: Kept as they are.
            passed: Told of every piece that is stored by its size in bytes; it may raise TaskStoppedException.

        Raises:
            InvalidInputError: `checkpoint_empty`, `checkpoint_asset_path_invalid`, `checkpoint_asset_invalid` (a
                content that cannot be read), `checkpoint_manifest_invalid` (properties or tags). Nothing is stored.
            NotFoundError: `algorithm_not_found`: the algorithm was removed meanwhile. Nothing is stored.
            StorageError: The store, or the disk for what is on its way, refused. It may be stored all the same where
                an answer of the store was lost.
        """
        check_paths(assets, allowed_paths)
        draft = CheckpointRecord(
            checkpoint_id=new_id(),
            parent_algorithm_id=algorithm_id,
            training_id=training_id,
            algorithm_minor_version=str(minor),
            parent_checkpoint_id=parent_checkpoint_id,
            created_at=utc_now(),
            properties=plain_properties(properties),
            tags=plain_tags(tags),
        )
        if not self._catalogue.shelf(algorithm_id).living:  # before anything large is read
            raise _algorithm_gone(algorithm_id)
        with hashed(assets, self._store.scratch, passed) as contents:
            return self._publish(draft, contents, passed)

    def get(self, checkpoint_id: str) -> CheckpointRecord:
        """Return a checkpoint.

        Raises NotFoundError (`checkpoint_not_found`), StorageError (`invalid_checkpoint_record`) where it cannot be
        read.
        """
        try:
            return self._manifests.read(checkpoint_id)
        except NotFoundError:
            raise no_checkpoint(checkpoint_id) from None

    def list(
        self,
        positive_tags: Iterable[str] = (),
        negative_tags: Iterable[str] = (),
        algorithm_id: str | None = None,
        training_id: str | None = None,
    ) -> list[CheckpointRecord]:
        """Return the checkpoints that have all of `positive_tags` and none of `negative_tags`, oldest first.

        Tags are compared without regard to case and to blanks around them. One that cannot be read is left out with a
        warning.
        """
        if training_id is not None:
            ids = self.ids_of_training(training_id)
        elif algorithm_id is not None:
            ids = self._manifests.ids(f"{BY_ALGORITHM}{algorithm_id}/")
        else:
            ids = [info.key.removeprefix(RECORDS) for info in self._manifests.infos()]
        wanted, unwanted = _folded(positive_tags), _folded(negative_tags)
        found = []
        for record, _ in self._manifests.readable(ids):
            tags = _folded(record.tags)
            right = algorithm_id is None or record.parent_algorithm_id == algorithm_id
            if right and wanted <= tags and not unwanted & tags:
                found.append(record)
        return sorted(found, key=lambda record: (record.created_at, record.checkpoint_id))

    def ids_of_training(self, training_id: str) -> builtins.list[str]:
        """Return the ids of the checkpoints that a training has saved and that are there, oldest first."""
        return self._manifests.ids(f"{BY_TRAINING}{training_id}/")

    def adopt(self, record: CheckpointRecord) -> bool:
        """Publish a checkpoint of another store, whose contents a writer has pinned and stored; False where one of this
        id is there already. The caller has announced a change.

        Raises NotFoundError: `algorithm_not_found`: the algorithm was removed meanwhile. Nothing is stored.
        """
        try:
            self._manifests.create(record)
        except ConflictError:
            return False
        self._check_living(record)
        return True

    def is_empty(self) -> bool:
        """Return whether there is no checkpoint."""
        return next(self._store.list(CHECKPOINTS, RECORDS), None) is None

    def delete(self, checkpoint_id: str) -> None:
        """Delete a checkpoint, one that cannot be read, too; contents that nothing else names go with it.

        Raises NotFoundError (`checkpoint_not_found`).
        """
        try:
            record = self.get(checkpoint_id)
        except StorageError as error:
            if error.code != "invalid_checkpoint_record":
                raise
            _log.warning("Deleted without its contents, which a garbage collection finds: %s", error)
            with self._changes.announced():
                self._manifests.delete_record(checkpoint_id)
            return
        with self._changes.announced():
            self._manifests.delete(record)
        discard(self._store, self._catalogue, assets_of(record))

    def _publish(
        self, draft: CheckpointRecord, contents: Mapping[str, Content], passed: Callable[[int], None]
    ) -> CheckpointRecord:
        named: set[Blob] = set()
        try:
            with BlobStore(self._store).writer({each.sha256 for each in contents.values()}, passed) as writer:
                entries = {}
                for path, content in contents.items():
                    blob = _put(writer, path, content)
                    named.add(blob)
                    entries[path] = AssetEntry(sha256=content.sha256, key=blob.key, size=content.size)
                record = draft.model_copy(update={"assets": entries})
                with self._changes.announced():
                    self._manifests.create(record)
                    self._check_living(record)
        except (InvalidInputError, NotFoundError, TaskStoppedException):
            discard(self._store, self._catalogue, named)
            raise
        return record

    def _check_living(self, record: CheckpointRecord) -> None:
        if not self._catalogue.shelf(record.parent_algorithm_id).living:
            self._manifests.delete(record)
            raise _algorithm_gone(record.parent_algorithm_id)


def with_checkpoint(version: AlgorithmVersion, checkpoint: CheckpointRecord) -> AlgorithmVersion:
    """Return a minor version with a checkpoint's assets in place of its own.

    Raises InvalidInputError: `invalid_checkpoint` where the checkpoint is another algorithm's,
    `checkpoint_asset_incompatible` where it has an asset that this minor version does not have.
    """
    details = {"checkpoint_id": checkpoint.checkpoint_id, "algorithm_id": version.algorithm_id}
    if checkpoint.parent_algorithm_id != version.algorithm_id:
        raise InvalidInputError(
            f"The checkpoint '{checkpoint.checkpoint_id}' is of the algorithm {checkpoint.parent_algorithm_id}, not of "
            f"{version.name} {version.major} ({version.algorithm_id}): choose one of this algorithm's.",
            code="invalid_checkpoint",
            details=details | {"parent_algorithm_id": checkpoint.parent_algorithm_id},
        )
    foreign = sorted(checkpoint.assets.keys() - version.assets.keys())
    if foreign:
        raise InvalidInputError(
            f"The checkpoint '{checkpoint.checkpoint_id}' does not fit {version.name} {version.major}.{version.minor}, "
            f"which has no asset {', '.join(map(repr, foreign))}: choose the minor version that was trained "
            f"({checkpoint.algorithm_minor_version or 'unknown'}), or one with these assets.",
            code="checkpoint_asset_incompatible",
            details=details | {"algorithm_minor_version": str(version.minor), "paths": foreign},
        )
    return version.model_copy(update={"assets": version.assets | checkpoint.assets})


def no_checkpoint(checkpoint_id: str) -> NotFoundError:
    """Return the error for a checkpoint that is not there."""
    shown = encodable(checkpoint_id)
    return NotFoundError(
        f"There is no checkpoint '{shown}' in this store: list the checkpoints there are.",
        code="checkpoint_not_found",
        details={"checkpoint_id": shown},
    )


def _put(writer: BlobWriter, path: str, content: Content) -> Blob:
    try:
        return writer.put(ASSETS, content.sha256, content.size, content.path)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"The asset '{path}' of a checkpoint was not saved: the file {content.path} changed, or went away, while "
            "it was read. Save again and leave it alone meanwhile.",
            code="checkpoint_asset_invalid",
            details={"path": path},
        ) from error


def _folded(tags: Iterable[str]) -> set[str]:
    return {tag.strip().casefold() for tag in tags}


def _algorithm_gone(algorithm_id: str) -> NotFoundError:
    return NotFoundError(
        f"The checkpoint was not saved: its algorithm {algorithm_id} was removed meanwhile.",
        code="algorithm_not_found",
        details={"algorithm_id": algorithm_id},
    )
