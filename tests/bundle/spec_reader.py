"""A second reader, written from docs/reference/bundle-format.md alone: it shares no line with the product."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import unicodedata
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LABEL = b"compox-bundle/v2 "
PUBLIC = {1: 0, 2: 19, 3: 32}


class RefusedError(Exception):
    """The file is not as the page says."""


@dataclass
class Found:
    """What is in a file."""

    manifest: bytes
    blobs: list[bytes]
    signer: bytes | None


def read(content: bytes, unlock: tuple[str, str], trusted: list[bytes] | None = None) -> Found:
    """Read a whole file; `unlock` is `("key" | "passphrase" | "identity", text)`."""
    try:
        return _read(content, unlock, trusted)
    except (InvalidTag, InvalidSignature, struct.error, IndexError) as error:
        raise RefusedError(repr(error)) from error


def public_of(text: str) -> bytes:
    """Return the 32 bytes of a checked text."""
    prefix, body = text[:-48], text[-48:]
    raw = base64.urlsafe_b64decode(body)
    demand(hashlib.sha256(prefix.encode() + raw[:32]).digest()[:4] == raw[32:], "check of a text")
    return raw[:32]


def demand(holds: bool, what: str) -> None:
    """Refuse the file."""
    if not holds:
        raise RefusedError(what)


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, info).derive(secret)


def _read(content: bytes, unlock: tuple[str, str], trusted: list[bytes] | None) -> Found:
    demand(content.startswith(b"compox-bundle/v2\n"), "version line")
    salt = content[17:49]
    log2_chunk, count = content[49], content[50]
    demand(8 <= log2_chunk <= 22 and 1 <= count <= 64, "chunk size or number of slots")
    slots, at = [], 51
    for _ in range(count):
        kind = content[at]
        demand(kind in PUBLIC, "kind of slot")
        middle, end = at + 1 + PUBLIC[kind], at + 49 + PUBLIC[kind]
        slots.append((kind, content[at + 1 : middle], content[middle:end]))
        at = end
    demand(sum(kind == 2 for kind, _, _ in slots) <= 4, "number of passphrases")
    for kind, public, _ in slots:
        if kind == 2:
            log2_n, r, p = public[16:]
            demand(1 <= p <= 4 and 1 <= log2_n < 16 * r and r * 2**log2_n <= 2**21, "scrypt")
    demand(len(content) >= at + 32, "end of the header")
    header, tag = content[:at], content[at : at + 32]
    file_key = _file_key(slots, salt, *unlock)
    expected = hmac.digest(_hkdf(file_key, salt, LABEL + b"header"), header, "sha256")
    demand(hmac.compare_digest(expected, tag), "MAC")
    digest = hashlib.sha256(header + tag).digest()
    cipher = AESGCM(_hkdf(file_key, salt, LABEL + b"payload"))

    payload, size = content[at + 32 :], 2**log2_chunk + 16
    chunks = [payload[begin : begin + size] for begin in range(0, len(payload), size)]
    plain = b""
    for number, chunk in enumerate(chunks):
        last = b"\1" if number == len(chunks) - 1 else b"\0"
        demand(len(chunk) > 16, "empty chunk")
        plain += cipher.decrypt(number.to_bytes(11, "big") + last, chunk, digest)
    return _front(plain, digest, trusted)


def _file_key(slots: list[tuple[int, bytes, bytes]], salt: bytes, what: str, text: str) -> bytes:
    for kind, public, wrapped in slots:
        if what == "key" and kind == 1:
            key = _hkdf(base64.urlsafe_b64decode(text + "="), salt, LABEL + b"key")
        elif what == "passphrase" and kind == 2:
            words = unicodedata.normalize("NFC", text).encode()
            n, r, p = 2 ** public[16], public[17], public[18]
            derived = hashlib.scrypt(words, salt=public[:16], n=n, r=r, p=p, maxmem=2**29, dklen=32)
            key = _hkdf(derived, salt, LABEL + b"passphrase")
        elif what == "identity" and kind == 3:
            private = X25519PrivateKey.from_private_bytes(public_of(text))
            try:
                shared = private.exchange(X25519PublicKey.from_public_bytes(public))
            except ValueError:
                continue
            key = _hkdf(shared, salt + public + private.public_key().public_bytes_raw(), LABEL + b"recipient")
        else:
            continue
        try:
            return AESGCM(key).decrypt(bytes(12), wrapped, None)
        except InvalidTag:
            continue
    raise RefusedError("no slot opens")


def _front(plain: bytes, digest: bytes, trusted: list[bytes] | None) -> Found:
    total, manifest_size, count, signed = struct.unpack_from(">QIIB", plain)
    demand(total == len(plain) and total <= 2**44, "size")
    demand(manifest_size <= 64 * 2**20 and count <= 2**20 and signed <= 1, "numbers")
    entries = [struct.unpack_from(">Q32s", plain, 17 + 40 * number) for number in range(count)]
    at = 17 + 40 * count
    manifest = plain[at : at + manifest_size]
    at += manifest_size
    signer = None
    if signed:
        signer, signature = plain[at : at + 32], plain[at + 32 : at + 96]
        message = LABEL + b"signature" + digest + hashlib.sha256(plain[: at + 32]).digest()
        Ed25519PublicKey.from_public_bytes(signer).verify(signature, message)
        at += 96
    demand(trusted is None or signer in trusted, "trust")
    blobs = []
    for size, sha256 in entries:
        blobs.append(plain[at : at + size])
        at += size
        demand(hashlib.sha256(blobs[-1]).digest() == sha256, "SHA-256 of a blob")
    demand(at == total, "sizes")
    return Found(manifest, blobs, signer)
