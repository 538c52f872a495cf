"""Adds a packed algorithm to a store as a minor version, beside any number of others that do the same.

Order of a deploy: pin and store the blobs; mark the name and create the head where there is none; replace the
flags; agree on the number; create the minor; unpin. Until the minor is created no reader sees anything of it.
A deploy that ends before leaves at most a head, flags, a name and a number, which the next one takes over,
and what `blobs` says. How minors get their numbers is in `minors`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compox_core.algorithms.blobs import Blob, BlobStore, BlobWriter
from compox_core.algorithms.catalogue import Catalogue, blobs_of, describe
from compox_core.algorithms.changes import Changes
from compox_core.algorithms.minors import Minors
from compox_core.algorithms.removal import discard
from compox_core.algorithms.shelves import HIGHEST_MINOR, Shelf, is_major
from compox_core.errors import InvalidInputError, PackageError, TaskStoppedException
from compox_core.identity import algorithm_id, utc_now
from compox_core.records import (
    AlgorithmFlags,
    AlgorithmHead,
    AlgorithmRecord,
    AlgorithmVersion,
    AssetEntry,
    ModuleEntry,
)
from compox_core.storage.collections import ASSETS, MODULES
from compox_core.storage.objects import ObjectStore

if TYPE_CHECKING:
    from compox_core.algorithms.packing import AlgorithmPackage


@dataclass(frozen=True)
class Deployment:
    """What a deploy did.

    `version` is the minor that now holds the deployed content, `created` says whether this deploy made it or
    found it as the latest, `record` is the algorithm right after, `warnings` are for the person who deployed.
    """

    record: AlgorithmRecord
    version: AlgorithmVersion
    created: bool
    warnings: list[str]


class Publisher:
    """Deploys into one store. Holds no state of its own."""

    def __init__(self, store: ObjectStore, catalogue: Catalogue) -> None:
        self._store = store
        self._catalogue = catalogue
        self._blobs = BlobStore(store)
        self._changes = Changes(store)
        self._minors = Minors(store, catalogue)

    def publish(
        self, package: AlgorithmPackage, flags: AlgorithmFlags, passed: Callable[[int], None] = lambda size: None
    ) -> Deployment:
        """Make `package` the latest minor of its algorithm and set the flags; see `Registry.deploy`."""
        _check(package)
        shelf = self._catalogue.shelf(algorithm_id(package.config.name, package.config.major))
        latest = self._minors.latest(shelf)
        if latest is None or not _holds(latest, package):
            return self._store_and_add(shelf, package, flags, passed)
        with self._changes.announced():
            head = self._head(shelf, package)
            self._minors.replace_flags(shelf, flags)
        return self._deployment(shelf, head, flags, latest, package, created=False)

    def _store_and_add(
        self, shelf: Shelf, package: AlgorithmPackage, flags: AlgorithmFlags, passed: Callable[[int], None]
    ) -> Deployment:
        stored: set[Blob] = set()
        contents = {package.module_sha256, *(asset.sha256 for asset in package.assets.values())}
        try:
            with self._blobs.writer(contents, passed) as writer:
                stored = writer.stored
                module, assets = _store_module(writer, package), _store_assets(writer, package)
                with self._changes.announced():
                    head = self._head(shelf, package)
                    self._minors.replace_flags(shelf, flags)
                    draft = AlgorithmVersion(
                        algorithm_id=shelf.algorithm_id,
                        name=head.name,
                        major=head.major,
                        minor=package.config.minor,
                        created=utc_now(),
                        metadata=package.config.metadata,
                        module=module,
                        assets=assets,
                        warnings=list(package.warnings),
                    )
                    shelf, version, created = self._minors.add(shelf, draft)
        except (InvalidInputError, TaskStoppedException):
            discard(self._store, self._catalogue, stored)
            raise
        discard(self._store, self._catalogue, stored - blobs_of(version))
        return self._deployment(shelf, head, flags, version, package, created=created)

    def _head(self, shelf: Shelf, package: AlgorithmPackage) -> AlgorithmHead:
        return self._minors.head(shelf, package.config.name, package.config.major, utc_now())

    def _deployment(
        self,
        shelf: Shelf,
        head: AlgorithmHead,
        flags: AlgorithmFlags,
        version: AlgorithmVersion,
        package: AlgorithmPackage,
        *,
        created: bool,
    ) -> Deployment:
        older = [minor for minor in shelf.living if minor < version.minor]
        versions = [*self._catalogue.readable_versions(shelf, older), version]
        warnings = list(package.warnings)
        if package.config.name != head.name:
            warnings.append(
                f"{package.config.name!r} differs only by case from the algorithm {head.name!r}, so this is "
                f"a minor version of {head.name!r}, which keeps its name."
            )
        checkpoints = self._catalogue.manifests.of_algorithm(shelf.algorithm_id)
        return Deployment(describe(head, flags, versions, checkpoints), version, created, warnings)


def _holds(version: AlgorithmVersion, package: AlgorithmPackage) -> bool:
    """Say whether deploying `package` on top of `version` would add nothing, as `is_identical` does."""
    return version.module.module_id == package.module_id and (
        {path: asset.sha256 for path, asset in version.assets.items()}
        == {path: asset.sha256 for path, asset in package.assets.items()}
    )


def _check(package: AlgorithmPackage) -> None:
    config = package.config
    if not is_major(config.major):
        raise PackageError(
            f"The major version {config.major!r} of algorithm {config.name!r} cannot be stored: use up to 64 "
            "letters, digits, '.', '_' or '-'.",
            code="invalid_pyproject",
            details={"algorithm_name": config.name, "algorithm_major_version": config.major},
        )
    if not 0 <= config.minor <= HIGHEST_MINOR:
        raise PackageError(
            f"The minor version {config.minor} of algorithm {config.name!r} cannot be stored: it must lie "
            f"between 0 and {HIGHEST_MINOR}.",
            code="invalid_pyproject",
            details={"algorithm_name": config.name, "algorithm_minor_version": str(config.minor)},
        )


def _store_module(writer: BlobWriter, package: AlgorithmPackage) -> ModuleEntry:
    size, sha256 = package.module_size, package.module_sha256
    try:
        blob = writer.put(MODULES, sha256, size, package.module_archive)
    except InvalidInputError as error:
        raise _not_stored(package, "the module archive", "algorithm_module_store_failed", error) from error
    return ModuleEntry(module_id=package.module_id, key=blob.key, sha256=sha256, size=size, python=package.python)


def _store_assets(writer: BlobWriter, package: AlgorithmPackage) -> dict[str, AssetEntry]:
    entries = {}
    for path, asset in package.assets.items():
        try:
            blob = writer.put(ASSETS, asset.sha256, asset.size, asset.path)
        except InvalidInputError as error:
            raise _not_stored(package, f"asset {path!r}", "algorithm_assets_store_failed", error) from error
        entries[path] = AssetEntry(sha256=asset.sha256, key=blob.key, size=asset.size)
    return entries


def _not_stored(package: AlgorithmPackage, what: str, code: str, cause: InvalidInputError) -> PackageError:
    return PackageError(
        f"Algorithm {package.config.name!r} was not deployed, because of {what}: {cause}",
        code=code,
        details={"algorithm_name": package.config.name, **cause.details},
    )
