"""Opens bundles of either version, told apart by their first bytes; says what one tells with and without a key."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from compox_core.bundle.container import bundle_version, outline
from compox_core.bundle.container.failures import bad_key, bad_signature
from compox_core.bundle.keys import BundleKey, Signer, Unlock
from compox_core.bundle.snapshot import Snapshot
from compox_core.bundle.v1.reader import V1Source, open_v1, outline_v1
from compox_core.bundle.v2 import V2Source, open_v2
from compox_core.errors import InvalidInputError
from compox_core.storage.collections import ALGORITHMS


class BundleInfo(BaseModel):
    """What can be told of a bundle.

    Without a key that is `version`, `size` (bytes) and, in version 2, `opened_by` (kinds of keys) and `chunk_bytes`. In
    version 1, that also tells `created`, `made_by` and `names` to everybody, and anybody may have written them:
    `authentic` is False then. With a key there is the `snapshot`, and who signed it.
    """

    model_config = ConfigDict(frozen=True)

    version: int
    size: int
    opened_by: list[str]
    chunk_bytes: int | None = None
    authentic: bool = False
    created: datetime | None = None
    made_by: str | None = None
    names: list[str] | None = None
    signer: str | None = None
    snapshot: Snapshot | None = None


def open_bundle(
    path: Path | str, unlocks: Iterable[Unlock], *, trusted_signers: Collection[Signer] | None = None
) -> V1Source | V2Source:
    """Open a bundle of either version.

    Args:
        unlocks: Keys, passphrases and identities to try; version 1 knows keys only.
        trusted_signers: Who must have signed it; None asks for no signature. Bundles of version 1 have none.

    Raises:
        InvalidInputError: the bundle is broken, or none that this program knows, or nothing opens it
            (`invalid_bundle_key`; in version 1 `invalid_bundle_signature`), or it is not signed by whom it must be
            (`invalid_bundle_signature`).
        NotFoundError: `bundle_not_found`; `bundle_object_not_found`.
        StorageError: the file cannot be read.
    """
    unlocks = list(unlocks)
    if bundle_version(path) != 1:
        return open_v2(path, unlocks, trusted_signers=trusted_signers)
    if trusted_signers is not None:
        raise bad_signature(
            "The bundle is of version 1, which has no signatures: whoever can read it can forge it. Only bundles "
            f"signed by one of {len(trusted_signers)} trusted signers are accepted. Ask for one of version 2."
        )
    keys = [each for each in unlocks if isinstance(each, BundleKey)]
    if not keys:
        raise bad_key("The bundle is of version 1, which only a key of 43 characters opens: give that.")
    for key in keys[:-1]:
        try:
            return open_v1(path, key)
        except InvalidInputError as error:
            if error.code != "invalid_bundle_signature":
                raise
    return open_v1(path, keys[-1])


def inspect_bundle(
    path: Path | str, unlocks: Iterable[Unlock] = (), *, trusted_signers: Collection[Signer] | None = None
) -> BundleInfo:
    """Return what can be told of a bundle: with nothing that opens it, what it tells to everybody.

    Raises as `open_bundle`.
    """
    unlocks = list(unlocks)
    if not unlocks:
        info = _outline(path)
        return _with_clear_manifest(Path(path).expanduser(), info) if info.version == 1 else info
    with open_bundle(path, unlocks, trusted_signers=trusted_signers) as bundle:
        return info_of(path, bundle)


def info_of(path: Path | str, bundle: V1Source | V2Source) -> BundleInfo:
    """Return what can be told of a bundle that was opened."""
    signer = bundle.signer if isinstance(bundle, V2Source) else None
    return _outline(path).model_copy(
        update={
            "authentic": True,
            "created": bundle.snapshot.created,
            "made_by": bundle.snapshot.made_by,
            "names": sorted({each.name for each in bundle.snapshot.algorithms}),
            "signer": None if signer is None else signer.text(),
            "snapshot": bundle.snapshot,
        }
    )


def _outline(path: Path | str) -> BundleInfo:
    found = Path(path).expanduser()
    version = bundle_version(found)
    if version == 1:
        return BundleInfo(version=1, size=found.stat().st_size, opened_by=["key"])
    said = outline(found)
    return BundleInfo(version=version, size=said.size, opened_by=list(said.slots), chunk_bytes=said.chunk_bytes)


def _with_clear_manifest(path: Path, info: BundleInfo) -> BundleInfo:
    manifest = outline_v1(path)
    keys = [entry.key.split("~") for entry in manifest.objects if entry.collection == ALGORITHMS]
    return info.model_copy(
        update={
            "created": manifest.metadata and manifest.metadata.created_at,
            "made_by": manifest.metadata and manifest.metadata.compox_version,
            "names": sorted({key[1] for key in keys if len(key) > 2}),
        }
    )
