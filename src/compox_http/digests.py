"""The SHA-256 that a client says its upload has."""

from __future__ import annotations

import base64
import binascii
import re

from litestar.datastructures import Headers

from compox_core.errors import InvalidInputError

DIGEST = "content-digest"
HEX = "x-content-sha256"
_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*(?=,|;|$)", re.IGNORECASE)


def announced_sha256(headers: Headers) -> str | None:
    """Return the hash in hex that comes with a body, None where none does.

    A client gives it as `Content-Digest: sha-256=:<base64>:` (RFC 9530) or `X-Content-SHA256: <hex>`.

    Raises InvalidInputError (`invalid_digest`) for what is none.
    """
    text = headers.get(HEX)
    if text is not None:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", text.strip()):
            raise _invalid(HEX, text, "64 hexadecimal digits")
        return text.strip().lower()
    text = headers.get(DIGEST)
    if text is None or "sha-256" not in text.lower():  # of another algorithm: nothing that could be checked here
        return None
    match = _DIGEST.search(text)
    if match is None:
        raise _invalid(DIGEST, text, "sha-256=:<32 bytes in base64>:")
    try:
        return base64.b64decode(match[1], validate=True).hex()
    except binascii.Error:
        raise _invalid(DIGEST, text, "sha-256=:<32 bytes in base64>:") from None


def check_sha256(announced: str | None, found: str) -> None:
    """Raise InvalidInputError (`digest_mismatch`) where a body is not what its client said."""
    if announced is not None and announced != found:
        raise InvalidInputError(
            f"The body has the SHA-256 {found}, and the request says {announced}: it was changed on its way, or the "
            "hash is of something else. Nothing was stored; send it again.",
            code="digest_mismatch",
            details={"announced": announced, "found": found},
        )


def _invalid(header: str, text: str, form: str) -> InvalidInputError:
    shown = text if len(text) <= 100 else text[:100] + "…"
    return InvalidInputError(
        f"The header {header} does not hold a SHA-256: {shown!r}. Give {form}, or leave it out.",
        code="invalid_digest",
        details={"header": header},
    )
