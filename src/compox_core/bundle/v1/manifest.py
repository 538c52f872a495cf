"""The manifest of a bundle of version 1: which objects it holds, and how each is sealed."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compox_core.bundle.container.failures import bad_front
from compox_core.bundle.v1.documents import Time, issues_of, parse_object
from compox_core.bundle.v1.faults import SHOWN, unsupported
from compox_core.errors import InvalidInputError
from compox_core.storage.collections import ALGORITHMS, ASSETS, CHECKPOINTS, MODULES

FORMAT = "compox-migration-bundle-v1"
ENCRYPTION = "aesgcm"
KIND = "builtin_algorithm_snapshot"
COLLECTIONS = tuple(sorted((ALGORITHMS, MODULES, ASSETS, CHECKPOINTS)))
"""What every bundle declares, whether there is anything in them or not."""

NONCE_BYTES = 12


class ObjectEntry(BaseModel):
    """One object: its collection and key, the member that holds it, its nonce, SHA-256 and size as plaintext."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    collection: str
    key: str
    blob: str
    nonce_b64: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{16}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)] | None = None

    @property
    def nonce(self) -> bytes:
        """The 12 bytes."""
        return base64.b64decode(self.nonce_b64)


class Metadata(BaseModel):
    """When the bundle was built, by which version of which program."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    created_at: Time | None = None
    compox_version: str | None = None
    bundle_kind: str | None = None
    content_sha256: str | None = None


class Manifest(BaseModel):
    """The manifest. `collections` None stands for those of the objects."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    collections: list[str] | None = None
    metadata: Metadata | None = None
    objects: list[ObjectEntry]

    def declared(self) -> list[str]:
        """Return the collections, sorted."""
        return sorted(set(self.collections or (entry.collection for entry in self.objects)))


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        InvalidInputError: `unsupported_bundle_format`, `unsupported_bundle_encryption`, `invalid_bundle_manifest`,
            `bundle_missing_required_collections`.
    """
    try:
        document = parse_object(data)
    except ValueError as error:
        raise bad_front(f"its manifest {error}") from error
    for what, known, code in (("format", FORMAT, "format"), ("encryption", ENCRYPTION, "encryption")):
        if document.get(what) != known:
            raise unsupported(what, document.get(what), f"unsupported_bundle_{code}")
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        raise bad_front("; ".join(issues_of(error, "its manifest")[:SHOWN])) from error
    seen: set[tuple[str, str]] = set()
    for entry in manifest.objects:
        place = (entry.collection, entry.key)
        if place in seen:
            raise bad_front(f"its manifest names '{entry.key}' in '{entry.collection}' twice")
        seen.add(place)
    absent = [name for name in COLLECTIONS if name not in manifest.declared()]
    if absent:
        raise InvalidInputError(
            f"The bundle does not declare {', '.join(absent)}, which every bundle does: it is not one of algorithms.",
            code="bundle_missing_required_collections",
            details={"missing": absent},
        )
    return manifest


def encode_manifest(objects: Sequence[ObjectEntry], created: datetime, made_by: str) -> bytes:
    """Return the manifest of these objects as it is signed and stored."""
    metadata = {"created_at": created.isoformat(), "compox_version": made_by, "bundle_kind": KIND}
    document: dict[str, Any] = {
        "format": FORMAT,
        "encryption": ENCRYPTION,
        "collections": list(COLLECTIONS),
        "metadata": metadata,
        "objects": [entry.model_dump() for entry in objects],
    }
    metadata["content_sha256"] = hashlib.sha256(_canonical(document)).hexdigest()
    return _canonical(document)


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
