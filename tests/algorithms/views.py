"""What a fresh reader of a store sees of the algorithm that tests of the registry deploy."""

from __future__ import annotations

from compox_core.algorithms.registry import Registry
from compox_core.errors import NotFoundError
from compox_core.identity import algorithm_id
from compox_core.records import AlgorithmRecord
from compox_core.storage import ASSETS, MODULES, ObjectStore

ID = algorithm_id("denoise", "1")


def check_whole(store: ObjectStore) -> None:
    """Check that every living version can be read, and that all its blobs are there with their sizes."""
    registry = Registry(store)
    for record in registry.list():
        for minor in record.minors:
            version = registry.version(record.algorithm_id, minor)
            assert store.stat(MODULES, version.module.key).size == version.module.size
            for asset in version.assets.values():
                assert store.stat(ASSETS, asset.key).size == asset.size


def found(store: ObjectStore) -> AlgorithmRecord | None:
    """Return the algorithm ID as a fresh reader sees it, if it does."""
    try:
        return Registry(store).find(ID)
    except NotFoundError:
        return None


def contents(store: ObjectStore) -> list[str]:
    """Return the module hashes of the living minors of the algorithm ID, oldest first."""
    record = found(store)
    registry = Registry(store)
    return [registry.version(ID, minor).module.sha256 for minor in record.minors] if record else []
