"""The slots of a header: the file's own key, wrapped once for each key, passphrase and recipient (as in age)."""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from compox_core.bundle import primitives
from compox_core.bundle.container.failures import bad_key, malformed
from compox_core.bundle.keys import BundleKey, Identity, Lock, Passphrase, Recipient, Unlock

LABEL = b"compox-bundle/v2 "
MAX_SLOTS = 64
MAX_PASSPHRASES = 4
MAX_SCRYPT_BYTES = 256 << 20
MAX_SCRYPT_P = 4
WRAPPED_BYTES = primitives.KEY_BYTES + primitives.TAG_BYTES

_ONCE = bytes(12)  # each wrapping key seals one thing
_SCRYPT = struct.Struct(">16sBBB")

Randomness = Callable[[int], bytes]


class SlotKind(enum.IntEnum):
    """What opens a slot."""

    KEY = 1
    PASSPHRASE = 2
    RECIPIENT = 3


PUBLIC_BYTES = {SlotKind.KEY: 0, SlotKind.PASSPHRASE: _SCRYPT.size, SlotKind.RECIPIENT: 32}
"""How long a slot's public part is."""


class Slot(NamedTuple):
    """The public part (scrypt's salt and cost, or an ephemeral X25519 key) and the wrapped file key."""

    kind: SlotKind
    public: bytes
    wrapped: bytes

    def encode(self) -> bytes:
        """Return the bytes of the slot."""
        return bytes([self.kind]) + self.public + self.wrapped


def check_slots(slots: Sequence[Slot]) -> None:
    """Refuse what would cost too much to try. Raises InvalidInputError (`invalid_algorithm_bundle`)."""
    passphrases = [slot for slot in slots if slot.kind is SlotKind.PASSPHRASE]
    if len(passphrases) > MAX_PASSPHRASES:
        raise malformed(f"it has {len(passphrases)} slots for passphrases; {MAX_PASSPHRASES} are allowed")
    for slot in passphrases:
        _, log2_n, r, p = _SCRYPT.unpack(slot.public)
        # 1 < N < 2^(16 r) is scrypt's own rule.
        if not (0 < log2_n < 16 * r and 0 < p <= MAX_SCRYPT_P and 128 * r << log2_n <= MAX_SCRYPT_BYTES):
            raise malformed(
                f"a passphrase is to be tried with scrypt's N = 2^{log2_n}, r = {r}, p = {p}; at most "
                f"{MAX_SCRYPT_BYTES >> 20} MiB and p = {MAX_SCRYPT_P} are allowed"
            )


def wrap(lock: Lock, file_key: bytes, salt: bytes, randomness: Randomness) -> Slot:
    """Return a slot that `lock`, or the identity of that recipient, opens."""
    match lock:
        case BundleKey():
            kind, public, key = SlotKind.KEY, b"", _of_key(lock, salt)
        case Passphrase():
            kind, public = SlotKind.PASSPHRASE, _SCRYPT.pack(randomness(16), lock.cost, 8, 1)
            key = _of_passphrase(lock, salt, public)
        case Recipient():
            ephemeral = randomness(32)
            kind, public = SlotKind.RECIPIENT, primitives.x25519_public(ephemeral)
            shared = primitives.x25519(ephemeral, lock.raw)
            if shared is None:
                raise bad_key("This recipient is none: its public key is one that every identity would open.")
            key = _of_shared(shared, salt, public, lock)
    return Slot(kind, public, primitives.Aead(key).seal(_ONCE, file_key, b""))


def unwrap(slots: Sequence[Slot], unlocks: Iterable[Unlock], salt: bytes) -> bytes:
    """Return the file key from the first slot that one of `unlocks` opens.

    Raises:
        InvalidInputError: `invalid_bundle_key`: none does.
    """
    given = sorted(unlocks, key=lambda each: isinstance(each, Passphrase))  # these cost most
    for unlock in given:
        for slot in slots:
            key = _wrapping_key(slot, unlock, salt)
            file_key = key and primitives.Aead(key).open(_ONCE, slot.wrapped, b"")
            if file_key:
                return file_key
    has, got = _named(slot.kind for slot in slots), _named(kind_of(each) for each in given)
    if not given:
        raise bad_key(f"The bundle is encrypted and nothing to open it was given. It opens with: {has}.", slots=has)
    raise bad_key(
        f"What was given ({got}) does not open the bundle. It opens with: {has}. Either that is another key, or the "
        "header was changed on its way.",
        slots=has,
    )


def _wrapping_key(slot: Slot, unlock: Unlock, salt: bytes) -> bytes | None:
    match unlock:
        case BundleKey() if slot.kind is SlotKind.KEY:
            return _of_key(unlock, salt)
        case Passphrase() if slot.kind is SlotKind.PASSPHRASE:
            return _of_passphrase(unlock, salt, slot.public)
        case Identity() if slot.kind is SlotKind.RECIPIENT:
            shared = primitives.x25519(unlock.raw, slot.public)
            return shared and _of_shared(shared, salt, slot.public, unlock.recipient)
    return None


def _of_key(key: BundleKey, salt: bytes) -> bytes:
    return primitives.derive(key.raw, salt, LABEL + b"key")


def _of_passphrase(passphrase: Passphrase, salt: bytes, public: bytes) -> bytes:
    own, log2_n, r, p = _SCRYPT.unpack(public)
    return primitives.derive(primitives.scrypt(passphrase.raw, own, log2_n, r, p), salt, LABEL + b"passphrase")


def _of_shared(shared: bytes, salt: bytes, ephemeral: bytes, recipient: Recipient) -> bytes:
    return primitives.derive(shared, salt + ephemeral + recipient.raw, LABEL + b"recipient")


def kind_of(key: Lock | Unlock) -> SlotKind:
    """Return which slots are made for it, or opened by it."""
    if isinstance(key, BundleKey):
        return SlotKind.KEY
    return SlotKind.PASSPHRASE if isinstance(key, Passphrase) else SlotKind.RECIPIENT


def _named(kinds: Iterable[SlotKind]) -> str:
    names = {SlotKind.KEY: "a key", SlotKind.PASSPHRASE: "a passphrase", SlotKind.RECIPIENT: "an identity"}
    found = list(kinds)
    return ", ".join(f"{names[kind]} ({found.count(kind)})" for kind in SlotKind if kind in found)
