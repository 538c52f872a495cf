"""Bundles of version 2: a snapshot as the manifest of a container, and its contents as the blobs, in its own order.

The manifest is `{"kind": "compox-algorithms", "snapshot": {…}, "version": 1}` as JSON with sorted keys. Blob number n
is the content number n of `Snapshot.contents`, of the snapshot as it is read from the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Self, cast

from pydantic import BaseModel, ValidationError

from compox_core.bundle import container
from compox_core.bundle.checking import bad_manifest, check_snapshot
from compox_core.bundle.collecting import Collected
from compox_core.bundle.container import BlobSource, BundleReader, create_bundle
from compox_core.bundle.container.writer import Progress
from compox_core.bundle.keys import Lock, Signer, SigningKey, Unlock
from compox_core.bundle.snapshot import Content, Snapshot
from compox_core.errors import InvalidInputError

KIND = "compox-algorithms"
VERSION = 1


class _Head(BaseModel):
    kind: str
    version: int


class _Manifest(_Head):
    snapshot: Snapshot


def write_v2(
    path: Path | str,
    collected: Collected,
    locks: Sequence[Lock],
    *,
    signing_key: SigningKey | None = None,
    progress: Progress | None = None,
    replace: bool = False,
) -> int:
    """Write what was collected as a bundle that each of `locks` opens; return its size in bytes.

    Raises as `create_bundle`, and StorageError (`bundle_content_missing`).
    """
    manifest = encode_snapshot(collected.snapshot)
    blobs = [
        BlobSource(each.size, each.sha256, partial(collected.open, each), collected.name_of(each))
        for each in decode_snapshot(manifest).contents()
    ]
    return create_bundle(path, manifest, blobs, locks, signing_key=signing_key, progress=progress, replace=replace)


def open_v2(
    path: Path | str, unlocks: Iterable[Unlock], *, trusted_signers: Collection[Signer] | None = None
) -> V2Source:
    """Open a bundle of version 2 and check what it names.

    Raises as `container.open_bundle`; InvalidInputError (`invalid_bundle_manifest`, `unsupported_bundle_format`) where
    its manifest is not one of algorithms.
    """
    reader = container.open_bundle(path, unlocks, trusted_signers=trusted_signers)
    try:
        snapshot = decode_snapshot(reader.manifest)
        check_snapshot(snapshot)
        contents = snapshot.contents()
        entries = [(entry.size, entry.sha256.hex()) for entry in reader.entries]
        if entries != [(each.size, each.sha256) for each in contents]:
            raise bad_manifest([f"its {len(entries)} blobs are not the {len(contents)} contents that it names"])
        return V2Source(reader, snapshot, contents)
    except BaseException:
        reader.close()
        raise


class V2Source:
    """An opened bundle of version 2, a `BundleSource` and a context manager."""

    def __init__(self, reader: BundleReader, snapshot: Snapshot, contents: list[Content]) -> None:
        self.snapshot = snapshot
        self._reader = reader
        self._contents = contents

    @property
    def signer(self) -> Signer | None:
        """Who signed it; None for nobody."""
        return self._reader.signer

    def contents(self, wanted: Container[str]) -> Iterator[tuple[Content, BinaryIO]]:
        """Yield each content whose SHA-256 is wanted with a stream of it, as `BundleReader.blobs` does."""
        numbers = {number for number, each in enumerate(self._contents) if each.sha256 in wanted}
        for blob in self._reader.blobs(numbers):
            yield self._contents[blob.number], cast(BinaryIO, blob)

    def verify(self, progress: Progress | None = None) -> None:
        """Read all of it, and use nothing. Raises as `BundleReader.verify`."""
        self._reader.verify(progress)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Return the manifest of a snapshot: the same bytes for the same snapshot."""
    said = {"kind": KIND, "version": VERSION, "snapshot": snapshot.model_dump(mode="json")}
    return json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def decode_snapshot(manifest: bytes) -> Snapshot:
    """Read a manifest.

    Raises:
        InvalidInputError: `invalid_bundle_manifest`; `unsupported_bundle_format` for what a newer program wrote.
    """
    try:
        head = _Head.model_validate_json(manifest)
        if (head.kind, head.version) != (KIND, VERSION):
            raise InvalidInputError(
                f"The bundle holds '{head.kind}' of version {head.version}; this program reads '{KIND}' of version "
                f"{VERSION}. A newer one may read it.",
                code="unsupported_bundle_format",
                details={"kind": head.kind, "version": head.version},
            )
        return _Manifest.model_validate_json(manifest).snapshot
    except ValidationError as error:
        raise bad_manifest(
            [f"{'.'.join(map(str, issue['loc'])) or 'manifest'}: {issue['msg']}" for issue in error.errors()]
        ) from error
