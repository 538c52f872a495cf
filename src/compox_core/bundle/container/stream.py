"""The payload: chunks that are sealed one by one and cannot be dropped, swapped, repeated or followed by others.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance", 2015), as in age: the nonce holds the number of the chunk and whether it is the last.
"""

from __future__ import annotations

from compox_core.bundle.primitives import TAG_BYTES, Aead


class Sealing:
    """Seals and opens the chunks of one file.

    Args:
        key: The payload's key; for one file only.
        bound: What each chunk is bound to: the digest of the header.
        start: Where the payload begins in the file, in bytes.
        chunk_bytes: Size of a chunk's plaintext; the last one may be smaller, and is not empty.
    """

    def __init__(self, key: bytes, bound: bytes, start: int, chunk_bytes: int) -> None:
        self.bound = bound
        self.start = start
        self.chunk_bytes = chunk_bytes
        self.sealed_bytes = chunk_bytes + TAG_BYTES
        self._aead = Aead(key)

    def seal(self, number: int, last: bool, plain: bytes | memoryview | bytearray) -> bytes:
        """Return a sealed chunk. Each number is sealed once."""
        return self._aead.seal(_nonce(number, last), plain, self.bound)

    def open(self, number: int, last: bool, sealed: bytes) -> bytes | None:
        """Return a chunk's plaintext; None where it is not that chunk of that file as it was written."""
        return self._aead.open(_nonce(number, last), sealed, self.bound)

    def chunks(self, plain_bytes: int) -> int:
        """Return how many chunks so much plaintext has."""
        return -(-plain_bytes // self.chunk_bytes)

    def file_bytes(self, plain_bytes: int) -> int:
        """Return how long a file with so much plaintext is."""
        return file_bytes(self.start, plain_bytes, self.chunk_bytes)

    def offset(self, number: int) -> int:
        """Return where a sealed chunk begins in the file."""
        return self.start + number * self.sealed_bytes


def file_bytes(start: int, plain_bytes: int, chunk_bytes: int) -> int:
    """Return how long a file is whose payload begins at `start`."""
    return start + plain_bytes + TAG_BYTES * -(-plain_bytes // chunk_bytes)


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")
