"""Makes the test vectors of the bundle format, the same bytes each time: `python tools/make_bundle_vectors.py`.

With a folder behind it they are written there.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from compox_core.bundle.container import BlobSource, write_bundle
from compox_core.bundle.container.front import ENTRY, FIXED, Entries, encode_front
from compox_core.bundle.container.header import make_header
from compox_core.bundle.container.stream import Sealing
from compox_core.bundle.keys import BundleKey, Identity, Lock, Passphrase, SigningKey

FOLDER = Path(__file__).parents[1] / "tests" / "bundle" / "vectors"
LOG2_CHUNK = 8
CHUNK = 1 << LOG2_CHUNK
SEALED = CHUNK + 16


def bytes_of(name: str) -> Callable[[int], bytes]:
    """Return a source of bytes that look random and depend on the name alone."""
    drawn = 0

    def draw(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return hashlib.shake_256(f"{name}/{drawn}".encode()).digest(size)

    return draw


KEY = BundleKey(bytes_of("key")(32))
OTHER_KEY = BundleKey(bytes_of("other key")(32))
IDENTITY = Identity(bytes_of("identity")(32))
OTHER_IDENTITY = Identity(bytes_of("other identity")(32))
PASSPHRASE = Passphrase("Größe zählt nicht", cost=10)
SIGNING_KEY = SigningKey(bytes_of("signing key")(32))
STRANGER = SigningKey(bytes_of("stranger")(32))

MANIFEST = b'{"what": "a manifest"}'
BLOBS = [bytes_of("blob")(size) for size in (0, 1, 300, 2 * CHUNK, 77)]


def made(
    name: str,
    locks: Sequence[Lock] = (KEY,),
    manifest: bytes = MANIFEST,
    blobs: Sequence[bytes] = tuple(BLOBS),
    signing_key: SigningKey | None = None,
) -> bytes:
    """Return a bundle as the product writes it."""
    sink = io.BytesIO()
    write_bundle(
        sink,
        manifest,
        [BlobSource.of_bytes(blob) for blob in blobs],
        locks,
        signing_key=signing_key,
        log2_chunk=LOG2_CHUNK,
        randomness=bytes_of(name),
    )
    return sink.getvalue()


def start_of(content: bytes) -> int:
    """Return where the payload of a bundle with one key begins."""
    return 17 + 32 + 2 + content[50] * 49 + 32


def by_hand(
    name: str,
    plain: Callable[[bytes], bytes],
    seal: Callable[..., bytes] = Sealing.seal,
    mac: bytes | None = None,
) -> bytes:
    """Return a bundle whose plaintext is what `plain` makes of the header's digest: by somebody who has the key."""
    header, sealing = make_header([KEY], LOG2_CHUNK, bytes_of(name))
    if mac is not None:
        header = replace(header, mac=mac)
        sealing.bound = header.digest
    content = plain(header.digest)
    parts = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
    sealed = [seal(sealing, number, number == len(parts) - 1, part) for number, part in enumerate(parts)]
    return header.encode() + b"".join(sealed)


def front(digest: bytes, signing_key: SigningKey | None = None) -> bytes:
    """Return the front of the usual contents."""
    entries = Entries.of([(len(blob), hashlib.sha256(blob).digest()) for blob in BLOBS])
    return encode_front(MANIFEST, entries, signing_key, digest)


def with_lengths(total: int | None, manifest: int, blobs: int, signed: int) -> Callable[[bytes], bytes]:
    """Return what makes a plaintext whose front says other numbers than are true."""

    def plain(digest: bytes) -> bytes:
        right = whole(digest)
        numbers = FIXED.unpack(right[: FIXED.size])
        return FIXED.pack(numbers[0] if total is None else total, manifest, blobs, signed) + right[FIXED.size :]

    return plain


def entry_changed(digest: bytes) -> bytes:
    """Return a plaintext in which the size of a blob is one more than there is."""
    right = front(digest)
    size, sha256 = ENTRY.unpack_from(right, FIXED.size + 2 * ENTRY.size)
    at = FIXED.size + 2 * ENTRY.size
    return right[:at] + ENTRY.pack(size + 1, sha256) + right[at + ENTRY.size :] + b"".join(BLOBS)


def signature_of_another_file(digest: bytes) -> bytes:
    """Return a plaintext with a signature that was made for another header."""
    return front(bytes(32), SIGNING_KEY) + b"".join(BLOBS)


def never_last(sealing: Sealing, number: int, last: bool, part: bytes) -> bytes:
    """Seal as if another chunk followed."""
    return sealing.seal(number, False, part)


def always_last(sealing: Sealing, number: int, last: bool, part: bytes) -> bytes:
    """Seal as if no other chunk followed."""
    return sealing.seal(number, True, part)


def whole(digest: bytes) -> bytes:
    """Return the plaintext of the usual contents."""
    return front(digest) + b"".join(BLOBS)


def small(digest: bytes) -> bytes:
    """Return a plaintext that is less than a chunk."""
    return encode_front(MANIFEST, Entries(b""), None, digest)


def flipped(content: bytes, at: int) -> bytes:
    """Return the content with one bit changed."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def put(content: bytes, at: int, new: bytes) -> bytes:
    """Return the content with other bytes at a place."""
    return content[:at] + new + content[at + len(new) :]


def good() -> dict[str, tuple[bytes, dict[str, Any]]]:
    """Return the files that can be read, and what is in them."""
    holds = {"manifest": MANIFEST.decode(), "blobs": [base64.b64encode(blob).decode() for blob in BLOBS]}
    both = [KEY, OTHER_KEY, PASSPHRASE, OTHER_IDENTITY.recipient, IDENTITY.recipient]
    by_key, by_identity = {"key": KEY.text()}, {"identity": IDENTITY.text()}
    signed = {"trusted_signers": [STRANGER.signer.text(), SIGNING_KEY.signer.text()]}
    filled = bytes(3 * CHUNK - FIXED.size - ENTRY.size - len(MANIFEST))
    return {
        "key": (made("key"), by_key | holds),
        "passphrase": (made("passphrase", [PASSPHRASE]), {"passphrase": PASSPHRASE.words} | holds),
        "recipient": (made("recipient", [IDENTITY.recipient]), by_identity | holds),
        "several": (made("several", both), by_identity | holds),
        "several-passphrase": (made("several", both), {"passphrase": PASSPHRASE.words} | holds),
        "signed": (
            made("signed", signing_key=SIGNING_KEY),
            by_key | signed | holds | {"signer": SIGNING_KEY.signer.text()},
        ),
        "empty": (made("empty", manifest=b"", blobs=[]), by_key | {"manifest": "", "blobs": []}),
        "last-chunk-full": (
            made("last-chunk-full", blobs=[filled]),
            by_key | {"manifest": MANIFEST.decode(), "blobs": [base64.b64encode(filled).decode()]},
        ),
    }


def bad_headers(key: bytes, several: bytes) -> dict[str, tuple[bytes, str, dict[str, Any]]]:
    """Return files whose header is not right, and the code of the error."""
    passphrase = made("passphrase", [PASSPHRASE])
    recipient = made("recipient", [IDENTITY.recipient])
    by_words, by_identity = {"passphrase": PASSPHRASE.words}, {"identity": IDENTITY.text()}
    return {
        "no-bundle": (b"PK is not enough\n" * 20, "invalid_algorithm_bundle", {}),
        "version-3": (put(key, 15, b"3"), "unsupported_bundle_format", {}),
        "header-cut": (key[:60], "bundle_truncated", {}),
        "chunks-too-large": (put(key, 49, b"\x1e"), "invalid_algorithm_bundle", {}),
        "no-slots": (put(key, 50, b"\0"), "invalid_algorithm_bundle", {}),
        "too-many-slots": (put(key, 50, b"\xff"), "invalid_algorithm_bundle", {}),
        "unknown-slot": (put(key, 51, b"\x04"), "invalid_algorithm_bundle", {}),
        "scrypt-too-large": (put(passphrase, 52 + 16, b"\x28"), "invalid_algorithm_bundle", by_words),
        "scrypt-much-too-large": (put(passphrase, 52 + 16, b"\xff"), "invalid_algorithm_bundle", by_words),
        "scrypt-n-is-1": (put(passphrase, 52 + 16, b"\0"), "invalid_algorithm_bundle", by_words),
        "scrypt-r-too-small": (put(passphrase, 52 + 16, b"\x10\1"), "invalid_algorithm_bundle", by_words),
        "scrypt-p-is-0": (put(passphrase, 52 + 18, b"\0"), "invalid_algorithm_bundle", by_words),
        "scrypt-p-too-large": (put(passphrase, 52 + 18, b"\x05"), "invalid_algorithm_bundle", by_words),
        "five-passphrases": (
            passphrase[:50] + b"\5" + passphrase[51:119] * 5 + passphrase[119:],
            "invalid_algorithm_bundle",
            by_words,
        ),
        "low-order-point": (put(recipient, 52, bytes(32)), "invalid_bundle_key", by_identity),
        "wrong-key": (key, "invalid_bundle_key", {"key": OTHER_KEY.text()}),
        "wrong-passphrase": (passphrase, "invalid_bundle_key", {"passphrase": "Größe zählt"}),
        "wrong-identity": (recipient, "invalid_bundle_key", {"identity": OTHER_IDENTITY.text()}),
        "other-slot-changed": (flipped(several, 51 + 49 + 5), "bundle_damaged", {}),
        "slot-removed": (several[:50] + b"\4" + several[51 : 51 + 49] + several[51 + 98 :], "bundle_damaged", {}),
        "mac-changed": (flipped(key, start_of(key) - 1), "bundle_damaged", {}),
        "salt-changed": (flipped(key, 17), "invalid_bundle_key", {}),
    }


def bad_payloads(key: bytes) -> dict[str, tuple[bytes, str, dict[str, Any]]]:
    """Return files whose payload is not right, and the code of the error."""
    start = start_of(key)
    chunks = [key[at : at + SEALED] for at in range(start, len(key), SEALED)]
    other = made("another file")[start:]
    header = key[:start]
    longer = [*chunks[:-1], chunks[-2], chunks[-1]]
    return {
        "first-chunk-changed": (flipped(key, start + 40), "bundle_damaged", {}),
        "last-chunk-changed": (flipped(key, len(key) - 1), "bundle_damaged", {}),
        "cut-behind-chunk-0": (header + chunks[0], "bundle_truncated", {}),
        "cut-behind-chunk-2": (header + b"".join(chunks[:3]), "bundle_truncated", {}),
        "cut-in-last-chunk": (key[:-1], "bundle_truncated", {}),
        "cut-in-first-chunk": (key[: start + 20], "bundle_truncated", {}),
        "byte-appended": (key + b"\0", "bundle_too_long", {}),
        "chunk-repeated": (header + b"".join(longer), "bundle_too_long", {}),
        "chunk-dropped": (header + b"".join([*chunks[:2], *chunks[3:]]), "bundle_truncated", {}),
        "chunks-swapped": (header + b"".join([*chunks[:2], chunks[3], chunks[2], *chunks[4:]]), "bundle_damaged", {}),
        "chunk-of-another-file": (
            header + b"".join(chunks[:3]) + other[3 * SEALED : 4 * SEALED] + b"".join(chunks[4:]),
            "bundle_damaged",
            {},
        ),
        "payload-of-another-file": (header + other, "bundle_damaged", {}),
        "last-chunk-not-last": (by_hand("never last", whole, never_last), "bundle_damaged", {}),
        "only-chunk-not-last": (by_hand("only chunk", small, never_last), "bundle_damaged", {}),
        "first-chunk-last": (by_hand("always last", whole, always_last), "bundle_damaged", {}),
        "mac-of-nobody": (by_hand("mac", whole, mac=bytes(32)), "bundle_damaged", {}),
    }


def bad_fronts() -> dict[str, tuple[bytes, str, dict[str, Any]]]:
    """Return files that somebody who has the key wrote wrongly, and the code of the error."""
    wrong, trusted = "invalid_bundle_manifest", {"trusted_signers": [SIGNING_KEY.signer.text()]}
    other = [*BLOBS[:2], BLOBS[2][::-1], *BLOBS[3:]]
    nothing = Entries.of([(0, hashlib.sha256(b"something").digest())])
    signature = "invalid_bundle_signature"
    return {
        "front-too-short": (by_hand("front-too-short", lambda _: bytes(FIXED.size - 1)), "bundle_truncated", {}),
        "total-too-large": (by_hand("total", with_lengths(1 << 50, 22, 5, 0)), wrong, {}),
        "manifest-too-large": (by_hand("manifest", with_lengths(None, 1 << 31, 5, 0)), wrong, {}),
        "too-many-blobs": (by_hand("blobs", with_lengths(None, 22, 1 << 31, 0)), wrong, {}),
        "front-longer-than-all": (by_hand("longer", with_lengths(None, 22, 1000, 0)), wrong, {}),
        "unknown-signature": (by_hand("unknown", with_lengths(None, 22, 5, 2)), wrong, {}),
        "sizes-do-not-add-up": (by_hand("sizes", entry_changed), wrong, {}),
        "blob-changed": (
            by_hand("blob-changed", lambda digest: front(digest) + b"".join(other)),
            "bundle_checksum_mismatch",
            {},
        ),
        "empty-blob-changed": (
            by_hand("empty-blob-changed", lambda digest: encode_front(MANIFEST, nothing, None, digest)),
            "bundle_checksum_mismatch",
            {},
        ),
        "not-signed": (made("not signed"), signature, trusted),
        "signed-by-a-stranger": (made("stranger", signing_key=STRANGER), signature, trusted),
        "signature-of-another-file": (by_hand("signature", signature_of_another_file), signature, {}),
        "nobody-is-trusted": (made("signed", signing_key=SIGNING_KEY), signature, {"trusted_signers": []}),
    }


def main() -> None:
    """Write the files and the index."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    found = good()
    index = []
    for name, (content, row) in found.items():
        (folder / f"good-{name}.bundle").write_bytes(content)
        index.append({"file": f"good-{name}.bundle"} | row)
    key, several = found["key"][0], found["several"][0]
    for name, (content, code, given) in (bad_headers(key, several) | bad_payloads(key) | bad_fronts()).items():
        (folder / f"bad-{name}.bundle").write_bytes(content)
        unlock = {} if {"key", "passphrase", "identity"} & given.keys() else {"key": KEY.text()}
        index.append({"file": f"bad-{name}.bundle", "code": code} | unlock | given)
    (folder / "index.json").write_bytes(json.dumps(index, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
