"""Signed permissions that expire: who has one may do one thing to one file, and needs nothing else.

The signature is an HMAC-SHA256 (RFC 2104) over the method, the file's name and the time of expiry. Its key is made
once for a store, at random, and lies in `system-store`: every server of that store accepts what any of them signed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable

from compox_core.errors import ConflictError, StorageError
from compox_core.storage.collections import SYSTEM
from compox_core.storage.objects import ObjectStore

KEY = "url-key"
KEY_BYTES = 32


class Signing:
    """Signs and checks permissions of one store. Reads its key once, when it is first needed.

    Args:
        now: Returns seconds since 1970.
    """

    def __init__(self, store: ObjectStore, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now
        self._secret: bytes | None = None

    def sign(self, method: str, name: str, seconds: int) -> tuple[int, str]:
        """Return when a permission that holds for so many seconds expires (seconds since 1970), and its signature."""
        expires = int(self._now()) + seconds
        return expires, self._signature(method, name, str(expires))

    def check(self, method: str, name: str, expires: str, signature: str) -> str | None:
        """Return why a permission is none, in words; None where it holds. The comparison takes constant time."""
        # Of any text something is computed and compared, so that a wrong one takes as long as a right one.
        expected = self._signature(method, name, expires)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return "its signature does not fit"
        return "it has expired" if int(expires) < self._now() else None  # what we signed is a number

    def _signature(self, method: str, name: str, expires: str) -> str:
        text = json.dumps(["compox-url-1", method, name, expires])
        return hmac.new(self._key(), text.encode(), hashlib.sha256).hexdigest()

    def _key(self) -> bytes:
        if self._secret is None:
            made = secrets.token_bytes(KEY_BYTES)
            try:
                self._store.create(SYSTEM, KEY, made)
            except ConflictError:
                made = self._store.get(SYSTEM, KEY)
            if len(made) != KEY_BYTES:
                raise StorageError(
                    f"The object {KEY!r} in {SYSTEM} is no key of {KEY_BYTES} bytes: delete it, and a new one is made.",
                    code="invalid_record",
                    details={"collection": SYSTEM, "key": KEY},
                )
            self._secret = made
        return self._secret
