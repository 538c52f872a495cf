"""Puts what a bundle holds into an empty store, to have it run there."""

from __future__ import annotations

from compox_core.algorithms.manifests import BY_ALGORITHM, RECORDS
from compox_core.algorithms.shelves import flags_key, head_key, minor_key, name_prefix
from compox_core.bundle.snapshot import BundleSource
from compox_core.identity import algorithm_id
from compox_core.records import AlgorithmHead
from compox_core.storage import ALGORITHMS, CHECKPOINTS, SYSTEM, ObjectStore


def install(store: ObjectStore, bundle: BundleSource) -> None:
    """Store everything, under the ids that algorithms of these names have."""
    for content, stream in bundle.contents({each.sha256 for each in bundle.snapshot.contents()}):
        store.put(content.collection, content.sha256, stream.read())
    for each in bundle.snapshot.algorithms:
        target = algorithm_id(each.name, each.major)
        head = AlgorithmHead(algorithm_id=target, name=each.name, major=each.major, created=each.created)
        store.put(ALGORITHMS, head_key(target), head.model_dump_json().encode())
        store.put(ALGORITHMS, flags_key(target), each.flags.model_dump_json().encode())
        store.put(SYSTEM, f"{name_prefix(each.name)}{each.major}", b"")
        for version in each.versions:
            stored = version.model_copy(update={"algorithm_id": target})
            store.put(ALGORITHMS, minor_key(target, version.minor), stored.model_dump_json().encode())
        for checkpoint in each.checkpoints:
            kept = checkpoint.model_copy(update={"parent_algorithm_id": target})
            store.put(CHECKPOINTS, f"{BY_ALGORITHM}{target}/{kept.checkpoint_id}", b"")
            store.put(CHECKPOINTS, f"{RECORDS}{kept.checkpoint_id}", kept.model_dump_json().encode())
