"""Takes minor versions out of a store, with the last one the checkpoints, and the blobs that nothing names any more.

Order: the tombstones of all minors, where no minor lives then the checkpoints, the minor objects, the blobs. From its
tombstone on a minor is gone for readers. A removal that crashed leaves, for a later garbage collection (or for the
next removal in the same algorithm, which finishes it): minor objects beside their tombstones, checkpoints of an
algorithm without a living minor, and blobs that nothing names.

A removal that has seen no living minor goes on while a deploy may add one, and a training of that one may save a
checkpoint. So it takes only checkpoints of minors whose numbers had been used when it looked: a number is never used
twice.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable

from compox_core.algorithms.blobs import Blob, BlobStore
from compox_core.algorithms.catalogue import Catalogue, blobs_of
from compox_core.algorithms.changes import Changes
from compox_core.algorithms.manifests import assets_of
from compox_core.algorithms.shelves import Shelf, gone_key, minor_key, parse_minor
from compox_core.errors import ConflictError, StorageError
from compox_core.records import AlgorithmVersion, CheckpointRecord
from compox_core.storage.collections import ALGORITHMS
from compox_core.storage.objects import ObjectStore

_log = logging.getLogger(__name__)


def seal(version: AlgorithmVersion) -> bytes:
    """Return what the tombstone of `version` holds, by which a deploy tells whether its own was removed."""
    return hashlib.sha256(version.model_dump_json().encode()).hexdigest().encode()


def remove_minors(store: ObjectStore, catalogue: Catalogue, shelf: Shelf, minors: Collection[int]) -> None:
    """Remove `minors` of the algorithm on `shelf`, oldest first, and collect what only they named."""
    seals = {version.minor: seal(version) for version in catalogue.readable_versions(shelf, minors)}
    with Changes(store).announced():
        for minor in sorted(minors):
            try:
                store.create(ALGORITHMS, gone_key(shelf.algorithm_id, minor), seals.get(minor, b""))
            except ConflictError:
                continue  # somebody else removes it at the same time
    now = catalogue.shelf(shelf.algorithm_id)
    dead = sorted(now.minors.keys() & now.gone)
    blobs = set() if now.living else _remove_checkpoints(store, catalogue, now)
    for version in catalogue.readable_versions(now, dead):
        blobs |= blobs_of(version)
    for minor in dead:
        store.delete(ALGORITHMS, minor_key(shelf.algorithm_id, minor))
    discard(store, catalogue, blobs)


def orphans(shelf: Shelf, checkpoints: Iterable[CheckpointRecord]) -> list[CheckpointRecord]:
    """Return those of an algorithm's checkpoints that go with it: none where one of its minors lives."""
    if shelf.living or not shelf.gone:
        return []
    minors = [(each, parse_minor(each.algorithm_minor_version or "")) for each in checkpoints]
    return [each for each, minor in minors if minor is None or minor < shelf.first_unused]


def _remove_checkpoints(store: ObjectStore, catalogue: Catalogue, shelf: Shelf) -> set[Blob]:
    """Remove the checkpoints of an algorithm that is gone and return the blobs that they named."""
    found = orphans(shelf, [each.record for each in catalogue.manifests.of_algorithm(shelf.algorithm_id)])
    if found:
        with Changes(store).announced():  # a deploy may have brought the algorithm back
            for checkpoint in found:
                catalogue.manifests.delete(checkpoint)
    return {blob for checkpoint in found for blob in assets_of(checkpoint)}


def discard(store: ObjectStore, catalogue: Catalogue, blobs: Collection[Blob]) -> None:
    """Collect those of `blobs` that nothing names. What cannot be told or deleted now is logged and stays.

    By the time of this call the deploy or removal that leaves the blobs behind has happened, or has failed by
    an error of its own; space that could not be freed is no reason to report it otherwise.
    """
    try:
        if blobs:
            BlobStore(store).collect(blobs, catalogue.named)
    except StorageError as error:
        _log.warning("%d blobs were not collected and stay until a garbage collection: %s", len(blobs), error)
