"""Removes what deploys, removals and trainings have left behind: blobs that nothing names, notes of dead processes.

Safe beside every writer of blobs: what is deleted goes through `BlobStore.collect`. What a deploy that died has left
of an algorithm that has no version yet (its head, flags, name and number, some hundred bytes) stays: the next deploy
of that name takes it over, and may be doing so at this moment.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice

from compox_core.algorithms.blobs import Blob, BlobStore, Marks
from compox_core.algorithms.catalogue import Catalogue
from compox_core.algorithms.changes import CHANGES, Changes
from compox_core.algorithms.manifests import BY_ALGORITHM, BY_TRAINING, RECORDS
from compox_core.algorithms.removal import orphans
from compox_core.algorithms.shelves import Shelf, shelves
from compox_core.jobs.retention.broom import Broom
from compox_core.jobs.retention.leftovers import LEFT_AFTER
from compox_core.records import CheckpointRecord
from compox_core.storage import ALGORITHMS, ASSETS, CHECKPOINTS, MODULES, SYSTEM

BATCH = 256
"""So many blobs are collected at a time. Each costs a tombstone, and a crash leaves those of one batch."""

UNNAMED = "contents that no version names"


def collect_algorithms(broom: Broom, catalogue: Catalogue) -> None:
    """Remove what is left of deploys and removals. Raises StorageError where a version, a checkpoint or a pin cannot
    be read."""
    blobs = BlobStore(broom.store)
    marks = blobs.marks(broom.now)
    for info in broom.each(marks.left):
        broom.delete(SYSTEM, [info], "pins and tombstones of processes that died")
    _finish_changes(broom)
    found = _remove_dead_minors(broom)
    _remove_orphans(broom, catalogue, found)
    _remove_stale_indexes(broom, catalogue)
    _collect_blobs(broom, blobs, marks, catalogue)


def _finish_changes(broom: Broom) -> None:
    """Take back the announcements of deploys and removals that died: none lasts nearly as long."""
    left = [info for info in broom.store.list(SYSTEM, CHANGES) if broom.now - info.modified > LEFT_AFTER]
    for info in broom.each(left):

        def finish(key: str = info.key) -> bool:
            Changes(broom.store).finish(key)
            return True

        broom.remove(SYSTEM, "announced changes of processes that died", info.size, finish)


def _remove_dead_minors(broom: Broom) -> list[Shelf]:
    found = list(shelves(broom.store.list(ALGORITHMS)))
    broom.ledger.kept(
        ALGORITHMS,
        "heads without a version",
        "the next deploy of that name takes them over",
        sum(not shelf.minors and not shelf.gone for shelf in found),
    )
    dead = [shelf.minors[minor] for shelf in found for minor in shelf.minors.keys() & shelf.gone]
    for info in broom.each(dead):
        broom.delete(ALGORITHMS, [info], "versions that were removed")
    return found


def _remove_orphans(broom: Broom, catalogue: Catalogue, found: list[Shelf]) -> None:
    """Remove the checkpoints of algorithms that are gone: their removal takes them along, unless it died at it."""
    gone = [shelf for shelf in found if shelf.gone and not shelf.living]
    held = catalogue.manifests.by_algorithm(broom.now - LEFT_AFTER) if gone else {}
    left = [
        manifest for shelf in gone for manifest in held.get(shelf.algorithm_id, ()) if orphans(shelf, [manifest.record])
    ]
    for manifest in broom.each(left):

        def act(record: CheckpointRecord = manifest.record) -> bool:
            with Changes(broom.store).announced():
                return catalogue.manifests.delete(record)

        broom.remove(CHECKPOINTS, "checkpoints of removed algorithms", manifest.size, act)


def _remove_stale_indexes(broom: Broom, catalogue: Catalogue) -> None:
    """Remove what names a checkpoint that is not there: no save takes nearly as long."""
    named = [info for index in (BY_TRAINING, BY_ALGORITHM) for info in broom.store.list(CHECKPOINTS, index)]
    old = [info for info in named if broom.now - info.modified > LEFT_AFTER]
    there = {info.key.removeprefix(RECORDS) for info in catalogue.manifests.infos()} if old else set()
    for info in broom.each([info for info in old if info.key.rpartition("/")[2] not in there]):
        broom.delete(CHECKPOINTS, [info], "marks of checkpoints that are not there")


def _collect_blobs(broom: Broom, blobs: BlobStore, marks: Marks, catalogue: Catalogue) -> None:
    sizes: dict[Blob, int] = {}
    for collection in (MODULES, ASSETS):
        found = broom.store.list(collection)
        sizes.update({Blob(collection, info.key): info.size for info in found if "/" not in info.key})
    unnamed = sorted(sizes.keys() - catalogue.named(sizes.keys()))
    kept = Counter(blob.collection for blob in unnamed if blob.sha256 in marks.pinned)
    for collection, count in kept.items():
        broom.ledger.kept(collection, UNNAMED, "a deploy that goes on, or ended unclearly, holds them", count)
    free = [blob for blob in unnamed if blob.sha256 not in marks.pinned]
    rest = iter(free)
    batches = [batch for _ in range(0, len(free), BATCH) if (batch := list(islice(rest, BATCH)))]
    for batch in broom.each(batches):
        gone = batch if broom.dry_run else blobs.collect(batch, catalogue.named)
        for blob in gone:
            broom.ledger.removed(blob.collection, UNNAMED, sizes[blob])
