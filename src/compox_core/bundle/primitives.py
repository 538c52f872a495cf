"""The cryptography that bundles use: the one module that imports `cryptography`, when it is first called.

AES-256-GCM (NIST SP 800-38D), HKDF-SHA256 (RFC 5869), HMAC-SHA256 (RFC 2104), scrypt (RFC 7914), X25519 (RFC 7748),
Ed25519 (RFC 8032).
"""

from __future__ import annotations

import hashlib
import hmac

KEY_BYTES = 32
TAG_BYTES = 16


class Aead:
    """AES-256-GCM under one key. Whoever seals sees to it that no nonce (12 bytes) is used twice."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)

    def seal(self, nonce: bytes, plain: bytes | memoryview | bytearray, bound: bytes) -> bytes:
        """Return the ciphertext with its tag (16 bytes) at the end; `bound` is authenticated with it."""
        return self._cipher.encrypt(nonce, plain, bound)

    def open(self, nonce: bytes, sealed: bytes, bound: bytes) -> bytes | None:
        """Return the plaintext; None where the key, the nonce, the ciphertext or what was bound differs."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(nonce, sealed, bound)
        except InvalidTag:
            return None


class GcmSealing:
    """AES-256-GCM of one message, piece by piece, with nothing bound to it: how bundles of version 1 are written."""

    def __init__(self, key: bytes, nonce: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._cipher = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()

    def update(self, plain: bytes) -> bytes:
        """Return the ciphertext of the next piece, as long as it is."""
        return self._cipher.update(plain)

    def tag(self) -> bytes:
        """End the message; return what authenticates it."""
        self._cipher.finalize()
        return self._cipher.tag


class GcmOpening:
    """The other way; nothing of the plaintext may be used before `holds` has said True."""

    def __init__(self, key: bytes, nonce: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._cipher = Cipher(algorithms.AES(key), modes.GCM(nonce)).decryptor()

    def update(self, sealed: bytes) -> bytes:
        """Return the plaintext of the next piece, as long as it is."""
        return self._cipher.update(sealed)

    def holds(self, tag: bytes) -> bool:
        """End the message; return whether key, nonce and ciphertext are those that the tag was made of."""
        from cryptography.exceptions import InvalidTag

        try:
            self._cipher.finalize_with_tag(tag)
        except InvalidTag:
            return False
        return True


def derive(secret: bytes, salt: bytes, purpose: bytes) -> bytes:
    """Return a key of 32 bytes for one purpose (HKDF-SHA256)."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), KEY_BYTES, salt, purpose).derive(secret)


def mac(key: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA256, 32 bytes."""
    return hmac.digest(key, message, "sha256")


def equal(one: bytes, other: bytes) -> bool:
    """Compare in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)


def scrypt(passphrase: bytes, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    """Return a key of 32 bytes, for 128·N·r bytes of memory."""
    n = 1 << log2_n
    return hashlib.scrypt(passphrase, salt=salt, n=n, r=r, p=p, maxmem=128 * r * (n + p + 2), dklen=KEY_BYTES)


def x25519_public(private: bytes) -> bytes:
    """Return the public key of a private one, each 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def x25519(private: bytes, public: bytes) -> bytes | None:
    """Return what both sides share; None where the public key is one that gives everybody the same (low order)."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return None


def ed25519_public(private: bytes) -> bytes:
    """Return the public key of a private one (its seed), each 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def ed25519_sign(private: bytes, message: bytes) -> bytes:
    """Return a signature of 64 bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private).sign(message)


def ed25519_holds(public: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether the signature of the message is one by this key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
