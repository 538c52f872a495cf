"""Opens bundles of version 1, as the ancestor (compox 3.2) and `write_v1` build them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Container, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self, cast

from compox_core.algorithms.archives import ArchiveLimits
from compox_core.bundle.container.failures import bad_front
from compox_core.bundle.keys import BundleKey
from compox_core.bundle.snapshot import BundledAlgorithm, Content, Snapshot
from compox_core.bundle.v1.faults import broken_records, missing
from compox_core.bundle.v1.file import V1File, close_zip, open_zip, read_manifest
from compox_core.bundle.v1.manifest import Manifest, ObjectEntry, parse_manifest
from compox_core.bundle.v1.modules import convert_module
from compox_core.bundle.v1.records import (
    TheirAlgorithm,
    TheirCheckpoint,
    bundled,
    parse_algorithm,
    parse_checkpoint,
)
from compox_core.records import AssetEntry, ModuleEntry
from compox_core.settings import Limits
from compox_core.storage.collections import ALGORITHMS, ASSETS, CHECKPOINTS, MODULES

MOST_RECORD = 16 << 20
MOST_RECORDS = 256 << 20


def open_v1(path: Path | str, key: BundleKey, *, limits: ArchiveLimits | None = None) -> V1Source:
    """Open a bundle of version 1: read its records, convert its modules, find everything that these name.

    Args:
        limits: What one module, and all of them together, may inflate to.

    Raises:
        InvalidInputError: `invalid_bundle_signature` (also for a wrong key), `invalid_algorithm_bundle`,
            `invalid_bundle_manifest`, `unsupported_bundle_format`, `unsupported_bundle_encryption`,
            `bundle_missing_required_collections`, `bundle_object_read_failed`, `bundle_checksum_mismatch`.
        NotFoundError: `bundle_not_found`; `bundle_object_not_found` where the bundle lacks what it names.
        StorageError: The file cannot be read, or the disk for the modules is full.
    """
    file = V1File.open(path, key)
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="compox-bundle-"))
        return V1Source(file, folder, _Reading(file, folder, limits or Limits()).snapshot())
    except BaseException:
        file.close()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def outline_v1(path: Path | str) -> Manifest:
    """Return what a bundle says of itself without a key. Anybody could have written it.

    Raises InvalidInputError, NotFoundError and StorageError, as `open_v1`.
    """
    found = Path(path).expanduser().absolute()
    archive = open_zip(found)
    try:
        return parse_manifest(read_manifest(found, archive))
    finally:
        close_zip(archive)


class V1Source:
    """An opened bundle of version 1, a `BundleSource` and a context manager."""

    def __init__(self, file: V1File, folder: Path, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.manifest = file.manifest
        self._file = file
        self._folder = folder

    def contents(self, wanted: Container[str]) -> Iterator[tuple[Content, BinaryIO]]:
        """Yield each content whose SHA-256 is wanted with a stream of it, modules first, then in the file's order.

        A stream is to be read to its end before the next one is asked for; what is left of it is read then.

        Raises, while it is read:
            InvalidInputError: `bundle_object_read_failed`, `bundle_checksum_mismatch`. What was read of that content
                by then must not be used.
        """
        named = [content for content in self.snapshot.contents() if content.sha256 in wanted]
        for content in named:
            if content.collection == MODULES:
                with (self._folder / content.sha256).open("rb") as stream:
                    yield content, stream
        assets = {content.sha256: content for content in named if content.collection == ASSETS}
        for entry in sorted(self.manifest.objects, key=self._file.position):
            if entry.collection != ASSETS or entry.sha256 not in assets:
                continue
            with self._file.stream(entry) as sealed:
                yield assets.pop(entry.sha256), cast(BinaryIO, sealed)
                sealed.drain()

    def verify(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read every object of the file, and use nothing.

        Args:
            progress: Called with the bytes that were read, and the bytes of all objects.

        Raises:
            InvalidInputError: as `contents`.
        """
        entries = sorted(self.manifest.objects, key=self._file.position)
        done, total = 0, sum(self._file.size(entry) for entry in entries)
        for entry in entries:
            with self._file.stream(entry) as sealed:
                while piece := sealed.read(1 << 20):
                    done += len(piece)
                    if progress:
                        progress(done, total)

    def close(self) -> None:
        """Close the file and remove what was extracted."""
        self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Records(NamedTuple):
    algorithms: list[TheirAlgorithm]
    checkpoints: dict[str, TheirCheckpoint]


class _Reading:
    """One reading of a bundle: what it names, what is wrong, what is not there."""

    def __init__(self, file: V1File, folder: Path, limits: ArchiveLimits) -> None:
        self._file = file
        self._folder = folder
        self._limits = limits
        self._missing: list[str] = []
        self._issues: list[str] = []
        self._modules: dict[str, ModuleEntry] = {}

    def snapshot(self) -> Snapshot:
        """Return what the bundle holds."""
        self._check_sizes()
        records = self._records()
        if self._issues:
            raise broken_records(self._issues)
        lineages = self._lineages(records)
        self._find(records.algorithms, lineages)
        if self._missing:
            raise missing(self._missing)
        self._convert(records.algorithms)
        metadata = self._file.manifest.metadata
        created = metadata.created_at if metadata and metadata.created_at else datetime.fromtimestamp(0, UTC)
        algorithms = [
            bundled(record, lineages[record.algorithm_id], self._modules.__getitem__, self._asset, created)
            for record in records.algorithms
        ]
        version = metadata.compox_version if metadata and metadata.compox_version else "unknown"
        return Snapshot(created=created, made_by=version, algorithms=sorted(algorithms, key=_by_name))

    def _check_sizes(self) -> None:
        """Refuse by what the zip says what would take too much time or disk before anybody is asked."""
        small, modules = 0, 0
        for entry in self._file.manifest.objects:
            if entry.collection in (ALGORITHMS, CHECKPOINTS):
                small += self._file.size(entry)
            elif entry.collection == MODULES:
                modules += self._file.size(entry)
        if small > MOST_RECORDS:
            raise bad_front(f"its records have {small} bytes, more than {MOST_RECORDS}")
        if modules > self._limits.max_archive_bytes:
            raise bad_front(
                f"its modules have {modules} bytes, more than {self._limits.max_archive_bytes} "
                "(limits.max_archive_bytes)"
            )

    def _records(self) -> _Records:
        algorithms: dict[str, TheirAlgorithm] = {}
        checkpoints: dict[str, TheirCheckpoint] = {}
        for entry in self._file.manifest.objects:
            if entry.collection == ALGORITHMS:
                algorithm, issues = parse_algorithm(entry.key, self._file.read(entry, MOST_RECORD))
                self._issues += issues
                if algorithm is not None and algorithms.setdefault(algorithm.algorithm_id, algorithm) != algorithm:
                    self._issues.append(f"The algorithm {entry.key!r} has the id of another")
            elif entry.collection == CHECKPOINTS:
                checkpoint, issues = parse_checkpoint(entry.key, self._file.read(entry, MOST_RECORD))
                self._issues += issues
                if checkpoint is not None:
                    checkpoints[checkpoint.checkpoint_id] = checkpoint
        return _Records(list(algorithms.values()), checkpoints)

    def _lineages(self, records: _Records) -> dict[str, dict[str, TheirCheckpoint]]:
        """Return the checkpoints of each algorithm with all that they go back to, oldest first, each once in all."""
        placed: set[str] = set()
        lineages = {}
        for algorithm in records.algorithms:
            own: dict[str, TheirCheckpoint] = {}
            for identifier in algorithm.checkpoints:
                line: list[TheirCheckpoint] = []
                at: str | None = identifier
                while at is not None and at not in placed:
                    placed.add(at)
                    checkpoint = records.checkpoints.get(at)
                    if checkpoint is None:
                        after = f", which {line[-1].checkpoint_id} goes back to" if line else ""
                        self._missing.append(f"checkpoint {at} of {algorithm.algorithm_name}{after}")
                        break
                    line.append(checkpoint)
                    at = checkpoint.parent_checkpoint_id
                own |= {each.checkpoint_id: each for each in reversed(line)}
            lineages[algorithm.algorithm_id] = own
        return lineages

    def _find(self, algorithms: list[TheirAlgorithm], lineages: dict[str, dict[str, TheirCheckpoint]]) -> None:
        """Note every module and asset that is named and not there."""
        for algorithm in algorithms:
            name = f"{algorithm.algorithm_name} {algorithm.algorithm_major_version}"
            for number, minor in algorithm.algorithm_minor_version.items():
                if (MODULES, minor.module_id) not in self._file.objects:
                    self._missing.append(f"module {minor.module_id} of {name}.{number}")
                self._find_assets(minor.assets, f"{name}.{number}")
            for checkpoint in lineages[algorithm.algorithm_id].values():
                self._find_assets(checkpoint.assets, f"the checkpoint {checkpoint.checkpoint_id}")

    def _find_assets(self, assets: dict[str, str], what: str) -> None:
        self._missing += [
            f"asset '{path}' ({key}) of {what}"
            for path, key in assets.items()
            if (ASSETS, key) not in self._file.objects
        ]

    def _convert(self, algorithms: list[TheirAlgorithm]) -> None:
        names = {minor.module_id for each in algorithms for minor in each.algorithm_minor_version.values()}
        left = self._limits.max_archive_bytes
        for name in sorted(names):
            target = self._folder / "module"
            with self._file.stream(self._object(MODULES, name)) as source:
                module = convert_module(name, cast(BinaryIO, source), target, self._limits)
            target.replace(self._folder / module.sha256)
            self._modules[name] = module
            left -= module.size
            if left < 0:
                raise bad_front(
                    f"its modules inflate to more than {self._limits.max_archive_bytes} bytes "
                    "(limits.max_archive_bytes)"
                )

    def _asset(self, key: str) -> AssetEntry:
        entry = self._object(ASSETS, key)
        return AssetEntry(sha256=entry.sha256, key=entry.sha256, size=self._file.size(entry))

    def _object(self, collection: str, key: str) -> ObjectEntry:
        return self._file.objects[collection, key]


def _by_name(algorithm: BundledAlgorithm) -> tuple[str, str]:
    return algorithm.name, algorithm.major
