"""What the operating system's errors mean for a store in a folder."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from compox_core.errors import CompoxError, StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FAULTS = (
    "EIO",
    "ESTALE",
    "ETIMEDOUT",
    "ENOTCONN",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "ENODEV",
    "ENXIO",
    "EMFILE",
    "ENFILE",
)
_UNAVAILABLE = {getattr(errno, name) for name in _FAULTS if hasattr(errno, name)}


def is_full(error: OSError) -> bool:
    """Return whether there was no room on the disk, or none within the quota."""
    return error.errno in _FULL


def storage_error(error: OSError, action: str, where: str) -> StorageError:
    """Return the `StorageError` that says what went wrong when we tried to `action` ("write", "read" …)
    `where`.

    Codes: `disk_full` (retryable), `storage_access_denied`, `storage_unavailable` (retryable), else
    `storage_write_failed` or `storage_read_failed`.
    """
    number, said = error.errno, error.strerror or str(error)
    details = {"where": where, "errno": number}
    if is_full(error):
        return StorageError(
            f"Cannot {action} {where}: the disk or the quota is full ({said}). Free some space and try again.",
            code="disk_full",
            details=details,
            retryable=True,
        )
    if number in _DENIED:
        return StorageError(
            f"Cannot {action} {where}: access is denied ({said}). Check who owns the store and its permissions.",
            code="storage_access_denied",
            details=details,
        )
    if number in _UNAVAILABLE:
        return StorageError(
            f"Cannot {action} {where}: the store does not answer as it should ({said}). "
            "Check the disk or the share, then try again.",
            code="storage_unavailable",
            details=details,
            retryable=True,
        )
    code = "storage_read_failed" if action in ("read", "list") else "storage_write_failed"
    return StorageError(f"Cannot {action} {where}: {said}.", code=code, details=details)


@contextmanager
def reported(action: str, where: str) -> Iterator[None]:
    """Turn the operating system's errors in the block into `StorageError`s."""
    try:
        yield
    except CompoxError:
        raise
    except OSError as error:
        raise storage_error(error, action, where) from error
