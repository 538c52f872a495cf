"""The store that a bundle is imported into, as an import reads and writes it."""

from __future__ import annotations

import hashlib
import json

from compox_core.algorithms.aliases import Aliases
from compox_core.algorithms.blobs import BlobStore
from compox_core.algorithms.catalogue import Catalogue
from compox_core.algorithms.changes import Changes
from compox_core.algorithms.checkpoints import CheckpointStore
from compox_core.algorithms.minors import Minors
from compox_core.bundle.snapshot import BundledAlgorithm
from compox_core.errors import NotFoundError
from compox_core.storage.collections import SYSTEM
from compox_core.storage.objects import ObjectStore

_CACHE_LIMIT = 16 << 20

BEGUN = "algorithm-imports/"
"""In `system-store`, by the id of an algorithm: which versions an import has begun to bring, when there were none. A
second import goes on with them; without it, what is there would be somebody's, to which the latest version is added."""


class Target:
    """The parts of one store that an import touches. Holds no state of its own but records that were read."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.catalogue = Catalogue(store, _CACHE_LIMIT)
        self.checkpoints = CheckpointStore(store, self.catalogue)
        self.minors = Minors(store, self.catalogue)
        self.blobs = BlobStore(store)
        self.changes = Changes(store)
        self.aliases = Aliases(store)

    def has_begun(self, algorithm_id: str, bundled: BundledAlgorithm) -> bool:
        """Return whether an import of the versions of this very algorithm has begun, and was not seen to end."""
        try:
            return self.store.get(SYSTEM, BEGUN + algorithm_id) == _fingerprint(bundled)
        except NotFoundError:
            return False

    def begin(self, algorithm_id: str, bundled: BundledAlgorithm) -> None:
        """Note that an import of these versions begins."""
        self.store.put(SYSTEM, BEGUN + algorithm_id, _fingerprint(bundled))

    def end(self, algorithm_id: str) -> None:
        """Note that it has ended."""
        self.store.delete(SYSTEM, BEGUN + algorithm_id)


def _fingerprint(bundled: BundledAlgorithm) -> bytes:
    said = [
        [each.minor, each.module.module_id, sorted((path, entry.sha256) for path, entry in each.assets.items())]
        for each in bundled.versions
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest().encode()
