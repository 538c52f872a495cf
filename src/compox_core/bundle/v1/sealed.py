"""The content of one object of a bundle, decrypted as it is read."""

from __future__ import annotations

import hashlib
import io
from typing import IO

from compox_core.algorithms.archives import BROKEN
from compox_core.bundle.container.failures import differs
from compox_core.bundle.primitives import TAG_BYTES, GcmOpening
from compox_core.bundle.v1.faults import unreadable
from compox_core.bundle.v1.manifest import ObjectEntry
from compox_core.storage.local_errors import reported

CHUNK = 1 << 20


class SealedStream(io.BufferedIOBase):
    """Plaintext of an object, forward. Its last piece is given out when the tag and the SHA-256 have held.

    What was read of it when `read` raises InvalidInputError (`bundle_object_read_failed`, `bundle_checksum_mismatch`)
    must not be used. The context manager `with` closes the member it reads.
    """

    def __init__(self, member: IO[bytes], entry: ObjectEntry, size: int, key: bytes, path: str) -> None:
        self.size = size
        self._member = member
        self._entry = entry
        self._left = size
        self._cipher = GcmOpening(key, entry.nonce)
        self._digest = hashlib.sha256()
        self._checked = False
        self._path = path

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes, or all that are left; fewer only at the end."""
        todo = self._left if size is None or size < 0 else min(size, self._left)
        parts = []
        while todo:
            piece = self._cipher.update(self._take(min(todo, CHUNK)))
            self._digest.update(piece)
            parts.append(piece)
            todo -= len(piece)
            self._left -= len(piece)
        if not self._left:
            self._check()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes, at most a mebibyte."""
        return self.read(CHUNK if size < 0 else min(size, CHUNK))

    def drain(self) -> None:
        """Read what is left."""
        while self.read(CHUNK):
            pass

    def close(self) -> None:
        """Close the member."""
        self._member.close()
        super().close()

    def _check(self) -> None:
        if self._checked:
            return
        tag = b"".join(self._take(1) for _ in range(TAG_BYTES))
        if self._raw(1):
            raise self._unreadable("it is longer than it should be")
        if not self._cipher.holds(tag):
            raise self._unreadable("it was changed or damaged")
        if self._digest.hexdigest() != self._entry.sha256:
            raise differs(
                f"'{self._entry.key}' in '{self._entry.collection}' of the bundle has the SHA-256 "
                f"{self._digest.hexdigest()} and should have {self._entry.sha256}. It was exchanged for another; fetch "
                "the file again.",
                collection=self._entry.collection,
                key=self._entry.key,
            )
        self._checked = True

    def _take(self, size: int) -> bytes:
        data = self._raw(size)
        if not data:
            raise self._unreadable("it ends too soon")
        return data

    def _raw(self, size: int) -> bytes:
        try:
            with reported("read", self._path):
                return self._member.read(size)
        except BROKEN as error:
            raise self._unreadable(f"its member of the zip is damaged ({error})") from error

    def _unreadable(self, why: str) -> Exception:
        return unreadable(self._entry.collection, self._entry.key, why)
