"""The keys of bundles and their text forms.

    BundleKey    43 characters            32 bytes that whoever builds and whoever opens share, in version 1, too
    Passphrase   any text                 the same, made by people
    Recipient    compox-recipient-…       for whom a bundle is built (X25519); may be published
    Identity     compox-identity-…        opens what was built for its recipient
    Signer       compox-signer-…          whose bundles are trusted (Ed25519); may be published
    SigningKey   compox-signing-key-…     signs bundles

The text of a `BundleKey` is base64url (RFC 4648) of its 32 bytes. The others are base64url of 32 bytes and the first
four of the SHA-256 of the prefix and these, so that a mistyped key is told from a wrong one. No `repr`, and no error,
shows a secret.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import unicodedata
from dataclasses import dataclass
from typing import ClassVar, Self

from compox_core.bundle import primitives
from compox_core.errors import InvalidInputError

_BARE = re.compile(r"[A-Za-z0-9_-]{43}=?")
_CHECKED = re.compile(r"[A-Za-z0-9_-]{48}")

DEFAULT_COST = 17
"""log2 of scrypt's N: 128 MiB of memory, some tenths of a second."""
MAX_COST = 18
"""No reader tries more than 256 MiB."""


@dataclass(frozen=True, repr=False)
class BundleKey:
    """A secret of 32 bytes that whoever builds a bundle and whoever opens it share."""

    raw: bytes

    @classmethod
    def generate(cls) -> Self:
        """Return a new key from the system's secure source."""
        return cls(secrets.token_bytes(primitives.KEY_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key's text; whitespace around it and the padding sign `=` are accepted.

        Raises:
            InvalidInputError: `invalid_bundle_key`: another length, a character that base64url does not have, or a
                last character that no key ends with.
        """
        bare = text.strip()
        if not _BARE.fullmatch(bare):
            raise _invalid(f"A bundle key is 43 characters of A-Z, a-z, 0-9, - and _; this {_what(bare)}.")
        bare = bare.rstrip("=")
        raw = base64.urlsafe_b64decode(bare + "=")
        if _base64url(raw) != bare:
            raise _invalid(
                "The last character of this bundle key is one that no key of 32 bytes ends with. Copy it anew."
            )
        return cls(raw)

    def text(self) -> str:
        """Return the 43 characters."""
        return _base64url(self.raw)

    def __repr__(self) -> str:
        return "BundleKey(…)"


@dataclass(frozen=True, repr=False)
class Passphrase:
    """A secret text. `cost` is log2 of scrypt's N for bundles that are built; a bundle that is opened says its own."""

    words: str
    cost: int = DEFAULT_COST

    def __post_init__(self) -> None:
        if not self.words:
            raise _invalid("The passphrase is empty.")
        if not 1 <= self.cost <= MAX_COST:
            raise _invalid(f"The cost of a passphrase is 1 to {MAX_COST}, not {self.cost}.")

    @property
    def raw(self) -> bytes:
        """The UTF-8 of its normal form (NFC): an accent is the same, whichever keyboard it was typed on."""
        return unicodedata.normalize("NFC", self.words).encode("utf-8", "surrogatepass")

    def __repr__(self) -> str:
        return "Passphrase(…)"


class _Checked:
    """32 bytes whose text begins with what they are."""

    PREFIX: ClassVar[str]
    NAME: ClassVar[str]
    SECRET: ClassVar[bool] = False

    def __init__(self, raw: bytes) -> None:
        if len(raw) != primitives.KEY_BYTES:
            raise _invalid(f"{self.NAME} has 32 bytes, not {len(raw)}.")
        self.raw = raw

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read its text; whitespace around it is accepted. Raises InvalidInputError (`invalid_bundle_key`)."""
        bare = text.strip()
        body = bare.removeprefix(cls.PREFIX)
        if body == bare or not _CHECKED.fullmatch(body):
            raise _invalid(
                f"{cls.NAME} is '{cls.PREFIX}' and 48 characters of A-Z, a-z, 0-9, - and _; this {_what(bare)}."
            )
        decoded = base64.urlsafe_b64decode(body)
        raw, check = decoded[:32], decoded[32:]
        if check != cls._check(raw):
            raise _invalid(f"{cls.NAME} was mistyped or cut: its last characters do not fit the others. Copy it anew.")
        return cls(raw)

    def text(self) -> str:
        """Return its text form."""
        return self.PREFIX + _base64url(self.raw + self._check(self.raw))

    @classmethod
    def _check(cls, raw: bytes) -> bytes:
        return hashlib.sha256(cls.PREFIX.encode() + raw).digest()[:4]

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash((self.PREFIX, self.raw))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)" if self.SECRET else f"{type(self).__name__}({self.text()!r})"


class Recipient(_Checked):
    """Somebody for whom bundles are built (an X25519 public key). It opens nothing and may be published."""

    PREFIX = "compox-recipient-"
    NAME = "A recipient"


class Identity(_Checked):
    """What opens the bundles that were built for its recipient (an X25519 private key)."""

    PREFIX = "compox-identity-"
    NAME = "An identity"
    SECRET = True

    @classmethod
    def generate(cls) -> Self:
        """Return a new identity from the system's secure source."""
        return cls(secrets.token_bytes(primitives.KEY_BYTES))

    @property
    def recipient(self) -> Recipient:
        """Its public half."""
        return Recipient(primitives.x25519_public(self.raw))


class Signer(_Checked):
    """Somebody who signs bundles (an Ed25519 public key). It may be published."""

    PREFIX = "compox-signer-"
    NAME = "A signer"


class SigningKey(_Checked):
    """What signs bundles (an Ed25519 private key, its seed)."""

    PREFIX = "compox-signing-key-"
    NAME = "A signing key"
    SECRET = True

    @classmethod
    def generate(cls) -> Self:
        """Return a new signing key from the system's secure source."""
        return cls(secrets.token_bytes(primitives.KEY_BYTES))

    @property
    def signer(self) -> Signer:
        """Its public half."""
        return Signer(primitives.ed25519_public(self.raw))


Lock = BundleKey | Passphrase | Recipient
"""What a bundle is built for."""
Unlock = BundleKey | Passphrase | Identity
"""What opens a bundle."""


def parse_lock(text: str) -> BundleKey | Recipient:
    """Read a key or a recipient. Raises InvalidInputError (`invalid_bundle_key`)."""
    return Recipient.parse(text) if text.strip().startswith(Recipient.PREFIX) else BundleKey.parse(text)


def parse_unlock(text: str) -> BundleKey | Identity:
    """Read a key or an identity. Raises InvalidInputError (`invalid_bundle_key`)."""
    return Identity.parse(text) if text.strip().startswith(Identity.PREFIX) else BundleKey.parse(text)


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _what(text: str) -> str:
    for each in (Recipient, Identity, Signer, SigningKey):
        if text.startswith(each.PREFIX):
            hint = "; what opens a bundle is its identity" if each is Recipient else ""
            return f"is {each.NAME[0].lower()}{each.NAME[1:]} of {len(text)} characters{hint}"
    if "+" in text or "/" in text:
        return "has + or /: write - for + and _ for /"
    others = ", of which some are others" if re.search(r"[^A-Za-z0-9_=-]", text) else ""
    return f"has {len(text)}{others}"


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="invalid_bundle_key")
