"""How the algorithms of a bundle and those of a store differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from compox_core.algorithms.minors import is_identical
from compox_core.algorithms.registry import Registry
from compox_core.bundle.snapshot import BundledAlgorithm, Snapshot
from compox_core.errors import NotFoundError
from compox_core.identity import algorithm_id
from compox_core.records import AlgorithmRecord, AlgorithmVersion


class AlgorithmDiff(BaseModel):
    """How one algorithm differs, by the latest minor version of each side; None where a side does not have it.

    `differs` names what does: "code", "metadata", "flags", "asset <path>", "checkpoint <id>".
    """

    model_config = ConfigDict(frozen=True)

    name: str
    major: str
    state: Literal["same", "differs", "bundle only", "store only"]
    bundle_minor: int | None = None
    store_minor: int | None = None
    differs: list[str] = Field(default_factory=list)

    def __str__(self) -> str:
        text = f"{self.name} {self.major}: {self.state}"
        if self.state == "differs":
            text += f" (minor {self.bundle_minor} in the bundle, {self.store_minor} here): {', '.join(self.differs)}"
        return text


class BundleDiff(BaseModel):
    """How a bundle and a store differ, by algorithm."""

    model_config = ConfigDict(frozen=True)

    algorithms: list[AlgorithmDiff]

    @property
    def same(self) -> bool:
        """Whether there is no difference."""
        return all(each.state == "same" for each in self.algorithms)

    def __str__(self) -> str:
        return "\n".join(map(str, self.algorithms))


def compare(snapshot: Snapshot, registry: Registry, rename: Mapping[str, str] | None = None) -> BundleDiff:
    """Return how a snapshot, with algorithms renamed, and the algorithms of a store differ.

    Code and assets are compared by their recorded hashes. Raises StorageError.
    """
    rename = rename or {}
    here = {record.algorithm_id: record for record in registry.list()}
    found = []
    for bundled in snapshot.algorithms:
        name = rename.get(bundled.name, bundled.name)
        record = here.pop(algorithm_id(name, bundled.major), None)
        found.append(_compared(registry, name, bundled, record))
    found += [
        AlgorithmDiff(name=each.name, major=each.major, state="store only", store_minor=each.latest_minor)
        for each in here.values()
    ]
    return BundleDiff(algorithms=sorted(found, key=lambda each: (each.name.casefold(), each.major)))


def _compared(
    registry: Registry, name: str, bundled: BundledAlgorithm, record: AlgorithmRecord | None
) -> AlgorithmDiff:
    latest = bundled.versions[-1]
    if record is None:
        return AlgorithmDiff(name=name, major=bundled.major, state="bundle only", bundle_minor=latest.minor)
    try:
        version = registry.version(record.algorithm_id, record.latest_minor)
    except NotFoundError:  # it was removed since it was listed
        version = registry.version(record.algorithm_id)
    differs = [] if is_identical(latest, version) else _contents(latest, version)
    if latest.metadata != version.metadata:
        differs.append("metadata")
    if (bundled.flags.removable, bundled.flags.exportable) != (record.removable, record.exportable):
        differs.append("flags")
    checkpoints = {each.checkpoint_id for each in registry.checkpoints.list(algorithm_id=record.algorithm_id)}
    theirs = {each.checkpoint_id for each in bundled.checkpoints}
    differs += [f"checkpoint {each}" for each in sorted(checkpoints ^ theirs)]
    return AlgorithmDiff(
        name=name,
        major=bundled.major,
        state="differs" if differs else "same",
        bundle_minor=latest.minor,
        store_minor=version.minor,
        differs=differs,
    )


def _contents(one: AlgorithmVersion, other: AlgorithmVersion) -> list[str]:
    found = [] if one.module.module_id == other.module.module_id else ["code"]
    hashes = [{path: entry.sha256 for path, entry in each.assets.items()} for each in (one, other)]
    paths = sorted(hashes[0].keys() | hashes[1].keys())
    return found + [f"asset {path}" for path in paths if hashes[0].get(path) != hashes[1].get(path)]
