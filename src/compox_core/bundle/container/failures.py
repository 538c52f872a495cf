"""What is said of a file that is not as it was written."""

from __future__ import annotations

from typing import Any

from compox_core.errors import InvalidInputError


def malformed(reason: str, **details: Any) -> InvalidInputError:
    """The file is no bundle, or its header breaks a rule of the format."""
    return _error(f"This is not a bundle that can be read: {reason}.", "invalid_algorithm_bundle", details)


def damaged(what: str, offset: int) -> InvalidInputError:
    """Something that is authenticated is not as it was written."""
    return _error(
        f"The bundle was changed or damaged: {what} at byte {offset} is not as it was written. "
        "Nothing of it was used; fetch the file again.",
        "bundle_damaged",
        {"offset": offset},
    )


def truncated(found: int, expected: int, least: str = "") -> InvalidInputError:
    """The file ends too soon."""
    return _error(
        f"The bundle was cut off: it has {found} bytes and must have {least}{expected}. Fetch the file again.",
        "bundle_truncated",
        {"bytes": found, "expected": expected},
    )


def too_long(found: int, expected: int) -> InvalidInputError:
    """Something was appended to the file."""
    return _error(
        f"The bundle has {found} bytes and must have {expected}: something was appended. Fetch the file again.",
        "bundle_too_long",
        {"bytes": found, "expected": expected},
    )


def bad_front(reason: str) -> InvalidInputError:
    """Whoever wrote the file had the key, and wrote a front that breaks a rule of the format."""
    return _error(
        f"The bundle cannot be read: {reason}. It was not damaged on its way: whatever wrote it did not keep to the "
        "format.",
        "invalid_bundle_manifest",
        {},
    )


def bad_key(message: str, **details: Any) -> InvalidInputError:
    """Nothing that was given opens the bundle."""
    return _error(message, "invalid_bundle_key", details)


def bad_signature(message: str, **details: Any) -> InvalidInputError:
    """The bundle is not signed by whom it should be."""
    return _error(message, "invalid_bundle_signature", details)


def differs(what: str, **details: Any) -> InvalidInputError:
    """A blob has another content than the one that it is said to have."""
    return _error(what, "bundle_checksum_mismatch", details)


def _error(message: str, code: str, details: dict[str, Any]) -> InvalidInputError:
    return InvalidInputError(message, code=code, details=details)
