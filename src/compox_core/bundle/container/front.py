"""The front of the payload: how much follows, the size and SHA-256 of each blob, the manifest, the signature.

As it stands before the blobs, a reader tells a cut or lengthened file, and one that it must not trust, before it reads
any of them. The signature is over the header's digest and the front, and so, by sizes, SHA-256 and the header's MAC,
over all that the file says.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple, overload

from compox_core.bundle import primitives
from compox_core.bundle.container.failures import bad_front, bad_signature
from compox_core.bundle.container.slots import LABEL
from compox_core.bundle.keys import Signer, SigningKey

FIXED = struct.Struct(">QIIB")
ENTRY = struct.Struct(">Q32s")
SIGNATURE_BYTES = 64
SIGNED_BYTES = 32 + SIGNATURE_BYTES

MAX_PLAIN_BYTES = 1 << 44
MAX_MANIFEST_BYTES = 64 << 20
MAX_BLOBS = 1 << 20


class Entry(NamedTuple):
    """A blob's size in bytes and SHA-256 (32 bytes)."""

    size: int
    sha256: bytes


class Entries(Sequence[Entry]):
    """The entries of all blobs, in the form in which they are stored: a million take 40 MB."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @classmethod
    def of(cls, entries: Collection[tuple[int, bytes]]) -> Entries:
        """Encode entries."""
        return cls(b"".join(ENTRY.pack(*entry) for entry in entries))

    @property
    def total(self) -> int:
        """Bytes of all blobs together."""
        return sum(size for size, _ in ENTRY.iter_unpack(self.raw))

    def __len__(self) -> int:
        return len(self.raw) // ENTRY.size

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return Entry(*ENTRY.unpack_from(self.raw, index % len(self) * ENTRY.size))

    def __iter__(self) -> Iterator[Entry]:
        return (Entry(*each) for each in ENTRY.iter_unpack(self.raw))


class Front(NamedTuple):
    """What stands before the blobs."""

    size: int
    plain_bytes: int
    entries: Entries
    manifest: bytes
    signer: Signer | None


class Lengths(NamedTuple):
    """The first 17 bytes of the payload: bytes of all of it, of the manifest, number of blobs, 1 if it is signed."""

    plain_bytes: int
    manifest_bytes: int
    blobs: int
    signed: int

    @property
    def front_bytes(self) -> int:
        """Where the first blob begins in the plaintext."""
        return FIXED.size + self.blobs * ENTRY.size + self.manifest_bytes + SIGNED_BYTES * self.signed

    @classmethod
    def decode(cls, raw: bytes) -> Lengths:
        """Read and check them. Raises InvalidInputError (`invalid_bundle_manifest`)."""
        lengths = cls(*FIXED.unpack(raw))
        if lengths.signed > 1:
            raise bad_front(f"its signature is of kind {lengths.signed}, which version 2 does not know")
        for what, number, most in (
            ("blobs", lengths.blobs, MAX_BLOBS),
            ("bytes of manifest", lengths.manifest_bytes, MAX_MANIFEST_BYTES),
            ("bytes", lengths.plain_bytes, MAX_PLAIN_BYTES),
        ):
            if number > most:
                raise bad_front(f"it says that it has {number} {what}; {most} are allowed")
        if lengths.front_bytes > lengths.plain_bytes:
            raise bad_front("what stands before its blobs is longer than all of it")
        return lengths


def encode_front(manifest: bytes, entries: Entries, signing_key: SigningKey | None, header_digest: bytes) -> bytes:
    """Return the bytes of a front.

    Raises:
        InvalidInputError: `invalid_bundle_manifest`: there is more than a bundle may hold.
    """
    lengths = Lengths(0, len(manifest), len(entries), int(signing_key is not None))
    total = lengths.front_bytes + entries.total
    if len(manifest) > MAX_MANIFEST_BYTES or len(entries) > MAX_BLOBS or total > MAX_PLAIN_BYTES:
        raise bad_front(
            f"it would have {len(entries)} blobs, a manifest of {len(manifest)} bytes and {total} bytes in all; "
            f"{MAX_BLOBS}, {MAX_MANIFEST_BYTES} and {MAX_PLAIN_BYTES} are allowed"
        )
    raw = FIXED.pack(total, *lengths[1:]) + entries.raw + manifest
    if signing_key is None:
        return raw
    raw += signing_key.signer.raw
    return raw + primitives.ed25519_sign(signing_key.raw, _signed(header_digest, raw))


def read_front(take: Callable[[int], bytes], lengths: Lengths, fixed: bytes, header_digest: bytes) -> Front:
    """Read the rest of a front, whose first bytes were `fixed`; `take(n)` gives the next n bytes of the plaintext.

    Raises:
        InvalidInputError: `invalid_bundle_manifest`; `invalid_bundle_signature` where the signature is wrong.
    """
    entries = Entries(take(lengths.blobs * ENTRY.size))
    if lengths.front_bytes + entries.total != lengths.plain_bytes:
        raise bad_front("the sizes of its blobs do not add up to its own")
    manifest = take(lengths.manifest_bytes)
    signer = None
    if lengths.signed:
        public, signature = take(32), take(SIGNATURE_BYTES)
        if not primitives.ed25519_holds(
            public, signature, _signed(header_digest, fixed, entries.raw, manifest, public)
        ):
            raise bad_signature("The bundle's signature is wrong: somebody who has the key changed it.")
        signer = Signer(public)
    return Front(lengths.front_bytes, lengths.plain_bytes, entries, manifest, signer)


def check_trust(signer: Signer | None, trusted: Collection[Signer]) -> None:
    """Raise InvalidInputError (`invalid_bundle_signature`) where none of the trusted signers signed."""
    if signer is None:
        raise bad_signature(
            f"The bundle is not signed, and only bundles signed by one of {len(trusted)} trusted signers are accepted. "
            "Ask whoever built it for a signed one."
        )
    if signer not in trusted:
        raise bad_signature(
            f"The bundle is signed by {signer.text()}, which is not among the {len(trusted)} trusted signers. If you "
            "know whose key that is and trust it, add it to them.",
            signer=signer.text(),
        )


def _signed(header_digest: bytes, *front: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in front:
        digest.update(part)
    return LABEL + b"signature" + header_digest + digest.digest()
