"""Builds bundles of version 1, which the ancestor (compox 3.2) imports and runs."""

from __future__ import annotations

import base64
import hashlib
import secrets
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from compox_core.algorithms.archives import CHUNK, ArchiveLimits
from compox_core.algorithms.zipping import called, entry_of
from compox_core.bundle import primitives
from compox_core.bundle.container.failures import differs
from compox_core.bundle.keys import BundleKey
from compox_core.bundle.new_file import new_file
from compox_core.bundle.primitives import GcmSealing
from compox_core.bundle.snapshot import Content, Snapshot
from compox_core.bundle.v1.faults import listed
from compox_core.bundle.v1.file import MANIFEST, MOST_MEMBERS, SIGNATURE
from compox_core.bundle.v1.layout import build_module
from compox_core.bundle.v1.manifest import NONCE_BYTES, ObjectEntry, encode_manifest
from compox_core.bundle.v1.their_records import (
    algorithm_key,
    algorithm_record,
    checkpoint_asset_key,
    checkpoint_record,
)
from compox_core.errors import InvalidInputError
from compox_core.identity import utc_now
from compox_core.settings import Limits
from compox_core.storage.collections import ALGORITHMS, ASSETS, CHECKPOINTS, MODULES
from compox_core.storage.local_errors import reported

OpenContent = Callable[[Content], BinaryIO]
"""Opens a content that a snapshot names; it is closed by whoever asked."""
Progress = Callable[[int, int], None]
"""Told the bytes done and the bytes in all."""

MOST_OBJECT = 2**31 - 1 - primitives.TAG_BYTES
"""What readers of version 1 can decrypt: they do so in one piece, whose size is a C int with its tag."""


def create_v1(
    path: Path | str,
    snapshot: Snapshot,
    open_content: OpenContent,
    key: BundleKey,
    *,
    progress: Progress | None = None,
    limits: ArchiveLimits | None = None,
    replace: bool = False,
) -> int:
    """Write a bundle of version 1 as a file that appears under its name when it is whole, and return its size in bytes.

    Args:
        replace: Whether a file of that name is replaced.

    Raises:
        InvalidInputError: as `write_v1`.
        ConflictError: `bundle_exists`.
        StorageError: `disk_full`, before a byte is written where that can be told; `storage_…`.
    """
    _check(snapshot)
    with new_file(path, sum(content.size for content in snapshot.contents()), replace=replace) as sink:
        write_v1(sink, snapshot, open_content, key, progress=progress, limits=limits)
        return sink.tell()


def write_v1(
    sink: BinaryIO,
    snapshot: Snapshot,
    open_content: OpenContent,
    key: BundleKey,
    *,
    progress: Progress | None = None,
    limits: ArchiveLimits | None = None,
) -> int:
    """Write a bundle of version 1 forward into `sink`; return how many objects are in it.

    Every content is opened and read once. Memory does not grow with them. `timeout_s` and `retry` of algorithms have no
    place in this version, nor have metadata of other minors than the latest.

    Args:
        progress: Called with the bytes of contents that were written, and the bytes of all contents.
        limits: What a module may inflate to.

    Raises:
        InvalidInputError: `bundle_object_too_large` where a content has more than 2 GiB, before anything is written;
            `bundle_too_many_objects`; `bundle_checksum_mismatch` where a content is not what the snapshot says;
            `invalid_deployment_zip` where a module is no archive.
        StorageError: The sink, or the disk for modules on their way, refused.
        Exception: what `open_content` and `progress` raise.
    """
    _check(snapshot)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        writing = _Writing(archive, snapshot, open_content, key.raw, progress)
        writing.contents(limits or Limits())
        writing.records()
        return writing.manifest()


class _Writing:
    """One bundle that is being written: contents first, then the records that name them, then the manifest."""

    def __init__(
        self,
        archive: zipfile.ZipFile,
        snapshot: Snapshot,
        open_content: OpenContent,
        key: bytes,
        progress: Progress | None,
    ) -> None:
        self._archive = archive
        self._snapshot = snapshot
        self._open = open_content
        self._key = key
        self._progress = progress
        self._done = 0
        self._total = sum(content.size for content in snapshot.contents())
        self._blobs = 0
        self._objects: dict[tuple[str, str], ObjectEntry] = {}
        self._modules: dict[str, tuple[str, int]] = {}
        self._assets: dict[str, ObjectEntry] = {}
        """Sealed assets by their SHA-256, under their MD5."""

    def contents(self, limits: ArchiveLimits) -> None:
        """Write modules and assets."""
        versions = [version for algorithm in self._snapshot.algorithms for version in algorithm.versions]
        modules = {version.module.sha256: version.module.module_id for version in versions}
        for content in self._snapshot.contents():
            if content.collection == MODULES:
                self._write_module(content, modules[content.sha256], limits)
            else:
                self._assets[content.sha256] = self._seal(self._pieces(content), content.size)
        for version in versions:
            for entry in version.assets.values():
                self._name(ASSETS, self._assets[entry.sha256].key, self._assets[entry.sha256])
        for algorithm in self._snapshot.algorithms:
            for checkpoint in algorithm.checkpoints:
                for path, entry in checkpoint.assets.items():
                    self._name(ASSETS, checkpoint_asset_key(checkpoint, path), self._assets[entry.sha256])

    def records(self) -> None:
        """Write the records of checkpoints and algorithms."""
        now = utc_now()
        keys = {sha256: entry.key for sha256, entry in self._assets.items()}
        for algorithm in self._snapshot.algorithms:
            size = 0
            for checkpoint in algorithm.checkpoints:
                data = checkpoint_record(checkpoint, algorithm)
                size += len(data)
                self._name(CHECKPOINTS, checkpoint.checkpoint_id, self._seal_bytes(data))
            data = algorithm_record(algorithm, self._modules, keys, size, now)
            self._name(ALGORITHMS, algorithm_key(algorithm), self._seal_bytes(data))

    def manifest(self) -> int:
        """Write the manifest; return how many objects are in it."""
        objects = [self._objects[place] for place in sorted(self._objects)]
        data = encode_manifest(objects, self._snapshot.created, self._snapshot.made_by)
        self._archive.writestr(entry_of(MANIFEST, deflated=True), data)
        self._archive.writestr(entry_of(SIGNATURE), primitives.mac(self._key, data).hex())
        return len(objects)

    def _write_module(self, content: Content, module_id: str, limits: ArchiveLimits) -> None:
        with tempfile.TemporaryDirectory(prefix="compox-bundle-", ignore_cleanup_errors=True) as workplace:
            folder = Path(workplace)
            archive = folder / "module.zip"
            with reported("write", str(archive)), archive.open("xb") as file:
                for piece in self._pieces(content):
                    file.write(piece)
            with called(archive, f"module {content.sha256}"), reported("write", str(folder)):
                module = build_module(archive, module_id, folder, limits)
            size = module.path.stat().st_size
            with module.path.open("rb") as stream:
                entry = self._seal(iter(lambda: stream.read(CHUNK), b""), size)
        self._modules[content.sha256] = (module.module_id, size)
        self._name(MODULES, module.module_id, entry)

    def _pieces(self, content: Content) -> Iterator[bytes]:
        """Yield the bytes of a content, which are compared with what is recorded of it."""
        digest, size = hashlib.sha256(), 0
        with self._open(content) as stream:
            while size <= content.size and (piece := stream.read(CHUNK)):
                digest.update(piece)
                size += len(piece)
                yield piece
                self._done += len(piece)
                if self._progress:
                    self._progress(self._done, self._total)
        if size != content.size or digest.hexdigest() != content.sha256:
            raise differs(
                f"The content {content.sha256} of '{content.collection}' ({content.size} bytes) is not what is "
                "recorded of it. The bundle was not built.",
                collection=content.collection,
                sha256=content.sha256,
            )

    def _seal(self, pieces: Iterator[bytes], size: int) -> ObjectEntry:
        """Write the next member and return what says how it is opened; its key is the MD5 of what is in it."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        cipher, sha256, md5 = GcmSealing(self._key, nonce), hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        member = entry_of(f"objects/{self._blobs:08d}.bin")
        member.file_size = size + primitives.TAG_BYTES
        self._blobs += 1
        with self._archive.open(member, "w") as sink:
            for piece in pieces:
                sha256.update(piece)
                md5.update(piece)
                sink.write(cipher.update(piece))
            sink.write(cipher.tag())
        return ObjectEntry(
            collection=ASSETS,
            key=md5.hexdigest(),
            blob=member.filename,
            nonce_b64=base64.b64encode(nonce).decode(),
            sha256=sha256.hexdigest(),
            size=size,
        )

    def _seal_bytes(self, data: bytes) -> ObjectEntry:
        return self._seal(iter((data,)), len(data))

    def _name(self, collection: str, key: str, entry: ObjectEntry) -> None:
        """Have the manifest name what was sealed; one member may stand for several objects."""
        known = self._objects.setdefault(
            (collection, key), entry.model_copy(update={"collection": collection, "key": key})
        )
        if known.sha256 != entry.sha256:
            raise InvalidInputError(
                f"Two contents have the MD5 {key}, by which version 1 tells them apart ({known.sha256} and "
                f"{entry.sha256}): somebody made them so. Build a bundle of version 2.",
                code="bundle_keys_collide",
                details={"key": key},
            )


def _check(snapshot: Snapshot) -> None:
    """Refuse what their readers could not open."""
    entries = {
        f"'{path}' of {version.name} {version.major}.{version.minor}": entry.size
        for algorithm in snapshot.algorithms
        for version in algorithm.versions
        for path, entry in version.assets.items()
    } | {
        f"'{path}' of the checkpoint {checkpoint.checkpoint_id}": entry.size
        for algorithm in snapshot.algorithms
        for checkpoint in algorithm.checkpoints
        for path, entry in checkpoint.assets.items()
    }
    large = [f"{name} ({size} bytes)" for name, size in entries.items() if size > MOST_OBJECT]
    if large:
        raise InvalidInputError(
            f"No bundle of version 1 can hold {listed(large)}: its readers open nothing above 2 GiB. Build one of "
            "version 2, or leave these out.",
            code="bundle_object_too_large",
            details={"objects": large[:100], "most": MOST_OBJECT},
        )
    objects = len(snapshot.contents()) + sum(1 + len(each.checkpoints) for each in snapshot.algorithms)
    if objects > MOST_MEMBERS - 2:
        raise InvalidInputError(
            f"No bundle of version 1 can hold {objects} objects; {MOST_MEMBERS - 2} are allowed. Build several.",
            code="bundle_too_many_objects",
            details={"objects": objects},
        )
