"""Bundles for tests of imports: what was collected from a store, held in memory, without a file or a key."""

from __future__ import annotations

import io
from collections.abc import Callable, Container, Iterator
from typing import BinaryIO

from compox_core.algorithms.registry import Registry
from compox_core.bundle.collecting import collected
from compox_core.bundle.importing import import_bundle
from compox_core.bundle.plan import ImportReport
from compox_core.bundle.planning import plan_import
from compox_core.bundle.snapshot import Content, Snapshot
from compox_core.bundle.v2 import decode_snapshot, encode_snapshot
from compox_core.storage import ASSETS, MODULES, ObjectStore
from compox_core.storage.memory import MemoryStore


class Held:
    """A `BundleSource` in memory. What is in `spoiled` breaks while it is read, as a file does that was changed."""

    def __init__(self, snapshot: Snapshot, contents: dict[Content, bytes]) -> None:
        self.snapshot = snapshot
        self.held = contents
        self.read: list[Content] = []
        self.spoiled: dict[str, Callable[[bytes], BinaryIO]] = {}

    def contents(self, wanted: Container[str]) -> Iterator[tuple[Content, BinaryIO]]:
        """Yield the contents that are wanted, in their order."""
        for content, data in self.held.items():
            if content.sha256 in wanted:
                self.read.append(content)
                yield content, self.spoiled.get(content.sha256, io.BytesIO)(data)


def bundle_of(store: ObjectStore, *selection: str, unexportable: bool = False) -> Held:
    """Return what is collected from a store, as it comes out of a file."""
    with collected(store, Registry(store), selection, include_unexportable=unexportable) as found:
        snapshot = decode_snapshot(encode_snapshot(found.snapshot))
        return Held(snapshot, {each: found.open(each).read() for each in snapshot.contents()})


def prepared(fill: Callable[[Registry], object], *selection: str, unexportable: bool = False) -> Held:
    """Return a bundle of the algorithms that `fill` deploys."""
    store = MemoryStore()
    fill(Registry(store))
    return bundle_of(store, *selection, unexportable=unexportable)


def ship(source: Held, store: ObjectStore, rename: dict[str, str] | None = None) -> ImportReport:
    """Import a bundle as an engine does."""
    return import_bundle(source, plan_import(source.snapshot, store, rename), store)


def check_all_there(store: ObjectStore) -> None:
    """Check that every version and checkpoint that can be seen has all its contents, each what its hash says."""
    from tests.algorithms.packages import digest

    registry = Registry(store)
    for record in registry.list():
        for minor in record.minors:
            version = registry.version(record.algorithm_id, minor)
            assert digest(store.get(MODULES, version.module.key)) == version.module.sha256
            for entry in version.assets.values():
                assert digest(store.get(ASSETS, entry.key)) == entry.sha256
    there = {each.checkpoint_id for each in registry.checkpoints.list()}
    for checkpoint in registry.checkpoints.list():
        assert registry.find(checkpoint.parent_algorithm_id).algorithm_id == checkpoint.parent_algorithm_id
        assert checkpoint.parent_checkpoint_id is None or checkpoint.parent_checkpoint_id in there
        for entry in checkpoint.assets.values():
            assert digest(store.get(ASSETS, entry.key)) == entry.sha256


def objects(store: ObjectStore) -> dict[str, bytes]:
    """Return every object of a store but the generation, which is new after each change."""
    from compox_core.algorithms.changes import GENERATION
    from compox_core.storage.collections import ALL

    found = {f"{name}/{info.key}": store.get(name, info.key) for name in ALL for info in store.list(name)}
    found.pop(f"system-store/{GENERATION}", None)
    return found
