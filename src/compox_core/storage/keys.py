"""Which keys and collection names a store takes: those that mean the same on every backend and platform."""

from __future__ import annotations

import re

from compox_core.errors import InvalidInputError, NotFoundError

MAX_KEY_LENGTH = 512
TEMPORARY = ".tmp"  # what begins so is not yet an object; no listing shows it

# A segment that ends in a dot, and a device name, are lost or worse when they reach Windows.
_SEGMENT = r"(?!\.tmp)[A-Za-z0-9._-]{1,255}(?<!\.)"
_KEY = re.compile(f"{_SEGMENT}(?:/{_SEGMENT})*")
_DEVICE = re.compile(r"(?:^|/)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.[^/]*)?(?:/|$)", re.IGNORECASE)
_COLLECTION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def is_key(key: str) -> bool:
    """Return whether `key` is well-formed: `/`-separated segments of letters, digits, `.`, `_` and `-`.

    At most 512 characters, 255 in a segment. No segment is empty, ends in a dot, begins with `.tmp` or is the
    name of a Windows device.
    """
    return len(key) <= MAX_KEY_LENGTH and bool(_KEY.fullmatch(key)) and not _DEVICE.search(key)


def writable_key(collection: str, key: str) -> str:
    """Return `key` when an object may be written under it, else raise `InvalidInputError`."""
    known_collection(collection)
    if not is_key(key):
        raise invalid_key(collection, key, "it is not well-formed")
    return key


def readable_key(collection: str, key: str) -> str:
    """Return `key` when there may be such an object, else raise `NotFoundError`: nothing can lie under it."""
    known_collection(collection)
    if not is_key(key):
        raise object_not_found(collection, key)
    return key


def known_collection(collection: str) -> str:
    """Return `collection` when it is a well-formed name of 1 to 63 lower-case letters, digits and `-`."""
    if not _COLLECTION.fullmatch(collection):
        raise InvalidInputError(
            f"{collection!r} cannot name a collection: use 1 to 63 lower-case letters, digits and '-'.",
            code="invalid_collection",
            details={"collection": collection},
        )
    return collection


def listable_prefix(prefix: str) -> bool:
    """Return whether a key may begin with `prefix`."""
    return not prefix or is_key(prefix) or is_key(prefix + "x")


def invalid_key(collection: str, key: str, why: str) -> InvalidInputError:
    """Return the error of a key that cannot be written."""
    return InvalidInputError(
        f"{key!r} cannot be a key in collection {collection!r}: {why}. A key has segments of A-Z, a-z, 0-9, "
        "'.', '_' and '-' joined by '/', at most 512 characters; no segment begins with '.tmp' or ends in a "
        "dot, and no key is a folder of another key.",
        code="invalid_key",
        details={"collection": collection, "key": key},
    )


def object_not_found(collection: str, key: str) -> NotFoundError:
    """Return the error of an object that is not there."""
    return NotFoundError(
        f"There is no object {key!r} in collection {collection!r}.",
        code="object_not_found",
        details={"collection": collection, "key": key},
    )
