"""An engine around one package that nobody deployed: its code and assets are used where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from compox_core.algorithms.registry import Registry
from compox_core.algorithms.shelves import minor_key
from compox_core.engine.engine import Engine
from compox_core.identity import algorithm_id, utc_now
from compox_core.records import (
    AlgorithmRecord,
    AlgorithmVersion,
    AssetEntry,
    ModuleEntry,
    StorageMetrics,
)
from compox_core.runners import BaseRunner
from compox_core.settings import Settings
from compox_core.storage.collections import ALGORITHMS, ASSETS
from compox_core.storage.memory import MemoryStore
from compox_core.tasks import LiveTask

if TYPE_CHECKING:
    from compox_core.algorithms.packing import AlgorithmPackage


class UndeployedEngine(Engine):
    """Runs one package in the thread that submits, and keeps data in memory; lives as long as the package is open.

    Everything else is as for a deployed algorithm: the same life cycle, devices, parameter checks and assets, of which
    only those that a deploy would pack are there.

    Args:
        package: The package, read from the author's folder.
        runner: The Runner class, imported from that folder.
        settings: What else the engine goes by: the devices that are allowed, the limits.
    """

    def __init__(self, package: AlgorithmPackage, runner: type[BaseRunner], settings: Settings | None = None) -> None:
        super().__init__(settings or Settings(), executor="inline")
        self._load_class = lambda version: runner
        self._package = package
        self.version = _version(package)

    def _assemble(self) -> Any:
        store = _AssetsInPlace({asset.sha256: asset.path for asset in self._package.assets.values()})
        # A training saves checkpoints of algorithms that are there, and compares their contents with those.
        key = minor_key(self.version.algorithm_id, self.version.minor)
        store.put(ALGORITHMS, key, self.version.model_dump_json().encode())
        return self._wire(self.settings, store, _OneVersion(store, self.version))

    def active(self) -> list[LiveTask]:
        """Return the runs that go on."""
        return self._open_parts.desk.live.active()


class _AssetsInPlace(MemoryStore):
    """A memory store whose assets are files of the author's folder."""

    def __init__(self, assets: Mapping[str, Path]) -> None:
        super().__init__()
        self._assets = assets

    def open(self, collection: str, key: str) -> BinaryIO:
        if collection == ASSETS and key in self._assets:  # others are those of checkpoints
            return self._assets[key].open("rb")
        return super().open(collection, key)


class _OneVersion(Registry):
    """Knows one algorithm in one version, which the store does not hold."""

    def __init__(self, store: MemoryStore, version: AlgorithmVersion) -> None:
        super().__init__(store)
        self._version = version

    def get(self, name: str, major: str | int | None = None) -> AlgorithmRecord:
        version = self._version
        return AlgorithmRecord(
            algorithm_id=version.algorithm_id,
            name=version.name,
            major=version.major,
            minors=[version.minor],
            latest_minor=version.minor,
            created=version.created,
            metadata=version.metadata,
            removable=False,
            exportable=False,
            storage_metrics=StorageMetrics(last_recomputed_at=version.created),
        )

    def version(self, algorithm_id: str, minor: str | int | None = None) -> AlgorithmVersion:
        return self._version


def _version(package: AlgorithmPackage) -> AlgorithmVersion:
    config = package.config
    return AlgorithmVersion(
        algorithm_id=algorithm_id(config.name, config.major),
        name=config.name,
        major=config.major,
        minor=config.minor,
        created=utc_now(),
        metadata=config.metadata,
        module=ModuleEntry(
            module_id=package.module_id,
            key=package.module_sha256,
            sha256=package.module_sha256,
            size=package.module_size,
            python=package.python,
        ),
        assets={
            path: AssetEntry(sha256=asset.sha256, key=asset.sha256, size=asset.size)
            for path, asset in package.assets.items()
        },
        warnings=package.warnings,
    )
