"""Adds a packed algorithm to a store as a minor version, beside any number of others that do the same.

Order of a deploy: pin and store the blobs; mark the name and create the head where there is none; replace the
flags; agree on the number; create the minor; unpin. Until the minor is created no reader sees anything of it.
A deploy that ends before leaves at most a head, flags, a name and a number, which the next one takes over,
and what `blobs` says.

The number. With every number below `f` used, all deploys that see so agree on the next one by creating
`minor-numbers/<id>/<f>` exclusively: `f` itself where a minor lives, else (the first deploy, or the first
after all minors were removed) the minor of `pyproject.toml` where that is higher. Whoever finds the object
takes what it says. Then the minor is created exclusively under that number; who loses reads the latest again,
and adds nothing where that is identical. Without the agreement two first deploys of 1.2 and 1.7 would both
win.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from compox_core.algorithms.blobs import Blob, BlobStore, BlobWriter
from compox_core.algorithms.catalogue import Catalogue, blobs_of, describe, invalid_record
from compox_core.algorithms.changes import Changes
from compox_core.algorithms.removal import discard, seal
from compox_core.algorithms.shelves import (
    HIGHEST_MINOR,
    Shelf,
    flags_key,
    gone_key,
    head_key,
    is_major,
    minor_key,
    name_prefix,
    number_key,
    parse_minor,
)
from compox_core.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PackageError,
    StorageError,
    TaskStoppedException,
)
from compox_core.identity import algorithm_id, new_token, utc_now
from compox_core.records import (
    AlgorithmFlags,
    AlgorithmHead,
    AlgorithmRecord,
    AlgorithmVersion,
    AssetEntry,
    ModuleEntry,
)
from compox_core.storage.collections import ALGORITHMS, ASSETS, MODULES, SYSTEM
from compox_core.storage.objects import ObjectStore

if TYPE_CHECKING:
    from compox_core.algorithms.packing import AlgorithmPackage

_log = logging.getLogger(__name__)

_ATTEMPTS = 1000


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


class _StampedFlags(AlgorithmFlags):
    """Flags as they are stored: no two writes are equal.

    Where `ObjectInfo.version` is a hash of the content, a reader that listed flags, read the next ones and
    kept them would otherwise take these for the first when the first come back.
    """

    stamp: str = Field(default_factory=new_token)


class Publisher:
    """Deploys into one store. Holds no state of its own."""

    def __init__(self, store: ObjectStore, catalogue: Catalogue) -> None:
        self._store = store
        self._catalogue = catalogue
        self._blobs = BlobStore(store)
        self._changes = Changes(store)

    def publish(
        self, package: AlgorithmPackage, flags: AlgorithmFlags, passed: Callable[[int], None] = lambda size: None
    ) -> Deployment:
        """Make `package` the latest minor of its algorithm and set the flags; see `Registry.deploy`."""
        _check(package)
        shelf = self._catalogue.shelf(algorithm_id(package.config.name, package.config.major))
        latest = self._latest(shelf)
        if latest is None or not is_identical(latest, package):
            return self._store_and_add(shelf, package, flags, passed)
        with self._changes.announced():
            head = self._head(shelf, package)
            self._replace_flags(shelf, flags)
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
                    self._replace_flags(shelf, flags)
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
                    shelf, version, created = self._add(shelf, draft, package)
        except (InvalidInputError, TaskStoppedException):
            discard(self._store, self._catalogue, stored)
            raise
        discard(self._store, self._catalogue, stored - blobs_of(version))
        return self._deployment(shelf, head, flags, version, package, created=created)

    def _add(
        self, shelf: Shelf, draft: AlgorithmVersion, package: AlgorithmPackage
    ) -> tuple[Shelf, AlgorithmVersion, bool]:
        """Return what was there, the version that holds the content, and whether it was added here."""
        for _ in range(_ATTEMPTS):
            latest = self._latest(shelf)
            if latest is not None and is_identical(latest, package):
                return shelf, latest, False
            version = draft.model_copy(update={"minor": self._next_minor(shelf, draft.minor)})
            if self._create(version):
                return shelf, version, True
            shelf = self._catalogue.shelf(shelf.algorithm_id)
        raise StorageError(
            f"Algorithm {draft.name!r} could not be deployed: {_ATTEMPTS} times another deploy took the "
            "number first. Deploy again when fewer deploys of this algorithm run at once.",
            retryable=True,
        )

    def _create(self, version: AlgorithmVersion) -> bool:
        """Publish `version` under its number; False when that number is taken or was used up."""
        key = minor_key(version.algorithm_id, version.minor)
        try:
            self._store.create(ALGORITHMS, key, version.model_dump_json().encode())
        except ConflictError:
            return False
        # Another deploy may have used this number, and a removal freed its key, since the shelf was read.
        try:
            removed = self._store.get(ALGORITHMS, gone_key(version.algorithm_id, version.minor))
        except NotFoundError:
            return True
        if removed == seal(version):  # this very version was published, and removed at once
            return True
        self._store.delete(ALGORITHMS, key)
        return False

    def _next_minor(self, shelf: Shelf, wanted: int) -> int:
        first = shelf.first_unused
        minor = first if shelf.living else max(first, wanted)
        if minor > HIGHEST_MINOR:
            raise _out_of_numbers(shelf.algorithm_id)
        key = number_key(shelf.algorithm_id, first)
        try:
            self._store.create(SYSTEM, key, str(minor).encode())
        except ConflictError:
            agreed = parse_minor(self._store.get(SYSTEM, key).decode(errors="replace"))
            if agreed is None:
                raise invalid_record(SYSTEM, key, "it does not hold a minor version number") from None
            return agreed
        return minor

    def _latest(self, shelf: Shelf) -> AlgorithmVersion | None:
        """Return the latest minor to compare with; None where it is broken, too: a deploy mends that."""
        if not shelf.living:
            return None
        return next(iter(self._catalogue.readable_versions(shelf, shelf.living[-1:])), None)

    def _head(self, shelf: Shelf, package: AlgorithmPackage) -> AlgorithmHead:
        """Return the head of the algorithm: the first deploy creates it, a later one mends it."""
        name, major, key = package.config.name, package.config.major, head_key(shelf.algorithm_id)
        head = AlgorithmHead(algorithm_id=shelf.algorithm_id, name=name, major=major, created=utc_now())
        data = head.model_dump_json().encode()
        if shelf.head is None:
            self._mark_name(name, major)
            try:
                self._store.create(ALGORITHMS, key, data)
                return head
            except ConflictError:
                shelf = self._catalogue.shelf(shelf.algorithm_id)
        try:
            return self._catalogue.head(shelf)
        except StorageError as error:
            if error.code != "invalid_algorithm_record":
                raise
            _log.warning("Replaced: %s", error)
            self._store.put(ALGORITHMS, key, data)
            return head

    def _mark_name(self, name: str, major: str) -> None:
        try:
            self._store.create(SYSTEM, f"{name_prefix(name)}{major}", b"")
        except ConflictError:
            return

    def _replace_flags(self, shelf: Shelf, flags: AlgorithmFlags) -> None:
        stamped = _StampedFlags(**flags.model_dump())
        self._store.put(ALGORITHMS, flags_key(shelf.algorithm_id), stamped.model_dump_json().encode())

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


def is_identical(version: AlgorithmVersion, package: AlgorithmPackage) -> bool:
    """Say whether deploying `package` on top of `version` would add nothing: same code, options and
    assets."""
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


def _out_of_numbers(identifier: str) -> PackageError:
    return PackageError(
        f"Algorithm {identifier} has used its highest minor version {HIGHEST_MINOR}: deploy it under a new "
        "major version.",
        code="minor_versions_used_up",
        details={"algorithm_id": identifier},
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
