"""The zip of a bundle of version 1: bounded before it is read, authenticated before it is parsed."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Self

from compox_core.algorithms.archives import BROKEN, ENCRYPTED
from compox_core.bundle import primitives
from compox_core.bundle.container.failures import bad_front, malformed
from compox_core.bundle.keys import BundleKey
from compox_core.bundle.primitives import TAG_BYTES
from compox_core.bundle.v1.faults import missing, unsigned
from compox_core.bundle.v1.manifest import Manifest, ObjectEntry, parse_manifest
from compox_core.bundle.v1.sealed import CHUNK, SealedStream
from compox_core.errors import NotFoundError, StorageError
from compox_core.storage.local_errors import reported

MANIFEST = "manifest.json"
SIGNATURE = "manifest.hmac"
MOST_MEMBERS = 100_000
MOST_READ = 16 << 20
"""No single read of the file is longer, so neither is the zip's directory, which is read as one."""
MOST_MANIFEST = 64 << 20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others inflate without bounds."""

_SIGNATURE_BYTES = 1024
_TAIL_BYTES = 1 << 17
"""More than the end of a zip with the longest comment, which is all that `zipfile` reads up to the file's end."""


class V1File:
    """An opened bundle whose manifest was written by somebody with the key; a context manager."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, key: bytes, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self.objects = {(entry.collection, entry.key): entry for entry in manifest.objects}
        self._archive = archive
        self._key = key

    @classmethod
    def open(cls, path: Path | str, key: BundleKey) -> Self:
        """Open a bundle and compare what it says of its objects with what is there.

        Raises:
            InvalidInputError: `invalid_algorithm_bundle`, `invalid_bundle_signature`, and as `parse_manifest`.
            NotFoundError: `bundle_not_found`; `bundle_object_not_found` where the manifest names what is not there.
            StorageError: The file cannot be read.
        """
        found = Path(path).expanduser().absolute()
        archive = open_zip(found)
        try:
            data = read_manifest(found, archive)
            _check_signature(found, archive, data, key.raw)
            bundle = cls(found, archive, key.raw, parse_manifest(data))
            bundle._check_objects()
            return bundle
        except BaseException:
            close_zip(archive)
            raise

    def size(self, entry: ObjectEntry) -> int:
        """Return the bytes of an object's plaintext."""
        return self._archive.getinfo(entry.blob).file_size - TAG_BYTES

    def position(self, entry: ObjectEntry) -> int:
        """Return where in the file an object begins."""
        return self._archive.getinfo(entry.blob).header_offset

    def stream(self, entry: ObjectEntry) -> SealedStream:
        """Return the content of an object."""
        try:
            with reported("read", str(self.path)):
                member = self._archive.open(entry.blob)
        except BROKEN as error:
            raise malformed(f"its member '{entry.blob}' is damaged ({error})", path=str(self.path)) from error
        return SealedStream(member, entry, self.size(entry), self._key, str(self.path))

    def read(self, entry: ObjectEntry, most: int) -> bytes:
        """Return a small object. Raises InvalidInputError (`invalid_bundle_manifest`) where it has more bytes."""
        if self.size(entry) > most:
            raise bad_front(f"'{entry.key}' in '{entry.collection}' has {self.size(entry)} bytes, more than {most}")
        with self.stream(entry) as stream:
            return stream.read()

    def close(self) -> None:
        """Close the file."""
        close_zip(self._archive)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_objects(self) -> None:
        absent = [entry.blob for entry in self.manifest.objects if entry.blob not in self._archive.NameToInfo]
        if absent:
            raise missing([f"member '{name}'" for name in absent])
        for entry in self.manifest.objects:
            member = self._archive.getinfo(entry.blob)
            _check_method(member)
            # What is encrypted cannot be compressed, so that what inflates a lot was made to fill a disk.
            if member.file_size > member.compress_size + member.compress_size // 8 + 4096:
                raise malformed(f"its member '{entry.blob}' inflates from {member.compress_size} to {member.file_size}")
            if member.file_size < TAG_BYTES or entry.size not in (None, member.file_size - TAG_BYTES):
                raise malformed(
                    f"its member '{entry.blob}' has {member.file_size} bytes and '{entry.key}' in it should have "
                    f"{entry.size} and {TAG_BYTES}"
                )


class _Guarded(io.FileIO):
    """A file that `zipfile` cannot be talked into reading as a whole."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_READ:
            raise zipfile.BadZipFile(f"it claims a directory of {size} bytes")
        return super().read(_TAIL_BYTES if size is None or size < 0 else size)


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open the zip; raises as `V1File.open`. Whoever opened it closes it with `close_zip`."""
    try:
        with reported("read", str(path)):
            file = _Guarded(path)
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise NotFoundError(
                f"There is no bundle {path}.", code="bundle_not_found", details={"path": str(path)}
            ) from None
        raise
    try:
        with reported("read", str(path)):
            archive = zipfile.ZipFile(file)
    except BROKEN as error:
        file.close()
        raise malformed(f"it is no whole zip file ({error})", path=str(path)) from error
    except BaseException:
        file.close()
        raise
    try:
        _check_members(archive)
    except BaseException:
        close_zip(archive)
        raise
    return archive


def close_zip(archive: zipfile.ZipFile) -> None:
    """Close a zip and its file."""
    file = archive.fp
    archive.close()
    if file is not None:
        file.close()  # which a zip does not do with a file that it was given


def read_manifest(path: Path, archive: zipfile.ZipFile) -> bytes:
    """Return the bytes of the manifest, which nothing has vouched for yet."""
    data = _member(path, archive, MANIFEST, MOST_MANIFEST)
    if data is None:
        raise malformed(f"it is a zip without '{MANIFEST}'", path=str(path))
    return data


def _check_members(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise malformed(f"it has {len(members)} members; {MOST_MEMBERS} are allowed")
    name, count = Counter(member.filename for member in members).most_common(1)[0] if members else ("", 0)
    if count > 1:
        raise malformed(f"its member '{name}' is there {count} times")


def _check_signature(path: Path, archive: zipfile.ZipFile, manifest: bytes, key: bytes) -> None:
    signature = _member(path, archive, SIGNATURE, _SIGNATURE_BYTES)
    if signature is None:
        raise unsigned(str(path), f"it has no '{SIGNATURE}', so nothing says who wrote it")
    if not primitives.equal(primitives.mac(key, manifest).hex().encode(), signature.strip()):
        raise unsigned(str(path), f"its '{SIGNATURE}' does not fit its manifest and this key")


def _member(path: Path, archive: zipfile.ZipFile, name: str, most: int) -> bytes | None:
    member = archive.NameToInfo.get(name)
    if member is None:
        return None
    _check_method(member)
    if member.file_size > most:
        raise malformed(f"its '{name}' has {member.file_size} bytes; {most} are allowed", path=str(path))
    try:
        with reported("read", str(path)), archive.open(member) as stream:
            return b"".join(iter(partial(stream.read, CHUNK), b""))  # never more than `file_size` says
    except BROKEN as error:
        raise malformed(f"its '{name}' is damaged ({error})", path=str(path)) from error


def _check_method(member: zipfile.ZipInfo) -> None:
    if member.compress_type not in METHODS or member.flag_bits & ENCRYPTED:
        raise malformed(f"its member '{member.filename}' is packed in a way that bundles do not use")
