"""The format marker: one object that says that a store is ours and which layout it has."""

from __future__ import annotations

import json

from compox_core.errors import ConflictError, NotFoundError, StorageError
from compox_core.identity import new_token
from compox_core.storage.collections import SYSTEM
from compox_core.storage.objects import ObjectStore

MARKER_KEY = "format"
FORMAT = "compox-core-store"
VERSION = 1


def initialise(store: ObjectStore) -> None:
    """Make `store` ready for use: an empty one becomes ours, ours is checked, a foreign one is left
    untouched.

    Raises:
        StorageError: The store holds objects but no marker (`foreign_store`), or was made by a newer version
            of compox (`unsupported_store_version`).
        SettingsError: The place cannot create an object exclusively (`unsupported_filesystem`).
    """
    marked = _is_marked(store)
    # Somebody else may have made the store, and filled it, between the two looks.
    if not marked and not store.is_empty() and not _is_marked(store):
        raise StorageError(
            f"The store {store.url} is not empty and was not made by this program, so nothing was changed in "
            "it. Give another place, or another prefix, for the new store; algorithms of an older installation "
            "are taken over by building a bundle there and importing it here.",
            code="foreign_store",
            details={"store": store.url},
        )
    store.ensure_collections()
    if not marked:
        try:
            store.create(SYSTEM, MARKER_KEY, _text({"format": FORMAT, "version": VERSION, "id": new_token()}))
        except ConflictError:
            _is_marked(store)


def store_identity(store: ObjectStore) -> str:
    """Return text that tells a store that was made ready from every other, also from one put in its place or copied.

    It is the same wherever the store is opened by the same URL, and names that, without secrets. Raises StorageError.
    """
    marker = json.loads(store.get(SYSTEM, MARKER_KEY))
    return f"{store.url} ({marker.get('id', 'no id')})"


def _is_marked(store: ObjectStore) -> bool:
    try:
        data = store.get(SYSTEM, MARKER_KEY)
    except NotFoundError:
        return False
    version = _version(data, store.url)
    if version > VERSION:
        raise StorageError(
            f"The store {store.url} has format version {version}; this program knows versions up to "
            f"{VERSION}. Update compox-core, or give another store.",
            code="unsupported_store_version",
            details={"store": store.url, "version": version, "supported": VERSION},
        )
    return True


def _version(data: bytes, url: str) -> int:
    try:
        marker = json.loads(data)
        if marker["format"] == FORMAT and type(marker["version"]) is int and marker["version"] >= 1:
            return int(marker["version"])
    except (ValueError, KeyError, TypeError):
        pass  # reported below, together with a marker that is well-formed and says something else
    raise StorageError(
        f"The object {SYSTEM}/{MARKER_KEY} of the store {url} is not a marker of this program: "
        f"{data[:80]!r}. Give another place, or another prefix, for the store.",
        code="foreign_store",
        details={"store": url},
    )


def _text(marker: dict[str, str | int]) -> bytes:
    return json.dumps(marker).encode()
