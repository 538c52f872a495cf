"""Bundles of version 1 as somebody else writes them: from the specification, and with any part of it wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import secrets
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compox_core.bundle.keys import BundleKey

ALGORITHMS = "algorithm-store"
MODULES = "module-store"
ASSETS = "asset-store"
CHECKPOINTS = "algorithm-checkpoint-store"
COLLECTIONS = [CHECKPOINTS, ALGORITHMS, ASSETS, MODULES]

KEY = BundleKey(bytes(range(32)))
ID = "910dd5fa-e53f-11f1-b09e-02fc00000001"
TRAINING = "92586358-e53f-11f1-b09e-02fc00000001"
MODULE = "0" * 32


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


RUNNER = zipped({"__init__.py": b"", f"{MODULE}/__init__.py": b"", f"{MODULE}/Runner.py": b"class Runner: pass\n"})


def record(**changes: Any) -> dict[str, Any]:
    """Return the smallest record of an algorithm, with changes; None takes a field away."""
    fields: dict[str, Any] = {
        "algorithm_id": ID,
        "algorithm_name": "cut",
        "algorithm_major_version": "1",
        "latest_algorithm_minor_version": "0",
        "algorithm_minor_version": {"0": {"module_id": MODULE, "assets": {"files/w.bin": "weights"}}},
    } | changes
    return {name: value for name, value in fields.items() if value is not None}


def checkpoint(identifier: str, parent: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return the record of a checkpoint."""
    return {
        "checkpoint_id": identifier,
        "parent_algorithm_id": ID,
        "training_id": TRAINING,
        "assets": {"files/w.bin": "learned"},
        "created_at": "2026-11-21T00:07:43+00:00",
        "parent_checkpoint_id": parent,
    } | changes


@dataclass
class Made:
    """A bundle that is about to be written: plaintext by collection and key, and what is to be different."""

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    entries: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    members: dict[str, bytes | None] = field(default_factory=dict)
    key: bytes = KEY.raw

    def write(self, path: Path) -> Path:
        """Write the file and return its path."""
        blobs, entries = {}, []
        for number, ((collection, key), plain) in enumerate(self.objects.items()):
            nonce, blob = secrets.token_bytes(12), f"objects/{number:08d}.bin"
            blobs[blob] = AESGCM(self.key).encrypt(nonce, plain, None)
            entry = {
                "collection": collection,
                "key": key,
                "blob": blob,
                "nonce_b64": base64.b64encode(nonce).decode(),
                "sha256": hashlib.sha256(plain).hexdigest(),
                "size": len(plain),
            }
            changed = entry | self.entries.get((collection, key), {})
            entries.append({name: value for name, value in changed.items() if value is not None})
        document = {
            "format": "compox-migration-bundle-v1",
            "encryption": "aesgcm",
            "collections": COLLECTIONS,
            "objects": entries,
        } | self.manifest
        text = json.dumps({name: value for name, value in document.items() if value is not None}, indent=1).encode()
        signature = hmac.new(self.key, text, hashlib.sha256).hexdigest().encode() + b"\n"
        members = blobs | {"manifest.json": text, "manifest.hmac": signature} | self.members
        path.write_bytes(zipped({name: content for name, content in members.items() if content is not None}))
        return path


def made(*checkpoints: dict[str, Any], **changes: Any) -> Made:
    """Return a good bundle of one algorithm with these checkpoints, and with changes to its record."""
    algorithm = record(checkpoints=[each["checkpoint_id"] for each in checkpoints], **changes)
    key = "~".join(str(algorithm[f"algorithm_{part}"]) for part in ("id", "name", "major_version"))
    objects = {
        (ALGORITHMS, key): json.dumps(algorithm).encode(),
        (MODULES, MODULE): RUNNER,
        (ASSETS, "weights"): b"weights",
    }
    if checkpoints:
        objects[ASSETS, "learned"] = b"learned"
    for each in checkpoints:
        objects[CHECKPOINTS, each["checkpoint_id"]] = json.dumps(each).encode()
    return Made(objects)
