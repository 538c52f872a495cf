"""Which data files training samples hold, so that nothing removes them.

In `sample-store`: `files/<name of the file>/<id of the sample>`, an empty object for each file of each sample. Nothing
is counted: samples of the same file have objects of their own, so that nobody changes what another has written. Whoever
pins a file then asks `FileStore.endangered`; see `expiry`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from compox_core.storage.at_once import at_once
from compox_core.storage.collections import SAMPLES
from compox_core.storage.file_places import places
from compox_core.storage.objects import ObjectInfo, ObjectStore

PINNED = "files/"


class FilePins:
    """The pins of a store. Holds no state of its own."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def pin(self, holder_id: str, file_ids: Sequence[str]) -> None:
        """Hold files for a sample; each is to be the name of a file that there may be."""
        at_once(lambda file_id: self._store.put(SAMPLES, _key(file_id, holder_id), b""), file_ids)

    def unpin(self, holder_id: str, file_ids: Sequence[str]) -> None:
        """Let go of files that a sample held; those that it did not hold are no error."""
        at_once(lambda file_id: self._store.delete(SAMPLES, _key(file_id, holder_id)), file_ids)

    def holders(self, file_id: str) -> list[str]:
        """Return the ids of the samples that hold a file, oldest first."""
        if not places(file_id):
            return []
        return [info.key.rpartition("/")[2] for info in self._store.list(SAMPLES, _key(file_id, ""))]

    def pinned(self) -> set[str]:
        """Return all files that any sample holds, at the cost of one listing."""
        return {_file_of(info) for info in self._store.list(SAMPLES, PINNED)}

    def held_by(self, holder_id: str) -> list[str]:
        """Return the files that a sample holds, at the cost of a listing of all pins."""
        return [_file_of(info) for info in self.by_holder().get(holder_id, [])]

    def by_holder(self) -> dict[str, list[ObjectInfo]]:
        """Return the objects that are the pins, by the sample that they are of."""
        found: dict[str, list[ObjectInfo]] = defaultdict(list)
        for info in self._store.list(SAMPLES, PINNED):
            found[info.key.rpartition("/")[2]].append(info)
        return dict(found)


def _key(file_id: str, holder_id: str) -> str:
    return f"{PINNED}{file_id}/{holder_id}"


def _file_of(info: ObjectInfo) -> str:
    return info.key.split("/")[1]
