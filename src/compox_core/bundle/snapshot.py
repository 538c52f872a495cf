"""What a bundle holds, whatever its format: algorithms with their versions and checkpoints, and their contents.

The keys of modules and assets in a snapshot are the SHA-256 of their contents; where these lie in a store is that
store's affair.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from datetime import datetime
from typing import BinaryIO, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from compox_core.records import AlgorithmFlags, AlgorithmVersion, CheckpointRecord
from compox_core.storage.collections import ASSETS, MODULES


class Content(NamedTuple):
    """A content that a snapshot names: the collection that it belongs into, its SHA-256, its size in bytes."""

    collection: str
    sha256: str
    size: int


class BundledAlgorithm(BaseModel):
    """An algorithm as it was where the bundle was built: some of its minor versions, rising, and its checkpoints.

    `algorithm_id` is the id that it had there. Of a checkpoint every one that it goes back to is there, too.
    """

    model_config = ConfigDict(extra="ignore")

    algorithm_id: str
    name: str
    major: str
    created: datetime
    flags: AlgorithmFlags = Field(default_factory=AlgorithmFlags)
    versions: list[AlgorithmVersion]
    checkpoints: list[CheckpointRecord] = Field(default_factory=list)


class Snapshot(BaseModel):
    """What was bundled: when, by which version of which program, and the algorithms, sorted by name and major."""

    model_config = ConfigDict(extra="ignore")

    created: datetime
    made_by: str
    algorithms: list[BundledAlgorithm]

    def contents(self) -> list[Content]:
        """Return every content that the snapshot names, each once, modules first."""
        return contents_of(
            [version for each in self.algorithms for version in each.versions],
            [checkpoint for each in self.algorithms for checkpoint in each.checkpoints],
        )


def contents_of(versions: Iterable[AlgorithmVersion], checkpoints: Iterable[CheckpointRecord]) -> list[Content]:
    """Return every content that versions and checkpoints of a snapshot name, each once, modules first."""
    versions = list(versions)
    found = {Content(MODULES, version.module.sha256, version.module.size): None for version in versions}
    for assets in (*(version.assets for version in versions), *(each.assets for each in checkpoints)):
        for entry in assets.values():
            found[Content(ASSETS, entry.sha256, entry.size)] = None
    return list(found)


class BundleSource(Protocol):
    """An opened bundle. Its manifest has been read and found whole; the contents are read once, in the file's order."""

    snapshot: Snapshot

    def contents(self, wanted: Container[str]) -> Iterator[tuple[Content, BinaryIO]]:
        """Yield each content whose SHA-256 is wanted with a stream of it, to be read to its end before the next one.

        A stream raises InvalidInputError where the file was changed; what was read of that content by then must not be
        used. A content that is whole has been compared with its SHA-256 when its stream has ended.
        """
