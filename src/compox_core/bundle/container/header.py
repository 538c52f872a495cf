"""The header of a bundle: the version line, a salt, the size of chunks, the slots, and a MAC over all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from compox_core.bundle import primitives
from compox_core.bundle.container.failures import bad_key, damaged, malformed
from compox_core.bundle.container.slots import (
    LABEL,
    MAX_PASSPHRASES,
    MAX_SLOTS,
    PUBLIC_BYTES,
    WRAPPED_BYTES,
    Randomness,
    Slot,
    SlotKind,
    check_slots,
    kind_of,
    unwrap,
    wrap,
)
from compox_core.bundle.container.stream import Sealing
from compox_core.bundle.keys import Lock, Passphrase, Unlock

FAMILY = b"compox-bundle/v"
VERSION_LINE = FAMILY + b"2\n"
SALT_BYTES = 32
MAC_BYTES = 32
LOG2_CHUNKS = range(8, 23)
"""Chunks of 256 bytes to 4 MiB."""

Take = Callable[[int], bytes]


@dataclass(frozen=True)
class Header:
    """What a bundle tells without a key. `fields` are its bytes but for the MAC."""

    salt: bytes
    log2_chunk: int
    slots: tuple[Slot, ...]
    mac: bytes
    fields: bytes

    @property
    def size(self) -> int:
        """Bytes of the header; the payload begins there."""
        return len(self.fields) + MAC_BYTES

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the header, which chunks and signature are bound to."""
        return hashlib.sha256(self.fields + self.mac).digest()

    def encode(self) -> bytes:
        """Return the bytes of the header."""
        return self.fields + self.mac

    def unlock(self, unlocks: Iterable[Unlock]) -> Sealing:
        """Return what opens the payload.

        Raises:
            InvalidInputError: `invalid_bundle_key`; `bundle_damaged`, where a slot opens but the header was changed.
        """
        file_key = unwrap(self.slots, unlocks, self.salt)
        if not primitives.equal(_mac(file_key, self.salt, self.fields), self.mac):
            raise damaged("the header", 0)
        return _sealing(file_key, self)


def make_header(locks: Iterable[Lock], log2_chunk: int, randomness: Randomness) -> tuple[Header, Sealing]:
    """Return a new header for a file that each of `locks` opens, and what seals its payload.

    Raises:
        InvalidInputError: `invalid_bundle_key`: there is no lock, there are too many, or a cost is too high.
    """
    locks = list(locks)
    if not 1 <= len(locks) <= MAX_SLOTS:
        raise bad_key(f"A bundle is built for 1 to {MAX_SLOTS} keys, passphrases and recipients, not {len(locks)}.")
    passphrases = sum(isinstance(lock, Passphrase) for lock in locks)
    if passphrases > MAX_PASSPHRASES:
        raise bad_key(f"A bundle is built for at most {MAX_PASSPHRASES} passphrases, not {passphrases}.")
    if log2_chunk not in LOG2_CHUNKS:
        raise ValueError(f"chunks of 2^{log2_chunk} bytes")
    salt, file_key = randomness(SALT_BYTES), randomness(primitives.KEY_BYTES)
    slots = tuple(wrap(lock, file_key, salt, randomness) for lock in locks)
    fields = VERSION_LINE + salt + bytes([log2_chunk, len(slots)]) + b"".join(slot.encode() for slot in slots)
    header = Header(salt, log2_chunk, slots, _mac(file_key, salt, fields), fields)
    return header, _sealing(file_key, header)


def header_bytes(locks: Iterable[Lock]) -> int:
    """Return how long the header of a file for these locks is."""
    slots = sum(1 + PUBLIC_BYTES[kind_of(lock)] + WRAPPED_BYTES for lock in locks)
    return len(VERSION_LINE) + SALT_BYTES + 2 + slots + MAC_BYTES


def parse_header(take: Take) -> Header:
    """Read a header; `take(n)` gives the next n bytes or raises.

    Raises:
        InvalidInputError: `unsupported_bundle_format` for another version; `invalid_algorithm_bundle` for no bundle
            and for a header that breaks a rule of the format. Nothing was computed from it by then.
    """
    fields = VERSION_LINE + take(SALT_BYTES)
    salt = fields[-SALT_BYTES:]
    log2_chunk, count = numbers = take(2)
    if log2_chunk not in LOG2_CHUNKS:
        raise malformed(
            f"its chunks would have 2^{log2_chunk} bytes; 2^{LOG2_CHUNKS[0]} to 2^{LOG2_CHUNKS[-1]} are allowed"
        )
    if not 1 <= count <= MAX_SLOTS:
        raise malformed(f"its header has {count} slots; 1 to {MAX_SLOTS} are allowed")
    slots = tuple(_parse_slot(take) for _ in range(count))
    check_slots(slots)
    fields += numbers + b"".join(slot.encode() for slot in slots)
    return Header(salt, log2_chunk, slots, take(MAC_BYTES), fields)


def _parse_slot(take: Take) -> Slot:
    number = take(1)[0]
    try:
        kind = SlotKind(number)
    except ValueError:
        raise malformed(f"its header has a slot of kind {number}, which version 2 does not know") from None
    return Slot(kind, take(PUBLIC_BYTES[kind]), take(WRAPPED_BYTES))


def _mac(file_key: bytes, salt: bytes, fields: bytes) -> bytes:
    return primitives.mac(primitives.derive(file_key, salt, LABEL + b"header"), fields)


def _sealing(file_key: bytes, header: Header) -> Sealing:
    key = primitives.derive(file_key, header.salt, LABEL + b"payload")
    return Sealing(key, header.digest, header.size, 1 << header.log2_chunk)
