"""What is said of a bundle of version 1 that cannot be read, beside what is said of every bundle."""

from __future__ import annotations

from compox_core.errors import InvalidInputError, NotFoundError

SHOWN = 8
"""How many of a kind an error tells one by one."""


def unsupported(what: str, found: object, code: str) -> InvalidInputError:
    """The bundle is of a kind that nothing here reads."""
    shown = found if isinstance(found, str) and len(found) <= 100 else "something else"
    return InvalidInputError(
        f"The bundle's {what} is {shown!r}, which this version cannot read. A newer compox may.",
        code=code,
        details={what: shown},
    )


def unsigned(path: str, why: str) -> InvalidInputError:
    """Nothing says that whoever wrote the manifest had the key, or what does is wrong."""
    return InvalidInputError(
        f"The bundle was not opened: {why}. Either this is not its key, or it was changed or damaged: check the key "
        "and fetch the file again.",
        code="invalid_bundle_signature",
        details={"path": path},
    )


def unreadable(collection: str, key: str, why: str) -> InvalidInputError:
    """What is stored of an object is not what was stored."""
    return InvalidInputError(
        f"'{key}' in '{collection}' of the bundle cannot be read: {why}. Nothing of it was used; fetch the file again.",
        code="bundle_object_read_failed",
        details={"collection": collection, "key": key},
    )


def missing(references: list[str]) -> NotFoundError:
    """Something names objects that the bundle does not hold."""
    return NotFoundError(
        f"The bundle is not whole: it has no {listed(references)}. Build it again.",
        code="bundle_object_not_found",
        details={"missing": references[:100]},
    )


def broken_records(issues: list[str]) -> InvalidInputError:
    """Records in the bundle, which whoever wrote it had the key for, break the rules for them."""
    return InvalidInputError(
        "The bundle cannot be read, because of what it says:\n" + "\n".join(f"  {issue}" for issue in issues[:SHOWN]),
        code="invalid_algorithm_bundle",
        details={"issues": issues[:100]},
    )


def listed(items: list[str]) -> str:
    """Return the first of them, and how many more there are."""
    shown, rest = items[:SHOWN], len(items) - SHOWN
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")
